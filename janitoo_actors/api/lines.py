"""The lines of a section that a device's options are read from, and what is wrong with them. Any thread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from janitoo_actors.api.schema import INDEX, Option
from janitoo_actors.api.values import InstanceType
from janitoo_actors.errors import ConfigurationError

_INDEXED: Final = re.compile(r"(.+)_([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class OptionProblem:
    """What is wrong with one option.

    Attributes:
        key: the option, as `load_poll_0`.
        value: what the file has; None where the option is missing, and never a password.
        expected: what was expected, as "a whole number from 0 to 255".
    """

    key: str
    value: str | None
    expected: str


class OptionsError(ConfigurationError):
    """Options that a device cannot be made of.

    Attributes:
        problems: everything that is wrong, not only the first.
    """

    def __init__(self, problems: Sequence[OptionProblem]) -> None:
        super().__init__("; ".join(f"{each.key} = {each.value}: expected {each.expected}" for each in problems))
        self.problems = tuple(problems)


class Line(NamedTuple):
    """A line of a section that has been read."""

    key: str
    text: str
    data: Any


def index_of(key: str) -> int:
    """The index that a key ends with."""
    return int(key.rpartition("_")[2])


def lines_of(option: Option[Any], given: Mapping[str, str], problems: list[OptionProblem]) -> Iterator[tuple[str, str]]:
    """The keys and the texts of an option: of its one line, or of all its indexes, or of what it has instead."""
    if not option.is_family:
        if option.key in given:
            yield option.key, given[option.key]
        return
    prefix = option.key.removesuffix(f"_{INDEX}")
    lines = list(indexed(prefix, given, problems))
    if isinstance(option.type, InstanceType):
        follows = option.type.instances.follows
        if not lines and follows is not None:
            lines = list(indexed(f"{follows}_config", given, []))
        if not lines:
            lines = [(f"{prefix}_{index}", text) for index, text in enumerate(option.defaults)]
    yield from lines


def lines_of_instances(
    option: Option[Any], given: Mapping[str, str], count: int, problems: list[OptionProblem]
) -> Iterator[tuple[str, str]]:
    """The lines of an option that each of so many instances may have; one of no instance is a problem."""
    prefix = option.key.removesuffix(f"_{INDEX}")
    for key, text in given.items():
        match = _INDEXED.fullmatch(key)
        if match is None or match[1] != prefix:
            continue
        if index_of(key) < count:
            yield key, text
        else:
            known = f"the indexes 0 to {count - 1}" if count > 1 else "the index 0 only"
            problems.append(OptionProblem(key, text, f"an index that is there: {option.of} has {known}"))


def indexed(prefix: str, options: Mapping[str, str], problems: list[OptionProblem]) -> Iterator[tuple[str, str]]:
    """The options `<prefix>_0`, `<prefix>_1`, …, in order; a gap is a problem."""
    found = {
        int(match[2]): key for key in options if (match := _INDEXED.fullmatch(key)) is not None and match[1] == prefix
    }
    for index in range(len(found)):
        if index not in found:
            problems.append(OptionProblem(f"{prefix}_{index}", None, f"it to be there, as {prefix}_{max(found)} is"))
            return
        yield found[index], options[found[index]]
