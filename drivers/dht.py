"""The bus `rpibasic`: DHT11, DHT22 and AM2302, by the kernel's own driver for them.

Their protocol counts microseconds, which no program can: the kernel's `dht11` does, and shows an IIO device. The pin is
said where that is set up, in the device tree: `dtoverlay=dht11,gpiopin=4`.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

from drivers.filters import FilteredComponent, Limits
from janitoo_actors.api import (
    Bus,
    ConfigurationError,
    DevicePath,
    Genre,
    Hardware,
    Instance,
    Maybe,
    Option,
    Setting,
    TemporaryError,
    Value,
)

_IIO: Final = Path("/sys/bus/iio/devices")
_DRIVER: Final = "dht11"
"""What the kernel calls all of them."""
_PIN: Final = re.compile(r"dht11@([0-9a-f]+)")
_THOUSANDTH: Final = 1000.0
_TIMEOUT: Final = 3.0
"""Seconds. The kernel gives the sensor one."""
# What the kernel's driver means by its errors. Source: drivers/iio/humidity/dht11.c.
_MEANS: Final[Mapping[int | None, str]] = {
    errno.ETIMEDOUT: "does not answer: is it powered, wired to this pin, and its data line pulled up?",
    errno.EIO: "answers with a wrong checksum: check its wires, and the resistor that pulls its data line up",
}


class Sensor(StrEnum):
    """Which one it is; they measure different ranges."""

    DHT11 = "DHT11"
    DHT22 = "DHT22"
    AM2302 = "AM2302"


_RANGES: Final[Mapping[Sensor, tuple[Limits, Limits]]] = {
    Sensor.DHT11: (Limits(-20, 60), Limits(5, 95)),
    Sensor.DHT22: (Limits(-40, 80), Limits(0, 100)),
    Sensor.AM2302: (Limits(-40, 80), Limits(0, 100)),
}


class BasicBus(Bus):
    """A bus of what is at single pins, and has a driver of the kernel."""

    oid = "rpibasic"
    name = "Sensors at pins"
    product_name = "Sensors at pins"

    def open(self) -> None:
        """There is nothing to open: each read opens its own file."""

    def close(self) -> None:
        """There is nothing to close."""


class Dht(FilteredComponent):
    """A sensor of temperature and humidity.

    Attributes:
        iio: where the kernel shows its IIO devices; another place in tests.
    """

    oid = "rpibasic.dht"
    name = "Ambiance"
    product_name = "DHT temperature and humidity sensor"
    product_type = "Temperature/humidity sensor"
    bus_class = BasicBus
    iio: ClassVar[Path] = _IIO
    # A good checksum and an absurd value is what its users complain of most.
    filtered_values: ClassVar[Mapping[str, Limits]] = {
        "temperature": Limits(-40, 80, 10),
        "humidity": Limits(0, 100, 20),
    }

    pin: Setting[int] = Setting("config_integer", default=4, minimum=0, maximum=63, help="The pin, by its BCM number")
    sensor: Setting[str] = Setting(
        "config_list", default=Sensor.DHT22.value, list_items=[each.value for each in Sensor], help="Which sensor it is"
    )
    device = Option(
        Maybe(DevicePath()), default=None, help="The folder of its IIO device; empty: the one that has this pin"
    )
    temperature = Value("sensor_temperature", help="The temperature", genre=Genre.BASIC, poll_delay=60)
    humidity = Value("sensor_humidity", help="The relative humidity", genre=Genre.BASIC, poll_delay=60)

    def takes(self) -> Iterable[Hardware]:
        """The pin."""
        return [Hardware.gpio(self.setting("pin"))]

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float:
        """°C. On the bus's thread; blocks for the kernel, some hundredths of a second, and for 3 s at most.

        Raises:
            TemporaryError: the sensor does not answer, or what it says cannot be.
            ConfigurationError: there are several, and none is said to be at this pin.
        """
        return self.filtered("temperature", instance.index, lambda: self._measured("in_temp_input", 0))

    @humidity.reader
    def read_humidity(self, instance: Instance) -> float:
        """%. As `read_temperature`."""
        return self.filtered("humidity", instance.index, lambda: self._measured("in_humidityrelative_input", 1))

    def _measured(self, file: str, which: int) -> float:
        path = self._folder() / file
        sensor, pin = self.setting("sensor"), self.setting("pin")
        what = f"the {sensor} at pin {pin}"
        try:
            number = float(self.within(_TIMEOUT, what, lambda: _text(path), key=str(path))) / _THOUSANDTH
        except TemporaryError:
            # It is an OSError too, and says what it is.
            raise
        except OSError as error:
            means = _MEANS.get(error.errno, f"does not answer ({error.strerror}): check its wires")
            raise TemporaryError(f"{what} {means}") from error
        except ValueError as error:
            raise TemporaryError(f"{what} does not answer (what it says is no number): check its wires") from error
        limits = _RANGES[Sensor(self.setting("sensor"))][which]
        assert limits.minimum is not None
        assert limits.maximum is not None
        if not limits.minimum <= number <= limits.maximum:
            can = f"{limits.minimum:g} to {limits.maximum:g}"
            raise TemporaryError(f"{what} gives {number:g}, and a {sensor} can measure {can}: check sensor_0")
        return number

    def _folder(self) -> Path:
        """The IIO device of the sensor."""
        if self.device is not None:
            if not self.device.exists():
                raise TemporaryError(f"there is no {self.device}: {self._advice()}")
            return self.device
        found = [each for each in sorted(self.iio.glob("iio:device*")) if _name(each) == _DRIVER]
        pin = self.setting("pin")
        at_pin = [each for each in found if _pin(each) == pin]
        if at_pin:
            return at_pin[0]
        if not found:
            raise TemporaryError(f"the kernel has no DHT: {self._advice()}")
        if len(found) == 1 and _pin(found[0]) is None:
            return found[0]
        pins = ", ".join(f"{each.name} at pin {_pin(each)}" for each in found)
        raise ConfigurationError(f"the kernel has no DHT at pin {pin}; there are: {pins} (pin_0, or device)")

    def _advice(self) -> str:
        return f"enable it with dtoverlay=dht11,gpiopin={self.setting('pin')} in /boot/firmware/config.txt"


def _text(path: Path) -> str:
    """What the kernel says. Blocks until the sensor has answered."""
    return path.read_text(encoding="ascii")


def _name(folder: Path) -> str:
    try:
        return (folder / "name").read_text(encoding="ascii").split("@")[0].strip()
    except OSError:
        # It has gone just now.
        return ""


def _pin(folder: Path) -> int | None:
    """The pin in the name of its node in the device tree, `dht11@4`; None where the kernel does not say."""
    try:
        match = _PIN.search(str((folder / "of_node").resolve(strict=True)))
    except OSError:
        return None
    return int(match[1], 16) if match is not None else None
