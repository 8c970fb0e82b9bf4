"""Mailboxes that take only so many messages."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pykka import ActorRef, Future

from stage import TIMEOUT, Play, in_threads
from supervisors import Actor, Down, LightActor, MailboxFullError, Overflow, PinnedActor, Ready, living
from supervisors.birth import birth
from supervisors.exits import NORMAL
from waiting import wait_for

LIMIT = 5


class Bounded(Actor):
    """Keeps what it is told; waits at an event."""

    mailbox_limit = LIMIT

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Any] = []
        self.reached = threading.Event()
        self.free = threading.Event()

    def on_receive(self, message: Any) -> Any:
        self.told.append(message)
        if message == "wait":
            self.reached.set()
            self.free.wait(TIMEOUT * 2)
        return message


class LightNewest(Bounded, LightActor):
    pass


class PinnedNewest(Bounded, PinnedActor):
    pass


class LightOldest(Bounded, LightActor):
    mailbox_overflow = Overflow.DROP_OLDEST


class PinnedOldest(Bounded, PinnedActor):
    mailbox_overflow = Overflow.DROP_OLDEST


NEWEST: list[type[Bounded]] = [LightNewest, PinnedNewest]
OLDEST: list[type[Bounded]] = [LightOldest, PinnedOldest]


def waiting(play: Play, kind: type[Bounded], path: str = "/a") -> Bounded:
    """An actor at a message that it does not come back from by itself."""
    with birth(play.system, path, play.parent):
        actor = living(kind.start())
    assert isinstance(actor, Bounded)
    actor.actor_ref.tell("wait")
    assert actor.reached.wait(TIMEOUT)
    return actor


def set_free(actor: Bounded) -> list[Any]:
    """What it has been told, when it has handled all."""
    actor.free.set()
    wait_for(lambda: not len(actor.mailbox) and actor.vitals.current is None, TIMEOUT, "all is handled")
    return actor.told[1:]


def assert_full(future: Future[Any]) -> None:
    with pytest.raises(MailboxFullError):
        future.get(timeout=TIMEOUT)


@pytest.mark.parametrize("kind", NEWEST)
def test_the_newest_finds_no_room(play: Play, kind: type[Bounded]) -> None:
    actor = waiting(play, kind)
    for number in range(LIMIT + 3):
        actor.actor_ref.tell(number)
    assert len(actor.mailbox) == LIMIT
    assert actor.mailbox.dropped == 3
    assert set_free(actor) == list(range(LIMIT))
    # There is room again.
    assert actor.actor_ref.ask("later", timeout=TIMEOUT) == "later"
    assert actor.mailbox.dropped == 3


@pytest.mark.parametrize("kind", OLDEST)
def test_the_oldest_makes_room(play: Play, kind: type[Bounded]) -> None:
    actor = waiting(play, kind)
    for number in range(LIMIT + 3):
        actor.actor_ref.tell(number)
    assert len(actor.mailbox) == LIMIT
    assert actor.mailbox.dropped == 3
    assert set_free(actor) == list(range(3, LIMIT + 3))


@pytest.mark.parametrize("kind", NEWEST)
def test_an_ask_that_finds_no_room_has_the_error_at_once(play: Play, kind: type[Bounded]) -> None:
    actor = waiting(play, kind)
    asked = [actor.actor_ref.ask(number, block=False) for number in range(LIMIT + 2)]
    # Before anything is handled.
    for future in asked[LIMIT:]:
        assert_full(future)
    with pytest.raises(MailboxFullError):
        actor.actor_ref.ask("one more", timeout=TIMEOUT)
    with pytest.raises(MailboxFullError):
        actor.actor_ref.proxy().told.get(timeout=TIMEOUT)
    assert actor.mailbox.dropped == 4
    set_free(actor)
    assert [future.get(timeout=TIMEOUT) for future in asked[:LIMIT]] == list(range(LIMIT))


@pytest.mark.parametrize("kind", OLDEST)
def test_an_ask_that_has_to_make_room_has_the_error(play: Play, kind: type[Bounded]) -> None:
    actor = waiting(play, kind)
    asked = [actor.actor_ref.ask(number, block=False) for number in range(LIMIT + 2)]
    for future in asked[:2]:
        assert_full(future)
    set_free(actor)
    assert [future.get(timeout=TIMEOUT) for future in asked[2:]] == list(range(2, LIMIT + 2))


@pytest.mark.parametrize("kind", NEWEST + OLDEST)
def test_what_the_actor_needs_is_always_taken_and_never_has_to_go(play: Play, kind: type[Bounded]) -> None:
    actor = waiting(play, kind)
    for number in range(LIMIT):
        actor.actor_ref.tell(number)
    other: ActorRef[Any] = LightNewest.start()
    needed = [Ready(other, 1), Down(other, "/other", 1, NORMAL)]
    for message in needed:
        actor.tell_self(message)
    actor.timers.once("key", 0.0, "tick")
    wait_for(lambda: len(actor.mailbox) == LIMIT + 3, TIMEOUT, "the tick")
    stopped = actor.actor_ref.stop(block=False)
    assert len(actor.mailbox) == LIMIT + 4
    assert actor.mailbox.dropped == 0
    for number in range(LIMIT + 2):
        actor.actor_ref.tell(("more", number))
    assert actor.mailbox.dropped == LIMIT + 2
    actor.free.set()
    assert stopped.get(timeout=TIMEOUT) is True
    assert play.parent.wait_down().reason == NORMAL
    if kind in NEWEST:
        assert actor.told == ["wait", *range(LIMIT), *needed, "tick"]
    else:
        assert actor.told == ["wait", *needed, "tick"]
    other.stop(timeout=TIMEOUT)


@pytest.mark.parametrize("kind", NEWEST + OLDEST)
def test_a_full_actor_can_be_shut_down_and_killed(play: Play, kind: type[Bounded]) -> None:
    for end in (Actor.request_shutdown, Actor.kill):
        actor = waiting(play, kind, f"/{end.__name__}")
        for number in range(LIMIT * 2):
            actor.actor_ref.tell(number)
        watcher = play.watch(actor.actor_ref)
        end(actor)
        actor.free.set()
        watcher.wait_down()
        assert actor.told == ["wait"]
    # Only what was taken, and then found nobody: what found no room is counted elsewhere.
    assert play.system.dead_letters == LIMIT * 2


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", NEWEST + OLDEST)
def test_each_message_of_many_threads_is_handled_or_counted(play: Play, kind: type[Bounded]) -> None:
    with birth(play.system, "/a", play.parent):
        actor = living(kind.start())
    assert isinstance(actor, Bounded)
    senders, each = 4, 500
    futures: list[Future[Any]] = []

    def send(sender: int) -> None:
        for number in range(each):
            if sender % 2:
                futures.append(actor.actor_ref.ask((sender, number), block=False))
            else:
                actor.actor_ref.tell((sender, number))

    in_threads(senders, send)
    set_free(actor)
    full = 0
    for future in futures:
        try:
            future.get(timeout=TIMEOUT)
        except MailboxFullError:
            full += 1
    assert len(actor.told) + actor.mailbox.dropped == senders * each
    assert full <= actor.mailbox.dropped
    assert len(set(actor.told)) == len(actor.told)
