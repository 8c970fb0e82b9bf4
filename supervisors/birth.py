"""What an actor is given before its `__init__` runs: a system, a path, a parent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

from supervisors.events import Down, Ready
from supervisors.system import System

Notify = Callable[[Ready | Down], None]


@dataclass(frozen=True, slots=True)
class Birth:
    """What an actor is told of itself before its `__init__` runs."""

    system: System
    path: str
    epoch: int
    parent: Notify | None
    hang_limit: float | None = None


_birth: ContextVar[Birth | None] = ContextVar("birth", default=None)


def take_birth() -> Birth | None:
    """What this actor has been given. To one only: those that its own `__init__` starts are not its siblings."""
    given = _birth.get()
    _birth.set(None)
    return given


@contextlib.contextmanager
def birth(system: System, path: str, parent: Notify | None, hang_limit: float | None = None) -> Iterator[Birth]:
    """Start an actor inside of this to give it a system, a path, a parent, and a limit for each message."""
    born = Birth(system, path, system.next_epoch(), parent, hang_limit)
    token = _birth.set(born)
    try:
        yield born
    finally:
        _birth.reset(token)
