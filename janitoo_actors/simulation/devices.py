"""Simulated devices: any bus or component by its declarations alone, with data and faults that options say."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from random import Random
from typing import Any, Final, TypeVar, cast

from janitoo_actors.api.aggregate import Aggregate
from janitoo_actors.api.bus import Bus, Component, Extension
from janitoo_actors.api.claims import Hardware
from janitoo_actors.api.device import Device
from janitoo_actors.api.lines import OptionProblem, OptionsError
from janitoo_actors.api.machine import Stateful
from janitoo_actors.api.made import Made
from janitoo_actors.api.options import Duration, Maybe, Whole
from janitoo_actors.api.schema import Option
from janitoo_actors.api.values import Instance, Setting
from janitoo_actors.errors import BusLostError, TemporaryError
from janitoo_actors.simulation.faults import Fault, Rates, RatesType
from janitoo_actors.simulation.scripts import ALL, Event, Script, ScriptType
from janitoo_actors.simulation.sources import Generator, SourceType, likely

D = TypeVar("D", bound=Device)

_LATE: Final = 0.5
_SAID: Final[Mapping[Fault, str]] = {Fault.ERROR: "simulated: no answer", Fault.LOST: "simulated: the bus is gone"}
_MADE: Final[dict[type, Any]] = {}
# When the script of a node has begun, and what of it is over. A bus that is opened anew goes on with it; one that has
# been edited begins anew.
_SCRIPTS: Final[dict[tuple[str, Script], tuple[float, set[int]]]] = {}


class _Nothing(Exception):
    """A read that gives nothing: there is nothing to be filtered."""


class Simulated(Device):
    """What simulated devices have in common. Made by `simulated`; nothing of the driver's own methods is called."""

    simulate_faults = Option(
        RatesType(), default=Rates(), help="What goes wrong with its reads, and how often: error 0.05, hang 0.001"
    )
    simulate_script = Option(
        Maybe(ScriptType()), default=None, help="A file with data and faults at given times: SECONDS VALUE DATA"
    )
    simulate_seed = Option(
        Maybe(Whole(0, 2**53)), default=None, help="A number that makes random data and faults the same each time"
    )
    simulate_hang = Option(Duration(), default=60, help="Seconds that a hang lasts")

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._random = self._new_random("faults")
        self._generators: dict[tuple[str, int], Generator] = {}
        self._begin, self._over, self._told = 0.0, set[int](), 0.0
        self._closed = threading.Event()
        script: Script | None = self.option("simulate_script")
        self._events = () if script is None else script.events
        if script is not None and (expected := script.wrong(self.values)) is not None:
            raise OptionsError([OptionProblem("simulate_script", str(script.path), expected)])

    def takes(self) -> Iterable[Hardware]:
        """Nothing."""
        return ()

    def open(self) -> None:
        """Begin with the script, or go on with it."""
        self._closed.clear()
        script: Script | None = self.option("simulate_script")
        if script is not None:
            self._begin, self._over = _SCRIPTS.setdefault((self.uuid, script), (time.monotonic(), set()))
            self._told = time.monotonic() - self._begin
            self._wait_for_next()

    def close(self) -> None:
        """End what hangs."""
        self._closed.set()

    def read(self, uuid: str, index: int = 0) -> Any:
        """The next datum, or a fault. Blocks as the fault does."""
        if not self.is_simulated(uuid):
            return super().read(uuid, index)
        if self.values[uuid].read_by is None:
            raise LookupError(f"{uuid} of {self.oid} cannot be read")
        self._instances[uuid][index]
        read = partial(self._reading, uuid, index)
        try:
            return self.believed(uuid, index, read) if isinstance(self, Component) else read()
        except _Nothing:
            return None

    def write(self, uuid: str, data: Any, index: int = 0) -> None:
        """Keep it for the next read."""
        value = self.values[uuid]
        if not self.is_simulated(uuid) or value.written_by is None:
            super().write(uuid, data, index)
            return
        self._instances[uuid][index]
        self._generator(uuid, index).hold(value.coerce(data))

    def is_simulated(self, uuid: str) -> bool:
        """Whether a value is not read by the driver's own method: those of a state machine are."""
        return not (isinstance(self, Stateful) and uuid in Stateful.values)

    # -- data ----------------------------------------------------------------------------------------------------

    def _generator(self, uuid: str, index: int) -> Generator:
        found = self._generators.get((uuid, index))
        if found is None:
            value = self.values[uuid]
            source = self.option(f"simulate_{uuid}") if value.read_by is not None else likely(value)
            random = self._new_random(f"{uuid} {index}")
            found = self._generators[uuid, index] = Generator(value, source, random)
        return found

    def _new_random(self, what: str) -> Random:
        seed = self.option("simulate_seed")
        return Random(None if seed is None else f"{seed} {self.uuid} {what}")

    def _reading(self, uuid: str, index: int) -> Any:
        generator = self._generator(uuid, index)
        event = self._event(uuid)
        fault = self.option("simulate_faults").pick(self._random)
        said = ""
        if event is not None:
            fault, said = event.fault, event.text
            if event.once:
                self._over.add(event.number)
            if fault is None:
                return self.values[uuid].coerce(event.text)
        return generator.next() if fault is None else self._failing(fault, said, generator)

    def _failing(self, fault: Fault, said: str, generator: Generator) -> Any:
        match fault:
            case Fault.ERROR:
                raise TemporaryError(said or _SAID[fault])
            case Fault.LOST:
                raise BusLostError(said or _SAID[fault])
            case Fault.HANG:
                self._closed.wait(self.option("simulate_hang"))
                raise TemporaryError("simulated: it has hung")
            case Fault.LATE:
                self._closed.wait(_LATE)
                return generator.next()
            case Fault.NULL:
                raise _Nothing
            case Fault.NAN:
                return math.nan
            case Fault.ABSURD:
                return generator.absurd()

    # -- the script ----------------------------------------------------------------------------------------------

    def _event(self, uuid: str) -> Event | None:
        """What the script says of a value now; None where it says nothing."""
        now = time.monotonic() - self._begin
        found = None
        for each in self._events:
            if each.at > now:
                break
            if each.uuid in {uuid, ALL} and each.number not in self._over:
                found = each
        return None if found is None or found.is_normal else found

    def _wait_for_next(self) -> None:
        at = next((each.at for each in self._events if each.at > self._told), None)
        if at is not None:
            now = time.monotonic() - self._begin
            self.after(max(at - now, 0), partial(self._happens, at), key="script")

    def _happens(self, at: float) -> None:
        """Have the values published that the script changes now."""
        self._told = at
        for event in self._events:
            if event.at == at:
                for uuid, value in self.values.items():
                    if event.uuid in {uuid, ALL} and value.is_polled and self.is_simulated(uuid):
                        self.changed(uuid)
        self._wait_for_next()


class SimulatedComponent(Simulated, Component):
    """A component that is simulated."""


class SimulatedBus(Simulated, Bus):
    """A bus that is simulated."""


class SimulatedExtension(Simulated, Extension):
    """An extension that is simulated."""


def simulated(device_class: type[D]) -> type[D]:
    """The class that simulates a bus or a component; the same class for the same one.

    Of an aggregate, what is inside is simulated, and the rest is as it is: what it does with it is what is tried out.
    """
    found = cast("type[D] | None", _MADE.get(device_class))
    if found is None:
        found = _MADE[device_class] = _simulated(device_class)
        _MADE[found] = found
    return found


def _simulated(device_class: type[D]) -> type[D]:
    namespace: dict[str, Any] = {}
    if issubclass(device_class, Bus):
        namespace["parts"] = tuple(simulated(part) for part in device_class.parts)
    bases: tuple[type, ...] = (device_class,)
    if not issubclass(device_class, Aggregate):
        bases = (_kind(device_class), device_class)
        for uuid, value in device_class.values.items():
            if isinstance(value, Setting):
                if value.written_by is not None:
                    namespace[value.written_by] = _take
            elif value.read_by is not None:
                help = f"Where the data of {uuid} come from"
                namespace[f"option_simulate_{uuid}"] = Option(
                    SourceType(value), default=likely(value), help=help, key=f"simulate_{uuid}"
                )
    made = Made(device_class.__name__, bases, namespace)
    made.recipe = (simulated, (device_class,))
    found = cast("type[D]", made)
    # What a library would be needed for is not done.
    found.requires = ()
    return found


def _kind(device_class: type[Device]) -> type[Device]:
    if issubclass(device_class, Bus):
        return SimulatedBus
    return SimulatedExtension if issubclass(device_class, Extension) else SimulatedComponent


def _take(_device: Device, _instance: Instance, _data: Any) -> None:
    """The writer of a simulated setting: the setting has the data already."""
