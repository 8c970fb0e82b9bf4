"""Reading a server's configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from janitoo_actors.configuration import network, system
from janitoo_actors.configuration.ini import ConfigurationFileError, IniFile, read
from janitoo_actors.configuration.model import BusConfig, Problem, ServerConfig
from janitoo_actors.configuration.nodes import BusReader, component_keys
from janitoo_actors.configuration.options import boolean
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.suggest import did_you_mean

_LOGGING: Final = ("loggers", "handlers", "formatters")
_RESERVED: Final = frozenset({system.SECTION, *_LOGGING, network.SECTION})
"""Sections that are no buses: the server's own, and those of Python's logging."""
_RESERVED_PREFIXES: Final = ("logger_", "handler_", "formatter_")


def load(path: Path, registry: Registry) -> ServerConfig:
    """Read and check a configuration file.

    Blocks for the disk, and for the import of the drivers that the file names. Any thread.

    Raises:
        ConfigurationFileError: where the file or its `[system]` is wrong; with everything that is. What is wrong with
            a bus only leaves out that bus: see `ServerConfig.problems`.
    """
    ini = read(path)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    settings = system.read_system(ini, problems, warnings)
    sections = _Sections(ini, registry)
    if system.SECTION not in ini.sections and not sections.buses:
        expected = "neither [system] nor a bus in it: expected the configuration of a server"
        problems.append(Problem(path, None, None, None, expected))
    buses, bus_problems = _read_buses(ini, registry, sections, warnings)
    role = network.read_network(ini, bus_problems, warnings)
    warnings.extend(sections.unread())
    if problems:
        # With those of the buses: whoever mends the file wants to see all of it at once.
        raise ConfigurationFileError(sorted([*problems, *bus_problems], key=_line))
    return ServerConfig(
        path=path,
        system=settings,
        buses=tuple(buses),
        problems=tuple(sorted(bus_problems, key=_line)),
        warnings=tuple(sorted(warnings, key=_line)),
        network=role,
        logging=all(section in ini.sections for section in _LOGGING),
    )


def _line(problem: Problem) -> int:
    return problem.line or 0


def _read_buses(
    ini: IniFile, registry: Registry, sections: _Sections, warnings: list[Problem]
) -> tuple[list[BusConfig], list[Problem]]:
    buses: list[BusConfig] = []
    problems: list[Problem] = []
    controllers: dict[int, str] = {}
    for section in sections.buses:
        try:
            starts = boolean(ini.options(section).get("auto_start", "True"))
        except ValueError as error:
            problems.append(ini.problem(section, "auto_start", str(error)))
            continue
        if not starts:
            continue
        sections.started.add(section)
        reader = BusReader(ini, section, registry, controllers)
        bus = reader.read()
        if bus is not None:
            buses.append(bus)
        problems.extend(reader.problems)
        warnings.extend(reader.warnings)
    return buses, problems


class _Sections:
    """Which section is what.

    Attributes:
        buses: the sections of buses, in the order of the file.
        started: those of them that are to be started; whoever reads the buses fills it.
    """

    def __init__(self, ini: IniFile, registry: Registry) -> None:
        self._ini = ini
        self._registry = registry
        self._bus_of = {section: self._find_bus(section) for section in ini.sections}
        self._oids = frozenset(registry.bus_oids)
        self.buses = tuple(section for section in ini.sections if self._is_bus(section))
        self.started: set[str] = set()

    def unread(self) -> list[Problem]:
        """A warning for each section that nothing reads."""
        warnings = []
        keys_of = {bus: component_keys(self._ini, bus) for bus in self.started}
        for section in self._ini.sections:
            if _is_reserved(section) or section in self.buses:
                continue
            bus = self._bus_of[section]
            if bus is None:
                hint = did_you_mean(section, (*self._registry.bus_oids, *_RESERVED))
                expected = f"nothing reads this section{hint}"
            elif bus not in keys_of:
                # A bus that is not started has no use for its components.
                continue
            else:
                keys = keys_of[bus]
                key = section.removeprefix(f"{bus}__")
                if key in keys:
                    continue
                hint = did_you_mean(key, keys) or f"; write components.{key.lower()} = <oid> in [{bus}] to have one"
                expected = f"the bus [{bus}] has no component {key!r}{hint}"
            warnings.append(self._ini.problem(section, None, expected))
        return warnings

    def _find_bus(self, section: str) -> str | None:
        """The bus of a component's section `<bus>__<component>`; None where it is no such section."""
        at = section.find("__")
        while at >= 0:
            bus = section[:at]
            if bus in self._ini.sections and not _is_reserved(bus):
                return bus
            at = section.find("__", at + 1)
        return None

    def _is_bus(self, section: str) -> bool:
        if _is_reserved(section) or self._bus_of[section] is not None:
            return False
        own = self._ini.sections[section]
        return section in self._oids or "auto_start" in own or bool(component_keys(self._ini, section))


def _is_reserved(section: str) -> bool:
    return section in _RESERVED or section.startswith(_RESERVED_PREFIXES)
