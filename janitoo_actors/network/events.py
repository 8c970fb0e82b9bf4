"""What happens on the network, for whoever subscribes. All are told on the network actor's turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd


@dataclass(frozen=True, slots=True)
class NodeAdded:
    """A node has come on the map."""

    hadd: Hadd


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """What a node says of itself has changed: its name, its classes, …; its state has an event of its own."""

    hadd: Hadd


@dataclass(frozen=True, slots=True)
class NodeStateChanged:
    """A node is in another state."""

    hadd: Hadd
    before: str
    state: str


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """A node is not on the map any more."""

    hadd: Hadd


@dataclass(frozen=True, slots=True)
class ValueChanged:
    """An instance of a value has changed, in its data or in what it is.

    Attributes:
        is_new: whether it was not on the map before.
    """

    hadd: Hadd
    genre: Genre
    uuid: str
    index: int
    data: Any
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """The network itself is in another state, role or mode."""

    state: NetworkState
    is_primary: bool
    is_secondary: bool
    is_failed: bool


@dataclass(frozen=True, slots=True)
class PrimariesMet:
    """There are two primaries.

    Attributes:
        other: its address; where it is the own one, neither can step down, and a person must change one of them.
        steps_down: whether this one steps down; otherwise the other should.
    """

    own: Hadd
    other: Hadd
    steps_down: bool


Event = NodeAdded | NodeChanged | NodeStateChanged | NodeRemoved | ValueChanged | NetworkChanged | PrimariesMet
