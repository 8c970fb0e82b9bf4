"""What is known of an actor without asking it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum


class ActorState(Enum):
    """Where an incarnation of an actor is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    DEAD = "dead"


@dataclass(slots=True)
class Vitals:
    """What is known of an actor without asking it. Written by its own thread; any thread may read.

    Attributes:
        since: when it came to its state, in `time.monotonic()`.
        handled: messages handled.
        current: the type of the message in hand; None between two.
        current_since: when it was taken up, in `time.monotonic()`.
        thread: the identity of the thread that handles it.
    """

    state: ActorState
    since: float
    handled: int = 0
    current: str | None = None
    current_since: float = 0.0
    thread: int | None = None


class StopFlag(threading.Event):
    """An event that makes what it needs for waiting only when somebody waits."""

    def __init__(self) -> None:
        # Without the base's, which makes it at once.
        self._is_set = False
        self._event: threading.Event | None = None

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, for good: an actor stops once."""
        self._is_set = True
        with _waiting:
            if self._event is not None:
                self._event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it is. Blocks."""
        with _waiting:
            if self._is_set:
                return True
            if self._event is None:
                self._event = threading.Event()
            event = self._event
        return event.wait(timeout)


# One for all: it is held for a moment at the end of an actor.
_waiting = threading.Lock()
