"""The connection of `jnt_spy`, which outlives the broker's absences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from janitoo_actors.commands.arguments import BrokerAddress
from janitoo_actors.commands.client import connect, subscribe

FIRST_RETRY: Final = 1
LAST_RETRY: Final = 30
"""Seconds between attempts to reconnect, from the first on, doubled each time."""


class Spy:
    """Hands messages over as they come. One thread uses it, and its functions are called on that thread."""

    def __init__(
        self,
        address: BrokerAddress,
        topics: Sequence[str],
        count: int | None,
        show: Callable[[str, int, bool, bytes], None],
        notice: Callable[[str], None],
    ) -> None:
        """Connects to nothing yet.

        Args:
            address: the broker.
            topics: what to listen to.
            count: after how many messages to stop; None never.
            show: called with the topic, the QoS, the retain flag and the payload of each message.
            notice: called with a line about the connection.
        """
        self._address = address
        self._topics = topics
        self._left = count
        self._show = show
        self._notice = notice
        self._connected = False
        self._refused = False

    def run(self) -> None:
        """Listen until `count` messages came. Blocks; KeyboardInterrupt ends it.

        Raises:
            ToolError: where the first connection or subscription does not work.
            BrokenPipeError: where `show` raises it.
        """
        client = connect(self._address)
        client.on_message = self._on_message
        for topic in self._topics:
            self._notice(f">>>>>> Subscribe to {topic}")
        subscribe(client, self._topics, self._address.timeout)
        self._notice(f"!!!!!! Connected to {self._address}")
        self._notice("!!!!!! Type Ctrl+C to exit !!!!!!")
        self._connected = True
        client.reconnect_delay_set(FIRST_RETRY, LAST_RETRY)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        try:
            if self._left != 0:
                client.loop_forever()
        finally:
            client.on_disconnect = None
            client.disconnect()

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if self._left == 0:
            return
        self._show(message.topic, message.qos, message.retain, bytes(message.payload))
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                client.disconnect()

    def _on_connect(
        self,
        client: mqtt.Client,
        _data: Any,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            # Once, not at every attempt.
            if not self._refused:
                self._notice(f"!!!!!! The broker at {self._address} refuses the connection ({reason})")
            self._refused = True
            return
        self._connected, self._refused = True, False
        client.subscribe([(topic, 0) for topic in self._topics])
        self._notice(f"!!!!!! Connected again to {self._address}")

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: Any,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._connected and self._left != 0:
            self._connected = False
            self._notice(f"!!!!!! Connection to {self._address} lost ({reason}): trying again")
