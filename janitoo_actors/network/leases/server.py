"""The actor of a primary that serves leases."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog

from janitoo_actors.network.leases.rules import CONTROLLERS, Decision, LeaseBook
from janitoo_actors.network.leases.store import BrokenDatabaseError, LeaseStore, LeaseStoreError
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import (
    Lease,
    LeaseAction,
    LeaseAnswer,
    LeaseRequest,
    Options,
    RefusedRequestError,
    action_of,
    parse_answer,
    parse_lease_request,
    refused,
)
from janitoo_actors.protocol.messages import MalformedRequestError, NodeState
from janitoo_actors.runtime.messages import Publish
from janitoo_actors.runtime.mqtt import Arrived
from janitoo_actors.runtime.repeats import Repeats
from supervisors import PinnedActor

FLUSH_EVERY: Final = 900.0
"""Seconds between two writes of states and times: an SD card does not last with one at each heartbeat."""
_NOTE_AFTER: Final = 2.0
"""Seconds after which new addresses without a lease are written, all that have come meanwhile at once."""
_LOOK_EVERY: Final = 0.1
"""Seconds between two looks whether the network is known, while somebody waits for it."""
_MOST_WAITING: Final = 1000
_HAND_OVER_EVERY: Final = 0.1
_HAND_OVER_BATCH: Final = 20
_HAND_OVER_TRIES: Final = 5
_HAND_OVER_AGAIN: Final = 3.0
"""Leases are handed over in batches, and those that are not answered again after a while, this often."""


@dataclass(frozen=True, slots=True)
class Heard:
    """From the map: a node has beaten, or its state has changed."""

    hadd: Hadd
    state: NodeState


@dataclass(frozen=True, slots=True)
class OtherPrimary:
    """From the network's state machine: another primary is on the air. From now on the two share the numbers."""

    hadd: Hadd


@dataclass(frozen=True, slots=True)
class Serve:
    """From the network's state machine: this server acts as the primary now, or has stepped down.

    One that steps down hands its leases over to the other, which serves from now on.
    """

    serves: bool


class LeaseShelf:
    """Where a primary's leases can be read while others write them; outlives its actor. Any thread.

    Attributes:
        book: the leases as the actor has them.
        serves: whether it answers requests; one that has stepped down does not, after a restart either.
    """

    def __init__(self) -> None:
        self.book = LeaseBook()
        self.serves = True

    def leases(self) -> dict[Hadd, Lease]:
        """All leases, by address, in order."""
        return self.book.snapshot()


class LeaseServer(PinnedActor):
    """The actor that hands out addresses. It has a thread of its own, as it waits for the disk.

    It is sent what arrives at `topics.LEASE_REQUESTS` and `topics.REPLIES` (`Arrived`), what the map hears (`Heard`),
    and what becomes of its role (`OtherPrimary`, `Serve`).

    Args:
        path: the database.
        shelf: where others read the leases.
        own: the address of this primary.
        link: the path of the actor that is told what to `Publish`.
        addresses: the addresses that are on the network now, OFFLINE ones included; None as long as the network is not
            known. Until then nobody gets a new address. Called on this actor's thread; must not block.
        controllers: the numbers to hand out to controllers.
        flush_every: seconds between two writes of states and times.
    """

    def __init__(
        self,
        path: Path,
        shelf: LeaseShelf,
        own: Hadd,
        link: str,
        addresses: Callable[[], Collection[Hadd] | None],
        *,
        controllers: range = CONTROLLERS,
        flush_every: float = FLUSH_EVERY,
    ) -> None:
        super().__init__()
        self._path = path
        self._shelf = shelf
        self._own = own
        self._link = link
        self._addresses = addresses
        self._all = controllers
        self._controllers = controllers
        self._flush_every = flush_every
        self._log = structlog.get_logger().bind(path=self.path)
        self._repeats = Repeats(self._log)
        self._store: LeaseStore | None = None
        self._others: set[Hadd] = set()
        self._heard: set[Hadd] = set()
        self._unnoted: set[Hadd] = set()
        self._waiting: list[LeaseRequest] = []
        self._handing_over: dict[str, Lease] = {}
        self._name = f"hand-over-{secrets.token_hex(8)}"

    @property
    def _book(self) -> LeaseBook:
        return self._shelf.book

    def on_start(self) -> None:
        """Open the database."""
        store = self._store = LeaseStore(self._path)
        before = self._book.snapshot()
        book = store.load()
        if store.moved_to is not None:
            # What this process still knows is better than what could be read.
            lost = tuple(lease for hadd, lease in before.items() if book.get(hadd) is None)
            decision = Decision(LeaseAnswer("", 0), keep=lost)
            store.commit(decision)
            book.apply(decision)
            self._log.error(
                "lease_database_broken",
                error=store.why_moved,
                moved_to=str(store.moved_to),
                leases=len(book),
                detail="the other leases come back as their nodes repair them",
            )
        self._shelf.book = book
        self._others = store.primaries()
        self._share()
        self.timers.every("flush", self._flush_every, _Flush())
        self._log.info("leases_opened", file=str(self._path), leases=len(book))

    def on_stop(self) -> None:
        """Write what waits, and close."""
        try:
            self._flush()
        finally:
            self._close()

    def on_failure(self, _type: Any, _error: BaseException | None, _traceback: Any) -> None:
        """Close the database: the next incarnation opens it anew."""
        self._close()

    def on_receive(self, message: Any) -> Any:
        """Handle what comes from the network, and of the network's state."""
        match message:
            case Arrived(topic=topic, payload=payload):
                self._arrived(topic, payload)
            case Heard(hadd=hadd, state=state):
                self._node_heard(hadd, state)
            case OtherPrimary(hadd=hadd):
                self._met(hadd)
            case Serve(serves=serves):
                self._serve(serves)
            case _Flush():
                self._flush()
            case _Look():
                self._look()
            case _HandOver(tries=tries, rest=rest):
                self._hand_over(tries, rest)
            case _:
                return super().on_receive(message)
        return None

    # -- requests ------------------------------------------------------------------------------------------------

    def _arrived(self, topic: str, payload: bytes) -> None:
        rep_uuid = topics.reply_uuid(topic)
        if rep_uuid is not None:
            if rep_uuid in self._handing_over:
                self._handed_over(payload)
            return
        action = action_of(topic)
        if action is None or not self._shelf.serves:
            return
        try:
            request = parse_lease_request(action, payload)
        except RefusedRequestError as error:
            self._answer(refused(error.rep_uuid, str(error)), action)
        except MalformedRequestError as error:
            self._repeats.failed(topic, "lease_request_malformed", str(error), topic=topic)
        else:
            self._decide(request)

    def _decide(self, request: LeaseRequest) -> None:
        addresses = self._addresses()
        if addresses is None and request.action is LeaseAction.NEW:
            # Nothing can be proved to be free. Who asks is answered when the network is known.
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(request)
                self.timers.once("look", _LOOK_EVERY, _Look())
            return
        book = self._book
        decision = book.decide(request, frozenset(addresses or ()), time.time(), self._controllers)
        if decision.durable and not self._commit(request, decision):
            return
        book.apply(decision)
        self._heard.update(lease.hadd for lease in decision.keep if not decision.durable)
        self._answer(decision.answer, request.action)
        if decision.durable:
            hadds = [str(each.hadd) for each in decision.keep] + [str(each) for each in decision.remove]
            event = "lease_removed" if decision.remove else "lease_written"
            self._log.info(event, action=request.action.value, hadd=", ".join(hadds), name=request.options.name)

    def _commit(self, request: LeaseRequest, decision: Decision) -> bool:
        """Write a decision; whether it is on the disk. Who asks is told where it is not."""
        try:
            self._opened.commit(decision)
        except LeaseStoreError as error:
            self._answer(refused(request.rep_uuid, f"the lease could not be stored: {error}"), request.action)
            self._store_failed(error)
            return False
        self._repeats.worked("store", "leases_stored_again")
        return True

    def _answer(self, answer: LeaseAnswer, action: LeaseAction) -> None:
        if answer.is_ok:
            self._repeats.forget(f"{action} {answer.hadd}")
        elif answer.hadd is not None:
            # Two claim one address: somebody must see that.
            error = answer.msg_error or ""
            self._repeats.failed(f"{action} {answer.hadd}", "lease_conflict", error, action=action.value)
        elif action is LeaseAction.NEW:
            self._repeats.failed(action, "lease_refused", answer.msg_error or "", action=action.value)
        answer = replace(answer, primary=self._own)
        self.tell_path(self._link, Publish(answer.topic, answer.payload()))

    def _look(self) -> None:
        """Serve those who wait, where the network is known by now."""
        if self._addresses() is None:
            self.timers.once("look", _LOOK_EVERY, _Look())
            return
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            if self._shelf.serves:
                self._decide(request)

    # -- what the map hears --------------------------------------------------------------------------------------

    def _node_heard(self, hadd: Hadd, state: NodeState) -> None:
        if self._book.saw(hadd, state, time.time()):
            self._unnoted.add(hadd)
            if self.timers.due("note") is None:
                self.timers.once("note", _NOTE_AFTER, _Flush())
        elif self._book.get(hadd) is not None:
            self._heard.add(hadd)

    def _flush(self) -> None:
        """Write states, times and addresses that have come since the last time; kept for the next where that fails."""
        leases = [lease for lease in map(self._book.get, self._heard) if lease is not None]
        seen = list(self._unnoted)
        if not leases and not seen:
            return
        try:
            self._opened.save(leases, seen)
        except LeaseStoreError as error:
            self._store_failed(error)
            return
        self._heard.clear()
        self._unnoted.clear()

    def _store_failed(self, error: LeaseStoreError) -> None:
        if isinstance(error, BrokenDatabaseError):
            # The next incarnation moves it aside, and begins anew with what is known.
            raise error
        self._repeats.failed("store", "leases_not_stored", str(error))

    # -- the role ------------------------------------------------------------------------------------------------

    def _met(self, hadd: Hadd) -> None:
        if hadd == self._own or hadd in self._others:
            return
        # On the disk first: it must hold after a restart too, when the two may not hear of each other.
        self._opened.met(hadd)
        self._others.add(hadd)
        self._share()

    def _share(self) -> None:
        """Take every n-th number, where n primaries know of each other: none of them hands out another's."""
        primaries = sorted({self._own, *self._others})
        self._controllers = self._all[primaries.index(self._own) :: len(primaries)]
        if len(primaries) > 1:
            others = ", ".join(str(each) for each in primaries if each != self._own)
            self._log.warning("lease_numbers_shared", others=others, next_numbers=list(self._controllers[:3]))

    def _serve(self, serves: bool) -> None:
        if serves == self._shelf.serves:
            return
        self._shelf.serves = serves
        self._handing_over.clear()
        if not serves:
            self._waiting.clear()
            self._hand_over(0, self._book.snapshot())
        else:
            self.timers.cancel("hand over")

    def _hand_over(self, tries: int, rest: dict[Hadd, Lease]) -> None:
        """Repair the next leases at the other primary."""
        if not rest:
            if self._handing_over and tries < _HAND_OVER_TRIES:
                again = {lease.hadd: lease for lease in self._handing_over.values()}
                self.timers.once("hand over", _HAND_OVER_AGAIN, _HandOver(tries + 1, again))
            return
        batch = list(rest.values())[:_HAND_OVER_BATCH]
        for lease in batch:
            # The same each time: the other one answers a copy as it did.
            rep_uuid = f"{self._name}-{lease.hadd.controller:04d}-{lease.hadd.node:04d}"
            self._handing_over[rep_uuid] = lease
            options = Options(lease.name, lease.location, lease.cmd_classes, lease.params)
            request = LeaseRequest(LeaseAction.REPAIR, rep_uuid, lease.hadd.controller, lease.hadd.node, options)
            self.tell_path(self._link, Publish(request.topic, request.payload()))
        left = {lease.hadd: lease for lease in list(rest.values())[_HAND_OVER_BATCH:]}
        self.timers.once("hand over", _HAND_OVER_EVERY, _HandOver(tries, left))

    def _handed_over(self, payload: bytes) -> None:
        try:
            answer = parse_answer(payload)
        except MalformedRequestError as error:
            self._repeats.failed("hand over", "lease_answer_malformed", str(error))
            return
        lease = self._handing_over.pop(answer.rep_uuid, None)
        if lease is None or answer.is_ok:
            return
        self._log.error("lease_lost", hadd=str(lease.hadd), name=lease.name, error=answer.msg_error)
        if answer.hadd == lease.hadd:
            # It is another's: should this one serve again, it must know so.
            decision = Decision(answer, keep=tuple(_held(answer)), durable=True)
            self._opened.commit(decision)
            self._book.apply(decision)

    # -- the database --------------------------------------------------------------------------------------------

    @property
    def _opened(self) -> LeaseStore:
        assert self._store is not None, "opened by on_start, and closed at the end"
        return self._store

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()


def _held(answer: LeaseAnswer) -> Iterator[Lease]:
    try:
        yield answer.lease()
    except ValueError:
        return


class _Flush:
    """It is time to write what waits."""


class _Look:
    """It is time to see whether the network is known."""


@dataclass(frozen=True, slots=True)
class _HandOver:
    """It is time to hand over the next leases."""

    tries: int
    rest: dict[Hadd, Lease]
