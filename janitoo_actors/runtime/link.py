"""The link: a bus's face on the network. Its connection, its heartbeats, its answers to discovery.

It is the first child of its bus and outlives the rest: while the driver is down, its nodes are OFFLINE on the network,
and who asks is answered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pykka import ActorRef

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import (
    DiscoveryRequest,
    MalformedRequestError,
    NodeState,
    ValueRequest,
    dump,
    parse_request,
)
from janitoo_actors.runtime.answers import answer, refusal
from janitoo_actors.runtime.board import Board, Node
from janitoo_actors.runtime.messages import BeatAnew, BusFailed, BusStarted, NodeChanged, Publish, Requested
from janitoo_actors.runtime.mqtt import Arrived, Connected, Disconnected, LoopEnded, MqttConnection
from janitoo_actors.runtime.repeats import Repeats
from supervisors import Down, PinnedActor, living

_CONNECTION: Final = "connection"
_QUEUE: Final = "queue"
_LAST_WORDS: Final = 1.0
"""Seconds that the broker has to take what is left to say."""
_GOODBYE: Final = 0.3
"""Seconds that the connection has to close after that."""


class Link(PinnedActor):
    """The actor that owns a bus's connection.

    It has a thread of its own: to say the last words of its nodes it waits for the broker, and the answers for a
    thousand nodes are no work for the threads that light actors share.

    Args:
        broker: where the broker is.
        board: what the bus shows.
    """

    def __init__(self, broker: BrokerConfig, board: Board) -> None:
        super().__init__()
        self._broker = broker
        self._board = board
        self._log = structlog.get_logger().bind(path=self.path, bus=board.section)
        self._repeats = Repeats(self._log)
        self._connected = False
        self._queue_is_full = False
        self._bus_epoch = 0
        self._bus_runs = False
        self._bus_reason = ""
        self._periods: dict[Hadd, float] = {}
        will = {"add_ctrl": board.controller, "add_node": -1, "state": NodeState.OFFLINE.value}
        self._connection = MqttConnection(
            broker,
            board.section,
            will=(topics.HEARTBEAT_JSON, dump(will)),
            subscriptions=(topics.BROADCAST_REQUEST, topics.controller_requests(board.controller)),
            tell=self.tell_self,
            figures=board.mqtt,
        )

    def on_start(self) -> None:
        """Begin to connect, and to beat."""
        nodes = list(self._board.nodes.values())
        for node in nodes:
            # Where this link follows one that has failed, the bus is about to start again.
            node.state = NodeState.BOOT
        for number, node in enumerate(nodes, start=1):
            self._beat_every(node.hadd, node.heartbeat, share=number / len(nodes))
        self._connection.start()

    def on_stop(self) -> None:
        """Say that all nodes are gone, and close."""
        for node in self._board.nodes.values():
            node.state = NodeState.OFFLINE
            self._beat(node.hadd)
        if self._connected:
            self._connection.drain(_LAST_WORDS)
        self._connection.close()
        self._connection.join(_GOODBYE)

    def on_end(self) -> None:
        """Close the connection, whatever ended the link. Any thread."""
        super().on_end()
        self._connection.close()

    def on_receive(self, message: Any) -> Any:
        """Handle what comes from the network, from the bus and from its nodes."""
        match message:
            case Arrived(topic=topic, payload=payload):
                self._arrived(topic, payload)
            case Publish(topic=topic, payload=payload):
                self._publish(topic, payload)
            case _Beat(hadd=hadd):
                self._beat(hadd)
            case BeatAnew(hadd=hadd):
                self._beat_anew(hadd)
            case NodeChanged():
                self._node_changed(message)
            case Connected():
                self._on_air()
            case Disconnected(reason=reason):
                self._off_air(reason)
            case BusStarted() | BusFailed() | Down():
                self._bus_changed(message)
            case LoopEnded(error=error):
                # The supervisor makes a new connection.
                raise RuntimeError("the thread of the MQTT connection has ended") from error
            case _:
                return super().on_receive(message)
        return None

    def _bus_changed(self, message: BusStarted | BusFailed | Down) -> None:
        match message:
            case BusStarted(ref=ref):
                self._watch(ref)
            case BusFailed(reason=reason):
                self._bus_down(reason)
            case Down(epoch=epoch, reason=reason):
                # Of an earlier one nobody needs to hear any more.
                if epoch == self._bus_epoch:
                    self._bus_down(str(reason))

    # -- the connection ------------------------------------------------------------------------------------------

    def _on_air(self) -> None:
        self._connected = self._board.on_air = True
        where = {"broker": f"{self._broker.host}:{self._broker.port}"}
        if self._repeats.times(_CONNECTION):
            self._repeats.worked(_CONNECTION, "mqtt_reconnected", **where)
        else:
            self._log.info("mqtt_connected", **where)
        # Others may have missed everything: say it again.
        for hadd in self._board.nodes:
            self._beat(hadd)
        for node, value in self._board.driver_values():
            if value.is_known:
                self._publish(topics.value(value.genre, node.hadd, value.uuid), value.payload())

    def _off_air(self, reason: str) -> None:
        self._connected = self._board.on_air = False
        where = f"{self._broker.host}:{self._broker.port}"
        self._repeats.failed(_CONNECTION, "mqtt_disconnected", reason, broker=where)

    def _publish(self, topic: str, payload: bytes) -> None:
        if not self._connected:
            return
        if not self._connection.publish(topic, payload):
            self._queue_is_full = True
            why = f"the broker takes no messages, and {self._connection.waiting} wait: the oldest are dropped"
            self._repeats.failed(_QUEUE, "mqtt_queue_full", why)
        elif self._queue_is_full and self._connection.waiting == 1:
            self._queue_is_full = False
            self._repeats.worked(_QUEUE, "mqtt_queue_moves")

    # -- requests ------------------------------------------------------------------------------------------------

    def _arrived(self, topic: str, payload: bytes) -> None:
        try:
            request = parse_request(payload)
        except MalformedRequestError as error:
            # Logged once for each sender and topic, and dropped.
            self._repeats.failed(
                f"{topic} {error.sender}", "request_malformed", str(error), topic=topic, sender=error.sender
            )
            return
        if topic == topics.BROADCAST_REQUEST:
            if isinstance(request, DiscoveryRequest):
                reply = request.reply(self._board.discovery(request.what))
                self._publish(topics.broadcast_reply(request.reply_hadd), dump(reply))
            return
        asked = topics.requested_node(topic)
        if asked is None:
            return
        if isinstance(request, DiscoveryRequest):
            reply = request.reply(self._board.discovery(request.what))
            self._publish(topics.node_reply(request.reply_hadd), dump(reply))
        else:
            self._pass_on(asked, request)

    def _pass_on(self, asked: Hadd, request: ValueRequest) -> None:
        named = request.hadd
        hadd = named if named is not None and named.controller == self._board.controller else asked
        node = self._board.nodes.get(hadd)
        if node is None:
            why = f"{self._board.section} has no node {hadd}"
        elif self.tell_path(f"{self.path.removesuffix('link')}nodes/{hadd}", Requested(request)):
            return
        else:
            why = f"{self._board.section} is not running: {self._bus_reason or 'it is starting'}"
        for publication in answer(refusal(request, why), request, hadd):
            self._publish(publication.topic, publication.payload)

    # -- heartbeats ----------------------------------------------------------------------------------------------

    def _node_changed(self, changed: NodeChanged) -> None:
        hadd = changed.hadd
        node = self._board.nodes[hadd]
        before = node.state
        if self._bus_runs:
            # Only here, and so in order with the ends and starts of the bus.
            node.state, node.reason = changed.state, changed.reason
        else:
            # Its pollers' last readings may reach a node after the end of the bus.
            self._take_offline(node)
        if not self._beat_anew(hadd) and node.state is not before:
            self._beat(hadd)

    def _beat_anew(self, hadd: Hadd) -> bool:
        """Beat now and with the node's period, where that is another one; whether it is."""
        period = self._board.nodes[hadd].heartbeat
        if period == self._periods[hadd]:
            # It keeps its phase: nodes that come up together would beat together from then on.
            return False
        self._beat(hadd)
        self._beat_every(hadd, period, share=1)
        return True

    def _beat_every(self, hadd: Hadd, period: float, *, share: float) -> None:
        """Beat from now on; the first time after a share of the period, so that many nodes do not beat at once."""
        self._periods[hadd] = period
        if period > 0:
            self.timers.every(hadd, period, _Beat(hadd), first=period * share)
        else:
            self.timers.cancel(hadd)

    def _beat(self, hadd: Hadd) -> None:
        node = self._board.nodes[hadd]
        if self._connected:
            node.beat_at = time.monotonic()
        self._publish(topics.heartbeat(hadd), node.state.encode())

    # -- the bus -------------------------------------------------------------------------------------------------

    def _watch(self, ref: ActorRef[Any]) -> None:
        bus = living(ref)
        if bus is None:
            self._bus_down("it has ended")
            return
        self._bus_runs = True
        self._bus_reason = ""
        self._bus_epoch = bus.epoch
        bus.add_monitor(self.tell_self)

    def _bus_down(self, reason: str) -> None:
        self._bus_runs = False
        self._bus_reason = reason
        for node in self._board.nodes.values():
            if node.state is not NodeState.OFFLINE:
                self._take_offline(node)
                self._beat(node.hadd)
            node.reason = reason

    def _take_offline(self, node: Node) -> None:
        node.state = NodeState.OFFLINE
        node.reason = self._bus_reason


@dataclass(frozen=True, slots=True)
class _Beat:
    """A heartbeat of one node is due."""

    hadd: Hadd
