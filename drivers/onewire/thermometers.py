"""The components of the bus `rpi1wire`: a thermometer by its address, and all that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final

import structlog

from drivers.filters import FilteredComponent, Limits
from drivers.onewire.bus import HIGHEST, LOWEST, OneWireBus, hexadd
from janitoo_actors.api import (
    ConfigurationError,
    Duration,
    Genre,
    Instance,
    Instances,
    Option,
    Setting,
    TemporaryError,
    Value,
)

# Of all kinds; the bus knows what each of them can measure.
_LIMITS: Final = Limits(LOWEST, HIGHEST, power_on=85.0, near=5.0)
_KERNEL: Final = 10.0
"""Seconds between two looks of the kernel for new sensors."""


class _Reader(FilteredComponent):
    """What reads sensors by their addresses."""

    product_type = "Temperature sensor"
    bus_class = OneWireBus
    bus: OneWireBus

    def open(self) -> None:
        """Tell the bus of it."""
        self.bus.readers.append(self)

    def close(self) -> None:
        """It reads no more."""
        if self in self.bus.readers:
            self.bus.readers.remove(self)

    def addresses(self) -> Iterable[str]:
        """Those that its configuration names."""
        raise NotImplementedError

    def believed_of(self, address: str, index: int, read: Callable[[], float]) -> float:
        """What the filter leaves of a reading of a sensor; where that is nothing, the error names the sensor."""
        try:
            return self.filtered("temperature", index, read)
        except TemporaryError as error:
            if address in str(error):
                raise
            raise TemporaryError(f"{address}: {error}") from error


class Ds18b20(_Reader):
    """A thermometer: DS18B20, DS18S20, DS1822, DS1825, DS28EA00, MAX31850K."""

    oid = "rpi1wire.ds18b20"
    name = "Thermometer"
    product_name = "1-Wire thermometer"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"temperature": _LIMITS}

    hexadd: Setting[str] = Setting(
        "config_string",
        default="",
        help="The address of the sensor, as 28-00000588806a; empty for the only one of the bus",
        parse=hexadd,
    )
    temperature = Value("sensor_temperature", help="The temperature", genre=Genre.BASIC, poll_delay=60)

    def addresses(self) -> Iterable[str]:
        """Its own, where it has one."""
        return [self.hexadd] if self.hexadd else []

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float:
        """°C. On the bus's thread; blocks for 0.8 s, and for as much again where it has to be read again.

        Raises:
            TemporaryError: the sensor is not there, or hangs, or its answer cannot be believed.
            ConfigurationError: it has no address, and there are several; or it has several.
        """
        return self.believed_of(self.hexadd, instance.index, self._read)

    def _read(self) -> float:
        if len(self.settings("hexadd")) > 1:
            raise ConfigurationError(
                "hexadd_1: expected hexadd_0 alone, as this is one sensor; rpi1wire.thermometers has several"
            )
        return self.bus.temperature(self.hexadd or self._only())

    def _only(self) -> str:
        found = self.bus.found()
        if len(found) > 1:
            raise ConfigurationError(f"there are several sensors: write hexadd_0 = one of {', '.join(found)}")
        if not found:
            raise TemporaryError("there is no sensor on the bus: is it plugged in?")
        return found[0]


class Thermometers(_Reader):
    """All thermometers of the bus that no other component names. A new one is found, and keeps its index for good.

    It is written to the file as `temperature_config_<index>`: first come those that the file has.
    """

    oid = "rpi1wire.thermometers"
    name = "Thermometers"
    product_name = "1-Wire thermometers"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"temperature": _LIMITS}

    search = Option(
        Duration(), default=_KERNEL, help="Seconds between two looks for new sensors; 0: only those of the file"
    )
    temperature = Value(
        "sensor_temperature",
        help="The temperatures of the sensors",
        genre=Genre.BASIC,
        poll_delay=60,
        instances=Instances(
            label="hexadd",
            help="The address of a sensor, as 28-00000588806a; empty for the next one that is found",
            defaults=("",),
            parse=hexadd,
        ),
    )

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        # What the file has, which may be more than is in force before the bus has been restarted.
        self._kept: list[str] = []
        self._unkept = ""

    def addresses(self) -> Iterable[str]:
        """Those of the file."""
        return [*self._configured(), *self._kept]

    def open(self) -> None:
        """Begin to look for sensors, when the other components are open too."""
        super().open()
        self._kept, self._unkept = [], ""
        if self.option("search"):
            self.after(0, self.look, key="first")
            self.every(self.option("search"), self.look)

    def close(self) -> None:
        """End that."""
        self.cancel("first")
        self.cancel()
        super().close()

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float | None:
        """°C; None where there is no sensor yet. On the bus's thread; blocks for 0.8 s and more, as `Ds18b20`.

        Raises:
            TemporaryError: the sensor is not there, or hangs, or its answer cannot be believed; or what has been found
                cannot be written to the file.
        """
        address = instance.config
        if not address:
            if self._unkept:
                raise TemporaryError(self._unkept)
            return None
        return self.believed_of(address, instance.index, lambda: self.bus.temperature(address))

    def look(self) -> None:
        """Look for sensors that nobody has yet, and have them in the file. On the bus's thread; blocks for the disk.

        Raises:
            TemporaryError: there is no bus, or the file cannot be written.
        """
        taken = {address for reader in self.bus.readers for address in reader.addresses()}
        fresh = [address for address in self.bus.found() if address not in taken]
        if not fresh:
            self._unkept = ""
            return
        texts = self._kept or self._configured()
        for address in fresh:
            if "" in texts:
                texts = [*texts]
                texts[texts.index("")] = address
            else:
                texts = [*texts, address]
        try:
            self.keep_instances("temperature", texts)
        except TemporaryError as error:
            self._unkept = f"{', '.join(fresh)} cannot be entered: {error}"
            raise
        self._kept, self._unkept = texts, ""
        structlog.get_logger().info("sensors_found", device=self.uuid, addresses=fresh)

    def _configured(self) -> list[str]:
        return [each.config for each in self.instances("temperature")]
