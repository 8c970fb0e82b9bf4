"""The bus of the tutorial: ambiance, temperature, CPU and a LED on one bus, and what they do together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

from drivers.dht import BasicBus
from drivers.gpio import GpioBus
from drivers.gpio.lights import BLINK
from drivers.gpio.outputs import OFF, ON
from drivers.hostsensor import HostsensorBus
from drivers.onewire import OneWireBus
from janitoo_actors.api import Aggregate, Component, Genre, Instance, Setting, State, Stateful, Transition, Value

_LED: Final = "led"
_MEASURED: Final = "temperature"


class TutorialBus(Stateful, Aggregate):
    """A bus that measures three temperatures, and has a LED blink where their average is too high.

    Asleep, it measures nothing. Where it rings it measures more often, until the average has been low enough.
    """

    oid = "tutorial"
    name = "Hello world"
    product_name = "Tutorial"
    parts = (BasicBus, OneWireBus, HostsensorBus, GpioBus)

    critical: Setting[float] = Setting("config_float", default=45.0, units="°C", help="It rings from this average on")
    hysteresis: Setting[float] = Setting(
        "config_float", default=2.0, minimum=0, units="°C", help="It stops so far below"
    )
    wake_after: Setting[float] = Setting("config_float", default=3600.0, minimum=1, units="s", help="It sleeps so long")
    average = Value(
        "sensor_temperature", help="The average of the temperatures that are known", genre=Genre.BASIC, poll_delay=300
    )

    reporting = State("It measures, and the LED is on", initial=True)
    sleeping = State("It measures nothing, and the LED is off", poll_delay=0)
    ringing = State("It is too hot: it measures often, and the LED blinks", poll_delay=5)

    wake = Transition(sleeping, reporting, after="wake_after")
    sleep = Transition((reporting, ringing), sleeping)
    ring = Transition(reporting, ringing)
    calm = Transition(ringing, reporting)

    def started(self) -> None:
        """Nothing is known yet."""
        self._known: dict[Component, float] = {}
        super().started()

    @average.reader
    def read_average(self, _instance: Instance) -> float | None:
        """°C; None as long as there is no temperature."""
        return round(fmean(self._known.values()), 2) if self._known else None

    def heard(self, component: Component, uuid: str, data: Sequence[Any]) -> None:
        """A component has been read: where that is a temperature, see whether it is too hot."""
        if uuid != _MEASURED or self.current is self.sleeping:
            # Also one that was on its way when it fell asleep.
            return
        if data[0] is None or not math.isfinite(data[0]):
            # One that fails counts no more; the others go on.
            self._known.pop(component, None)
        else:
            self._known[component] = data[0]
        self.changed("average")
        average = self.read_average(Instance())
        if average is not None and average >= self.critical:
            self.ring()
        elif average is not None and average < self.critical - self.hysteresis:
            self.calm()

    @reporting.entered
    def show_that_it_reports(self) -> None:
        """Have the LED on."""
        self._show(ON)

    @sleeping.entered
    def show_that_it_sleeps(self) -> None:
        """Have the LED off; what was measured is of another time."""
        self._known.clear()
        self.changed("average")
        self._show(OFF)

    @ringing.entered
    def show_that_it_is_hot(self) -> None:
        """Have the LED blink."""
        self._show(BLINK)

    def _show(self, what: str) -> None:
        if _LED in self.components:
            self.command(_LED, "switch", what)
