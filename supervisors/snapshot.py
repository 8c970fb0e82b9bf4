"""The tree as it stands, without asking any actor: they may hang."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from supervisors.actor import Actor, PinnedActor, living
from supervisors.child import Child
from supervisors.exits import ExitReason
from supervisors.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class ActorInfo:
    """What is known of one place in the tree. Ages and delays in seconds.

    Attributes:
        state: a `ChildState`'s value; for the root an `ActorState`'s.
        age: since when in that state.
        retry_in: until the next start, where one is planned.
        current: the type of the message in hand, and for how long it has been.
        restarts_recent: how often it was restarted within its supervisor's period.
        isolation: `shared` for a light actor, `thread` for a pinned one, `process` for one with a child process.
        pid: of its process, where it has one of its own.
    """

    path: str
    actor: str
    state: str
    age: float
    restarts: int
    last_exit: ExitReason | None
    retry_in: float | None
    mailbox: int
    handled: int
    current: str | None
    current_age: float | None
    epoch: int
    restarts_recent: int = 0
    isolation: str = "shared"
    pid: int | None = None
    children: tuple[ActorInfo, ...] = ()

    def walk(self) -> Iterator[ActorInfo]:
        """This place, and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def portable(self) -> ActorInfo:
        """The same for another process: with the reasons of exits in words only."""
        last_exit = self.last_exit.portable() if self.last_exit is not None else None
        return replace(self, last_exit=last_exit, children=tuple(child.portable() for child in self.children))


def snapshot(root: Actor) -> ActorInfo:
    """The tree below an actor. Any thread; asks nobody, and waits for nobody."""
    return _info(root.path, root, None, time.monotonic())


def _info(path: str, actor: Actor | None, child: Child | None, now: float) -> ActorInfo:
    vitals = actor.vitals if actor is not None else None
    current = vitals.current if vitals is not None else None
    retry = child.next_retry if child is not None else None
    # The root has no supervisor that knows its state.
    place = child if child is not None else vitals
    return ActorInfo(
        path=path,
        actor=child.spec.actor_class.__name__ if child is not None else type(actor).__name__,
        isolation=_isolation(actor),
        pid=actor.pid if actor is not None else None,
        restarts_recent=child.recent_restarts(now) if child is not None else 0,
        state=place.state.value if place is not None else "",
        age=now - place.since if place is not None else 0.0,
        restarts=child.restarts if child is not None else 0,
        last_exit=child.last_exit if child is not None else None,
        retry_in=None if retry is None else max(0.0, retry - now),
        mailbox=len(actor.mailbox) if actor is not None else 0,
        handled=vitals.handled if vitals is not None else 0,
        current=current,
        current_age=now - vitals.current_since if vitals is not None and current is not None else None,
        epoch=actor.epoch if actor is not None else 0,
        children=tuple(_children(actor, now)) if isinstance(actor, Supervisor) else _below(actor),
    )


def _isolation(actor: Actor | None) -> str:
    if actor is not None and actor.pid is not None:
        return "process"
    return "thread" if isinstance(actor, PinnedActor) else "shared"


def _below(actor: Actor | None) -> tuple[ActorInfo, ...]:
    return actor.below() if actor is not None else ()


def _children(supervisor: Supervisor, now: float) -> Iterator[ActorInfo]:
    # A copy at once: the supervisor's thread goes on adding and removing.
    for child_id, child in list(supervisor.children.items()):
        ref = child.ref
        actor = living(ref) if ref is not None else None
        yield _info(f"{supervisor.path.rstrip('/')}/{child_id}", actor, child, now)
