"""Tables: aligned, on one line a row, and harmless to a terminal, whatever is in them."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.commands.tables import MAX_CELL, Column, cell, printable, render, titled

COLUMNS = (Column("hadd", 10), Column("data", 6), Column("help", 0))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ANY_TEXT = st.text(st.characters())


def columns_of_a_terminal(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(each) in {"W", "F"} for each in text)
    narrow = sum(unicodedata.category(each) in {"Mn", "Me"} for each in text)
    return len(text) + wide - narrow


@given(ANY_TEXT)
def test_no_control_character_is_printed(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ordinary_text_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_letters_and_signs_of_others_are_printed_as_they_are() -> None:
    assert printable("47.0 °C, Küche 台所") == "47.0 °C, Küche 台所"


@given(st.lists(st.tuples(JSON, JSON, JSON), min_size=1, max_size=4))
def test_any_rows_are_aligned(rows: list[tuple[Any, Any, Any]]) -> None:
    lines = render(COLUMNS, rows)

    assert len(lines) == len(rows) + 1
    header = lines[0]
    starts = [header.index(column.title) for column in COLUMNS]
    assert starts[1] >= 11
    assert starts[2] >= starts[1] + 7
    for line, row in zip(lines[1:], rows, strict=True):
        assert line.isprintable()
        cells = [cell(each) for each in row]
        assert line.endswith(cells[2])
        assert columns_of_a_terminal(line) == starts[2] + columns_of_a_terminal(cells[2])
        before = line.removesuffix(cells[2])
        assert before.startswith(cells[0])
        assert before[len(cells[0]) :].lstrip(" ").startswith(cells[1].lstrip(" "))


def test_nothing_is_shown_under_the_title_of_an_empty_list() -> None:
    assert titled("request_info_users", render(COLUMNS, [])) == ["request_info_users", "----------"]


def test_columns_grow() -> None:
    assert render(COLUMNS, [("0121/0001", "wider than 6", "a"), ("0121/0002", None, "b")]) == [
        "hadd       data         help",
        "0121/0001  wider than 6 a",
        "0121/0002  None         b",
    ]


def test_wide_letters_take_two_columns() -> None:
    lines = render(COLUMNS, [("0121/0001", "台所", "a"), ("0121/0002", "e\u0301té", "b")])

    assert lines[1:] == ["0121/0001  台所   a", "0121/0002  e\u0301té    b"]


def test_structures_are_shown_as_json() -> None:
    assert cell({"a": [1, None, True]}) == '{"a": [1, null, true]}'


def test_very_long_data_are_cut() -> None:
    shown = cell("x" * 100_000)

    assert len(shown) == MAX_CELL
    assert shown.endswith("…")


@given(JSON)
def test_a_cell_says_what_it_holds(data: Any) -> None:
    shown = cell(data)

    if isinstance(data, str | list | dict):
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        assert shown == text or not text.isprintable() or len(text) > MAX_CELL
    else:
        assert shown == str(data)
