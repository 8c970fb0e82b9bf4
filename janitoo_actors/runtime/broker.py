"""The embedded broker: `broker = embedded` in `[system]`. For trying out, and for one machine; on loopback only."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.errors import ConfigurationError, PermanentError, TemporaryError
from janitoo_actors.runtime.broker_greeting import Greeting, NoBrokerError, greet
from janitoo_actors.runtime.broker_process import BrokerProcess
from janitoo_actors.runtime.broker_programs import AMQTT, embedded_program
from supervisors import PinnedActor

START_TIMEOUT: Final = 10.0
"""Seconds that a broker has from its start until it answers."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether a broker that is not ours is still there."""

_POLL: Final = 0.005
_GREETING_TIMEOUT: Final = 2.0
_OTHERS_LEAD: Final = 0.1
_STOP_TIMEOUT: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """Our broker's process has ended."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Time to see whether the broker that is not ours is still there."""


class Broker(PinnedActor):
    """The actor that keeps a broker running: mosquitto where it is installed, otherwise amqtt.

    When it has started, the broker answers. Where one listens already at the address (another server's, or the
    machine's own), that one is used for as long as it is there. The actor ends with an error when the broker is gone;
    its supervisor's restart brings a new one.

    Args:
        broker: where it is to listen, and who may connect.
    """

    def __init__(self, broker: BrokerConfig) -> None:
        super().__init__()
        self._broker = broker
        self._log = structlog.get_logger().bind(path=self.path)
        self._process: BrokerProcess | None = None
        self._greeting: Greeting | None = None

    @property
    def pid(self) -> int | None:
        """The process of our own broker; None where there is none. Any thread."""
        return None if self._process is None else self._process.pid

    def on_start(self) -> None:
        """Have a broker that answers. Own thread; blocks, up to `START_TIMEOUT` seconds.

        Raises:
            ConfigurationError: the address, or another setting, is not one for an embedded broker.
            PermanentError: no broker is installed.
            TemporaryError: the port is taken by something else, or the broker ended or did not answer in time.
        """
        _check(self._broker)
        greeting = self._whoever_listens()
        if greeting is None:
            self._run_own()
        else:
            self._adopt(greeting)

    def on_receive(self, message: Any) -> Any:
        """Handle what is noticed of the broker.

        Raises:
            TemporaryError: the broker is gone.
        """
        match message:
            case _Ended():
                raise TemporaryError("the broker is gone" if self._process is None else self._process.epitaph)
            case _Look():
                self._look()
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """End our broker, after what has just been said through it. Own thread; blocks for less than two seconds."""
        process = self._process
        if process is None:
            return
        # It has taken what the nodes have said last: their links have waited for that. The time to pass it on.
        process.ended.wait(process.program.last_words)
        process.stop(_STOP_TIMEOUT)

    def on_end(self) -> None:
        """Leave no process and no connection behind, whatever ended the actor. Any thread; does not block."""
        if self._process is not None:
            self._process.kill()
        if self._greeting is not None:
            self._greeting.close()

    # -- a broker of our own -------------------------------------------------------------------------------------

    def _run_own(self) -> None:
        began = time.monotonic()
        with embedded_program(self._broker) as program:
            about = {"program": program.name, "host": self._broker.host, "port": self._broker.port}
            if program.name == AMQTT:
                self._log.warning(
                    "broker_for_trying_out", **about, detail="amqtt is for trying out: apt install mosquitto"
                )
            process = self._process = BrokerProcess(program, self._log)
            if self.fenced:
                # Ended from outside before there was anything for `on_end` to kill.
                process.kill()
            answers = self._wait_for(process, program.name)
        if self.fenced:
            return
        if answers:
            process.when_ended(lambda: self.tell_self(_Ended()))
            self._log.info("broker_started", **about, pid=process.pid, seconds=round(time.monotonic() - began, 3))
            return
        # Another server of this machine may have been quicker with the same port.
        greeting = self._whoever_listens()
        if greeting is None:
            raise TemporaryError(process.epitaph)
        self._adopt(greeting)

    def _wait_for(self, process: BrokerProcess, name: str) -> bool:
        """Wait until our broker answers; False where it has ended before."""
        due = time.monotonic() + START_TIMEOUT
        while not process.ended.wait(_POLL) and not self.fenced:
            try:
                greeting = greet(self._broker, _GREETING_TIMEOUT)
            except NoBrokerError:
                # It is not that far.
                greeting = None
            if greeting is not None:
                greeting.close()
                # With a refusal it may be another's, which was quicker with the same port: then ours is about to end.
                if greeting.code and not process.ended.wait(_OTHERS_LEAD):
                    raise PermanentError(f"{name} refuses broker_user: mosquitto 2.0 or newer is needed for passwords")
                return True
            if time.monotonic() >= due:
                raise TemporaryError(
                    f"{name} does not answer at {self._broker.host}:{self._broker.port} within {START_TIMEOUT:g} s"
                )
        return False

    # -- somebody else's broker ----------------------------------------------------------------------------------

    def _whoever_listens(self) -> Greeting | None:
        """The broker that is there already; None where the port is free. Blocks."""
        try:
            return greet(self._broker, _GREETING_TIMEOUT)
        except NoBrokerError as error:
            raise TemporaryError(
                f"port {self._broker.port} is taken by something that is no MQTT broker ({error}): "
                "stop it, or set broker_port to a free port"
            ) from error

    def _adopt(self, greeting: Greeting) -> None:
        self._process = None
        self._hold(greeting)
        where = f"{self._broker.host}:{self._broker.port}"
        about = {"host": self._broker.host, "port": self._broker.port}
        if greeting.code:
            self._log.warning(
                "broker_already_running",
                **about,
                detail=f"a broker listens on {where} already, and refuses us (code {greeting.code}): "
                "set broker_user and broker_password, or broker_port to a free port",
            )
        else:
            self._log.info("broker_already_running", **about, detail=f"using the broker that listens on {where}")
        self.timers.every("look", LOOK_EVERY, _Look())

    def _look(self) -> None:
        greeting = self._greeting
        if greeting is not None and greeting.is_open():
            return
        # It may have closed this connection alone.
        again = self._whoever_listens()
        if again is None:
            raise TemporaryError(f"the broker that listened on {self._broker.host}:{self._broker.port} is gone")
        self._hold(again)

    def _hold(self, greeting: Greeting) -> None:
        previous, self._greeting = self._greeting, greeting
        if previous is not None:
            previous.close()
        if self.fenced:
            # Ended from outside meanwhile: `on_end` has not seen this one.
            greeting.close()


def _check(broker: BrokerConfig) -> None:
    """Refuse what an embedded broker is not for. Raises ConfigurationError."""
    if not _is_loopback(broker.host):
        raise ConfigurationError(
            f"broker_ip = {broker.host}: the embedded broker listens on loopback only. Set broker_ip = 127.0.0.1 or, "
            "for a broker on the network, install one there and remove the line broker = embedded"
        )
    if broker.ca_file is not None:
        raise ConfigurationError(
            "broker_ca_file: the embedded broker speaks no TLS. Remove broker_ca_file or, for a broker with TLS, "
            "the line broker = embedded"
        )
    if broker.user is not None and not broker.password:
        raise ConfigurationError("broker_user: with broker = embedded, a user needs a broker_password")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
