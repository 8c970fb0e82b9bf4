"""The configuration of a running server, as it is now: that of the file, with what was written over the air since."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from janitoo_actors.configuration.changes import with_options
from janitoo_actors.configuration.model import BusConfig, NodeConfig, ServerConfig
from janitoo_actors.runtime.wishes import WishList


class Keeper(Protocol):
    """What writes the file."""

    def set(self, section: str, options: Mapping[str, str]) -> None:
        """Keep options of a section, for good when it returns. Blocks. Raises what says why not."""


@dataclass(frozen=True, slots=True)
class _Written:
    """Options that were written over the air; `held` where they wait for a restart of their bus."""

    section: str
    options: Mapping[str, str]
    held: bool


class RunningConfig:
    """The configuration that is in force, and what waits for a restart of its bus. Any thread.

    Attributes:
        wishes: what somebody at the console wants besides.

    Args:
        config: what the server starts with.
        keeper: where a write over the air is kept.
        on_held: called with the section of a bus, and the seconds to wait, when something of it begins to wait for its
            restart, or is joined by more; must not block.
    """

    def __init__(
        self, config: ServerConfig, keeper: Keeper, on_held: Callable[[str, float], None] = lambda _bus, _seconds: None
    ) -> None:
        self.wishes = WishList()
        self._keeper = keeper
        self._on_held = on_held
        self._lock = threading.Lock()
        self._current = config
        self._held: dict[str, list[_Written]] = {}
        # What is written while the file is read: it may have been read before.
        self._meanwhile: list[_Written] | None = None

    @property
    def current(self) -> ServerConfig:
        """The configuration that is in force."""
        return self._current

    def bus(self, section: str) -> BusConfig:
        """A bus, as it is in force. LookupError where it does not run."""
        for bus in self._current.buses:
            if bus.section == section:
                return bus
        raise LookupError(f"no bus {section!r} runs")

    @property
    def leased(self) -> dict[str, BusConfig]:
        """The buses that have their addresses from a primary, or are to, by section."""
        config = self._current
        return {bus.section: bus for bus in config.all_buses if bus.leased}

    @property
    def waiting(self) -> tuple[str, ...]:
        """The sections of the buses that wait for addresses."""
        return tuple(bus.section for bus in self._current.unaddressed)

    def enter(self, bus: BusConfig) -> None:
        """Put a bus in force at the addresses that it has got."""
        with self._lock:
            config = self._current
            order = list(config.ini.sections)
            buses = [*(each for each in config.buses if each.section != bus.section), bus]
            buses.sort(key=lambda each: order.index(each.section) if each.section in order else len(order))
            unaddressed = tuple(each for each in config.unaddressed if each.section != bus.section)
            self._current = replace(config, buses=tuple(buses), unaddressed=unaddressed)

    @property
    def held(self) -> tuple[str, ...]:
        """The sections of the buses that have something waiting."""
        return tuple(self._held)

    def set(self, section: str, options: Mapping[str, str], *, held: bool = False) -> None:
        """Keep what was written over the air: in the file, and here. Blocks for the disk.

        Args:
            held: it is not in force before its bus is restarted.

        Raises:
            what the keeper does; nothing has changed then.
        """
        self._keeper.set(section, options)
        written = _Written(section, dict(options), held)
        with self._lock:
            if self._meanwhile is not None:
                self._meanwhile.append(written)
            self._current = self._take(self._current, written)
            told = self._hold(written)
        if told is not None:
            self._on_held(*told)

    def settled(self) -> ServerConfig:
        """The configuration as it will be when nothing waits any more: what the file says, as far as we wrote it."""
        with self._lock:
            return replace(self._current, buses=tuple(self._with_held(bus) for bus in self._current.buses))

    def with_held(self, section: str) -> ServerConfig:
        """The configuration with what waits of one bus in force."""
        with self._lock:
            buses = tuple(self._with_held(bus) if bus.section == section else bus for bus in self._current.buses)
            return replace(self._current, buses=buses)

    def begin(self) -> None:
        """The file is about to be read: note what is written from now on, until `adopt` or `abandon`."""
        with self._lock:
            self._meanwhile = []

    def abandon(self) -> None:
        """What was read is not taken over."""
        with self._lock:
            self._meanwhile = None

    def rebased(self, config: ServerConfig) -> ServerConfig:
        """What was read since `begin`, with what was written meanwhile."""
        with self._lock:
            for written in self._meanwhile or ():
                config = self._take(config, written)
            return self._with_assumed(config)

    def adopt(self, config: ServerConfig) -> None:
        """Take over what was read since `begin`. What waited counts now, or is not in the file any more."""
        with self._lock:
            meanwhile = self._meanwhile or []
            self._meanwhile = None
            for written in meanwhile:
                config = self._take(config, written)
            self._current = config
            self._held.clear()
            for written in meanwhile:
                self._hold(written)

    def release(self, section: str) -> ServerConfig:
        """Put what waits of one bus in force; the configuration then."""
        with self._lock:
            buses = tuple(self._with_held(bus) if bus.section == section else bus for bus in self._current.buses)
            self._held.pop(section, None)
            self._current = replace(self._current, buses=buses)
            return self._current

    def _with_held(self, bus: BusConfig) -> BusConfig:
        for written in self._held.get(bus.section, ()):
            bus = with_options(bus, written.section, written.options, address=True)
        return bus

    def _hold(self, written: _Written) -> tuple[str, float] | None:
        """Have it wait; the bus, and the longest time that one of its nodes with something waiting wants."""
        if not written.held:
            return None
        bus = next((each for each in self._current.buses if _node(each, written.section) is not None), None)
        if bus is None:
            return None
        waiting = self._held.setdefault(bus.section, [])
        waiting.append(written)
        nodes = (_node(bus, each.section) for each in waiting)
        return bus.section, max(node.config_timeout for node in nodes if node is not None)

    def _with_assumed(self, config: ServerConfig) -> ServerConfig:
        """The configuration where a bus that runs at its own address need not stop for a node that has none yet."""
        hadds = {bus.section: bus.node.hadd for bus in self._current.buses}
        entered = [bus for bus in config.unaddressed if hadds.get(bus.section) == bus.node.hadd]
        sections = {bus.section for bus in entered}
        unaddressed = tuple(bus for bus in config.unaddressed if bus.section not in sections)
        return replace(config, buses=(*config.buses, *entered), unaddressed=unaddressed)

    @staticmethod
    def _take(config: ServerConfig, written: _Written) -> ServerConfig:
        """The configuration with what was written, as far as that is in force at once."""
        options = {key: text for key, text in written.options.items() if key == "hadd" or not written.held}
        buses = (with_options(bus, written.section, options, address=False) for bus in config.buses)
        # Those do not run yet: they may have their addresses at once.
        waiting = (with_options(bus, written.section, options, address=True) for bus in config.unaddressed)
        return replace(config, buses=tuple(buses), unaddressed=tuple(waiting))


def _node(bus: BusConfig, section: str) -> NodeConfig | None:
    nodes = (bus.node, *(each.node for each in bus.components))
    return next((node for node in nodes if node.uuid == section), None)
