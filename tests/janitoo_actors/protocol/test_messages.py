"""Requests: what is read of them, and that nothing else gets through."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import (
    MAX_REQUEST_BYTES,
    Discovery,
    DiscoveryRequest,
    MalformedRequestError,
    ValueRequest,
    dump,
    finite,
    parse_request,
)

READ: dict[str, Any] = {
    "cmd_class": 112,
    "uuid": "location",
    "data": None,
    "reply_hadd": "9999/9990",
    "genre": 3,
    "is_writeonly": False,
    "is_readonly": True,
    "hadd": "0121/0000",
}


def parsed(**changes: Any) -> ValueRequest:
    request = parse_request(json.dumps(READ | changes).encode())
    assert isinstance(request, ValueRequest)
    return request


def refusal(payload: bytes) -> MalformedRequestError:
    with pytest.raises(MalformedRequestError) as failure:
        parse_request(payload)
    return failure.value


@pytest.mark.parametrize("what", Discovery)
def test_discovery(what: Discovery) -> None:
    payload = {"cmd_class": 20480, "genre": 4, "uuid": what.value, "reply_hadd": "9999/9990"}
    request = parse_request(json.dumps(payload).encode())
    assert request == DiscoveryRequest(what, Hadd(9999, 9990), payload)


def test_genres_of_the_lists() -> None:
    assert {what.value: what.genre for what in Discovery} == {
        "request_info_nodes": None,
        "request_info_users": Genre.USER,
        "request_info_configs": Genre.CONFIG,
        "request_info_systems": Genre.SYSTEM,
        "request_info_basics": Genre.BASIC,
        "request_info_commands": Genre.COMMAND,
    }


def test_read_and_write() -> None:
    request = parsed()
    assert (request.uuid, request.cmd_class, request.genre, request.data) == ("location", 112, Genre.CONFIG, None)
    assert (request.hadd, request.reply_hadd, request.index, request.write) == (
        Hadd(121, 0),
        Hadd(9999, 9990),
        0,
        False,
    )
    assert parsed(is_writeonly=True, data="x").write
    assert request.raw == READ


@pytest.mark.parametrize(("raw", "write"), [(True, True), ("True", True), ("1", True), ("False", False), (0, False)])
def test_booleans_may_be_texts(raw: Any, write: bool) -> None:
    assert parsed(is_writeonly=raw).write is write


def test_numbers_may_be_texts() -> None:
    request = parsed(cmd_class="112", genre="3", index="2")
    assert (request.cmd_class, request.genre, request.index) == (112, Genre.CONFIG, 2)


def test_genre_that_does_not_exist() -> None:
    assert parsed(genre=99).genre is None


def test_what_may_be_missing() -> None:
    request = parse_request(b'{"cmd_class": 112, "uuid": "x", "genre": 3}')
    assert isinstance(request, ValueRequest)
    assert (request.hadd, request.reply_hadd, request.data, request.index) == (None, None, None, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": None},
        {"uuid": ""},
        {"uuid": 3},
        {"uuid": "a/b"},
        {"uuid": "+"},
        {"uuid": "#"},
        {"uuid": "a\x00"},
        {"cmd_class": None},
        {"cmd_class": True},
        {"cmd_class": 1.5},
        {"cmd_class": "many"},
        {"cmd_class": 20480},
        {"genre": None},
        {"index": -1},
        {"index": "-1"},
        {"index": 0.5},
        {"is_writeonly": "perhaps"},
        {"is_writeonly": []},
        {"hadd": 121},
        {"hadd": "0121"},
        {"reply_hadd": "#"},
        {"reply_hadd": {}},
    ],
)
def test_malformed(changes: dict[str, Any]) -> None:
    refusal(json.dumps(READ | changes).encode())


def test_sender_is_named_where_it_could_be_read() -> None:
    assert refusal(json.dumps(READ | {"uuid": None}).encode()).sender == "9999/9990"
    assert refusal(b"{").sender == ""
    assert len(refusal(json.dumps({"reply_hadd": "x" * 1000}).encode()).sender) <= 32


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"x"',
        b"\xff",
        b'{"data": NaN}',
        b'{"data": 1e999}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"1" * 60_000,
        b'{"uuid": "\\ud800"}',
    ],
)
def test_no_request(payload: bytes) -> None:
    refusal(payload)


def test_large_request_is_not_read() -> None:
    padding = " " * MAX_REQUEST_BYTES
    assert "at most 65536 are read" in str(refusal((json.dumps(READ) + padding).encode()))


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.sampled_from(["0121/0001", "request_info_nodes", 20480, 112, "112", "True", "1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
KEYS = st.sampled_from([*READ, "index"])


def read_or_refused(payload: bytes) -> None:
    # Any other exception fails the test.
    try:
        request = parse_request(payload)
    except MalformedRequestError:
        return
    # What was read can be answered.
    json.loads(dump(dict(request.raw)))
    assert "/" not in request.raw["uuid"]


@given(st.binary())
def test_any_bytes_are_a_request_or_malformed(payload: bytes) -> None:
    read_or_refused(payload)


@given(st.dictionaries(KEYS, VALUES))
def test_any_object_is_a_request_or_malformed(changes: dict[str, Any]) -> None:
    read_or_refused(json.dumps(changes).encode())


@given(st.dictionaries(KEYS, VALUES, max_size=2), st.sets(KEYS, max_size=2))
def test_any_change_to_a_request_is_a_request_or_malformed(changes: dict[str, Any], gone: set[str]) -> None:
    payload = {key: value for key, value in (READ | changes).items() if key not in gone}
    read_or_refused(json.dumps(payload).encode())


@given(st.integers(0, 300), st.binary(min_size=1, max_size=4))
def test_any_damage_to_a_request_is_a_request_or_malformed(at: int, damage: bytes) -> None:
    payload = json.dumps(READ).encode()
    read_or_refused(payload[:at] + damage + payload[at + len(damage) :])


@pytest.mark.parametrize("data", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have(data: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump({"data": data})
    assert finite(data) is None
    assert finite(1.5) == 1.5
