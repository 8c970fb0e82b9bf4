"""Chips that put something out. Source: the data sheet of PCA9685."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Final

from drivers.i2c.chip import I2cAddress, I2cChip
from janitoo_actors.api import (
    Choice,
    ConfigurationError,
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
_TURN: Final = 180
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


def _servo(text: str) -> int | None:
    return _output(text) if text.strip() else None


def _pulse(name: str, default: float, angle: int) -> tuple[Option[float], Option[float]]:
    """The options for the length of a servo's pulse at an angle: of all servos, and of one."""
    text = f"How long the pulse of a servo is at {angle} degrees, in milliseconds"
    return (
        Option(Number(0.1, 5), default=default, help=text, key=name),
        Option(
            Number(0.1, 5),
            help=f"{name} of one servo",
            default_text=f"that of {name}",
            key=name,
            of="angle",
            example=str(default),
        ),
    )


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

    pulse_min, own_pulse_min = _pulse("pulse_min", 0.5, 0)
    pulse_max, own_pulse_max = _pulse("pulse_max", 2.5, _TURN)
    angle = Value(
        "action_integer",
        help="The angle of a servo at an output",
        genre=Genre.USER,
        units="°",
        minimum=0,
        maximum=_TURN,
        poll_delay=300,
        instances=Instances(label="output", help="The number of the output; empty for no servo", parse=_servo),
    )

    def set_up(self) -> None:
        """Set the frequency, where it is another one: that stops the outputs for a moment.

        Raises:
            TemporaryError: it cannot be set.
        """
        (mode,) = self._read(_MODE1, 1)
        if self._read(_PRESCALE, 1)[0] != self._prescale:
            self._write(_MODE1, mode & ~_RESTART & 0xFF | _SLEEP | _AUTO_INCREMENT)
            self._write(_PRESCALE, self._prescale)
            if self._read(_PRESCALE, 1)[0] != self._prescale:
                raise TemporaryError(f"the chip has not taken its frequency: is it a {self.name}, and well wired?")
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
        return round(self._steps(instance.config) * 100 / _STEPS)

    @duty.writer
    def write_duty(self, instance: Instance, data: int) -> None:
        """Set an output. On the bus's thread; blocks for the bus.

        Raises:
            TemporaryError: the chip does not answer, or does not keep it.
        """
        self._set_steps(instance.config, round(data * _STEPS / 100))

    @angle.reader
    def read_angle(self, instance: Instance) -> int | None:
        """Degrees, by the chip's pulse; None where there is none, and the servo is loose. As `read_duty`."""
        if instance.config is None:
            return None
        steps = self._steps(instance.config)
        first, last = self._pulses(instance.index)
        return None if steps == 0 else min(max(round((steps - first) * _TURN / (last - first)), 0), _TURN)

    @angle.writer
    def write_angle(self, instance: Instance, data: int) -> None:
        """Turn a servo. It is held there. As `write_duty`.

        Raises:
            ConfigurationError: no servo is configured, or its pulses cannot be.
        """
        if instance.config is None:
            raise ConfigurationError(f"[{self.uuid}] has no servo: expected angle_config_0, as 3")
        first, last = self._pulses(instance.index)
        self._set_steps(instance.config, round(first + (last - first) * data / _TURN))

    def _pulses(self, index: int) -> tuple[float, float]:
        """The pulses of a servo at 0 and 180 degrees, in steps."""
        period = 1000 * _STEPS * (self._prescale + 1) / _OSCILLATOR
        first, last = (self.option(key, index) * _STEPS / period for key in ("pulse_min", "pulse_max"))
        if first == last or max(first, last) > _STEPS - 1:
            keys = ", ".join(self.option_key(key, index) for key in ("pulse_min", "pulse_max"))
            raise ConfigurationError(f"expected two pulses shorter than {period:.3g} ms: {keys}, frequency")
        return first, last

    def _steps(self, output: int) -> int:
        """For how many of its 4096 steps an output is on."""
        self.ready()
        data = self._read(_LED + 4 * output, 4)
        if (data[1] | data[3]) & _RESERVED:
            self.lost()
            text = f"the chip says {data.hex(' ')} for output {output}, which cannot be: check its wires"
            raise TemporaryError(text)
        if data[3] & _FULL:
            return 0
        if data[1] & _FULL:
            return _STEPS
        on, off = data[0] | data[1] << 8, data[2] | data[3] << 8
        return (off - on) % _STEPS

    def _set_steps(self, output: int, steps: int) -> None:
        self.ready()
        if steps <= 0:
            values = (0, 0, 0, _FULL)
        elif steps >= _STEPS:
            values = (0, _FULL, 0, 0)
        else:
            values = (0, 0, steps & 0xFF, steps >> 8)
        self._write(_LED + 4 * output, *values)
        if tuple(self._read(_LED + 4 * output, 4)) != values:
            raise TemporaryError(f"the chip has not taken {steps} of {_STEPS} for output {output}")
