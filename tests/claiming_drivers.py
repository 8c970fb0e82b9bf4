"""Drivers for the tests that claim devices of the machine, without touching any.

As a program (`python -m claiming_drivers run FILE`) it is `janitoo` with these drivers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from faulty_drivers import FaultyBus, Sensor
from janitoo_actors.api import Hardware, Setting
from janitoo_actors.configuration.registry import Registry


class HatBus(FaultyBus):
    """A bus on an I2C adapter."""

    oid = "hat"
    adapter = Setting[int]("config_integer", default=1, help="The I2C adapter")

    def takes(self) -> Iterable[Hardware]:
        """Take the adapter."""
        return [Hardware.i2c(self.setting("adapter"))]


class Relay(Sensor):
    """A component at a GPIO pin."""

    oid = "hat.relay"
    pin = Setting[int]("config_integer", default=17, help="The pin")

    def open(self) -> None:
        """Claim the pin, as a driver that has to look for it."""
        self.claim(Hardware.gpio(self.setting("pin")))
        super().open()


def registry() -> Registry:
    """These drivers."""
    return Registry({"hat": HatBus}, {"hat.relay": Relay})


def main(arguments: Sequence[str]) -> int:
    """Run `janitoo` with these drivers."""
    from janitoo_actors.commands import main as program

    # What is installed is what entry points say; these drivers are installed nowhere.
    Registry.installed = staticmethod(registry)  # type: ignore[method-assign, assignment]
    return program.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
