"""Peers for the tests of what asks: one that answers by a function, and one that answers as originals did."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from waiting import wait_for

TRANSCRIPTS = Path(__file__).parent / "data" / "transcripts"
REQUEST_TOPICS = ("/broadcast/request", "/nodes/+/+/request", "/dhcp/resolv/request/")

# What a peer sends: bytes and text go as they are, the rest goes as JSON.
Sent = tuple[str, Any]
Answer = Callable[[str, dict[str, Any]], Iterable[Sent]]


class Peer:
    """A client that answers requests; it listens from its creation to `close`.

    Attributes:
        requests: The topics and payloads of the requests that it received.
    """

    def __init__(
        self, host: str, port: int, answer: Answer, *, topics: Sequence[str] = REQUEST_TOPICS, timeout: float = 5.0
    ) -> None:
        """Connect, and wait until the broker has accepted the subscriptions.

        Args:
            host: The broker's address.
            port: The broker's port.
            answer: Gives the messages to send for a request's topic and payload; called on the client's thread.
            topics: What it listens to.
            timeout: For how long to wait for the broker, in seconds.
        """
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect(host, port)
        self._client.loop_start()
        try:
            wait_for(self._client.is_connected, timeout, "the peer is connected")
            self._client.subscribe([(topic, 0) for topic in topics])
            wait_for(self._subscribed.is_set, timeout, "the peer has subscribed")
        except BaseException:
            # The caller gets no peer to close, so the client's thread has to end here.
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect and end the client's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, _reasons: list[ReasonCode], _p: Any) -> None:
        self._subscribed.set()

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = json.loads(message.payload)
        self.requests.append((message.topic, payload))
        for topic, sent in self._answer(message.topic, payload):
            client.publish(topic, sent if isinstance(sent, bytes | str) else json.dumps(sent))


@dataclass
class _Exchange:
    request_topic: str
    request: dict[str, Any]
    answers: list[Sent]


class ReplayedPeer(Peer):
    """Answers as the original programs of a capture did, to whoever asks.

    To a request that comes several times in the capture it gives the answers in their order, and then
    the last one again and again.
    """

    def __init__(self, host: str, port: int, transcript: str) -> None:
        """Connect.

        Args:
            host: The broker's address.
            port: The broker's port.
            transcript: The capture's name, as `hostsensor_boot_and_queries`.
        """
        self._exchanges = list(_exchanges(transcript))
        super().__init__(host, port, self._replay)

    def _replay(self, topic: str, payload: dict[str, Any]) -> list[Sent]:
        same = [
            each
            for each in self._exchanges
            if each.request_topic == topic and _without_address(each.request) == _without_address(payload)
        ]
        if not same:
            return []
        if len(same) > 1:
            self._exchanges.remove(same[0])
        asked_at, answered_at = same[0].request["reply_hadd"], payload["reply_hadd"]
        return [
            (where.replace(asked_at, answered_at), {**answer, "reply_hadd": answered_at})
            for where, answer in same[0].answers
        ]


def messages(transcript: str) -> Iterator[Sent]:
    """The topics and payloads of a capture, in their order."""
    for line in (TRANSCRIPTS / f"{transcript}.jsonl").read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        yield message["topic"], message["payload"]


def _exchanges(transcript: str) -> Iterator[_Exchange]:
    """The requests of a capture that were answered."""
    open_ones: list[_Exchange] = []
    for topic, payload in messages(transcript):
        if not isinstance(payload, dict):
            continue
        if topic.endswith(("/request", "/request/")):
            open_ones.append(_Exchange(topic, payload, []))
            continue
        asked = [each for each in open_ones if _is_answer(payload, each.request)]
        if asked:
            asked[-1].answers.append((topic, payload))
    yield from (each for each in open_ones if each.answers)


def _is_answer(payload: dict[str, Any], request: dict[str, Any]) -> bool:
    keys = ("uuid", "cmd_class", "reply_hadd", "genre")
    return all(key in payload and payload[key] == request[key] for key in keys)


def _without_address(request: dict[str, Any]) -> dict[str, Any]:
    return {key: data for key, data in request.items() if key != "reply_hadd"}
