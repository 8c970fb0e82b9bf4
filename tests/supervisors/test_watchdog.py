"""Actors that do not come back: seen, fenced off, replaced; and what comes back after all reaches nobody."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest
from pykka import ActorDeadError, ActorRef, Future

from stage import TIMEOUT, ActorClass, LightPlayer, PinnedPlayer, Play, infos
from supervisors import (
    Actor,
    ChildState,
    ExitKind,
    LightActor,
    PinnedActor,
    Report,
    ReportKind,
    SupervisorFlags,
    System,
    living,
)
from supervisors.birth import birth
from supervisors.vitals import Vitals
from supervisors.watchdog import Watchdog, Zombies, stack_of
from supervisors.wheel import TimerHandle, TimerWheel
from waiting import wait_for

LIMIT = 0.05
MANY = SupervisorFlags(intensity=100)


def hung_report(play: Play) -> Report:
    """The one report of an actor that hangs; it may come after the end."""
    (report,) = wait_for(lambda: play.kinds(ReportKind.HUNG), TIMEOUT, "the report")
    return report


def no_zombies(play: Play) -> None:
    wait_for(lambda: play.system.zombies.count() == 0, TIMEOUT, "the threads come back")


# -- where it hangs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["tell", "ask"])
def test_hung_in_a_message(play: Play, player: ActorClass, how: str) -> None:
    gate = play.stage.hold("work a")
    root = play.root(MANY, play.child("a", player, hang_limit=LIMIT))
    epoch = play.epoch("/a")
    ref = play.ref("/a")
    watcher = play.watch(ref)
    asked = ref.ask("work", block=False) if how == "ask" else None
    if asked is None:
        ref.tell("work")
    waiting = ref.ask("get", block=False)
    down = watcher.wait_down()
    assert down.reason.kind is ExitKind.KILLED
    assert down.reason.detail.startswith("it was at str for ")
    assert down.epoch == epoch
    # Neither the one in hand nor the one in the queue waits for the thread.
    for future in [asked, waiting]:
        if future is not None:
            with pytest.raises(ActorDeadError):
                future.get(timeout=TIMEOUT)
    report = hung_report(play)
    assert report.path == "/a"
    assert report.detail.startswith("str for ")
    assert "in come" in report.stack
    assert "in on_receive" in report.stack
    replacement = play.restarted("/a", epoch)
    assert replacement.actor_ref.ask("get", timeout=TIMEOUT) == "got"
    assert play.system.zombies.count("/a") == play.system.zombies.count() == 1
    gate.set()
    no_zombies(play)
    # What it returns changes nothing any more.
    assert watcher.downs == [down]
    assert play.epoch("/a") == replacement.epoch
    assert "stop a" not in play.stage.log
    play.shut_down(root)


def test_hung_in_on_start(play: Play, player: ActorClass) -> None:
    root = play.root(MANY, play.child("a", player, hang_limit=LIMIT))
    epoch = play.epoch("/a")
    gate = play.stage.hold("start a")
    play.end("/a")
    report = hung_report(play)
    assert report.detail.startswith("on_start for ")
    assert "in on_start" in report.stack
    gate.set()
    play.restarted("/a", epoch + 1)
    no_zombies(play)
    play.settled(root, a=ChildState.RUNNING)
    play.shut_down(root)


def test_hung_in_on_stop(play: Play, player: ActorClass) -> None:
    gate = play.stage.hold("stop a")
    root = play.root(MANY, play.child("a", player, hang_limit=LIMIT))
    epoch = play.epoch("/a")
    ref = play.ref("/a")
    watcher = play.watch(ref)
    stopped = ref.stop(block=False)
    assert watcher.wait_down().reason.kind is ExitKind.KILLED
    # Whoever has asked for the stop has it.
    assert stopped.get(timeout=TIMEOUT) is True
    report = hung_report(play)
    assert report.detail.startswith("on_stop for ")
    assert "in on_stop" in report.stack
    play.restarted("/a", epoch)
    assert play.system.zombies.count("/a") == 1
    gate.set()
    no_zombies(play)
    play.shut_down(root)


def test_hung_light_actors_hold_no_other_up(play: Play) -> None:
    """More than there are workers."""
    children = [play.child(str(number), LightPlayer, hang_limit=LIMIT) for number in range(6)]
    gates = [play.stage.hold(f"work {number}") for number in range(6)]
    root = play.root(MANY, *children)
    epochs = [play.epoch(f"/{number}") for number in range(6)]
    for number in range(6):
        play.ref(f"/{number}").tell("work")
    for number in range(6):
        assert play.restarted(f"/{number}", epochs[number]).actor_ref.ask("get", timeout=TIMEOUT) == "got"
    for gate in gates:
        gate.set()
    no_zombies(play)
    play.shut_down(root)


# -- late results --------------------------------------------------------------------------------------------------


class Late(Actor):
    """Comes back after its end, and does all that an actor may do."""

    def __init__(self, gate: threading.Event, done: threading.Event) -> None:
        super().__init__()
        self.gate = gate
        self.done = done
        self.sent: bool | None = None

    def on_receive(self, message: Any) -> Any:
        if message != "hang":
            return message
        self.timers.every("before", 0.01, "tick")
        self.gate.wait(TIMEOUT)
        self.timers.once("after", 0.0, "tick")
        self.timers.every("before", 0.01, "tick")
        self.tell_self("more")
        self.sent = self.tell_path("/other", "late")
        self.acknowledge_start()
        self.request_shutdown()
        self.done.set()
        return "late"


class LightLate(Late, LightActor):
    pass


class PinnedLate(Late, PinnedActor):
    pass


@pytest.mark.parametrize("kind", [LightLate, PinnedLate])
def test_late_results_reach_nobody(play: Play, kind: type[Late]) -> None:
    gate, done = threading.Event(), threading.Event()
    other = play.start(LightPlayer, "/other")
    assert other.ask("get", timeout=TIMEOUT) == "got"
    readies = len(play.parent.readies)
    with birth(play.system, "/a", play.parent, LIMIT):
        actor = living(kind.start(gate, done))
    assert isinstance(actor, Late)
    assert actor.actor_ref.ask("before", timeout=TIMEOUT) == "before"
    future = actor.actor_ref.ask("hang", block=False)
    with pytest.raises(ActorDeadError):
        future.get(timeout=TIMEOUT)
    play.parent.wait_down()
    letters = play.system.dead_letters
    assert actor.fenced
    gate.set()
    assert done.wait(TIMEOUT)
    no_zombies(play)
    assert actor.sent is False
    with pytest.raises(ActorDeadError):
        future.get(timeout=TIMEOUT)
    assert other.ask("get", timeout=TIMEOUT) == "got"
    assert not any("late" in step for step in play.stage.log)
    # Of its timers, none is set; what it has told itself is a dead letter.
    assert len(play.system.wheel) == 0
    assert play.system.dead_letters == letters + 1
    assert actor.exit_reason is not None
    assert actor.vitals.state.value == "dead"
    assert len(play.parent.downs) == 1
    assert len(play.parent.readies) == readies + 1


# -- zombies -------------------------------------------------------------------------------------------------------


def test_a_supervisor_gives_up_on_one_that_leaves_too_many_threads_behind(play: Play) -> None:
    gate = play.stage.hold("work a")
    root = play.root(MANY, play.child("a", PinnedPlayer, hang_limit=LIMIT, max_zombies=2))
    for _ in range(2):
        epoch = play.epoch("/a")
        play.ref("/a").tell("work")
        play.restarted("/a", epoch)
    assert play.system.zombies.count("/a") == 2
    play.ref("/a").tell("work")
    assert root.wait_ended(TIMEOUT)
    assert play.system.paths() == []
    assert play.system.zombies.count("/a") == 3
    (report,) = play.kinds(ReportKind.SHUTDOWN)
    assert report.child == "a"
    gate.set()
    no_zombies(play)


def test_threads_that_have_come_back_do_not_count(play: Play) -> None:
    root = play.root(MANY, play.child("a", PinnedPlayer, hang_limit=LIMIT, max_zombies=0))
    for _ in range(2):
        # None is left behind for long enough to matter: it ends by itself.
        epoch = play.epoch("/a")
        play.end("/a", "kill")
        play.restarted("/a", epoch)
        no_zombies(play)
    play.shut_down(root)


def test_too_many_zombies_of_a_system() -> None:
    play = Play()
    play.system.stop()
    play.system = System(play.reports.append, max_zombies=1)
    called: list[int] = []
    play.system.on_zombies = lambda: called.append(play.system.zombies.count())
    try:
        for number in range(2):
            play.stage.hold(f"work {number}")
            with birth(play.system, f"/{number}", play.parent, LIMIT if number else None):
                ref: ActorRef[Any] = PinnedPlayer.start(play.stage)
            ref.tell("work")
            play.stage.wait_reached(f"work {number}")
            if number == 0:
                # By whomever: a supervisor ends what does not stop in time in the same way.
                actor = living(ref)
                assert actor is not None
                actor.kill()
                assert called == []
        wait_for(lambda: called == [2], TIMEOUT, "it is called")
        play.stage.release()
        no_zombies(play)
        assert called == [2]
    finally:
        play.close()


def test_a_kill_of_one_that_is_not_at_work_leaves_no_zombie(play: Play, player: ActorClass) -> None:
    ref = play.start(player)
    assert ref.ask("get", timeout=TIMEOUT) == "got"
    actor = living(ref)
    assert actor is not None
    wait_for(lambda: actor.vitals.current is None, TIMEOUT, "it rests")
    actor.kill()
    assert play.system.zombies.count() == 0


def test_zombies_are_counted_before_anybody_hears_of_the_end(play: Play) -> None:
    play.stage.hold("work a")
    ref = play.start(PinnedPlayer)
    ref.tell("work")
    play.stage.wait_reached("work a")
    actor = living(ref)
    assert actor is not None
    counts: list[int] = []
    actor.add_monitor(lambda _down: counts.append(play.system.zombies.count("/a")))
    actor.kill()
    assert counts == [1]


def test_zombies_by_path() -> None:
    zombies = Zombies()
    zombies.add(1, "/a")
    zombies.add(2, "/a")
    zombies.add(3, "/b")
    zombies.add(3, "/b")
    assert (zombies.count(), zombies.count("/a"), zombies.count("/b"), zombies.count("/c")) == (3, 2, 1, 0)
    zombies.remove(2)
    zombies.remove(2)
    zombies.remove(4)
    assert (zombies.count(), zombies.count("/a")) == (2, 1)


# -- when ----------------------------------------------------------------------------------------------------------


class HandWheel(TimerWheel):
    """A wheel that turns when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.set: list[tuple[float, TimerHandle]] = []

    def schedule_at(self, due: float, callback: Any, *, exact: bool = False) -> TimerHandle:
        assert exact
        handle = TimerHandle(0, callback)
        self.set.append((due, handle))
        return handle


class Looks:
    """A watchdog whose clock the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: float) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.wheel = HandWheel()
        self.hung: list[float] = []
        self.actor = _Watched()
        Watchdog(self.wheel, lambda _actor, seconds, _stack: self.hung.append(seconds)).watch(self.actor, limit)  # type: ignore[arg-type] # what it looks at

    def turn(self) -> float:
        """Go on to the next look; when that is."""
        ((due, handle),) = self.wheel.set
        self.wheel.set.clear()
        self.now = due
        handle.callback()
        return due


class _Watched:
    def __init__(self) -> None:
        from supervisors import ActorState

        self.exit_reason: object = None
        self.vitals = Vitals(ActorState.RUNNING, 0.0)


def test_not_before_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch, 10.0)
    vitals = looks.actor.vitals
    assert looks.turn() == 1010.0
    # Taken up after the last look, and still at it at the next.
    vitals.current, vitals.current_since = "str", 1013.0
    assert looks.turn() == 1020.0
    assert looks.hung == []
    assert looks.turn() == 1023.0
    assert looks.hung == [10.0]
    # Once.
    assert looks.wheel.set == []


def test_one_that_is_busy_with_many_short_messages_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch, 10.0)
    vitals = looks.actor.vitals
    vitals.current, vitals.current_since = "str", looks.now + 9.0
    for _ in range(20):
        due = looks.turn()
        # At a message at each look, and always at another.
        vitals.current_since = due + 0.5
    assert looks.hung == []


def test_nothing_looks_at_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch, 10.0)
    looks.actor.exit_reason = "an end"
    looks.actor.vitals.current, looks.actor.vitals.current_since = "str", 0.0
    looks.turn()
    assert looks.hung == []
    assert looks.wheel.set == []


def test_a_busy_actor_is_left_alone(play: Play, player: ActorClass) -> None:
    """For real, for several times its limit."""
    root = play.root(MANY, play.child("a", player, hang_limit=LIMIT))
    ref, epoch = play.ref("/a"), play.epoch("/a")
    deadline = time.monotonic() + LIMIT * 6
    while time.monotonic() < deadline:
        futures: list[Future[Any]] = [ref.ask("get", block=False) for _ in range(50)]
        assert [future.get(timeout=TIMEOUT) for future in futures] == ["got"] * 50
    assert play.kinds(ReportKind.HUNG) == []
    assert play.epoch("/a") == epoch
    assert infos(root)["/a"].state == "running"
    play.shut_down(root)


def test_the_stack_of_a_thread_that_is_gone() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert stack_of(None) == ""
    with contextlib.suppress(AssertionError):
        # Its number may be another's by now.
        assert stack_of(thread.ident) == ""


def test_on_hung_is_called_instead_of_replacing() -> None:
    hung: list[tuple[Actor, float, str]] = []
    system = System(lambda _report: None, on_hung=lambda *what: hung.append(what))
    play = Play()
    play.system.stop()
    play.system = system
    try:
        play.stage.hold("work a")
        with birth(system, "/a", play.parent, LIMIT):
            ref: ActorRef[Any] = PinnedPlayer.start(play.stage)
        ref.tell("work")
        wait_for(lambda: hung, TIMEOUT, "it is called")
        ((actor, seconds, stack),) = hung
        assert actor is living(ref)
        assert seconds >= LIMIT
        assert "in come" in stack
        assert actor.exit_reason is None
        play.stage.release()
        assert ref.ask("get", timeout=TIMEOUT) == "got"
    finally:
        play.close()
