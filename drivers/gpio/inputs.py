"""Inputs: published on the edge, when the level is the same for some time, and not only when they are polled."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import structlog

from drivers.gpio.bus import Active, GpioComponent, active_setting, pin_setting
from janitoo_actors.api import Applies, Genre, Instance, Setting, TemporaryError, Value
from janitoo_actors.configuration.extras import install, pip

_LOOKED: Final = 0.1
"""Seconds between two looks at the level, where the kernel does not tell of edges."""
_PULLS: Final = {"off": "PUD_OFF", "up": "PUD_UP", "down": "PUD_DOWN"}
_INSTEAD: Final = f"{pip()} uninstall RPi.GPIO, and {install('rpigpio')}, which brings rpi-lgpio"


def _pull_setting(default: str) -> Setting[str]:
    return Setting(
        "config_list",
        default=default,
        list_items=list(_PULLS),
        help="The resistor in the chip: up where the other side of a button is ground, down where it is 3.3 V",
        applies=Applies.RESTART_BUS,
    )


def _debounce_setting(default: float) -> Setting[float]:
    return Setting(
        "config_float",
        default=default,
        minimum=0,
        maximum=10,
        help="For how long a level must be there to count",
        units="seconds",
    )


class EdgeInput(GpioComponent):
    """A pin whose level is a value.

    Attributes:
        watched: the value.
    """

    watched: ClassVar[str]

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._edge_at = -math.inf
        self._settles = False
        self._level: bool | None = None
        self._looked: bool | None = None

    def set_up(self) -> None:
        """Have an input, and be told of its edges."""
        gpio, pin = self.bus.gpio, self.bcm()
        self._level = self._looked = None
        self._settles = False
        self.setup(pin, gpio.IN, pull_up_down=getattr(gpio, _PULLS[self.setting("pull")]))
        # Of a bus that hung, and was replaced.
        gpio.remove_event_detect(pin)
        try:
            gpio.add_event_detect(pin, gpio.BOTH, callback=self._edge)
        except self.bus.errors as error:
            advice = f"; {_INSTEAD}" if self.bus.is_original else ""
            log = structlog.get_logger()
            log.warning("edges_unavailable", node=self.uuid, pin=pin, error=f"{error}{advice}", looked_every=_LOOKED)
            self.every(_LOOKED, self._look, key="look")

    def give_back(self, pin: int) -> None:
        """Be told no more."""
        self.cancel("look")
        self.cancel("settle")
        self.bus.gpio.remove_event_detect(pin)
        self.bus.gpio.cleanup(pin)

    def level(self) -> bool:
        """Whether it is on: the level that was there for as long as it must be. On the bus's thread.

        Raises:
            TemporaryError: the pin is another program's.
        """
        self.ready()
        with self.explained():
            now = self._now()
        if self._level is None or not self.setting("debounce"):
            self._level = now
        elif now is not self._level:
            if not self._settles:
                # An edge that nobody has told of yet.
                self._edge(None)
            elif self._left <= 0:
                self._level = now
        return self._level

    @property
    def _left(self) -> float:
        """Seconds until the level counts that is there now."""
        left: float = self._edge_at + self.setting("debounce") - time.monotonic()
        return left

    def _now(self) -> bool:
        return bool(self.bus.gpio.input(self.bcm())) is (self.setting("active") == Active.HIGH)

    def _edge(self, _channel: Any) -> None:
        """There was an edge. The library calls it, on its own thread, and where it chatters thousands of times."""
        self._edge_at = time.monotonic()
        if not self._settles:
            self._settles = True
            self.soon(self._settle, key="edge")

    def _settle(self) -> None:
        """Have the level published when it has been there long enough, where it is another one then."""
        # Before the look at the time: an edge after that says so anew.
        self._settles = False
        left = self._left
        if left > 0:
            self._settles = True
            self.after(left, self._settle, key="settle")
            return
        before = self._level
        try:
            self.ready()
            with self.explained():
                self._level = self._now()
        except TemporaryError:
            # Whoever reads it tells of that.
            self._level = None
        if self._level is None or self._level is not before:
            self.changed(self.watched)

    def _look(self) -> None:
        """Find out whether there was an edge."""
        if not self._is_ready:
            # Begun anew when it is set up.
            self.cancel("look")
            return
        before, self._looked = self._looked, self._now()
        if self._looked is not (self._level if before is None else before):
            self._edge(None)


class Input(EdgeInput):
    """A button, a contact, or anything else that has two levels."""

    oid = "rpigpio.input"
    name = "Input"
    product_name = "GPIO input"
    watched = "state"

    pin = pin_setting("The pin of the input")
    pull = _pull_setting("off")
    active = active_setting()
    debounce = _debounce_setting(0.02)
    state = Value("sensor_boolean", help="Whether it is on", genre=Genre.BASIC, poll_delay=60)

    @state.reader
    def read_state(self, _instance: Instance) -> bool:
        """Whether it is on. Raises as `level`."""
        return self.level()


class Pir(EdgeInput):
    """A sensor of motion, by infrared."""

    oid = "rpigpio.pir"
    name = "Motion"
    product_name = "PIR motion sensor"
    watched = "presence"

    pin = pin_setting("The pin of the sensor's output")
    pull = _pull_setting("down")
    active = active_setting()
    debounce = _debounce_setting(0)
    presence = Value("sensor_presence", help="Whether something moves", genre=Genre.BASIC, poll_delay=60)

    @presence.reader
    def read_presence(self, _instance: Instance) -> bool:
        """Whether something moves. Raises as `level`."""
        return self.level()
