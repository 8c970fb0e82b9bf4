"""What is driven by pulses: LEDs that blink, dimmers, colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.gpio.bus import Active, GpioComponent, active_setting, pin_setting
from drivers.gpio.outputs import OFF, ON, OutputPin
from janitoo_actors.api import Genre, Instance, Setting, Value, ValueType

BLINK: Final = "blink"
_HALF: Final = 50.0
_FULL: Final = 100.0
_LARGEST: Final = 255
_BLACK: Final = "#000000"


def _frequency_setting(default: float, maximum: float, help: str) -> Setting[float]:
    return Setting("config_float", default=default, minimum=0.1, maximum=maximum, help=help, units="Hz")


class Led(OutputPin):
    """A LED: on, off, or blinking. It is off when the bus starts and when it ends."""

    oid = "rpigpio.led"
    name = "Led"
    product_name = "LED"
    product_type = "Software"

    pin = pin_setting("The pin of the LED")
    active = active_setting()
    frequency = _frequency_setting(2.0, 100, "How often it blinks")
    switch = Value(
        "action_switch_binary",
        help="on, off, or blink",
        genre=Genre.USER,
        list_items=(ON, OFF, BLINK),
        poll_delay=60,
    )

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._blinks = False

    def set_up(self) -> None:
        """Have an output that is off."""
        self._blinks = False
        self.setup(self.bcm(), self.bus.gpio.OUT, initial=self.level_of(False))

    def give_back(self, pin: int) -> None:
        """Switch it off."""
        self._end_blinking()
        self.bus.gpio.output(pin, self.level_of(False))

    @switch.reader
    def read_switch(self, _instance: Instance) -> str:
        """What it is: by its pin, unless it blinks."""
        self.ready()
        if self._blinks:
            return BLINK
        with self.explained():
            return ON if self.is_driven() else OFF

    @switch.writer
    def write_switch(self, _instance: Instance, data: str) -> None:
        """Switch it, or have it blink. Raises as `drive`."""
        self.ready()
        with self.explained():
            self._end_blinking()
            if data == BLINK:
                self.pwm(self.bcm(), self.setting("frequency")).start(_HALF)
                self._blinks = True
        if data != BLINK:
            self.drive(data == ON)

    @frequency.writer
    def write_frequency(self, _instance: Instance, data: float) -> None:
        """Blink so from now on."""
        if self._blinks:
            with self.explained():
                self.pwm(self.bcm(), data)

    def _end_blinking(self) -> None:
        self._blinks = False
        self.end_pwm(self.bcm())


class Pulsed(GpioComponent):
    """Outputs that are on for a part of the time each. They are off when the bus starts and when it ends."""

    def set_up(self) -> None:
        """Have outputs that are off."""
        for uuid in self.pin_settings:
            self.setup(self.bcm(uuid), self.bus.gpio.OUT, initial=self._off)

    def give_back(self, pin: int) -> None:
        """Switch it off."""
        self.end_pwm(pin)
        self.bus.gpio.output(pin, self._off)

    @property
    def _off(self) -> int:
        return int(self.setting("active") != Active.HIGH)

    def share(self, uuid: str, percent: float) -> None:
        """Have the pin of a setting be on for a part of the time."""
        on = percent if self.setting("active") == Active.HIGH else _FULL - percent
        self.pwm(self.bcm(uuid), self.setting("frequency")).start(on)

    def change_frequency(self, frequency: float) -> None:
        """Pulse so from now on."""
        with self.explained():
            for uuid in self.pin_settings:
                self.pwm(self.bcm(uuid), frequency)


class Pwm(Pulsed):
    """A dimmer, a fan: on for a part of the time."""

    oid = "rpigpio.pwm"
    name = "Dimmer"
    product_name = "GPIO output with pulses"

    pin = pin_setting("The pin of the output")
    active = active_setting()
    frequency = _frequency_setting(100.0, 10_000, "How many pulses there are in a second")
    duty = Value(
        "action_switch_multilevel",
        help="For which part of the time it is on",
        genre=Genre.USER,
        units="%",
        minimum=0,
        maximum=100,
        poll_delay=60,
    )

    _duty = 0

    def set_up(self) -> None:
        """Have an output that is off."""
        super().set_up()
        self._duty = 0

    @duty.reader
    def read_duty(self, _instance: Instance) -> int:
        """The last one that was written: pulses cannot be read back."""
        self.ready()
        return self._duty

    @duty.writer
    def write_duty(self, _instance: Instance, data: int) -> None:
        """Pulse so.

        Raises:
            TemporaryError: the pin is another program's.
        """
        self.ready()
        with self.explained():
            self.share("pin", data)
        self._duty = data

    @frequency.writer
    def write_frequency(self, _instance: Instance, data: float) -> None:
        """Pulse so from now on."""
        if self._duty:
            self.change_frequency(data)


class Rgb(Pulsed):
    """A LED of three colours."""

    oid = "rpigpio.rgb"
    name = "Coloured LED"
    product_name = "RGB LED"
    pin_settings = ("pin_red", "pin_green", "pin_blue")

    pin_red = pin_setting("The pin of the red LED")
    pin_green = pin_setting("The pin of the green LED")
    pin_blue = pin_setting("The pin of the blue LED")
    active = active_setting()
    frequency = _frequency_setting(100.0, 10_000, "How many pulses there are in a second")
    color = Value(
        "action_string",
        type=ValueType.RGB,
        help="The colour, as #ff8000; #000000 is off",
        genre=Genre.USER,
        poll_delay=60,
    )

    _color = _BLACK

    def set_up(self) -> None:
        """Have outputs that are off."""
        super().set_up()
        self._color = _BLACK

    @color.reader
    def read_color(self, _instance: Instance) -> str:
        """The last one that was written: pulses cannot be read back."""
        self.ready()
        return self._color

    @color.writer
    def write_color(self, _instance: Instance, data: str) -> None:
        """Show it.

        Raises:
            TemporaryError: a pin is another program's.
        """
        digits = data.removeprefix("#").lower()
        self.ready()
        with self.explained():
            for uuid, part in zip(self.pin_settings, bytes.fromhex(digits), strict=True):
                self.share(uuid, part * _FULL / _LARGEST)
        self._color = f"#{digits}"

    @frequency.writer
    def write_frequency(self, _instance: Instance, data: float) -> None:
        """Pulse so from now on."""
        if self._color != _BLACK:
            self.change_frequency(data)
