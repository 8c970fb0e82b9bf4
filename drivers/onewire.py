"""The bus `rpi1wire`: thermometers on the kernel's 1-Wire bus, on w1thermsensor."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Final

from drivers.filters import FilteredComponent, Limits
from drivers.libraries import library
from janitoo_actors.api import (
    Bus,
    ConfigurationError,
    Genre,
    Hardware,
    Instance,
    Setting,
    TemporaryError,
    Value,
)

_DEVICES: Final = "/sys/bus/w1/devices"
_ENABLE: Final = "enable it with dtoverlay=w1-gpio in /boot/firmware/config.txt, and start the machine anew"
_ADDRESS: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{12}")
_RESET: Final = 85.0
"""°C. What a thermometer gives that has just been powered, and has not measured yet."""
_NEAR: Final = 5.0
"""°C. From this near, it may be as warm as that."""


def _hexadd(text: str) -> str:
    """An address as the kernel writes it; empty for the only sensor of the bus."""
    address = text.strip().lower()
    if address and _ADDRESS.fullmatch(address) is None:
        raise ValueError("expected the address of a sensor, as 28-00000588806a")
    return address


class OneWireBus(Bus):
    """The 1-Wire bus of the kernel. Sensors come and go on it; none keeps the others from being read."""

    oid = "rpi1wire"
    name = "1-Wire bus"
    requires = ("w1thermsensor",)

    rpi1wire_sensors_dir: Setting[str] = Setting(
        "config_string", default=_DEVICES, help="The folder in which the kernel shows the sensors"
    )
    sensors = Value(
        "sensor_string", help="The addresses of the sensors that are there", genre=Genre.BASIC, poll_delay=300
    )

    _library: ModuleType | None = None
    _sensor_class: Any = None

    def takes(self) -> Iterable[Hardware]:
        """The folder, which others may read too."""
        return [Hardware.reads(self.setting("rpi1wire_sensors_dir"), _ENABLE)]

    def open(self) -> None:
        """Get hold of the library.

        Raises:
            PermanentError: it is not installed.
            TemporaryError: the kernel has no 1-Wire bus now.
        """
        # Otherwise it calls modprobe when it is imported, sleeps for a second, and fails.
        os.environ["W1THERMSENSOR_NO_KERNEL_MODULE"] = "1"
        self._library = library("w1thermsensor", self.oid)
        # It has its folder on the class. Each bus has a class of its own.
        folder = Path(self.setting("rpi1wire_sensors_dir"))
        self._sensor_class = type("Sensor", (self._library.W1ThermSensor,), {"BASE_DIRECTORY": folder})
        self.found()

    def close(self) -> None:
        """There is nothing to close: each read opens its own file."""

    @sensors.reader
    def read_sensors(self, _instance: Instance) -> str:
        """Their addresses, with spaces between them. On the bus's thread; blocks for the kernel."""
        return " ".join(self.found())

    def found(self) -> list[str]:
        """The addresses of the sensors that are there.

        Raises:
            TemporaryError: there is no bus.
        """
        folder = Path(self.setting("rpi1wire_sensors_dir"))
        try:
            names = sorted(each.name for each in folder.iterdir())
        except OSError as error:
            raise TemporaryError(f"there is no 1-Wire bus ({folder}: {error.strerror}): {_ENABLE}") from error
        return [name for name in names if _ADDRESS.fullmatch(name)]

    def temperature(self, address: str) -> float | None:
        """°C of a sensor; None where it says what it says after its power has come. Blocks for 0.8 s.

        Raises:
            TemporaryError: it is not there, or its answer is of no use.
        """
        assert self._library is not None
        errors = self._library.errors
        family, _, number = address.partition("-")
        try:
            kind = self._library.Sensor.from_id_string(family)
        except ValueError as error:
            raise ConfigurationError(f"{address}: there is no thermometer of the family {family}") from error
        try:
            celsius: float = self._sensor_class(kind, number).get_temperature()
        except errors.NoSensorFoundError as error:
            others = ", ".join(self.found()) or "none"
            raise TemporaryError(f"{address} is not on the bus: is it plugged in? There are: {others}") from error
        except errors.SensorNotReadyError as error:
            raise TemporaryError(f"{address} answers with a wrong checksum: check its wires") from error
        except errors.ResetValueError:
            return None
        except (IndexError, ValueError) as error:
            # A UnicodeDecodeError is a ValueError too.
            raise TemporaryError(f"{address} answers with what is no reading") from error
        return celsius


class Ds18b20(FilteredComponent):
    """A thermometer: DS18B20, DS18S20, DS1822, DS1825, DS28EA00, MAX31850K."""

    oid = "rpi1wire.ds18b20"
    name = "Thermometer"
    product_name = "1-Wire thermometer"
    product_type = "Temperature sensor"
    bus_class = OneWireBus
    bus: OneWireBus
    filtered_values: ClassVar[Mapping[str, Limits]] = {"temperature": Limits(-55, 125)}

    hexadd: Setting[str] = Setting(
        "config_string",
        default="",
        help="The address of the sensor, as 28-00000588806a; empty for the only one of the bus",
        parse=_hexadd,
    )
    temperature = Value("sensor_temperature", help="The temperature", genre=Genre.BASIC, poll_delay=60)

    _last: float | None = None

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float:
        """°C. On the bus's thread; blocks for 0.8 s, and for as much again where it has to be read again.

        Raises:
            TemporaryError: the sensor is not there, or its answer cannot be believed.
            ConfigurationError: it has no address, and there are several.
        """
        self._last = self.filtered("temperature", instance.index, self._read)
        return self._last

    def _read(self) -> float:
        address = self.setting("hexadd") or self._only()
        celsius = self.bus.temperature(address)
        if celsius is not None:
            return celsius
        if self._last is not None and abs(self._last - _RESET) <= _NEAR:
            return _RESET
        raise TemporaryError(f"{address} gives {_RESET:g} °C, as it does when its power has just come: not believed")

    def _only(self) -> str:
        found = self.bus.found()
        if len(found) > 1:
            raise ConfigurationError(f"there are several sensors: write hexadd_0 = one of {', '.join(found)}")
        if not found:
            raise TemporaryError("there is no sensor on the bus: is it plugged in?")
        return found[0]
