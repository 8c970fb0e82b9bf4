"""Requests on the wire: read from payloads, written to payloads. Pure functions; any thread.

Source: `protocol.md`, "Discovery" and "Reading and writing a value".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from janitoo_actors.protocol.codes import CommandClass, Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.reading import MAX_DEPTH

MAX_REQUEST_BYTES: Final = 65_536
"""The largest request that is read. A real one is some 200 bytes; a reply may be megabytes."""

_ENCODER: Final = json.JSONEncoder(allow_nan=False)
_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_UUID: Final = re.compile(r"[^/+#]{1,128}")
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", "none", ""})


class Discovery(StrEnum):
    """What a discovery request asks for."""

    NODES = "request_info_nodes"
    USERS = "request_info_users"
    CONFIGS = "request_info_configs"
    SYSTEMS = "request_info_systems"
    BASICS = "request_info_basics"
    COMMANDS = "request_info_commands"

    @property
    def genre(self) -> Genre | None:
        """The genre of the values that are asked for; None for the nodes themselves."""
        return _GENRE_OF.get(self)

    @property
    def indexed(self) -> bool:
        """Whether the reply has a level for the index of an instance."""
        return self in {Discovery.USERS, Discovery.CONFIGS, Discovery.BASICS}


_GENRE_OF: Final[Mapping[Discovery, Genre]] = {
    Discovery.USERS: Genre.USER,
    Discovery.CONFIGS: Genre.CONFIG,
    Discovery.SYSTEMS: Genre.SYSTEM,
    Discovery.BASICS: Genre.BASIC,
    Discovery.COMMANDS: Genre.COMMAND,
}


class NodeState(StrEnum):
    """The state of a node, as heartbeats carry it."""

    BOOT = "BOOT"
    SYSTEM = "SYSTEM"
    CONFIG = "CONFIG"
    INIT = "INIT"
    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    PENDING = "PENDING"
    FAILED = "FAILED"
    DEAD = "DEAD"


class MalformedRequestError(ValueError):
    """A payload that is no request; there is nobody to answer.

    Attributes:
        sender: the requester's reply address as it stands in the payload, where one could be read.
    """

    def __init__(self, reason: str, sender: str = "") -> None:
        super().__init__(reason)
        self.sender = sender


@dataclass(frozen=True, slots=True)
class DiscoveryRequest:
    """A request for one of the six lists."""

    what: Discovery
    reply_hadd: Hadd
    raw: Mapping[str, Any]

    def reply(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The reply: the request with `data` added."""
        return {**self.raw, "data": data}


@dataclass(frozen=True, slots=True)
class ValueRequest:
    """A request to read or write one value.

    Attributes:
        hadd: the node that is meant, where the payload names one; the topic says it otherwise.
        genre: None where the payload has none that exists.
        write: whether to write; otherwise the request reads.
        index: which instance; 0 where the payload has none. Negative never.
        reply_hadd: where to answer; None where the payload has none.
    """

    uuid: str
    cmd_class: int
    genre: Genre | None
    data: Any
    write: bool
    index: int
    hadd: Hadd | None
    reply_hadd: Hadd | None
    raw: Mapping[str, Any]


Request = DiscoveryRequest | ValueRequest


def parse_request(payload: bytes) -> Request:
    """Read a request.

    Raises:
        MalformedRequestError: for anything that is no request, whatever its bytes.
    """
    raw = load_object(payload)
    sender = str(raw.get("reply_hadd", ""))[:32]
    reply_hadd = _optional_hadd(raw, "reply_hadd", sender)
    uuid = raw.get("uuid")
    if not isinstance(uuid, str) or _UUID.fullmatch(uuid) is None or not uuid.isprintable():
        # It becomes a part of the answer's topic, so that it must be one level of a topic.
        raise MalformedRequestError("no uuid: expected the name of a list or of a value", sender)
    cmd_class = _whole_number(raw.get("cmd_class"), "cmd_class", sender)
    if cmd_class == CommandClass.DISCOVERY:
        if uuid not in set(Discovery):
            raise MalformedRequestError(f"{uuid[:64]!r} is none of the six discovery requests", sender)
        if reply_hadd is None:
            raise MalformedRequestError("no reply_hadd: there is nowhere to answer", sender)
        return DiscoveryRequest(Discovery(uuid), reply_hadd, raw)
    genre_number = _whole_number(raw.get("genre"), "genre", sender)
    return ValueRequest(
        uuid=uuid,
        cmd_class=cmd_class,
        genre=Genre(genre_number) if genre_number in set(Genre) else None,
        data=raw.get("data"),
        write=_boolean(raw.get("is_writeonly"), "is_writeonly", sender),
        index=_index(raw.get("index"), sender),
        hadd=_optional_hadd(raw, "hadd", sender),
        reply_hadd=reply_hadd,
        raw=raw,
    )


def load_object(payload: bytes, *, limit: int | None = MAX_REQUEST_BYTES) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        MalformedRequestError: where the payload is larger than `limit` bytes, no UTF-8, no JSON, nested deeper than
            `MAX_DEPTH`, or no object.
    """
    if limit is not None and len(payload) > limit:
        raise MalformedRequestError(f"{len(payload)} bytes: at most {limit} are read")
    try:
        raw = json.loads(payload, parse_constant=_refuse_constant, parse_float=_finite_float)
    except (ValueError, RecursionError) as error:
        # UnicodeDecodeError and JSONDecodeError are ValueErrors; nesting beyond Python's stack is a RecursionError.
        raise MalformedRequestError(f"no JSON: {error}") from None
    if not isinstance(raw, dict):
        raise MalformedRequestError(f"expected a JSON object, found {type(raw).__name__}")
    if _is_deeper(raw, MAX_DEPTH):
        # What can just be read cannot be written again from further up the stack.
        raise MalformedRequestError(f"nested deeper than {MAX_DEPTH} levels")
    return raw


def dump(payload: Mapping[str, Any]) -> bytes:
    """Write a payload as UTF-8 JSON.

    Raises:
        ValueError: for NaN and infinity, which JSON does not have.
        TypeError: for an object that JSON does not have.
    """
    return json.dumps(payload, allow_nan=False).encode("ascii")


def dump_data(data: Any) -> bytes:
    """Write one item of data as UTF-8 JSON. Raises as `dump`."""
    if type(data) is float and math.isfinite(data):
        # What most readings are; as the encoder has it.
        return float.__repr__(data).encode("ascii")
    return _ENCODER.encode(data).encode("ascii")


def finite(data: Any) -> Any:
    """The data, with numbers that JSON cannot carry (NaN, infinity) as None."""
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _is_deeper(data: Any, depth: int) -> bool:
    if not isinstance(data, dict | list):
        return False
    inner = data.values() if isinstance(data, dict) else data
    return depth == 0 or any(_is_deeper(each, depth - 1) for each in inner)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:32]} is too large for a number")
    return number


def _whole_number(raw: Any, key: str, sender: str) -> int:
    # Numbers in strings are accepted: command lines of the field send them.
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and _NUMBER.fullmatch(raw) is not None:
        return int(raw)
    raise MalformedRequestError(f"{key} = {str(raw)[:64]!r}: expected a whole number", sender)


def _index(raw: Any, sender: str) -> int:
    if raw is None:
        return 0
    index = _whole_number(raw, "index", sender)
    if index < 0:
        raise MalformedRequestError(f"index = {index}: expected 0 or more", sender)
    return index


def _boolean(raw: Any, key: str, sender: str) -> bool:
    # "Booleans may arrive as strings."
    if raw is None:
        return False
    if isinstance(raw, bool | int):
        return bool(raw)
    if isinstance(raw, str) and raw.lower() in _TRUE:
        return True
    if isinstance(raw, str) and raw.lower() in _FALSE:
        return False
    raise MalformedRequestError(f"{key} = {str(raw)[:64]!r}: expected true or false", sender)


def _optional_hadd(raw: Mapping[str, Any], key: str, sender: str) -> Hadd | None:
    text = raw.get(key)
    if text is None:
        return None
    if not isinstance(text, str):
        raise MalformedRequestError(f"{key} = {str(text)[:64]!r}: expected an address as 0121/0000", sender)
    try:
        return Hadd.parse(text)
    except ValueError as error:
        raise MalformedRequestError(f"{key}: {error}", sender) from None
