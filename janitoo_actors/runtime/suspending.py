"""Holding the polls of a bus back, and letting them go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from janitoo_actors.runtime.board import Board, Node
from janitoo_actors.runtime.messages import PollNow
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.wishes import Wishes


def pollers_of(board: Board) -> frozenset[str]:
    """The paths of all pollers of a bus."""
    places = Places.of(f"/buses/{board.section}")
    return frozenset(each for node in board.nodes.values() for each in node_pollers(places, node))


def node_pollers(places: Places, node: Node) -> list[str]:
    """The paths of the pollers of one node."""
    return [
        places.poller(node, value.uuid)
        for value in node.values.values()
        if value.is_driver and value.declared is not None and value.declared.is_polled
    ]


def hold_back(board: Board, wishes: Wishes, tell: Callable[[str, Any], bool] | None) -> None:
    """Have the pollers of a bus do as is wished; those that may go on poll at once. Any thread; never blocks.

    Args:
        tell: tells whoever lives at a path; None where the pollers are not there yet, or in another process.
    """
    places = Places.of(f"/buses/{board.section}")
    for node in board.nodes.values():
        for value in node.values.values():
            if not value.is_driver:
                continue
            path = places.poller(node, value.uuid)
            before, value.suspended = value.suspended, wishes.holds_back(path)
            if before and not value.suspended and tell is not None:
                tell(path, PollNow())
