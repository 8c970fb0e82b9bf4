"""One connection to the broker, which comes back by itself."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.errors import said
from janitoo_actors.runtime.outbox import MOST_WAITING, Outbox, publication

SHORTEST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 30.0
"""Seconds between two tries to connect: each is twice as long as the one before, between these."""
_LONGEST_NAP: Final = 10.0
"""Seconds between two looks at the keep-alive, at most."""
_GOODBYE: Final = 1.0
"""Seconds that a connection that is being closed has to send what was published before."""
_NAP_AT_THE_END: Final = 0.1
"""Seconds between two looks while it has."""

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


@dataclass(slots=True)
class MqttFigures:
    """How a connection does, over all incarnations of who owns it. Any thread reads.

    Attributes:
        begun: since when it is counted, in `time.monotonic()`.
        since: when it came to where it is, in `time.monotonic()`.
        is_on_air: whether it is there now.
        connects: how often it was made.
        reason: why it was not made, or was lost, last.
        published, received, dropped: messages so far.
        waiting: gives how many wait to be sent.
    """

    begun: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.monotonic)
    is_on_air: bool = False
    connects: int = 0
    reason: str = ""
    published: int = 0
    received: int = 0
    dropped: int = 0
    waiting: Callable[[], int] = lambda: 0

    def turned(self, *, on_air: bool, reason: str = "") -> None:
        """It has come, has gone, or could not be made."""
        if on_air != self.is_on_air:
            self.since = time.monotonic()
            self.is_on_air = on_air
        if on_air:
            self.connects += 1
        else:
            self.reason = reason

    def describe(self) -> dict[str, Any]:
        """In what JSON has; `age`: for how long it has been so, in seconds."""
        return {
            "connected": self.is_on_air,
            "age": round(time.monotonic() - self.since, 3),
            "counted": round(time.monotonic() - self.begun, 3),
            "connects": self.connects,
            "reason": "" if self.is_on_air else self.reason,
            "queue": self.waiting(),
            "published": self.published,
            "received": self.received,
            "dropped": self.dropped,
        }


class MqttConnection:
    """A connection with a thread of its own, on paho-mqtt.

    Any thread may call it; only `join` blocks. Events are told on the connection's thread.

    Args:
        broker: where, and as whom.
        name: for people, in the client id and the thread's name.
        will: topic and payload that the broker publishes when the connection is lost; None for none.
        subscriptions: topics to subscribe to on each connection.
        tell: called with each event; must not block or raise.
        figures: where it counts; nowhere that anybody sees where not given.
    """

    def __init__(
        self,
        broker: BrokerConfig,
        name: str,
        will: tuple[str, bytes] | None,
        subscriptions: Sequence[str],
        tell: Callable[[Event], None],
        *,
        figures: MqttFigures | None = None,
    ) -> None:
        self._broker = broker
        self._refusal = ""
        self._subscriptions = [(topic, 0) for topic in subscriptions]
        self._tell = tell
        self._closing = threading.Event()
        self._leaving = threading.Event()
        self._drained = threading.Event()
        self._outbox = outbox = Outbox(MOST_WAITING)
        self._figures = figures if figures is not None else MqttFigures()
        self._figures.waiting = lambda: len(outbox)
        self._accepted = False
        self._on_air = False
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
        # With this callback set, paho leaves all writing to the loop's thread, which is woken for it.
        self._client.on_socket_register_write = self._wanted
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Hand a message to the connection's thread; False where the oldest one that waited had to go for it.

        Without a connection it is lost: see `Disconnected`.

        Raises:
            ValueError: the topic or the payload is longer than MQTT can carry.
        """
        packet = publication(topic, payload)
        if not self._on_air:
            return True
        # Off by some where several threads publish through one connection; none of ours do.
        self._figures.published += 1
        if self._outbox.put(packet):
            return True
        self._figures.dropped += 1
        return False

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent, about."""
        return len(self._outbox)

    def drain(self, timeout: float) -> bool:
        """Wait until the broker has taken all that was published before; whether it has in time. Blocks.

        Requests do not come any more: the broker works off a connection in order, so that its answer to our leaving
        the topics of requests says that it has read everything before.
        """
        if not self._on_air:
            return False
        self._leaving.set()
        self._outbox.wake()
        return self._drained.wait(timeout)

    def close(self) -> None:
        """Send what was published before, then disconnect without the will. Does not wait for that: `join` does."""
        self._closing.set()
        self._outbox.wake()

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
                self._figures.turned(on_air=False, reason=reason)
                self._tell(Disconnected(reason))
                self._closing.wait(delay)
                delay = min(delay * 2, LONGEST_RETRY)
        except BaseException as raised:  # noqa: BLE001 - it ends the thread; who owns the connection is told
            error = raised
        self._outbox.close()
        self._figures.turned(on_air=False, reason="it was closed" if error is None else said(error))
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
        try:
            code = self._move_messages()
        except OSError as error:
            return error.strerror or str(error)
        finally:
            self._on_air = False
            self._outbox.clear()
        if self._refusal:
            self._client.disconnect()
            return self._refusal
        return error_string(code).rstrip(".")

    def _move_messages(self) -> MQTTErrorCode:
        """Move messages both ways until the connection is lost or closed, or the broker refuses it.

        Raises:
            OSError: it is lost.
        """
        client, outbox = self._client, self._outbox
        # Often enough for the keep-alive (0: there is none); a message to send wakes it at once.
        patience = min(_LONGEST_NAP, self._broker.keepalive / 4) or _LONGEST_NAP
        closing_until: float | None = None
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        while code is MQTTErrorCode.MQTT_ERR_SUCCESS and not self._refusal:
            if client.want_write() and not outbox.is_torn:
                code = client.loop_write()
            sock = client.socket()
            if sock is None or code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                break
            sent = not client.want_write() and outbox.write(sock)
            if sent and self._leaving.is_set():
                self._leaving.clear()
                client.unsubscribe([topic for topic, _ in self._subscriptions])
                continue
            if self._closing.is_set():
                patience = _NAP_AT_THE_END
                closing_until = closing_until or time.monotonic() + _GOODBYE
                if sent or time.monotonic() > closing_until:
                    client.disconnect()
                    return client.loop_write()
            if self._wait_for(sock, patience, to_write=not sent):
                code = client.loop_read()
            if code is MQTTErrorCode.MQTT_ERR_SUCCESS:
                code = client.loop_misc()
        return code

    def _wait_for(self, sock: Any, patience: float, *, to_write: bool) -> bool:
        """Wait until there is something to do; whether there is something to read."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        if not to_write and not self._outbox.fall_asleep():
            patience = 0.0
        poll = select.poll()
        poll.register(self._outbox, select.POLLIN)
        poll.register(sock, select.POLLIN | select.POLLOUT if to_write else select.POLLIN)
        ready = {fd: events for fd, events in poll.poll(patience * 1000)}
        if self._outbox.fileno() in ready:
            self._outbox.woken()
        return bool(ready.get(sock.fileno(), 0) & ~select.POLLOUT)

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
            self._accepted = self._on_air = True
            self._figures.turned(on_air=True)
            self._tell(Connected())

    def _wanted(self, _client: Client, _data: Any, _socket: Any) -> None:
        """paho has a packet of its own to send. Any thread."""
        self._outbox.wake()

    def _on_unsubscribe(
        self, _client: Client, _data: Any, _mid: int, _reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._drained.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if message.retain:
            # What is kept from before is no request of now. amqtt hands such messages to everybody.
            return
        self._figures.received += 1
        # A topic that is no UTF-8 is none of ours.
        with contextlib.suppress(UnicodeDecodeError):
            self._tell(Arrived(message.topic, bytes(message.payload)))


def _no_delay(_client: Client, _data: Any, sock: Any) -> None:
    # Small messages at once: Nagle's algorithm with delayed acknowledgements costs 40 ms each.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
