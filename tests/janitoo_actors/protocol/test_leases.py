"""Leases on the wire: what is read, whatever the bytes; and what is written."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import (
    ANY,
    Lease,
    LeaseAction,
    LeaseAnswer,
    LeaseRequest,
    Options,
    RefusedRequestError,
    action_of,
    granted,
    granted_all,
    parse_answer,
    parse_lease_request,
    refused,
)
from janitoo_actors.protocol.messages import MalformedRequestError, NodeState

ACTIONS = st.sampled_from(LeaseAction)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF).filter(str.isprintable), max_size=20)
OPTIONS = st.builds(
    Options,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | st.lists(st.integers(0, 65_535), max_size=4, unique=True).map(tuple),
    st.dictionaries(st.sampled_from(["uuid", "host", "port"]), TEXTS | st.integers() | st.lists(TEXTS)),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(ACTIONS, st.integers(0, 9999), st.integers(ANY, 9999), OPTIONS)
def test_a_request_that_is_written_is_read(action: LeaseAction, ctrl: int, node: int, options: Options) -> None:
    request = LeaseRequest(action, "r-1", ctrl, node, options)
    assert parse_lease_request(action, request.payload()) == request
    assert action_of(request.topic) is action


@given(ACTIONS, st.binary(max_size=60) | JSON.map(lambda data: json.dumps(data).encode()))
def test_whatever_the_bytes_they_are_a_request_or_refused(action: LeaseAction, payload: bytes) -> None:
    with contextlib.suppress(MalformedRequestError):
        assert parse_lease_request(action, payload).action is action


KEYS = ("add_ctrl", "add_node", "options", "name", "msg_status")


@given(ACTIONS, st.dictionaries(st.sampled_from(KEYS), JSON))
def test_who_can_be_told_is_told(action: LeaseAction, raw: dict[str, Any]) -> None:
    answer = LeaseAnswer("nobody", 0)
    try:
        answer = LeaseAnswer(parse_lease_request(action, json.dumps({**raw, "rep_uuid": "me"}).encode()).rep_uuid, 200)
    except RefusedRequestError as error:
        answer = refused(error.rep_uuid, str(error))
    # It can be sent, too.
    assert json.loads(answer.payload())["rep_uuid"] == "me"


@given(JSON | st.binary().map(repr))
def test_whatever_is_in_an_answer_it_is_read_or_refused(data: Any) -> None:
    try:
        answer = parse_answer(json.dumps({"rep_uuid": "r", "msg_status": 200, "add_ctrl": data, "x": data}).encode())
    except MalformedRequestError:
        return
    assert answer.hadd is None or isinstance(answer.hadd, Hadd)
    assert answer.leases() == {}


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"rep_uuid": 5, "msg_status": 200}', b'{"rep_uuid": "r"}'])
def test_what_is_no_answer_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        parse_answer(payload)


LEASE = Lease(Hadd(10, 1), "Load", "Attic", (49, 112), NodeState.ONLINE, 12.5, {"uuid": "u", "oid": "hostsensor.load"})


def test_an_answer_carries_the_lease_with_all_of_its_params() -> None:
    answer = granted("r", LEASE)
    assert answer.topic == "/reply/r"
    assert topics.reply_uuid(answer.topic) == "r"
    assert json.loads(answer.payload()) == {
        "rep_uuid": "r",
        "msg_status": 200,
        "add_ctrl": 10,
        "add_node": 1,
        "name": "Load",
        "location": "Attic",
        "cmd_classes": [49, 112],
        "state": "ONLINE",
        "last_seen": 12.5,
        "uuid": "u",
        "oid": "hostsensor.load",
    }
    assert parse_answer(answer.payload()).lease() == LEASE


def test_a_refusal_says_why_and_who() -> None:
    assert refused("r", "no").wire() == {"rep_uuid": "r", "msg_status": 400, "msg_error": "no"}
    read = parse_answer(refused("r", "no", LEASE).payload())
    assert (read.is_ok, read.msg_error, read.lease()) == (False, "no", LEASE)


def test_several_leases_are_by_address_and_what_is_none_is_passed_over() -> None:
    answer = granted_all("r", {LEASE.hadd: LEASE.wire(), Hadd(10, 2): {"name": 5}}, add_ctrl=10, add_node=ANY)
    assert parse_answer(answer.payload()).leases() == {LEASE.hadd: LEASE}


def test_what_originals_may_write_is_read() -> None:
    raw = {"add_ctrl": "10", "add_node": "0", "state": "SOMEHOW", "last_seen": "2026-11-24 08:00", "cmd_classes": 49}
    lease = LeaseAnswer("r", 200, data=raw).lease()
    assert (lease.hadd, lease.state, lease.last_seen, lease.cmd_classes) == (Hadd(10, 0), NodeState.PENDING, 0.0, (49,))


@pytest.mark.parametrize("topic", ["/dhcp/lease/", "/dhcp/lease/steal", "/dhcp/lease/new/x", "/dhcp/heartbeat/", "new"])
def test_other_topics_ask_for_no_lease(topic: str) -> None:
    assert action_of(topic) is None
