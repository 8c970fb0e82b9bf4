"""Chips that put something out. Source: the data sheet of PCA9685."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Final

from drivers.i2c.chip import I2cAddress, I2cChip
from janitoo_actors.api import (
    Choice,
    Genre,
    Instance,
    Instances,
    Number,
    Option,
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
_RESERVED: Final = 0xE0
"""Bits that are 0 in all chips."""
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
        if (data[1] | data[3]) & _RESERVED:
            self.lost()
            raise TemporaryError(
                f"the chip says {data.hex(' ')} for output {instance.config}, which cannot be: check its wires"
            )
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
