"""Heartbeats in JSON, and look-ups."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import MalformedRequestError
from janitoo_actors.protocol.resolv import (
    Heartbeat,
    LookUp,
    found_nodes,
    parse_heartbeat,
    parse_lookup,
    primary_heartbeat,
)

HADDS = st.builds(Hadd, st.integers(0, 9999), st.integers(0, 9999))


@given(st.builds(Heartbeat, st.integers(0, 9999), st.integers(-1, 9999), st.sampled_from(["ONLINE", "FAILED"])))
def test_heartbeats_round_trip(beat: Heartbeat) -> None:
    assert parse_heartbeat(json.dumps(beat.payload()).encode()) == beat


@given(HADDS)
def test_the_heartbeat_of_a_primary_is_that_of_originals(hadd: Hadd) -> None:
    payload = primary_heartbeat(hadd, "ONLINE")
    assert payload == {"add_ctrl": str(hadd)[:4], "add_node": str(hadd)[5:], "state": "ONLINE"}
    assert parse_heartbeat(json.dumps(payload).encode()).hadd == hadd


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"add_ctrl": 1, "add_node": 0},
        {"add_ctrl": -1, "add_node": 0, "state": "ONLINE"},
        {"add_ctrl": 1, "add_node": -2, "state": "ONLINE"},
        {"add_ctrl": 10_000, "add_node": 0, "state": "ONLINE"},
        {"add_ctrl": True, "add_node": 0, "state": "ONLINE"},
        {"add_ctrl": "one", "add_node": 0, "state": "ONLINE"},
        {"add_ctrl": 1, "add_node": 0, "state": "on line"},
    ],
)
def test_what_is_no_heartbeat_is_refused(payload: Any) -> None:
    with pytest.raises(MalformedRequestError):
        parse_heartbeat(json.dumps(payload).encode())


LOOKUPS = (
    st.builds(LookUp, st.just("abc"), hadd=HADDS)
    | st.builds(LookUp, st.just("abc"), name=st.text(max_size=9), location=st.none() | st.text(max_size=9))
    | st.builds(LookUp, st.just("abc"), location=st.text(max_size=9))
    | st.builds(LookUp, st.just("abc"), cmd_classes=st.lists(st.integers(0, 9999), min_size=1).map(tuple))
)


@given(LOOKUPS)
def test_lookups_round_trip(lookup: LookUp) -> None:
    assert parse_lookup(lookup.topic, json.dumps(lookup.payload()).encode()) == lookup


@pytest.mark.parametrize(
    ("raw", "numbers"), [(["0x1030"], (0x1030,)), ("49", (49,)), (49, (49,)), (["0049", 7], (49, 7))]
)
def test_command_classes_as_people_write_them(raw: Any, numbers: tuple[int, ...]) -> None:
    payload = json.dumps({"rep_uuid": "a", "cmd_classes": raw}).encode()
    assert parse_lookup(topics.LOOKUP_CLASSES, payload).cmd_classes == numbers


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (topics.LOOKUP_CLASSES, {"cmd_classes": []}),
        (topics.LOOKUP_CLASSES, {"cmd_classes": ["x"]}),
        (topics.LOOKUP_NAME, {"name": 7}),
        (topics.LOOKUP_HADD, {"hadd": "?"}),
        (topics.LOOKUP_HADD, {"add_ctrl": 1}),
    ],
)
def test_whoever_asks_wrongly_can_be_told(topic: str, payload: Any) -> None:
    with pytest.raises(MalformedRequestError) as error:
        parse_lookup(topic, json.dumps({"rep_uuid": "abc", **payload}).encode())
    assert error.value.sender == "abc"


@pytest.mark.parametrize("rep_uuid", [None, 7, "", "a/b", "a+", "a#", "a\n"])
def test_without_a_place_to_answer_there_is_nobody_to_tell(rep_uuid: Any) -> None:
    with pytest.raises(MalformedRequestError) as error:
        parse_lookup(topics.LOOKUP_NAME, json.dumps({"rep_uuid": rep_uuid, "name": "x"}).encode())
    assert error.value.sender == ""


def test_answers_of_one_and_of_several_nodes_are_read() -> None:
    node = {"name": "x"}
    one, some = LookUp("a", hadd=Hadd(1, 2)), LookUp("a", name="x")
    head = {"rep_uuid": "a", "msg_status": 200}
    assert found_nodes(one, {**head, **node})["0001/0002"]["name"] == "x"
    assert found_nodes(some, {**head, "0001/0002": node}) == {"0001/0002": {"hadd": "0001/0002", **node}}
    with pytest.raises(LookupError, match="nobody knows it"):
        found_nodes(one, {"rep_uuid": "a", "msg_status": 400, "msg_error": "nobody knows it"})
