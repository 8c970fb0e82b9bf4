"""What the runtime does for a device while it runs: pushes, poll delays, timers; and a stand-in for tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Product:
    """What a device tells of itself, for people; empty where it does not."""

    name: str = ""
    type: str = ""
    manufacturer: str = ""


class Runtime(Protocol):
    """What the runtime does for the devices of one bus. A device uses it by its own methods.

    Attributes:
        read_timeout: seconds after which a call of the driver is taken for hung, and its bus is replaced.
    """

    read_timeout: float

    def changed(self, node: str, uuid: str) -> None:
        """Have a value read and published at once. Any thread; never blocks."""

    def soon(self, key: str, call: Callable[[], None]) -> None:
        """Have `call` called on the bus's thread, once for all that is said until then. Any thread; never blocks."""

    def poll_every(self, node: str, uuid: str, delay: float | None) -> None:
        """Have a value polled with this delay; None: as it is configured. On the bus's thread."""

    def identified(self, node: str, product: Product) -> None:
        """Have a node say on the network what its device is. On the bus's thread."""

    def after(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called once on the bus's thread. On the bus's thread."""

    def every(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called again and again on the bus's thread. On the bus's thread."""

    def cancel(self, key: str) -> None:
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
        products: what devices have told of themselves, by node.
        kept: the options that were to be kept in the file, by node.
        now: seconds since it was made.
    """

    read_timeout: float = math.inf

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.delays: dict[tuple[str, str], float] = {}
        self.products: dict[str, Product] = {}
        self.kept: dict[str, dict[str, str]] = {}
        self.now = 0.0
        self._timers: dict[str, _Timer] = {}
        self._soon: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def changed(self, node: str, uuid: str) -> None:
        """Note it."""
        self.changes.append((node, uuid))

    def soon(self, key: str, call: Callable[[], None]) -> None:  # noqa: ARG002 - each is called
        """Have it called when time next passes, be it none."""
        self._soon.put(call)

    def poll_every(self, node: str, uuid: str, delay: float | None) -> None:
        """Note it."""
        if delay is None:
            self.delays.pop((node, uuid), None)
        else:
            self.delays[node, uuid] = delay

    def identified(self, node: str, product: Product) -> None:
        """Note it."""
        self.products[node] = product

    def after(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Set a timer."""
        self._timers[key] = _Timer(self.now + seconds, None, call)

    def every(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Set a timer."""
        self._timers[key] = _Timer(self.now + seconds, seconds, call)

    def cancel(self, key: str) -> None:
        """End a timer."""
        self._timers.pop(key, None)

    def keep(self, node: str, options: Mapping[str, str]) -> None:
        """Note it."""
        self.kept.setdefault(node, {}).update(options)

    def advance(self, seconds: float) -> None:
        """Let time pass: call what is due, in order."""
        while not self._soon.empty():
            self._soon.get()()
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


def _when(each: tuple[str, _Timer]) -> float:
    return each[1].due
