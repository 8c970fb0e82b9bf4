"""Notices actors that do not come back from a message, and ends them."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import ref

if TYPE_CHECKING:
    from supervisors.actor import Actor
    from supervisors.wheel import TimerWheel

OnHung = Callable[["Actor", float, str], None]


class Watchdog:
    """Looks at actors from outside, by timers: it costs nothing per message, and one wake-up per limit at rest.

    Any thread may call it.

    Args:
        wheel: its timers.
        on_hung: called, on the wheel's thread, with an actor that has been at one message for longer than its limit,
            for how many seconds, and the stack of its thread.
    """

    def __init__(self, wheel: TimerWheel, on_hung: OnHung) -> None:
        self._wheel = wheel
        self._on_hung = on_hung

    def watch(self, actor: Actor, limit: float) -> None:
        """Watch an actor until it ends. `limit` in seconds, for its `on_start`, each message, and its `on_stop`."""
        self._look_later(ref(actor), limit, limit)

    def _look_later(self, watched: ref[Actor], limit: float, delay: float) -> None:
        self._wheel.schedule_at(time.monotonic() + delay, lambda: self._look(watched, limit), exact=True)

    def _look(self, watched: ref[Actor], limit: float) -> None:
        actor = watched()
        if actor is None or actor.exit_reason is not None:
            return
        vitals = actor.vitals
        # Read once, and in this order: the actor's thread goes on meanwhile.
        since, current = vitals.current_since, vitals.current
        busy = time.monotonic() - since if current is not None else 0.0
        if busy < limit:
            # What it is at now is over its limit then, and nothing that it takes up later is.
            self._look_later(watched, limit, limit - busy)
        elif vitals.current_since == since:
            self._on_hung(actor, busy, stack_of(vitals.thread))
        else:
            self._look_later(watched, limit, limit)


class Zombies:
    """The threads that their actors have left behind: they hang in a call that cannot be ended. Any thread."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}
        self._lock = threading.Lock()

    def add(self, epoch: int, path: str) -> None:
        """Count the thread of an incarnation that has been killed at work."""
        with self._lock:
            self._paths[epoch] = path

    def remove(self, epoch: int) -> None:
        """It has come back after all; nothing where it was not counted."""
        with self._lock:
            self._paths.pop(epoch, None)

    def count(self, path: str | None = None) -> int:
        """How many there are, of one path or altogether."""
        with self._lock:
            return len(self._paths) if path is None else sum(each == path for each in self._paths.values())


def stack_of(thread: int | None) -> str:
    """Where a thread is just now, as a traceback; empty where it has ended."""
    frame = sys._current_frames().get(thread) if thread is not None else None
    return "".join(traceback.format_stack(frame)) if frame is not None else ""
