"""What a supervisor is doing, written as if it might wait.

An operation is a generator that yields what it waits for, so that it reads like OTP's code, which may block, and runs
between the messages of a light actor, which may not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass

from supervisors.timers import Timers

Condition = Callable[[], bool]
Operation = Generator[Condition, None, None]
"""What is being done; it yields what it waits for."""


@dataclass(frozen=True, slots=True)
class Poke:
    """Only there to have the condition of a lane looked at again."""

    lane: str


class _Lane:
    """The operations that wait for each other."""

    __slots__ = ("condition", "running", "waiting")

    def __init__(self) -> None:
        self.running: Operation | None = None
        self.condition: Condition | None = None
        self.waiting: deque[Operation] = deque()


class Operations:
    """Runs the operations of one actor, in lanes: one at a time in each. Only the actor's own turn calls it.

    Args:
        timers: those of the actor, which hands a `Poke` that comes from them to `touch`.
        is_over: whether the actor has ended: nothing is done any more.
    """

    def __init__(self, timers: Timers, is_over: Callable[[], bool]) -> None:
        self._timers = timers
        self._is_over = is_over
        self._lanes: dict[str, _Lane] = {}
        self._touched: deque[str] = deque()
        self._at_work: Operation | None = None
        self._lane_at_work = ""

    def add(self, operation: Operation, lane: str) -> None:
        """Have an operation run, after those of its lane."""
        self._lanes.setdefault(lane, _Lane()).waiting.append(operation)
        self._touched.append(lane)

    def touch(self, lane: str) -> None:
        """Have the operation go on that may wait for what has happened."""
        self._touched.append(lane)

    def advance(self) -> None:
        """Go on with the operations that something has happened to: looking at all would be slow with thousands."""
        while self._touched:
            key = self._touched.popleft()
            lane = self._lanes.get(key)
            if lane is None:
                continue
            self._lane_at_work = key
            while self._step(lane):
                pass
            if lane.running is None and not lane.waiting and self._lanes.get(key) is lane:
                del self._lanes[key]

    def wait(self, condition: Condition, seconds: float | None) -> Operation:
        """For an operation: wait until the condition holds, or for so long."""
        if condition():
            return
        if seconds is None:
            yield condition
            return
        due = time.monotonic() + seconds
        deadline = object()
        self._timers.once(deadline, seconds, Poke(self._lane_at_work))
        yield lambda: condition() or time.monotonic() >= due
        self._timers.cancel(deadline)

    def drop(self) -> None:
        """Forget all operations, but the one that calls it, which returns by itself."""
        for lane in self._lanes.values():
            for operation in (lane.running, *lane.waiting):
                if operation is not None and operation is not self._at_work:
                    operation.close()
        self._lanes.clear()

    def _step(self, lane: _Lane) -> bool:
        """Go on with a lane; whether it is worth trying again."""
        if lane.running is None:
            if not lane.waiting:
                return False
            lane.running = lane.waiting.popleft()
        elif lane.condition is not None and not lane.condition():
            return False
        self._at_work = lane.running
        lane.condition = next(lane.running, None)
        self._at_work = None
        if lane.condition is None:
            lane.running = None
        return not self._is_over()
