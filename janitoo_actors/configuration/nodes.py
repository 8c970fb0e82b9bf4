"""A bus and its components: their sections read into `BusConfig`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from janitoo_actors.api.device import Bus, Component, Device
from janitoo_actors.api.types import one_line
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import BusConfig, ComponentConfig, Isolation, NodeConfig, Problem
from janitoo_actors.configuration.options import SectionReader, boolean, choice, duration, memory, optional
from janitoo_actors.configuration.registry import DriverError
from janitoo_actors.configuration.unread import unread_options, values_of
from janitoo_actors.protocol.codes import ValueType
from janitoo_actors.protocol.hadd import Hadd

COMPONENT_PREFIX: Final = "components."
NODE_KEYS: Final = ("hadd", "name", "location", "heartbeat", "config_timeout", "uuid")
"""What every node has. `uuid` is a random number that original servers note down; only that of a bus is read, where its
addresses are leased."""
BUS_KEYS: Final = ("auto_start", "oid", "isolation", "memory_max", "lease")
"""What a bus has besides."""

DEFAULT_LOCATION: Final = "Default location"
DEFAULT_HEARTBEAT: Final = 30
DEFAULT_CONFIG_TIMEOUT: Final = 3
_LONGEST: Final = 3000
_LAST_NODE: Final = 9999


class Drivers(Protocol):
    """What is needed of a `Registry`."""

    def bus(self, oid: str) -> type[Bus]: ...
    def component(self, oid: str) -> type[Component]: ...


def component_keys(ini: IniFile, section: str) -> dict[str, str]:
    """The components of a bus, key → oid, in the order of the file."""
    own = ini.sections.get(section, {})
    start = len(COMPONENT_PREFIX)
    return {key[start:]: oid for key, oid in own.items() if key.startswith(COMPONENT_PREFIX)}


class BusReader:
    """Reads one bus. Made for one `read`; not thread-safe; blocks where a driver is imported."""

    def __init__(self, ini: IniFile, section: str, drivers: Drivers, controllers: dict[int, str]) -> None:
        """Get ready to read.

        Args:
            controllers: the controller numbers of the buses before this one, and their sections; this bus's is added.
        """
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._ini = ini
        self._section = section
        self._drivers = drivers
        self._controllers = controllers
        self._reader = SectionReader(ini, section, self.problems)

    def read(self) -> BusConfig | None:
        """The bus, or None where anything is wrong; `problems` and `warnings` say what."""
        bus_class = self._bus_class()
        reader = self._reader
        leased = reader.read("lease", "hadd" not in reader.options, boolean)
        hadd = self._controller(leased=leased)
        location = reader.read("location", DEFAULT_LOCATION, one_line)
        heartbeat = reader.read("heartbeat", DEFAULT_HEARTBEAT, duration(_LONGEST))
        own = {
            key: text
            for key, text in reader.options.items()
            if key not in NODE_KEYS and key not in BUS_KEYS and not key.startswith(COMPONENT_PREFIX)
        }
        node = NodeConfig(
            uuid=self._section,
            hadd=hadd or Hadd(0, 0),
            name=reader.read("name", bus_class.name or self._section, one_line),
            location=location,
            heartbeat=heartbeat,
            config_timeout=reader.read("config_timeout", DEFAULT_CONFIG_TIMEOUT, duration(_LONGEST)),
            options=own,
            hadd_assigned=hadd is None,
        )
        self._check(self._section, bus_class, own, (*NODE_KEYS, *BUS_KEYS))
        components = tuple(self._components(hadd, location, heartbeat))
        isolation = reader.read("isolation", Isolation.THREAD, choice(Isolation))
        memory_max = reader.read("memory_max", None, memory)
        if memory_max is not None and isolation is not Isolation.PROCESS:
            reader.wrong("memory_max", "expected isolation = process beside it: a thread has no memory of its own")
        if self.problems:
            return None
        identity = reader.read("uuid", None, optional) if leased else None
        return BusConfig(self._section, node, bus_class, components, isolation, memory_max, leased, identity)

    def _bus_class(self) -> type[Bus]:
        oid = self._reader.options.get("oid", self._section)
        try:
            return self._drivers.bus(oid)
        except DriverError as error:
            key = "oid" if "oid" in self._reader.options else None
            self.problems.append(self._ini.problem(self._section, key, str(error)))
            return Bus

    def _controller(self, *, leased: bool) -> Hadd | None:
        text = self._reader.options.get("hadd")
        if text is None:
            self._without_address(leased=leased)
            return None
        try:
            hadd = Hadd.parse(text)
        except ValueError:
            self._reader.wrong("hadd", "expected the address of a bus, CCCC/0000, as 0121/0000")
            return None
        if not hadd.is_controller:
            own = Hadd(hadd.controller, 0)
            self._reader.wrong("hadd", f"expected the address of a bus, which ends in 0000, as {own}")
            return None
        first = self._controllers.setdefault(hadd.controller, self._section)
        if first != self._section:
            self._reader.wrong(
                "hadd",
                f"the bus [{first}] has this address already{self._at(first)}: expected a number that no other bus has",
            )
        return hadd

    def _without_address(self, *, leased: bool) -> None:
        """A bus without an address gets one of a primary; nobody else may have to know it, its components above all."""
        if not leased:
            self._reader.wrong("hadd", "missing; write the address of the bus, hadd = CCCC/0000, as 0121/0000")
            return
        for key in component_keys(self._ini, self._section):
            section = f"{self._section}__{key}"
            text = self._ini.options(section).get("hadd")
            if text is not None:
                example = f"{text.partition('/')[0]}/0000"
                expected = (
                    f"missing, and [{section}] has {text}{self._at(section)}: write the address of the bus, as "
                    f"hadd = {example}, or remove those of its components to have all of them from a primary"
                )
                self._reader.wrong("hadd", expected)
                return

    def _components(self, controller: Hadd | None, location: str, heartbeat: float) -> Iterator[ComponentConfig]:
        keys = component_keys(self._ini, self._section)
        given = self._given_addresses(keys, controller)
        taken = {hadd.node for hadd in given.values()}
        free = (node for node in range(1, _LAST_NODE + 1) if node not in taken)
        for key, oid in keys.items():
            uuid = f"{self._section}__{key}"
            if not key:
                self._reader.wrong(COMPONENT_PREFIX, "expected a name after the dot, as components.ups1 = nut.ups")
            try:
                component_class = self._drivers.component(oid)
            except DriverError as error:
                self._reader.wrong(f"{COMPONENT_PREFIX}{key}", str(error))
                component_class = Component
            hadd, assigned = given.get(key), key not in given
            if assigned:
                node = next(free, None)
                if node is None:
                    self._reader.wrong(f"{COMPONENT_PREFIX}{key}", "no address is left: expected at most 9999 nodes")
                hadd = Hadd(controller.controller if controller is not None else 0, node or 0)
            reader = SectionReader(self._ini, uuid, self.problems)
            own = {name: text for name, text in reader.options.items() if name not in NODE_KEYS}
            config = NodeConfig(
                uuid=uuid,
                hadd=hadd or Hadd(0, 0),
                name=reader.read("name", component_class.name or key, one_line),
                location=reader.read("location", location, one_line),
                heartbeat=reader.read("heartbeat", heartbeat, duration(_LONGEST)),
                config_timeout=reader.read("config_timeout", DEFAULT_CONFIG_TIMEOUT, duration(_LONGEST)),
                options=own,
                hadd_assigned=assigned,
            )
            self._check(uuid, component_class, own, NODE_KEYS)
            yield ComponentConfig(key, config, component_class)

    def _given_addresses(self, keys: Mapping[str, str], controller: Hadd | None) -> dict[str, Hadd]:
        """The addresses that the file gives to the components, by key. Wrong ones are there too, as far as possible."""
        given: dict[str, Hadd] = {}
        holders: dict[Hadd, str] = {}
        for key in keys:
            section = f"{self._section}__{key}"
            text = self._ini.options(section).get("hadd")
            if text is None:
                continue
            expected = None
            example = Hadd(controller.controller, 1) if controller is not None else Hadd(121, 1)
            try:
                given[key] = hadd = Hadd.parse(text)
            except ValueError:
                # Not an address that is free: the component is not to get another one.
                given[key] = example
                expected = f"expected the address of a node, CCCC/NNNN, as {example}"
            else:
                first = holders.setdefault(hadd, section)
                if controller is not None and hadd.controller != controller.controller:
                    expected = (
                        "an address of another controller: "
                        f"expected {controller.controller:04d}/NNNN, as [{self._section}] has {controller}"
                    )
                elif hadd.is_controller:
                    expected = f"0000 is the bus itself: expected the address of a node, as {example}"
                elif first != section:
                    expected = (
                        f"[{first}] has this address already{self._at(first)}: expected one that no other node has"
                    )
            if expected is not None:
                self.problems.append(self._ini.problem(section, "hadd", expected))
        return given

    def _check(
        self, section: str, device_class: type[Device], options: Mapping[str, str], others: tuple[str, ...]
    ) -> None:
        """Check the options of a node against what its class declares."""
        if device_class in (Bus, Component):
            # Stands for a class that is not there, which is the problem; what it would declare is not known.
            return
        try:
            found = device_class.check_options(options)
            if not found:
                # Its own `__init__` too: a driver that cannot be made is to be left out here, where it can be told.
                device_class(section, options)
        except Exception as error:  # noqa: BLE001 - it calls the parsers of the driver, and a bug there is its bus's
            reason = f"{type(error).__name__}: {error}"
            text = f"the driver {device_class.__name__} failed to check these options: {reason}"
            self.problems.append(self._ini.problem(section, None, text))
            return
        declared = values_of(device_class)
        for each in found:
            value = declared.get(each.key.rpartition("_")[0])
            secret = value is not None and value.type is ValueType.PASSWORD
            expected = f"expected {each.expected}"
            self.problems.append(self._ini.problem(section, each.key, expected, secret=secret))
        own = self._ini.sections.get(section, {})
        for key, hint in unread_options(device_class, [key for key in options if key in own], others):
            text = f"nothing reads this option of {device_class.oid or section}{hint}"
            self.warnings.append(self._ini.problem(section, key, text, show=False))

    def _at(self, section: str) -> str:
        line = self._ini.line(section, "hadd")
        return f" (line {line})" if line is not None else ""
