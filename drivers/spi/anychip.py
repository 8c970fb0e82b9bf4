"""Any chip on SPI, by its description in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from drivers.described import Described, Output, readable, writable
from drivers.fields import Field, Steps, byte_of
from drivers.filters import Limits
from drivers.spi.chips import SpiChip
from janitoo_actors.api import Option

_SENT: Final = re.compile(r"((?:[0-9]\w*\s+)+)(\S.*)")
_EXAMPLE: Final = "0x01 0x80 0x00 at=1 u16be mask=0x3ff scale=3.3/1024 units=V"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes to send, and the number in the answer: `0x01 0x80 0x00 at=1 u16be mask=0x3ff`.

    Attributes:
        send: as many bytes as come back.
    """

    send: bytes
    field: Field

    @classmethod
    def parse(cls, text: str) -> Transfer:
        """Read its description. Raises ValueError with what is expected."""
        match = _SENT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"expected bytes to send, and the number in the answer, as {_EXAMPLE}")
        send = bytes(byte_of(each) for each in match[1].split())
        field = Field.parse(match[2])
        if field.end > len(send):
            raise ValueError(f"expected a number within the {len(send)} bytes of the answer, as many as are sent")
        return cls(send, field)


def _output(text: str) -> Output[Transfer]:
    return Output.parse(text, Transfer.parse, reads_itself=False)


class AnyTransfer(SpiChip, Described):
    """A chip that has no driver of its own: what is sent, and where the number is in the answer, are in the file."""

    oid = "rpispi.transfer"
    name = "SPI chip"
    product_name = "SPI chip"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"value": Limits()}
    expects = f"value_config_0, as {_EXAMPLE}, or level_config_0"

    setup = Option(Steps(), default=(), help="What is sent to the chip before all else, and after each failure")
    value = readable(Transfer.parse, "transfer", _EXAMPLE)
    level = writable(_output, "transfer", "0x30 0x00 at=0 u16be mask=0xfff: all that is sent", follows=None)

    def set_up(self) -> None:
        """Send what the file says."""
        for data in self.setup:
            self.transfer(data)

    def ask(self, place: Any, *, measured: bool) -> bytes:  # noqa: ARG002 - what is to be sent first is sent with it
        """The bytes that come back."""
        return self.transfer(place.send)

    def before(self, output: Output[Any]) -> bytes:
        """The bytes of the file."""
        send: bytes = output.place.send
        return send

    def tell(self, place: Any, data: bytes) -> None:  # noqa: ARG002 - it is in the data
        """Send them."""
        self.transfer(data)
