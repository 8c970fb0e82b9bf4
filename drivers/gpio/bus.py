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
    BusLostError,
    Component,
    ConfigurationError,
    Hardware,
    OptionProblem,
    OptionsError,
    Setting,
    TemporaryError,
)
from janitoo_actors.errors import JanitooError

_MODULE: Final = "RPi.GPIO"
_FIFO: Final = ".lgd-nfy*"
# Those after it are not for us, on no Pi: the card with the system is at 48 to 53 of most.
_LAST_PIN: Final = 45
# Of the header with 40 pins: the first 26 of them are those of the oldest.
_OF_HEADER: Final[Mapping[int, int]] = MappingProxyType(
    {3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25, 23: 11}
    | {24: 8, 26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21}
)
_AGAIN: Final = 10.0
"""Seconds between two tries to have a pin that another program has."""
# The library has one for each pin and process, and no second one while somebody has the first: a bus that hangs, too.
_PWMS: Final[dict[int, Any]] = {}
# Who has set each pin up: to the library all threads of the process are one, and a thread that hung in it, and comes
# back when its bus has been replaced, would drive the pins of the next bus, or give them back.
_USERS: Final[dict[int, GpioComponent]] = {}


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
    product_name = "GPIO pins"
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
            raise TemporaryError(_why_not(lines.chip(), error)) from error

    def open_component(self, component: Component) -> None:
        """Open a component. It claims its pins itself: one that somebody else has keeps no other from working."""
        component.open()

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

    def bcm(self, pin: int | None) -> int:
        """The number of a pin as BCM has it.

        Raises:
            ConfigurationError: there is none; the header has no such pin, or there is power or ground.
        """
        if pin is None:
            raise ConfigurationError("the number of its pin: it must be there")
        if self.setting("boardmode") == BoardMode.BCM:
            return pin
        if pin not in _OF_HEADER:
            raise ConfigurationError(
                f"a pin of the header with a GPIO, as {', '.join(map(str, _OF_HEADER))}; or boardmode_0 = BCM in "
                f"[{self.uuid}]"
            )
        return _OF_HEADER[pin]


class GpioComponent(Component):
    """What is at one pin or several.

    They are claimed and set up when the bus is opened; one that somebody else has is tried again with each read.

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
            OptionsError: one is not said, is none, or is said twice; all that is wrong.
        """
        problems: list[OptionProblem] = []
        first: dict[int, str] = {}
        for uuid in self.pin_settings:
            pin: int | None = self.setting(uuid)
            try:
                bcm = self.bus.bcm(pin)
            except ConfigurationError as error:
                problems.append(OptionProblem(f"{uuid}_0", pin if pin is None else str(pin), str(error)))
                continue
            other = first.setdefault(bcm, uuid)
            if other != uuid:
                problems.append(OptionProblem(f"{uuid}_0", str(pin), f"another pin than {other}_0"))
        if problems:
            raise OptionsError(problems)
        return [Hardware.gpio(pin) for pin in first]

    def bcm(self, uuid: str = "pin") -> int:
        """The number of the pin of a setting, as BCM has it. ConfigurationError where it is none."""
        return self.bus.bcm(self.setting(uuid))

    def open(self) -> None:
        """Set its pins up."""
        try:
            self.ready()
        except TemporaryError:
            # The others need not wait for it: each read tries again, and tells. There may be none, as an input can do
            # without polls; but without its pin it hears of no edges.
            self.every(_AGAIN, self._read_all, key="again")

    def _read_all(self) -> None:
        """Have all values read, until the pins are set up."""
        if self._is_ready:
            self.cancel("again")
        for uuid, value in self.values.items():
            if value.is_polled:
                self.changed(uuid)

    def close(self) -> None:
        """Give its pins back: those that have been set up, and that no other has by now."""
        self.cancel("again")
        was_ready, self._is_ready = self._is_ready, False
        failures: list[Exception] = []
        # A copy: other buses set up theirs meanwhile.
        for pin in [pin for pin, user in list(_USERS.items()) if user is self]:
            try:
                self.give_back(pin)
            except self.bus.errors as error:
                failures.append(error)
            _USERS.pop(pin, None)
        if failures and was_ready:
            raise TemporaryError(f"the pins of {self.uuid} cannot be given back: {failures[0]}")

    def ready(self) -> None:
        """Set its pins up, where that has not been done.

        Raises:
            TemporaryError: another bus, server or program has one; it says who.
            BusLostError: the bus has been replaced, as it hung, and its pins are those of the next one.
        """
        if self._is_ready:
            if any(_USERS.get(self.bcm(uuid)) is not self for uuid in self.pin_settings):
                raise BusLostError(f"the pins of {self.uuid} are used by the bus that has replaced this one")
            return
        for hardware in self.takes():
            # A bus that hung, and has been replaced, gets none.
            self.claim(hardware)
        try:
            self.set_up()
        except JanitooError:
            raise
        except self.bus.errors as error:
            raise TemporaryError(f"the pins of {self.uuid} cannot be set up: {error}") from error
        self._is_ready = True

    def set_up(self) -> None:
        """Set its pins up, by `setup`: what the library raises goes to the caller."""
        raise NotImplementedError

    def give_back(self, pin: int) -> None:
        """Leave a pin that has been set up as it is to be without it: likewise."""
        raise NotImplementedError

    def setup(self, pin: int, direction: int, **how: int) -> None:
        """Set one pin up; it is this component's from now on.

        Raises:
            TemporaryError: another program has it; it says which program.
        """
        # Of a bus that hung, and was replaced.
        self.end_pwm(pin)
        gpio = self.bus.gpio
        try:
            gpio.setup(pin, direction, **how)
            level = how.get("initial")
            if level is not None and gpio.input(pin) != level:
                # rpi-lgpio leaves an output as it is that the process has already, as after a restart of the bus.
                gpio.output(pin, level)
        except self.bus.errors as error:
            by = lines.holder(pin)
            if by is None or pin in _USERS:
                raise TemporaryError(f"the GPIO pin {pin} cannot be set up: {error}") from error
            raise TemporaryError(f"the GPIO pin {pin} is taken by {by}: end that, or use another pin") from error
        _USERS[pin] = self

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Have what the library raises be a TemporaryError; the pins are set up again by the next call."""
        try:
            yield
        except JanitooError:
            raise
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


def _why_not(chip: Path, error: Exception) -> str:
    """Why a chip cannot be opened, and what to do."""
    if not chip.exists():
        return f"there is no {chip}: the kernel has no GPIO here"
    if not os.access(chip, os.R_OK | os.W_OK):
        return f"{chip} may not be opened: add the server's user to the group gpio"
    return f"{chip} cannot be opened: {error}"


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
