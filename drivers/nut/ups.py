"""A UPS, what it says, and what it can be told to do; and the bus of UPSs."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import structlog

from drivers.libraries import library
from drivers.nut.connection import Connection, Server
from drivers.nut.watcher import Heard, Watcher
from janitoo_actors.api import (
    Bool,
    Bus,
    Component,
    ConfigurationError,
    Duration,
    Genre,
    Host,
    Instance,
    Maybe,
    Names,
    Option,
    OptionType,
    Port,
    Product,
    Secret,
    TemporaryError,
    Text,
    Value,
)
from janitoo_actors.suggest import did_you_mean

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_STARTING: Final = frozenset({"", "WAIT"})
_STATUS: Final = "ups.status"

_VARIABLES: Final[Mapping[str, str]] = {
    "battery_charge": "battery.charge",
    "battery_voltage": "battery.voltage",
    "battery_runtime": "battery.runtime",
    "battery_chemistry": "battery.type",
    "load": "ups.load",
}
"""The variables of NUT, by the values that they are."""

_COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "beeper": {
        "enable": "beeper.enable",
        "disable": "beeper.disable",
        "mute": "beeper.mute",
        "toggle": "beeper.toggle",
    },
    "test": {
        "battery": "test.battery.start",
        "quick": "test.battery.start.quick",
        "deep": "test.battery.start.deep",
        "stop": "test.battery.stop",
        "panel": "test.panel.start",
    },
    "shutdown": {
        "return": "shutdown.return",
        "stayoff": "shutdown.stayoff",
        "reboot": "shutdown.reboot",
        "stop": "shutdown.stop",
        "load_off": "load.off",
        "load_on": "load.on",
    },
}
"""The commands of NUT, by the value that gives them and by its data."""


class UpsName(OptionType[str]):
    """The name of a UPS in the `ups.conf` of its server."""

    name = "name of a UPS"

    @property
    def allowed(self) -> str:
        return "the name of a UPS in ups.conf, of letters, digits, dots, - and _"

    def parse(self, text: str, folder: Path = Path()) -> str:  # noqa: ARG002 - it has no paths
        name = text.strip()
        if _NAME.fullmatch(name) is None:
            raise self.refused("; its server has a key of its own, host" if "@" in name else "")
        return name


class CommandNames(Names):
    """Which commands are allowed."""

    name = "names of commands"

    @property
    def allowed(self) -> str:
        return f"some of {self.limits} with commas between, or nothing"

    @property
    def limits(self) -> str:
        return ", ".join(_COMMANDS)

    def parse(self, text: str, folder: Path = Path()) -> tuple[str, ...]:
        names = tuple(each.lower() for each in super().parse(text, folder))
        for name in names:
            if name not in _COMMANDS:
                raise self.refused(did_you_mean(name, _COMMANDS))
        return names


def _command(uuid: str, help: str) -> Value:
    return Value("action_list", help=help, genre=Genre.COMMAND, list_items=tuple(_COMMANDS[uuid]))


class NutBus(Bus):
    """A bus of UPSs, each watched by a thread of its own: a server that hangs keeps no other from being asked."""

    oid = "nut"
    name = "UPS"
    product_name = "UPSs by their NUT servers"
    requires = ("nut2",)

    library: ModuleType | None = None

    def open(self) -> None:
        """Get hold of the library.

        Raises:
            PermanentError: it is not installed.
        """
        root = logging.getLogger()
        before = list(root.handlers)
        self.library = library("nut2", self.oid)
        # It sets the log up when it is imported, which is not its to do.
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)


class Ups(Component):
    """An uninterruptible power supply.

    What it does not say is null, as most say no chemistry. A read gives what its watcher has heard, and does not wait
    for the server; what changes between two polls is pushed.
    """

    oid = "nut.ups"
    name = "UPS"
    product_name = "UPS"
    product_type = "Uninterruptible power supply"
    bus_class = NutBus
    bus: NutBus

    host = Option(Host(), default="127.0.0.1", help="Where the NUT server is")
    port = Option(Port(), default=3493, help="Its port")
    ups = Option(UpsName(), default="ups", help="The name of the UPS on the server")
    user = Option(Maybe(Text()), default=None, help="The user for commands, of the server's upsd.users")
    password = Option(Secret(), default=None, help="That user's password")
    timeout = Option(
        Duration(10, positive=True), default=2, help="Seconds that each answer of the server may take, and to connect"
    )
    watch = Option(
        Duration(60, positive=True),
        default=0.5,
        help="Seconds between two questions whether the status has changed, whatever status_poll_0 is",
    )
    commands = Option(CommandNames(), default=(), help="The commands that may be given over the network")
    check_user = Option(
        Bool(),
        default=True,
        help="Whether to see at connection if the server takes the user, where commands are allowed: the user needs "
        "actions = SET for that; otherwise the first command shows it",
    )

    status = Value(
        "sensor_string", help="OL: on line, OB: on battery, LB: low battery", genre=Genre.BASIC, poll_delay=60
    )
    battery_charge = Value("sensor_percent", help="The charge of the battery", genre=Genre.BASIC, poll_delay=60)
    battery_voltage = Value("sensor_voltage", help="The voltage of the battery", genre=Genre.BASIC, poll_delay=60)
    battery_runtime = Value(
        "sensor_float", help="For how long the battery lasts", units="s", genre=Genre.BASIC, poll_delay=60
    )
    battery_chemistry = Value("sensor_string", help="The chemistry of the battery", genre=Genre.BASIC, poll_delay=3600)
    load = Value("sensor_percent", help="The load", genre=Genre.BASIC, poll_delay=60)
    ip_ping = Value("sensor_boolean", help="Whether the server answers", genre=Genre.BASIC, poll_delay=60)
    allowed = Value(
        "sensor_string",
        help="The commands that may be given; it fails where the server does not take the user",
        genre=Genre.BASIC,
        poll_delay=300,
    )
    beeper = _command("beeper", "Switch the beeper, or mute it until the next alarm")
    test = _command("test", "Test the battery or the panel, or stop that")
    shutdown = _command("shutdown", "Switch the load off, for good or until the power returns; stop that; or on")

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._watcher: Watcher | None = None
        self._product = Product()
        self._silent: set[str] = set()

    def open(self) -> None:
        """Begin to watch the UPS. Does not wait for its server."""
        server = Server(self.host, self.port, self.timeout, self.user, self.password)
        self._watcher = Watcher(
            Connection(self.bus.library, server, self.ups),
            every=self.watch,
            check_user=self.check_user and bool(self.commands) and self.user is not None,
            told=self._told,
        )
        self._watcher.start()

    def close(self) -> None:
        """End the watcher, and the connection with it."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()

    # -- values; on the bus's thread, and do not block once the server has answered, or the timeout is over ---------

    @status.reader
    def read_status(self, _instance: Instance) -> str:
        """As NUT has it: words with spaces between them.

        Raises:
            TemporaryError: the server or the UPS does not answer, or is still starting.
            ConfigurationError: the server has no such UPS.
        """
        variables = self._variables()
        if _is_starting(variables):
            raise self._starting()
        return variables[_STATUS]

    @battery_charge.reader
    def read_battery_charge(self, _instance: Instance) -> float | None:
        """%."""
        return self._number("battery_charge")

    @battery_voltage.reader
    def read_battery_voltage(self, _instance: Instance) -> float | None:
        """Volts."""
        return self._number("battery_voltage")

    @battery_runtime.reader
    def read_battery_runtime(self, _instance: Instance) -> float | None:
        """Seconds."""
        return self._number("battery_runtime")

    @battery_chemistry.reader
    def read_battery_chemistry(self, _instance: Instance) -> str | None:
        """As PbAc."""
        return self._text("battery_chemistry")

    @load.reader
    def read_load(self, _instance: Instance) -> float | None:
        """%."""
        return self._number("load")

    @ip_ping.reader
    def read_ip_ping(self, _instance: Instance) -> bool:
        """Whether the server answers, be it that its data are stale."""
        return self._heard().answers

    @allowed.reader
    def read_allowed(self, _instance: Instance) -> str:
        """What is allowed here; where that is anything, the server must take the user for it.

        Raises:
            ConfigurationError: it does not, or there is none.
        """
        if self.commands and self.user is None:
            raise ConfigurationError(f"commands need user and password in [{self.uuid}], of the server's upsd.users")
        denied = self._heard().denied if self.commands else None
        if denied is not None:
            raise ConfigurationError(str(denied))
        return ", ".join(self.commands)

    @beeper.writer
    def write_beeper(self, _instance: Instance, data: str) -> None:
        """As `_run`."""
        self._run("beeper", data)

    @test.writer
    def write_test(self, _instance: Instance, data: str) -> None:
        """As `_run`."""
        self._run("test", data)

    @shutdown.writer
    def write_shutdown(self, _instance: Instance, data: str) -> None:
        """As `_run`."""
        self._run("shutdown", data)

    def _run(self, group: str, data: str) -> None:
        """Give a command; that the server has taken it is all that NUT says. Blocks as `Watcher.run`.

        Raises:
            ConfigurationError: it is not allowed, here or on the server.
            TemporaryError, PermanentError: as `Watcher.run`.
        """
        if group not in self.commands:
            needed = ", ".join((*self.commands, group))
            raise ConfigurationError(f"{group} is not allowed here: commands = {needed} in [{self.uuid}] allows it")
        self._watched().run(_COMMANDS[group][data])

    # -- what the watcher has heard ------------------------------------------------------------------------------

    def _watched(self) -> Watcher:
        if self._watcher is None:
            raise TemporaryError("the UPS is not watched: the bus is not open")
        return self._watcher

    def _heard(self) -> Heard:
        heard = self._watched().heard()
        if heard.error is None:
            said = heard.variables
            # As originals have it: the type is the serial number.
            product = Product(
                name=said.get("device.model") or said.get("ups.model", ""),
                type=said.get("device.serial") or said.get("ups.serial", ""),
                manufacturer=said.get("device.mfr") or said.get("ups.mfr", ""),
            )
            if product != self._product:
                self._product = product
                self.identify(product)
        return heard

    def _variables(self) -> Mapping[str, str]:
        heard = self._heard()
        if heard.error is not None:
            # Made anew: one that is raised again collects the tracebacks of all times.
            raise type(heard.error)(str(heard.error))
        return heard.variables

    def _text(self, uuid: str) -> str | None:
        variable, variables = _VARIABLES[uuid], self._variables()
        if text := variables.get(variable):
            self._silent.discard(uuid)
            return text
        if _is_starting(variables):
            raise self._starting()
        if uuid not in self._silent:
            self._silent.add(uuid)
            log = structlog.get_logger()
            log.info("ups_does_not_say", node=self.uuid, value=uuid, variable=variable)
        return None

    def _starting(self) -> TemporaryError:
        return TemporaryError(f"{self.ups} has no status yet: its driver is still starting")

    def _number(self, uuid: str) -> float | None:
        text = self._text(uuid)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise TemporaryError(f"{_VARIABLES[uuid]} of {self.ups} is {text[:40]!r}: expected a number")
        return number

    def _told(self, before: Heard, now: Heard) -> None:
        """Push what has changed, on the watcher's thread: the status, and what can be had now, or cannot any more."""
        was, is_now = _outlook(before), _outlook(now)
        for uuid, state in is_now.items():
            if was[uuid] != state:
                self.changed(uuid)


def _is_starting(variables: Mapping[str, str]) -> bool:
    """Whether its driver is: what it does not say now, it may say in a moment."""
    return variables.get(_STATUS, "") in _STARTING


def _outlook(heard: Heard) -> Mapping[str, Any]:
    """What of the values is to be published at once where it changes; the numbers themselves are polled."""
    error = "" if heard.error is None else str(heard.error)
    is_sure = not error and not _is_starting(heard.variables)
    known = {uuid: bool(heard.variables.get(variable)) for uuid, variable in _VARIABLES.items()}
    return {
        **{uuid: (is_known, is_known or is_sure) for uuid, is_known in known.items()},
        "status": (error, heard.variables.get(_STATUS)),
        "ip_ping": heard.answers,
        "allowed": str(heard.denied),
    }
