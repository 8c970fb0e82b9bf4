"""Chips that put something out, and any chip by its description. Source: the data sheet of PCA9685."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final

from drivers.fields import Field
from drivers.filters import Limits
from drivers.i2c.chip import I2cAddress, I2cChip
from janitoo_actors.api import (
    Bool,
    Choice,
    Genre,
    Instance,
    Instances,
    Number,
    Option,
    OptionType,
    PermanentError,
    TemporaryError,
    Value,
)

# -- PCA9685 ----------------------------------------------------------------------------------------------------------

_MODE1: Final = 0x00
_LED: Final = 0x06
_PRESCALE: Final = 0xFE
_ALL: Final = 0xFA
_SLEEP: Final = 0x10
_AUTO_INCREMENT: Final = 0x20
_RESTART: Final = 0x80
_OSCILLATOR: Final = 25_000_000
_STEPS: Final = 4096
_FULL: Final = 0x10
_CHANNELS: Final = 16
_WAKING: Final = 0.0005
"""Seconds that the oscillator needs."""


class OnExit(StrEnum):
    """What becomes of outputs when the bus is closed."""

    KEEP = "keep"
    OFF = "off"


def _output(text: str) -> int:
    if not text.strip().isdecimal() or int(text) >= _CHANNELS:
        raise ValueError(f"expected an output from 0 to {_CHANNELS - 1}")
    return int(text)


class Pca9685(I2cChip):
    """Sixteen outputs with a duty cycle, for lamps and servos. They stay as they are while the server restarts."""

    oid = "rpii2c.pca9685"
    name = "PCA9685"
    product_name = "PCA9685 PWM controller"

    address = Option(I2cAddress(), default=0x40, help="The address of the chip: 0x40 to 0x77")
    frequency = Option(Number(24, 1526), default=200.0, help="The frequency of all outputs, in hertz; servos want 50")
    on_exit = Option(Choice(OnExit), default=OnExit.KEEP, help="What becomes of the outputs when the bus is closed")
    duty = Value(
        "action_switch_multilevel",
        help="For how much of the time an output is on, in percent",
        genre=Genre.USER,
        units="%",
        minimum=0,
        maximum=100,
        poll_delay=300,
        instances=Instances(label="output", help="The number of the output", defaults=("0",), parse=_output),
    )

    def set_up(self) -> None:
        """Set the frequency, where it is another one: that stops the outputs for a moment."""
        (mode,) = self._read(_MODE1, 1)
        if self._read(_PRESCALE, 1)[0] != self._prescale:
            self._write(_MODE1, mode & ~_RESTART & 0xFF | _SLEEP | _AUTO_INCREMENT)
            self._write(_PRESCALE, self._prescale)
            (mode,) = self._read(_MODE1, 1)
        awake = mode & ~(_SLEEP | _RESTART) & 0xFF | _AUTO_INCREMENT
        self._write(_MODE1, awake)
        time.sleep(_WAKING)
        if mode & _RESTART:
            # The outputs were on when it went to sleep: they go on now.
            self._write(_MODE1, awake | _RESTART)

    def ready(self) -> None:
        """As of every chip; and set it up again where it has lost its power meanwhile, which no transfer tells."""
        super().ready()
        (mode,) = self._read(_MODE1, 1)
        if mode & _SLEEP or self._read(_PRESCALE, 1)[0] != self._prescale:
            self.lost()
            super().ready()

    @property
    def _prescale(self) -> int:
        return round(_OSCILLATOR / (_STEPS * self.frequency)) - 1

    def close(self) -> None:
        """Leave the outputs as `on_exit` says."""
        if self._is_ready and self.on_exit is OnExit.OFF:
            self._write(_ALL, 0, 0, 0, _FULL)

    @duty.reader
    def read_duty(self, instance: Instance) -> int:
        """Percent, as the chip has it. On the bus's thread; blocks for the bus."""
        self.ready()
        data = self._read(_LED + 4 * instance.config, 4)
        if data[3] & _FULL:
            return 0
        if data[1] & _FULL:
            return 100
        on, off = data[0] | data[1] << 8, data[2] | data[3] << 8
        return round((off - on) % _STEPS * 100 / _STEPS)

    @duty.writer
    def write_duty(self, instance: Instance, data: int) -> None:
        """Set an output. On the bus's thread; blocks for the bus.

        Raises:
            TemporaryError: the chip does not answer, or does not keep it.
        """
        self.ready()
        off = round(data * _STEPS / 100)
        if data <= 0:
            values = (0, 0, 0, _FULL)
        elif off >= _STEPS:
            values = (0, _FULL, 0, 0)
        else:
            values = (0, 0, off & 0xFF, off >> 8)
        self._write(_LED + 4 * instance.config, *values)
        if tuple(self._read(_LED + 4 * instance.config, 4)) != values:
            raise TemporaryError(f"the chip has not taken {data} % for output {instance.config}")


# -- any chip ---------------------------------------------------------------------------------------------------------

_BYTE: Final = 0xFF
_STEP: Final = re.compile(r"([^=]+)=(.+)")


@dataclass(frozen=True, slots=True)
class Register:
    """A register of a chip, and the number in it: `0x05 s16be scale=0.0625`."""

    number: int
    field: Field

    @classmethod
    def parse(cls, text: str) -> Register:
        """Read its description. Raises ValueError with what is expected."""
        number, _, rest = text.strip().partition(" ")
        return cls(_byte(number), Field.parse(rest.strip() or "u8"))


class Steps(OptionType[tuple[tuple[int, bytes], ...]]):
    """Writes to registers, one after the other: `0x01=0x60 0xa0, 0x02=0`."""

    name = "register writes"

    @property
    def allowed(self) -> str:
        """What it may be."""
        return "register writes with a comma between them, as 0x01=0x60 0xa0, 0x02=0"

    def parse(self, text: str, folder: Path = Path()) -> tuple[tuple[int, bytes], ...]:  # noqa: ARG002 - no paths
        """Read them."""
        steps = []
        for each in filter(None, (part.strip() for part in text.split(","))):
            match = _STEP.fullmatch(each)
            if match is None:
                raise self.refused()
            try:
                steps.append((_byte(match[1]), bytes(_byte(byte) for byte in match[2].split())))
            except ValueError:
                raise self.refused() from None
        return tuple(steps)

    def text(self, data: Any) -> str:
        """As the file has it."""
        return ", ".join(f"{register:#04x}={' '.join(f'{byte:#04x}' for byte in values)}" for register, values in data)


class AnyChip(I2cChip):
    """A chip that has no driver of its own: its registers are described in the file."""

    oid = "rpii2c.register"
    name = "I2C chip"
    product_name = "I2C chip"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"value": Limits()}

    address = Option(I2cAddress(), help="The address of the chip")
    setup = Option(Steps(), default=(), help="What is written to the chip before it is read, and after each failure")
    writable = Option(Bool(), default=False, help="Whether the registers may be written")
    value = Value(
        "sensor_float",
        help="The number in a register",
        genre=Genre.BASIC,
        poll_delay=60,
        instances=Instances(
            label="register",
            help="A register and what is in it, as 0x05 s16be mask=0x1fff shift=0 scale=0.0625 offset=0",
            defaults=("0x00 u8",),
            parse=Register.parse,
        ),
    )
    level = Value(
        "action_string",
        help="A register that is written",
        genre=Genre.USER,
        poll_delay=0,
        instances=Instances(
            label="register", help="As those of value", defaults=("0x00 u8",), follows="value", parse=Register.parse
        ),
    )

    def set_up(self) -> None:
        """Write what the file says."""
        for register, data in self.setup:
            self._write(register, *data)

    @value.reader
    def read_value(self, instance: Instance) -> float:
        """The number. On the bus's thread; blocks for the bus."""
        return self.filtered("value", instance.index, lambda: self._number(instance.config))

    @level.reader
    def read_level(self, instance: Instance) -> str:
        """The number, as a text."""
        return f"{self._number(instance.config):g}"

    @level.writer
    def write_level(self, instance: Instance, data: str) -> None:
        """Write a number. On the bus's thread; blocks for the bus.

        Raises:
            ValueError: it is no number that the register can hold.
            PermanentError: writing is not allowed.
            TemporaryError: the chip does not answer, or does not keep it.
        """
        if not self.writable:
            raise PermanentError(f"[{self.uuid}] says writable = False: this chip is only read")
        try:
            number = float(data)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError("expected a number")
        register: Register = instance.config
        self.ready()
        before = self._read(register.number, register.field.size)
        wanted = register.field.encode(number, before)
        self._write(register.number, *wanted)
        if register.field.decode(self._read(register.number, register.field.size)) != register.field.decode(wanted):
            raise TemporaryError(f"the chip has not taken {data} for register {register.number:#04x}")

    def _number(self, register: Register) -> float:
        self.ready()
        return register.field.decode(self._read(register.number, register.field.size))


def _byte(text: str) -> int:
    try:
        number = int(text.strip(), 0)
    except ValueError:
        number = -1
    if not 0 <= number <= _BYTE:
        raise ValueError("expected a number from 0 to 0xff, as 0x1c")
    return number
