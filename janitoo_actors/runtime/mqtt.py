"""One connection to the broker, which comes back by itself."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from janitoo_actors.configuration.model import BrokerConfig

SHORTEST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 30.0
"""Seconds between two tries to connect: each is twice as long as the one before, between these."""
_LONGEST_NAP: Final = 10.0
"""Seconds between two looks at the keep-alive, at most."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has taken the connection and its subscriptions."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone, or could not be made; the next try comes by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message has come."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class LoopEnded:
    """The connection's thread has ended though nobody closed it: it will not come back."""

    error: BaseException | None


Event = Connected | Disconnected | Arrived | LoopEnded


class MqttConnection:
    """A connection with a thread of its own, on paho-mqtt.

    Any thread may call it; only `join` blocks. Events are told on the connection's thread.

    Args:
        broker: where, and as whom.
        name: for people, in the client id and the thread's name.
        will: topic and payload that the broker publishes when the connection is lost; None for nothing.
        subscriptions: topics to subscribe to on each connection.
        tell: called with each event; must not block or raise.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        name: str,
        will: tuple[str, bytes] | None,
        subscriptions: Sequence[str],
        tell: Callable[[Event], None],
    ) -> None:
        self._broker = broker
        self._refusal = ""
        self._subscriptions = [(topic, 0) for topic in subscriptions]
        self._tell = tell
        self._closing = threading.Event()
        self._drained = threading.Event()
        self._accepted = False
        self._secured = broker.ca_file is None
        # Of this incarnation alone: brokers end an older connection with the same id, or (amqtt) do not.
        client_id = f"janitoo-{name}-{os.getpid()}-{next(_numbers)}"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        if will is not None:
            self._client.will_set(*will)
        if broker.user is not None:
            self._client.username_pw_set(broker.user, broker.password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_unsubscribe
        self._client.on_message = self._on_message
        self._client.on_socket_open = _no_delay
        # With this callback set, paho leaves all writing to the loop's thread: `publish` never touches the socket.
        self._client.on_socket_register_write = _nothing
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Hand a message to the connection's thread; False where there is no connection, and it is lost."""
        return self._client.publish(topic, payload).rc is MQTTErrorCode.MQTT_ERR_SUCCESS

    def drain(self, timeout: float) -> bool:
        """Wait until the broker has taken all that was published before; whether it has in time. Blocks.

        Requests do not come any more: the broker works off a connection in order, so that its answer to our leaving
        the topics of requests says that it has read everything before.
        """
        code, _ = self._client.unsubscribe([topic for topic, _ in self._subscriptions])
        return code is MQTTErrorCode.MQTT_ERR_SUCCESS and self._drained.wait(timeout)

    def close(self) -> None:
        """Send what was published before, then disconnect without the will. Does not wait for that: `join` does."""
        self._closing.set()
        self._client.disconnect()

    def join(self, timeout: float) -> bool:
        """Wait until the connection is closed; whether it was in time. Blocks."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- the connection's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        delay = SHORTEST_RETRY
        try:
            while not self._closing.is_set():
                self._accepted = False
                reason = self._stay_connected()
                if self._closing.is_set():
                    break
                if self._accepted:
                    delay = SHORTEST_RETRY
                self._tell(Disconnected(reason))
                self._closing.wait(delay)
                delay = min(delay * 2, LONGEST_RETRY)
        except BaseException as raised:  # noqa: BLE001 - it ends the thread; who owns the connection is told
            error = raised
        if not self._closing.is_set():
            self._tell(LoopEnded(error))

    def _stay_connected(self) -> str:
        """Connect, and move messages until the connection is lost; why it is."""
        self._refusal = ""
        try:
            self._use_tls()
        except OSError as error:
            # An SSLError is an OSError too.
            why = "there is no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
            return f"cannot use broker_ca_file = {self._broker.ca_file}: {why}"
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive)
        except ssl.SSLError as error:
            return f"the TLS handshake failed ({error.reason}): is {self._broker.ca_file} the CA of this broker?"
        except (OSError, ValueError) as error:
            # ValueError: a host that can be no name.
            return getattr(error, "strerror", None) or str(error) or type(error).__name__
        if self._closing.is_set():
            # `close` may have found no connection to end: this one was not made yet.
            self._client.disconnect()
        # Often enough for the keep-alive (0: there is none); a message to send wakes it at once.
        patience = min(_LONGEST_NAP, self._broker.keepalive / 4) or _LONGEST_NAP
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        while code is MQTTErrorCode.MQTT_ERR_SUCCESS and not self._refusal:
            code = self._client.loop(patience)
        if self._refusal:
            self._client.disconnect()
            return self._refusal
        return error_string(code).rstrip(".")

    def _use_tls(self) -> None:
        """Read the file with the CA, which is read again at the next try where that fails."""
        if not self._secured:
            self._client.tls_set(ca_certs=str(self._broker.ca_file))
            self._secured = True

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            hint = ": check broker_user and broker_password" if self._broker.user is not None else ""
            self._refusal = f"the broker refuses the connection ({reason}){hint}"
        else:
            client.subscribe(self._subscriptions)

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        refused = [topic for (topic, _), reason in zip(self._subscriptions, reasons, strict=False) if reason.is_failure]
        if refused:
            self._refusal = f"the broker refuses the subscription to {', '.join(refused)}: check its rules"
        else:
            self._accepted = True
            self._tell(Connected())

    def _on_unsubscribe(
        self, _client: Client, _data: Any, _mid: int, _reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._drained.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.retain:
            # What is kept from before is no request of now. amqtt hands such messages to everybody.
            return
        # A topic that is no UTF-8 is none of ours.
        with contextlib.suppress(UnicodeDecodeError):
            self._tell(Arrived(message.topic, bytes(message.payload)))


def _no_delay(_client: Client, _data: Any, sock: Any) -> None:
    # Small messages at once: Nagle's algorithm with delayed acknowledgements costs 40 ms each.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _nothing(_client: Client, _data: Any, _socket: Any) -> None:
    """The loop's thread is woken by paho itself."""
