"""The states of the network, and what leads from one to the next: one table. Source: `protocol.md`, "The network"."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from itertools import pairwise
from typing import Final

from janitoo_actors.protocol.messages import Discovery


class NetworkState(StrEnum):
    """Where the network is, by the protocol's names."""

    STOPPED = "STOPPED"
    """Not on the air."""
    BROADCAST_NODES = "BROADCAST_NODES"
    BROADCAST_SYSTEMS = "BROADCAST_SYSTEMS"
    BROADCAST_COMMANDS = "BROADCAST_COMMANDS"
    BROADCAST_CONFIGS = "BROADCAST_CONFIGS"
    BROADCAST_BASICS = "BROADCAST_BASICS"
    BROADCAST_USERS = "BROADCAST_USERS"
    RESOLV = "RESOLV"
    """Asking the primary for its map."""
    HEARTBEAT_DISCOVER = "HEARTBEAT_DISCOVER"
    """Asking single controllers for what is missing; or, with nobody known, waiting for a heartbeat."""
    HEARTBEAT = "HEARTBEAT"
    """The watch for late nodes begins."""
    DISPATCH = "DISPATCH"
    """A primary begins to beat."""
    STARTED = "STARTED"
    """The map is complete, and kept up."""


class Signal(Enum):
    """What happens to it."""

    START_PRIMARY = "start, as primary"
    START_SECONDARY = "start, as secondary"
    ANSWERED = "answered"
    """The step is over: the answers have stopped coming, or none has come in time."""
    PRIMARY_LOST = "primary lost"
    """It says OFFLINE, is silent, or does not answer: fail mode begins."""
    PRIMARY_BACK = "primary back"
    """It answers again: fail mode is over."""
    STEP_DOWN = "step down"
    """There is another primary, with a lower address."""
    TAKE_OVER = "take over"
    """That one is gone."""
    STOP = "stop"
    """The connection is lost, or the server ends."""


class Action(Enum):
    """What is done on the way."""

    NOTHING = "nothing"
    ASK_ALL = "ask all"
    """Ask every controller for one list, by broadcast."""
    ASK_PRIMARY = "ask the primary"
    COMPLETE = "complete"
    """Ask single controllers for what is missing."""
    WATCH = "watch"
    BEAT = "beat"


_BUILDING: Final[Mapping[NetworkState, Discovery]] = {
    NetworkState.BROADCAST_NODES: Discovery.NODES,
    NetworkState.BROADCAST_SYSTEMS: Discovery.SYSTEMS,
    NetworkState.BROADCAST_COMMANDS: Discovery.COMMANDS,
    NetworkState.BROADCAST_CONFIGS: Discovery.CONFIGS,
    NetworkState.BROADCAST_BASICS: Discovery.BASICS,
    NetworkState.BROADCAST_USERS: Discovery.USERS,
}
LIST_OF: Final = _BUILDING
"""The list that each of the broadcast states asks for, in the order of the protocol."""

Table = Mapping[tuple[NetworkState, Signal], tuple[Action, NetworkState]]


def _table() -> Table:
    state, signal, action = NetworkState, Signal, Action
    build = (action.ASK_ALL, state.BROADCAST_NODES)
    resolve = (action.ASK_PRIMARY, state.RESOLV)
    table = {
        (state.STOPPED, signal.START_PRIMARY): build,
        (state.STOPPED, signal.START_SECONDARY): resolve,
        (state.BROADCAST_USERS, signal.ANSWERED): (action.COMPLETE, state.HEARTBEAT_DISCOVER),
        (state.RESOLV, signal.ANSWERED): (action.COMPLETE, state.HEARTBEAT_DISCOVER),
        (state.HEARTBEAT_DISCOVER, signal.ANSWERED): (action.WATCH, state.HEARTBEAT),
        (state.HEARTBEAT, signal.ANSWERED): (action.BEAT, state.DISPATCH),
        (state.DISPATCH, signal.ANSWERED): (action.NOTHING, state.STARTED),
    }
    for now, after in pairwise(_BUILDING):
        table[now, signal.ANSWERED] = (action.ASK_ALL, after)
    kept_up = (state.HEARTBEAT_DISCOVER, state.HEARTBEAT, state.DISPATCH, state.STARTED)
    for now in (state.RESOLV, *kept_up):
        table[now, signal.PRIMARY_LOST] = build
        table[now, signal.TAKE_OVER] = build
    for now in (*_BUILDING, *kept_up):
        table[now, signal.PRIMARY_BACK] = resolve
        table[now, signal.STEP_DOWN] = resolve
    for now in state:
        if now is not state.STOPPED:
            table[now, signal.STOP] = (action.NOTHING, state.STOPPED)
    return table


TABLE: Final[Table] = _table()
"""State and signal to action and next state. A signal that a state has no line for changes nothing."""
