"""Bosch's sensors of pressure, temperature and humidity. Sources: the data sheets of BMP180, BMP280 and BME280."""

from __future__ import annotations

import itertools
import math
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from drivers.filters import Limits
from drivers.i2c.chip import I2cAddress, I2cChip
from janitoo_actors.api import ConfigurationError, Genre, Instance, Option, TemporaryError, Value

_FRESH: Final = 0.5
"""Seconds for which one measurement serves all values of a chip: they are polled one after the other."""
_PRESSURE: Final = Limits(30_000, 110_000)

# -- BME280 and BMP280 ------------------------------------------------------------------------------------------------

_ID: Final = 0xD0
_CALIBRATION: Final = 0x88
_CALIBRATION_H: Final = 0xE1
_CONTROL_HUMIDITY: Final = 0xF2
_STATUS: Final = 0xF3
_CONTROL: Final = 0xF4
_CONFIG: Final = 0xF5
_DATA: Final = 0xF7
_CHIPS: Final = {
    **dict.fromkeys((0x56, 0x57, 0x58), "a BMP280"),
    0x60: "a BME280",
    0x55: "a BMP180",
    0x61: "a BME680",
    0x50: "a BMP388",
}
_NOBODY: Final = frozenset({0x00, 0xFF})
"""What a line gives that nobody drives, or that is held low."""
_FORCED: Final = 0x25
"""Temperature and pressure measured once, in forced mode."""
_MEASURING: Final = 0x08
_COPYING: Final = 0x01
"""It is still getting its calibration, as for a moment after its power has come."""
_LONGEST: Final = 0.1
"""Seconds that a measurement may take; by the data sheet it is 9.3 ms."""
_NONE: Final = frozenset({0, 0x80000, 0xFFFFF})
"""No measurements: the middle one is what the chip gives where it has made none; and of humidity:"""
_NO_HUMIDITY: Final = frozenset({0, 0x8000, 0xFFFF})


class BoschChip(I2cChip):
    """A chip that has its own number.

    Attributes:
        chip_ids: which it may have.
    """

    chip_ids: ClassVar[tuple[int, ...]] = ()

    def set_up(self) -> None:
        """Check the chip.

        Raises:
            TemporaryError: it does not say what it is.
            ConfigurationError: it is another one.
        """
        (chip,) = self._read(_ID, 1)
        if chip in _NOBODY:
            raise TemporaryError(
                f"what is at {self._at:#04x} says {chip:#04x} and not which chip it is: check its wires"
            )
        if chip not in self.chip_ids:
            found = _CHIPS.get(chip, f"an unknown chip ({chip:#04x})")
            raise ConfigurationError(f"there is {found} at {self._at:#04x}, and no {self.name}: configure that one")


_NO_CALIBRATION: Final = "the calibration of the chip is not readable: check its wires"


@dataclass(frozen=True, slots=True)
class Trimming:
    """The calibration of one BME280 or BMP280, as it is in the chip: `dig_T1` to `dig_H6`."""

    t: tuple[int, ...]
    p: tuple[int, ...]
    h: tuple[int, ...] = ()

    @classmethod
    def read(cls, first: bytes, humid: bytes = b"") -> Trimming:
        """From the 26 bytes at 0x88, and the 7 at 0xE1 of a BME280. TemporaryError where that is none."""
        numbers = struct.unpack("<HhhHhhhhhhhh", first[:24])
        # T1 and P1, in the middle of their ranges in all chips.
        if {numbers[0], numbers[3]} & {0, 0xFFFF} or humid[:2] in {b"\0\0", b"\xff\xff"}:
            raise TemporaryError(_NO_CALIBRATION)
        h: tuple[int, ...] = ()
        if humid:
            h2, h3, e4, e5, e6, h6 = struct.unpack("<hBbBbb", humid)
            h = (first[25], h2, h3, e4 << 4 | e5 & 0x0F, e6 << 4 | e5 >> 4, h6)
        return cls(numbers[:3], numbers[3:], h)

    def fine(self, raw: int) -> float:
        """`t_fine`, from the raw temperature."""
        t1, t2, t3 = self.t
        return (raw / 16384 - t1 / 1024) * t2 + (raw / 131072 - t1 / 8192) ** 2 * t3

    def pressure(self, raw: int, fine: float) -> float:
        """Pa."""
        p1, p2, p3, p4, p5, p6, p7, p8, p9 = self.p
        one = fine / 2 - 64000
        two = one * one * p6 / 32768 + one * p5 * 2
        two = two / 4 + p4 * 65536
        one = (p3 * one * one / 524288 + p2 * one) / 524288
        one = (1 + one / 32768) * p1
        if one == 0:
            raise TemporaryError(_NO_CALIBRATION)
        pressure = (1048576 - raw - two / 4096) * 6250 / one
        return pressure + (p9 * pressure * pressure / 2147483648 + pressure * p8 / 32768 + p7) / 16

    def humidity(self, raw: int, fine: float) -> float:
        """%."""
        h1, h2, h3, h4, h5, h6 = self.h
        h = fine - 76800
        h = (raw - (h4 * 64 + h5 / 16384 * h)) * (h2 / 65536 * (1 + h6 / 67108864 * h * (1 + h3 / 67108864 * h)))
        return min(max(h * (1 - h1 * h / 524288), 0.0), 100.0)


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    temperature: float
    pressure: float
    humidity: float


class Bmp280(BoschChip):
    """Temperature and pressure."""

    oid = "rpii2c.bmp280"
    name = "BMP280"
    product_name = "BMP280 temperature and pressure sensor"
    chip_ids: ClassVar[tuple[int, ...]] = (0x56, 0x57, 0x58)
    is_humid = False
    filtered_values: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(-40, 85), "pressure": _PRESSURE}

    address = Option(I2cAddress(), default=0x76, help="The address of the chip: 0x76 or 0x77")
    temperature = Value("sensor_temperature", help="The temperature", genre=Genre.BASIC, poll_delay=60)
    pressure = Value("sensor_pressure", help="The air pressure here", genre=Genre.BASIC, poll_delay=60)

    _trimming: Trimming | None = None
    _sample: _Sample | None = None

    def set_up(self) -> None:
        """Check the chip, read its calibration, and have it sleep between measurements."""
        super().set_up()
        self._wait_for(_COPYING, "it does not get its calibration ready")
        humid = self._read(_CALIBRATION_H, 7) if self.is_humid else b""
        self._trimming = Trimming.read(self._read(_CALIBRATION, 26), humid)
        # Asleep, as it may pass over its configuration otherwise.
        self._write(_CONTROL, 0)
        self._write(_CONFIG, 0)

    def lost(self) -> None:
        """Its measurement is of no use any more."""
        super().lost()
        self._sample = None

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float:
        """°C. On the bus's thread; blocks for the bus, and for 10 ms where the chip has to measure."""
        return self._filtered("temperature", instance, lambda sample: sample.temperature)

    @pressure.reader
    def read_pressure(self, instance: Instance) -> float:
        """Pa. As `read_temperature`."""
        return self._filtered("pressure", instance, lambda sample: sample.pressure)

    def _filtered(self, uuid: str, instance: Instance, part: Callable[[_Sample], float]) -> float:
        tries = itertools.count()

        def read() -> float:
            if next(tries):
                # What was refused is not to be read again, but measured.
                self._sample = None
            return part(self._measured())

        return self.filtered(uuid, instance.index, read)

    def _measured(self) -> _Sample:
        """What the chip has measured just now."""
        sample = self._sample
        if sample is None or time.monotonic() - sample.at > _FRESH:
            self.ready()
            sample = self._sample = self._measure()
        return sample

    def _measure(self) -> _Sample:
        if self.is_humid:
            self._write(_CONTROL_HUMIDITY, 1)
        self._write(_CONTROL, _FORCED)
        self._wait_for(_MEASURING, "the measurement takes too long")
        data = self._read(_DATA, 8 if self.is_humid else 6)
        raw_pressure = data[0] << 12 | data[1] << 4 | data[2] >> 4
        raw_temperature = data[3] << 12 | data[4] << 4 | data[5] >> 4
        raw_humidity = data[6] << 8 | data[7] if self.is_humid else 0
        skipped = {raw_temperature, raw_pressure} & _NONE or (self.is_humid and raw_humidity in _NO_HUMIDITY)
        if skipped or self._trimming is None:
            self.lost()
            raise TemporaryError("the chip has not measured: it may have lost its power for a moment")
        fine = self._trimming.fine(raw_temperature)
        humidity = self._trimming.humidity(raw_humidity, fine) if self.is_humid else math.nan
        return _Sample(time.monotonic(), fine / 5120, self._trimming.pressure(raw_pressure, fine), humidity)

    def _wait_for(self, bit: int, problem: str) -> None:
        """Wait until a bit of the status is gone."""
        due = time.monotonic() + _LONGEST
        while self._read(_STATUS, 1)[0] & bit:
            if time.monotonic() > due:
                self.lost()
                raise TemporaryError(f"{problem}: more than {_LONGEST:g} s")
            time.sleep(0.002)


class Bme280(Bmp280):
    """Temperature, pressure and humidity."""

    oid = "rpii2c.bme280"
    name = "BME280"
    product_name = "BME280 temperature, pressure and humidity sensor"
    chip_ids = (0x60,)
    is_humid = True
    filtered_values: ClassVar[Mapping[str, Limits]] = {"humidity": Limits(0, 100)}

    humidity = Value("sensor_humidity", help="The relative humidity", genre=Genre.BASIC, poll_delay=60)

    @humidity.reader
    def read_humidity(self, instance: Instance) -> float:
        """%. As `read_temperature`."""
        return self._filtered("humidity", instance, lambda sample: sample.humidity)


# -- BMP180 -----------------------------------------------------------------------------------------------------------

_CALIBRATION_180: Final = 0xAA
_CONTROL_180: Final = 0xF4
_DATA_180: Final = 0xF6
_TEMPERATURE_180: Final = 0x2E
_PRESSURE_180: Final = 0x34
_HIGH_BIT: Final = 0x80000000
_NO_NUMBER: Final = "the chip gives numbers that cannot be: check its wires"
_WAIT_180: Final = (0.005, 0.008, 0.014, 0.026)
"""Seconds of a measurement of pressure, by oversampling; of temperature, the first."""


@dataclass(frozen=True, slots=True)
class Calibration180:
    """The calibration of one BMP180: AC1 to AC6, B1, B2, MB, MC, MD."""

    ac: tuple[int, ...]
    b: tuple[int, ...]
    mc: int
    md: int

    @classmethod
    def read(cls, data: bytes) -> Calibration180:
        """From the 22 bytes at 0xAA."""
        numbers = struct.unpack(">hhhHHHhhhhh", data)
        if any(each in {0, -1, 0xFFFF} for each in numbers):
            # By the data sheet, none of them is: the communication is broken.
            raise TemporaryError(_NO_CALIBRATION)
        return cls(numbers[:6], numbers[6:8], numbers[9], numbers[10])

    def b5(self, raw: int) -> int:
        """From the raw temperature; a sixteenth of it is tenths of °C. TemporaryError where that cannot be."""
        one = (raw - self.ac[5]) * self.ac[4] >> 15
        if one + self.md == 0:
            raise TemporaryError(_NO_NUMBER)
        return one + (self.mc << 11) // (one + self.md)

    def pressure(self, raw: int, b5: int, oversampling: int) -> int:
        """Pa. TemporaryError where that cannot be."""
        ac1, ac2, ac3, ac4 = self.ac[:4]
        b6 = b5 - 4000
        x3 = (self.b[1] * (b6 * b6 >> 12) >> 11) + (ac2 * b6 >> 11)
        b3 = ((ac1 * 4 + x3 << oversampling) + 2) // 4
        x3 = (ac3 * b6 >> 13) + (self.b[0] * (b6 * b6 >> 12) >> 16) + 2 >> 2
        b4 = ac4 * (x3 + 32768) >> 15
        if b4 == 0:
            raise TemporaryError(_NO_NUMBER)
        b7 = (raw - b3) * (50000 >> oversampling)
        p = b7 * 2 // b4 if b7 < _HIGH_BIT else b7 // b4 * 2
        x1 = (p >> 8) * (p >> 8)
        x1 = x1 * 3038 >> 16
        x2 = -7357 * p >> 16
        return p + (x1 + x2 + 3791 >> 4)


class Bmp180(BoschChip):
    """Temperature and pressure, of an older kind."""

    oid = "rpii2c.bmp180"
    name = "BMP180"
    product_name = "BMP180 temperature and pressure sensor"
    chip_ids = (0x55,)
    oversampling: Final = 3
    filtered_values: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(-40, 85), "pressure": _PRESSURE}

    address = Option(I2cAddress(), default=0x77, help="The address of the chip: 0x77")
    temperature = Value("sensor_temperature", help="The temperature", genre=Genre.BASIC, poll_delay=60)
    pressure = Value("sensor_pressure", help="The air pressure here", genre=Genre.BASIC, poll_delay=60)

    _calibration: Calibration180 | None = None

    def set_up(self) -> None:
        """Check the chip, and read its calibration."""
        super().set_up()
        self._calibration = Calibration180.read(self._read(_CALIBRATION_180, 22))

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float:
        """°C. On the bus's thread; blocks for the bus and 5 ms."""
        return self.filtered("temperature", instance.index, lambda: (self._b5() + 8 >> 4) / 10)

    @pressure.reader
    def read_pressure(self, instance: Instance) -> float:
        """Pa. On the bus's thread; blocks for the bus and 31 ms."""
        return self.filtered("pressure", instance.index, self._pressure)

    def _b5(self) -> int:
        self.ready()
        assert self._calibration is not None
        self._write(_CONTROL_180, _TEMPERATURE_180)
        time.sleep(_WAIT_180[0])
        return self._calibration.b5(int.from_bytes(self._read(_DATA_180, 2), "big"))

    def _pressure(self) -> float:
        b5 = self._b5()
        assert self._calibration is not None
        self._write(_CONTROL_180, _PRESSURE_180 | self.oversampling << 6)
        time.sleep(_WAIT_180[self.oversampling])
        raw = int.from_bytes(self._read(_DATA_180, 3), "big") >> 8 - self.oversampling
        return float(self._calibration.pressure(raw, b5, self.oversampling))
