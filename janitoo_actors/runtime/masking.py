"""The messages between actors in words, for who looks at them: without what may be a password."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from janitoo_actors.api.options import HIDDEN
from janitoo_actors.protocol.codes import Genre, ValueType
from janitoo_actors.protocol.messages import ValueRequest
from janitoo_actors.runtime.messages import AskedHere, Configure, Written
from supervisors.child_process import Call

_MOST_SHOWN: Final = 300
_DEEPEST: Final = 8
"""Levels of what came over the air that are looked through for passwords; what is below is not shown."""
_SHORT: Final = len(b"OFFLINE")
_CONFIGURED: Final = frozenset({"config", "options"})
_UNSAID: Final = frozenset({"reply_to", "ref", "answered", "raw"})


class _Words(str):
    """A text that stands for something else than a text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


_MASK: Final = _Words(HIDDEN)


def in_words(message: Any, secrets: frozenset[str]) -> str:
    """A message, in a line of some hundred characters.

    Args:
        secrets: the uuids of values whose data are shown to nobody.
    """
    if not is_dataclass(message) or isinstance(message, type):
        return _cut(_masked(message, secrets, _DEEPEST))
    parts = []
    for each in fields(message):
        item = getattr(message, each.name)
        if each.name in _UNSAID:
            continue
        if each.name in _CONFIGURED or (each.name == "args" and isinstance(message, Call)):
            # Options as the file has them.
            shown = HIDDEN
        elif each.name == "data" and _is_secret(message, secrets):
            shown = HIDDEN
        elif isinstance(item, bytes):
            shown = _payload(item, secrets)
        else:
            shown = _cut(_masked(item, secrets, _DEEPEST))
        parts.append(f"{each.name}={shown}")
    return f"{type(message).__name__}({', '.join(parts)})"[:_MOST_SHOWN]


def _is_secret(message: Any, secrets: frozenset[str]) -> bool:
    """Whether the data of a message may be a password: what people write at the machine, or to a setting."""
    if getattr(message, "uuid", None) in secrets:
        return True
    if isinstance(message, ValueRequest):
        return isinstance(message, AskedHere) or (message.write and message.genre is Genre.CONFIG)
    # Written does not say of which value it is; what was written is shown where that is asked for.
    return isinstance(message, Configure | Written)


def _payload(payload: bytes, secrets: frozenset[str]) -> str:
    """A payload of MQTT: where it is JSON, without the data of secrets and of writes to settings."""
    try:
        read = json.loads(payload)
    except (ValueError, RecursionError):
        # A node's state; or what nobody can read, and a write of a password may be in it.
        return _cut(payload) if len(payload) <= _SHORT else f"<{len(payload)} bytes that are no JSON>"
    return _cut(_Words(json.dumps(_masked(read, secrets, _DEEPEST), ensure_ascii=False)))


def _masked(item: Any, secrets: frozenset[str], depth: int) -> Any:
    """What came over the air, with the data of passwords hidden."""
    if isinstance(item, Mapping):
        if not depth:
            return _MASK
        hidden = _hides(item, secrets)
        return {
            key: _MASK if hidden and key == "data" and each is not None else _masked(each, secrets, depth - 1)
            for key, each in item.items()
        }
    if is_dataclass(item) and not isinstance(item, type):
        return _Words(in_words(item, secrets))
    if isinstance(item, list | tuple):
        shown = [_masked(each, secrets, depth - 1) for each in item] if depth else _MASK
        return tuple(shown) if isinstance(item, tuple) else shown
    return item


def _hides(item: Mapping[Any, Any], secrets: frozenset[str]) -> bool:
    uuid = item.get("uuid")
    if item.get("type") == ValueType.PASSWORD or (isinstance(uuid, str) and uuid in secrets):
        return True
    # A request has no type: its asker need not know it. Those from the console to another process have no genre.
    return "type" not in item and (item.get("genre") == Genre.CONFIG or item.get("write") is True)


def _cut(item: Any) -> str:
    try:
        text = repr(item)
    except Exception as error:  # noqa: BLE001 - somebody's __repr__ has a bug; who looks must see something
        text = f"<{type(item).__name__}: {type(error).__name__}>"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
