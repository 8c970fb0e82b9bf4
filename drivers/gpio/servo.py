"""Servos: turned to an angle by the length of a pulse."""

from __future__ import annotations

from typing import Final

from drivers.gpio.bus import GpioComponent, pin_setting
from janitoo_actors.api import Genre, Instance, Setting, Value

_FREQUENCY: Final = 50.0
_PERIOD: Final = 1000 / _FREQUENCY
"""Milliseconds."""
_TURN: Final = 180


class Servo(GpioComponent):
    """A servo. It stays as it is when the bus starts, until an angle is written."""

    oid = "rpigpio.servo"
    name = "Servo"
    product_name = "Servo"

    pin = pin_setting("The pin of the servo's signal")
    pulse_min: Setting[float] = Setting(
        "config_float", default=0.5, minimum=0.1, maximum=5, units="ms", help="The length of the pulse for 0 degrees"
    )
    pulse_max: Setting[float] = Setting(
        "config_float", default=2.5, minimum=0.1, maximum=5, units="ms", help="The length of the pulse for 180 degrees"
    )
    release: Setting[float] = Setting(
        "config_float",
        default=1.0,
        minimum=0,
        maximum=3600,
        units="seconds",
        help="How long it is driven to an angle, and let loose then, as it would tremble; 0: it is held",
    )
    angle = Value(
        "action_integer",
        help="The angle that it is turned to",
        genre=Genre.USER,
        units="°",
        minimum=0,
        maximum=_TURN,
        poll_delay=300,
    )

    _angle: int | None = None

    def set_up(self) -> None:
        """Have an output without pulses."""
        self.setup(self.bcm(), self.bus.gpio.OUT, initial=self.bus.gpio.LOW)

    def give_back(self, pin: int) -> None:
        """Let it loose."""
        self.cancel("release")
        self.end_pwm(pin)
        self.bus.gpio.output(pin, self.bus.gpio.LOW)

    @angle.reader
    def read_angle(self, _instance: Instance) -> int | None:
        """The last one that was written; None before. A servo does not tell where it is."""
        self.ready()
        return self._angle

    @angle.writer
    def write_angle(self, _instance: Instance, data: int) -> None:
        """Turn it.

        Raises:
            TemporaryError: the pin is another program's.
        """
        self.ready()
        least, most = self.setting("pulse_min"), self.setting("pulse_max")
        pulse = least + (most - least) * data / _TURN
        with self.explained():
            self.pwm(self.bcm(), _FREQUENCY).start(100 * pulse / _PERIOD)
        self._angle = data
        if self.setting("release"):
            self.after(self.setting("release"), self._release, key="release")

    def _release(self) -> None:
        with self.explained():
            self.end_pwm(self.bcm())
