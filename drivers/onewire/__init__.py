"""The bus `rpi1wire`, and its thermometers."""

from drivers.onewire.bus import OneWireBus
from drivers.onewire.thermometers import Ds18b20, Thermometers

__all__ = ["Ds18b20", "OneWireBus", "Thermometers"]
