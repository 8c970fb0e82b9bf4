"""One bus that has its addresses from a primary: what it asks, when, and what it makes of the answers.

A state machine without clock, network or disk: it is told what happens and when, and says what is to be done.

```
        no address                 an address in the file
            │                               │
            ▼          another has it       ▼     unknown, or told otherwise
         ASKING ◀──────────────────────  LOCKING ─────────────────────────▶ REPAIRING
            │                               │                                   │
            ▼                               ▼                                   │
         NAMING (addresses of nodes that have none) ◀───────────────────────────┘
            │
            ▼            the primary is back, or another one
          HELD ───────────────────────────────────────▶ LOCKING
```
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import ANY, LeaseAction, LeaseAnswer, LeaseRequest, Options
from janitoo_actors.protocol.messages import NodeState

FIRST_RETRY: Final = 3.0
LAST_RETRY: Final = 60.0
"""Seconds until a request that is not answered is sent again: each time twice as long, between these."""
SILENCE: Final = 15.0
"""Seconds without a word of the primary after which its next one is that of a new one."""
_AT_ONCE: Final = 20
"""How many requests may be unanswered: a bus with a thousand nodes does not flood the primary."""


class Phase(Enum):
    """What a client is at."""

    ASKING = "asking"
    LOCKING = "locking"
    REPAIRING = "repairing"
    NAMING = "naming"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Part:
    """One node of the bus; the bus itself is the one without a key.

    Attributes:
        hadd: its address; None where it has none yet.
        options: what the primary is told of it.
    """

    key: str
    hadd: Hadd | None
    options: Options


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request; its answer is told, or the time when none has come."""

    request: LeaseRequest


@dataclass(frozen=True, slots=True)
class Addressed:
    """All nodes have an address, some of them a new one: keep these, and run the bus with them."""

    hadds: Mapping[str, Hadd]


@dataclass(frozen=True, slots=True)
class Lost:
    """An address is somebody else's; another is being asked for."""

    hadd: Hadd
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """It does not go on for now, and is tried again: why."""

    reason: str


Effect = Send | Addressed | Lost | Waiting


@dataclass(slots=True)
class _Sent:
    request: LeaseRequest
    key: str
    again: float
    delay: float = FIRST_RETRY


class LeaseClient:
    """The state machine. One thread.

    Attributes:
        phase: what it is at.
        parts: the nodes by key, the bus first, with the addresses that they have.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        new_uuid: Callable[[], str],
        spread: Callable[[], float],
        foreign: Collection[int] = (),
    ) -> None:
        """Get ready.

        Args:
            parts: the bus, which is the one without a key, then its nodes.
            new_uuid: makes the `rep_uuid` of a request.
            spread: seconds to wait before locking again, so that not all buses do so at one moment.
            foreign: the numbers of controllers that it must not get: other buses beside it have them.
        """
        self.parts = {part.key: part for part in parts}
        self.phase = Phase.ASKING
        self._new_uuid = new_uuid
        self._spread = spread
        self._foreign = foreign
        self._sent: dict[str, _Sent] = {}
        self._todo: list[tuple[LeaseAction, str]] = []
        self._anew: float | None = None
        self._delay = FIRST_RETRY
        self._primary: Hadd | None = None
        self._heard = 0.0
        # Whether another primary has come since the last lock was asked for, and which have answered since.
        self._unsure = False
        self._answered_by: set[Hadd] = set()
        # What whoever runs the bus has been told, or has told.
        self._given = self._hadds()

    @property
    def controller(self) -> Hadd | None:
        """The address of the bus."""
        return self.parts[""].hadd

    @property
    def due(self) -> float | None:
        """When `tick` has something to do, in the time of the caller; None where there is nothing to wait for."""
        times = [each.again for each in self._sent.values()]
        if self._anew is not None:
            times.append(self._anew)
        return min(times, default=None)

    def waits_for(self, rep_uuid: str) -> bool:
        """Whether an answer with this `rep_uuid` is for it."""
        return rep_uuid in self._sent

    # -- what happens --------------------------------------------------------------------------------------------

    def start(self, now: float) -> list[Effect]:
        """Begin, or begin anew."""
        self._sent.clear()
        self._anew = None
        if self.controller is None:
            self.phase = Phase.ASKING
            self._todo = [(LeaseAction.NEW, "")]
        else:
            self._lock()
        return list(self._go_on(now))

    def answered(self, answer: LeaseAnswer, now: float) -> list[Effect]:
        """An answer has come; one that nobody waits for is passed over."""
        sent = self._sent.pop(answer.rep_uuid, None)
        if sent is None:
            return []
        if answer.primary is not None:
            self._answered_by.add(answer.primary)
        match sent.request.action:
            case LeaseAction.NEW:
                effects = self._new_answered(sent, answer, now)
            case LeaseAction.LOCK:
                effects = self._lock_answered(answer)
            case _:
                effects = self._repair_answered(sent, answer, now)
        return [*effects, *self._go_on(now)]

    def tick(self, now: float) -> list[Effect]:
        """It is `due`."""
        if self._anew is not None and self._anew <= now:
            return self.start(now)
        effects: list[Effect] = []
        for sent in self._sent.values():
            if sent.again <= now:
                # The same request, so that it is one for the primary, however often it comes.
                sent.delay = min(sent.delay * 2, LAST_RETRY)
                sent.again = now + sent.delay
                effects.append(Send(sent.request))
        if effects:
            effects.append(Waiting("no primary answers; it is asked again and again"))
        return effects

    def primary(self, who: Hadd, state: str, now: float) -> list[Effect]:
        """A primary has beaten on `/dhcp/resolv/heartbeat`. Of two at a time the one with the lower address counts."""
        silent = now - self._heard > SILENCE
        if self._primary is not None and who > self._primary and not silent:
            return []
        if state == NodeState.OFFLINE:
            self._primary = None
            return []
        # One that was not heard of may have answered in its place, while the network had fallen apart.
        came = who != self._primary or silent or bool(self._answered_by - {who})
        self._primary, self._heard = who, now
        if not came:
            return []
        self._delay = FIRST_RETRY
        if self._sent:
            # It may not have heard them. And what another one answers to them, or has answered, it may not know.
            self._unsure = True
            for sent in self._sent.values():
                sent.delay, sent.again = FIRST_RETRY, now + FIRST_RETRY
            return [Send(sent.request) for sent in self._sent.values()]
        # It may know nothing of this bus, or something else.
        self._anew = now + self._spread()
        return []

    def assume(self, hadds: Mapping[str, Hadd], now: float) -> list[Effect]:
        """The bus runs with these addresses, as no primary has answered; they are to be made leases when one does."""
        for key, hadd in hadds.items():
            self.parts[key] = replace(self.parts[key], hadd=hadd)
        return self.start(now)

    def release(self) -> list[Effect]:
        """The bus ends. Nobody waits for the answer."""
        self._sent.clear()
        self._anew = None
        if self.controller is None:
            return []
        return [Send(self._request(LeaseAction.RELEASE, self.parts[""], node=ANY))]

    # -- answers -------------------------------------------------------------------------------------------------

    def _new_answered(self, sent: _Sent, answer: LeaseAnswer, now: float) -> list[Effect]:
        part = self.parts[sent.key]
        if not answer.is_ok:
            return self._later(f"the primary gives no address: {answer.msg_error}", now)
        hadd = answer.hadd
        bus = self.controller
        right = hadd is not None and (
            (hadd.is_controller and hadd.controller not in self._foreign)
            if bus is None
            else hadd.controller == bus.controller and not hadd.is_controller and hadd not in self._hadds().values()
        )
        if hadd is None or not right:
            return self._later(
                f"the primary gives {answer.data.get('add_ctrl')}/{answer.data.get('add_node')}: "
                "expected an address that is free",
                now,
            )
        self.parts[sent.key] = replace(part, hadd=hadd)
        return []

    def _lock_answered(self, answer: LeaseAnswer) -> list[Effect]:
        if answer.hadd == self.controller and not answer.is_ok:
            return self._lose(self.parts[""], answer)
        # Refused otherwise: it is unknown.
        leases = answer.leases() if answer.is_ok else {}
        self.phase = Phase.REPAIRING
        self._todo = [
            (LeaseAction.REPAIR, part.key)
            for part in self.parts.values()
            if part.hadd is not None
            and (part.hadd not in leases or not _says(leases[part.hadd].wire(), part.options.wire()))
        ]
        return []

    def _repair_answered(self, sent: _Sent, answer: LeaseAnswer, now: float) -> list[Effect]:
        part = self.parts[sent.key]
        if answer.is_ok:
            return []
        if answer.hadd is not None and answer.hadd == part.hadd:
            return self._lose(part, answer)
        return self._later(f"the primary does not repair the lease of {part.hadd}: {answer.msg_error}", now)

    def _lose(self, part: Part, answer: LeaseAnswer) -> list[Effect]:
        """An address is somebody else's: with that of the bus those of its nodes are gone too."""
        hadd = part.hadd
        assert hadd is not None, "only an address can be another's"
        if part.key == "":
            self.parts = {key: replace(each, hadd=None) for key, each in self.parts.items()}
            self._sent.clear()
            self.phase = Phase.ASKING
            self._todo = [(LeaseAction.NEW, "")]
        else:
            self.parts[part.key] = replace(part, hadd=None)
        return [Lost(hadd, answer.msg_error or "it is another's")]

    def _later(self, reason: str, now: float) -> list[Effect]:
        """Begin anew after a while."""
        self._sent.clear()
        self._todo.clear()
        self._anew = now + self._delay
        self._delay = min(self._delay * 2, LAST_RETRY)
        return [Waiting(reason)]

    # -- going on ------------------------------------------------------------------------------------------------

    def _go_on(self, now: float) -> Iterator[Effect]:
        """Send what is to be sent next; enter the next phase where all is answered."""
        if self._anew is not None:
            return
        if not self._sent and not self._todo:
            yield from self._next_phase()
        while self._todo and len(self._sent) < _AT_ONCE:
            action, key = self._todo.pop(0)
            node = ANY if action is LeaseAction.LOCK else None
            request = self._request(action, self.parts[key], node=node)
            self._sent[request.rep_uuid] = _Sent(request, key, now + FIRST_RETRY)
            yield Send(request)

    def _lock(self) -> None:
        self.phase = Phase.LOCKING
        self._unsure = False
        self._answered_by.clear()
        self._todo = [(LeaseAction.LOCK, "")]

    def _next_phase(self) -> Iterator[Effect]:
        if self._unsure and self.controller is not None:
            self._lock()
            return
        nameless = [part.key for part in self.parts.values() if part.hadd is None]
        if nameless:
            # That of the bus comes first: the others begin with its number.
            self.phase = Phase.NAMING
            self._todo = [(LeaseAction.NEW, key) for key in nameless]
            return
        self.phase = Phase.HELD
        self._delay = FIRST_RETRY
        if self._given != self._hadds():
            self._given = self._hadds()
            yield Addressed(self._given)

    def _hadds(self) -> dict[str, Hadd]:
        return {key: part.hadd for key, part in self.parts.items() if part.hadd is not None}

    def _request(self, action: LeaseAction, part: Part, *, node: int | None = None) -> LeaseRequest:
        bus = self.controller
        number = ANY if bus is None else bus.controller
        if node is None:
            node = ANY if part.hadd is None else part.hadd.node
        return LeaseRequest(action, self._new_uuid(), number, node, part.options)


def _says(lease: Mapping[str, object], options: Mapping[str, object]) -> bool:
    """Whether a lease has all that a node tells of itself."""
    return all(key in lease and lease[key] == each for key, each in options.items())
