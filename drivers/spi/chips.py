"""Chips on an SPI bus. Sources: the data sheets of MCP3004/3008 and MCP3204/3208."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from drivers.fields import Field
from drivers.filters import FilteredComponent, Limits
from drivers.spi.bus import SpiBus
from janitoo_actors.api import Genre, Hardware, Instance, Instances, Number, Option, TemporaryError, Value, Whole

_BYTE: Final = 0xFF


class SpiChip(FilteredComponent):
    """A chip: its device is opened when it is first read, and again after each failure."""

    bus_class = SpiBus
    bus: SpiBus
    device = Option(Whole(0, 255), default=0, help="Its chip select: 0 for /dev/spidev0.0")
    speed = Option(Whole(1_000, 125_000_000), default=1_000_000, help="The clock, in hertz")
    mode = Option(Whole(0, 3), default=0, help="The SPI mode: polarity and phase of the clock")

    _port: Any = None

    def takes(self) -> Iterable[Hardware]:
        """Its chip select, on the bus that its section is of."""
        return [Hardware.spi(self.bus.busnum, self.device)]

    def close(self) -> None:
        """Close its device."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def transfer(self, data: Sequence[int]) -> bytes:
        """Send bytes; those that came meanwhile. On the bus's thread; blocks for the bus.

        Raises:
            TemporaryError: it did not work.
            BusLostError: the device is gone.
        """
        if self._port is None:
            self._port = self.bus.connect(self.device, self.speed, self.mode)
        try:
            return bytes(self._port.xfer2(list(data)))
        except OSError as error:
            self.close()
            raise self.bus.failure(error, self.device) from error


def _channel(text: str) -> int:
    if not text.strip().isdecimal() or int(text) > 7:  # noqa: PLR2004 - eight inputs
        raise ValueError("expected an input from 0 to 7")
    return int(text)


class Mcp3008(SpiChip):
    """Eight voltages, with 10 bits."""

    oid = "rpispi.mcp3008"
    name = "MCP3008"
    product_name = "MCP3008 analog-digital converter"
    bits: ClassVar[int] = 10
    filtered_values: ClassVar[Mapping[str, Limits]] = {"voltage": Limits()}

    reference = Option(Number(0.1, 7), default=3.3, help="The reference voltage: what a full reading is")
    voltage = Value(
        "sensor_voltage",
        help="The voltage at an input",
        genre=Genre.BASIC,
        poll_delay=30,
        instances=Instances(
            label="channel", help="The number of the input", defaults=tuple("01234567"), parse=_channel
        ),
    )

    @voltage.reader
    def read_voltage(self, instance: Instance) -> float:
        """Volts. On the bus's thread; blocks for the bus.

        Raises:
            TemporaryError: there is no chip, or the bus does not work.
        """
        return self.filtered("voltage", instance.index, lambda: self._convert(instance.config))

    def request(self, channel: int) -> tuple[int, int, int]:
        """What asks for a single-ended conversion."""
        return 1, 8 + channel << 4, 0

    def _convert(self, channel: int) -> float:
        answer = self.transfer(self.request(channel))
        low = self.bits - 8
        if answer[1] >> low & 1:
            # Before the number comes a zero: with no chip there, the line stays high.
            raise TemporaryError(f"no {self.name} answers at chip select {self.device}: is it wired and powered?")
        raw = (answer[1] & (1 << low) - 1) << 8 | answer[2]
        return raw * self.reference / (1 << self.bits)


class Mcp3208(Mcp3008):
    """Eight voltages, with 12 bits."""

    oid = "rpispi.mcp3208"
    name = "MCP3208"
    product_name = "MCP3208 analog-digital converter"
    bits = 12

    def request(self, channel: int) -> tuple[int, int, int]:
        """What asks for a single-ended conversion."""
        return 6 | channel >> 2, (channel & 3) << 6, 0


@dataclass(frozen=True, slots=True)
class Transfer:
    """Bytes to send, and the number in the answer: `0x01 0x80 0x00 at=1 u16be mask=0x3ff`.

    Attributes:
        send: as many bytes as come back.
        at: the first byte of the number.
    """

    send: bytes
    at: int
    field: Field

    @classmethod
    def parse(cls, text: str) -> Transfer:
        """Read its description. Raises ValueError with what is expected."""
        head, found, tail = text.partition("at=")
        place, _, rest = tail.strip().partition(" ")
        try:
            send = bytes(int(each, 0) for each in head.split())
            at = int(place, 0)
        except ValueError:
            raise ValueError("expected bytes to send, then at= and a type, as 0x01 0x80 0x00 at=1 u16be") from None
        if not found or not send:
            raise ValueError("expected bytes to send, then at= and a type, as 0x01 0x80 0x00 at=1 u16be")
        field = Field.parse(rest.strip() or "u8")
        if at < 0 or at + field.size > len(send):
            raise ValueError(f"expected a number within the {len(send)} bytes of the answer")
        return cls(send, at, field)


class AnyTransfer(SpiChip):
    """A chip that has no driver of its own: what is sent, and where the number is in the answer, are in the file."""

    oid = "rpispi.transfer"
    name = "SPI chip"
    product_name = "SPI chip"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"value": Limits()}

    value = Value(
        "sensor_float",
        help="The number in the answer",
        genre=Genre.BASIC,
        poll_delay=60,
        instances=Instances(
            label="transfer",
            help="Bytes to send and where the number is, as 0x01 0x80 0x00 at=1 u16be mask=0x3ff scale=0.0032",
            defaults=("0x00 at=0 u8",),
            parse=Transfer.parse,
        ),
    )

    @value.reader
    def read_value(self, instance: Instance) -> float:
        """The number. On the bus's thread; blocks for the bus."""
        transfer: Transfer = instance.config
        return self.filtered(
            "value", instance.index, lambda: transfer.field.decode(self.transfer(transfer.send)[transfer.at :])
        )
