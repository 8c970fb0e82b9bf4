"""The answers to reads and writes of values. Pure functions. Source: `protocol.md`, "Reading and writing a value"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from janitoo_actors.protocol import topics
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import ValueRequest, dump
from janitoo_actors.runtime.messages import Publish
from janitoo_actors.runtime.values import NodeValue


def success(request: ValueRequest, value: NodeValue) -> dict[str, Any]:
    """The answer to a request that was served: the value as it is now."""
    if value.genre in {Genre.CONFIG, Genre.SYSTEM}:
        return {
            **request.raw,
            "data": value.data[request.index],
            "is_writeonly": False,
            "is_readonly": True,
            "label": value.label,
            "help": value.help,
        }
    full = value.wire(request.index)
    kept = ("data", "is_readonly", "is_writeonly")
    return {**full, **request.raw, **{key: full[key] for key in kept}}


def refusal(request: ValueRequest, why: str, value: NodeValue | None = None) -> dict[str, Any]:
    """The answer to a request that cannot be served: the value unchanged, and why."""
    if value is not None and request.index < len(value.data):
        return {**success(request, value), "error": why}
    return {**request.raw, "data": None, "is_writeonly": False, "is_readonly": True, "error": why}


def answer(payload: dict[str, Any], request: ValueRequest, hadd: Hadd) -> Iterator[Publish]:
    """Where an answer goes."""
    encoded = dump(payload)
    if request.genre in {Genre.CONFIG, Genre.SYSTEM}:
        yield Publish(topics.value(request.genre, hadd, request.uuid), encoded)
        return
    if request.reply_hadd is not None:
        yield Publish(topics.node_reply(request.reply_hadd), encoded)
    if request.genre is not None and "error" not in payload:
        yield Publish(topics.value(request.genre, hadd, request.uuid), encoded)
