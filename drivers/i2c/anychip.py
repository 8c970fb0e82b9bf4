"""Any chip on I2C, by its description in the file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from drivers.described import Described, Output, readable, writable
from drivers.fields import Field, Steps, register_of
from drivers.filters import Limits
from drivers.i2c.chip import I2cAddress, I2cChip
from janitoo_actors.api import Duration, Option

_PLAIN: Final = "plain"
_EXAMPLE: Final = "0x05 s16be mask=0x1fff scale=0.0625 units=°C"


@dataclass(frozen=True, slots=True)
class Register:
    """A register of a chip, and the number in it: `0x05 s16be scale=0.0625`; `plain u8` of a chip without registers.

    Attributes:
        number: what is sent before it is read or written; nothing for a chip without registers.
    """

    number: bytes
    field: Field

    @classmethod
    def parse(cls, text: str) -> Register:
        """Read its description. Raises ValueError with what is expected."""
        number, _, rest = text.strip().partition(" ")
        if number == _PLAIN:
            return cls(b"", Field.parse(rest.strip() or "u8"))
        try:
            return cls(register_of(number), Field.parse(rest.strip() or "u8"))
        except ValueError as error:
            if number[:1].isdigit():
                raise
            # A type without a register, perhaps.
            raise ValueError(f"expected a register, as 0x1c, or the word {_PLAIN}, before the type") from error


def _output(text: str) -> Output[Register]:
    return Output.parse(text, Register.parse, reads_itself=True)


class AnyChip(I2cChip, Described):
    """A chip that has no driver of its own: its registers are described in the file."""

    oid = "rpii2c.register"
    name = "I2C chip"
    product_name = "I2C chip"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"value": Limits()}
    expects = f"value_config_0 or level_config_0, as {_EXAMPLE}"

    address = Option(I2cAddress(), help="The address of the chip")
    setup = Option(Steps(), default=(), help="What is written to the chip before it is read, and after each failure")
    trigger = Option(Steps(), default=(), help="What is written to the chip before each reading of value")
    wait = Option(Duration(1), default=0, help="How long the chip then takes until it can be read")
    value = readable(Register.parse, "register", _EXAMPLE)
    level = writable(_output, "register", "those of value", follows="value")

    def set_up(self) -> None:
        """Write what the file says."""
        for data in self.setup:
            self._exchange(data, 0)

    def ask(self, place: Any, *, measured: bool) -> bytes:
        """The bytes of a register."""
        self.ready()
        if measured:
            for data in self.trigger:
                self._exchange(data, 0)
            time.sleep(self.wait)
        return self._exchange(place.number, place.field.end)

    def before(self, output: Output[Any]) -> bytes:
        """What is in the register, where it says that; nothing where it is read back in another way, or not at all."""
        place = output.place
        return self.ask(place, measured=False) if output.back is place else bytes(place.field.end)

    def tell(self, place: Any, data: bytes) -> None:
        """Write a register."""
        self.ready()
        self._exchange((*place.number, *data), 0)
