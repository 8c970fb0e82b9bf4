"""The buses of a server that have their addresses from a primary, for whoever asks it (`leasing.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from janitoo_actors.configuration.model import BusConfig
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.runtime.running import RunningConfig


class Addresses:
    """What is known of the leased buses of a server; outlives the actor that keeps it. Any thread.

    Args:
        running: the configuration that is in force, and writes what changes.
        apply: has a bus, by its section, run at addresses, by key. Must not block.
        follow: called when the configuration has changed: the keeper is to look at it.
    """

    def __init__(
        self,
        running: RunningConfig,
        apply: Callable[[str, Mapping[str, Hadd]], None],
        follow: Callable[[], None],
    ) -> None:
        self._running = running
        self.apply = apply
        self.follow = follow

    @property
    def buses(self) -> dict[str, BusConfig]:
        """The buses by section, with the addresses that they have by now."""
        return self._running.leased

    @property
    def waiting(self) -> tuple[str, ...]:
        """The sections of the buses that wait for an address."""
        return self._running.waiting

    @property
    def foreign(self) -> frozenset[int]:
        """The numbers of the server's other controllers."""
        return frozenset(bus.node.hadd.controller for bus in self._running.current.buses if not bus.leased)

    def store(self, section: str, options: Mapping[str, str]) -> None:
        """Keep options of a section in the file. Blocks for the disk; raises JanitooError where it cannot."""
        self._running.set(section, options)


@dataclass(frozen=True, slots=True)
class Follow:
    """The configuration has changed: look which buses there are."""
