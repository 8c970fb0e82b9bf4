"""Other settings for a bus that runs: names, heartbeats, poll delays, settings. Nothing is restarted for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from janitoo_actors.configuration.model import BusConfig
from janitoo_actors.protocol import topics
from janitoo_actors.runtime.board import Board, Node
from janitoo_actors.runtime.messages import BeatAnew, PollEvery, PollNow, Publish, Retune
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.values import NodeValue, Role, node_values

_OF_DEVICES: Final = frozenset({Role.SETTING, Role.INSTANCE})


def tune(board: Board, config: BusConfig, tell: Callable[[str, Any], bool] | None) -> None:
    """Have a bus go on with these settings. It has the same nodes; what needs a restart is the same too.

    Any thread; never blocks. The board is changed whether the bus's actors live or not: those that start later are made
    of it. Those that live are told.

    Args:
        tell: tells whoever lives at a path; None where the actors are in another process, which is told apart.
    """
    places = Places.of(f"/buses/{config.section}")
    sections = [(config.node, config.bus_class), *((each.node, each.component_class) for each in config.components)]
    for node_config, device_class in sections:
        node = board.nodes[node_config.hadd]
        node.retuned(node_config)
        taken = (_take(node, fresh) for fresh in node_values(node_config, device_class))
        changed = [value for value in taken if value is not None]
        if tell is None:
            continue
        if any(value.role in _OF_DEVICES for value in changed):
            # First of all: whoever polls next reads what is configured now.
            tell(places.bus, Retune(node.hadd))
        for value in changed:
            _tell(node, value, places, tell)


def _take(node: Node, fresh: NodeValue) -> NodeValue | None:
    """Put a configuration value on the board; it, where it has changed."""
    value = node.values[fresh.uuid]
    if value.role is Role.DRIVER or value.data == fresh.data:
        return None
    value.data = list(fresh.data)
    if value.role is Role.POLL:
        node.values[value.source].poll_delay = value.data[0]
    elif value.role is Role.INSTANCE:
        node.values[value.source].configs = tuple(value.data)
    return value


def _tell(node: Node, value: NodeValue, places: Places, tell: Callable[[str, Any], bool]) -> None:
    match value.role:
        case Role.POLL:
            tell(places.poller(node, value.source), PollEvery(float(value.data[0])))
        case Role.INSTANCE:
            tell(places.poller(node, value.source), PollNow())
        case Role.HEARTBEAT:
            tell(places.link, BeatAnew(node.hadd))
        case _:
            pass
    # Others keep a map of the network: they hear of it as they do of a write over the air.
    tell(places.link, Publish(topics.value(value.genre, node.hadd, value.uuid), value.payload()))
