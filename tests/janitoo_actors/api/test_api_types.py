"""What each value type accepts, and what it becomes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.api.types import coerce, one_line, seconds, to_text
from janitoo_actors.configuration.edit import set_options
from janitoo_actors.configuration.ini import parse
from janitoo_actors.protocol.codes import ValueType

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        "1",
        "0",
        "-1",
        "255",
        "1.5",
        "60.0",
        "1e3",
        "nan",
        "True",
        "off",
        "0121/0001",
        "121/1",
        "10.0.0.1",
        "::1",
        "#00ff00",
        "[1]",
        "null",
        "[NaN]",
        "[1e999]",
        '{"a": 1}',
        '"a"',
        " 7 ",
        "9007199254740993",
        "1e400",
        "٣",
        "1_0",
        "Infinity",
    ]
)
RAW = JSON | WORDS
TYPES = st.sampled_from(ValueType)
_PATH = Path("x.conf")


def refused(type_: ValueType, raw: Any, **limits: Any) -> str:
    with pytest.raises(ValueError, match=r"^expected ") as failure:
        coerce(type_, raw, **limits)
    return str(failure.value)


@given(TYPES, RAW)
def test_anything_is_data_or_a_sentence(type_: ValueType, raw: Any) -> None:
    try:
        coerce(type_, raw)
    except ValueError as error:
        sentence = str(error)
    else:
        sentence = "expected"
    assert sentence.startswith("expected")


@given(TYPES.filter(lambda type_: type_ not in {ValueType.RAW, ValueType.VAR, ValueType.JSON, ValueType.ARRAY}), RAW)
def test_data_go_through_a_file(type_: ValueType, raw: Any) -> None:
    try:
        data = coerce(type_, raw)
    except ValueError:
        return
    assert coerce(type_, data) == data
    file = set_options(parse(b"[a]\n", _PATH), "a", {"x_0": to_text(data)})
    assert coerce(type_, parse(file, _PATH).options("a")["x_0"]) == data


@given(st.integers(-(10**300), 10**300))
def test_whole_numbers_of_any_size_go_through_a_file(data: int) -> None:
    assert coerce(ValueType.INT, data) == data
    assert coerce(ValueType.INT, to_text(data)) == data


@given(st.lists(JSON, max_size=4))
def test_arrays_go_through_a_file(raw: list[Any]) -> None:
    data = coerce(ValueType.ARRAY, json.loads(json.dumps(raw).replace("NaN", "0").replace("Infinity", "1")))
    file = set_options(parse(b"[a]\n", _PATH), "a", {"x_0": to_text(data)})
    assert coerce(ValueType.ARRAY, parse(file, _PATH).options("a")["x_0"]) == data


@pytest.mark.parametrize(
    ("type_", "raw", "data"),
    [
        (ValueType.BOOL, "Yes", True),
        (ValueType.BOOL, "off", False),
        (ValueType.BOOL, 1, True),
        (ValueType.BYTE, "255", 255),
        (ValueType.SHORT, -32768, -32768),
        (ValueType.INT, "60.0", 60),
        (ValueType.INT, 12.0, 12),
        (ValueType.INT, 2**70, 2**70),
        (ValueType.DECIMAL, "1.5", 1.5),
        (ValueType.STRING, "  My computer ", "My computer"),
        (ValueType.STRING, 12, "12"),
        (ValueType.HADD, "121/1", "0121/0001"),
        (ValueType.IP, "::1", "::1"),
        (ValueType.RGB, "#00ff00", "#00ff00"),
        (ValueType.ARRAY, "[1, 2]", [1, 2]),
        (ValueType.JSON, '{"a": null}', {"a": None}),
    ],
)
def test_accepted(type_: ValueType, raw: Any, data: Any) -> None:
    result = coerce(type_, raw)
    assert result == data
    assert type(result) is type(data)


@pytest.mark.parametrize(
    ("type_", "raw", "sentence"),
    [
        (ValueType.BOOL, "maybe", "expected True or False"),
        (ValueType.BOOL, 2, "expected True or False"),
        (ValueType.BYTE, 256, "expected a whole number from 0 to 255"),
        (ValueType.BYTE, "x", "expected a whole number from 0 to 255"),
        (ValueType.SHORT, 32768, "expected a whole number from -32768 to 32767"),
        (ValueType.INT, 1.5, "expected a whole number"),
        (ValueType.INT, True, "expected a whole number"),
        (ValueType.INT, 10**400, "expected a whole number"),
        (ValueType.DECIMAL, "nan", "expected a finite number"),
        (ValueType.DECIMAL, None, "expected a number"),
        (ValueType.STRING, "a\nb", "expected a text of one line, without control characters"),
        (ValueType.STRING, None, "expected a text"),
        (ValueType.HADD, "0121", "expected an address CCCC/NNNN, as 0121/0001"),
        (ValueType.IP, "localhost", "expected an IP address"),
        (ValueType.RGB, "red", "expected a colour as #rrggbb"),
        (ValueType.ARRAY, '{"a": 1}', "expected a JSON array"),
        (ValueType.JSON, "{", "expected JSON"),
        (ValueType.ARRAY, "[NaN]", "expected JSON"),
        (ValueType.ARRAY, "[1e999]", "expected JSON"),
        (ValueType.JSON, "[" * 100_000, "expected JSON"),
    ],
)
def test_refused(type_: ValueType, raw: Any, sentence: str) -> None:
    assert refused(type_, raw) == sentence


def test_limits() -> None:
    assert refused(ValueType.INT, 4, minimum=5, maximum=9) == "expected 5 or more"
    assert refused(ValueType.INT, "10", minimum=5, maximum=9) == "expected 9 or less"
    assert refused(ValueType.LIST, "blue", items=("on", "off")) == "expected one of on, off"
    assert coerce(ValueType.INT, 4, minimum=0, maximum=0) == 4
    assert coerce(ValueType.LIST, "on", items=("on", "off")) == "on"
    assert coerce(ValueType.BOOL, True, minimum=5) is True


@given(RAW, st.none() | st.integers(0, 5000))
def test_seconds(raw: Any, maximum: int | None) -> None:
    try:
        number = seconds(raw, maximum=maximum)
    except ValueError as error:
        sentence = str(error)
    else:
        sentence = "expected a number of seconds, 0"
        assert math.isfinite(number)
        assert 0 <= number <= (math.inf if maximum is None else maximum)
        assert isinstance(number, int) or number != int(number)
        assert seconds(to_text(number), maximum=maximum) == number
    assert sentence.startswith("expected a number of seconds, 0")


def test_seconds_says_the_limit() -> None:
    with pytest.raises(ValueError, match=r"^expected a number of seconds, 0 to 3000$"):
        seconds("abc", maximum=3000)
    with pytest.raises(ValueError, match=r"^expected a number of seconds, 0 or more$"):
        seconds(-1)


@given(st.text())
def test_one_line_is_what_a_file_can_hold(raw: str) -> None:
    try:
        text = one_line(raw)
    except ValueError:
        assert not raw.isprintable()
        return
    assert text == raw.strip()
    file = set_options(parse(b"[a]\n", _PATH), "a", {"x": text})
    assert parse(file, _PATH).options("a") == {"x": text}
