"""The standard value entries of Janitoo, by their names."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from janitoo_actors.protocol.codes import Genre, ValueType


@dataclass(frozen=True, slots=True)
class Entry:
    """What a value of this name is, unless its declaration says otherwise.

    Attributes:
        name: the `entry_name` of the wire, as `sensor_temperature`.
        poll_delay: seconds between two polls; None where such a value is not polled.
    """

    name: str
    genre: Genre
    type: ValueType
    cmd_class: int
    units: str | None
    default: Any
    is_readonly: bool
    is_writeonly: bool
    list_items: tuple[str, ...] | None
    min: float | None
    max: float | None
    poll_delay: float | None


@cache
def standard_entries() -> Mapping[str, Entry]:
    """All standard entries, read once from the package's data (a small file: blocks for a millisecond)."""
    text = resources.files("janitoo_actors").joinpath("data/value_entries.json").read_text(encoding="utf-8")
    return MappingProxyType({name: _entry(name, raw) for name, raw in json.loads(text).items()})


def standard_entry(name: str) -> Entry:
    """The standard entry of this name.

    Raises:
        LookupError: where there is none; the message names the closest.
    """
    entries = standard_entries()
    try:
        return entries[name]
    except KeyError:
        near = difflib.get_close_matches(name, entries, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(f"no standard value entry {name!r}{hint}") from None


def _entry(name: str, raw: Mapping[str, Any]) -> Entry:
    items = raw["list_items"]
    # The original writes 0 for "none" in a list of items.
    return Entry(
        name=name,
        genre=Genre(raw["genre"]),
        type=ValueType(raw["type"]),
        cmd_class=raw["cmd_class"],
        units=raw["units"],
        default=raw["default"],
        is_readonly=raw["is_readonly"],
        is_writeonly=raw["is_writeonly"],
        list_items=tuple(items) if items else None,
        min=raw["min"],
        max=raw["max"],
        poll_delay=raw.get("default_poll_delay"),
    )
