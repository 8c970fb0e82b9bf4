"""The way of messages to their actor: in order, each once, one at a time, and never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pykka import ActorDeadError, ActorRef, Future
from pykka._envelope import Envelope

from stage import TIMEOUT, LightPlayer, PinnedPlayer, Play, in_threads
from supervisors import Actor, LightActor, PinnedActor, Supervisor, SupervisorFlags, living, start_child
from supervisors.birth import birth
from supervisors.mailbox import Mailbox
from waiting import wait_for


class Collector(Actor):
    """Keeps what it is told, and notices when two threads are in it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.inside = threading.Lock()
        self.overlaps = 0

    def on_receive(self, message: Any) -> Any:
        if not self.inside.acquire(blocking=False):
            self.overlaps += 1
            return None
        try:
            self.told.append(message)
            return len(self.told)
        finally:
            self.inside.release()


class LightCollector(Collector, LightActor):
    pass


class PinnedCollector(Collector, PinnedActor):
    pass


def collector(play: Play, kind: type[Collector], path: str = "/a") -> Collector:
    with birth(play.system, path, play.parent):
        actor = living(kind.start())
    assert isinstance(actor, Collector)
    return actor


KINDS = [LightCollector, PinnedCollector]


@pytest.mark.parametrize("kind", KINDS)
def test_messages_come_in_order(play: Play, kind: type[Collector]) -> None:
    actor = collector(play, kind)
    for number in range(1000):
        actor.actor_ref.tell(number)
    assert actor.actor_ref.ask("last", timeout=TIMEOUT) == 1001
    assert actor.told == [*range(1000), "last"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("hasty")
def test_messages_of_many_threads_are_each_handled_once_and_one_at_a_time(play: Play, kind: type[Collector]) -> None:
    actor = collector(play, kind)
    senders, each = 6, 2000

    def send(sender: int) -> None:
        for number in range(each):
            actor.actor_ref.tell((sender, number))

    in_threads(senders, send)
    wait_for(lambda: len(actor.told) + actor.overlaps >= senders * each, TIMEOUT, lambda: f"only {len(actor.told)}")
    assert actor.overlaps == 0
    assert len(actor.told) == senders * each
    for sender in range(senders):
        assert [number for who, number in actor.told if who == sender] == list(range(each))
    assert play.system.dead_letters == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("hasty")
def test_no_wake_up_is_lost(play: Play, kind: type[Collector]) -> None:
    """Each message comes when the actor is about to rest after the one before."""
    actors = [collector(play, kind, f"/{number}") for number in range(3)]

    def converse(number: int) -> None:
        for count in range(1, 1001):
            assert actors[number].actor_ref.ask("ping", timeout=TIMEOUT) == count

    in_threads(3, converse)


def test_messages_before_the_first_turn_wait(play: Play) -> None:
    free = play.occupy()
    actor = collector(play, LightCollector)
    actor.actor_ref.tell(1)
    actor.actor_ref.tell(2)
    assert len(actor.mailbox) == 2
    assert not actor.mailbox.empty()
    free.set()
    assert actor.actor_ref.ask(3, timeout=TIMEOUT) == 3
    assert len(actor.mailbox) == 0
    assert actor.mailbox.empty()


@pytest.mark.parametrize("end", ["kill", "raise", "stop", "shut down"])
def test_what_finds_nobody_is_a_dead_letter(play: Play, end: str) -> None:
    gate = play.stage.hold("work a")
    ref = play.start(PinnedPlayer)
    mailbox = ref.actor_inbox
    ref.tell("work")
    play.stage.wait_reached("work a")
    actor = living(ref)
    assert actor is not None
    if end in {"raise", "stop"}:
        ref.tell(end)
    # A stop by itself comes behind the three: they are handled before.
    expected = 0 if end == "stop" else 3
    for _ in range(3):
        ref.tell("left")
    asked = ref.ask("left", block=False)
    if end == "kill":
        actor.kill()
    elif end == "shut down":
        actor.request_shutdown()
    gate.set()
    play.parent.wait_down()
    if expected:
        with pytest.raises(ActorDeadError):
            asked.get(timeout=TIMEOUT)
    assert play.system.dead_letters == expected
    # A closed mailbox takes nothing, whichever way it comes.
    assert mailbox.empty()
    assert not play.system.tell("/a", "nobody")
    assert play.system.dead_letters == expected + 1


def test_a_letter_that_is_put_while_the_actor_ends_is_handled_or_dead(play: Play) -> None:
    for number in range(100):
        before = play.system.dead_letters
        actor = collector(play, LightCollector, f"/{number}")
        sent: list[int] = []

        def work(thread: int, actor: Collector = actor, sent: list[int] = sent) -> None:
            if thread == 0:
                actor.kill()
                return
            for count in range(20):
                try:
                    actor.actor_ref.tell(count)
                except ActorDeadError:
                    return
                sent.append(count)

        in_threads(3, work)
        play.occupy().set()
        assert len(actor.told) + play.system.dead_letters - before == len(sent)


class _Ambush(Mailbox):
    """Kills its actor between the taking of a message and its handling."""

    victim: Actor | None = None

    def take(self) -> Envelope[Any] | None:
        envelope = super().take()
        if envelope is not None and self.victim is not None:
            self.victim.kill()
        return envelope


class _AmbushedPlayer(LightPlayer):
    @staticmethod
    def _create_actor_inbox() -> Any:
        return _Ambush()


class _AmbushedSupervisor(Supervisor):
    @staticmethod
    def _create_actor_inbox() -> Any:
        return _Ambush()


def ambush(ref: ActorRef[Any]) -> None:
    mailbox = ref.actor_inbox
    assert isinstance(mailbox, _Ambush)
    mailbox.victim = living(ref)


def test_a_message_that_is_just_taken_when_its_actor_is_killed_is_answered_and_not_handled(play: Play) -> None:
    """The killer finds it neither in the mailbox nor in hand."""
    sends: list[Callable[[ActorRef[Any]], Any]] = [
        lambda ref: ref.ask("work", block=False),
        lambda ref: ref.stop(block=False),
        lambda ref: ref.tell("work"),
    ]
    for number, send in enumerate(sends):
        ref = play.start(_AmbushedPlayer, f"/{number}")
        ambush(ref)
        future = send(ref)
        play.watch(ref).wait_down()
        play.occupy().set()
        if number == 0:
            with pytest.raises(ActorDeadError):
                future.get(timeout=TIMEOUT)
        elif number == 1:
            assert future.get(timeout=TIMEOUT) is True
    assert play.stage.log == [f"{step} {number}" for number in range(3) for step in ("init", "start")]
    assert play.system.dead_letters == 1


def test_a_request_that_is_just_taken_when_its_supervisor_is_killed_is_answered(play: Play) -> None:
    futures: list[Future[Any]] = []
    for number in range(2):
        with birth(play.system, f"/{number}", None):
            ref: ActorRef[Any] = _AmbushedSupervisor.start(SupervisorFlags())
        ambush(ref)
        futures.append(start_child(ref, play.child("a")) if number else ref.stop(block=False))
    assert futures[0].get(timeout=TIMEOUT) is True
    with pytest.raises(ActorDeadError):
        futures[1].get(timeout=TIMEOUT)
    play.occupy().set()
    assert play.stage.log == []


def test_ticks_of_an_actor_that_ends_are_no_letters(play: Play) -> None:
    ref = play.start(LightPlayer)
    actor = living(ref)
    assert actor is not None
    actor.timers.every("tick", 3600, "tick")
    play.end("/a", "stop")
    assert len(play.system.wheel) == 0
    assert play.system.dead_letters == 0
