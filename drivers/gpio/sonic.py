"""Distances by ultrasound: HC-SR04 and its like."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import ClassVar, Final

from drivers.filters import FilteredComponent, Limits
from drivers.gpio.bus import GpioComponent, pin_setting
from janitoo_actors.api import Genre, Instance, TemporaryError, Value

_SPEED: Final = 343.0
"""Metres a second, at 20 °C."""
_PULSE: Final = 10e-6
_BEGINS: Final = 0.02
_LONGEST: Final = 0.04
"""Seconds until an echo must have begun, and ended: it is 38 ms long where there was none."""
_SAMPLES: Final = 3
_PAUSE: Final = 0.02
"""Seconds for which the echoes of a measurement die away."""


class Sonic(GpioComponent, FilteredComponent):
    """A sensor of distance. The median of some measurements counts: one that another thread held up is wrong."""

    oid = "rpigpio.sonic"
    name = "Distance"
    product_name = "Ultrasonic distance sensor"
    pin_settings = ("pin_trigger", "pin_echo")
    filtered_values: ClassVar[Mapping[str, Limits]] = {"distance": Limits(0.02, 4.5)}

    pin_trigger = pin_setting("The pin of the sensor's input Trig")
    pin_echo = pin_setting("The pin of the sensor's output Echo, behind a divider of its 5 V to 3.3 V")
    distance = Value("sensor_distance", help="The distance to what is before it", genre=Genre.BASIC, poll_delay=30)

    def set_up(self) -> None:
        """Have an output and an input."""
        gpio = self.bus.gpio
        self.setup(self.bcm("pin_trigger"), gpio.OUT, initial=gpio.LOW)
        self.setup(self.bcm("pin_echo"), gpio.IN)

    def give_back(self, pin: int) -> None:
        """Leave it as an input."""
        self.bus.gpio.cleanup(pin)

    @distance.reader
    def read_distance(self, instance: Instance) -> float:
        """Metres. On the bus's thread; blocks for a quarter of a second, and as long again for each wrong reading.

        Raises:
            TemporaryError: there is no echo, or it cannot be.
        """
        self.ready()
        return round(self.filtered("distance", instance.index, self._measured), 3)

    def _measured(self) -> float:
        with self.explained():
            seconds = [self._echo() for _ in range(_SAMPLES)]
        return statistics.median(seconds) * _SPEED / 2

    def _echo(self) -> float:
        """How long the echo lasts."""
        gpio, trigger = self.bus.gpio, self.bcm("pin_trigger")
        time.sleep(_PAUSE)
        gpio.output(trigger, gpio.HIGH)
        time.sleep(_PULSE)
        gpio.output(trigger, gpio.LOW)
        begin = self._wait(gpio.HIGH, _BEGINS, "does not begin: check the wires and the power of the sensor")
        return self._wait(gpio.LOW, _LONGEST, "does not end: there is nothing near enough") - begin

    def _wait(self, level: int, seconds: float, otherwise: str) -> float:
        """When the pin of the echo gets a level. It is looked at all the time: an edge on another thread comes late."""
        pin, read = self.bcm("pin_echo"), self.bus.gpio.input
        deadline = time.perf_counter() + seconds
        while True:
            now = time.perf_counter()
            if read(pin) == level:
                return now
            if now > deadline:
                raise TemporaryError(f"the echo at the GPIO pin {pin} {otherwise}")
