"""The bus `rpi1wire`: the kernel's 1-Wire bus, on w1thermsensor."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final, Protocol

from drivers.libraries import library
from janitoo_actors.api import Bus, Duration, Genre, Hardware, Instance, Option, Setting, TemporaryError, Value

_DEVICES: Final = "/sys/bus/w1/devices"
_ENABLE: Final = "enable it with dtoverlay=w1-gpio in /boot/firmware/config.txt, and start the machine anew"
_TIMEOUT: Final = 3.0
_NO_MODULES: Final = "W1THERMSENSOR_NO_KERNEL_MODULE"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thermometer, and what it can measure, in °C."""

    name: str
    lowest: float = -55.0
    highest: float = 125.0


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "10": Kind("DS18S20"),
        "22": Kind("DS1822"),
        "28": Kind("DS18B20"),
        "3b": Kind("DS1825"),
        "42": Kind("DS28EA00"),
    }
)
"""The kinds by their family, with which an address begins."""
# A thermocouple; it has the family of the DS1825. Source: its data sheet, and the kernel's `w1_therm`.
_MAX31850: Final = Kind("MAX31850K", -270.0, 1372.0)
LOWEST: Final = _MAX31850.lowest
HIGHEST: Final = _MAX31850.highest
_FAMILY: Final = "3b"
_FAULTS: Final = ("is not connected", "is short-circuited to ground", "is short-circuited to its supply")
"""Of a thermocouple, by the bits of the third byte."""
_ADDRESS: Final = re.compile(rf"({'|'.join(KINDS)})-[0-9a-f]{{12}}")


def hexadd(text: str) -> str:
    """An address as the kernel writes it; empty where there is none."""
    address = text.strip().lower()
    if address and _ADDRESS.fullmatch(address) is None:
        *most, last = KINDS
        families = f"{', '.join(most)} or {last}"
        raise ValueError(
            f"expected the address of a sensor, as 28-00000588806a: a family ({families}), a hyphen and 12 digits"
        )
    return address


class Named(Protocol):
    """A component that has sensors of its own."""

    def addresses(self) -> Iterable[str]:
        """Those that its configuration names."""


class OneWireBus(Bus):
    """The 1-Wire bus of the kernel. Sensors come and go on it; none keeps the others from being read.

    Attributes:
        readers: the components that are open.
    """

    oid = "rpi1wire"
    name = "1-Wire bus"
    product_name = "1-Wire bus"
    requires = ("w1thermsensor",)

    rpi1wire_sensors_dir: Setting[str] = Setting(
        "config_string", default=_DEVICES, help="The folder in which the kernel shows the sensors"
    )
    timeout = Option(
        Duration(positive=True),
        default=_TIMEOUT,
        help="Seconds that the kernel has for a reading; never longer than 0.8 read_timeout",
    )
    sensors = Value(
        "sensor_string", help="The addresses of the sensors that are there", genre=Genre.BASIC, poll_delay=300
    )

    _library: ModuleType | None = None
    _sensor_class: Any = None
    _told: list[str] | None = None

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self.readers: list[Named] = []

    def takes(self) -> Iterable[Hardware]:
        """The folder, which others may read too."""
        return [Hardware.reads(self.setting("rpi1wire_sensors_dir"), _ENABLE)]

    def open(self) -> None:
        """Get hold of the library.

        Raises:
            PermanentError: it is not installed.
            TemporaryError: the kernel has no 1-Wire bus now.
        """
        with _loading_no_modules():
            self._library = library("w1thermsensor", self.oid)
        self._sensor_class = _sensor_class(self._library, Path(self.setting("rpi1wire_sensors_dir")))
        self.found()

    def close(self) -> None:
        """There is nothing to close: each read opens its own file."""

    @sensors.reader
    def read_sensors(self, _instance: Instance) -> str:
        """Their addresses, with spaces between them. On the bus's thread; blocks for the kernel."""
        self._told = self.found()
        return " ".join(self._told)

    def found(self) -> list[str]:
        """The addresses of the thermometers that are there. Where they are others than before, the network is told.

        Those that have been unplugged are there until the kernel looks for sensors the next time.

        Raises:
            TemporaryError: there is no bus.
        """
        folder = Path(self.setting("rpi1wire_sensors_dir"))
        try:
            names = sorted(each.name for each in folder.iterdir())
        except OSError as error:
            raise TemporaryError(f"there is no 1-Wire bus ({folder}: {error.strerror}): {_ENABLE}") from error
        found = [name for name in names if _ADDRESS.fullmatch(name)]
        if self._told is not None and found != self._told:
            self.changed("sensors")
        return found

    def temperature(self, address: str) -> float:
        """°C of a sensor. On the bus's thread; blocks for 0.8 s, and for `timeout` at most.

        Raises:
            TemporaryError: it is not there, or hangs, or its answer is of no use.
        """
        folder = Path(self.setting("rpi1wire_sensors_dir"), address)
        return self.within(self.option("timeout"), address, lambda: self._measured(address), key=str(folder))

    def _measured(self, address: str) -> float:
        """On a thread of its own."""
        assert self._library is not None
        errors = self._library.errors
        family, _, number = address.partition("-")
        try:
            sensor = self._sensor_class(self._library.Sensor.from_id_string(family), number)
            celsius = float(sensor.get_temperature())
            kind = KINDS[family]
            if family == _FAMILY:
                kind, celsius = _of_thermocouple(address, sensor.bytes(), celsius)
        except errors.NoSensorFoundError as error:
            raise TemporaryError(self._missing(address, error)) from error
        except errors.SensorNotReadyError as error:
            raise TemporaryError(
                f"{address} does not answer, or with a wrong checksum: is it plugged in? Check wires and resistor"
            ) from error
        except (IndexError, ValueError, OverflowError) as error:
            # The library's own parsing. A UnicodeDecodeError is a ValueError too.
            raise TemporaryError(f"{address} answers with what is no reading") from error
        if not kind.lowest <= celsius <= kind.highest:
            expected = f"{kind.lowest:g} to {kind.highest:g}"
            raise TemporaryError(f"{address} gives {celsius:g} °C: a {kind.name} can measure {expected}")
        return celsius

    def _missing(self, address: str, error: Exception) -> str:
        """Why the library finds no sensor: it says so of whatever it cannot read."""
        reason = error.__context__
        if isinstance(reason, OSError) and Path(self.setting("rpi1wire_sensors_dir"), address).exists():
            return f"{address} cannot be read: {reason.strerror}"
        others = ", ".join(self.found()) or "none"
        return f"{address} is not on the bus: is it plugged in? There are: {others}"


def _sensor_class(library: ModuleType, folder: Path) -> Any:
    """The library's class for the sensors of a folder. It has the folder on the class: each bus has one of its own."""

    def read(sensor: Any) -> list[str]:
        sensor.lines = library.W1ThermSensor.get_raw_sensor_strings(sensor)
        found: list[str] = sensor.lines
        return found

    def bytes_of(sensor: Any) -> list[int]:
        return [int(each, 16) for each in sensor.lines[1].split()[:9]]

    # What a sensor gives that has just been powered is an error in the library for most kinds, and a reading for
    # others: here it is a reading for all of them, which the filter knows.
    members = {
        "BASE_DIRECTORY": folder,
        "SENSOR_RESET_VALUE": math.nan,
        "get_raw_sensor_strings": read,
        "bytes": bytes_of,
    }
    return type("Sensor", (library.W1ThermSensor,), members)


def _of_thermocouple(address: str, scratchpad: list[int], celsius: float) -> tuple[Kind, float]:
    """What a sensor of the family 3b is, and its °C: the library takes a MAX31850K for a DS1825."""
    if not scratchpad[4] & 0x80:
        return KINDS[_FAMILY], celsius
    if scratchpad[0] & 1:
        faults = [text for bit, text in enumerate(_FAULTS) if scratchpad[2] >> bit & 1] or ["has a fault"]
        raise TemporaryError(f"the thermocouple at {address} {' and '.join(faults)}")
    # The lowest two bits are none of the temperature.
    return _MAX31850, math.floor(celsius * 4) / 4


@contextmanager
def _loading_no_modules() -> Iterator[None]:
    """The library calls modprobe when it is imported, sleeps for a second and fails, where this does not keep it."""
    before = os.environ.get(_NO_MODULES)
    os.environ[_NO_MODULES] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_MODULES]
        else:
            os.environ[_NO_MODULES] = before
