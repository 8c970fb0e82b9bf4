"""What goes wrong in a simulation, and how often. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

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
