"""Reading what others publish: every shape that senders of the field use. Pure functions; any thread.

Source: `protocol.md`, "Discovery" ("a reader accepts all of …") and "Values on the air".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from janitoo_actors.protocol.hadd import Hadd

MAX_DEPTH: Final = 64
"""How deep the JSON of a message may be nested. A reply has 4 levels, and the data of a value some of their own."""

_MAX_INDEX_DIGITS: Final = 4
_VALUE_KEYS: Final = ("genre", "cmd_class", "cmd_classes", "data", "index")


def read_json(payload: bytes) -> Any:
    """What a payload of a peer holds; any size. Numbers that JSON does not have (NaN, infinity) become None.

    The original's senders write NaN; whoever passes a message on must not.

    Raises:
        ValueError: where the payload is no UTF-8, no JSON, or nested deeper than `MAX_DEPTH`.
    """
    try:
        return _plain(json.loads(payload), MAX_DEPTH)
    except RecursionError:
        raise ValueError("nested too deep") from None


def iter_nodes(data: object) -> Iterator[Mapping[str, Any]]:
    """The nodes of a reply to `request_info_nodes`: `{key: node}`, or one bare node."""
    if not isinstance(data, Mapping):
        return
    if isinstance(data.get("hadd"), str):
        yield data
        return
    for node in data.values():
        if isinstance(node, Mapping) and isinstance(node.get("hadd"), str):
            yield node


def iter_values(data: object) -> Iterator[Mapping[str, Any]]:
    """The values of a reply or of a topic, in order, whatever the levels above them.

    Accepts a bare value, `{uuid: value}`, `{index: value}`, `{hadd: {uuid: value}}` and
    `{hadd: {uuid: {index: value}}}`. What is no value is passed over. A value that does not say its `hadd` or its
    `index` gets that of the level above it.
    """
    yield from _values(data, 3, {})


def command_class(value: Mapping[str, Any]) -> Any:
    """The command class of a value; old senders say `cmd_classes`."""
    return value.get("cmd_class", value.get("cmd_classes"))


def _values(data: object, levels: int, above: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not isinstance(data, Mapping):
        return
    if isinstance(data.get("uuid"), str) and any(key in data for key in _VALUE_KEYS):
        missing = {key: known for key, known in above.items() if data.get(key) is None}
        yield {**data, **missing} if missing else data
    elif levels > 0:
        for key, below in data.items():
            yield from _values(below, levels - 1, {**above, **_level(key)})


def _level(key: str) -> dict[str, Any]:
    """What the key of a level says about the values below it; nothing where it is their uuid."""
    if key.isascii() and key.isdigit() and len(key) <= _MAX_INDEX_DIGITS:
        return {"index": int(key)}
    try:
        return {"hadd": str(Hadd.parse(key))}
    except ValueError:
        return {}


def _plain(data: Any, depth: int) -> Any:
    if isinstance(data, dict | list) and depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(data, dict):
        return {key: _plain(each, depth - 1) for key, each in data.items()}
    if isinstance(data, list):
        return [_plain(each, depth - 1) for each in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
