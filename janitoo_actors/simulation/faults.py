"""What goes wrong in a simulation: at some rate, or at times that a script says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Final

from janitoo_actors.api.options import OptionType


class Fault(StrEnum):
    """What goes wrong with a read."""

    ERROR = "error"
    """No answer: a temporary error."""
    LATE = "late"
    """An answer half a second late."""
    HANG = "hang"
    """No end: the thread of the bus stays in it for `simulate_hang` seconds."""
    LOST = "lost"
    """The end of the bus, which is opened anew."""
    NULL = "null"
    """No data, and no error."""
    NAN = "nan"
    """No number."""
    ABSURD = "absurd"
    """A number that cannot be."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often each fault comes, as a part of the reads."""

    rates: tuple[tuple[Fault, float], ...] = ()

    def pick(self, random: Random) -> Fault | None:
        """The fault of this read; None for none."""
        # As many numbers for each read, whatever the rates: other rates leave the rest of a run as it was.
        number = random.random()
        for fault, rate in self.rates:
            if number < rate:
                return fault
            number -= rate
        return None


class RatesType(OptionType[Rates]):
    """Faults with their rates: `error 0.05, hang 0.001`."""

    name = "faults"

    @property
    def allowed(self) -> str:
        """The faults."""
        return f"faults with rates from 0 to 1, together not above 1, as error 0.05, hang 0.001; of {', '.join(Fault)}"

    def parse(self, text: str, folder: Path = Path()) -> Rates:  # noqa: ARG002 - it has no paths
        """The rates that a text names."""
        found: dict[Fault, float] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            try:
                word, number = part.split()
                fault, rate = Fault(word), float(number)
            except ValueError:
                raise self.refused() from None
            if fault in found or not 0 <= rate <= 1:
                raise self.refused()
            found[fault] = rate
        if sum(found.values()) > 1:
            raise self.refused()
        return Rates(tuple(found.items()))

    def text(self, data: Any) -> str:
        """As the file has it."""
        return ", ".join(f"{fault} {rate:g}" for fault, rate in data.rates)


NORMAL: Final = "normal"
ALL: Final = "*"
_LINE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s+(\S+)\s+(\S+)(?:\s+(.*))?")


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a script: from `at` seconds on, the value is `data`, has a fault, or is as without a script.

    Attributes:
        uuid: the value; `*` for all.
        fault: None where there is none.
        text: the data, or what the fault says; "normal" where neither.
        number: the line, which tells it from others.
    """

    at: float
    uuid: str
    fault: Fault | None
    text: str
    number: int

    @property
    def once(self) -> bool:
        """Whether it is over when it has happened: otherwise a bus that is opened anew would be lost again."""
        return self.fault in {Fault.HANG, Fault.LOST}


def read_script(text: str, uuids: frozenset[str]) -> tuple[Event, ...]:
    """The events of a script, in the order of their times.

    Raises:
        ValueError: a line is none; the message says which, and what is expected.
    """
    events = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise ValueError(f"expected SECONDS VALUE DATA in line {number}, as 10 temperature 21.5")
        at, uuid, word, rest = match.groups()
        if uuid != ALL and uuid not in uuids:
            raise ValueError(f"expected one of {', '.join(sorted(uuids))}, or *, in line {number}, not {uuid}")
        is_fault = word in set(Fault)
        said = rest or "" if is_fault else f"{word} {rest}".strip() if rest else word
        events.append(Event(float(at), uuid, Fault(word) if is_fault else None, said, number))
    return tuple(sorted(events, key=lambda each: (each.at, each.number)))
