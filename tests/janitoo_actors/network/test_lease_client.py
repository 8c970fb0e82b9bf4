"""A bus that has its addresses from a primary: on a network that loses, copies and reorders, and falls apart."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from janitoo_actors.network.leases.client import (
    LAST_RETRY,
    Addressed,
    Effect,
    LeaseClient,
    Lost,
    Part,
    Phase,
    Send,
    Waiting,
)
from janitoo_actors.network.leases.rules import CONTROLLERS
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import ANY, LeaseAction, LeaseAnswer, LeaseRequest, Options, refused
from janitoo_actors.protocol.messages import NodeState
from lease_peers import CrashAt, Primary, request

_uuids = itertools.count()


def parts(owner: str, hadds: dict[str, Hadd], keys: Iterable[str] = ("", "load", "disks")) -> list[Part]:
    return [
        Part(
            key,
            hadds.get(key),
            Options(f"{owner} {key}", "Attic", (49,), {"uuid": f"{owner}__{key}" if key else owner, "host": owner}),
        )
        for key in keys
    ]


def client(owner: str = "a", **hadds: str) -> LeaseClient:
    known = {"" if key == "bus" else key: Hadd.parse(text) for key, text in hadds.items()}
    return LeaseClient(parts(owner, known), lambda: f"u{next(_uuids)}", lambda: 0.5)


def sent(effects: Iterable[Effect]) -> list[LeaseRequest]:
    return [effect.request for effect in effects if isinstance(effect, Send)]


def converse(one: LeaseClient, primary: Primary, effects: list[Effect], now: float = 0.0) -> list[Effect]:
    """Answer everything, until nothing more is asked; all that it did besides."""
    done: list[Effect] = []
    while effects:
        effect = effects.pop(0)
        if isinstance(effect, Send):
            answer = primary.serve(effect.request)
            assert answer is not None
            effects += one.answered(answer, now)
        else:
            done.append(effect)
    return done


@pytest.fixture
def primary(tmp_path: Path) -> Iterable[Primary]:
    made = Primary(tmp_path / "leases.sqlite")
    yield made
    made.store.close()


def test_a_bus_without_an_address_gets_one_and_its_nodes_theirs(primary: Primary) -> None:
    one = client()
    effects = one.start(0.0)
    (first,) = sent(effects)
    assert (first.action, first.add_ctrl, first.options.name) == (LeaseAction.NEW, ANY, "a ")
    done = converse(one, primary, effects)
    assert done == [Addressed({"": Hadd(10, 0), "load": Hadd(10, 1), "disks": Hadd(10, 2)})]
    assert one.phase is Phase.HELD
    assert one.due is None


def test_one_with_addresses_only_locks_them(primary: Primary) -> None:
    converse(one := client(), primary, one.start(0.0))
    again = client(bus="10/0", load="10/1", disks="10/2")
    effects = again.start(0.0)
    (lock,) = sent(effects)
    assert (lock.action, lock.add_ctrl, lock.add_node) == (LeaseAction.LOCK, 10, ANY)
    before = primary.book.snapshot()
    assert converse(again, primary, effects) == []
    assert again.phase is Phase.HELD
    assert list(primary.book.snapshot()) == list(before)


def test_a_primary_that_has_lost_them_is_told_again(primary: Primary) -> None:
    one = client(bus="42/0", load="42/7", disks="42/9")
    assert converse(one, primary, one.start(0.0)) == []
    assert one.phase is Phase.HELD
    leases = primary.book.snapshot()
    assert [str(hadd) for hadd in leases] == ["0042/0000", "0042/0007", "0042/0009"]
    assert [lease.name for lease in leases.values()] == ["a ", "a load", "a disks"]


def test_what_was_renamed_in_the_file_is_told(primary: Primary) -> None:
    converse(one := client(), primary, one.start(0.0))
    renamed = [
        Part(
            part.key,
            part.hadd,
            Options("Renamed", *(part.options.location, part.options.cmd_classes), part.options.params),
        )
        for part in parts("a", {"": Hadd(10, 0), "load": Hadd(10, 1), "disks": Hadd(10, 2)})
    ]
    again = LeaseClient(renamed, lambda: f"u{next(_uuids)}", lambda: 0.5)
    converse(again, primary, again.start(0.0))
    assert {lease.name for lease in primary.book.snapshot().values()} == {"Renamed"}


def test_a_component_that_is_new_in_the_file_gets_an_address(primary: Primary) -> None:
    one = client(bus="42/0", load="42/7")
    done = converse(one, primary, one.start(0.0))
    assert done == [Addressed({"": Hadd(42, 0), "load": Hadd(42, 7), "disks": Hadd(42, 1)})]


def test_an_address_that_is_anothers_is_given_up_for_a_new_one(primary: Primary) -> None:
    primary.serve(request(LeaseAction.REPAIR, 10, 0, owner="other", name="Other"))
    one = client(bus="10/0", load="10/1", disks="10/2")
    lost, addressed = converse(one, primary, one.start(0.0))
    assert isinstance(lost, Lost)
    assert (lost.hadd, "'Other'" in lost.reason) == (Hadd(10, 0), True)
    assert addressed == Addressed({"": Hadd(11, 0), "load": Hadd(11, 1), "disks": Hadd(11, 2)})


def test_the_same_request_is_sent_again_with_growing_pauses_until_it_is_answered(primary: Primary) -> None:
    one = client()
    (first,) = sent(one.start(0.0))
    pauses, now = [], 0.0
    for _ in range(7):
        assert one.due is not None
        pauses.append(one.due - now)
        now = one.due
        *again, waiting = one.tick(now)
        assert sent(again) == [first]
        assert isinstance(waiting, Waiting)
    assert pauses == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, LAST_RETRY]
    # Once a primary is heard of, it does not wait for the rest of the pause.
    assert sent(one.primary(Hadd(1, 0), "ONLINE", now + 1)) == [first]
    answer = primary.serve(first)
    assert answer is not None
    # Which may know nothing of what another has answered.
    assert [each.action for each in sent(one.answered(answer, now))] == [LeaseAction.LOCK]
    # A copy of the answer is nobody's.
    assert one.answered(answer, now) == []


def test_a_primary_that_comes_back_is_told_of_the_lease(primary: Primary) -> None:
    converse(one := client(), primary, one.start(0.0))
    assert one.primary(Hadd(5, 0), "ONLINE", 1.0) == []
    assert one.due == 1.5
    converse(one, primary, one.tick(1.5))

    def due_after(who: int, state: str, now: float) -> float | None:
        assert one.primary(Hadd(who, 0), state, now) == []
        due = one.due
        if due is not None:
            effects = one.tick(due)
            assert [each.action for each in sent(effects)] == [LeaseAction.LOCK]
            converse(one, primary, effects)
        return due

    # It beats on: nothing to do.
    assert due_after(5, "ONLINE", 3.0) is None
    # Another one, or the same after its end, or after a long silence.
    assert due_after(2, "ONLINE", 4.0) == 4.5
    assert due_after(2, "OFFLINE", 5.0) is None
    assert due_after(2, "ONLINE", 6.0) == 6.5
    assert due_after(2, "ONLINE", 21.0) is None
    assert due_after(2, "ONLINE", 36.5) == 37.0
    # Two that beat by turns: the one with the lower address steps up, the other does not count.
    assert [due_after(who, "ONLINE", 38.0) for who in (5, 2, 5, 2)] == [None] * 4
    assert due_after(5, "OFFLINE", 39.0) is None
    assert due_after(2, "ONLINE", 40.0) is None
    # Until it is silent.
    assert due_after(5, "ONLINE", 56.0) == 56.5


def test_a_primary_without_addresses_is_asked_again_later(tmp_path: Path) -> None:
    primary = Primary(tmp_path / "leases.sqlite", range(10, 10))
    one = client()
    (waiting,) = converse(one, primary, one.start(0.0))
    assert isinstance(waiting, Waiting)
    assert "no controller address is left" in waiting.reason
    primary.controllers = CONTROLLERS
    assert one.due == 3.0
    converse(one, primary, one.tick(3.0), 3.0)
    assert one.phase is Phase.HELD
    primary.store.close()


@pytest.mark.parametrize("data", [{}, {"add_ctrl": "x", "add_node": 0}, {"add_ctrl": 10, "add_node": 4}])
def test_an_answer_that_gives_no_address_of_a_bus_is_none(data: dict[str, object]) -> None:
    one = client()
    (first,) = sent(one.start(0.0))
    (waiting,) = one.answered(LeaseAnswer(first.rep_uuid, 200, data=data), 0.0)
    assert isinstance(waiting, Waiting)
    assert "expected an address that is free" in waiting.reason
    assert one.controller is None


def test_it_never_takes_the_number_of_a_bus_beside_it(primary: Primary) -> None:
    one = LeaseClient(parts("a", {}), lambda: f"u{next(_uuids)}", lambda: 0.5, {10})
    (waiting,) = converse(one, primary, one.start(0.0))
    assert waiting == Waiting("the primary gives 10/0: expected an address that is free")
    # By now the primary has heard of that one.
    primary.book.saw(Hadd(10, 0), NodeState.ONLINE, 1.0)
    (asked,) = sent(one.tick(3.0))
    answer = primary.serve(asked, {Hadd(10, 0)})
    assert answer is not None
    one.answered(answer, 3.0)
    assert one.controller == Hadd(11, 0)


def test_the_end_gives_all_addresses_back(primary: Primary) -> None:
    converse(one := client(), primary, one.start(0.0))
    (release,) = sent(one.release())
    primary.serve(release)
    assert {lease.state.value for lease in primary.book.snapshot().values()} == {"OFFLINE"}
    assert client().release() == []


def test_addresses_that_were_assumed_become_leases_when_a_primary_answers(primary: Primary) -> None:
    one = client(bus="42/0", load="42/1")
    one.start(0.0)
    addresses = {"": Hadd(42, 0), "load": Hadd(42, 1), "disks": Hadd(42, 2)}
    assert converse(one, primary, one.assume(addresses, 3.0)) == [Addressed(addresses)]
    assert list(primary.book.snapshot()) == sorted(addresses.values())


def test_a_refused_repair_is_tried_again(primary: Primary) -> None:
    one = client(bus="42/0", load="42/1", disks="42/2")
    (lock,) = sent(one.start(0.0))
    repairs = sent(one.answered(refused(lock.rep_uuid, "unknown"), 0.0))
    assert [each.action for each in repairs] == [LeaseAction.REPAIR] * 3
    (waiting,) = one.answered(refused(repairs[1].rep_uuid, "the disk is full"), 0.0)
    assert waiting == Waiting("the primary does not repair the lease of 0042/0001: the disk is full")
    converse(one, primary, one.tick(3.0))
    assert one.phase is Phase.HELD


class Side:
    """One of two primaries, and how it is cut off."""

    def __init__(self, folder: Path, number: int, controllers: range) -> None:
        self.primary = Primary(folder / f"{number}.sqlite", controllers, Hadd(number, 0))


class Peer:
    """A bus with its file, which survives it."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.file: dict[str, Hadd] = {}
        self.side = 0
        self.client = self._born()

    def _born(self) -> LeaseClient:
        return LeaseClient(parts(self.owner, self.file), lambda: f"u{next(_uuids)}", lambda: 0.5)

    def restart(self, now: float) -> list[Effect]:
        self.client = self._born()
        return self.client.start(now)


class FallingApart(RuleBasedStateMachine):
    """Buses and two primaries. Anything may be lost, copied, late; anybody may die; the network may fall apart."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = 0.0
        self.apart = False
        self.ever_apart = False
        self.requests: list[tuple[Peer, LeaseRequest]] = []
        self.answers: list[tuple[Peer, LeaseAnswer]] = []
        self.peers = [Peer(owner) for owner in "abc"]
        self.met = False
        self.lost = False
        self.sides: list[Side] = []

    @initialize(met=st.booleans())
    def begin(self, met: bool) -> None:
        # Two that have met share the numbers from then on; two that never have can only find out later.
        self.met = met
        shares = (CONTROLLERS[0::2], CONTROLLERS[1::2]) if met else (CONTROLLERS, CONTROLLERS)
        self.sides = [Side(self.folder, number, share) for number, share in enumerate(shares, start=1)]
        for peer in self.peers:
            self.do(peer, peer.client.start(self.now))

    def teardown(self) -> None:
        if self.sides:
            self.heal()
            self.settle()
            for side in self.sides:
                side.primary.store.close()
        shutil.rmtree(self.folder)

    def do(self, peer: Peer, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.requests.append((peer, effect.request))
            elif isinstance(effect, Addressed):
                peer.file = dict(effect.hadds)

    def on_network(self, side: int) -> set[Hadd]:
        return {hadd for peer in self.peers if peer.side == side for hadd in peer.file.values()}

    def serve(self, peer: Peer, asked: LeaseRequest, crash: CrashAt | None) -> None:
        side = self.sides[peer.side if self.apart else 0]
        answer = side.primary.serve(asked, self.on_network(peer.side), crash)
        if answer is not None:
            self.answers.append((peer, answer))

    @rule(data=st.data(), crash=st.sampled_from([None, None, None, *CrashAt]), copy=st.booleans())
    def deliver_request(self, data: st.DataObject, crash: CrashAt | None, copy: bool) -> None:
        if self.requests:
            number = data.draw(st.integers(0, len(self.requests) - 1))
            peer, asked = self.requests[number] if copy else self.requests.pop(number)
            self.serve(peer, asked, crash)

    @rule(data=st.data(), copy=st.booleans())
    def deliver_answer(self, data: st.DataObject, copy: bool) -> None:
        if self.answers:
            number = data.draw(st.integers(0, len(self.answers) - 1))
            peer, answer = self.answers[number] if copy else self.answers.pop(number)
            self.do(peer, peer.client.answered(answer, self.now))

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        for messages in (self.requests, self.answers):
            if messages:
                del messages[data.draw(st.integers(0, len(messages) - 1))]

    @rule(seconds=st.floats(0.5, 30))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for peer in self.peers:
            if peer.client.due is not None and peer.client.due <= self.now:
                self.do(peer, peer.client.tick(self.now))

    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        peer = data.draw(st.sampled_from(self.peers))
        self.do(peer, peer.restart(self.now))

    @rule(sides=st.tuples(*[st.integers(0, 1)] * 3))
    def fall_apart(self, sides: tuple[int, ...]) -> None:
        self.apart = self.ever_apart = True
        for peer, side in zip(self.peers, sides, strict=True):
            peer.side = side
        self.beat()

    @rule()
    def beat(self) -> None:
        for peer in self.peers:
            self.do(peer, peer.client.primary(Hadd(1 + (peer.side if self.apart else 0), 0), "ONLINE", self.now))

    @rule(side=st.integers(0, 1))
    def lose_database(self, side: int) -> None:
        self.lost = True
        self.sides[side].primary.lose_everything()
        # Who runs hears that it has gone and come.
        for state in ("OFFLINE", "ONLINE"):
            for peer in self.peers:
                if (peer.side if self.apart else 0) == side:
                    self.do(peer, peer.client.primary(Hadd(1 + side, 0), state, self.now))

    @rule()
    def heal(self) -> None:
        if not self.apart:
            return
        self.apart = False
        # The second steps down, and hands its leases over; it learns of those that are another's.
        first, second = (side.primary for side in self.sides)
        for lease in second.book.snapshot().values():
            asked = LeaseRequest(
                LeaseAction.REPAIR,
                f"u{next(_uuids)}",
                lease.hadd.controller,
                lease.hadd.node,
                Options(lease.name, lease.location, lease.cmd_classes, lease.params),
            )
            answer = first.serve(asked)
            assert answer is not None
            assert answer.is_ok or answer.lease().owner != lease.owner
            assert answer.is_ok or self.lost or not self.met
        for peer in self.peers:
            peer.side = 0
        self.beat()

    @invariant()
    def no_address_is_used_twice(self) -> None:
        if not self.lost and (self.met or not self.ever_apart):
            used = [hadd for peer in self.peers for hadd in peer.file.values()]
            assert len(used) == len(set(used))

    def settle(self) -> None:
        """Lose nothing any more, until all is quiet: all have addresses, no two the same, all of them on the disk."""
        for _ in range(1000):
            while self.requests or self.answers:
                if self.requests:
                    self.serve(*self.requests.pop(0), None)
                else:
                    peer, answer = self.answers.pop(0)
                    self.do(peer, peer.client.answered(answer, self.now))
            due = [peer.client.due for peer in self.peers if peer.client.due is not None]
            if not due:
                break
            self.now = max(self.now, min(due))
            self.wait(0.0)
        assert [peer.client.phase for peer in self.peers] == [Phase.HELD] * 3
        used = [hadd for peer in self.peers for hadd in peer.file.values()]
        assert len(used) == len(set(used)) == 9
        primary = self.sides[0].primary
        primary.restart()
        for peer in self.peers:
            for part in peer.client.parts.values():
                assert part.hadd is not None
                lease = primary.book.get(part.hadd)
                assert lease is not None
                assert lease.owner == part.options.owner


TestFallingApart = FallingApart.TestCase
TestFallingApart.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
