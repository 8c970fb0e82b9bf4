"""What the text of an option may be, and what it becomes: the types of the schema.

Each type reads a text (`parse`), writes its data back as a text (`text`), and says for people what is allowed
(`allowed`). Reading raises nothing but ValueError, whose message starts with "expected" and says what is allowed; what
`text` writes, `parse` reads back. Pure functions but for `~` in paths, which is the user's home; any thread.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from janitoo_actors.api.types import one_line, seconds
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.suggest import did_you_mean

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

HIDDEN: Final = "***"
"""What is shown instead of a password."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_NOTHING: Final = frozenset({"", "none"})
# Not compiled here: that takes longer than the import of this module, and most files have none of these.
_MEMORY: Final = r"([0-9]{1,15}) ?([KMG]?)(?:I?B)?"
_MULTIPLES: Final = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10, "": 1}
_NAME: Final = r"[\w.-]+"
_SEPARATORS: Final = r"[,\s]+"
_EXAMPLE: Final = Hadd(121, 1)


class OptionType(Generic[T_co]):
    """A type of an option.

    Attributes:
        name: what it is, in a word or two, for the reference: `seconds`.
        is_secret: whether the text is a password, which is shown to nobody.
    """

    name: str = ""
    is_secret: bool = False

    @property
    def allowed(self) -> str:
        """What is allowed, as it follows "expected": `a whole number, 1 to 65535`."""
        raise NotImplementedError

    @property
    def limits(self) -> str:
        """The range, or the words to choose from, where there are any: `1 to 65535`."""
        return ""

    def parse(self, text: str, folder: Path = Path()) -> T_co:
        """The data that a text stands for.

        Args:
            folder: where relative paths start.

        Raises:
            ValueError: where it stands for none; the message says what is expected.
        """
        raise NotImplementedError

    def located(self, text: str, folder: Path) -> str:  # noqa: ARG002 - it has no paths
        """The text for those who know of no folder, as drivers: a relative path in it is made absolute."""
        return text

    def text(self, data: Any) -> str:
        """The text that stands for the data."""
        return str(data)

    def refused(self, hint: str = "") -> ValueError:
        """The error for a text that is none of this type."""
        return ValueError(f"expected {self.allowed}{hint}")


class Line(OptionType[str]):
    """A text of one line; it may be empty."""

    name = "text"

    @property
    def allowed(self) -> str:
        return "a text of one line"

    def parse(self, text: str, folder: Path = Path()) -> str:  # noqa: ARG002 - it has no paths
        return one_line(text)


class Text(Line):
    """A text of one line that is not empty."""

    @property
    def allowed(self) -> str:
        return "a text that is not empty"

    def parse(self, text: str, folder: Path = Path()) -> str:
        line = super().parse(text, folder)
        if not line:
            raise self.refused()
        return line


class Maybe(OptionType[T | None]):
    """Another type, or nothing: where the text is empty or says `None`, which is how the original writes nothing."""

    def __init__(self, inner: OptionType[T]) -> None:
        self.inner = inner
        self.name = inner.name
        self.is_secret = inner.is_secret

    @property
    def allowed(self) -> str:
        return f"{self.inner.allowed}, or nothing"

    @property
    def limits(self) -> str:
        return self.inner.limits

    def parse(self, text: str, folder: Path = Path()) -> T | None:
        return None if text.strip().lower() in _NOTHING else self.inner.parse(text, folder)

    def located(self, text: str, folder: Path) -> str:
        return text if text.strip().lower() in _NOTHING else self.inner.located(text, folder)

    def text(self, data: Any) -> str:
        return "" if data is None else self.inner.text(data)


class Whole(OptionType[int]):
    """A whole number between two others, both included."""

    name = "whole number"

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    @property
    def allowed(self) -> str:
        return f"a whole number, {self.limits}"

    @property
    def limits(self) -> str:
        return f"{self.low} to {self.high}"

    def parse(self, text: str, folder: Path = Path()) -> int:  # noqa: ARG002 - it has no paths
        try:
            # Through float, for "60.0", which originals write.
            number = float(text)
        except ValueError:
            number = math.nan
        if not (self.low <= number <= self.high and number.is_integer()):
            raise self.refused()
        return int(number)


class Number(OptionType[float]):
    """A number, with or without limits, both included."""

    name = "number"

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low = low
        self.high = high

    @property
    def allowed(self) -> str:
        return f"a number, {self.limits}" if self.limits else "a number"

    @property
    def limits(self) -> str:
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{self.low:g} or more"
        return f"{self.high:g} or less" if self.high is not None else ""

    def parse(self, text: str, folder: Path = Path()) -> float:  # noqa: ARG002 - it has no paths
        try:
            number = float(text)
        except ValueError:
            raise self.refused() from None
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not (math.isfinite(number) and low <= number <= high):
            raise self.refused()
        return number

    def text(self, data: Any) -> str:
        return repr(data)


class Duration(OptionType[float]):
    """A number of seconds, 0 or more."""

    name = "seconds"

    def __init__(self, maximum: float | None = None, *, positive: bool = False) -> None:
        """Declare it.

        Args:
            maximum: the longest time, included.
            positive: whether 0 is refused.
        """
        self.maximum = maximum
        self.positive = positive

    @property
    def allowed(self) -> str:
        return f"a number of seconds, {self.limits}"

    @property
    def limits(self) -> str:
        if self.positive:
            return "more than 0" + (f", to {self.maximum}" if self.maximum is not None else "")
        return f"0 to {self.maximum}" if self.maximum is not None else "0 or more"

    def parse(self, text: str, folder: Path = Path()) -> float:  # noqa: ARG002 - it has no paths
        try:
            number = seconds(text, maximum=self.maximum)
        except ValueError as error:
            # Its own message where the time is longer than any timer takes.
            raise (self.refused() if self.positive else error) from None
        if self.positive and number == 0:
            raise self.refused()
        return number

    def text(self, data: Any) -> str:
        return repr(data)


class Bool(OptionType[bool]):
    """True or False, in all the ways of the INI format."""

    name = "True or False"

    @property
    def allowed(self) -> str:
        return self.limits

    @property
    def limits(self) -> str:
        return "True or False"

    def parse(self, text: str, folder: Path = Path()) -> bool:  # noqa: ARG002 - it has no paths
        word = text.strip().lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise self.refused()


class Choice(OptionType[E]):
    """One of the words of an enum, in upper or lower case."""

    name = "word"

    def __init__(self, kinds: type[E]) -> None:
        self.kinds = kinds

    @property
    def allowed(self) -> str:
        return self.limits

    @property
    def limits(self) -> str:
        *most, last = (kind.value for kind in self.kinds)
        return f"{', '.join(most)} or {last}" if most else last

    def parse(self, text: str, folder: Path = Path()) -> E:  # noqa: ARG002 - it has no paths
        word = text.strip().lower()
        for kind in self.kinds:
            if kind.value.lower() == word:
                return kind
        raise self.refused(did_you_mean(word, [kind.value.lower() for kind in self.kinds]))

    def text(self, data: Any) -> str:
        return str(data.value)


class Memory(OptionType[int]):
    """A number of bytes, with K, M or G for their multiples."""

    name = "bytes"

    def __init__(self, least: int = 0, reason: str = "") -> None:
        """Declare it.

        Args:
            least: the least number of bytes, included.
            reason: why it is the least, for people.
        """
        self.least = least
        self.reason = reason

    @property
    def allowed(self) -> str:
        return "a number of bytes of memory, as 64M" + (f"; {self.limits}" if self.limits else "")

    @property
    def limits(self) -> str:
        return f"{self.text(self.least)} or more" if self.least else ""

    def parse(self, text: str, folder: Path = Path()) -> int:  # noqa: ARG002 - it has no paths
        match = re.fullmatch(_MEMORY, text.strip().upper())
        if match is None or not match[1].isascii():
            raise self.refused()
        number = int(match[1]) * _MULTIPLES[match[2]]
        if number < self.least:
            raise self.refused(f": {self.reason}" if self.reason else "")
        return number

    def text(self, data: Any) -> str:
        letter = next(each for each, multiple in _MULTIPLES.items() if data % multiple == 0)
        return f"{data // _MULTIPLES[letter]}{letter}" if data else "0"


class Address(OptionType[Hadd]):
    """The address of a node on the network, `CCCC/NNNN`."""

    name = "address"

    def __init__(self, *, bus: bool = False, example: Hadd = _EXAMPLE) -> None:
        """Declare it.

        Args:
            bus: whether it is that of a bus, which ends in 0000, or that of a component.
            example: what the error shows.
        """
        self.bus = bus
        self.example = Hadd(example.controller, 0) if bus else example

    @property
    def allowed(self) -> str:
        if self.bus:
            return f"the address of a bus, CCCC/0000, as {self.example}"
        return f"the address of a node, CCCC/NNNN, as {self.example}"

    def parse(self, text: str, folder: Path = Path()) -> Hadd:  # noqa: ARG002 - it has no paths
        try:
            hadd = Hadd.parse(text)
        except ValueError:
            raise self.refused() from None
        if self.bus and not hadd.is_controller:
            raise ValueError(f"expected the address of a bus, which ends in 0000, as {Hadd(hadd.controller, 0)}")
        if hadd.is_controller and not self.bus:
            raise ValueError(f"0000 is the bus itself: expected the address of a node, as {self.example}")
        return hadd


class Names(OptionType[tuple[str, ...]]):
    """Names with commas or white space between; none where the text is empty."""

    name = "names"

    @property
    def allowed(self) -> str:
        return "names with commas between, as one, two"

    def parse(self, text: str, folder: Path = Path()) -> tuple[str, ...]:  # noqa: ARG002 - it has no paths
        names = tuple(each for each in re.split(_SEPARATORS, text) if each)
        if not all(re.fullmatch(_NAME, each) for each in names):
            raise self.refused()
        return names

    def text(self, data: Any) -> str:
        return ", ".join(data)
