"""The bus `rpigpio`, and what its components have in common."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

from drivers.gpio import lines
from drivers.libraries import library
from janitoo_actors.api import (
    Applies,
    Bus,
    Component,
    ConfigurationError,
    Hardware,
    Setting,
    TemporaryError,
)

_MODULE: Final = "RPi.GPIO"
_FIFO: Final = ".lgd-nfy*"
_LAST_PIN: Final = 53
# Of the header with 40 pins: the first 26 of them are those of the oldest.
_OF_HEADER: Final[Mapping[int, int]] = MappingProxyType(
    {3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25, 23: 11}
    | {24: 8, 26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21}
)
# The library has one for each pin and process, and no second one while somebody has the first: a bus that hangs, too.
_PWMS: Final[dict[int, Any]] = {}


class BoardMode(StrEnum):
    """How pins are numbered."""

    BCM = "BCM"
    BOARD = "BOARD"


class Active(StrEnum):
    """Which level is "on"."""

    HIGH = "high"
    LOW = "low"


class Level(StrEnum):
    """What becomes of an output at its start, or its end."""

    KEEP = "keep"
    OFF = "off"
    ON = "on"


def pin_setting(help: str) -> Setting[int | None]:
    """A setting that is the number of a pin, and must be there."""
    return Setting("config_integer", minimum=0, maximum=_LAST_PIN, help=help, applies=Applies.RESTART_BUS)


def active_setting() -> Setting[str]:
    """A setting that says which level is "on"."""
    return Setting(
        "config_list",
        default=Active.HIGH.value,
        list_items=[each.value for each in Active],
        help="Which level is on: low for most boards with relays",
        applies=Applies.RESTART_BUS,
    )


class GpioBus(Bus):
    """The pins of the header.

    Attributes:
        gpio: the library; it numbers pins as BCM does, whatever the file does: that is one for the process.
    """

    oid = "rpigpio"
    name = "GPIO pins"
    requires = (_MODULE,)

    boardmode: Setting[str] = Setting(
        "config_list",
        default=BoardMode.BCM.value,
        list_items=[each.value for each in BoardMode],
        help="How pins are numbered: BCM as the chip does, BOARD as the header does",
        applies=Applies.RESTART_BUS,
    )

    gpio: Any = None

    def open(self) -> None:
        """Get hold of the library. On the bus's thread.

        Raises:
            PermanentError: it is not installed, or the machine is no Pi.
            TemporaryError: there is no chip, or it may not be opened.
        """
        with _somewhere():
            self.gpio = library(_MODULE, self.oid)
        # It would say what it thinks of pins that are set up already, as they are after a restart of the bus.
        self.gpio.setwarnings(False)
        try:
            self.gpio.setmode(self.gpio.BCM)
        except self.errors as error:
            raise TemporaryError(
                f"{lines.chip()} cannot be opened: {error}; the server's user must be in the group gpio"
            ) from error

    def close(self) -> None:
        """There is nothing to close: components give back their pins, and others of the process may use the library."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the library raises."""
        # rpi-lgpio lets those of the library below it through, which are of no other class.
        lgpio = sys.modules.get("lgpio")
        return (RuntimeError, ValueError, OSError, *((lgpio.error,) if lgpio is not None else ()))

    @property
    def is_original(self) -> bool:
        """Whether it is RPi.GPIO itself, and not rpi-lgpio under its name."""
        return not hasattr(self.gpio, "lgpio")

    def bcm(self, pin: int) -> int:
        """The number of a pin as BCM has it.

        Raises:
            ConfigurationError: the header has no such pin, or there is power or ground.
        """
        if self.setting("boardmode") == BoardMode.BCM:
            return pin
        if pin not in _OF_HEADER:
            raise ConfigurationError(
                f"there is no GPIO at pin {pin} of the header: expected one of {', '.join(map(str, _OF_HEADER))}, or "
                f"boardmode_0 = BCM in [{self.uuid}]"
            )
        return _OF_HEADER[pin]


class GpioComponent(Component):
    """What is at one pin or several.

    They are set up when the bus is opened; one that another program has is tried again with each read.

    Attributes:
        pin_settings: the settings that are pins.
    """

    bus_class = GpioBus
    bus: GpioBus
    pin_settings: ClassVar[tuple[str, ...]] = ("pin",)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._is_ready = False

    def takes(self) -> Iterable[Hardware]:
        """Its pins.

        Raises:
            ConfigurationError: one is not said, or is none.
        """
        return [Hardware.gpio(self.bcm(uuid)) for uuid in self.pin_settings]

    def bcm(self, uuid: str = "pin") -> int:
        """The number of the pin of a setting, as BCM has it. Raises as `takes`."""
        pin: int | None = self.setting(uuid)
        if pin is None:
            raise ConfigurationError(f"expected {uuid}_0 = the number of its pin")
        return self.bus.bcm(pin)

    def open(self) -> None:
        """Set its pins up."""
        try:
            self.ready()
        except TemporaryError:
            # The others need not wait for it. The first read tries again, and tells.
            return

    def close(self) -> None:
        """Give its pins back."""
        if self._is_ready:
            self._is_ready = False
            with self.explained():
                self.give_back()

    def ready(self) -> None:
        """Set its pins up, where that has not been done.

        Raises:
            TemporaryError: another program has one; it says which program.
        """
        if self._is_ready:
            return
        try:
            self.set_up()
        except self.bus.errors as error:
            taken = {pin: by for pin in map(self.bcm, self.pin_settings) if (by := lines.holder(pin)) is not None}
            if not taken:
                raise TemporaryError(f"the pins of {self.uuid} cannot be set up: {error}") from error
            who = " and ".join(f"the GPIO pin {pin} is taken by {by}" for pin, by in taken.items())
            raise TemporaryError(f"{who}: end that, or use another pin") from error
        self._is_ready = True

    def set_up(self) -> None:
        """Set its pins up: what the library raises goes to the caller."""
        raise NotImplementedError

    def give_back(self) -> None:
        """Leave its pins as they are to be without it: likewise."""
        raise NotImplementedError

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Have what the library raises be a TemporaryError; the pins are set up again by the next call."""
        try:
            yield
        except self.bus.errors as error:
            self._is_ready = False
            raise TemporaryError(f"the pins of {self.uuid} fail: {error}") from error

    def pwm(self, pin: int, frequency: float) -> Any:
        """The pulses of an output, which are not started; the same object each time."""
        found = _PWMS.get(pin)
        if found is None:
            found = _PWMS[pin] = self.bus.gpio.PWM(pin, frequency)
        else:
            found.ChangeFrequency(frequency)
        return found

    def end_pwm(self, pin: int) -> None:
        """End the pulses of an output, and their thread; it is low then. Nothing where there are none."""
        found = _PWMS.pop(pin, None)
        if found is not None:
            found.stop()


@contextmanager
def _somewhere() -> Iterator[None]:
    """A place for what lgpio leaves where it is imported.

    It makes a FIFO in the working directory, and fails where it may not write there; or goes to the folder that LG_WD
    names, and stays there with the whole process. The library has the FIFO open then, and needs no name of it.
    """
    if "lgpio" not in sys.modules and "LG_WD" not in os.environ and not os.access(".", os.W_OK | os.X_OK):
        with tempfile.TemporaryDirectory(prefix="janitoo-gpio-") as folder:
            os.environ["LG_WD"] = folder
            try:
                yield from _back_again()
            finally:
                del os.environ["LG_WD"]
        return
    here = Path.cwd()
    before = set(here.glob(_FIFO))
    try:
        yield from _back_again()
    finally:
        for left in set(here.glob(_FIFO)) - before:
            left.unlink(missing_ok=True)


def _back_again() -> Iterator[None]:
    """Let something happen, and be in the same folder again."""
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)
