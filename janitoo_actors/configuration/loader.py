"""Reading a server's configuration file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from janitoo_actors.api.schema import Section
from janitoo_actors.configuration import secrets
from janitoo_actors.configuration.ini import ConfigurationFileError, IniFile, read
from janitoo_actors.configuration.model import BusConfig, Problem, ServerConfig
from janitoo_actors.configuration.node_sections import BusSection
from janitoo_actors.configuration.nodes import BusReader, component_keys
from janitoo_actors.configuration.reading import SectionReader
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.schema import OTHER_SECTIONS, SERVER_SECTIONS
from janitoo_actors.configuration.system import SystemSection, read_system
from janitoo_actors.suggest import did_you_mean

_LOGGING: Final = ("loggers", "handlers", "formatters")
_RESERVED: Final = frozenset({SystemSection.section, *_LOGGING, *(kind.section for kind in OTHER_SECTIONS)})
"""Sections that are no buses: the server's own, and those of Python's logging."""
_RESERVED_PREFIXES: Final = ("logger_", "handler_", "formatter_")
_ORIGINAL: Final = {
    "database": "there is no database to configure",
    "alembic": "there is no database to configure",
    "dhcp": "leases are kept by the primary, which [network] makes of a server",
    "webapp": "there is no web application in this server",
}
"""Sections of original servers that nothing reads, and why."""


def load(path: Path, registry: Registry) -> ServerConfig:
    """Read and check a configuration file.

    Blocks for the disk, and for the import of the drivers that the file names. Any thread.

    Raises:
        ConfigurationFileError: where the file or its `[system]` is wrong; with everything that is. What is wrong with
            a bus only leaves out that bus: see `ServerConfig.problems`.
    """
    return load_ini(read(path), registry)


def load_ini(ini: IniFile, registry: Registry) -> ServerConfig:
    """As `load`, of a file that has been read."""
    path = ini.path
    problems: list[Problem] = []
    warnings: list[Problem] = []
    system = read_system(ini, problems, warnings)
    sections = _Sections(ini, registry)
    if SystemSection.section not in ini.sections and not sections.buses:
        expected = "neither [system] nor a bus in it: expected the configuration of a server"
        problems.append(Problem(path, None, None, None, expected))
    buses, bus_problems = _read_buses(ini, registry, sections, warnings)
    others = dict(_read_others(ini, bus_problems, warnings))
    warnings.extend(sections.unread())
    warnings.extend(_exposed(ini, sections.exposed))
    if problems:
        # With those of the buses: whoever mends the file wants to see all of it at once.
        raise ConfigurationFileError(sorted([*problems, *bus_problems], key=_line), sorted(warnings, key=_line))
    return ServerConfig(
        path=path,
        ini=ini,
        system=system,
        buses=tuple(bus for bus in buses if not bus.lacks_addresses),
        unaddressed=tuple(bus for bus in buses if bus.lacks_addresses),
        problems=tuple(sorted(bus_problems, key=_line)),
        warnings=tuple(sorted(warnings, key=_line)),
        logging=_logging(ini),
        sections=others,
    )


def _read_others(ini: IniFile, problems: list[Problem], warnings: list[Problem]) -> Iterator[tuple[str, Section]]:
    """The sections of the server beside `[system]` that are in the file, but for those that are wrong."""
    for kind in OTHER_SECTIONS:
        if kind.section in ini.sections:
            found: list[Problem] = []
            reader = SectionReader(ini, kind.section, found, warnings)
            section = reader.read(kind)
            problems += found
            if not found:
                yield kind.section, section
            reader.unread(kind.options, "this key")


def _exposed(ini: IniFile, of_buses: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """A warning where everybody on the machine can read a password in the file."""
    found = list(of_buses)
    for kind in SERVER_SECTIONS:
        reader = SectionReader(ini, kind.section, [], [])
        found += [(kind.section, key) for key in reader.exposed(kind.options)]
    if found and secrets.open_to_everybody(ini.path):
        section, key = min(found, key=lambda each: ini.line(*each) or 0)
        text = f"every user of this machine can read this password: chmod o-r {ini.path}"
        yield ini.problem(section, key, text, show=False)


def _logging(ini: IniFile) -> dict[str, dict[str, str]]:
    if not all(section in ini.sections for section in _LOGGING):
        return {}
    return {
        section: dict(ini.options(section))
        for section in ini.sections
        if section in _LOGGING or section.startswith(_RESERVED_PREFIXES)
    }


def _line(problem: Problem) -> int:
    return problem.line or 0


def _read_buses(
    ini: IniFile, registry: Registry, sections: _Sections, warnings: list[Problem]
) -> tuple[list[BusConfig], list[Problem]]:
    buses: list[BusConfig] = []
    problems: list[Problem] = []
    controllers: dict[int, str] = {}
    for section in sections.buses:
        starts = _starts(ini, section, problems)
        if not starts:
            continue
        sections.started.add(section)
        reader = BusReader(ini, section, registry, controllers)
        bus = reader.read()
        if bus is not None:
            buses.append(bus)
        problems.extend(reader.problems)
        warnings.extend(reader.warnings)
        sections.exposed += reader.exposed
    return buses, problems


def _starts(ini: IniFile, section: str, problems: list[Problem]) -> bool:
    """Whether a bus is to be started; False, with a problem, where that cannot be said."""
    text = ini.options(section).get("auto_start", "True")
    try:
        return BusSection.auto_start.type.parse(text)
    except ValueError as error:
        problems.append(ini.problem(section, "auto_start", str(error)))
        return False


class _Sections:
    """Which section is what.

    Attributes:
        buses: the sections of buses, in the order of the file.
        started: those of them that are to be started; whoever reads the buses fills it.
        exposed: where passwords of their drivers are in the file itself; likewise.
    """

    def __init__(self, ini: IniFile, registry: Registry) -> None:
        self._ini = ini
        self._registry = registry
        self._bus_of = {section: self._find_bus(section) for section in ini.sections}
        self._oids = frozenset(registry.bus_oids)
        self.buses = tuple(section for section in ini.sections if self._is_bus(section))
        self.started: set[str] = set()
        self.exposed: list[tuple[str, str]] = []

    def unread(self) -> list[Problem]:
        """A warning for each section that nothing reads."""
        warnings = []
        keys_of = {bus: component_keys(self._ini, bus) for bus in self.started}
        for section in self._ini.sections:
            if _is_reserved(section) or section in self.buses:
                continue
            bus = self._bus_of[section]
            if section in _ORIGINAL:
                expected = f"nothing reads this section of original servers: {_ORIGINAL[section]}"
            elif bus is None:
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
        if section in self._oids or own.get("oid") in self._oids:
            return True
        return "auto_start" in own or bool(component_keys(self._ini, section))


def _is_reserved(section: str) -> bool:
    return section in _RESERVED or section.startswith(_RESERVED_PREFIXES)
