"""How actors live and, above all, how they end: once, with a reason, and without harm to anybody else."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import pytest
from pykka import ActorDeadError, Future

from stage import TIMEOUT, ActorClass, LightPlayer, PinnedPlayer, Play, in_threads
from supervisors import ActorState, ExitKind, ExitReason, LightActor, PinnedActor, Ready, ReportKind, living
from supervisors.birth import birth
from waiting import wait_for


class CustomError(BaseException):
    """Neither an Exception nor one of Python's own."""


ERRORS = [ValueError("broken"), SystemExit(3), KeyboardInterrupt(), CustomError("own")]
BASE_ERRORS = ERRORS[1:]


def ended_once(play: Play, kind: ExitKind, error: BaseException | None = None) -> ExitReason:
    """Check that the parent and a late monitor are told of one end, whatever is tried afterwards."""
    down = play.parent.wait_down()
    assert down.reason.kind is kind
    assert down.reason.error is error
    assert down.path == "/a"
    assert play.system.lookup("/a") is None
    assert not down.ref.is_alive()
    with pytest.raises(ActorDeadError):
        down.ref.tell("too late")
    with pytest.raises(ActorDeadError):
        down.ref.ask("too late", timeout=TIMEOUT)
    assert down.ref.stop(timeout=TIMEOUT) is False
    actor = living(down.ref)
    if actor is not None:
        actor.kill()
        actor.request_shutdown()
        assert play.watch(down.ref).wait_down() == down
        assert actor.exit_reason == down.reason
        assert actor.vitals.state is ActorState.DEAD
    assert play.parent.downs == [down]
    return down.reason


# -- every way to end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_error_in_init_is_for_the_starter(play: Play, player: ActorClass, error: BaseException) -> None:
    play.stage.fail("init a", error)
    with pytest.raises(type(error)):
        play.start(player)
    assert play.parent.messages == []
    assert play.system.paths() == []


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_error_in_on_start(play: Play, player: ActorClass, error: BaseException) -> None:
    play.stage.fail("start a", error)
    play.start(player)
    ended_once(play, ExitKind.ERROR, error)
    assert play.parent.readies == []
    # As in Pykka: `on_failure` is for errors of handlers.
    assert play.stage.log == ["init a", "start a"]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_error_in_a_told_message(play: Play, player: ActorClass, error: BaseException) -> None:
    play.start(player).tell(error)
    ended_once(play, ExitKind.ERROR, error)
    assert play.stage.log == ["init a", "start a", "failure a"]


def test_error_in_an_asked_message_is_for_the_asker(play: Play, player: ActorClass) -> None:
    ref = play.start(player)
    with pytest.raises(ValueError, match="told to"):
        ref.ask("raise", timeout=TIMEOUT)
    assert ref.ask("get", timeout=TIMEOUT) == "got"
    assert play.parent.downs == []
    (report,) = play.kinds(ReportKind.ASK_FAILED)
    assert report.path == "/a"
    assert str(report.reason) == "ValueError: told to"


@pytest.mark.parametrize("error", BASE_ERRORS, ids=repr)
def test_base_exception_in_an_asked_message_ends_the_actor(
    play: Play, player: ActorClass, error: BaseException
) -> None:
    future = play.start(player).ask(error, block=False)
    with pytest.raises(type(error)):
        future.get(timeout=TIMEOUT)
    ended_once(play, ExitKind.ERROR, error)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("how", ["stop", "shut down"])
def test_error_in_on_stop_is_the_reason(play: Play, player: ActorClass, how: str, error: BaseException) -> None:
    play.stage.fail("stop a", error)
    play.start(player).tell(how)
    ended_once(play, ExitKind.ERROR, error)
    assert play.stage.log == ["init a", "start a", "stop a"]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_error_in_on_failure_does_not_hide_the_first(play: Play, player: ActorClass, error: BaseException) -> None:
    play.stage.fail("failure a", error)
    play.start(player).tell("raise")
    down = play.parent.wait_down()
    assert str(down.reason) == "ValueError: told to"
    ended_once(play, ExitKind.ERROR, down.reason.error)
    (report,) = play.kinds(ReportKind.UNHANDLED_MESSAGE)
    assert report.reason is not None
    assert report.reason.error is error


def test_stop(play: Play, player: ActorClass) -> None:
    assert play.start(player).stop(timeout=TIMEOUT) is True
    ended_once(play, ExitKind.NORMAL)
    assert play.stage.log == ["init a", "start a", "stop a"]


def test_stop_by_itself(play: Play, player: ActorClass) -> None:
    play.start(player).tell("stop")
    ended_once(play, ExitKind.NORMAL)
    assert play.stage.log == ["init a", "start a", "stop a"]


def test_request_shutdown(play: Play, player: ActorClass) -> None:
    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    actor.request_shutdown()
    actor.request_shutdown()
    ended_once(play, ExitKind.SHUTDOWN)
    assert play.stage.log == ["init a", "start a", "stop a"]


def test_shutdown_comes_before_the_messages_that_wait(play: Play) -> None:
    gate = play.stage.hold("work a")
    ref = play.start(PinnedPlayer)
    ref.tell("work")
    play.stage.wait_reached("work a")
    later = ref.ask("get", block=False)
    actor = living(ref)
    assert actor is not None
    actor.request_shutdown()
    gate.set()
    with pytest.raises(ActorDeadError):
        later.get(timeout=TIMEOUT)
    ended_once(play, ExitKind.SHUTDOWN)


def test_stop_comes_after_the_messages_that_wait(play: Play, player: ActorClass) -> None:
    ref = play.start(player)
    answers = [ref.ask("get", block=False) for _ in range(200)]
    assert ref.stop(timeout=TIMEOUT)
    assert [answer.get(timeout=TIMEOUT) for answer in answers] == ["got"] * 200


def kill(play: Play, detail: str = "") -> None:
    actor = play.actor("/a")
    assert actor is not None
    actor.kill(detail)


def test_kill_while_idle(play: Play, player: ActorClass) -> None:
    ref = play.start(player)
    ref.ask("get", timeout=TIMEOUT)
    kill(play, "enough")
    reason = ended_once(play, ExitKind.KILLED)
    assert str(reason) == "killed: enough"
    assert "stop a" not in play.stage.log


@pytest.mark.parametrize("step", ["start", "work", "stop", "failure"])
def test_kill_in_a_hook(play: Play, player: ActorClass, step: str) -> None:
    gate = play.stage.hold(f"{step} a")
    ref = play.start(player)
    if step != "start":
        ref.tell("raise" if step == "failure" else step)
    play.stage.wait_reached(f"{step} a")
    kill(play)
    ended_once(play, ExitKind.KILLED)
    before = list(play.stage.log)
    gate.set()
    # It goes on from where it was, and nothing comes of it: neither another hook nor another message.
    play.wait_idle("/a")
    assert play.stage.log == before
    assert len(play.parent.messages) == (1 if step == "start" else 2)


def test_kill_before_the_first_turn_starts_nothing(play: Play) -> None:
    free = play.occupy()
    play.start(LightPlayer)
    kill(play)
    ended_once(play, ExitKind.KILLED)
    free.set()
    play.wait_idle("/a")
    assert play.stage.log == ["init a"]
    assert play.parent.readies == []


def test_shutdown_before_the_first_turn(play: Play) -> None:
    free = play.occupy()
    actor = living(play.start(LightPlayer))
    assert actor is not None
    actor.request_shutdown()
    free.set()
    ended_once(play, ExitKind.SHUTDOWN)
    assert play.stage.log == ["init a", "start a", "stop a"]


def test_no_more_threads(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        play.start(PinnedPlayer)
    assert play.system.paths() == []
    assert play.stage.log == ["init a"]


# -- what an end leaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [*ERRORS, "stop", "shut down", "kill"], ids=repr)
def test_no_end_harms_another_actor(play: Play, player: ActorClass, end: Any) -> None:
    others = [play.start(kind, f"/other/{number}") for number, kind in enumerate([LightPlayer, PinnedPlayer] * 3)]
    others += [LightPlayer.start(play.stage), PinnedPlayer.start(play.stage)]
    play.start(player)
    if end == "kill":
        kill(play)
    else:
        play.ref("/a").tell(end)
    play.parent.wait_down()
    assert [other.ask("get", timeout=TIMEOUT) for other in others] == ["got"] * len(others)
    for other in others:
        other.stop(timeout=TIMEOUT)


def test_on_stop_has_run_before_anybody_is_told(play: Play, player: ActorClass) -> None:
    gate = play.stage.hold("stop a")
    ref = play.start(player)
    monitor = play.watch(ref)
    stopped = ref.stop(block=False)
    play.stage.wait_reached("stop a")
    assert play.parent.downs == monitor.downs == []
    assert not ref.is_alive()
    gate.set()
    assert stopped.get(timeout=TIMEOUT) is True
    play.parent.wait_down()
    monitor.wait_down()


def test_monitors(play: Play, player: ActorClass) -> None:
    ref = play.start(player)
    watchers = [play.watch(ref) for _ in range(3)]
    actor = living(ref)
    assert actor is not None
    told: list[object] = []
    key = actor.add_monitor(told.append)
    actor.remove_monitor(key)
    actor.remove_monitor(key)
    ref.stop(timeout=TIMEOUT)
    downs = [watcher.wait_down() for watcher in [*watchers, play.parent]]
    assert downs == [downs[0]] * 4
    assert told == []


def test_one_monitor_that_fails_does_not_keep_the_others_from_being_told(
    play: Play, player: ActorClass, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_message: object) -> None:
        raise RuntimeError("cannot take it")

    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    actor.add_monitor(fail)
    monitor = play.watch(ref)
    actor.kill()
    monitor.wait_down()
    play.parent.wait_down()
    assert "cannot take it" in caplog.text


def test_on_end_runs_once_at_every_end(play: Play) -> None:
    ends: list[str] = []

    class Ending(PinnedPlayer):
        def on_end(self) -> None:
            ends.append(self.path)
            raise RuntimeError("must not matter")

    for number, end in enumerate(["stop", "shut down", "raise", "kill"]):
        path = f"/{number}"
        play.start(Ending, path)
        play.end(path, end)
        play.wait_idle(path)
    assert ends == ["/0", "/1", "/2", "/3"]


def test_the_reason_holds_no_frames(play: Play) -> None:
    error = ValueError("broken")
    play.start(LightPlayer).tell(error)
    reason = play.parent.wait_down().reason
    assert error.__traceback__ is None
    assert "in on_receive" in reason.traceback
    assert str(reason) == "ValueError: broken"
    assert str(ExitReason.of(KeyError())) == "KeyError"


def test_on_failure_is_given_the_traceback(play: Play) -> None:
    seen: list[str] = []

    class Failing(LightPlayer):
        def on_failure(self, *exc_info: Any) -> None:
            trace: TracebackType = exc_info[2]
            seen.extend(frame.name for frame in traceback.extract_tb(trace))

    play.start(Failing).tell("raise")
    play.parent.wait_down()
    assert "on_receive" in seen


@pytest.mark.parametrize("end", ["stop", "shut down", "raise", "kill"])
def test_a_dead_actor_is_collected_though_its_ref_is_kept(play: Play, player: ActorClass, end: str) -> None:
    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    actor.timers.every("tick", 3600, "tick")
    gone_for_good = weakref.ref(actor)
    del actor
    play.end("/a", end)

    def collected() -> bool:
        gc.collect()
        return gone_for_good() is None

    wait_for(collected, TIMEOUT, "the actor is collected")
    assert living(ref) is None
    assert not ref.is_alive()


# -- asks ----------------------------------------------------------------------------------------------------------


def test_askers_of_a_killed_actor_are_answered_at_once(play: Play, player: ActorClass) -> None:
    gate = play.stage.hold("work a")
    ref = play.start(player)
    in_hand = ref.ask("work", block=False)
    play.stage.wait_reached("work a")
    queued = [ref.ask("get", block=False) for _ in range(3)]
    stops = ref.stop(block=False)
    kill(play)
    for future in [in_hand, *queued]:
        with pytest.raises(ActorDeadError):
            future.get(timeout=TIMEOUT)
    assert stops.get(timeout=TIMEOUT) is True
    gate.set()
    play.wait_idle("/a")


def test_what_a_killed_actor_returns_or_says_goes_nowhere(play: Play, player: ActorClass) -> None:
    said: list[bool] = []
    ticks: list[str] = []

    class Late(player):  # type: ignore[misc, valid-type] # the kind is a parameter
        def on_receive(self, message: Any) -> Any:
            super().on_receive(message)
            said.append(self.tell_path("/b", "ghost"))
            self.timers.once("ghost", 0, "ghost")
            self.tell_self("ghost")
            ticks.append(str(self.fenced))
            return "late"

    gate = play.stage.hold("work a")
    play.start(LightPlayer, "/b")
    future = play.start(Late).ask("work", block=False)
    play.stage.wait_reached("work a")
    kill(play)
    gate.set()
    play.wait_idle("/a")
    with pytest.raises(ActorDeadError):
        future.get(timeout=TIMEOUT)
    assert said == [False]
    assert ticks == ["True"]
    assert not any("ghost" in line for line in play.stage.log)
    assert len(play.system.wheel) == 0


@pytest.mark.parametrize("end", ["stop", "shut down", "raise", "kill", SystemExit(1)], ids=repr)
@pytest.mark.usefixtures("hasty")
def test_every_ask_is_answered_while_actors_die(play: Play, player: ActorClass, end: Any) -> None:
    """2 in 1,000 were not, with Pykka's own actors."""
    rounds = 40 if player is PinnedPlayer else 80
    for number in range(rounds):
        path = f"/{number}"
        ref = play.start(player, path)
        actor = living(ref)
        assert actor is not None
        futures: list[list[Future[Any]]] = [[], [], [], []]

        def work(thread: int, ref: Any = ref, actor: Any = actor, futures: list[list[Future[Any]]] = futures) -> None:
            if thread == 3:
                if end == "kill":
                    actor.kill()
                elif end == "shut down":
                    actor.request_shutdown()
                elif end == "stop":
                    futures[3].append(ref.stop(block=False))
                else:
                    ref.tell(end)
                return
            for _ in range(15):
                futures[thread].append(ref.ask("get", block=False))

        in_threads(4, work)
        for future in [each for some in futures for each in some]:
            with contextlib.suppress(ActorDeadError):
                assert future.get(timeout=TIMEOUT) in {"got", True}
    wait_for(lambda: len(play.parent.downs) == rounds, TIMEOUT, "one Down for each")


@pytest.mark.usefixtures("hasty")
def test_a_shutdown_is_never_overlooked(play: Play, player: ActorClass) -> None:
    """Requests at the very moment when the actor finds nothing more to do."""
    rounds = 200 if player is PinnedPlayer else 2000
    actors = [living(play.start(player, f"/{number}")) for number in range(rounds)]
    with ThreadPoolExecutor(2) as pool:
        for actor in actors:
            assert actor is not None
            ref = actor.actor_ref
            told = pool.submit(ref.ask, "get", block=False)
            pool.submit(actor.request_shutdown)
            told.result()
    wait_for(lambda: len(play.parent.downs) == rounds, TIMEOUT, lambda: f"{len(play.parent.downs)} of {rounds} ended")


@pytest.mark.usefixtures("hasty")
def test_one_down_though_several_end_it_at_once(play: Play, player: ActorClass) -> None:
    for number in range(60):
        ref = play.start(player, f"/{number}")
        actor = living(ref)
        assert actor is not None
        monitor = play.watch(ref)
        ways: list[Callable[[], object]] = [
            actor.kill,
            actor.request_shutdown,
            lambda ref=ref: ref.stop(block=False),  # type: ignore[misc] # a lambda's default has no type
            lambda actor=actor: actor.tell_self("raise"),  # type: ignore[misc]
        ]
        in_threads(4, lambda thread, ways=ways: ways[thread]() and None)  # type: ignore[misc]
        monitor.wait_down()
    wait_for(lambda: len(play.parent.downs) == 60, TIMEOUT, "one Down for each")
    assert len({down.path for down in play.parent.downs}) == 60
    assert play.system.paths() == []


# -- actors that hang ----------------------------------------------------------------------------------------------


def test_a_hung_pinned_actor_holds_nobody_up(play: Play) -> None:
    for number in range(8):
        play.stage.hold(f"work {number}")
        play.start(PinnedPlayer, f"/{number}").tell("work")
        play.stage.wait_reached(f"work {number}")
    assert play.start(LightPlayer, "/light").ask("get", timeout=TIMEOUT) == "got"
    assert play.start(PinnedPlayer, "/pinned").ask("get", timeout=TIMEOUT) == "got"


HANG = """
import threading
from supervisors import ChildSpec, PinnedActor, Root, SupervisorFlags, System

class Hung(PinnedActor):
    def on_receive(self, message):
        message.set()
        threading.Event().wait()

system = System()
root = Root(system, SupervisorFlags(), [ChildSpec("hung", Hung)])
assert root.wait_ready(10)
reached = threading.Event()
system.tell("/hung", reached)
assert reached.wait(10)
print("at the end")
"""


def test_a_hung_pinned_actor_does_not_keep_the_process_from_exiting() -> None:
    done = subprocess.run([sys.executable, "-c", HANG], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "at the end\n", "")


# -- the rest ------------------------------------------------------------------------------------------------------


def test_ready_is_told_once_after_on_start(play: Play, player: ActorClass) -> None:
    gate = play.stage.hold("start a")
    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    play.stage.wait_reached("start a")
    assert play.parent.messages == []
    assert actor.vitals.state.value == "starting"
    gate.set()
    ref.ask("get", timeout=TIMEOUT)
    assert play.parent.messages == [Ready(ref, actor.epoch)]
    assert actor.vitals.state.value == "running"


def test_vitals_show_what_is_in_hand(play: Play, player: ActorClass) -> None:
    gate = play.stage.hold("work a")
    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    assert (actor.vitals.current, actor.vitals.handled) == (None, 0)
    ref.tell("work")
    play.stage.wait_reached("work a")
    ref.tell("get")
    assert actor.vitals.current == "str"
    assert actor.vitals.thread in {thread.ident for thread in threading.enumerate()}
    assert len(actor.mailbox) == 1
    gate.set()
    wait_for(lambda: actor.vitals.handled == 2 and actor.vitals.current is None, TIMEOUT, "both messages are handled")
    assert len(actor.mailbox) == 0


@pytest.mark.parametrize("kind", [LightActor, PinnedActor])
def test_a_message_that_nothing_handles_is_reported(play: Play, kind: ActorClass) -> None:
    with birth(play.system, "/a", play.parent):
        ref = kind.start()
    assert ref.ask("what?", timeout=TIMEOUT) is None
    (report,) = play.kinds(ReportKind.UNHANDLED_MESSAGE)
    assert (report.path, report.detail) == ("/a", "'what?'")
    assert play.parent.downs == []
