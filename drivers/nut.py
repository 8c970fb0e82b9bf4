"""The bus `nut`: uninterruptible power supplies, by the servers of Network UPS Tools, on nut2."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any, Final, TypeVar

from drivers.libraries import library
from janitoo_actors.api import (
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
    PermanentError,
    Port,
    Secret,
    TemporaryError,
    Text,
    Value,
)

_FRESH: Final = 0.5
"""Seconds for which the variables of a UPS serve all its values: they are polled one after the other."""
_STARTING: Final = "WAIT"

T = TypeVar("T")


def _read_until(client: Any, end: bytes) -> bytes:
    """Read from the server of a client of nut2-notl up to some bytes; what there is where it says no more.

    By itself that library waits for more before it looks at what it has, and so for the timeout in every list.
    """
    buffer: bytearray = client._buf
    while end not in buffer:
        try:
            data = client._srv_handler.recv(4096)
        except TimeoutError:
            rest = bytes(buffer)
            buffer.clear()
            return rest
        if not data:
            raise EOFError("the server has ended the connection")
        buffer += data
    length = buffer.index(end) + len(end)
    answer = bytes(buffer[:length])
    del buffer[:length]
    return answer


class NutBus(Bus):
    """A bus of UPSs. Each has a connection of its own: one server that hangs keeps no other from being read."""

    oid = "nut"
    name = "UPS"
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
    """An uninterruptible power supply."""

    oid = "nut.ups"
    name = "UPS"
    product_name = "UPS"
    product_type = "Uninterruptible power supply"
    bus_class = NutBus
    bus: NutBus

    host = Option(Host(), default="127.0.0.1", help="Where the NUT server is")
    port = Option(Port(), default=3493, help="Its port")
    ups = Option(Text(), default="ups", help="The name of the UPS on the server")
    user = Option(Maybe(Text()), default=None, help="The user for commands, of the server's upsd.users")
    password = Option(Secret(), default=None, help="That user's password")
    timeout = Option(Duration(10), default=2, help="Seconds that each answer of the server may take")
    commands = Option(
        Names(), default=(), help="The instant commands that may be given over the network, with commas between them"
    )

    status = Value(
        "sensor_string", help="OL: on line, OB: on battery, LB: low battery", genre=Genre.BASIC, poll_delay=5
    )
    battery_charge = Value("sensor_percent", help="The charge of the battery", genre=Genre.BASIC, poll_delay=60)
    battery_voltage = Value("sensor_voltage", help="The voltage of the battery", genre=Genre.BASIC, poll_delay=60)
    battery_runtime = Value(
        "sensor_float", help="For how long the battery lasts", units="s", genre=Genre.BASIC, poll_delay=60
    )
    battery_chemistry = Value("sensor_string", help="The chemistry of the battery", genre=Genre.BASIC, poll_delay=3600)
    load = Value("sensor_percent", help="The load", genre=Genre.BASIC, poll_delay=60)
    manufacturer = Value("sensor_string", help="Who made it", genre=Genre.BASIC, poll_delay=3600)
    model = Value("sensor_string", help="Which one it is", genre=Genre.BASIC, poll_delay=3600)
    serial = Value("sensor_string", help="Its serial number", genre=Genre.BASIC, poll_delay=3600)
    ip_ping = Value("sensor_boolean", help="Whether the server answers", genre=Genre.BASIC, poll_delay=60)
    command = Value("action_string", help="An instant command, as beeper.mute", genre=Genre.COMMAND)

    def __init__(self, uuid: str = "", options: Mapping[str, str] | None = None) -> None:
        super().__init__(uuid, options)
        self._client: Any = None
        self._variables: Mapping[str, str] = {}
        self._read_at = 0.0

    def close(self) -> None:
        """End the connection."""
        self._drop()

    # -- values; on the bus's thread, and block for twice the timeout at most --------------------------------------

    @status.reader
    def read_status(self, _instance: Instance) -> str:
        """As NUT has it: words with spaces between them.

        Raises:
            TemporaryError: the server or the UPS does not answer, or is still starting.
            ConfigurationError: the server has no such UPS, or refuses the user.
        """
        status = self._text("ups.status")
        if status == _STARTING:
            raise TemporaryError(f"the driver of {self.ups} is still starting")
        return status

    @battery_charge.reader
    def read_battery_charge(self, _instance: Instance) -> float:
        """%."""
        return self._number("battery.charge")

    @battery_voltage.reader
    def read_battery_voltage(self, _instance: Instance) -> float:
        """Volts."""
        return self._number("battery.voltage")

    @battery_runtime.reader
    def read_battery_runtime(self, _instance: Instance) -> float:
        """Seconds."""
        return self._number("battery.runtime")

    @battery_chemistry.reader
    def read_battery_chemistry(self, _instance: Instance) -> str:
        """As PbAc."""
        return self._text("battery.type")

    @load.reader
    def read_load(self, _instance: Instance) -> float:
        """%."""
        return self._number("ups.load")

    @manufacturer.reader
    def read_manufacturer(self, _instance: Instance) -> str:
        """Who made it."""
        return self._text("device.mfr", "ups.mfr")

    @model.reader
    def read_model(self, _instance: Instance) -> str:
        """Which one it is."""
        return self._text("device.model", "ups.model")

    @serial.reader
    def read_serial(self, _instance: Instance) -> str:
        """Its serial number."""
        return self._text("device.serial", "ups.serial")

    @ip_ping.reader
    def read_ip_ping(self, _instance: Instance) -> bool:
        """Whether the server answers."""
        try:
            self._asked(lambda client: client.ver())
        except TemporaryError:
            return False
        return True

    @command.writer
    def write_command(self, _instance: Instance, data: str) -> None:
        """Give an instant command.

        The server tells a wrong password only here: it does not look at the user before.

        Raises:
            PermanentError: it is not allowed by `commands`.
            TemporaryError, ConfigurationError: as `read_status`.
        """
        if data not in self.commands:
            allowed = ", ".join(self.commands) or "none"
            raise PermanentError(f"[{self.uuid}] does not allow the command {data!r}; commands = {allowed}")
        self._asked(lambda client: client.run_command(self.ups, data))

    # -- the connection ------------------------------------------------------------------------------------------

    def _number(self, variable: str) -> float:
        text = self._text(variable)
        try:
            return float(text)
        except ValueError:
            raise TemporaryError(f"{variable} of {self.ups} is {text[:40]!r}: expected a number") from None

    def _text(self, *variables: str) -> str:
        if time.monotonic() - self._read_at > _FRESH:
            self._variables = self._asked(lambda client: client.list_vars(self.ups))
            self._read_at = time.monotonic()
        for variable in variables:
            if variable in self._variables:
                return self._variables[variable]
        raise PermanentError(f"the UPS {self.ups} does not tell {variables[0]}")

    def _asked(self, question: Callable[[Any], T]) -> T:
        with self._explained():
            if self._client is None:
                self._client = self._connected()
            return question(self._client)

    def _connected(self) -> Any:
        assert self.bus.library is not None
        # Without the user: the library writes what it is made with into the log, the password too.
        client = self.bus.library.PyNUTClient(self.host, self.port, timeout=self.timeout, connect=False)
        client._login, client._password = self.user, self.password
        if hasattr(client, "_read_until"):
            client._read_until = partial(_read_until, client)
        try:
            client._connect()
        except OSError as error:
            # As nut2 says it; nut2-notl, its stand-in on later Pythons, does not.
            raise self.bus.library.PyNUTError("Socket error.") from error
        return client

    def _drop(self) -> None:
        """End the connection. An answer that comes late would be taken for that of the next question."""
        client, self._client = self._client, None
        self._read_at = 0.0
        handler = getattr(client, "_srv_handler", None)
        if handler is not None:
            # By itself it would say goodbye first, to a server that may hang.
            client._srv_handler = None
            handler.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what has gone wrong, and end the connection."""
        assert self.bus.library is not None
        try:
            yield
        except self.bus.library.PyNUTError as error:
            self._drop()
            raise self._explanation(str(error).strip()) from error
        except (EOFError, OSError) as error:
            self._drop()
            raise TemporaryError(f"the NUT server at {self.host}:{self.port} has ended the connection") from error
        except (ValueError, AttributeError, IndexError) as error:
            # A list that was cut off in the middle; the library does not expect that.
            self._drop()
            raise TemporaryError(f"the NUT server at {self.host}:{self.port} answers with what is no answer") from error

    def _explanation(self, error: str) -> TemporaryError | ConfigurationError:
        server = f"the NUT server at {self.host}:{self.port}"
        who = "nobody" if self.user is None else repr(self.user)
        refused = f"{server} lets {who} give no commands: expected a user of upsd.users (user, password)"
        known: Mapping[str, TemporaryError | ConfigurationError] = {
            "Socket error.": TemporaryError(f"there is no {server[4:]}: is it running? (host, port)"),
            "UNKNOWN-UPS": ConfigurationError(
                f"{server} has no UPS {self.ups!r}: expected one that `upsc -l` lists (ups)"
            ),
            "ACCESS-DENIED": ConfigurationError(refused),
            "USERNAME-REQUIRED": ConfigurationError(refused),
            "DATA-STALE": TemporaryError(f"the data of {self.ups} are stale: its driver hears nothing of it"),
            "DRIVER-NOT-CONNECTED": TemporaryError(f"the driver of {self.ups} is not running on the server"),
            "CMD-NOT-SUPPORTED": ConfigurationError(
                f"the UPS {self.ups} has no such command: expected one that `upscmd -l` lists"
            ),
        }
        if not error:
            return TemporaryError(f"{server} has not answered within {self.timeout:g} s")
        found = next((known[word] for word in known if word in error), None)
        return found if found is not None else TemporaryError(f"{server} says {error}")
