"""Reading what others publish: every shape, and anything at all."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.protocol.reading import MAX_DEPTH, command_class, iter_nodes, iter_values, read_json

KEYS = st.text() | st.sampled_from(["uuid", "hadd", "genre", "data", "index", "0", "1", "0121/0001", "cmd_class"])
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
VALUE = {"uuid": "load", "hadd": "0121/0001", "index": 0, "genre": 1, "data": 0.5}


@given(JSON)
def test_any_json_is_read(data: Any) -> None:
    for node in iter_nodes(data):
        assert isinstance(node["hadd"], str)
    for value in iter_values(data):
        assert isinstance(value["uuid"], str)
        command_class(value)


@given(st.binary())
def test_any_bytes_are_json_or_a_value_error(payload: bytes) -> None:
    try:
        data = read_json(payload)
    except ValueError:
        return
    json.dumps(data, allow_nan=False)


@given(JSON)
def test_json_is_read_as_it_was_written(data: Any) -> None:
    def plain(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: plain(below) for key, below in each.items()}
        if isinstance(each, list):
            return [plain(below) for below in each]
        return None if isinstance(each, float) and not math.isfinite(each) else each

    assert read_json(json.dumps(data).encode()) == plain(data)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_none(number: str) -> None:
    assert read_json(f'{{"data": [{number}, 1.5]}}'.encode()) == {"data": [None, 1.5]}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="nested"):
        read_json(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    "data",
    [
        VALUE,
        {"load": VALUE},
        {"0": VALUE},
        {"0121/0001": {"load": VALUE}},
        {"0121/0001": {"load": {"0": VALUE}}},
    ],
)
def test_the_levels_above_a_value(data: Any) -> None:
    assert list(iter_values(data)) == [VALUE]


def test_levels_say_what_a_value_does_not() -> None:
    bare = {"uuid": "load", "hadd": None, "data": 0.5}

    values = list(iter_values({"121/1": {"load": {"0": bare, "2": {**bare, "index": 1}}}}))

    assert [(value["hadd"], value["index"]) for value in values] == [("0121/0001", 0), ("0121/0001", 1)]


@pytest.mark.parametrize("data", [{"hadd": "0001/0000"}, {"any": {"hadd": "0001/0000"}}])
def test_a_node_alone_and_under_a_key(data: Any) -> None:
    assert list(iter_nodes(data)) == [{"hadd": "0001/0000"}]
