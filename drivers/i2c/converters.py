"""Chips that measure voltages and currents. Sources: the data sheets of ADS1115 and INA219."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Final

from drivers.dividers import divider
from drivers.filters import Limits
from drivers.i2c.chip import I2cAddress, I2cChip
from janitoo_actors.api import Choice, Genre, Instance, Instances, Number, Option, TemporaryError, Value

_LOST: Final = (
    "the chip has not kept its settings ({found:#06x} for {expected:#06x}): it has lost its power for a moment, or its "
    "wires are bad"
)
_LONGEST: Final = 0.1
"""Seconds that a conversion may take; by the settings here, it is 8 ms at most."""

# -- ADS1115 ----------------------------------------------------------------------------------------------------------

_CONVERSION: Final = 0x00
_CONFIG: Final = 0x01
_CHANNELS: Final = {"0-1": 0, "0-3": 1, "1-3": 2, "2-3": 3, "0": 4, "1": 5, "2": 6, "3": 7}
_START: Final = 0x8000
_SINGLE: Final = 0x0100
_RATE_128: Final = 0x0080
_NO_COMPARATOR: Final = 0x0003


class Range(StrEnum):
    """How many volts are full scale, to either side."""

    V6 = "6.144"
    V4 = "4.096"
    V2 = "2.048"
    V1 = "1.024"
    V05 = "0.512"
    V025 = "0.256"


def _channel(text: str) -> int:
    try:
        return _CHANNELS[text.strip()]
    except KeyError:
        raise ValueError(f"expected a channel: one of {', '.join(_CHANNELS)}") from None


class Ads1115(I2cChip):
    """Four voltages against ground, or differences of two, with 16 bits."""

    oid = "rpii2c.ads1115"
    name = "ADS1115"
    product_name = "ADS1115 analog-digital converter"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"voltage": Limits()}

    address = Option(I2cAddress(), default=0x48, help="The address of the chip: 0x48 to 0x4b")
    range = Option(
        Choice(Range), default=Range.V4, help="The voltage that is full scale; never above that of the supply"
    )
    own_range = Option(
        Choice(Range),
        key="range",
        of="voltage",
        help="range of one instance",
        default_text="that of range",
        example=Range.V4,
    )
    scale, own_scale = divider("voltage")
    voltage = Value(
        "sensor_voltage",
        help="The voltage at an input",
        genre=Genre.BASIC,
        poll_delay=30,
        instances=Instances(
            label="channel",
            help="The input, as 0, or two of them, as 0-1",
            defaults=("0", "1", "2", "3"),
            parse=_channel,
        ),
    )

    @voltage.reader
    def read_voltage(self, instance: Instance) -> float:
        """Volts. On the bus's thread; blocks for the bus and 8 ms.

        Raises:
            TemporaryError: the chip does not answer, or the voltage is out of its range.
        """
        return self.filtered("voltage", instance.index, lambda: self._convert(instance))

    def _convert(self, instance: Instance) -> float:
        self.ready()
        channel: int = instance.config
        full: Range = self.option("range", instance.index)
        gain = list(Range).index(full)
        config = _START | channel << 12 | gain << 9 | _SINGLE | _RATE_128 | _NO_COMPARATOR
        self._write(_CONFIG, config >> 8, config & 0xFF)
        due = time.monotonic() + _LONGEST
        while not (found := int.from_bytes(self._read(_CONFIG, 2), "big")) & _START:
            if time.monotonic() > due:
                self.lost()
                raise TemporaryError(f"the conversion takes longer than {_LONGEST:g} s")
            time.sleep(0.002)
        if found != config:
            self.lost()
            raise TemporaryError(_LOST.format(found=found, expected=config))
        raw = int.from_bytes(self._read(_CONVERSION, 2), "big", signed=True)
        if raw in {-0x8000, 0x7FFF}:
            raise TemporaryError(f"the voltage is out of the range of {full.value} V: choose a larger range")
        factor: float = self.option("scale", instance.index)
        return raw * float(full.value) / 0x8000 * factor


# -- INA219 -----------------------------------------------------------------------------------------------------------

_INA_CONFIG: Final = 0x00
_INA_SHUNT: Final = 0x01
_INA_BUS: Final = 0x02
_INA_SETTINGS: Final = 0x399F
"""32 V, 320 mV at the shunt, 12 bits, measuring all the time: as after its reset."""
_CONVERTED: Final = 0x02
_SHUNT_STEP: Final = 0.00001
_BUS_STEP: Final = 0.004
_SHUNT_MOST: Final = 0.32


class Ina219(I2cChip):
    """Voltage, current and power of a supply, by the voltage at a shunt.

    The current is computed here and not in the chip, whose calibration is lost with its power.
    """

    oid = "rpii2c.ina219"
    name = "INA219"
    product_name = "INA219 current sensor"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"voltage": Limits(0, 32), "current": Limits(), "power": Limits()}

    address = Option(I2cAddress(), default=0x40, help="The address of the chip: 0x40 to 0x4f")
    shunt = Option(Number(0.0001, 1000), default=0.1, help="The shunt, in ohms")
    voltage = Value("sensor_voltage", help="The voltage of the supply", genre=Genre.BASIC, poll_delay=30)
    current = Value("sensor_current", help="The current", genre=Genre.BASIC, poll_delay=30)
    power = Value("sensor_power", help="The power", genre=Genre.BASIC, poll_delay=30)

    def set_up(self) -> None:
        """Give it its settings."""
        self._write(_INA_CONFIG, _INA_SETTINGS >> 8, _INA_SETTINGS & 0xFF)

    @voltage.reader
    def read_voltage(self, instance: Instance) -> float:
        """Volts. On the bus's thread; blocks for the bus."""
        return self.filtered("voltage", instance.index, self._volts)

    @current.reader
    def read_current(self, instance: Instance) -> float:
        """Amperes, negative where they flow back. As `read_voltage`."""
        return self.filtered("current", instance.index, self._amperes)

    @power.reader
    def read_power(self, instance: Instance) -> float:
        """Watts. As `read_voltage`."""
        return self.filtered("power", instance.index, lambda: self._volts() * self._amperes())

    def _volts(self) -> float:
        return (self._converted() >> 3) * _BUS_STEP

    def _amperes(self) -> float:
        self._converted()
        volts = int.from_bytes(self._read(_INA_SHUNT, 2), "big", signed=True) * _SHUNT_STEP
        if abs(volts) >= _SHUNT_MOST:
            raise TemporaryError(f"{volts:g} V at the shunt is out of the range: choose a smaller shunt")
        return volts / self.shunt

    def _converted(self) -> int:
        """The register of the voltage, when the chip has measured since it has been set up.

        Its lowest bit says that the current or the power that the chip computes is out of range: they are not used.
        """
        self.ready()
        found = int.from_bytes(self._read(_INA_CONFIG, 2), "big")
        if found != _INA_SETTINGS:
            self.lost()
            raise TemporaryError(_LOST.format(found=found, expected=_INA_SETTINGS))
        due = time.monotonic() + _LONGEST
        while not (raw := int.from_bytes(self._read(_INA_BUS, 2), "big")) & _CONVERTED:
            if time.monotonic() > due:
                self.lost()
                raise TemporaryError(f"the chip has not measured within {_LONGEST:g} s")
            time.sleep(0.001)
        return raw
