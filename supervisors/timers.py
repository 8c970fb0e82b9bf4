"""The timers of one actor: messages to itself, which die with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

from supervisors.wheel import RESOLUTION, TimerHandle, TimerWheel


@dataclass(slots=True)
class _Timer:
    message: Any
    due: float
    period: float | None
    handle: TimerHandle | None = None


@dataclass(slots=True)
class Tick:
    """A timer that has fired, in the mailbox of its actor."""

    key: Hashable
    timer: _Timer


class Timers:
    """Timers by key. Setting a key again replaces its timer, a tick of it that waits in the mailbox included.

    Only the actor's own turn calls it. A periodic timer keeps its phase: it is set again when its tick is handled,
    for the next multiple of the period, so that a late tick is one tick and not a burst.
    """

    def __init__(self, wheel: TimerWheel, put: Callable[[Tick], None]) -> None:
        self._wheel = wheel
        self._put = put
        self._timers: dict[Hashable, _Timer] = {}
        self._closed = False

    def once(self, key: Hashable, delay: float, message: Any) -> None:
        """Have `message` handled `delay` seconds from now."""
        self._set(key, _Timer(message, time.monotonic() + delay, None))

    def every(self, key: Hashable, period: float, message: Any, *, first: float | None = None) -> None:
        """Have `message` handled every `period` seconds, the first time after `first` (a period where not given).

        A period shorter than a slot of the wheel is one slot.
        """
        if period <= 0:
            raise ValueError(f"period = {period}: expected more than 0 seconds")
        delay = period if first is None else first
        self._set(key, _Timer(message, time.monotonic() + delay, max(period, RESOLUTION)))

    def cancel(self, key: Hashable) -> None:
        """End a timer; nothing where there is none."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            # They hold each other.
            handle, timer.handle = timer.handle, None
            if handle is not None:
                self._wheel.cancel(handle)

    def due(self, key: Hashable) -> float | None:
        """When a timer fires next, in `time.monotonic()`; None where it is not set."""
        timer = self._timers.get(key)
        return None if timer is None else timer.due

    def accept(self, tick: Tick) -> bool:
        """Whether a tick from the mailbox still counts; sets a periodic timer again."""
        timer = self._timers.get(tick.key)
        if timer is not tick.timer:
            return False
        if timer.period is None:
            # Gone already where the actor is being fenced off.
            self._timers.pop(tick.key, None)
            timer.handle = None
        else:
            timer.due += timer.period
            late = time.monotonic() - timer.due
            if late >= 0:
                timer.due += (int(late / timer.period) + 1) * timer.period
            self._arm(tick.key, timer)
        return True

    def close(self) -> None:
        """End all timers for good. Any thread."""
        self._closed = True
        # A copy: the actor's own thread may be at work on the dictionary when it is fenced off.
        for key in list(self._timers):
            self.cancel(key)

    def _set(self, key: Hashable, timer: _Timer) -> None:
        if self._closed:
            return
        self.cancel(key)
        self._timers[key] = timer
        self._arm(key, timer)

    def _arm(self, key: Hashable, timer: _Timer) -> None:
        last = timer.handle
        # What a periodic timer has called before, it calls again.
        fire = partial(self._put, Tick(key, timer)) if last is None else last.callback
        handle = timer.handle = self._wheel.schedule_at(timer.due, fire)
        if self._closed:
            # Closed by another thread meanwhile, which may not have seen this handle.
            self._wheel.cancel(handle)
