"""The network as extensions, drivers' owners and tools see it: the map, the state, queries, subscriptions.

It outlives the actors that keep it. Any thread may read it; mappings are those of a moment and never change. What
subscribes is called on the network actor's turn, and must not block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType, MethodType
from typing import Any, TypeVar, cast

import structlog

from janitoo_actors.errors import said
from janitoo_actors.network.events import Event, NetworkChanged, NodeAdded, NodeChanged, NodeStateChanged, ValueChanged
from janitoo_actors.network.nodemap import NetworkMap, NodeEntry
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.codes import CommandClass, Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.runtime.mqtt import MqttFigures
from janitoo_actors.runtime.repeats import Repeats

EventT = TypeVar("EventT", bound=Event)
Node = Mapping[str, Any]
_FLAT = frozenset({Genre.SYSTEM, Genre.COMMAND})


class Network:
    """One network.

    Args:
        primary: the role that it begins with.

    Attributes:
        home_id: what the configuration calls it.
        map: what it is made of.
        mqtt: how its connection does.
    """

    def __init__(self, home_id: str = "", *, primary: bool = False) -> None:
        self.home_id = home_id
        self.map = NetworkMap()
        self.mqtt = MqttFigures()
        self._now = NetworkChanged(NetworkState.STOPPED, primary, not primary, is_failed=False)
        self._subscribers: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._repeats = Repeats(structlog.get_logger())

    # -- what it is ----------------------------------------------------------------------------------------------

    @property
    def state(self) -> NetworkState:
        """Where it is; it has its map in `STARTED`."""
        return self._now.state

    @property
    def state_str(self) -> str:
        """The state's name."""
        return self._now.state.value

    @property
    def is_primary(self) -> bool:
        """Whether this server is the primary now."""
        return self._now.is_primary

    @property
    def is_secondary(self) -> bool:
        """Whether this server is a secondary now."""
        return self._now.is_secondary

    @property
    def is_failed(self) -> bool:
        """Whether it is a secondary without a primary."""
        return self._now.is_failed

    @property
    def nodes_count(self) -> int:
        """How many nodes are on the map."""
        return len(self.map)

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Every node by its address, as `request_info_nodes` describes it: `nodes["0121/0001"]["cmd_classes"]`."""
        return _Nodes(self.map.snapshot())

    @property
    def users(self) -> Mapping[str, Mapping[str, Any]]:
        """The user values: `users["0121/0001"]["temperature"][0]["data"]`."""
        return self.of_genre(Genre.USER)

    @property
    def configs(self) -> Mapping[str, Mapping[str, Any]]:
        """The config values: `configs["0121/0001"]["name"][0]["data"]`."""
        return self.of_genre(Genre.CONFIG)

    @property
    def systems(self) -> Mapping[str, Mapping[str, Any]]:
        """The system values, which have no index: `systems["0121/0001"]["heartbeat"]["data"]`."""
        return self.of_genre(Genre.SYSTEM)

    @property
    def basics(self) -> Mapping[str, Mapping[str, Any]]:
        """The basic values: `basics["0121/0001"]["load"][0]["cmd_class"]`."""
        return self.of_genre(Genre.BASIC)

    @property
    def commands(self) -> Mapping[str, Mapping[str, Any]]:
        """The commands, which have no index: `commands["0121/0001"]["update"]["data"]`."""
        return self.of_genre(Genre.COMMAND)

    def of_genre(self, genre: Genre) -> Mapping[str, Mapping[str, Any]]:
        """The values of a genre by address, uuid and (but for system values and commands) index."""
        return _Values(self.map.snapshot(), genre)

    def addresses(self) -> frozenset[Hadd]:
        """All addresses on the map, whatever the state of their nodes."""
        return frozenset(self.map.snapshot())

    # -- queries -------------------------------------------------------------------------------------------------

    def nodes_with(self, cmd_class: int) -> dict[str, Node]:
        """The nodes that have a command class."""
        return self._where(lambda node: cmd_class in node.info["cmd_classes"])

    def controllers(self) -> dict[str, Node]:
        """The controllers of buses."""
        return self._where(lambda node: node.hadd.is_controller or CommandClass.CONTROLLER in node.info["cmd_classes"])

    def network_controllers(self) -> dict[str, Node]:
        """The nodes that are network controllers."""
        return self.nodes_with(CommandClass.NETWORK_CONTROLLER)

    def neighbours(self, hadd: str) -> dict[str, Node]:
        """The other nodes of a node's controller."""
        own = Hadd.parse(hadd)
        return self._where(lambda node: node.hadd.controller == own.controller and node.hadd != own)

    def values_of(self, hadd: str) -> list[Mapping[str, Any]]:
        """All instances of all values of a node; none where there is no such node."""
        node = self.map.get(Hadd.parse(hadd))
        return [] if node is None else list(node.every_value())

    def _where(self, condition: Callable[[NodeEntry], bool]) -> dict[str, Node]:
        found = [node for node in self.map.snapshot().values() if condition(node)]
        return {str(node.hadd): node.info for node in sorted(found, key=lambda node: node.hadd)}

    # -- extensions ----------------------------------------------------------------------------------------------

    def add_method(self, function: Callable[..., Any], name: str = "") -> None:
        """Have a function as a method of this network: its first argument is the network."""
        setattr(self, name or function.__name__, MethodType(function, self))

    def subscribe(self, event: type[EventT], callback: Callable[[EventT], None]) -> Callable[[], None]:
        """Have a function called with each event of a kind; what is returned ends that.

        What it raises is logged, and harms nobody.
        """
        # Replaced, not changed: an event may be on its way to them.
        self._subscribers[event] = [*self._subscribers.get(event, ()), callback]

        def end() -> None:
            self._subscribers[event] = [each for each in self._subscribers[event] if each is not callback]

        return end

    def emit_network(self) -> dict[str, Any]:
        """Hook: the network is in another state. To replace; gives what there is to tell."""
        return {
            "state": self.state,
            "state_str": self.state_str,
            "nodes_count": self.nodes_count,
            "home_id": self.home_id,
            "is_failed": self.is_failed,
            "is_secondary": self.is_secondary,
            "is_primary": self.is_primary,
        }

    def emit_node(self, hadd: str, node: Node) -> None:
        """Hook: a node is new, has changed, or is in another state. To replace."""

    def emit_user(self, hadd: str, value: Mapping[str, Any]) -> None:
        """Hook: a user value has changed. To replace."""

    def emit_config(self, hadd: str, value: Mapping[str, Any]) -> None:
        """Hook: a config value has changed. To replace."""

    def emit_system(self, hadd: str, value: Mapping[str, Any]) -> None:
        """Hook: a system value has changed. To replace."""

    def emit_basic(self, hadd: str, value: Mapping[str, Any]) -> None:
        """Hook: a basic value has changed. To replace."""

    def emit_command(self, hadd: str, value: Mapping[str, Any]) -> None:
        """Hook: a command has changed. To replace."""

    def tell(self, event: Event) -> None:
        """Tell an event to all who want it. For the network actor."""
        if isinstance(event, NetworkChanged):
            self._now = event
        self._guarded("emit", lambda: self._emit(event))
        for callback in self._subscribers.get(type(event), ()):
            self._guarded(getattr(callback, "__qualname__", repr(callback)), partial(callback, event))

    def _emit(self, event: Event) -> None:
        match event:
            case NetworkChanged():
                self.emit_network()
            case NodeAdded(hadd=hadd) | NodeChanged(hadd=hadd) | NodeStateChanged(hadd=hadd):
                node = self.map.get(hadd)
                if node is not None:
                    self.emit_node(str(hadd), node.info)
            case ValueChanged(hadd=hadd, genre=genre, uuid=uuid, index=index):
                hook = getattr(self, f"emit_{genre.slug}")
                node = self.map.get(hadd)
                value = node.of_genre(genre).get(uuid, {}).get(index) if node is not None else None
                if value is not None:
                    hook(str(hadd), value)

    def _guarded(self, who: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - somebody's extension has a bug, which is not the network's
            self._repeats.failed(who, "network_extension_failed", said(error), extension=who)


class _Nodes(Mapping[str, Node]):
    """The nodes of a snapshot, by their addresses as text."""

    def __init__(self, snapshot: Mapping[Hadd, NodeEntry]) -> None:
        self._snapshot = snapshot

    def __getitem__(self, hadd: str) -> Node:
        return _entry(self._snapshot, hadd).info

    def __iter__(self) -> Iterator[str]:
        return map(str, self._snapshot)

    def __len__(self) -> int:
        return len(self._snapshot)


class _Values(Mapping[str, Mapping[str, Any]]):
    """The values of one genre, of the nodes that have any."""

    def __init__(self, snapshot: Mapping[Hadd, NodeEntry], genre: Genre) -> None:
        self._snapshot = snapshot
        self._genre = genre

    def __getitem__(self, hadd: str) -> Mapping[str, Any]:
        values = _entry(self._snapshot, hadd).of_genre(self._genre)
        if not values:
            raise KeyError(hadd)
        if self._genre not in _FLAT:
            return values
        flat = {uuid: each[0] if list(each) == [0] else each for uuid, each in values.items()}
        return MappingProxyType(cast("dict[str, Any]", flat))

    def __iter__(self) -> Iterator[str]:
        return (str(hadd) for hadd, node in self._snapshot.items() if node.of_genre(self._genre))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _entry(snapshot: Mapping[Hadd, NodeEntry], hadd: object) -> NodeEntry:
    try:
        return snapshot[Hadd.parse(cast("str", hadd))]
    except (AttributeError, ValueError):
        # As a dictionary has it for what cannot be a key of it.
        raise KeyError(hadd) from None
