"""Keeping the map up: what lists, values and heartbeats change in it. Pure: times are given.

What changes is given as events; what to ask for is for the engine to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from janitoo_actors.network.ageing import Ageing
from janitoo_actors.network.events import Event
from janitoo_actors.network.messages import ListHeard, ValueHeard, Via
from janitoo_actors.network.nodemap import NetworkMap, NodeEntry
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, NodeState
from janitoo_actors.protocol.resolv import ALL_NODES, Heartbeat

LATE: Final = frozenset({NodeState.PENDING, NodeState.FAILED, NodeState.DEAD})
"""The states that only a listener gives to a node."""
GONE: Final = LATE | {NodeState.OFFLINE}
"""The states of nodes that answer nothing."""


class Keeper:
    """The map and the ages of its nodes, which change together."""

    def __init__(self, network_map: NetworkMap, ageing: Ageing) -> None:
        self.map = network_map
        self.ageing = ageing

    def take_list(self, reply: ListHeard, now: float) -> Iterator[Event]:
        """Enter a reply, or a piece of it."""
        news = reply.via is Via.NEWS
        from_primary = news or reply.via is Via.RESOLV
        yield from self.map.take_nodes(reply.nodes, states=not news)
        for node in reply.nodes:
            entry = self.map.get(node.hadd)
            if entry is None:
                continue
            if from_primary:
                age = reply.ages.get(node.hadd, 0.0)
                self.ageing.told(node.hadd, now, entry.state, entry.heartbeat, age=age)
            else:
                self.ageing.heard(node.hadd, now, entry.state, entry.heartbeat)
        yield from self.map.take_values(reply.values)
        if reply.what is Discovery.SYSTEMS:
            # How often each beats is one of them.
            for hadd in {value.hadd for value in reply.values}:
                entry = self.map.get(hadd)
                if entry is not None:
                    self.ageing.told(hadd, now, entry.state, entry.heartbeat)
        if not news:
            yield from self._keep_only(reply)

    def _keep_only(self, reply: ListHeard) -> Iterator[Event]:
        """Forget what a complete reply does not speak of any more."""
        complete = reply.complete
        if complete is None:
            return
        genre = reply.what.genre
        if genre is not None:
            for hadd, values in complete.items():
                self.map.keep_values(hadd, genre, values)
        elif reply.via is not Via.RESOLV:
            for controller in {hadd.controller for hadd in complete}:
                for node in self.map.of_controller(controller):
                    if node.hadd not in complete:
                        yield from self.forget(node.hadd)

    def keep_resolved(self, what: Discovery, seen: set[Hadd], now: float) -> Iterator[Event]:
        """Forget what is not on a complete list of the primary; not a node that was heard of here."""
        for hadd in [each for each in self.map if each not in seen]:
            if what.genre is not None:
                self.map.keep_values(hadd, what.genre, ())
            elif not self.ageing.is_alive(hadd, now):
                yield from self.forget(hadd)

    def take_value(self, heard: ValueHeard, now: float) -> Iterator[Event]:
        """Enter a value on the air, of a node that is on the map."""
        yield from self.map.take_values(heard.values, on_air=True)
        node = self.map.get(heard.hadd)
        if node is not None and node.state not in LATE:
            self.ageing.heard(heard.hadd, now, node.state, node.heartbeat)

    def nodes_of(self, beat: Heartbeat) -> list[NodeEntry]:
        """The nodes on the map that a heartbeat is about."""
        if beat.node == ALL_NODES:
            return self.map.of_controller(beat.controller)
        node = self.map.get(beat.hadd)
        return [] if node is None else [node]

    def take_state(self, node: NodeEntry, state: str, now: float) -> Iterator[Event]:
        """Enter the state that a heartbeat says."""
        if state == NodeState.DEAD:
            yield from self.forget(node.hadd)
            return
        yield from self.map.set_state(node.hadd, state)
        if state in LATE:
            # The words of a primary, not its own.
            self.ageing.told(node.hadd, now, state, node.heartbeat)
        else:
            self.ageing.heard(node.hadd, now, state, node.heartbeat)

    def grow_old(self, now: float) -> Iterator[tuple[Hadd, NodeState, list[Event]]]:
        """The nodes that come to another state because they are silent."""
        for hadd, state in self.ageing.due(now):
            changed = self.forget(hadd) if state is NodeState.DEAD else self.map.set_state(hadd, state)
            yield hadd, state, list(changed)

    def forget(self, hadd: Hadd) -> Iterator[Event]:
        """Take a node off the map."""
        self.ageing.forget(hadd)
        yield from self.map.remove(hadd)

    def ages(self, nodes: Iterable[NodeEntry], now: float) -> dict[Hadd, float]:
        """How long ago nodes were heard of, in seconds."""
        lasts = ((node.hadd, self.ageing.last_heard(node.hadd)) for node in nodes)
        return {hadd: max(0.0, now - last) for hadd, last in lasts if last is not None}
