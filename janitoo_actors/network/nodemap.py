"""The map: every node of the network, with its values of all five genres.

One thread writes. Entries are immutable and replaced one node at a time, so that any thread may read a snapshot, and a
snapshot costs a copy of the table of nodes, at most once for each change.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from janitoo_actors.network.events import Event, NodeAdded, NodeChanged, NodeRemoved, NodeStateChanged, ValueChanged
from janitoo_actors.network.reading import NodeRead, ValueRead
from janitoo_actors.protocol.codes import CommandClass, Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery

Instances = Mapping[int, Mapping[str, Any]]
Values = Mapping[str, Instances]

DEFAULT_HEARTBEAT: Final = 30.0
"""Seconds, of a node that does not say."""

_LONGEST: Final = 1e9
# On the air: of whoever asked, and (a label) of the topic; the value itself does not change with them.
_NOT_KEPT: Final = ("reply_hadd", "label")
_OF_ANSWERS: Final = ("data", "label", "help")
_NOTHING: Final[Values] = MappingProxyType({})
_HELD_FIXED: Final = frozenset({Genre.CONFIG, Genre.SYSTEM})
# Of a node, and of no value of it.
_OF_NODES: Final = frozenset(
    {
        CommandClass.NO_OPERATION,
        CommandClass.BASIC,
        CommandClass.CONFIGURATION,
        CommandClass.CONTROLLER,
        CommandClass.NETWORK_CONTROLLER,
        CommandClass.DHCPD,
        CommandClass.DHCPC,
    }
)


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node, with its values. Immutable.

    Attributes:
        info: as replies to `request_info_nodes` describe it; `state` is what it is now.
        values: by genre, uuid and index.
    """

    hadd: Hadd
    info: Mapping[str, Any]
    values: Mapping[Genre, Values] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def state(self) -> str:
        """As heartbeats say it, or as ageing has made it."""
        return str(self.info["state"])

    @property
    def heartbeat(self) -> float:
        """Seconds between its heartbeats, by its system value; 0 for none."""
        own = self.values.get(Genre.SYSTEM, _NOTHING).get("heartbeat", {}).get(0, {}).get("data")
        for said in (own, self.info.get("heartbeat")):
            if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said <= _LONGEST:
                return float(said)
        return DEFAULT_HEARTBEAT

    def of_genre(self, genre: Genre) -> Values:
        """Its values of a genre, by uuid and index."""
        return self.values.get(genre, _NOTHING)

    def every_value(self) -> Iterator[Mapping[str, Any]]:
        """Each instance of each value."""
        for values in self.values.values():
            for instances in values.values():
                yield from instances.values()

    def has_gaps(self) -> bool:
        """Whether values of it are not known: each node has some of system and config, and those of its classes."""
        if not self.of_genre(Genre.SYSTEM) or not self.of_genre(Genre.CONFIG):
            return True
        known = {value.get("cmd_class") for value in self.every_value()}
        return bool(set(self.info["cmd_classes"]) - known - _OF_NODES)


class NetworkMap:
    """The nodes by address. One thread writes; any thread may call `snapshot`."""

    def __init__(self) -> None:
        self._nodes: dict[Hadd, NodeEntry] = {}
        self._snapshot: Mapping[Hadd, NodeEntry] | None = None
        self._controllers: dict[int, set[Hadd]] = {}
        self._digests = {what: _Digest(what) for what in Discovery}

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, hadd: Hadd) -> bool:
        return hadd in self._nodes

    def __iter__(self) -> Iterator[Hadd]:
        return iter(self._nodes)

    def get(self, hadd: Hadd) -> NodeEntry | None:
        """A node; None where it is not on the map."""
        return self._nodes.get(hadd)

    def of_controller(self, controller: int) -> list[NodeEntry]:
        """All nodes of a controller."""
        return [self._nodes[hadd] for hadd in sorted(self._controllers.get(controller, ()))]

    @property
    def controllers(self) -> tuple[int, ...]:
        """The numbers of all controllers that have nodes here."""
        return tuple(self._controllers)

    def snapshot(self) -> Mapping[Hadd, NodeEntry]:
        """All nodes as they are now; it never changes. Any thread."""
        snapshot = self._snapshot
        if snapshot is None:
            # Copying a dictionary is one step for other threads.
            snapshot = self._snapshot = MappingProxyType(self._nodes.copy())
        return snapshot

    # -- changes -------------------------------------------------------------------------------------------------

    def take_nodes(self, nodes: Iterable[NodeRead], *, states: bool) -> Iterator[Event]:
        """Enter nodes as a reply describes them.

        Args:
            states: whether its states count for nodes that are known; a heartbeat may have been newer.
        """
        for node in nodes:
            known = self._nodes.get(node.hadd)
            if known is None:
                self._put(NodeEntry(node.hadd, node.info), *Discovery)
                self._controllers.setdefault(node.hadd.controller, set()).add(node.hadd)
                yield NodeAdded(node.hadd)
                continue
            info = node.info if states else MappingProxyType({**node.info, "state": known.state})
            if info == known.info:
                continue
            entry = replace(known, info=info)
            self._put(entry, Discovery.NODES)
            if any(info.get(key) != known.info.get(key) for key in {*info, *known.info} - {"state"}):
                yield NodeChanged(node.hadd)
            if info["state"] != known.state:
                yield NodeStateChanged(node.hadd, known.state, entry.state)

    def take_values(self, values: Iterable[ValueRead], *, on_air: bool = False) -> Iterator[Event]:
        """Enter instances of values; those of nodes that are not on the map are passed over."""
        for value in values:
            node = self._nodes.get(value.hadd)
            if node is None:
                continue
            known = node.of_genre(value.genre).get(value.uuid, {}).get(value.index)
            if known is None and not value.whole:
                continue
            fields = _merged(known, value, on_air=on_air)
            if known is not None and fields == known:
                continue
            # What is measured is in no digest.
            same = known is not None and value.genre not in _HELD_FIXED
            self._put(_with_value(node, value, fields), None if same else _LISTS[value.genre])
            yield from self._mirrored(value, fields)
            yield ValueChanged(value.hadd, value.genre, value.uuid, value.index, fields["data"], known is None)

    def keep_values(self, hadd: Hadd, genre: Genre, kept: Iterable[tuple[str, int]]) -> None:
        """Forget the values of a node and a genre but for these: its controller has said all that there are."""
        node = self._nodes.get(hadd)
        kept = set(kept)
        if node is None or all((uuid, index) in kept for uuid, each in node.of_genre(genre).items() for index in each):
            return
        left: dict[str, Instances] = {}
        for uuid, instances in node.of_genre(genre).items():
            some = {index: value for index, value in instances.items() if (uuid, index) in kept}
            if some:
                left[uuid] = MappingProxyType(some)
        self._put(replace(node, values=MappingProxyType({**node.values, genre: MappingProxyType(left)})), _LISTS[genre])

    def set_state(self, hadd: Hadd, state: str) -> Iterator[Event]:
        """Enter the state of a node; nothing where it is not on the map, or in that state."""
        node = self._nodes.get(hadd)
        if node is None or node.state == state:
            return
        self._put(replace(node, info=MappingProxyType({**node.info, "state": state})), Discovery.NODES)
        yield NodeStateChanged(hadd, node.state, state)

    def remove(self, hadd: Hadd) -> Iterator[Event]:
        """Forget a node."""
        if self._nodes.pop(hadd, None) is not None:
            self._snapshot = None
            self._controllers[hadd.controller].discard(hadd)
            if not self._controllers[hadd.controller]:
                del self._controllers[hadd.controller]
            for digest in self._digests.values():
                digest.changed.add(hadd)
            yield NodeRemoved(hadd)

    def _mirrored(self, value: ValueRead, fields: Mapping[str, Any]) -> Iterator[Event]:
        """What a node says of itself is a value of it, too."""
        if (value.genre, value.uuid) not in _MIRRORED or value.index != 0:
            return
        node = self._nodes[value.hadd]
        if node.info.get(value.uuid) != fields["data"] and fields["data"] is not None:
            info = MappingProxyType({**node.info, value.uuid: fields["data"]})
            self._put(replace(node, info=info), Discovery.NODES)
            yield NodeChanged(value.hadd)

    def _put(self, entry: NodeEntry, *lists: Discovery | None) -> None:
        """Enter a node, as far as it is in these lists another than before."""
        self._nodes[entry.hadd] = entry
        self._snapshot = None
        for what in lists:
            if what is not None:
                self._digests[what].changed.add(entry.hadd)

    # -- for others ----------------------------------------------------------------------------------------------

    def digest(self, what: Discovery) -> str:
        """A short text that two maps with the same list have in common; the data of measured values are not in it.

        Only what has changed since the last time is looked at. For the thread that writes.
        """
        return self._digests[what].of(self._nodes)


class _Digest:
    """The digest of one list: a sum, so that a node can be taken out and put in again.

    Attributes:
        changed: the nodes that have come, gone or changed since it was made.
    """

    def __init__(self, what: Discovery) -> None:
        self.changed: set[Hadd] = set()
        self._what = what
        self._nodes: dict[Hadd, int] = {}
        self._sum = 0

    def of(self, nodes: Mapping[Hadd, NodeEntry]) -> str:
        """The digest of this list of these nodes."""
        for hadd in self.changed:
            self._sum -= self._nodes.pop(hadd, 0)
            node = nodes.get(hadd)
            if node is not None:
                line = f"{hadd} {_shape(node, self._what)}"
                self._nodes[hadd] = zlib.crc32(line.encode("utf-8", "backslashreplace"))
                self._sum += self._nodes[hadd]
        self.changed.clear()
        return f"{self._sum:x}-{len(self._nodes)}"


_LISTS: Final = {what.genre: what for what in Discovery}
_MIRRORED: Final = frozenset(
    {
        (Genre.CONFIG, "name"),
        (Genre.CONFIG, "location"),
        (Genre.SYSTEM, "heartbeat"),
        (Genre.SYSTEM, "config_timeout"),
    }
)


def _merged(known: Mapping[str, Any] | None, value: ValueRead, *, on_air: bool) -> Mapping[str, Any]:
    if known is None:
        return value.fields
    if not value.whole:
        return MappingProxyType({**known, **{key: value.fields[key] for key in _OF_ANSWERS if key in value.fields}})
    if on_air:
        kept = {key: known[key] for key in _NOT_KEPT if key in known}
        return MappingProxyType({**known, **value.fields, **kept})
    return value.fields


def _with_value(node: NodeEntry, value: ValueRead, fields: Mapping[str, Any]) -> NodeEntry:
    values = node.of_genre(value.genre)
    instances = MappingProxyType(dict(sorted({**values.get(value.uuid, {}), value.index: fields}.items())))
    genre = MappingProxyType({**values, value.uuid: instances})
    return replace(node, values=MappingProxyType({**node.values, value.genre: genre}))


def _shape(node: NodeEntry, what: Discovery) -> str:
    genre = what.genre
    if genre is None:
        info = node.info
        return f"{info['state']} {info['uuid']} {info['name']!r} {info['location']!r} {sorted(info['cmd_classes'])}"
    fixed = genre in _HELD_FIXED
    each = (
        f"{uuid}/{index}" + (f"={value['data']!r}" if fixed else "")
        for uuid, instances in node.of_genre(genre).items()
        for index, value in instances.items()
    )
    return " ".join(sorted(each))
