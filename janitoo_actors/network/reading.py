"""Nodes and values of others, in one shape whatever shape they came in. Pure functions; any thread."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import MalformedRequestError
from janitoo_actors.protocol.reading import command_class
from janitoo_actors.protocol.resolv import parse_state

_UUID: Final = re.compile(r"[^/+#]{1,128}")
_FLAGS: Final = ("is_polled", "is_readonly", "is_writeonly")
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_HIGHEST_INDEX: Final = 9999
_MOST_CLASSES: Final = 1000


@dataclass(frozen=True, slots=True)
class NodeRead:
    """A node as a reply describes it. `info` has all that the sender said, and the right types."""

    hadd: Hadd
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ValueRead:
    """One instance of a value.

    Attributes:
        whole: whether the sender described all of it; the answer to a read or a write has little more than the data.
    """

    hadd: Hadd
    genre: Genre
    uuid: str
    index: int
    fields: Mapping[str, Any]
    whole: bool


def read_node(raw: Mapping[str, Any]) -> NodeRead:
    """Read a node.

    Raises:
        MalformedRequestError: where it cannot be a node.
    """
    hadd = _hadd(raw.get("hadd"))
    info = dict(raw)
    info["hadd"] = str(hadd)
    info["state"] = parse_state(raw["state"]) if raw.get("state") is not None else "ONLINE"
    classes = raw.get("cmd_classes", raw.get("cmd_class"))
    info["cmd_classes"] = [each for each in map(_number, _some(classes)) if isinstance(each, int)]
    for key in ("uuid", "name", "location"):
        info[key] = raw[key] if isinstance(raw.get(key), str) else ""
    return NodeRead(hadd, MappingProxyType(info))


def read_value(raw: Mapping[str, Any], genre: Genre) -> ValueRead:
    """Read an instance of a value.

    Args:
        raw: as `protocol.reading.iter_values` has it.
        genre: of the list or the topic that it came in.

    Raises:
        MalformedRequestError: where it cannot be a value.
    """
    hadd = _hadd(raw.get("hadd"))
    uuid = raw.get("uuid")
    if not isinstance(uuid, str) or _UUID.fullmatch(uuid) is None:
        raise MalformedRequestError(f"{hadd}: no uuid: expected the name of a value")
    index = _number(raw.get("index", 0))
    index = 0 if index is None else index
    if not isinstance(index, int) or not 0 <= index <= _HIGHEST_INDEX:
        raise MalformedRequestError(f"{hadd} {uuid}: index = {str(index)[:64]!r}: expected a whole number")
    fields = dict(raw)
    fields.pop("cmd_classes", None)
    fields["hadd"] = str(hadd)
    fields["index"] = index
    fields["genre"] = int(genre)
    cmd_class = _number(command_class(raw))
    fields["cmd_class"] = cmd_class if isinstance(cmd_class, int) else None
    fields["data"] = raw.get("data")
    for key in _FLAGS:
        flag = fields.get(key)
        if isinstance(flag, str):
            fields[key] = flag.lower() in _TRUE
    # A value of a list says where it is, for people too; an answer repeats what was asked.
    whole = "units" in raw or "node_uuid" in raw
    return ValueRead(hadd, genre, uuid, index, MappingProxyType(fields), whole)


def _hadd(raw: object) -> Hadd:
    if not isinstance(raw, str):
        raise MalformedRequestError(f"hadd = {str(raw)[:64]!r}: expected an address as 0121/0001")
    try:
        return Hadd.parse(raw)
    except ValueError as error:
        raise MalformedRequestError(str(error)) from None


def _some(raw: object) -> list[object]:
    if isinstance(raw, list):
        return raw[:_MOST_CLASSES]
    return [] if raw is None else [raw]


def _number(raw: object) -> object:
    """A whole number, be it written as text; anything else as it is."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, str) and _WHOLE.fullmatch(raw) is not None:
        return int(raw)
    return int(raw) if isinstance(raw, float) and raw.is_integer() else raw
