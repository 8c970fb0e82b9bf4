"""The messages between the actors of a bus.

Nobody changes one that has been told. Those of each poll are not frozen all the same: that would take as long again to
make them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pykka import ActorRef

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState, ValueRequest

# -- to the link -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Publish:
    """Put a payload on the air, now or not at all: what is missed is told again on the next connection."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """The state of a node has changed, or how often it beats. The link puts the state on the board.

    Attributes:
        reason: why it is not online; empty where it is.
    """

    hadd: Hadd
    state: NodeState
    reason: str


@dataclass(frozen=True, slots=True)
class BeatAnew:
    """A node is to beat with another period, which the board has."""

    hadd: Hadd


@dataclass(frozen=True, slots=True)
class BusStarted:
    """The bus is open; the link watches it from now on."""

    ref: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class BusFailed:
    """The bus could not be opened; its supervisor tries again."""

    reason: str


# -- to a node -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskedHere(ValueRequest):
    """A request of somebody at this machine: served as one over the air, and told besides how it went.

    Attributes:
        answered: called with the answer, on the node's thread; must not block.
    """

    answered: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Requested:
    """Somebody on the network asks to read or write a value of the node."""

    request: ValueRequest


@dataclass(frozen=True, slots=True)
class ValueHealth:
    """From a poller: how the last read went; None where the value is not polled now."""

    uuid: str
    error: str | None
    polled: bool = True


# -- to the bus ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Read:
    """Read all instances of a value, and tell `reply_to` the `Reading`."""

    hadd: Hadd
    uuid: str
    instances: int
    token: int
    reply_to: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class Write:
    """Write one instance of a driver's value, and tell `reply_to` the `Written`."""

    hadd: Hadd
    uuid: str
    index: int
    data: Any
    token: int
    reply_to: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class Configure:
    """Change a config or system value: of the device, then in the file; and tell `reply_to` the `Written`."""

    hadd: Hadd
    uuid: str
    index: int
    data: Any
    token: int
    reply_to: ActorRef[Any]


@dataclass(frozen=True, slots=True)
class Retune:
    """Have a device take over the options that its node has on the board now."""

    hadd: Hadd


# -- from the bus ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reading:
    """What a read gave: one item for each instance, None for those that failed.

    Attributes:
        error: what went wrong, for people; None where nothing did.
        hopeless: whether trying again soon is of no use.
        traceback: where it went wrong, where that is a bug of the driver; empty otherwise.
    """

    uuid: str
    token: int
    data: tuple[Any, ...]
    error: str | None
    hopeless: bool = False
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """How a write went: the data as they are now, or what went wrong.

    Attributes:
        instances: the configurations of all instances of the node's values, where they have changed.
    """

    token: int
    data: Any
    error: str | None
    instances: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


# -- to a poller -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PollEvery:
    """Poll with another delay from now on, in seconds; 0 stops it."""

    delay: float


@dataclass(frozen=True, slots=True)
class DelayChanged:
    """Its driver wants it polled with another delay, which the board has, or as configured again."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Its driver says that the value has changed: poll it, and again where a read is under way."""


@dataclass(frozen=True, slots=True)
class PollNow:
    """Poll once, now: something that the reading depends on has changed."""
