"""A bus and its components: their sections read into `BusConfig`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from janitoo_actors.api.bus import Bus, Component, Extension
from janitoo_actors.api.claims import Hardware
from janitoo_actors.api.device import Device
from janitoo_actors.api.extended import extended
from janitoo_actors.api.lines import OptionsError
from janitoo_actors.api.options import Address
from janitoo_actors.api.schema import Option, option_of
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import BusConfig, ComponentConfig, NodeConfig, Problem
from janitoo_actors.configuration.node_sections import COMPONENT_PREFIX, BusSection, ComponentSection
from janitoo_actors.configuration.reading import SectionReader
from janitoo_actors.configuration.registry import DriverError
from janitoo_actors.errors import ConfigurationError
from janitoo_actors.protocol.hadd import Hadd

D = TypeVar("D", bound=Device)

_LAST_NODE: Final = 9999


class Drivers(Protocol):
    """What is needed of a `Registry`."""

    def bus(self, oid: str) -> type[Bus]: ...
    def component(self, oid: str) -> type[Component]: ...
    def extension(self, name: str) -> type[Extension]: ...


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
        self.exposed: list[tuple[str, str]] = []
        self._ini = ini
        self._section = section
        self._drivers = drivers
        self._controllers = controllers
        self._reader = SectionReader(ini, section, self.problems, self.warnings)

    def read(self) -> BusConfig | None:
        """The bus, or None where anything is wrong; `problems` and `warnings` say what."""
        bus_class = self._bus_class()
        reader = self._reader
        defaults = {"name": bus_class.name or self._section, "oid": self._section}
        read = reader.read(BusSection, defaults)
        bus_class = self._composed(bus_class, read)
        leased = bool(read.leased)
        hadd = read.hadd
        if hadd is None:
            self._without_address(leased=leased)
        else:
            self._claim(hadd)
        node = NodeConfig(
            uuid=self._section,
            hadd=hadd or Hadd(0, 0),
            name=read.name,
            location=read.location,
            heartbeat=read.heartbeat,
            config_timeout=read.config_timeout,
            options=self._device_options(reader, self._section, bus_class, BusSection.options),
            hadd_assigned=hadd is None,
        )
        components = tuple(self._components(hadd, read, bus_class))
        if not self.problems:
            self._check_hardware(bus_class, node, components)
        if self.problems:
            return None
        identity = (read.uuid or None) if leased else None
        return BusConfig(
            self._section,
            node,
            bus_class,
            components,
            read.isolation,
            read.memory_max,
            leased,
            identity,
            read.extensions,
            read.simulate,
        )

    def _bus_class(self) -> type[Bus]:
        oid = self._reader.options.get("oid", self._section)
        try:
            return self._drivers.bus(oid)
        except DriverError as error:
            key = "oid" if "oid" in self._reader.options else None
            self.problems.append(self._ini.problem(self._section, key, str(error)))
            return Bus

    def _composed(self, bus_class: type[Bus], read: BusSection) -> type[Bus]:
        """The class of the bus with its extensions; the simulated one, where it is to be that."""
        if bus_class is Bus:
            # It stands for one that is not there.
            return bus_class
        if len(set(read.extensions)) < len(read.extensions):
            self._reader.wrong("extensions", "expected each of them once")
            return bus_class
        try:
            extensions = tuple(self._drivers.extension(each) for each in read.extensions)
            bus_class = extended(bus_class, extensions) if extensions else bus_class
        except (DriverError, TypeError, ValueError) as error:
            self._reader.wrong("extensions", str(error))
        return _simulated(bus_class) if read.simulate else bus_class

    def _claim(self, hadd: Hadd) -> None:
        """Take the number of the bus, which no other may have."""
        first = self._controllers.setdefault(hadd.controller, self._section)
        if first != self._section:
            self._reader.wrong(
                "hadd",
                f"the bus [{first}] has this address already{self._at(first)}: expected a number that no other bus has",
            )

    def _without_address(self, *, leased: bool) -> None:
        """A bus without an address gets one of a primary; nobody else may have to know it, its components above all."""
        if "hadd" in self._reader.options:
            # It is wrong, which has been told.
            return
        if not leased:
            expected = f"missing, with lease = False: expected {BusSection.options['hadd'].type.allowed}"
            self._reader.wrong("hadd", expected)
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

    def _components(self, controller: Hadd | None, bus: BusSection, bus_class: type[Bus]) -> Iterator[ComponentConfig]:
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
            if bus.simulate and component_class is not Component:
                component_class = _simulated(component_class)
            if bus_class is not Bus and not bus_class.carries(component_class):
                needed = component_class.bus_class.oid
                expected = f"it works on a bus {needed}, as components.{key} = {oid} in [{needed}], and not on this one"
                self._reader.wrong(f"{COMPONENT_PREFIX}{key}", expected)
            hadd, assigned = given.get(key), key not in given
            if assigned:
                node = next(free, None)
                if node is None:
                    self._reader.wrong(f"{COMPONENT_PREFIX}{key}", "no address is left: expected at most 9999 nodes")
                hadd = Hadd(controller.controller if controller is not None else 0, node or 0)
            reader = SectionReader(self._ini, uuid, self.problems, self.warnings)
            defaults = {
                "name": component_class.name or key,
                "location": bus.location,
                "heartbeat": bus.heartbeat,
            }
            read = reader.read(ComponentSection, defaults, skip=("hadd",))
            config = NodeConfig(
                uuid=uuid,
                hadd=hadd or Hadd(0, 0),
                name=read.name,
                location=read.location,
                heartbeat=read.heartbeat,
                config_timeout=read.config_timeout,
                options=self._device_options(reader, uuid, component_class, ComponentSection.options),
                hadd_assigned=assigned,
            )
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
                given[key] = hadd = Address(example=example).parse(text)
            except ValueError as error:
                # Not an address that is free: the component is not to get another one.
                given[key] = example
                expected = str(error)
            else:
                first = holders.setdefault(hadd, section)
                if controller is not None and hadd.controller != controller.controller:
                    expected = (
                        "an address of another controller: "
                        f"expected {controller.controller:04d}/NNNN, as [{self._section}] has {controller}"
                    )
                elif first != section:
                    expected = (
                        f"[{first}] has this address already{self._at(first)}: expected one that no other node has"
                    )
            if expected is not None:
                self.problems.append(self._ini.problem(section, "hadd", expected))
        return given

    def _device_options(
        self, reader: SectionReader, section: str, device_class: type[Device], node: Mapping[str, Option[Any]]
    ) -> dict[str, str]:
        """The options of a node that are its device's, checked against what its class declares.

        Args:
            node: the schema of the node's other options.
        """
        if device_class in (Bus, Component):
            # Stands for a class that is not there, which is the problem; what it would declare is not known.
            return {}
        schema = device_class.schema()
        if clash := {key for key in schema.keys() & node.keys() if not node[key].deprecated}:
            text = f"the driver {device_class.__name__} declares {', '.join(sorted(clash))}, which every node has"
            self.problems.append(self._ini.problem(section, None, text))
            return {}
        reader.find_secrets(schema)
        options = {
            key: text
            for key, text in reader.options.items()
            if option_of(node, key) is None or option_of(schema, key) is not None
        }
        for key, text in options.items():
            option = option_of(schema, key)
            if option is not None:
                options[key] = option.type.located(text, self._ini.path.parent.absolute())
        try:
            found = device_class.check_options(options)
            if not found:
                # Its own `__init__` too: a driver that cannot be made is to be left out here, where it can be told.
                device_class(section, options)
        except OptionsError as error:
            found = error.problems
        except Exception as error:  # noqa: BLE001 - it calls the parsers of the driver, and a bug there is its bus's
            reason = f"{type(error).__name__}: {error}"
            text = f"the driver {device_class.__name__} failed to check these options: {reason}"
            self.problems.append(self._ini.problem(section, None, text))
            return options
        for each in found:
            option = option_of(schema, each.key)
            secret = (option is not None and option.is_secret) or None
            self.problems.append(self._ini.problem(section, each.key, f"expected {each.expected}", secret=secret))
        reader.unread({**node, **schema}, f"this option of {device_class.oid or section}")
        self.exposed += [(section, key) for key in reader.exposed(schema)]
        return options

    def _check_hardware(self, bus_class: type[Bus], node: NodeConfig, components: Sequence[ComponentConfig]) -> None:
        """Refuse two components that want what only one can have: the same pin, the same chip."""
        holders: dict[Hardware, str] = {}
        bus = bus_class(node.uuid, node.options)
        for each in components:
            if each.component_class.takes is Device.takes:
                continue
            section = each.node.uuid
            try:
                component = each.component_class(section, each.node.options)
                component.bus = bus.bus_for(component)
                taken = [one for one in component.takes() if one.key and not one.is_shared]
            except OptionsError as error:
                for wrong in error.problems:
                    self.problems.append(self._ini.problem(section, wrong.key, f"expected {wrong.expected}"))
                continue
            except Exception as error:  # noqa: BLE001 - it is the driver's, and a bug there is its bus's
                text = str(error)
                if not isinstance(error, ConfigurationError):
                    bug = f"{type(error).__name__}: {error}"
                    text = f"the driver {each.component_class.__name__} failed to say what it takes: {bug}"
                self.problems.append(self._ini.problem(section, None, text))
                continue
            for hardware in taken:
                first = holders.setdefault(hardware, section)
                if first != section:
                    text = f"[{first}] has {hardware} already: expected another one"
                    self.problems.append(self._ini.problem(section, None, text))

    def _at(self, section: str) -> str:
        line = self._ini.line(section, "hadd")
        return f" (line {line})" if line is not None else ""


def _simulated(device_class: type[D]) -> type[D]:
    # Most servers simulate nothing.
    from janitoo_actors.simulation import simulated

    return simulated(device_class)
