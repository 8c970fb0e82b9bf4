"""What the runtime does for a device while it runs: pushes, poll delays, timers; and a stand-in for tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol


class Runtime(Protocol):
    """What the runtime does for the devices of one bus. A device uses it by its own methods.

    Attributes:
        read_timeout: seconds after which a call of the driver is taken for hung, and its bus is replaced.
    """

    read_timeout: float

    def changed(self, node: str, uuid: str) -> None:
        """Have a value read and published at once. Any thread; never blocks."""

    def poll_every(self, node: str, uuid: str, delay: float | None) -> None:
        """Have a value polled with this delay; None: as it is configured. On the bus's thread."""

    def after(self, key: Hashable, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called once on the bus's thread. On the bus's thread."""

    def every(self, key: Hashable, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called again and again on the bus's thread. On the bus's thread."""

    def cancel(self, key: Hashable) -> None:
        """End a timer; nothing where there is none. On the bus's thread."""

    def keep(self, node: str, options: Mapping[str, str]) -> None:
        """Have options in the file, and the bus restarted with them. On the bus's thread; blocks for the disk."""


@dataclass(slots=True)
class _Timer:
    due: float
    period: float | None
    call: Callable[[], None]


class ManualRuntime:
    """A runtime for the test of a driver: `device.runtime = ManualRuntime()`. Its time passes when the test says so.

    Attributes:
        changes: what `changed` was told: the node and the value.
        delays: the values that are polled otherwise than configured, by node and value.
        kept: the options that were to be kept in the file, by node.
        now: seconds since it was made.
    """

    read_timeout: float = math.inf

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.delays: dict[tuple[str, str], float] = {}
        self.kept: dict[str, dict[str, str]] = {}
        self.now = 0.0
        self._timers: dict[Hashable, _Timer] = {}

    def changed(self, node: str, uuid: str) -> None:
        """Note it."""
        self.changes.append((node, uuid))

    def poll_every(self, node: str, uuid: str, delay: float | None) -> None:
        """Note it."""
        if delay is None:
            self.delays.pop((node, uuid), None)
        else:
            self.delays[node, uuid] = delay

    def after(self, key: Hashable, seconds: float, call: Callable[[], None]) -> None:
        """Set a timer."""
        self._timers[key] = _Timer(self.now + seconds, None, call)

    def every(self, key: Hashable, seconds: float, call: Callable[[], None]) -> None:
        """Set a timer."""
        self._timers[key] = _Timer(self.now + seconds, seconds, call)

    def cancel(self, key: Hashable) -> None:
        """End a timer."""
        self._timers.pop(key, None)

    def keep(self, node: str, options: Mapping[str, str]) -> None:
        """Note it."""
        self.kept.setdefault(node, {}).update(options)

    def advance(self, seconds: float) -> None:
        """Let time pass: call what is due, in order."""
        end = self.now + seconds
        while due := min((each for each in self._timers.items() if each[1].due <= end), key=_when, default=None):
            key, timer = due
            self.now = timer.due
            if timer.period is None:
                del self._timers[key]
            else:
                timer.due += timer.period
            timer.call()
        self.now = end


def _when(each: tuple[Hashable, _Timer]) -> float:
    return each[1].due
