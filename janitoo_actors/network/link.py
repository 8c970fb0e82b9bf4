"""The network's link: its own connection to the broker. It reads what comes, and writes lists, on its own thread."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.network.air import LOOKUPS, read_message, subscriptions
from janitoo_actors.network.lists import payloads
from janitoo_actors.network.messages import OffAir, OnAir, Send, SendList
from janitoo_actors.network.settings import Settings
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.leases import refused
from janitoo_actors.protocol.messages import MalformedRequestError, NodeState, dump
from janitoo_actors.protocol.resolv import primary_heartbeat
from janitoo_actors.runtime.messages import Publish
from janitoo_actors.runtime.mqtt import Arrived, Connected, Disconnected, LoopEnded, MqttConnection, MqttFigures
from janitoo_actors.runtime.repeats import Repeats
from supervisors import PinnedActor

_CONNECTION: Final = "connection"
_LAST_WORDS: Final = 1.0
"""Seconds that the broker has to take what is left to say."""
_GOODBYE: Final = 0.3
"""Seconds that the connection has to close after that."""
_PAUSE_EVERY: Final = 20
"""Chunks of a list after which others on the wire and on the processor have a turn."""
_PAUSE: Final = 0.005


@dataclass(frozen=True, slots=True)
class Attached:
    """The network actor has started: it is told whether there is a connection."""


class NetworkLink(PinnedActor):
    """The actor that owns the network's connection.

    It has a thread of its own: the lists of a thousand nodes are no work for the threads that light actors share.

    Args:
        broker: where the broker is.
        settings: role and address.
        figures: where its connection counts.
    """

    def __init__(self, broker: BrokerConfig, settings: Settings, figures: MqttFigures) -> None:
        super().__init__()
        self._broker = broker
        self._settings = settings
        self._log = structlog.get_logger().bind(path=self.path)
        self._repeats = Repeats(self._log)
        self._connected = False
        self._beats = False
        place = self.path.rsplit("/", 1)[0]
        self._map, self._leases = f"{place}/map", f"{place}/leases"
        heard = subscriptions(settings.hadd, primary=settings.primary)
        self._connection = MqttConnection(
            broker,
            "network",
            will=self._goodbye() if settings.primary else None,
            subscriptions=(*heard, topics.LEASE_REQUESTS, topics.REPLIES) if settings.primary else heard,
            tell=self.tell_self,
            figures=figures,
        )

    def on_start(self) -> None:
        """Begin to connect."""
        self._connection.start()

    def on_stop(self) -> None:
        """Say that the primary goes, where it is one, and close."""
        if self._beats:
            self._publish(*self._goodbye())
        if self._connected:
            self._connection.drain(_LAST_WORDS)
        self._connection.close()
        self._connection.join(_GOODBYE)

    def on_end(self) -> None:
        """Close the connection, whatever ended the link. Any thread."""
        super().on_end()
        self._connection.close()

    def on_receive(self, message: Any) -> Any:
        """Handle what comes from the network, and what there is to say to it."""
        match message:
            case Arrived(topic=topic, payload=payload):
                self._arrived(topic, payload)
            case Send(topic=topic, payload=payload):
                if topic == topics.RESOLV_HEARTBEAT:
                    self._beats = True
                self._publish(topic, dump(payload))
            case SendList():
                self._send_list(message)
            case Publish(topic=topic, payload=payload):
                self._publish(topic, payload)
            case Connected():
                self._on_air()
            case Disconnected(reason=reason):
                self._off_air(reason)
            case Attached():
                if self._connected:
                    self.tell_path(self._map, OnAir())
            case LoopEnded(error=error):
                # The supervisor makes a new connection.
                raise RuntimeError("the thread of the MQTT connection has ended") from error
            case _:
                return super().on_receive(message)
        return None

    def _on_air(self) -> None:
        self._connected = True
        where = {"broker": f"{self._broker.host}:{self._broker.port}"}
        if self._repeats.times(_CONNECTION):
            self._repeats.worked(_CONNECTION, "mqtt_reconnected", **where)
        else:
            self._log.info("mqtt_connected", **where)
        self.tell_path(self._map, OnAir())

    def _off_air(self, reason: str) -> None:
        self._connected = self._beats = False
        where = f"{self._broker.host}:{self._broker.port}"
        self._repeats.failed(_CONNECTION, "mqtt_disconnected", reason, broker=where)
        self.tell_path(self._map, OffAir())

    def _arrived(self, topic: str, payload: bytes) -> None:
        def malformed(error: MalformedRequestError) -> None:
            # Logged once for each sender and topic, and dropped.
            self._repeats.failed(
                f"{topic} {error.sender}", "message_malformed", str(error), topic=topic, sender=error.sender
            )

        if topic.startswith(topics.LEASES) or topics.reply_uuid(topic) is not None:
            self.tell_path(self._leases, Arrived(topic, payload))
            return
        try:
            for message in read_message(topic, payload, self._settings.hadd, malformed):
                self.tell_path(self._map, message)
        except MalformedRequestError as error:
            malformed(error)
            if topic in LOOKUPS and error.sender and self._beats:
                answer = replace(refused(error.sender, str(error)), primary=self._settings.hadd)
                self._publish(answer.topic, answer.payload())

    def _send_list(self, sent: SendList) -> None:
        for number, payload in enumerate(payloads(sent), start=1):
            self._publish(sent.topic, dump(payload))
            if number % _PAUSE_EVERY == 0:
                time.sleep(_PAUSE)

    def _publish(self, topic: str, payload: bytes) -> None:
        if self._connected:
            self._connection.publish(topic, payload)

    def _goodbye(self) -> tuple[str, bytes]:
        return topics.RESOLV_HEARTBEAT, dump(primary_heartbeat(self._settings.hadd, NodeState.OFFLINE))
