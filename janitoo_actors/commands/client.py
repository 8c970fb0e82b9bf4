"""A synchronous MQTT client for the tools: connects, subscribes, asks, and waits, all in the caller's thread."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from janitoo_actors.commands.arguments import BrokerAddress
from janitoo_actors.errors import JanitooError
from janitoo_actors.protocol.messages import dump

KEEPALIVE: Final = 60
"""Seconds after which the broker takes a tool for dead that says nothing at all."""

_LOOP: Final = 1.0
# MQTT 3.1.1 has five refusals; paho names them as MQTT 5 does.
_PASSWORD_REFUSALS: Final = frozenset({"Bad user name or password", "Not authorized"})


class ToolError(JanitooError):
    """What a tool could not do: one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came."""

    topic: str
    payload: bytes


def connect(address: BrokerAddress) -> mqtt.Client:
    """Connect to the broker. Blocks until it has accepted, at most twice `address.timeout`.

    Raises:
        ToolError: where it is not there, is no MQTT broker, or refuses.
    """
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"jnt-{secrets.token_hex(6)}")
    client.on_socket_open = _without_delay
    client.connect_timeout = address.timeout
    if address.password is not None and address.user is None:
        raise ToolError(f"MQTT has no password without a user: add {address.named('user')}")
    client.username_pw_set(address.user, address.password)
    if address.ca_file is not None:
        _use_tls(client, address)
    answers: list[ReasonCode] = []

    def on_connect(
        _client: mqtt.Client, _data: Any, _flags: mqtt.ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        answers.append(reason)

    client.on_connect = on_connect
    _open(client, address)
    try:
        pump(client, lambda: bool(answers), address.timeout)
    except ToolError:
        if not answers:
            raise ToolError(
                f"{address} takes the connection and ends it: is that an MQTT broker, and one {_tls_or_not(address)}?"
            ) from None
    if not answers:
        raise ToolError(f"{address} does not answer within {address.timeout:g} s: is that an MQTT broker?")
    if answers[0].is_failure:
        raise ToolError(_refusal(address, answers[0]))
    return client


def subscribe(client: mqtt.Client, topics: Iterable[str], timeout: float) -> None:
    """Subscribe, and wait until the broker has accepted. Blocks for at most `timeout` seconds.

    Raises:
        ToolError: where it refuses, does not answer, or the connection is lost.
    """
    wanted = list(topics)
    accepted: dict[int, list[ReasonCode]] = {}

    def on_subscribe(
        _client: mqtt.Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        accepted[mid] = reasons

    client.on_subscribe = on_subscribe
    try:
        code, mid = client.subscribe([(topic, 0) for topic in wanted])
    except ValueError:
        raise ToolError(f"{', '.join(wanted)}: that is nothing to subscribe to in MQTT") from None
    if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
        raise ToolError(f"the connection to the broker is lost ({mqtt.error_string(code)})")
    if not pump(client, lambda: mid in accepted, timeout):
        raise ToolError(f"the broker does not answer a subscription within {timeout:g} s: try again")
    refused = [topic for topic, reason in zip(wanted, accepted[mid], strict=False) if reason.is_failure]
    if refused:
        raise ToolError(f"the broker does not let this user subscribe to {', '.join(refused)}: check its rules")


def pump(client: mqtt.Client, done: Callable[[], bool], seconds: float) -> bool:
    """Run the client's network loop in this thread until `done`, or until the time is over.

    Returns:
        Whether it is done.

    Raises:
        ToolError: where the connection is lost before.
    """
    deadline = time.monotonic() + seconds
    while not done():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        code = client.loop(min(left, _LOOP))
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS and not done():
            raise ToolError(f"the connection to the broker is lost ({mqtt.error_string(code)}): try again")
    return True


class Requester:
    """Asks, and hands over what comes at the topics of the answers, in its order.

    One thread uses it. Nothing runs while no method does.
    """

    def __init__(self, client: mqtt.Client) -> None:
        """Take over a connected client; `open_requester` makes both."""
        self._client = client
        self._inbox: deque[Message] = deque()
        client.on_message = self._on_message

    def subscribe(self, topics: Iterable[str], timeout: float) -> None:
        """See the function `subscribe`."""
        subscribe(self._client, topics, timeout)

    def publish(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Send a request. What came before is no answer to it: it is forgotten.

        Raises:
            ToolError: where the connection is lost.
        """
        self._inbox.clear()
        self.publish_more(topic, payload)

    def publish_more(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Send one more request, without forgetting what came. Raises as `publish` does."""
        sent = self._client.publish(topic, dump(payload))
        if sent.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ToolError(f"the connection to the broker is lost ({mqtt.error_string(sent.rc)}): try again")

    def receive(self, seconds: float) -> Message | None:
        """The next message; None where none comes within this time. Blocks.

        Raises:
            ToolError: where the connection is lost.
        """
        pump(self._client, lambda: bool(self._inbox), seconds)
        return self._inbox.popleft() if self._inbox else None

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        # A retained message is older than the request.
        if not message.retain:
            self._inbox.append(Message(message.topic, bytes(message.payload)))


@contextlib.contextmanager
def open_requester(address: BrokerAddress) -> Iterator[Requester]:
    """A connected requester, disconnected at the end. Raises what `connect` does."""
    client = connect(address)
    try:
        yield Requester(client)
    finally:
        client.disconnect()


def _open(client: mqtt.Client, address: BrokerAddress) -> None:
    host, port = address.named("host"), address.named("port")
    try:
        client.connect(address.host, address.port, KEEPALIVE)
    except ssl.SSLCertVerificationError as error:
        raise ToolError(
            f"the certificate of {address} is not trusted ({error.verify_message}): "
            f"check {host}, and that {address.ca_file} is its authority"
        ) from None
    except ssl.SSLError as error:
        raise ToolError(
            f"{address} does not speak TLS ({error.reason}): check {port} and {address.named('ca-file')}"
        ) from None
    except socket.gaierror:
        raise ToolError(f"there is no host {address.host!r}: check {host}") from None
    except TimeoutError:
        raise ToolError(
            f"no broker answers at {address} within {address.timeout:g} s: check {host}, {port} and the network"
        ) from None
    except OSError as error:
        raise ToolError(
            f"no broker at {address} ({error.strerror or error}): is it running, and are {host} and {port} right?"
        ) from None
    except ValueError:
        # An empty name, and one that no domain name can be.
        raise ToolError(f"{address.host!r} is no host: check {host}") from None


def _use_tls(client: mqtt.Client, address: BrokerAddress) -> None:
    try:
        client.tls_set(ca_certs=str(address.ca_file))
    except OSError as error:
        # ssl.SSLError, for a file that is no certificate, is an OSError.
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate in it"
        raise ToolError(f"cannot read {address.named('ca-file')} {address.ca_file}: {reason}") from None


def _refusal(address: BrokerAddress, reason: ReasonCode) -> str:
    said = str(reason)
    if said in _PASSWORD_REFUSALS:
        who = f"the user {address.user!r} or the password" if address.user else "a connection without a user"
        user, password = address.named("user"), address.named("password")
        return f"the broker at {address} refuses {who} ({said}): check {user} and {password}"
    return f"the broker at {address} refuses the connection ({said})"


def _tls_or_not(address: BrokerAddress) -> str:
    return "with TLS" if address.ca_file is not None else f"without TLS ({address.named('ca-file')})"


def _without_delay(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    # Otherwise a small message may wait for the acknowledgement of the one before, 40 ms.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
