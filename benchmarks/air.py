"""What is on the air, seen by a client of raw paho-mqtt: the benchmarks' spy, requester and reference."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from janitoo_actors.configuration.model import BrokerConfig

TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, and when it came, in `time.monotonic()`."""

    topic: str
    payload: bytes
    time: float


def paho_client(broker: BrokerConfig, client_id: str) -> Client:
    """A client of raw paho-mqtt that sends small messages at once, not connected yet."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
    client.on_socket_open = _no_delay
    client.connect(broker.host, broker.port)
    return client


class Air:
    """A connected client that remembers what it hears, and knows when. Any thread may call it."""

    def __init__(self, broker: BrokerConfig, *topics: str, client_id: str = "bench-spy") -> None:
        self.heard: list[Heard] = []
        self._condition = threading.Condition()
        self._subscribed = threading.Event()
        self._client = paho_client(broker, client_id)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 0) for topic in topics])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.loop_start()
        if topics and not self._subscribed.wait(TIMEOUT):
            raise TimeoutError("the broker does not answer")

    def __enter__(self) -> Air:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish a message."""
        self._client.publish(topic, payload)

    def clear(self) -> None:
        """Forget what was heard."""
        with self._condition:
            self.heard.clear()

    def wait_for(self, found: Callable[[Sequence[Heard]], Any], what: str, timeout: float = TIMEOUT) -> Any:
        """Wait until what was heard is enough; what `found` returned then. Looked at after each message."""
        with self._condition:
            result = self._condition.wait_for(lambda: found(self.heard), timeout)
        if not result:
            raise TimeoutError(f"{what}: not within {timeout:g} s; heard {len(self.heard)} messages")
        return result

    def wait_message(self, prefix: str) -> Heard:
        """Wait for the first message on a topic that begins so."""
        heard: Heard = self.wait_for(
            lambda all_: next((each for each in all_ if each.topic.startswith(prefix)), None), f"a message on {prefix}"
        )
        return heard

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        heard = Heard(message.topic, bytes(message.payload), time.monotonic())
        with self._condition:
            self.heard.append(heard)
            self._condition.notify_all()


class Online:
    """Watches heartbeats until so many different nodes have said that they are ONLINE."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._online: dict[str, float] = {}
        self._seen = 0

    def __call__(self, heard: Sequence[Heard]) -> float | None:
        """When the last of them said it; None until then."""
        for each in heard[self._seen :]:
            if each.topic.startswith("/dhcp/heartbeat/") and each.payload == b"ONLINE":
                self._online.setdefault(each.topic, each.time)
        self._seen = len(heard)
        return max(self._online.values()) if len(self._online) >= self._nodes else None


def _no_delay(_client: Client, _data: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
