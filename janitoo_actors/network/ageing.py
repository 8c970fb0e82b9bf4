"""Nodes that are not heard of: late, PENDING, FAILED, DEAD.

Source: `protocol.md`, "Heartbeats and the state of a node".
Nobody is looked at before something of it is due: a heap holds an entry for each node, and a few old ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState

PATIENCE: Final = 1.1
"""Of a heartbeat's period: so much later than expected, a node is late."""
EVERY: Final = 1.0
"""Seconds between two counts of a late node."""
FORGET_AFTER: Final = 604_800.0
"""Seconds that a node is FAILED before it is DEAD, and forgotten."""
_SPARE: Final = 64
"""Old entries that are not worth being removed."""

_AGES: Final = frozenset(
    {
        NodeState.ONLINE,
        NodeState.BOOT,
        NodeState.SYSTEM,
        NodeState.CONFIG,
        NodeState.INIT,
        NodeState.PENDING,
        NodeState.FAILED,
    }
)


@dataclass(slots=True)
class _Watched:
    state: str
    period: float
    last: float
    since: float
    """From when its silence counts."""
    counts: int = 0
    failed_at: float = 0.0
    token: int = 0


class Ageing:
    """Times are those of its caller, who calls `due` when `next_due` has come.

    Args:
        least: seconds of silence that are never late, `heartbeat_timeout`.
        limit: how many counts turn a late node PENDING, and as many more FAILED: `heartbeat_count`.
    """

    def __init__(self, *, least: float = 0.0, limit: int = 3) -> None:
        self._least = least
        self._limit = limit
        self._nodes: dict[Hadd, _Watched] = {}
        self._heap: list[tuple[float, int, Hadd]] = []
        self._tokens = count(1)

    def heard(self, hadd: Hadd, now: float, state: str, period: float) -> None:
        """A node was heard of, is in this state, and beats with this period; 0 for not at all."""
        node = self._nodes.get(hadd)
        if node is None:
            node = self._nodes[hadd] = _Watched(state, period, now, now)
            self._arm(hadd, node)
            return
        # Where it was due later, it is set again when that comes.
        again = node.state != state or period < node.period or node.counts > 0 or node.token == 0
        node.state, node.period, node.last, node.since, node.counts = state, period, now, now, 0
        if again:
            self._arm(hadd, node)

    def told(self, hadd: Hadd, now: float, state: str, period: float, *, age: float = 0.0) -> None:
        """Somebody else says the state of a node, and of how long ago: that is no sign of its life now."""
        node = self._nodes.get(hadd)
        if node is None:
            node = self._nodes[hadd] = _Watched(state, period, now - age, now)
        elif (node.state, node.period) == (state, period):
            return
        node.state, node.period, node.failed_at = state, period, now
        node.counts = self._limit if state == NodeState.PENDING else 0
        # PENDING, it is late already.
        node.since = now - self._allowed(node) if node.counts else now
        self._arm(hadd, node)

    def forget(self, hadd: Hadd) -> None:
        """A node is not watched any more."""
        self._nodes.pop(hadd, None)

    def excuse(self, now: float) -> None:
        """Nobody could be heard until now."""
        for hadd, node in self._nodes.items():
            node.since = now
            if node.state != NodeState.FAILED:
                node.counts = self._limit if node.state == NodeState.PENDING else 0
            node.token = 0
            self._arm(hadd, node)

    def last_heard(self, hadd: Hadd) -> float | None:
        """When a node was last heard of; None for one that is not watched. Any thread."""
        node = self._nodes.get(hadd)
        return node.last if node is not None else None

    def is_alive(self, hadd: Hadd, now: float) -> bool:
        """Whether a node has been heard of lately."""
        node = self._nodes.get(hadd)
        return node is not None and now - node.last <= self._allowed(node) and node.counts == 0

    def next_due(self) -> float | None:
        """When there is something to do next; None where there is nothing."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[tuple[Hadd, NodeState]]:
        """The nodes that come to another state by now; the caller says `told` or `forget`, or does nothing."""
        while self._heap and self._heap[0][0] <= now:
            _, token, hadd = heapq.heappop(self._heap)
            node = self._nodes.get(hadd)
            if node is None or node.token != token:
                continue
            node.token = 0
            state = self._count(node, now)
            if state is not None:
                node.state = state
                yield hadd, state
            if self._nodes.get(hadd) is node and node.token == 0:
                self._arm(hadd, node)

    def _count(self, node: _Watched, now: float) -> NodeState | None:
        if node.state == NodeState.FAILED:
            return NodeState.DEAD if now >= node.failed_at + FORGET_AFTER else None
        if now < node.since + self._allowed(node):
            return None
        node.counts += 1
        if node.counts == self._limit and node.state != NodeState.PENDING:
            return NodeState.PENDING
        if node.counts >= 2 * self._limit:
            node.failed_at = now
            return NodeState.FAILED
        return None

    def _allowed(self, node: _Watched) -> float:
        return max(node.period * PATIENCE, self._least)

    def _arm(self, hadd: Hadd, node: _Watched) -> None:
        node.token = 0
        if node.state not in _AGES or (node.period <= 0 and node.state != NodeState.FAILED):
            return
        if node.state == NodeState.FAILED:
            due = node.failed_at + FORGET_AFTER
        elif node.counts:
            due = node.since + self._allowed(node) + node.counts * EVERY
        else:
            due = node.since + self._allowed(node)
        node.token = next(self._tokens)
        heapq.heappush(self._heap, (due, node.token, hadd))
        if len(self._heap) > 2 * len(self._nodes) + _SPARE:
            # Of a node that is set anew the old entry stays until it is due: of one that is FAILED, for a week.
            tokens = {each.token for each in self._nodes.values()}
            self._heap = [entry for entry in self._heap if entry[1] in tokens]
            heapq.heapify(self._heap)
