"""What a bus shows to the network: its nodes, their states, their values.

The board outlives the actors of its bus, so that discovery is answered while the bus restarts. Each part has one
writer (a value its poller or its node, a state the link, a product the bus) and is replaced, never changed in
place; so any thread may read without a lock. A reload sets configuration values besides: `runtime/tuning.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from janitoo_actors.api.device import Device
from janitoo_actors.api.runtime import Product
from janitoo_actors.configuration.model import BusConfig, NodeConfig
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, NodeState
from janitoo_actors.runtime.mqtt import MqttFigures
from janitoo_actors.runtime.values import NodeValue, Role, node_values

if TYPE_CHECKING:
    from janitoo_actors.runtime.remote import Remote

_SETTLED: Final = frozenset({NodeState.ONLINE, NodeState.OFFLINE})


class Node:
    """One node: what its configuration says, its values, and its state.

    Attributes:
        hadd: its address.
        uuid: its uuid on the wire, which is its section in the file.
        device_class: what its device is made of.
        values: by uuid, in the order of the replies of originals.
        state: as heartbeats say it.
        reason: why it is not online, for people; empty where it is.
        beat_at: when it has beaten last, in `time.monotonic()`; 0 where it has not.
        product: what its device has told of itself.
    """

    def __init__(self, config: NodeConfig, device_class: type[Device]) -> None:
        self.hadd = config.hadd
        self.uuid = config.uuid
        self.device_class = device_class
        self.values: Mapping[str, NodeValue] = {value.uuid: value for value in node_values(config, device_class)}
        self.state = NodeState.BOOT
        self.reason = ""
        self.beat_at = 0.0
        self.product = Product()
        self._options = dict(config.options)
        self._keeps_hadd = not config.hadd_assigned

    @property
    def options(self) -> Mapping[str, str]:
        """The options of the section, for making its device; a fresh copy."""
        return dict(self._options)

    def to_store(self, options: Mapping[str, str]) -> dict[str, str]:
        """What to write with these options of its section: an address that was only assigned, too.

        A section without it would leave the node with an address that changes with its neighbours'.
        """
        return dict(options) if self._keeps_hadd else {"hadd": str(self.hadd), **options}

    def stored(self, options: Mapping[str, str]) -> None:
        """Have the next device of this node made with these options. Called on the bus's thread."""
        self._keeps_hadd = True
        self._options.update(options)

    def retuned(self, config: NodeConfig) -> None:
        """Have the next device of this node made of another section; its values are set apart. Any thread."""
        self._keeps_hadd = not config.hadd_assigned
        self._options = dict(config.options)

    @property
    def heartbeat(self) -> float:
        """Seconds between two heartbeats; 0 for none but those of a change."""
        return float(self.values["heartbeat"].data[0])

    def describe(self) -> dict[str, Any]:
        """The node in a reply to `request_info_nodes`."""
        device, product = self.device_class, self.product
        classes = dict.fromkeys(int(each) for each in device.cmd_classes)
        classes.update(dict.fromkeys(int(value.cmd_class) for value in device.values.values()))
        return {
            "uuid": self.uuid,
            "oid": device.oid,
            "capabilities": [int(each) for each in device.capabilities],
            "cmd_classes": list(classes),
            "name": self.values["name"].data[0],
            "product_name": product.name or device.product_name,
            "product_type": product.type or device.product_type,
            "product_manufacturer": product.manufacturer or device.product_manufacturer,
            "location": self.values["location"].data[0],
            "heartbeat": self.values["heartbeat"].data[0],
            "config_timeout": self.values["config_timeout"].data[0],
            "hadd": str(self.hadd),
            "state": self.state.value,
        }

    def of_genre(self, genre: Genre) -> Iterator[NodeValue]:
        """The values of a genre, in order."""
        return (value for value in self.values.values() if value.genre is genre)


@dataclass(frozen=True, slots=True)
class BoardState:
    """What changes of a board, for one in another process to show the same.

    Attributes:
        nodes: state, reason and product, by address.
        data: those of each value, by address and uuid.
    """

    on_air: bool
    nodes: Mapping[Hadd, tuple[NodeState, str, Product]]
    data: Mapping[tuple[Hadd, str], Sequence[Any]]


class Board:
    """The nodes of one bus, the controller's first.

    Attributes:
        section: the bus's section in the file.
        controller: its number, the first half of its addresses.
        on_air: whether its link is connected; the link says so.
        is_absent: whether it has a process of its own, which is down: others answer for it.
        mqtt: how its connection does.
        remote: the way to its process; None where it runs in this one.
    """

    def __init__(self, config: BusConfig) -> None:
        self.section = config.section
        self.controller = config.node.hadd.controller
        self.on_air = False
        self.is_absent = False
        self.mqtt = MqttFigures()
        self.remote: Remote | None = None
        nodes = [Node(config.node, config.bus_class)]
        nodes += [Node(each.node, each.component_class) for each in config.components]
        self.nodes: Mapping[Hadd, Node] = {node.hadd: node for node in nodes}

    def discovery(self, what: Discovery) -> dict[str, Any]:
        """The data of a reply to one of the six requests, about all nodes. Source: `protocol.md`, "Discovery"."""
        genre = what.genre
        if genre is None:
            return {node.uuid: node.describe() for node in self.nodes.values()}
        data: dict[str, Any] = {}
        for node in self.nodes.values():
            values = {value.uuid: value.indexed() if what.indexed else value.wire(0) for value in node.of_genre(genre)}
            if values:
                data[str(node.hadd)] = values
        return data

    @property
    def settled(self) -> bool:
        """Whether every node has come to a state, and the network hears of it: it works, or is known not to."""
        return self.on_air and all(node.state in _SETTLED for node in self.nodes.values())

    def report(self) -> BoardState:
        """What changes of it, as it is now."""
        return BoardState(
            self.on_air,
            {hadd: (node.state, node.reason, node.product) for hadd, node in self.nodes.items()},
            {
                (node.hadd, value.uuid): tuple(value.data)
                for node in self.nodes.values()
                for value in node.values.values()
            },
        )

    def take(self, state: BoardState) -> None:
        """Show what another board shows."""
        self.on_air = state.on_air
        for hadd, (node_state, reason, product) in state.nodes.items():
            node = self.nodes[hadd]
            node.state, node.reason, node.product = node_state, reason, product
        for (hadd, uuid), data in state.data.items():
            self.nodes[hadd].values[uuid].data = list(data)

    def taken(self, hadd: Hadd, node: Node) -> bool:
        """Whether an address is one of the other nodes', now or after the next start."""
        others = (other for other in self.nodes.values() if other is not node)
        return any(hadd == other.hadd or str(hadd) == other.values["hadd"].data[0] for other in others)

    def driver_values(self) -> Iterator[tuple[Node, NodeValue]]:
        """The values that drivers read or write, with their nodes."""
        for node in self.nodes.values():
            for value in node.values.values():
                if value.role is Role.DRIVER:
                    yield node, value
