"""Where simulated data come from: `random 10 30`, `walk 10 30 0.5`, `cycle OL OB LB`. Pure but for the clock."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final

from janitoo_actors.api.options import OptionType
from janitoo_actors.api.types import to_text
from janitoo_actors.api.values import Value
from janitoo_actors.protocol.codes import ValueType

_DIGITS: Final = 3
_WHOLE: Final = frozenset({ValueType.INT, ValueType.BYTE, ValueType.SHORT})
_NUMBERS: Final = _WHOLE | {ValueType.DECIMAL}
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "°C": (15, 25),
    "%": (20, 80),
    "V": (0.5, 3),
    "A": (0.1, 2),
    "W": (10, 500),
    "Pa": (99_000, 102_000),
    "m": (0.1, 3),
    "MHz": (600, 1500),
    "Hz": (49, 51),
    "Bytes": (1e6, 1e9),
    "s": (600, 3600),
}
"""What is likely, by units."""
_TEXTS: Final[Mapping[ValueType, str]] = {
    ValueType.JSON: "{}",
    ValueType.ARRAY: "[]",
    ValueType.HADD: "0001/0001",
    ValueType.IP: "127.0.0.1",
    ValueType.RGB: "#000000",
}


class Kind(StrEnum):
    """How the next datum is made."""

    RANDOM = "random"
    """Anything between two numbers."""
    WALK = "walk"
    """Between two numbers, and not further than a third from the one before."""
    SINE = "sine"
    """Between two numbers, up and down in so many seconds."""
    ALWAYS = "always"
    CHOICE = "choice"
    """One of these."""
    CYCLE = "cycle"
    """One of these after the other."""
    HELD = "held"
    """What was written last; this at the beginning."""


_FORMS: Final[Mapping[Kind, str]] = {
    Kind.RANDOM: "random LOW HIGH",
    Kind.WALK: "walk LOW HIGH STEP",
    Kind.SINE: "sine LOW HIGH SECONDS",
    Kind.ALWAYS: "always DATA",
    Kind.CHOICE: "choice DATA DATA …",
    Kind.CYCLE: "cycle DATA DATA …",
    Kind.HELD: "held DATA",
}
_COUNTS: Final[Mapping[Kind, int]] = {Kind.RANDOM: 2, Kind.WALK: 3, Kind.SINE: 3, Kind.ALWAYS: 1, Kind.HELD: 1}


@dataclass(frozen=True, slots=True)
class Source:
    """Where the data of a value come from.

    Attributes:
        data: the numbers, or the data themselves.
        text: as the file has it.
    """

    kind: Kind
    data: tuple[Any, ...]
    text: str = field(compare=False)


class SourceType(OptionType[Source]):
    """The type of an option that says where the data of a value come from."""

    name = "source"

    def __init__(self, value: Value) -> None:
        self._value = value

    @property
    def allowed(self) -> str:
        """The forms that this value can have."""
        numeric = self._value.type in _NUMBERS and not self._value.list_items
        kinds = [kind for kind in Kind if numeric or kind not in {Kind.RANDOM, Kind.WALK, Kind.SINE}]
        return f"{', '.join(_FORMS[kind] for kind in kinds)}, with data of {self._value.uuid}"

    def parse(self, text: str, folder: Path = Path()) -> Source:  # noqa: ARG002 - it has no paths
        """The source that a text names."""
        try:
            word, *given = shlex.split(text)
            kind = Kind(word)
        except ValueError:
            raise self.refused() from None
        count = _COUNTS.get(kind)
        if not given or (count is not None and len(given) != count):
            raise self.refused()
        if kind in {Kind.RANDOM, Kind.WALK, Kind.SINE}:
            return Source(kind, self._numbers(given), text)
        return Source(kind, tuple(self._value.coerce(each) for each in given), text)

    def text(self, data: Any) -> str:
        """As the file has it."""
        found: str = data.text
        return found

    def _numbers(self, given: Sequence[str]) -> tuple[float, ...]:
        if self._value.type not in _NUMBERS or self._value.list_items:
            raise self.refused()
        try:
            low, high, *others = map(float, given)
        except ValueError:
            raise self.refused() from None
        # What is not finite is smaller than nothing here.
        if not -math.inf < low <= high < math.inf or not all(0 < each < math.inf for each in others):
            raise ValueError(f"expected LOW not above HIGH, and what follows above 0: {self.allowed}")
        return (low, high, *others)


def likely(value: Value) -> Source:
    """A source for a value of which nothing is said but its declaration: its type, range, items and units."""
    return SourceType(value).parse(_likely(value))


def _likely(value: Value) -> str:
    if value.written_by is not None:
        return f"held {shlex.quote(to_text(_first(value)))}"
    if value.list_items:
        return f"choice {shlex.join(value.list_items)}"
    if value.type is ValueType.BOOL:
        return "choice True False"
    if value.type in _NUMBERS:
        low, high = _RANGES.get(value.units or "", (0, 100))
        if value.minimum is not None and value.maximum is not None and value.minimum < value.maximum:
            low, high = value.minimum, value.maximum
        return f"walk {low:g} {high:g} {max((high - low) / 20, 1e-9):g}"
    return f"always {shlex.quote(_TEXTS.get(value.type, 'simulated'))}"


def _first(value: Value) -> Any:
    """What a value is that nobody has written yet."""
    candidates = [value.default, *(("off",) if "off" in (value.list_items or ()) else ()), *(value.list_items or ())]
    candidates += [value.minimum, _TEXTS.get(value.type), 0, False, "simulated"]
    for each in candidates:
        if each is None:
            continue
        try:
            return value.coerce(each)
        except ValueError:
            continue
    raise ValueError(f"{value.uuid} can have no data")


class Generator:
    """Makes the data of one instance of a value. One thread at a time."""

    def __init__(self, value: Value, source: Source, random: Random) -> None:
        self._value = value
        self._source = source
        self._random = random
        self._last: Any = None
        self._count = 0
        self._begin = time.monotonic()
        self._makers: Mapping[Kind, Callable[[], Any]] = {
            Kind.RANDOM: self._any,
            Kind.WALK: self._walked,
            Kind.SINE: self._waved,
            Kind.ALWAYS: lambda: source.data[0],
            Kind.CHOICE: lambda: random.choice(source.data),
            Kind.CYCLE: self._cycled,
            Kind.HELD: lambda: source.data[0] if self._last is None else self._last,
        }

    def next(self) -> Any:
        """The next datum."""
        made = self._makers[self._source.kind]()
        if isinstance(made, float):
            return round(made) if self._value.type in _WHOLE else round(made, _DIGITS)
        return made

    def hold(self, data: Any) -> None:
        """Take what was written."""
        self._last = data

    def absurd(self) -> Any:
        """What no such thing can measure; for texts, what is no text that it says."""
        if self._value.type in _NUMBERS:
            return self._random.choice((-1e6, 1e6, 1e9))
        return "\ufffd" * 3

    def _any(self) -> float:
        return self._random.uniform(*self._source.data)

    def _walked(self) -> float:
        low, high, step = self._source.data
        before = self._random.uniform(low, high) if self._last is None else self._last
        self._last = min(max(before + self._random.uniform(-step, step), low), high)
        return float(self._last)

    def _waved(self) -> float:
        low, high, seconds = self._source.data
        part = (time.monotonic() - self._begin) / seconds
        return float(low + (high - low) * (1 + math.sin(2 * math.pi * part)) / 2)

    def _cycled(self) -> Any:
        made = self._source.data[self._count % len(self._source.data)]
        self._count += 1
        return made
