"""The turn of an actor: whatever goes wrong in it, outside of any handler, it ends that actor and nothing else."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from pykka import ActorDeadError, ActorProxy, ActorRef, Future, Timeout

from stage import TIMEOUT, ActorClass, LightPlayer, PinnedPlayer, Play, in_threads
from supervisors import Actor, ExitKind, IgnoreStart, LightActor, PinnedActor, System, living
from supervisors.birth import birth
from supervisors.dispatcher import WORKERS
from supervisors.events import Down, Ready
from waiting import wait_for


class Fault(BaseException):
    """Not an Exception."""


FAULTS = [RuntimeError("a fault"), Fault("a fault")]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_in_the_timers_ends_the_actor(
    play: Play, player: ActorClass, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def accept(_tick: object) -> bool:
        raise fault

    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    monkeypatch.setattr(actor.timers, "accept", accept)
    actor.timers.once("key", 0.0, "get")
    ended(play, ref, fault)


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_in_the_mailbox_ends_the_actor(
    play: Play, player: ActorClass, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail() -> Any:
        raise fault

    ref = play.start(player)
    assert ref.ask("get", timeout=TIMEOUT) == "got"
    actor = living(ref)
    assert actor is not None
    wait_for(lambda: not actor.mailbox._scheduled, TIMEOUT, "it rests")
    monkeypatch.setattr(actor.mailbox, "take", fail)
    asked = ref.ask("get", block=False)
    ended(play, ref, fault)
    with pytest.raises(ActorDeadError):
        asked.get(timeout=TIMEOUT)


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_in_the_parent_ends_the_actor(play: Play, player: ActorClass, fault: BaseException) -> None:
    def parent(message: Ready | Down) -> None:
        play.parent(message)
        if isinstance(message, Ready):
            raise fault

    with birth(play.system, "/a", parent):
        ref: ActorRef[Any] = player.start(play.stage)
    ended(play, ref, fault)


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_fault_at_the_end_keeps_nobody_from_hearing_of_it(
    play: Play, player: ActorClass, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail() -> None:
        raise fault

    ref = play.start(player)
    actor = living(ref)
    assert actor is not None
    monkeypatch.setattr(actor.timers, "close", fail)
    actor.kill()
    assert play.parent.wait_down().reason.kind is ExitKind.KILLED
    assert actor.mailbox.empty()
    with pytest.raises(ActorDeadError):
        ref.ask("get", timeout=TIMEOUT)


def ended(play: Play, ref: ActorRef[Any], fault: BaseException) -> None:
    """It has ended for this reason, as any does; its worker goes on."""
    down = play.parent.wait_down()
    assert down.reason.error is fault
    assert play.system.paths() == []
    assert not ref.is_alive()
    with pytest.raises(ActorDeadError):
        ref.ask("get", timeout=TIMEOUT)
    play.wait_idle("/a")
    assert sum(thread.name == "dispatcher-extra" for thread in threading.enumerate()) == play.system.dispatcher.extra
    for number in range(WORKERS + 1):
        assert play.start(LightPlayer, f"/after/{number}").ask("get", timeout=TIMEOUT) == "got"


# -- what is said of an end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [LightPlayer, PinnedPlayer])
def test_an_error_that_nobody_hears_of_is_logged(
    play: Play, kind: ActorClass, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no parent."""
    caplog.set_level(logging.DEBUG, "pykka")
    with birth(play.system, "/alone", None):
        ref: ActorRef[Any] = kind.start(play.stage)
    ref.tell("raise")
    assert ref.actor_stopped.wait(TIMEOUT)
    wait_for(lambda: f"Unhandled exception in {ref}:" in caplog.text, TIMEOUT, lambda: caplog.text)
    assert "ValueError: told to" in caplog.text


def test_an_error_that_a_supervisor_reports_is_not_logged_twice(
    play: Play, player: ActorClass, caplog: pytest.LogCaptureFixture
) -> None:
    play.start(player).tell("raise")
    play.parent.wait_down()
    assert "Unhandled exception" not in caplog.text


def test_a_start_that_is_not_wanted_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    class Unwilling(LightActor):
        def on_start(self) -> None:
            raise IgnoreStart

    system = System()
    with birth(system, "/a", None):
        ref = Unwilling.start()
    assert ref.actor_stopped.wait(TIMEOUT)
    system.stop()
    assert "Unhandled exception" not in caplog.text


# -- asks that race with an end ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("end", ["stop", "raise", "kill", "shut down"])
def test_each_ask_that_races_with_an_end_is_answered(play: Play, player: ActorClass, end: str) -> None:
    """By the actor, or with ActorDeadError; never with a timeout."""
    rounds, askers, each = 25, 3, 8
    answers: list[str] = []

    for number in range(rounds):
        ref = play.start(player, f"/{number}")

        def work(thread: int, ref: ActorRef[Any] = ref) -> None:
            if thread == askers:
                actor = living(ref)
                assert actor is not None
                if end == "kill":
                    actor.kill()
                elif end == "shut down":
                    actor.request_shutdown()
                elif end == "stop":
                    assert ref.stop(timeout=TIMEOUT)
                else:
                    ref.tell(end)
                return
            futures: list[Future[Any]] = [ref.ask("get", block=False) for _ in range(each)]
            for future in futures:
                try:
                    answers.append(future.get(timeout=TIMEOUT))
                except ActorDeadError:
                    answers.append("dead")

        in_threads(askers + 1, work)
    assert len(answers) == rounds * askers * each
    assert set(answers) <= {"got", "dead"}
    wait_for(lambda: len(play.parent.downs) == rounds, TIMEOUT, "one Down each")


# -- proxies -------------------------------------------------------------------------------------------------------


class Part:
    """Something of an actor that proxies may reach."""

    pykka_traversable = True

    def __init__(self) -> None:
        self.size = 1

    def grow(self) -> int:
        """Become larger."""
        self.size += 1
        return self.size


class Whole(Actor):
    """Has a part, and another actor."""

    def __init__(self, other: ActorProxy[Any] | None = None) -> None:
        super().__init__()
        self.part = Part()
        self.other = other

    def grow_both(self) -> int:
        """Grow, and have the other grow; both sizes together."""
        assert self.other is not None
        theirs: int = self.other.part.grow().get(timeout=TIMEOUT)
        return self.part.grow() + theirs


class LightWhole(Whole, LightActor):
    pass


class PinnedWhole(Whole, PinnedActor):
    pass


KINDS: list[type[Whole]] = [LightWhole, PinnedWhole]


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_proxies_between_actors(play: Play, first: type[Whole], second: type[Whole]) -> None:
    with birth(play.system, "/second", None):
        other = second.start()
    with birth(play.system, "/first", None):
        proxy = first.start(other.proxy()).proxy()
    assert proxy.grow_both().get(timeout=TIMEOUT) == 4
    assert proxy.part.size.get(timeout=TIMEOUT) == 2
    proxy.part.size = 10
    assert proxy.part.size.get(timeout=TIMEOUT) == 10
    other.stop(timeout=TIMEOUT)
    with pytest.raises(ActorDeadError):
        proxy.grow_both().get(timeout=TIMEOUT)
    # That was the answer to an ask, and not its end.
    assert proxy.part.size.get(timeout=TIMEOUT) == 10


def test_a_proxy_to_a_hung_actor_times_out_and_is_answered_at_its_end(play: Play) -> None:
    gate = play.stage.hold("work a")
    ref = play.start(PinnedPlayer)
    proxy = ref.proxy()
    ref.tell("work")
    play.stage.wait_reached("work a")
    name = proxy.name
    with pytest.raises(Timeout):
        name.get(timeout=0.0)
    actor = living(ref)
    assert actor is not None
    actor.kill()
    with pytest.raises(ActorDeadError):
        name.get(timeout=TIMEOUT)
    gate.set()
