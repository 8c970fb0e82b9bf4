"""A stand-in for the module RPi.GPIO, at the very edge: the real ones refuse to be imported where there is no Pi.

It is as strict as the library is documented to be, which is what the drivers are held to: what has not been set up
cannot be used, edges come on a thread of its own, `cleanup` leaves a pin undriven, there is one PWM for a pin. What is
at the pins, a test says. On real pins of a kernel the same drivers are tested by `make test-kernel`.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

BOARD, BCM = 10, 11
OUT, IN = 0, 1
LOW, HIGH = 0, 1
PUD_OFF, PUD_DOWN, PUD_UP = 20, 21, 22
RISING, FALLING, BOTH = 31, 32, 33
UNKNOWN = -1

Callback = Callable[[int], object]


class error(Exception):
    """What lgpio raises, which is of no better class."""


class Pins:
    """The pins of a Pi, and the library that drives them.

    Attributes:
        driven: the levels that each pin has been driven to, one after the other; None where it was let go.
        wrong: pins that do not take the level that they are driven to.
        busy: pins that another program has.
        failing: outputs that cannot be driven, nor have pulses.
        is_open: whether the chip can be opened.
        edges_fail: whether the kernel refuses to tell of edges, as from 6.6 on.
        pulses: what is on each pin with pulses: frequency and duty cycle.
        shapes: what gives the level at a pin by the time, in the place of `drive`.
        on_output: called with each pin and level that is driven, as by a sensor that answers.
    """

    def __init__(self) -> None:
        self.driven: dict[int, list[int | None]] = defaultdict(list)
        self.wrong: set[int] = set()
        self.busy: set[int] = set()
        self.failing: set[int] = set()
        self.is_open = True
        self.edges_fail = False
        self.pulses: dict[int, tuple[float, float]] = {}
        self.shapes: dict[int, Callable[[], int]] = {}
        self.on_output: Callable[[int, int], None] = lambda _pin, _level: None
        self._mode: int | None = None
        self._direction: dict[int, int] = {}
        self._pull: dict[int, int] = {}
        self._outside: dict[int, int] = {}
        self._latch: dict[int, int] = {}
        self._edges: dict[int, tuple[int, Callback | None]] = {}
        self._pwms: set[int] = set()
        self._events: queue.SimpleQueue[tuple[Callback, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()

    # -- what a test does ----------------------------------------------------------------------------------------

    def drive(self, pin: int, level: int) -> None:
        """Have a level at an input, from outside."""
        with self._lock:
            before = self._level(pin)
            self._outside[pin] = level
            edge, callback = self._edges.get(pin, (0, None))
            now = self._level(pin)
            if callback is not None and now != before and edge in {BOTH, RISING if now else FALLING}:
                self._events.put((callback, pin))

    def level(self, pin: int) -> int:
        """The level of a pin, as a voltmeter shows it."""
        with self._lock:
            return self._level(pin)

    def pull(self, pin: int) -> int:
        """The resistor of an input."""
        return self._pull[pin]

    def is_watched(self, pin: int) -> bool:
        """Whether edges of a pin are told of."""
        return pin in self._edges

    @property
    def threads(self) -> int:
        """How many threads of the library run: one for all edges, one for each PWM."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive + len(self.pulses)

    # -- the library ---------------------------------------------------------------------------------------------

    def module(self) -> ModuleType:
        """The library."""
        made = ModuleType("RPi.GPIO")
        constants = ("BOARD", "BCM", "OUT", "IN", "LOW", "HIGH", "PUD_OFF", "PUD_DOWN", "PUD_UP", "RISING", "FALLING")
        for name in (*constants, "BOTH", "UNKNOWN"):
            setattr(made, name, globals()[name])
        functions = ("setwarnings", "setmode", "getmode", "setup", "input", "output", "cleanup", "gpio_function")
        for name in (*functions, "add_event_detect", "remove_event_detect"):
            setattr(made, name, getattr(self, name))
        pins = self

        class PWM(_Pwm):
            def __init__(self, channel: int, frequency: float) -> None:
                super().__init__(pins, channel, frequency)

        made.PWM = PWM  # type: ignore[attr-defined]
        return made

    def setwarnings(self, _value: bool) -> None:
        """Say less."""

    def getmode(self) -> int | None:
        """How pins are numbered."""
        return self._mode

    def setmode(self, mode: int) -> None:
        """Number pins so."""
        if not self.is_open:
            raise error("can not open gpiochip")
        if self._mode not in {None, mode}:
            raise ValueError("A different mode has already been set!")
        self._mode = mode

    def setup(self, channel: int, direction: int, pull_up_down: int = PUD_OFF, initial: int | None = None) -> None:
        """Have an input or an output."""
        pin = self._pin(channel)
        if pin in self.busy:
            raise error("GPIO busy")
        if direction == OUT:
            if pull_up_down != PUD_OFF:
                raise ValueError("pull_up_down parameter is not valid for outputs")
            with self._lock:
                # As rpi-lgpio has it, an output that the process has already stays as it is.
                fresh = self._direction.get(pin) != OUT
                self._direction[pin] = OUT
                self._write(pin, int(initial) if fresh and initial is not None else self._latch.get(pin, 0))
        elif direction == IN:
            if initial is not None:
                raise ValueError("initial parameter is not valid for inputs")
            with self._lock:
                self._direction[pin] = IN
                self._pull[pin] = pull_up_down
        else:
            raise ValueError("An invalid direction was passed to setup()")

    def gpio_function(self, channel: int) -> int:
        """What a pin is; an input where nobody has set it up."""
        return self._direction.get(self._pin(channel), IN)

    def input(self, channel: int) -> int:
        """The level of a pin."""
        pin = self._pin(channel)
        if pin not in self._direction:
            raise RuntimeError("You must setup() the GPIO channel first")
        return self.level(pin)

    def output(self, channel: int, value: int) -> None:
        """Drive a pin."""
        pin = self._pin(channel)
        if self._direction.get(pin) != OUT:
            raise RuntimeError("The GPIO channel has not been set up as an OUTPUT")
        with self._lock:
            self._write(pin, int(bool(value)))
        self.on_output(pin, int(bool(value)))

    def cleanup(self, channel: int) -> None:
        """Let a pin go: nothing drives it any more. Without a channel this would be all of the process, others' too."""
        pin = self._pin(channel)
        with self._lock:
            if self._direction.pop(pin, None) == OUT:
                self.driven[pin].append(None)
            self._latch.pop(pin, None)
        self.remove_event_detect(channel)

    def add_event_detect(
        self, channel: int, edge: int, callback: Callback | None = None, bouncetime: int | None = None
    ) -> None:
        """Tell of edges."""
        pin = self._pin(channel)
        if edge not in {RISING, FALLING, BOTH}:
            raise ValueError("The edge must be set to RISING, FALLING or BOTH")
        if bouncetime is not None and bouncetime <= 0:
            raise ValueError("Bouncetime must be greater than 0")
        if self._direction.get(pin) != IN:
            raise RuntimeError("You must setup() the GPIO channel as an input first")
        if pin in self._edges:
            raise RuntimeError("Conflicting edge detection already enabled for this GPIO channel")
        if self.edges_fail:
            raise RuntimeError("Failed to add edge detection")
        with self._lock:
            self._edges[pin] = (edge, callback)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="RPi.GPIO", daemon=True)
                self._thread.start()

    def remove_event_detect(self, channel: int) -> None:
        """Tell of no more edges."""
        pin = self._pin(channel)
        with self._lock:
            self._edges.pop(pin, None)
            ended = self._thread if not self._edges else None
            if ended is not None:
                self._thread = None
                self._events.put(None)
        if ended is not None and ended is not threading.current_thread():
            ended.join()

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            callback, pin = event
            try:
                callback(pin)
            except Exception as failed:  # noqa: BLE001 - so does the library
                print(failed, file=sys.stderr)

    def _pin(self, channel: int) -> int:
        if self._mode is None:
            raise RuntimeError("Please set pin numbering mode using GPIO.setmode(GPIO.BOARD) or GPIO.setmode(GPIO.BCM)")
        assert self._mode == BCM, "nobody numbers pins otherwise here"
        if isinstance(channel, bool) or not isinstance(channel, int):
            raise ValueError("Channel must be an integer or list/tuple of integers")
        if not 0 <= channel <= 53:
            raise ValueError("The channel sent is invalid on a Raspberry Pi")
        return channel

    def _write(self, pin: int, level: int) -> None:
        if pin in self.failing:
            raise error("GPIO write failed")
        self._latch[pin] = level
        self.driven[pin].append(level)

    def _level(self, pin: int) -> int:
        if self._direction.get(pin) == OUT:
            return 1 - self._latch[pin] if pin in self.wrong else self._latch[pin]
        if pin in self.shapes:
            return self.shapes[pin]()
        return self._outside.get(pin, int(self._pull.get(pin) == PUD_UP))

    # -- pulses --------------------------------------------------------------------------------------------------

    def claim_pwm(self, channel: int) -> int:
        """Have a PWM for a pin."""
        pin = self._pin(channel)
        if self._direction.get(pin) != OUT:
            raise RuntimeError("You must setup() the GPIO channel as an output first")
        if pin in self._pwms:
            raise RuntimeError("A PWM object already exists for this GPIO channel")
        self._pwms.add(pin)
        return pin

    def free_pwm(self, pin: int) -> None:
        """Have none."""
        self._pwms.discard(pin)
        self.pulses.pop(pin, None)


class _Pwm:
    """`RPi.GPIO.PWM`."""

    def __init__(self, pins: Pins, channel: int, frequency: float) -> None:
        self._pin = pins.claim_pwm(channel)
        self._pins = pins
        self._duty = 0.0
        self._frequency = 0.0
        self.ChangeFrequency(frequency)

    def __del__(self) -> None:
        if hasattr(self, "_pins"):
            self._pins.free_pwm(self._pin)

    def start(self, dc: float) -> None:
        """Begin."""
        if not 0 <= dc <= 100:
            raise ValueError("dutycycle must have a value from 0.0 to 100.0")
        if self._pin in self._pins.failing:
            raise error("GPIO write failed")
        self._duty = dc
        self._pins.pulses[self._pin] = (self._frequency, dc)

    def stop(self) -> None:
        """End; the pin is low then."""
        self._pins.pulses.pop(self._pin, None)
        self._pins.output(self._pin, LOW)

    def ChangeDutyCycle(self, dc: float) -> None:
        """Go on so."""
        if self._pin in self._pins.pulses:
            self.start(dc)

    def ChangeFrequency(self, frequency: float) -> None:
        """Go on so."""
        if frequency <= 0.0:
            raise ValueError("frequency must be greater than 0.0")
        self._frequency = frequency
        if self._pin in self._pins.pulses:
            self.start(self._duty)


@contextmanager
def plugged() -> Iterator[Pins]:
    """A Pi in this process: `RPi.GPIO` is the stand-in, and no chip of this machine is asked for anything."""
    pins = Pins()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "RPi", ModuleType("RPi"))
        patch.setitem(sys.modules, "RPi.GPIO", pins.module())
        lgpio = ModuleType("lgpio")
        lgpio.error = error  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "lgpio", lgpio)
        patch.setenv("RPI_LGPIO_CHIP", "9999")
        yield pins
