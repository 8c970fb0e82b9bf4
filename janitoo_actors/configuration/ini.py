"""INI files as the original reads them (`RawConfigParser`), and the line on which each thing stands."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from configparser import DEFAULTSECT, ParsingError, RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from janitoo_actors.api.options import HIDDEN
from janitoo_actors.configuration.model import Problem
from janitoo_actors.errors import ConfigurationError

_BOM: Final = "\ufeff"
_SECRET: Final = re.compile(r"passw|secret|token", re.IGNORECASE)
_LONGEST_VALUE: Final = 200
"""How many characters of a value a problem shows."""


class ConfigurationFileError(ConfigurationError):
    """A configuration file that cannot be used.

    Attributes:
        problems: everything that is wrong, at least one.
        warnings: what is odd besides, and would do no harm.
    """

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)


@dataclass(frozen=True, slots=True)
class IniFile:
    """An INI file that could be read. Immutable; any thread.

    Attributes:
        path: the file.
        lines: its text, each line with its own line end (none, perhaps, on the last).
        has_bom: whether a byte order mark, which is not in `lines`, stands before them.
        sections: the options of each section but `[DEFAULT]`, by keys in lower case, all in the order of the file.
        defaults: the options of `[DEFAULT]`, which the format gives to every section.
        positions: the line of each section, `(section, None)`, and of each option, `(section, key)`; from 1.
    """

    path: Path
    lines: tuple[str, ...]
    has_bom: bool
    sections: Mapping[str, Mapping[str, str]]
    defaults: Mapping[str, str]
    positions: Mapping[tuple[str, str | None], int]

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return ((_BOM if self.has_bom else "") + "".join(self.lines)).encode("utf-8")

    def options(self, section: str) -> dict[str, str]:
        """The options of a section, those of `[DEFAULT]` among them; none where there is no such section."""
        own = self.sections.get(section)
        return {} if own is None else {**self.defaults, **own}

    def line(self, section: str, key: str | None = None) -> int | None:
        """Where an option stands, or else its section; None where neither is in the file."""
        for place in ((section, key), (DEFAULTSECT, key), (section, None)):
            if place in self.positions and place != (DEFAULTSECT, None):
                return self.positions[place]
        return None

    def problem(
        self, section: str, key: str | None, expected: str, *, show: bool = True, secret: bool | None = None
    ) -> Problem:
        """Say what is wrong with an option (or with a section, where key is None), with its value and line.

        Args:
            show: whether to show the value at all, where it is not what matters.
            secret: whether the value is a password; where it is not said, the key tells.
        """
        value = self.options(section).get(key) if key is not None and show else None
        if key is not None and value is not None:
            if secret is None:
                secret = _SECRET.search(key) is not None
            value = HIDDEN if secret else _shown(value)
        return Problem(self.path, section, key, value, expected, self.line(section, key))


def read(path: Path) -> IniFile:
    """Read a file; blocks for the disk.

    Raises:
        ConfigurationFileError: where it is missing, unreadable, not UTF-8, or no INI file; with every line that is
            wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationFileError([Problem(path, None, None, None, _unreadable(error))]) from error
    return parse(data, path)


def parse(data: bytes, path: Path) -> IniFile:
    """Read the bytes of a file; `path` is only named.

    Raises:
        ConfigurationFileError: where they are not UTF-8, or no INI file; with every line that is wrong.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        expected = f"byte 0x{data[error.start]:02x} is no UTF-8: expected UTF-8 text; save the file in that encoding"
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationFileError([Problem(path, None, None, None, expected, line)]) from error
    has_bom = text.startswith(_BOM)
    # newline="": every kind of line end ends a line, as `open` has it, and stays as it is.
    lines = tuple(io.StringIO(text.removeprefix(_BOM), newline=""))
    parser = _Parser()
    problems: list[Problem] = []
    try:
        parser.read_file(parser.watched(lines), str(path))
    except ParsingError as error:
        problems.extend(_unparsable(error, parser.marks, path))
    marks = tuple(parser.marks)
    positions: dict[tuple[str, str | None], int] = {}
    for mark in marks:
        first = positions.setdefault((mark.section, mark.key), mark.line)
        if first != mark.line and (mark.section, mark.key) != (DEFAULTSECT, None):
            what = "this section is" if mark.key is None else "it is"
            problems.append(
                Problem(
                    path, mark.section, mark.key, None,
                    f"{what} already in line {first}: expected it once; keep one of the two",
                    mark.line,
                )
            )  # fmt: skip
    if problems:
        raise ConfigurationFileError(sorted(problems, key=lambda problem: problem.line or 0))
    sections: dict[str, dict[str, str]] = {name: {} for name in parser.sections()}
    merged = {name: dict(parser.items(name)) for name in sections}
    for mark in marks:
        if mark.key is not None and mark.section != DEFAULTSECT:
            sections[mark.section][mark.key] = merged[mark.section][mark.key]
    return IniFile(path, lines, has_bom, sections, dict(parser.defaults()), positions)


@dataclass(frozen=True, slots=True)
class _Mark:
    line: int
    section: str
    key: str | None


class _Parser(RawConfigParser):
    """A parser that takes down where each section and option stands.

    The parser itself forgets the lines, but it reads them one by one, and it lets its users replace the pattern of
    section headers and the normalisation of keys: both are called on the line that they are about.
    It is not strict: strict, it would stop at the first duplicate; `parse` finds them all in the marks.
    """

    def __init__(self) -> None:
        super().__init__(strict=False)
        self.marks: list[_Mark] = []
        self._line = 0
        self._reading = False
        self._section = ""
        self.SECTCRE = cast("re.Pattern[str]", _Headers(self))

    def watched(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines, for `read_file`."""
        self._reading = True
        for self._line, line in enumerate(lines, start=1):
            yield line.rstrip("\r\n") + "\n"
        self._reading = False

    def enter(self, section: str) -> None:
        """Take down a section header."""
        self._section = section
        self.marks.append(_Mark(self._line, section, None))

    def optionxform(self, optionstr: str) -> str:
        """Normalise a key, as the base class does, and take it down."""
        key = super().optionxform(optionstr)
        if self._reading:
            self.marks.append(_Mark(self._line, self._section, key))
        return key


class _Headers:
    """The pattern of section headers, and who is to know of each."""

    def __init__(self, parser: _Parser) -> None:
        self._parser = parser

    def match(self, line: str) -> re.Match[str] | None:
        found = RawConfigParser.SECTCRE.match(line)
        if found is not None:
            self._parser.enter(found["header"])
        return found


def _shown(value: str) -> str:
    # Only the first line: an option that is indented by mistake is part of the value before it, and may be a password.
    first, *more = value.split("\n")
    return f"{first[:_LONGEST_VALUE]}…" if more or len(first) > _LONGEST_VALUE else first


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file: expected the path of a configuration file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder: expected the path of a configuration file"
    if isinstance(error, PermissionError):
        return "it may not be read: give the user that runs the server the permission to read it"
    return f"it cannot be read: {error.strerror or error}"


def _unparsable(error: ParsingError, marks: Sequence[_Mark], path: Path) -> Iterator[Problem]:
    first_section = min((mark.line for mark in marks if mark.key is None), default=None)
    # The class itself names all the lines; its subclasses name one, and some have no list of them at all.
    errors: Sequence[tuple[int, str]] = getattr(error, "errors", ())
    numbers = [number for number, _ in errors] or [int(getattr(error, "lineno", 1))]
    for number in numbers:
        if first_section is None or number < first_section:
            expected = "no section before it: expected a line as [system] first"
        else:
            # The line itself is not shown: it may be a password.
            expected = "expected [section], key = value, or a comment that starts with #"
        yield Problem(path, None, None, None, expected, number)
