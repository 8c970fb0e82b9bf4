"""Asking the primary, for whoever is no network controller and needs some nodes only, not the whole map."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import MalformedRequestError, dump, load_object
from janitoo_actors.protocol.resolv import LookUp, found_nodes
from janitoo_actors.runtime.mqtt import Arrived, Connected, Disconnected, Event, LoopEnded, MqttConnection

DEFAULT_TIMEOUT: Final = 5.0
"""Seconds that an answer may take, the first connection included."""

Nodes = dict[str, Mapping[str, Any]]


class PrimaryClient:
    """A connection of its own, for look-ups. Any thread may call it, one at a time; its methods block.

    For a driver's bus, on its own thread, or a plain thread. Close it at the end: it is a context manager, too.

    Args:
        broker: where the broker is.
        timeout: seconds that an answer may take.
    """

    def __init__(self, broker: BrokerConfig, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._timeout = timeout
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._connected = False
        self._reason = "it is not answered yet"
        self._turn = threading.Lock()
        self._connection = MqttConnection(
            broker, "lookup", will=None, subscriptions=(topics.REPLIES,), tell=self._events.put
        )
        self._connection.start()

    def __enter__(self) -> PrimaryClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. Does not wait."""
        self._connection.close()

    def node(self, hadd: Hadd) -> Mapping[str, Any] | None:
        """The node of an address; None where the primary knows none.

        Raises:
            TemporaryError: where there is no connection, or no primary answers in time.
        """
        try:
            return self._ask(LookUp(_rep_uuid(), hadd=hadd))[str(hadd)]
        except LookupError:
            return None

    def named(self, name: str | None = None, location: str | None = None) -> Nodes:
        """The nodes with a name, or at a place, or both, by address. Raises as `node`."""
        return self._ask(LookUp(_rep_uuid(), name=name, location=location))

    def with_classes(self, cmd_classes: Sequence[int]) -> Nodes:
        """The nodes that have all of these command classes, by address. Raises as `node`."""
        return self._ask(LookUp(_rep_uuid(), cmd_classes=tuple(cmd_classes)))

    def _ask(self, lookup: LookUp) -> Nodes:
        with self._turn:
            deadline = time.monotonic() + self._timeout
            while not self._connected:
                self._take(deadline, f"no connection to the broker: {self._reason}")
            if not self._connection.publish(lookup.topic, dump(lookup.payload())):
                raise TemporaryError("the connection to the broker is lost")
            while True:
                arrived = self._take(deadline, "no primary answers")
                if arrived is not None and arrived.topic == topics.reply(lookup.rep_uuid):
                    return found_nodes(lookup, _answer(arrived))

    def _take(self, deadline: float, why: str) -> Arrived | None:
        try:
            event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise TemporaryError(f"{why} (within {self._timeout:g} s)") from None
        match event:
            case Arrived():
                return event
            case Connected():
                self._connected = True
            case Disconnected(reason=reason):
                self._connected, self._reason = False, reason
            case LoopEnded():
                raise TemporaryError("the connection to the broker has ended")
        return None


def _answer(arrived: Arrived) -> dict[str, Any]:
    try:
        return load_object(arrived.payload, limit=None)
    except MalformedRequestError as error:
        raise TemporaryError(f"the primary answers what is no answer: {error}") from None


def _rep_uuid() -> str:
    return secrets.token_hex(8)
