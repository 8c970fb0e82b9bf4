"""Drivers for the tests whose every call does what the test says; and the configurations that use them.

As a program (`python -m faulty_drivers run FILE`) it is `janitoo` with these drivers, and each component does what the
option `fault_0` of its section says.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from brokers import Mosquitto
from child_work import hold_the_interpreter
from janitoo_actors.api import (
    Applies,
    Bus,
    BusLostError,
    Component,
    Genre,
    Instance,
    Instances,
    Setting,
    TemporaryError,
    Value,
)
from janitoo_actors.configuration.registry import Registry
from waiting import wait_for

TIMEOUT = 15.0
"""Seconds after which something that should happen has not; long, as a test machine may be busy."""


class Hang:
    """What hangs until it is released; it may be called where a test expects a call.

    Args:
        then: what it does when it is released.
    """

    def __init__(self, then: Callable[[], Any] = lambda: None) -> None:
        self.calls = 0
        self._then = then
        self._reached = threading.Event()
        self._released = threading.Event()

    def __call__(self, *_args: Any) -> Any:
        self.calls += 1
        self._reached.set()
        self._released.wait()
        return self._then()

    def wait_reached(self) -> None:
        """Wait until somebody hangs in it."""
        assert self._reached.wait(TIMEOUT), "nobody has called what is to hang"

    def release(self) -> None:
        """Let everyone go, now and from now on."""
        self._released.set()


class Script:
    """What one device does; a test changes it at any time.

    Attributes:
        read, write, open, close: called by the device; `read` with its instance, `write` with its instance and data.
        reads: how often a read has begun, by the index of the instance.
        device: the last one that was opened; a test has it call the runtime.
        opened, closed: how often.
    """

    def __init__(self) -> None:
        self.read: Callable[[Instance], Any] = lambda instance: 20.0 + instance.index
        self.write: Callable[[Instance, Any], None] = lambda _instance, _data: None
        self.open: Callable[[], Any] = lambda: None
        self.close: Callable[[], Any] = lambda: None
        self.reads: dict[int, int] = defaultdict(int)
        self.device: Any = None
        self.opened = 0
        self.closed = 0

    def wait_reads(self, more: int = 1, *, index: int = 0) -> None:
        """Wait for so many reads from now on."""
        wanted = self.reads[index] + more
        wait_for(lambda: self.reads[index] >= wanted, TIMEOUT, lambda: f"{wanted} reads: {dict(self.reads)}")


class Scripts:
    """The scripts of all devices, by the uuid of the node; and all that hangs, to be released at the end of a test."""

    def __init__(self) -> None:
        self._scripts: dict[str, Script] = {}
        self._hangs: list[Hang] = []

    def __getitem__(self, uuid: str) -> Script:
        return self._scripts.setdefault(uuid, Script())

    def hang(self, then: Callable[[], Any] = lambda: None) -> Hang:
        """Something that hangs, until the end of the test at most."""
        hang = Hang(then)
        self._hangs.append(hang)
        return hang

    def reset(self) -> None:
        """Forget all, and let everyone go who hangs."""
        for hang in self._hangs:
            hang.release()
        self._hangs.clear()
        self._scripts.clear()


SCRIPTS = Scripts()


def raises(*errors: BaseException, then: Any = 21.5) -> Callable[..., Any]:
    """What raises these, one after the other, and then gives `then`; with a single error, that one for ever."""
    left = list(errors)

    def call(*_args: Any) -> Any:
        if len(errors) == 1:
            raise errors[0]
        if left:
            raise left.pop(0)
        return then

    return call


def gives(data: Any) -> Callable[..., Any]:
    """What gives these data."""
    return lambda *_args: data


class _Scripted:
    """What buses and components have in common."""

    uuid: str

    @cached_property
    def script(self) -> Script:
        """Its own, also where it hangs for longer than its test: not that of the next test's device."""
        return SCRIPTS[self.uuid]

    def open(self) -> None:
        self.script.opened += 1
        self.script.device = self
        self.script.open()

    def close(self) -> None:
        self.script.closed += 1
        self.script.close()

    def _read(self, instance: Instance) -> Any:
        self.script.reads[instance.index] += 1
        return self.script.read(instance)


class FaultyBus(_Scripted, Bus):
    """A bus that does what its script says."""

    oid = "faulty"


class Sensor(_Scripted, Component):
    """A component with one polled value."""

    oid = "faulty.sensor"
    temperature = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)

    @temperature.reader
    def read_temperature(self, instance: Instance) -> Any:
        """Read as the script says."""
        return self._read(instance)


class Pair(_Scripted, Component):
    """A component with a polled value of two instances."""

    oid = "faulty.pair"
    level = Value(
        "sensor_float",
        genre=Genre.BASIC,
        help="The level",
        poll_delay=300,
        instances=Instances("Tank", "The tank", defaults=("left", "right")),
    )

    @level.reader
    def read_level(self, instance: Instance) -> Any:
        """Read as the script says."""
        return self._read(instance)


def parse_with_a_bug(text: str) -> str:
    """Fail as a driver with a bug does, but for what stands in the file at the start."""
    if text != "good":
        raise KeyError(text)
    return text


class Switch(_Scripted, Component):
    """A component without polls: what it has is read and written on request; the check of its setting has a bug."""

    oid = "faulty.switch"
    state = Value("action_string", help="The state", poll_delay=0)
    mode = Setting[str]("config_string", default="good", help="The mode", parse=parse_with_a_bug)

    @state.reader
    def read_state(self, instance: Instance) -> Any:
        """Read as the script says."""
        return self._read(instance)

    @state.writer
    def write_state(self, instance: Instance, data: Any) -> None:
        """Write as the script says."""
        self.script.write(instance, data)


class Settable(_Scripted, Component):
    """A component with a setting that it takes over as its script says."""

    oid = "faulty.settable"
    mode = Setting[str]("config_string", default="slow", help="The mode")

    @mode.writer
    def write_mode(self, instance: Instance, data: str) -> None:
        """Write as the script says."""
        self.script.write(instance, data)


class Pinned(_Scripted, Component):
    """A component with a setting that only a start takes over, and one that can change at any time."""

    oid = "faulty.pinned"
    pin = Setting[int]("config_byte", default=4, help="The pin", applies=Applies.RESTART_BUS)
    mode = Setting[str]("config_string", default="slow", help="The mode")
    used = Value("sensor_float", genre=Genre.BASIC, help="The pin that it uses", poll_delay=0)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._used = -1

    def open(self) -> None:
        """Take the pin."""
        super().open()
        self._used = self.pin

    @used.reader
    def read_used(self, _instance: Instance) -> int:
        """The pin that it was opened with."""
        return self._used


class Station(_Scripted, Component):
    """A component with five polled values."""

    oid = "faulty.station"
    north = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)
    east = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)
    south = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)
    west = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)
    centre = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)

    @north.reader
    @east.reader
    @south.reader
    @west.reader
    @centre.reader
    def read_any(self, instance: Instance) -> Any:
        """Read as the script says."""
        return self._read(instance)


class WrongReader(Component):
    """A component whose reader takes no instance."""

    oid = "faulty.wrong_reader"
    temperature = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)

    @temperature.reader
    def read_temperature(self) -> float:
        """Never come so far: whoever calls it gives it an instance."""
        return 1.0


class BrokenInit(Component):
    """A component that cannot even be made."""

    oid = "faulty.broken_init"

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        raise LookupError("a bug in __init__")


class Unspeakable(Exception):
    """An exception that fails when somebody wants to know what it says."""

    def __str__(self) -> str:
        raise AttributeError("message")


class UnspeakableExit(SystemExit):
    """The same, which ends what it is raised in."""

    def __str__(self) -> str:
        raise AttributeError("message")


def _fault_raise() -> NoReturn:
    raise TemporaryError("the sensor is unplugged")


def _fault_lost() -> NoReturn:
    raise BusLostError("the adapter is gone")


def _fault_hang() -> NoReturn:
    while True:
        # Longer than any test; nothing sets it.
        threading.Event().wait()


_FAULTS: Mapping[str, Callable[[], Any]] = {
    "": lambda: None,
    "raise": _fault_raise,
    "lost": _fault_lost,
    "hang": _fault_hang,
    "exit": sys.exit,
}


def _segfault() -> NoReturn:
    ctypes.string_at(0)
    raise AssertionError("alive")


def _burn() -> NoReturn:
    while True:
        pass


def _leak() -> NoReturn:
    taken = []
    while True:
        taken.append(b"x" * (1 << 20))
        threading.Event().wait(0.005)


class Remote(Component):
    """A component in a process of its own, whose reads do what a file says that a test writes."""

    oid = "faulty.remote"
    order = Setting[str]("config_string", default="", help="The file")
    mode = Setting[str]("config_string", default="slow", help="The mode")
    state = Value("action_string", help="The state", poll_delay=0)
    temperature = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._state = "off"

    @temperature.reader
    def read_temperature(self, instance: Instance) -> Any:
        """Read, or do it; an order is taken once."""
        path = Path(self.order)
        try:
            order = path.read_text(encoding="ascii")
        except OSError:
            return 20.0 + instance.index
        path.unlink()
        return _ORDERS[order]()

    @state.reader
    def read_state(self, _instance: Instance) -> str:
        """The last one written."""
        return self._state

    @state.writer
    def write_state(self, _instance: Instance, data: str) -> None:
        """Keep it."""
        self._state = data


_ORDERS: Mapping[str, Callable[[], Any]] = {
    **_FAULTS,
    "segfault": _segfault,
    "burn": _burn,
    "leak": _leak,
    "stuck": hold_the_interpreter,
    "pid": os.getpid,
}


class Pusher(Component):
    """A component in a process of its own with a thread, as libraries have: it tells when a file changes."""

    oid = "faulty.pusher"
    file = Setting[str]("config_string", default="", help="The file")
    level = Value("sensor_float", genre=Genre.BASIC, help="What is in the file", poll_delay=300)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._closed = threading.Event()

    def open(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._closed.set()

    @level.reader
    def read_level(self, _instance: Instance) -> float:
        """What is in the file."""
        return float(Path(self.file).read_text(encoding="ascii"))

    def _look(self) -> None:
        path = Path(self.file)
        before = path.read_bytes()
        while not self._closed.wait(0.005):
            now = path.read_bytes()
            if now != before:
                before = now
                self.changed("level")


class ByOption(Component):
    """A component that does what options say: for a process of its own, whose scripts a test cannot change."""

    oid = "faulty.by_option"
    fault = Setting[str]("config_string", default="", help="The fault of reads", list_items=list(_FAULTS))
    fault_open = Setting[str]("config_string", default="", help="The fault of open", list_items=list(_FAULTS))
    fault_close = Setting[str]("config_string", default="", help="The fault of close", list_items=list(_FAULTS))
    temperature = Value("sensor_temperature", genre=Genre.BASIC, help="The temperature", poll_delay=300)

    def open(self) -> None:
        """Open, or fail."""
        _FAULTS[self.fault_open]()

    def close(self) -> None:
        """Close, or fail."""
        _FAULTS[self.fault_close]()

    @temperature.reader
    def read_temperature(self, instance: Instance) -> float:
        """Read, or fail."""
        _FAULTS[self.fault]()
        return 20.0 + instance.index


def registry() -> Registry:
    """All of these drivers."""
    scripted: tuple[type[Component], ...] = (Sensor, Pair, Switch, Settable, Pinned, Station)
    components: tuple[type[Component], ...] = (*scripted, WrongReader, BrokenInit, ByOption, Remote, Pusher)
    return Registry({"faulty": FaultyBus}, {each.oid: each for each in components})


class Configuration:
    """The text of a server's file: buses `one`, `two`, … with components, as the test wants them."""

    def __init__(self, path: Path, broker: Mosquitto, **system: Any) -> None:
        """Begin a file.

        Args:
            broker: the broker to use; it need not run.
            system: further options of `[system]`.
        """
        self.path = path / "server.conf"
        options = {"service": "test", "broker_ip": broker.host, "broker_port": broker.port, "read_timeout": 5, **system}
        self._lines = ["[system]", *_lines(options)]
        self._buses = 0

    def bus(
        self,
        section: str,
        components: Sequence[str] = ("sensor",),
        *,
        own: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> Configuration:
        """Add a bus.

        Args:
            components: oids without `faulty.`, as `sensor`, or with another key, as `other=sensor`; each is the node
                `<section>__<key>`, at addresses from 0001 on.
            own: options of the section of the bus.
            options: of the section of each component.
        """
        self._buses += 1
        controller = 700 + self._buses
        self._lines += ["", f"[{section}]", "oid = faulty", "auto_start = True", f"hadd = {controller:04d}/0000"]
        oids = {name.partition("=")[0]: name.rpartition("=")[2] for name in components}
        self._lines += _lines(own)
        self._lines += ["heartbeat = 300", *(f"components.{key} = faulty.{oid}" for key, oid in oids.items())]
        for number, key in enumerate(oids, start=1):
            self._lines += ["", f"[{section}__{key}]", f"hadd = {controller:04d}/{number:04d}", "heartbeat = 300"]
            self._lines += _lines(options)
        return self

    def write(self) -> Path:
        """Write the file; where it is."""
        self.path.write_text("\n".join([*self._lines, ""]), encoding="utf-8")
        return self.path


def _lines(options: Mapping[str, Any]) -> Iterable[str]:
    return (f"{key} = {text}" for key, text in options.items())


def main(arguments: Sequence[str]) -> int:
    """Run `janitoo` with these drivers."""
    from janitoo_actors.commands import main as program

    # What is installed is what entry points say; these drivers are installed nowhere.
    Registry.installed = staticmethod(registry)  # type: ignore[method-assign, assignment]
    return program.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
