"""What comes to the network's engine, and what comes out of it. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from janitoo_actors.network.events import Event
from janitoo_actors.network.nodemap import NodeEntry
from janitoo_actors.network.reading import NodeRead, ValueRead
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, DiscoveryRequest
from janitoo_actors.protocol.resolv import Heartbeat, LookUp

# -- in --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnAir:
    """There is a connection, with all subscriptions."""


@dataclass(frozen=True, slots=True)
class OffAir:
    """There is none."""


@dataclass(frozen=True, slots=True)
class BeatHeard:
    """A node beats, or (in JSON) somebody says the state of nodes."""

    beat: Heartbeat


@dataclass(frozen=True, slots=True)
class PrimaryHeard:
    """A primary beats."""

    hadd: Hadd
    state: str


class Via(Enum):
    """How a list came."""

    BROADCAST = "broadcast"
    NODE = "node"
    RESOLV = "resolv"
    NEWS = "news"
    """A primary tells all what it has learnt."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Which part of a list of ours this is.

    Attributes:
        total: how many there are; 0 where the list is the one that was asked with.
        digest: of the whole list.
    """

    number: int
    total: int
    digest: str


@dataclass(frozen=True, slots=True)
class ListHeard:
    """A reply to a discovery request, or a piece of a long one.

    Attributes:
        last: whether it is the last piece.
        complete: on the last piece, all addresses that the reply speaks of, with the values of each; None where the
            sender may have more. For what is missing there does not exist.
        ages: how long ago a primary of ours has heard of the nodes, in seconds.
    """

    via: Via
    what: Discovery
    nodes: tuple[NodeRead, ...] = ()
    values: tuple[ValueRead, ...] = ()
    last: bool = True
    complete: Mapping[Hadd, frozenset[tuple[str, int]]] | None = None
    chunk: Chunk | None = None
    ages: Mapping[Hadd, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ValueHeard:
    """A value on the air."""

    hadd: Hadd
    genre: Genre
    values: tuple[ValueRead, ...]


@dataclass(frozen=True, slots=True)
class ListAsked:
    """Somebody asks the primary for a list of the whole network."""

    request: DiscoveryRequest


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Somebody asks the primary for some nodes."""

    lookup: LookUp


Input = OnAir | OffAir | BeatHeard | PrimaryHeard | ListHeard | ValueHeard | ListAsked | LookedUp

# -- out -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Publish a small payload."""

    topic: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SendList:
    """Publish a list, in chunks.

    Attributes:
        head: what each chunk has besides its data.
        digest: of the list, for who knows chunks; None for others, who are told nothing of them.
        unchanged: whether who asks has this list already.
        ages: how long ago the nodes were heard of, for who knows chunks.
    """

    topic: str
    head: Mapping[str, Any]
    what: Discovery
    nodes: tuple[NodeEntry, ...]
    digest: str | None = None
    unchanged: bool = False
    ages: Mapping[Hadd, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Happened:
    """Something to tell to subscribers."""

    event: Event


Effect = Send | SendList | Happened
