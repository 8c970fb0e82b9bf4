"""The rules of leases: what a request changes, and how it is answered. No disk, no clock, no network.

A request is decided first, and changes nothing. What it decides is put on the disk, then applied, then answered; so a
primary that dies between any two of these steps has promised nothing that its successor does not know.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import (
    ANY,
    Lease,
    LeaseAction,
    LeaseAnswer,
    LeaseRequest,
    Options,
    granted,
    granted_all,
    refused,
)
from janitoo_actors.protocol.messages import NodeState

FIRST_CONTROLLER: Final = 10
LAST: Final = 9999
CONTROLLERS: Final = range(FIRST_CONTROLLER, LAST + 1)
"""The numbers that are handed out to controllers. Lower ones are for those who write them into their files."""
MOST_ANSWERS: Final = 4096
"""How many answers are remembered, for requests that come twice."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The answer to a request, for the case that it comes again.

    Attributes:
        request: what was asked, as `fingerprint` has it.
    """

    request: str
    answer: LeaseAnswer

    def promises(self, gone: Collection[Hadd]) -> bool:
        """Whether it promises one of these addresses, which may be another's soon.

        The answer to a removal promises nothing, and is needed: a late copy of the request must remove nothing more.
        """
        return self.answer.hadd in gone and not self.request.startswith(LeaseAction.REMOVE)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request.

    Attributes:
        keep: leases to write.
        remove: addresses that are nobody's any more.
        remember: whether the answer is to be remembered.
        durable: whether this must be on the disk before it is answered; otherwise it is a state or a time, which may
            wait.
    """

    answer: LeaseAnswer
    request: str = ""
    keep: tuple[Lease, ...] = ()
    remove: tuple[Hadd, ...] = ()
    remember: bool = False
    durable: bool = False


def fingerprint(request: LeaseRequest) -> str:
    """What a request asks for, shortened: copies of it have the same."""
    asked = [request.action.value, request.add_ctrl, request.add_node, request.options.wire()]
    return f"{request.action.value} {hashlib.sha256(json.dumps(asked, sort_keys=True).encode('ascii')).hexdigest()}"


class LeaseBook:
    """All leases of a primary, in memory. One thread changes it; others may take a `snapshot`.

    Attributes:
        seen: addresses that were on the network without a lease, ever: whoever has one may only be switched off.
    """

    def __init__(
        self,
        leases: Iterable[Lease] = (),
        seen: Iterable[Hadd] = (),
        answers: Iterable[Remembered] = (),
    ) -> None:
        self._leases = {lease.hadd: lease for lease in leases}
        self.seen = set(seen)
        self._answers: OrderedDict[str, Remembered] = OrderedDict((each.answer.rep_uuid, each) for each in answers)

    def __len__(self) -> int:
        return len(self._leases)

    def get(self, hadd: Hadd) -> Lease | None:
        """The lease of an address. Any thread."""
        return self._leases.get(hadd)

    def snapshot(self) -> dict[Hadd, Lease]:
        """All leases, in the order of their addresses. Any thread: leases are replaced, never changed."""
        # A copy of a dictionary is made in one step.
        return dict(sorted(self._leases.copy().items()))

    def decide(
        self,
        request: LeaseRequest,
        on_network: Collection[Hadd],
        now: float,
        controllers: range = CONTROLLERS,
    ) -> Decision:
        """Decide a request; changes nothing.

        Args:
            on_network: the addresses that are on the network now, with a lease or without.
            now: seconds since 1970.
            controllers: the numbers that this primary may hand out to controllers.
        """
        asked = fingerprint(request)
        known = self._answers.get(request.rep_uuid)
        if known is not None and known.request == asked:
            return Decision(known.answer)
        match request.action:
            case LeaseAction.NEW:
                decision = self._new(request, on_network, now, controllers)
            case LeaseAction.LOCK:
                decision = self._lock(request, now)
            case LeaseAction.REPAIR:
                decision = self._repair(request, now)
            case LeaseAction.RELEASE:
                decision = self._release(request, now)
            case LeaseAction.REMOVE:
                decision = self._remove(request, on_network)
            case _:
                assert_never(request.action)
        return replace(decision, request=asked)

    def apply(self, decision: Decision) -> None:
        """Have a decision count; one that is durable is on the disk by now."""
        for lease in decision.keep:
            self._leases[lease.hadd] = lease
        for hadd in decision.remove:
            self._leases.pop(hadd, None)
            self.seen.discard(hadd)
        if decision.remove:
            gone = set(decision.remove)
            for rep_uuid in [uuid for uuid, each in self._answers.items() if each.promises(gone)]:
                del self._answers[rep_uuid]
        if decision.remember:
            self._answers[decision.answer.rep_uuid] = Remembered(decision.request, decision.answer)
            while len(self._answers) > MOST_ANSWERS:
                self._answers.popitem(last=False)

    def saw(self, hadd: Hadd, state: NodeState, now: float) -> bool:
        """Note that a node has been heard of; whether it is one without a lease that is new."""
        lease = self._leases.get(hadd)
        if lease is not None:
            self._leases[hadd] = replace(lease, state=state, last_seen=now)
            return False
        if hadd in self.seen:
            return False
        self.seen.add(hadd)
        return True

    # -- the actions ---------------------------------------------------------------------------------------------

    def _new(self, request: LeaseRequest, on_network: Collection[Hadd], now: float, controllers: range) -> Decision:
        given = self._given_before(request, on_network)
        if given is not None:
            return self._granted(request, _told(given, request.options, now))
        if request.add_ctrl == ANY:
            taken = {hadd.controller for hadd in self._taken(on_network)}
            number = next((each for each in controllers if each not in taken), None)
            if number is None:
                # Which numbers exactly depends on how many primaries share them; who asks can change nothing there.
                error = "no controller address is left: remove leases that nobody uses any more"
                return Decision(refused(request.rep_uuid, error))
            hadd = Hadd(number, 0)
        else:
            controller = Hadd(request.add_ctrl, 0)
            if controller.controller == 0 or (controller not in self._leases and controller not in on_network):
                error = f"{controller} is not known here: repair its lease before you ask for addresses of its nodes"
                return Decision(refused(request.rep_uuid, error))
            nodes = {each.node for each in self._taken(on_network) if each.controller == request.add_ctrl}
            number = next((each for each in range(1, LAST + 1) if each not in nodes), None)
            if number is None:
                error = f"{controller} has no address left for a node: remove leases that nobody uses any more"
                return Decision(refused(request.rep_uuid, error))
            hadd = Hadd(request.add_ctrl, number)
        return self._granted(request, _told(_blank(hadd), request.options, now))

    def _given_before(self, request: LeaseRequest, on_network: Collection[Hadd]) -> Lease | None:
        """What the asker got already, and has lost before it could keep it.

        Not one that is in use: then the asker is a copy of its owner, and of its file.
        """
        owner, host = request.options.owner, request.options.params.get("host")
        if owner is None:
            return None
        for lease in self._leases.values():
            asked = (
                lease.hadd.is_controller
                if request.add_ctrl == ANY
                else (lease.hadd.controller == request.add_ctrl and not lease.hadd.is_controller)
            )
            if asked and lease.owner == owner and lease.params.get("host") == host and lease.hadd not in on_network:
                return lease
        return None

    def _lock(self, request: LeaseRequest, now: float) -> Decision:
        leases = self._meant(request)
        if not leases:
            return self._unknown(request, "repair it")
        if _is_stranger(request.options, leases[0]):
            return _held(request, leases[0])
        if request.add_node == ANY:
            return self._granted_many(request, [replace(each, state=NodeState.BOOT, last_seen=now) for each in leases])
        return self._granted(request, _told(leases[0], request.options, now))

    def _repair(self, request: LeaseRequest, now: float) -> Decision:
        if request.add_node == ANY:
            # There is no telling what is unknown, and what is known needs no more than this.
            return self._lock(request, now)
        hadd = Hadd(request.add_ctrl, request.add_node)
        if hadd.controller == 0:
            return Decision(refused(request.rep_uuid, f"{hadd} is no address for a node: expected 0001 or above"))
        lease = self._leases.get(hadd)
        if lease is None:
            return self._granted(request, _told(_blank(hadd), request.options, now))
        if _is_stranger(request.options, lease, by_name=True):
            return _held(request, lease)
        return self._granted(request, _told(lease, request.options, now))

    def _release(self, request: LeaseRequest, now: float) -> Decision:
        leases = self._meant(request)
        if not leases:
            return self._unknown(request, "there is nothing to release")
        if _is_stranger(request.options, leases[0]):
            return _held(request, leases[0])
        ended = [replace(each, state=NodeState.OFFLINE, last_seen=now) for each in leases]
        return self._granted_many(request, ended) if request.add_node == ANY else self._granted(request, ended[0])

    def _remove(self, request: LeaseRequest, on_network: Collection[Hadd]) -> Decision:
        leases = self._meant(request)
        hadd = None if request.add_node == ANY else Hadd(request.add_ctrl, request.add_node)
        seen = [
            each
            for each in self.seen
            if each == hadd or (hadd is None and each.controller == request.add_ctrl)
            if each not in on_network
        ]
        if not leases and not seen:
            return self._unknown(request, "there is nothing to remove")
        if leases and _is_stranger(request.options, leases[0]):
            return _held(request, leases[0])
        gone = tuple(sorted({*(each.hadd for each in leases), *seen}))
        if hadd is not None:
            data: Mapping[str, Any] = (
                leases[0].wire() if leases else {"add_ctrl": hadd.controller, "add_node": hadd.node}
            )
            answer = LeaseAnswer(request.rep_uuid, 200, data=data)
        else:
            answer = self._many(request, leases)
        return Decision(answer, remove=gone, remember=True, durable=True)

    # -- what they have in common --------------------------------------------------------------------------------

    def _taken(self, on_network: Collection[Hadd]) -> Iterator[Hadd]:
        yield from self._leases
        yield from self.seen
        yield from on_network

    def _meant(self, request: LeaseRequest) -> list[Lease]:
        """The leases that a request is about, the controller's first."""
        if request.add_node != ANY:
            lease = self._leases.get(Hadd(request.add_ctrl, request.add_node))
            return [] if lease is None else [lease]
        return sorted(
            (each for each in self._leases.values() if each.hadd.controller == request.add_ctrl),
            key=lambda lease: lease.hadd,
        )

    def _unknown(self, request: LeaseRequest, what: str) -> Decision:
        if request.add_node == ANY:
            text = f"controller {request.add_ctrl:04d} has no lease: {what}"
        else:
            text = f"{Hadd(request.add_ctrl, request.add_node)} has no lease: {what}"
        return Decision(refused(request.rep_uuid, text))

    def _granted(self, request: LeaseRequest, lease: Lease) -> Decision:
        durable = _is_news(self._leases.get(lease.hadd), lease)
        return Decision(granted(request.rep_uuid, lease), keep=(lease,), remember=True, durable=durable)

    def _granted_many(self, request: LeaseRequest, leases: list[Lease]) -> Decision:
        return Decision(self._many(request, leases), keep=tuple(leases), remember=True)

    @staticmethod
    def _many(request: LeaseRequest, leases: list[Lease]) -> LeaseAnswer:
        wire = {each.hadd: each.wire() for each in leases}
        return granted_all(request.rep_uuid, wire, add_ctrl=request.add_ctrl, add_node=ANY)


def _blank(hadd: Hadd) -> Lease:
    return Lease(hadd, "", "", (), NodeState.BOOT, 0.0)


def _told(lease: Lease, options: Options, now: float) -> Lease:
    """The lease of a node that starts, with what it tells of itself; what it does not tell is kept."""
    return replace(
        lease,
        name=lease.name if options.name is None else options.name,
        location=lease.location if options.location is None else options.location,
        cmd_classes=lease.cmd_classes if options.cmd_classes is None else options.cmd_classes,
        params={**lease.params, **options.params},
        state=NodeState.BOOT,
        last_seen=now,
    )


def _is_news(before: Lease | None, lease: Lease) -> bool:
    """Whether more than state and time have changed."""
    return before is None or replace(before, state=lease.state, last_seen=lease.last_seen) != lease


def _is_stranger(options: Options, lease: Lease, *, by_name: bool = False) -> bool:
    """Whether the asker is not who has the lease.

    Args:
        by_name: whether name and place tell, where the asker does not say who it is.
    """
    if lease.owner is not None and options.owner is not None:
        return lease.owner != options.owner
    # Who says so makes a lease that is nobody's its own, and must not do so by mistake.
    by_name = by_name or options.owner is not None
    # Who is given a name later is the same; one that has another, or is at another place, is not.
    return by_name and not (_agrees(lease.name, options.name) and _agrees(lease.location, options.location))


def _held(request: LeaseRequest, lease: Lease) -> Decision:
    error = f"{lease.hadd} is leased to {holder(lease)}: take another address, or remove that lease"
    return Decision(refused(request.rep_uuid, error, lease))


def _agrees(known: str, told: str | None) -> bool:
    return told is None or known in {"", told}


def holder(lease: Lease) -> str:
    """Who has a lease, for people."""
    place = f" at {lease.location!r}" if lease.location else ""
    uuid = f", uuid {lease.owner}" if lease.owner else ""
    return f"{lease.name!r}{place}{uuid}"
