"""One thread for every timer of a system."""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final

logger = logging.getLogger("supervisors")

RESOLUTION: Final = 0.005
"""Seconds. Timers that are due within one slot cost one wake-up: wake-ups are the cost, not timers."""


class TimerHandle:
    """One timer that is set. `TimerWheel.schedule` makes it; `TimerWheel.cancel` ends it."""

    __slots__ = ("callback", "slot")

    def __init__(self, slot: float, callback: Callable[[], None]) -> None:
        self.slot = slot
        self.callback = callback


class TimerWheel:
    """Timers in slots of 5 ms, and one daemon thread that sleeps until the next slot that holds any.

    At rest it does not wake. Any thread may call it; nothing here blocks for longer than a lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakeup = threading.Condition(self._lock)
        # By the time of the slot.
        self._slots: dict[float, dict[int, TimerHandle]] = {}
        self._order: list[float] = []
        self._thread: threading.Thread | None = None
        self._stopped = False

    def schedule(self, delay: float, callback: Callable[[], None]) -> TimerHandle:
        """Call `callback` once, on the wheel's thread, `delay` seconds from now or up to one slot later.

        The callback must not block, and not raise; what it raises is logged.
        """
        return self.schedule_at(time.monotonic() + delay, callback)

    def schedule_at(self, due: float, callback: Callable[[], None], *, exact: bool = False) -> TimerHandle:
        """As `schedule`, at a time of `time.monotonic()`; `exact` for a wake-up of its own, in no slot with others."""
        slot = due if exact else math.ceil(due / RESOLUTION) * RESOLUTION
        handle = TimerHandle(slot, callback)
        # The lock itself and not the condition, which wraps it: this is called for each tick of each timer.
        with self._lock:
            timers = self._slots.get(slot)
            if timers is None:
                self._slots[slot] = {id(handle): handle}
                heapq.heappush(self._order, slot)
                if self._order[0] == slot:
                    self._wakeup.notify()
            else:
                timers[id(handle)] = handle
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="timer-wheel", daemon=True)
                self._thread.start()
        return handle

    def cancel(self, handle: TimerHandle) -> None:
        """End a timer. One that has fired, or is firing now, is passed over."""
        with self._lock:
            timers = self._slots.get(handle.slot)
            if timers is not None:
                timers.pop(id(handle), None)

    def stop(self) -> None:
        """End the thread; timers that are set never fire."""
        with self._wakeup:
            self._stopped = True
            self._slots.clear()
            self._order.clear()
            self._wakeup.notify()

    def __len__(self) -> int:
        """How many timers are set."""
        with self._wakeup:
            return sum(map(len, self._slots.values()))

    def _run(self) -> None:
        while (due := self._wait_for_slot()) is not None:
            for handle in due:
                try:
                    handle.callback()
                except BaseException:
                    # One timer's fault must not end all timers of the process.
                    logger.exception("A timer's callback failed")
            # A wheel that waits must not keep the actors whose timers have fired.
            due.clear()
            del handle

    def _wait_for_slot(self) -> list[TimerHandle] | None:
        with self._wakeup:
            while not self._stopped:
                if not self._order:
                    self._wakeup.wait()
                    continue
                slot = self._order[0]
                if not self._slots[slot]:
                    # All of its timers were cancelled: nothing to wake for.
                    heapq.heappop(self._order)
                    del self._slots[slot]
                    continue
                wait = slot - time.monotonic()
                if wait > 0:
                    self._wakeup.wait(wait)
                    continue
                heapq.heappop(self._order)
                return list(self._slots.pop(slot).values())
            return None
