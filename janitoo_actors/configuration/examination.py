"""A configuration file, examined without starting anything: `janitoo check`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from janitoo_actors.api.device import Device
from janitoo_actors.configuration import machine
from janitoo_actors.configuration.ini import ConfigurationFileError, read
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.logging_sections import check_logging
from janitoo_actors.configuration.model import BusConfig, Problem, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.system import read_system

OK = 0
LEFT_OUT = 1
UNUSABLE = 78
"""As systemd knows it: starting again changes nothing."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd."""

    severity: Severity
    problem: Problem

    def __str__(self) -> str:
        return f"{self.severity}: {self.problem}"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        problem = self.problem
        return {
            "severity": self.severity.value,
            "file": str(problem.file),
            "line": problem.line,
            "section": problem.section,
            "key": problem.key,
            "value": problem.value,
            "message": problem.expected,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be said of a file.

    Attributes:
        config: the server; None where it could not start at all.
        buses: those that would work here, by section.
    """

    path: Path
    config: ServerConfig | None
    findings: tuple[Finding, ...]
    buses: tuple[str, ...]

    @property
    def errors(self) -> int:
        """How many errors there are."""
        return sum(each.severity is Severity.ERROR for each in self.findings)

    @property
    def exit_code(self) -> int:
        """0 where all is well, 1 where a bus would be left out, 78 where nothing would start."""
        if self.config is None:
            return UNUSABLE
        return LEFT_OUT if self.errors else OK

    @property
    def summary(self) -> str:
        """All of it in a line."""
        counts = f"{_count(self.errors, 'error')}, {_count(len(self.findings) - self.errors, 'warning')}"
        if self.config is None:
            return f"{counts}: the server would not start"
        if not self.config.all_buses:
            return f"{counts}: the server would work; it has no buses"
        if not self.buses:
            return f"{counts}: none of its buses would work in full"
        return f"{counts}: {', '.join(self.buses)} would work"

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "file": str(self.path),
            "exit_code": self.exit_code,
            "service": None if self.config is None else self.config.system.service,
            "buses": list(self.buses),
            "findings": [finding.document() for finding in self.findings],
        }

    def with_error(self, text: str) -> Report:
        """The same, with one more error that is about no line of the file."""
        finding = Finding(Severity.ERROR, Problem(self.path, None, None, None, text))
        return replace(self, findings=(*self.findings, finding))


def examine(path: Path, registry: Registry) -> Report:
    """Examine a file, its logging too, and what its buses need of this machine.

    Blocks for the disk, and for the import of the drivers that the file names. Any thread.
    """
    try:
        config = load(path, registry)
    except ConfigurationFileError as error:
        wrong_logging, odd_logging = _logging_of_the_unusable(path)
        findings = _findings([*error.problems, *wrong_logging], (*error.warnings, *odd_logging))
        return Report(path, None, findings, ())
    problems = list(config.problems)
    working = []
    for bus in config.all_buses:
        lacking = list(_lacking(path, bus))
        problems += lacking
        if not lacking:
            working.append(bus.section)
    wrong_logging, odd_logging = check_logging(read(path), config.system.log_dir)
    findings = _findings([*problems, *wrong_logging], (*config.warnings, *odd_logging))
    if wrong_logging:
        return Report(path, None, findings, ())
    if config.is_idle:
        return Report(path, None, findings, ()).with_error("there is no bus to start")
    return Report(path, config, findings, tuple(working))


def _logging_of_the_unusable(path: Path) -> tuple[list[Problem], list[Problem]]:
    """What is wrong and odd with the logging of a file whose other mistakes are told already."""
    try:
        ini = read(path)
    except ConfigurationFileError:
        return [], []
    return check_logging(ini, read_system(ini, [], []).log_dir)


def _findings(problems: tuple[Problem, ...] | list[Problem], warnings: tuple[Problem, ...]) -> tuple[Finding, ...]:
    found = [Finding(Severity.ERROR, each) for each in problems]
    found += [Finding(Severity.WARNING, each) for each in warnings]
    return tuple(sorted(found, key=lambda each: each.problem.line or 0))


def _lacking(path: Path, bus: BusConfig) -> Iterator[Problem]:
    """What a bus and its components need and would not get here."""
    # They have been made of these options when the file was loaded: they are right.
    holder = bus.bus_class(bus.node.uuid, bus.node.options)
    yield from _lacking_of(path, bus.section, holder)
    for each in bus.components:
        component = each.component_class(each.node.uuid, each.node.options)
        component.bus = holder.bus_for(component)
        yield from _lacking_of(path, bus.section, component)


def _lacking_of(path: Path, bus: str, device: Device) -> Iterator[Problem]:
    libraries = list(machine.missing_libraries(type(device), device.oid or bus))
    for text in (*libraries, *machine.missing_devices(device, path)):
        yield Problem(path, device.uuid, None, None, text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
