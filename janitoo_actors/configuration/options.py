"""Reading the options of a section with their types. Every wrong one is collected, none ends the reading."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from configparser import RawConfigParser
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from janitoo_actors.api.types import one_line, seconds
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import Problem
from janitoo_actors.configuration.suggest import did_you_mean

T = TypeVar("T")
D = TypeVar("D")
E = TypeVar("E", bound=StrEnum)


_MEMORY: Final = re.compile(r"([0-9]{1,12}) ?([KMG]?)(?:I?B)?")
_MULTIPLES: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_LEAST_MEMORY: Final = 48 << 20


class SectionReader:
    """The options of one section. Not thread-safe.

    Attributes:
        options: those of the section and of `[DEFAULT]`, as text; none where there is no such section.
    """

    def __init__(self, ini: IniFile, section: str, problems: list[Problem]) -> None:
        """Read a section.

        Args:
            problems: what is wrong is appended here.
        """
        self.options = ini.options(section)
        self._ini = ini
        self._section = section
        self._problems = problems

    def read(self, key: str, default: D, convert: Callable[[str], T]) -> T | D:
        """The data of an option, or the default where it is missing or wrong.

        Args:
            convert: makes the text into data; raises ValueError("expected …") where it cannot.
        """
        text = self.options.get(key)
        if text is None:
            return default
        try:
            return convert(text)
        except ValueError as error:
            self.wrong(key, str(error))
            return default

    def wrong(self, key: str, expected: str) -> None:
        """Note a problem with an option."""
        self._problems.append(self._ini.problem(self._section, key, expected))


def boolean(text: str) -> bool:
    """True or False, in all the ways of the INI format."""
    try:
        return RawConfigParser.BOOLEAN_STATES[text.strip().lower()]
    except KeyError:
        raise ValueError("expected True or False") from None


def name(text: str) -> str:
    """A text of one line that is not empty."""
    line = one_line(text)
    if not line:
        raise ValueError("expected a text that is not empty")
    return line


def optional(text: str) -> str | None:
    """A text of one line; None where it is empty or says `None`, which is how the original writes nothing."""
    line = one_line(text)
    return None if line.lower() in {"", "none"} else line


def duration(maximum: float | None = None, *, positive: bool = False) -> Callable[[str], float]:
    """A number of seconds, 0 or more; above 0 where `positive`."""

    def convert(text: str) -> float:
        number = seconds(text, maximum=maximum)
        if positive and number == 0:
            raise ValueError("expected a number of seconds, more than 0")
        return number

    return convert


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number between two others, both included."""

    def convert(text: str) -> int:
        try:
            # Through float, for "60.0", which originals write.
            number = float(text)
        except ValueError:
            number = math.nan
        if not (low <= number <= high and number.is_integer()):
            raise ValueError(f"expected a whole number, {low} to {high}")
        return int(number)

    return convert


def memory(text: str) -> int | None:
    """A number of bytes, with K, M or G for their multiples; None where it is empty or says `None`."""
    line = optional(text)
    if line is None:
        return None
    match = _MEMORY.fullmatch(line.upper())
    if match is None:
        raise ValueError("expected a number of bytes of memory, as 64M")
    number = int(match[1]) * _MULTIPLES[match[2]]
    if number < _LEAST_MEMORY:
        raise ValueError("expected 48M or more: Python and the runtime alone need some 30M")
    return number


def choice(kinds: type[E]) -> Callable[[str], E]:
    """One of the words of an enum, in upper or lower case."""

    def convert(text: str) -> E:
        word = text.strip().lower()
        try:
            return kinds(word)
        except ValueError:
            words = " or ".join(kind.value for kind in kinds)
            raise ValueError(f"expected {words}{did_you_mean(word, [kind.value for kind in kinds])}") from None

    return convert


def path_from(folder: Path) -> Callable[[str], Path]:
    """A path; a relative one starts at `folder`, and `~` is the home of the user that runs the server."""

    def convert(text: str) -> Path:
        return folder / os.path.expanduser(name(text))

    return convert
