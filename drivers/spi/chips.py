"""Chips on an SPI bus. Sources: the data sheets of MCP3004/3008 and MCP3204/3208."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from drivers.dividers import divider
from drivers.filters import FilteredComponent, Limits
from drivers.spi.bus import SpiBus
from janitoo_actors.api import Genre, Hardware, Instance, Instances, Number, Option, TemporaryError, Value, Whole


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

    def set_up(self) -> None:
        """Give the chip its settings, when its device has been opened. Subclasses do; blocks for the bus."""

    def lost(self) -> None:
        """The chip has failed: it may have lost its power, and with it all settings."""
        SpiChip.close(self)

    def transfer(self, data: Sequence[int]) -> bytes:
        """Send bytes; those that came meanwhile. On the bus's thread; blocks for the bus.

        Raises:
            TemporaryError: it did not work.
            BusLostError: the device is gone.
        """
        if self._port is None:
            self._port = self.bus.connect(self.device, self.speed, self.mode)
            self.set_up()
        try:
            return bytes(self._port.xfer2(list(data)))
        except OSError as error:
            self.lost()
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
    scale, own_scale = divider("voltage")
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
        return self.filtered("voltage", instance.index, lambda: self._convert(instance))

    def request(self, channel: int) -> tuple[int, int, int]:
        """What asks for a single-ended conversion."""
        return 1, 8 + channel << 4, 0

    def _convert(self, instance: Instance) -> float:
        answer = self.transfer(self.request(instance.config))
        low = self.bits - 8
        if answer[1] >> low & 1:
            # Before the number comes a zero: with no chip there, the line stays high.
            raise TemporaryError(f"no {self.name} answers at chip select {self.device}: is it wired and powered?")
        raw = (answer[1] & (1 << low) - 1) << 8 | answer[2]
        factor: float = self.option("scale", instance.index)
        return raw * self.reference / (1 << self.bits) * factor


class Mcp3208(Mcp3008):
    """Eight voltages, with 12 bits."""

    oid = "rpispi.mcp3208"
    name = "MCP3208"
    product_name = "MCP3208 analog-digital converter"
    bits = 12

    def request(self, channel: int) -> tuple[int, int, int]:
        """What asks for a single-ended conversion."""
        return 6 | channel >> 2, (channel & 3) << 6, 0
