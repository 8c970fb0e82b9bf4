"""Who answers for buses whose processes are down, until their next start: nobody else hears what they are asked.

Only servers that have a bus with `isolation = process` have this actor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.messages import DiscoveryRequest, MalformedRequestError, dump, parse_request
from janitoo_actors.runtime.answers import answer, refusal
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.mqtt import Arrived, Connected, Disconnected, LoopEnded, MqttConnection
from janitoo_actors.runtime.repeats import Repeats
from supervisors import PinnedActor

_ALL_REQUESTS: Final = "/nodes/+/+/request"
_GOODBYE: Final = 0.3


class Absent(PinnedActor):
    """Answers discovery from the boards of buses that are down, and refuses what only their drivers can do.

    It says nothing else: that their nodes are OFFLINE is said by the last will of each process.

    Args:
        broker: where the broker is.
        boards: what the buses of the server show, as it is now.
    """

    def __init__(self, broker: BrokerConfig, boards: Callable[[], Sequence[Board]]) -> None:
        super().__init__()
        self._boards = boards
        self._repeats = Repeats(structlog.get_logger().bind(path=self.path))
        self._connection = MqttConnection(
            broker,
            "absent",
            will=None,
            subscriptions=(topics.BROADCAST_REQUEST, _ALL_REQUESTS),
            tell=self.tell_self,
        )

    def on_start(self) -> None:
        """Begin to connect."""
        self._connection.start()

    def on_stop(self) -> None:
        """Close."""
        self._connection.close()
        self._connection.join(_GOODBYE)

    def on_end(self) -> None:
        """Close the connection, whatever ended the actor. Any thread."""
        super().on_end()
        self._connection.close()

    def on_receive(self, message: Any) -> Any:
        """Handle what comes from the network."""
        match message:
            case Arrived(topic=topic, payload=payload):
                absent = [board for board in self._boards() if board.is_absent]
                if absent:
                    self._arrived(topic, payload, absent)
            case Connected():
                self._repeats.worked("connection", "mqtt_reconnected")
            case Disconnected(reason=reason):
                self._repeats.failed("connection", "mqtt_disconnected", reason)
            case LoopEnded(error=error):
                # The supervisor makes a new connection.
                raise RuntimeError("the thread of the MQTT connection has ended") from error
            case _:
                return super().on_receive(message)
        return None

    def _arrived(self, topic: str, payload: bytes, absent: Sequence[Board]) -> None:
        asked = topics.requested_node(topic)
        boards = [board for board in absent if asked is None or board.controller == asked.controller]
        if not boards:
            return
        try:
            request = parse_request(payload)
        except MalformedRequestError as error:
            self._repeats.failed(f"{topic} {error.sender}", "request_malformed", str(error), topic=topic)
            return
        for board in boards:
            if isinstance(request, DiscoveryRequest):
                place = topics.broadcast_reply if asked is None else topics.node_reply
                self._connection.publish(place(request.reply_hadd), dump(request.reply(board.discovery(request.what))))
            elif asked is not None:
                named = request.hadd
                hadd = named if named is not None and named.controller == board.controller else asked
                node = board.nodes.get(hadd)
                value = node.values.get(request.uuid) if node is not None else None
                why = f"{board.section} is not running: its process has ended, and is about to be started again"
                for publication in answer(refusal(request, why, value), request, hadd):
                    self._connection.publish(publication.topic, publication.payload)
