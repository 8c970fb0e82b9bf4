"""A small MQTT client that sends what a test wants and records all that it receives."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from waiting import wait_for

# What a payload may be given as: bytes and text go as they are, the rest goes as JSON.
Payload = bytes | str | dict[str, Any] | list[Any] | int | float | bool | None


RECONNECT_DELAY = 0.05


@dataclass(frozen=True)
class Message:
    """A message that the probe received.

    Attributes:
        topic: Its topic.
        payload: Its payload, as received.
        value: Its payload as parsed JSON, or as text when it is not JSON.
        retain: Whether the broker had retained it.
        time: When it arrived, by `time.monotonic`.
    """

    topic: str
    payload: bytes
    value: Any
    retain: bool
    time: float


class Probe:
    """A client for the tests; it is connected from its creation to `close`.

    It reconnects when the connection is lost, and subscribes again to the same topics.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        subscribe: Sequence[str] = (),
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
        client_id: str = "",
        timeout: float = 5.0,
    ) -> None:
        """Connect, and subscribe.

        Args:
            host: The broker's address.
            port: The broker's port.
            subscribe: The topics to subscribe to.
            username: The user to connect as.
            password: That user's password.
            ca_file: The authority's certificate; giving it makes the connection use TLS.
            client_id: The MQTT client id; by default the broker chooses.
            timeout: For how long to wait for each of the broker's answers, in seconds.

        Raises:
            ConnectionRefusedError: Nothing listens there, or the broker refused the connection.
            AssertionError: The broker did not answer in time.
        """
        self._timeout = timeout
        self._lock = threading.Lock()
        self._messages: list[Message] = []
        self._topics: list[str] = []
        self._connack: ReasonCode | None = None
        self._subacks: dict[int, list[ReasonCode]] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.username_pw_set(username, password)
        if ca_file is not None:
            self._client.tls_set(ca_certs=str(ca_file))
        self._client.on_socket_open = self._on_socket_open
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        # By default a lost connection is tried again after a second or more, for which a test would wait.
        # A fraction of a second works as well, although it is declared as a whole number.
        self._client.reconnect_delay_set(RECONNECT_DELAY, RECONNECT_DELAY)  # type: ignore[arg-type]
        self._client.connect(host, port)
        self._client.loop_start()
        try:
            connack = wait_for(lambda: self._connack, timeout, f"CONNACK from {host}:{port}")
            if connack.is_failure:
                raise ConnectionRefusedError(str(connack))
            for topic in subscribe:
                self.subscribe(topic)
        except BaseException:
            # The caller gets no probe to close, so the client's thread has to end here.
            self.close()
            raise

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the current connection."""
        return self._client.is_connected()

    @property
    def messages(self) -> list[Message]:
        """All the messages received, oldest first (a copy)."""
        with self._lock:
            return list(self._messages)

    def clear(self) -> None:
        """Forget the messages received."""
        with self._lock:
            self._messages.clear()

    def subscribe(self, topic: str) -> None:
        """Subscribe to a topic (a filter) and wait until the broker has accepted it."""
        result, mid = self._client.subscribe(topic)
        if result is not mqtt.MQTT_ERR_SUCCESS or mid is None:
            raise ConnectionError(f"cannot subscribe to {topic}: {mqtt.error_string(result)}")
        wait_for(lambda: mid in self._subacks, self._timeout, f"SUBACK for {topic}")
        if any(reason.is_failure for reason in self._subacks[mid]):
            raise ConnectionRefusedError(f"the broker refused the subscription to {topic}")
        with self._lock:
            self._topics.append(topic)

    def publish(self, topic: str, payload: Payload, *, qos: int = 0, retain: bool = False) -> None:
        """Publish a message and wait until it is sent (with QoS 1: until the broker has it)."""
        if not isinstance(payload, bytes | str):
            payload = json.dumps(payload)
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc is not mqtt.MQTT_ERR_SUCCESS:
            raise ConnectionError(f"cannot publish on {topic}: {mqtt.error_string(info.rc)}")
        wait_for(info.is_published, self._timeout, f"message published on {topic}", interval=0.001)

    def wait_message(self, predicate: Callable[[Message], object], timeout: float = 5.0, *, since: int = 0) -> Message:
        """Wait for a message; those that have already arrived count.

        Args:
            predicate: Says whether a message is the one.
            timeout: For how long to wait, in seconds.
            since: How many of the oldest messages to leave out.

        Returns:
            The first such message.

        Raises:
            AssertionError: It did not arrive in time.
        """

        def find() -> Message | None:
            return next((message for message in self.messages[since:] if predicate(message)), None)

        def what() -> str:
            received = "".join(f"\n  {message.topic} {message.payload!r}" for message in self.messages[since:])
            return f"the expected message; received instead:{received or ' nothing'}"

        return wait_for(find, timeout, what, interval=0.001)

    def request(self, topic: str, payload: Payload, reply_topic: str, timeout: float = 5.0) -> Message:
        """Publish a request and wait for the reply.

        The probe subscribes to the reply's topic, unless it already receives it: brokers may deliver
        a message once for each subscription that it matches.

        Args:
            topic: The request's topic.
            payload: The request's payload.
            reply_topic: The topic (a filter) of the reply.
            timeout: For how long to wait for the reply, in seconds.

        Returns:
            The first message that arrived there after the request was sent.
        """
        with self._lock:
            covered = any(mqtt.topic_matches_sub(known, reply_topic) for known in self._topics)
        if not covered:
            self.subscribe(reply_topic)
        since = len(self.messages)
        self.publish(topic, payload)
        return self.wait_message(
            lambda message: not message.retain and mqtt.topic_matches_sub(reply_topic, message.topic),
            timeout,
            since=since,
        )

    def close(self) -> None:
        """Disconnect and end the client's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_socket_open(self, _client: mqtt.Client, _userdata: Any, sock: Any) -> None:
        # Otherwise a small message may wait for the acknowledgement of the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_connect(
        self,
        client: mqtt.Client,
        _userdata: Any,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._lock:
            topics = list(self._topics)
        if topics and not reason.is_failure:
            client.subscribe([(topic, 0) for topic in topics])
        self._connack = reason

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: Any,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._subacks[mid] = reasons

    def _on_message(self, _client: mqtt.Client, _userdata: Any, received: mqtt.MQTTMessage) -> None:
        now = time.monotonic()
        payload = bytes(received.payload)
        message = Message(received.topic, payload, _parse(payload), received.retain, now)
        with self._lock:
            self._messages.append(message)


def _parse(payload: bytes) -> Any:
    text = payload.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
