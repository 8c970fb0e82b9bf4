"""The rules of leases, on a real database."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from janitoo_actors.network.leases.rules import MOST_ANSWERS
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import ANY, LeaseAction, LeaseAnswer, LeaseRequest
from janitoo_actors.protocol.messages import NodeState
from lease_peers import CrashAt, Primary, request

NEW, LOCK, REPAIR, RELEASE, REMOVE = LeaseAction


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[Primary]:
    made = Primary(tmp_path / "leases.sqlite")
    yield made
    made.store.close()


def granted(answer: LeaseAnswer | None) -> Hadd:
    assert answer is not None
    assert answer.is_ok, answer.msg_error
    assert answer.hadd is not None
    return answer.hadd


def error(answer: LeaseAnswer | None) -> str:
    assert answer is not None
    assert answer.msg_status == 400
    assert answer.msg_error is not None
    return answer.msg_error


def test_new_gives_the_first_free_controller_above_9_then_its_nodes(primary: Primary) -> None:
    assert granted(primary.serve(request(NEW, owner="a"))) == Hadd(10, 0)
    assert granted(primary.serve(request(NEW, owner="b"))) == Hadd(11, 0)
    assert granted(primary.serve(request(NEW, 10))) == Hadd(10, 1)
    assert granted(primary.serve(request(NEW, 10))) == Hadd(10, 2)
    assert granted(primary.serve(request(NEW, 11))) == Hadd(11, 1)


def test_the_lease_keeps_what_the_node_tells(primary: Primary) -> None:
    asked = request(NEW, owner="a", name="Pi", location="Attic", port="/dev/ttyS0")
    answer = primary.serve(asked)
    assert answer is not None
    assert answer.wire() == {
        "rep_uuid": asked.rep_uuid,
        "msg_status": 200,
        "add_ctrl": 10,
        "add_node": 0,
        "name": "Pi",
        "location": "Attic",
        "cmd_classes": [],
        "state": "BOOT",
        "last_seen": 1001.0,
        "uuid": "a",
        "port": "/dev/ttyS0",
    }
    primary.restart()
    assert primary.book.snapshot()[Hadd(10, 0)] == answer.lease()


def test_addresses_on_the_network_are_not_handed_out_and_neither_once_they_are_gone(primary: Primary) -> None:
    on_network = {Hadd(10, 0), Hadd(11, 3)}
    assert granted(primary.serve(request(NEW), on_network)) == Hadd(12, 0)
    assert primary.book.saw(Hadd(13, 0), NodeState.ONLINE, 5.0)
    assert not primary.book.saw(Hadd(13, 0), NodeState.ONLINE, 6.0)
    primary.store.save([], [Hadd(13, 0)])
    primary.restart()
    assert granted(primary.serve(request(NEW), {*on_network, Hadd(12, 1)})) == Hadd(14, 0)
    assert granted(primary.serve(request(NEW, 12), {Hadd(12, 1)})) == Hadd(12, 2)


def test_a_copy_of_a_request_gets_the_same_answer_and_no_second_lease(primary: Primary) -> None:
    asked = request(NEW, name="Pi")
    first = primary.serve(asked)
    assert primary.serve(asked) == first
    primary.restart()
    assert primary.serve(asked) == first
    assert len(primary.book) == 1


def test_another_request_with_the_same_rep_uuid_is_another_request(primary: Primary) -> None:
    assert granted(primary.serve(request(NEW, rep_uuid="x", name="a"))) == Hadd(10, 0)
    assert granted(primary.serve(request(NEW, rep_uuid="x", name="b"))) == Hadd(11, 0)


def test_who_lost_the_answer_and_asks_anew_gets_what_it_was_given(primary: Primary) -> None:
    primary.serve(request(NEW, owner="a", host="pi1"))
    primary.serve(request(NEW, 10, owner="a__load", host="pi1"))
    assert granted(primary.serve(request(NEW, owner="a", host="pi1"))) == Hadd(10, 0)
    assert granted(primary.serve(request(NEW, 10, owner="a__load", host="pi1"))) == Hadd(10, 1)


def test_a_copy_of_a_file_on_another_machine_gets_an_address_of_its_own(primary: Primary) -> None:
    primary.serve(request(NEW, owner="a", host="pi1"))
    assert granted(primary.serve(request(NEW, owner="a", host="pi2"))) == Hadd(11, 0)
    assert granted(primary.serve(request(NEW, owner="a", host="pi1"), {Hadd(10, 0)})) == Hadd(12, 0)


def test_lock_takes_a_lease_back_and_needs_no_write(primary: Primary) -> None:
    primary.serve(request(NEW, owner="a", name="Pi"))
    primary.serve(request(RELEASE, 10, 0, owner="a"))
    released = primary.book.get(Hadd(10, 0))
    assert released is not None
    assert released.state is NodeState.OFFLINE
    asked = request(LOCK, 10, 0, owner="a")
    assert not primary.book.decide(asked, (), 1.0).durable
    answer = primary.serve(asked)
    assert granted(answer) == Hadd(10, 0)
    assert answer is not None
    assert (answer.data["state"], answer.data["name"]) == ("BOOT", "Pi")


def test_what_is_not_known_is_said(primary: Primary) -> None:
    assert error(primary.serve(request(LOCK, 20, 0))) == "0020/0000 has no lease: repair it"
    assert error(primary.serve(request(LOCK, 20, ANY))) == "controller 0020 has no lease: repair it"
    assert error(primary.serve(request(RELEASE, 20, 0))) == "0020/0000 has no lease: there is nothing to release"
    assert error(primary.serve(request(REMOVE, 20, 0))) == "0020/0000 has no lease: there is nothing to remove"
    assert "0020/0000 is not known here" in error(primary.serve(request(NEW, 20)))
    assert "no address for a node" in error(primary.serve(request(REPAIR, 0, 1)))


def test_the_second_who_repairs_an_address_is_told_who_has_it(primary: Primary) -> None:
    assert granted(primary.serve(request(REPAIR, 42, 0, owner="a", name="Pi", location="Attic"))) == Hadd(42, 0)
    answer = primary.serve(request(REPAIR, 42, 0, owner="b", name="Other"))
    assert error(answer) == (
        "0042/0000 is leased to 'Pi' at 'Attic', uuid a: take another address, or remove that lease"
    )
    assert answer is not None
    assert answer.lease().owner == "a"
    for action in (LOCK, RELEASE, REMOVE):
        assert "is leased to" in error(primary.serve(request(action, 42, 0, owner="b")))
    # Its owner repairs it as often as it likes, also with another name.
    assert granted(primary.serve(request(REPAIR, 42, 0, owner="a", name="Renamed"))) == Hadd(42, 0)
    primary.restart()
    lease = primary.book.get(Hadd(42, 0))
    assert lease is not None
    assert lease.name == "Renamed"


def test_originals_which_do_not_say_who_they_are_are_told_apart_by_name_and_place(primary: Primary) -> None:
    primary.serve(request(REPAIR, 42, 0, name="Pi", location="Attic"))
    assert granted(primary.serve(request(REPAIR, 42, 0, name="Pi", location="Attic"))) == Hadd(42, 0)
    assert "'Pi' at 'Attic'" in error(primary.serve(request(REPAIR, 42, 0, name="Pi", location="Cellar")))
    assert "'Pi' at 'Attic'" in error(primary.serve(request(REPAIR, 42, 0, name="Other")))
    assert granted(primary.serve(request(LOCK, 42, 0, name="Other"))) == Hadd(42, 0)


def test_a_lease_that_is_nobodys_becomes_only_its_own_nodes(primary: Primary) -> None:
    primary.serve(request(NEW, name="Pi"))
    assert "is leased to 'Pi'" in error(primary.serve(request(LOCK, 10, 0, owner="b", name="Other")))
    # The original has been replaced by one that says who it is.
    assert granted(primary.serve(request(LOCK, 10, 0, owner="a", name="Pi"))) == Hadd(10, 0)
    assert "uuid a" in error(primary.serve(request(LOCK, 10, 0, owner="b", name="Pi")))


def test_all_of_a_controller_at_once(primary: Primary) -> None:
    for _ in range(2):
        primary.serve(request(NEW, owner="a"))
    primary.serve(request(NEW, 10))
    answer = primary.serve(request(RELEASE, 10, ANY))
    assert answer is not None
    assert (answer.data["add_ctrl"], answer.data["add_node"]) == (10, -1)
    assert {str(hadd): lease.state.value for hadd, lease in answer.leases().items()} == {
        "0010/0000": "OFFLINE",
        "0010/0001": "OFFLINE",
    }
    answer = primary.serve(request(LOCK, 10, ANY))
    assert answer is not None
    assert [lease.state for lease in answer.leases().values()] == [NodeState.BOOT] * 2
    primary.serve(request(REMOVE, 10, ANY))
    primary.restart()
    assert [str(hadd) for hadd in primary.book.snapshot()] == []


def test_a_controller_whose_nodes_still_have_leases_is_not_free(primary: Primary) -> None:
    primary.serve(request(NEW, owner="a"))
    primary.serve(request(NEW, 10))
    primary.serve(request(REMOVE, 10, 0))
    assert granted(primary.serve(request(NEW, owner="b"))) == Hadd(11, 0)


def test_a_late_copy_of_a_removal_removes_nothing_more(primary: Primary) -> None:
    primary.serve(request(NEW, name="a"))
    removal = request(REMOVE, 10, 0)
    primary.serve(removal)
    assert granted(primary.serve(request(NEW, name="b"))) == Hadd(10, 0)
    primary.restart()
    assert granted(primary.serve(removal)) == Hadd(10, 0)
    assert len(primary.book) == 1


def test_a_late_copy_of_a_request_is_not_promised_what_is_anothers_by_now(primary: Primary) -> None:
    first = request(NEW, name="a")
    primary.serve(first)
    primary.serve(request(REMOVE, 10, 0))
    assert granted(primary.serve(request(NEW, name="b"))) == Hadd(10, 0)
    primary.restart()
    assert granted(primary.serve(first)) == Hadd(11, 0)


def test_an_exhausted_range_is_said(tmp_path: Path) -> None:
    primary = Primary(tmp_path / "leases.sqlite", range(10, 12))
    for _ in range(2):
        primary.serve(request(NEW, name="a"))
    assert error(primary.serve(request(NEW, name="b"))).startswith("no controller address is left")
    everything = {Hadd(10, node) for node in range(1, 10_000)}
    assert error(primary.serve(request(NEW, 10), everything)).startswith("0010/0000 has no address left")
    assert granted(primary.serve(request(NEW, 10), everything - {Hadd(10, 9999)})) == Hadd(10, 9999)
    primary.store.close()


def test_answers_are_not_remembered_for_ever(primary: Primary) -> None:
    asked = request(NEW, name="a")
    primary.serve(asked)
    for number in range(MOST_ANSWERS):
        decision = primary.book.decide(request(LOCK, 10, 0, rep_uuid=f"lock{number}"), (), 1.0)
        primary.book.apply(decision)
    assert granted(primary.serve(asked)) == Hadd(11, 0)


class Leasing(RuleBasedStateMachine):
    """Any requests, copies and deaths: no address is ever two askers', and none is lost."""

    asked: Bundle[LeaseRequest] = Bundle("asked")
    owners = st.sampled_from(["a", "b", "c", None])
    numbers = st.integers(min_value=9, max_value=14)
    nodes = st.integers(min_value=-1, max_value=3)
    crashes = st.sampled_from([None, None, None, *CrashAt])

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.primary = Primary(self.folder / "leases.sqlite")
        self.on_network: set[Hadd] = set()
        self.hand_set: set[Hadd] = set()
        self.holders: dict[Hadd, Any] = {}
        self.answers: dict[str, LeaseAnswer] = {}

    def teardown(self) -> None:
        self.primary.store.close()
        shutil.rmtree(self.folder)

    def ask(self, asked: LeaseRequest, crash: CrashAt | None) -> LeaseRequest:
        answer = self.primary.serve(asked, self.on_network, crash)
        if answer is None:
            # It is sent again, as long as no answer comes.
            answer = self.primary.serve(asked, self.on_network)
            assert answer is not None
        self.check(asked, answer)
        return asked

    def check(self, asked: LeaseRequest, answer: LeaseAnswer) -> None:
        holder = asked.options.owner or asked.rep_uuid
        if not answer.is_ok:
            return
        if asked.action is NEW:
            hadd = granted(answer)
            assert hadd not in self.hand_set, "an address of somebody without a lease"
            assert self.holders.setdefault(hadd, holder) == holder, f"{hadd} is leased twice"
        elif asked.action is REPAIR and asked.add_node != ANY:
            self.holders.setdefault(granted(answer), holder)
        elif asked.action is REMOVE and asked.rep_uuid not in self.answers:
            for hadd in [each for each in self.holders if each.controller == asked.add_ctrl]:
                if asked.add_node in {ANY, hadd.node}:
                    del self.holders[hadd]
            for hadd in [each for each in self.hand_set if each.controller == asked.add_ctrl]:
                if asked.add_node in {ANY, hadd.node} and hadd not in self.on_network:
                    self.hand_set.discard(hadd)
        self.answers[asked.rep_uuid] = answer

    @rule(target=asked, owner=owners, add_ctrl=st.one_of(st.just(ANY), numbers), crash=crashes)
    def new(self, owner: str | None, add_ctrl: int, crash: CrashAt | None) -> LeaseRequest:
        # A controller has one address, and each of its nodes is somebody of its own.
        who = owner if owner is None or add_ctrl == ANY else f"{owner}__{add_ctrl}"
        return self.ask(request(NEW, add_ctrl, owner=who, name=owner or "somebody", host="h"), crash)

    @rule(
        target=asked,
        action=st.sampled_from([LOCK, REPAIR, RELEASE, REMOVE]),
        owner=owners,
        add_ctrl=numbers,
        add_node=nodes,
        crash=crashes,
    )
    def other(
        self, action: LeaseAction, owner: str | None, add_ctrl: int, add_node: int, crash: CrashAt | None
    ) -> LeaseRequest:
        return self.ask(request(action, add_ctrl, add_node, owner=owner, name=owner or "somebody"), crash)

    @rule(copy=asked, crash=crashes)
    def copy(self, copy: LeaseRequest, crash: CrashAt | None) -> None:
        self.ask(copy, crash)

    @rule(add_ctrl=numbers, add_node=st.integers(min_value=0, max_value=2))
    def appear(self, add_ctrl: int, add_node: int) -> None:
        hadd = Hadd(add_ctrl, add_node)
        self.on_network.add(hadd)
        if self.primary.book.saw(hadd, NodeState.ONLINE, 1.0):
            self.primary.store.save([], [hadd])
        if hadd not in self.holders:
            self.hand_set.add(hadd)

    @rule(data=st.data())
    def disappear(self, data: st.DataObject) -> None:
        if self.on_network:
            self.on_network.discard(data.draw(st.sampled_from(sorted(self.on_network))))

    @rule()
    def restart(self) -> None:
        self.primary.restart()

    @invariant()
    def none_is_lost(self) -> None:
        assert set(self.holders) == set(self.primary.book.snapshot())


TestLeasing = Leasing.TestCase
TestLeasing.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
