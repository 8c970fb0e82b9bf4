"""Outputs: relays, and whatever else is on or off. They do not change at a restart, unless they are to."""

from __future__ import annotations

from drivers.gpio import lines
from drivers.gpio.bus import Active, GpioComponent, Level, active_setting, pin_setting
from janitoo_actors.api import Choice, Genre, Instance, Option, TemporaryError, Value

ON, OFF = "on", "off"


class OutputPin(GpioComponent):
    """A pin that is driven. Its first setting of a pin is that one."""

    def drive(self, on: bool) -> None:
        """Set its level, and see whether it is that.

        Raises:
            TemporaryError: the pin has another level, as with a short circuit; or is another program's.
        """
        self.ready()
        with self.explained():
            self.bus.gpio.output(self.bcm(), self.level_of(on))
            confirmed = self.is_driven() is on
        if not confirmed:
            raise TemporaryError(
                f"the GPIO pin {self.bcm()} does not take the level that it is driven to: is there a short circuit?"
            )

    def is_driven(self) -> bool:
        """Whether the level of the pin is that for "on"."""
        return bool(self.bus.gpio.input(self.bcm())) is bool(self.level_of(True))

    def level_of(self, on: bool) -> int:
        """The level for on and off."""
        return int(on is (self.setting("active") == Active.HIGH))


class Output(OutputPin):
    """A relay, or anything else that is on or off."""

    oid = "rpigpio.output"
    name = "Output"
    product_name = "GPIO output"

    pin = pin_setting("The pin of the output")
    active = active_setting()
    initial = Option(Choice(Level), default=Level.KEEP, help="What it is when the bus starts: keep is as it was before")
    on_exit = Option(Choice(Level), default=Level.KEEP, help="What it is when the bus ends")
    switch = Value("action_switch_binary", help="Whether it is on", genre=Genre.USER, poll_delay=60)

    _last: bool | None = None
    """What was written last."""

    def set_up(self) -> None:
        """Have an output, with the level that it is to have from its first moment on."""
        gpio, pin = self.bus.gpio, self.bcm()
        level: int | None
        if self._last is not None:
            # It has failed in between: what it is at the start is of another time.
            level = self.level_of(self._last)
        elif self.initial is Level.KEEP:
            level = lines.level_of_output(pin)
            if level is None and gpio.gpio_function(pin) != gpio.OUT:
                # It was no output: there is nothing to keep.
                level = self.level_of(False)
        else:
            level = self.level_of(self.initial is Level.ON)
        if level is None:
            # It is this process's, from before a restart of the bus; or the library has no means to disturb it.
            self.setup(pin, gpio.OUT)
        else:
            self.setup(pin, gpio.OUT, initial=level)

    def give_back(self, pin: int) -> None:
        """Leave it as it is to be. The library's own cleanup would make an input of it, and a relay would click."""
        if self.on_exit is not Level.KEEP:
            self.bus.gpio.output(pin, self.level_of(self.on_exit is Level.ON))

    @switch.reader
    def read_switch(self, _instance: Instance) -> str:
        """The level that the pin has."""
        self.ready()
        with self.explained():
            return ON if self.is_driven() else OFF

    @switch.writer
    def write_switch(self, _instance: Instance, data: str) -> None:
        """Switch it. Raises as `drive`."""
        self.drive(data == ON)
        self._last = data == ON
