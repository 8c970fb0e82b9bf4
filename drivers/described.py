"""Chips that have no driver of their own: their numbers are described in the file. What I2C and SPI have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from drivers.fields import Field
from drivers.filters import FilteredComponent
from janitoo_actors.api import (
    Bool,
    ConfigurationError,
    Genre,
    Instance,
    Instances,
    Option,
    PermanentError,
    TemporaryError,
    Value,
)

_ARROW: Final = "->"
_NOTHING: Final = "none"


class Place(Protocol):
    """Where a number is in a chip."""

    @property
    def field(self) -> Field:
        """The number in the bytes that are there."""


P = TypeVar("P", bound=Place)


@dataclass(frozen=True, slots=True)
class Output(Generic[P]):
    """A number that is written: `0x05 u8`; or `0x40 u16be -> plain at=1 u16be`, which is read back in another way.

    Attributes:
        place: where it is written.
        back: where it is read back; None where it cannot be.
    """

    place: P
    back: P | None

    @classmethod
    def parse(cls, text: str, parse: Callable[[str], P], *, reads_itself: bool) -> Output[P]:
        """Read a description. Raises ValueError with what is expected.

        Args:
            parse: reads that of a place.
            reads_itself: whether the place is read back too, where the text does not say otherwise.
        """
        first, arrow, second = text.partition(_ARROW)
        place = parse(first)
        if not arrow:
            return cls(place, place if reads_itself else None)
        return cls(place, None if second.strip() == _NOTHING else parse(second))


def readable(parse: Callable[[str], Any], label: str, example: str) -> Value:
    """The value `value` of such a chip, whose instances are places, as `parse` reads them."""
    made = Value(
        "sensor_float",
        help="The number in the chip",
        genre=Genre.BASIC,
        poll_delay=60,
        instances=Instances(
            label=label,
            help=f"Where it is, and what it is, as {example}; empty for none",
            parse=_or_none(parse),
            units=_units,
        ),
    )
    made.reader(Described.read_value)
    return made


def writable(parse: Callable[[str], Any], label: str, example: str, *, follows: str | None) -> Value:
    """The value `level` of such a chip, whose instances are outputs, as `parse` reads them."""
    made = Value(
        "action_string",
        help="A number that is written to the chip",
        genre=Genre.USER,
        poll_delay=0,
        instances=Instances(
            label=label,
            help=f"Where it is written, as {example}; empty for nowhere",
            parse=_or_none(parse),
            follows=follows,
            units=lambda output: None if output is None else output.place.field.units,
        ),
    )
    made.reader(Described.read_level)
    made.writer(Described.write_level)
    return made


class Described(FilteredComponent):
    """A chip that is described in the file. Subclasses declare `value` and `level`, and say how to ask and to tell.

    Attributes:
        expects: what its section has to say, for who has not.
    """

    expects: ClassVar[str]
    writable = Option(Bool(), default=False, help="Whether it may be written")

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._written: dict[int, float] = {}

    def ask(self, place: Any, *, measured: bool) -> bytes:
        """The bytes of the chip that the field of a place is in. On the bus's thread; blocks for the bus.

        Args:
            measured: whether the chip is to measure first, where it has to be told so.
        """
        raise NotImplementedError

    def lost(self) -> None:
        """The chip has failed: it is to be set up again."""
        raise NotImplementedError

    def before(self, output: Output[Any]) -> bytes:
        """The bytes that a number is put into, to be told. As `ask`."""
        raise NotImplementedError

    def tell(self, place: Any, data: bytes) -> None:
        """Send such bytes with a number in them. As `ask`."""
        raise NotImplementedError

    def read_value(self, instance: Instance) -> float | None:
        """The number; None where none is described. On the bus's thread; blocks for the bus.

        Raises:
            ConfigurationError: nothing at all is described.
        """
        place = instance.config
        if place is not None:
            return self.filtered("value", instance.index, lambda: self._number(place, measured=True))
        if all(each.config is None for uuid in ("value", "level") for each in self.instances(uuid)):
            raise ConfigurationError(f"[{self.uuid}] describes nothing: expected {self.expects}")
        return None

    def read_level(self, instance: Instance) -> str | None:
        """The number as the chip has it; or as it was written last, where it cannot be read back. As `read_value`."""
        output: Output[Any] | None = instance.config
        if output is None:
            return None
        if output.back is not None:
            return f"{self._number(output.back):g}"
        written = self._written.get(instance.index)
        return None if written is None else f"{written:g}"

    def write_level(self, instance: Instance, data: str) -> None:
        """Write a number. On the bus's thread; blocks for the bus.

        Raises:
            ValueError: it is no number that there is room for.
            PermanentError: writing is not allowed, or there is nowhere to write.
            TemporaryError: the chip does not answer, or does not keep it.
        """
        if not self.writable:
            raise PermanentError(f"[{self.uuid}] says writable = False: this chip is only read")
        output: Output[Any] | None = instance.config
        if output is None:
            raise PermanentError(f"[{self.uuid}] does not describe where: level_config_{instance.index} is empty")
        try:
            number = float(data)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError("expected a number")
        field: Field = output.place.field
        # What does not fit is refused before anything is sent.
        field.encode(number, bytes(field.end))
        sent = field.encode(number, self.before(output))
        self.tell(output.place, sent)
        # As it is sent, which is rounded.
        number = field.decode(sent)
        self._written[instance.index] = number
        if output.back is not None:
            found = self._number(output.back)
            if abs(found - number) > max(abs(field.scale), abs(output.back.field.scale)) / 2:
                raise TemporaryError(f"the chip has not taken {data} for {instance.text}: it has {found:g}")

    def _number(self, place: Any, *, measured: bool = False) -> float:
        field: Field = place.field
        data = self.ask(place, measured=measured)
        try:
            return field.decode(data)
        except TemporaryError:
            # By its fault bits.
            self.lost()
            raise


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text) if text.strip() else None


def _units(place: Any) -> str | None:
    return None if place is None else place.field.units
