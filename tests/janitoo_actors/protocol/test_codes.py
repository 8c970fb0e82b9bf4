"""The numbers of the protocol, held to the original's tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from janitoo_actors.protocol.codes import Capability, CommandClass, Genre, ValueType
from janitoo_actors.protocol.entries import standard_entries, standard_entry

DATA = Path(__file__).parents[2] / "data"
CODES: Mapping[str, Mapping[str, str]] = json.loads((DATA / "codes.json").read_text())
ENTRIES: Mapping[str, Mapping[str, Any]] = json.loads((DATA / "value_entries.json").read_text())


@pytest.mark.parametrize(
    ("table", "prefix", "enum"),
    [
        ("command_classes", "COMMAND_", CommandClass),
        ("capabilities", "CAPABILITY_", Capability),
        ("genres", "", Genre),
        ("value_types", "", ValueType),
    ],
)
def test_codes_are_the_original_s(table: str, prefix: str, enum: type[IntEnum]) -> None:
    original = {int(number, 0): name.removeprefix(prefix).upper() for number, name in CODES[table].items()}
    assert {int(code): code.name for code in enum} == original


def test_tables_are_all_compared() -> None:
    assert set(CODES) == {"command_classes", "capabilities", "genres", "value_types"}


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_are_the_original_s(name: str) -> None:
    original = ENTRIES[name]
    entry = standard_entry(name)
    assert entry.name == name
    keys = ("genre", "type", "cmd_class", "units", "default", "is_readonly", "is_writeonly", "min", "max")
    assert {key: getattr(entry, key) for key in keys} == {key: original[key] for key in keys}
    assert entry.poll_delay == original.get("default_poll_delay")
    # The original writes 0 for no list.
    assert list(entry.list_items or ()) == (original["list_items"] or [])


def test_there_are_no_other_entries() -> None:
    assert set(standard_entries()) == set(ENTRIES)


def test_unknown_entry() -> None:
    with pytest.raises(LookupError, match="'sensor_temprature'; did you mean 'sensor_temperature'"):
        standard_entry("sensor_temprature")
