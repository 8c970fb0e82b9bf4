"""The buses that have their addresses from a primary: asking for them, keeping them in the file, giving them back.

A server without such a bus has nothing of this.
"""

from __future__ import annotations

import random
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from janitoo_actors.configuration.model import BrokerConfig, BusConfig, NodeConfig
from janitoo_actors.errors import JanitooError, said
from janitoo_actors.network.leases.client import Addressed, Effect, LeaseClient, Lost, Part, Phase, Send, Waiting
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import Options, parse_answer, whole
from janitoo_actors.protocol.messages import load_object
from janitoo_actors.runtime.addresses import Addresses, Follow
from janitoo_actors.runtime.board import Node
from janitoo_actors.runtime.mqtt import Arrived, Connected, Disconnected, LoopEnded, MqttConnection
from janitoo_actors.runtime.repeats import Repeats
from supervisors import PinnedActor

LAST_WORDS: Final = 1.0
"""Seconds that the broker has to take what is left to say."""
_GOODBYE: Final = 0.3
_FIRST_STORE_RETRY: Final = 1.0
_LAST_STORE_RETRY: Final = 60.0
_SPREAD: Final = 2.0
"""Seconds over which buses spread that lock again because a primary has come."""


class AddressKeeper(PinnedActor):
    """The actor that asks for addresses, on a connection of its own, and writes them to the file.

    It has a thread of its own, as it waits for the disk, and for the broker at the end. It ends after the buses: they
    are OFFLINE when it gives their addresses back.
    """

    def __init__(self, broker: BrokerConfig, addresses: Addresses) -> None:
        super().__init__()
        self._addresses = addresses
        self._log = structlog.get_logger().bind(path=self.path)
        self._repeats = Repeats(self._log)
        self._clients: dict[str, LeaseClient] = {}
        # What each bus was when it began to ask.
        self._asked: dict[str, Sequence[Part]] = {}
        self._connected = False
        self._connection = MqttConnection(
            broker, "addresses", will=None, subscriptions=(topics.REPLIES, topics.RESOLV_HEARTBEAT), tell=self.tell_self
        )

    def on_start(self) -> None:
        """Begin to connect; a bus that lacks addresses does not wait for them for ever, where it can do without."""
        self._follow()
        self._connection.start()

    def on_stop(self) -> None:
        """Give the addresses back, and close."""
        if self._connected:
            for section, client in self._clients.items():
                self._do(section, client.release())
            self._connection.drain(LAST_WORDS)
        self._connection.close()
        self._connection.join(_GOODBYE)

    def on_end(self) -> None:
        """Close the connection, whatever ended the actor. Any thread."""
        super().on_end()
        self._connection.close()

    def on_receive(self, message: Any) -> Any:
        """Handle what comes from the network, and what is due."""
        match message:
            case Arrived(topic=topic, payload=payload):
                self._arrived(topic, payload)
            case Connected():
                self._on_air()
            case Disconnected(reason=reason):
                self._connected = False
                self._repeats.failed("connection", "mqtt_disconnected", reason)
            case Follow():
                self._follow()
            case _Due(section=section):
                client = self._clients.get(section)
                if client is not None:
                    self._step(section, client.tick(time.monotonic()))
            case _Begin(section=section, delay=delay):
                self._begin_to_ask(section, delay)
            case _Keep():
                self._keep(message)
            case _PatienceEnds(section=section):
                self._do_without(section)
            case LoopEnded(error=error):
                # The supervisor makes a new connection.
                raise RuntimeError("the thread of the MQTT connection has ended") from error
            case _:
                return super().on_receive(message)
        return None

    # -- the configuration ---------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Ask for the buses that there are now, and for no others."""
        buses = self._addresses.buses
        for section in [each for each in self._asked if each not in buses]:
            del self._asked[section]
            for what in ("patience", "begin", "keep", "due"):
                self.timers.cancel((what, section))
            client = self._clients.pop(section, None)
            if client is not None:
                self._do(section, client.release())
        for section, bus in buses.items():
            asked, parts = self._asked.get(section), _parts(bus)
            if asked is not None and _told(asked) == _told(parts):
                continue
            self._asked[section] = parts
            if section in self._addresses.waiting:
                self.timers.once(("patience", section), bus.node.config_timeout, _PatienceEnds(section))
            if self._connected:
                self._begin_to_ask(section, _FIRST_STORE_RETRY)

    # -- the network ---------------------------------------------------------------------------------------------

    def _on_air(self) -> None:
        self._connected = True
        self._repeats.worked("connection", "mqtt_reconnected")
        for section in self._asked:
            client = self._clients.get(section)
            if client is None:
                self._begin_to_ask(section, _FIRST_STORE_RETRY)
            elif client.phase is not Phase.HELD:
                self._step(section, client.start(time.monotonic()))

    def _arrived(self, topic: str, payload: bytes) -> None:
        try:
            if topic == topics.RESOLV_HEARTBEAT:
                beat = load_object(payload)
                who = Hadd(whole(beat.get("add_ctrl")), whole(beat.get("add_node")))
                for section, client in self._clients.items():
                    self._step(section, client.primary(who, str(beat.get("state")), time.monotonic()))
                return
            rep_uuid = topics.reply_uuid(topic)
            for section, client in self._clients.items():
                # Most of what comes here is for others, and not worth reading.
                if rep_uuid is not None and client.waits_for(rep_uuid):
                    answer = replace(parse_answer(payload), rep_uuid=rep_uuid)
                    self._step(section, client.answered(answer, time.monotonic()))
                    return
        except ValueError as error:
            # A MalformedRequestError is one too.
            self._repeats.failed(topic, "lease_answer_malformed", str(error), topic=topic[:128])

    # -- the clients ---------------------------------------------------------------------------------------------

    def _begin_to_ask(self, section: str, delay: float) -> None:
        """Begin to ask for a bus. The name by which the primary knows it again is in the file before it is used."""
        bus = self._addresses.buses.get(section)
        if bus is None:
            return
        if bus.identity is None:
            bus = replace(bus, identity=str(uuid.uuid4()))
            if not self._stored(section, section, {"uuid": str(bus.identity)}):
                later = min(delay * 2, _LAST_STORE_RETRY)
                self.timers.once(("begin", section), delay, _Begin(section, later))
                return
        foreign = self._addresses.foreign
        client = LeaseClient(_parts(bus), lambda: uuid.uuid4().hex, lambda: random.uniform(0, _SPREAD), foreign)
        self._clients[section] = client
        if bus.lacks_addresses and section not in self._addresses.waiting:
            # It runs with what is free.
            self._step(section, client.assume(bus.hadds, time.monotonic()))
        else:
            self._step(section, client.start(time.monotonic()))

    def _step(self, section: str, effects: Sequence[Effect]) -> None:
        self._do(section, effects)
        client = self._clients[section]
        due = client.due
        if due is None:
            self.timers.cancel(("due", section))
        else:
            self.timers.once(("due", section), max(0.0, due - time.monotonic()), _Due(section))
        if client.phase is Phase.HELD:
            self._repeats.worked(section, "lease_held", bus=section, hadd=str(client.controller))

    def _do(self, section: str, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(request=request):
                    if self._connected and not self.fenced:
                        self._connection.publish(request.topic, request.payload())
                case Addressed(hadds=hadds):
                    self._keep(_Keep(section, hadds, _FIRST_STORE_RETRY))
                case Lost(hadd=hadd, reason=reason):
                    self._log.error(
                        "address_lost", bus=section, hadd=str(hadd), error=reason, detail="asking for another"
                    )
                case Waiting(reason=reason):
                    event = "address_awaited" if section in self._addresses.waiting else "lease_not_confirmed"
                    self._repeats.failed(section, event, reason, bus=section)

    # -- the file ------------------------------------------------------------------------------------------------

    def _keep(self, keep: _Keep) -> None:
        """Write addresses to the file, then run the bus with them: what is not in the file is not in force."""
        self.timers.cancel(("patience", keep.section))
        bus = self._addresses.buses.get(keep.section)
        if bus is None:
            return
        bus = bus.addressed(keep.hadds)
        wanted = {bus.section: {"hadd": str(bus.node.hadd), "lease": "True"}}
        wanted |= {each.node.uuid: {"hadd": str(each.node.hadd)} for each in bus.components}
        for section, options in wanted.items():
            if not self._stored(keep.section, section, options):
                again = replace(keep, delay=min(keep.delay * 2, _LAST_STORE_RETRY))
                self.timers.once(("keep", keep.section), keep.delay, again)
                return
        self._log.info("address_leased", bus=bus.section, hadd=str(bus.node.hadd), nodes=len(bus.components))
        self._addresses.apply(bus.section, keep.hadds)

    def _stored(self, bus: str, section: str, options: Mapping[str, str]) -> bool:
        """Write options to the file; whether they are there. It is told where they are not."""
        try:
            self._addresses.store(section, options)
        except JanitooError as error:
            what = ", ".join(f"{key} = {text}" for key, text in options.items())
            self._repeats.failed(
                f"file {bus}", "address_not_stored", said(error), bus=bus, option=f"[{section}] {what}"
            )
            return False
        self._repeats.worked(f"file {bus}", "address_stored", bus=bus)
        return True

    def _do_without(self, section: str) -> None:
        """No primary has answered in time: run the bus with what its file has, where that is enough."""
        bus = self._addresses.buses.get(section)
        if bus is None or section not in self._addresses.waiting:
            return
        if bus.node.hadd_assigned:
            reason = (
                f"no primary has given [{section}] an address within {bus.node.config_timeout:g} s: it starts when one "
                f"does; or write hadd = CCCC/0000 into [{section}], as 0121/0000"
            )
            self._repeats.failed(section, "address_awaited", reason, bus=section)
            return
        assigned = {each.key: str(each.node.hadd) for each in bus.components if each.node.hadd_assigned}
        self._log.warning(
            "addresses_assumed", bus=section, nodes=assigned, detail="no primary has answered; it is asked further on"
        )
        self._addresses.apply(section, {})
        client = self._clients.get(section)
        if client is not None:
            self._step(section, client.assume(bus.hadds, time.monotonic()))


def _parts(bus: BusConfig) -> list[Part]:
    """What the primary is told of a bus and its nodes."""
    host = socket.gethostname()
    nodes: list[tuple[str, NodeConfig, Any]] = [("", bus.node, bus.bus_class)]
    nodes += [(each.key, each.node, each.component_class) for each in bus.components]
    parts = []
    for key, node, device_class in nodes:
        described = Node(node, device_class).describe()
        owner = f"{bus.identity}__{key}" if key else str(bus.identity)
        params = {"uuid": owner, "host": host, "oid": described["oid"]}
        classes = tuple(described["cmd_classes"])
        hadd = None if node.hadd_assigned else node.hadd
        parts.append(Part(key, hadd, Options(node.name, node.location, classes, params)))
    return parts


def _told(parts: Sequence[Part]) -> list[tuple[str, Options]]:
    """What the primary is told of a bus, whatever its addresses are and by what name it is known."""
    return [(part.key, replace(part.options, params={**part.options.params, "uuid": None})) for part in parts]


@dataclass(frozen=True, slots=True)
class _Due:
    section: str


@dataclass(frozen=True, slots=True)
class _Begin:
    section: str
    delay: float


@dataclass(frozen=True, slots=True)
class _Keep:
    section: str
    hadds: Mapping[str, Hadd]
    delay: float


@dataclass(frozen=True, slots=True)
class _PatienceEnds:
    section: str
