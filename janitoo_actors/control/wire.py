"""The protocol of the control socket: one JSON object a line. Pure functions; any thread.

`docs/control.md` describes it for whoever writes a client.
"""

from __future__ import annotations

import contextlib
import json
import os
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

VERSION: Final = 1
MOST_REQUEST: Final = 65_536
"""Bytes of a request, its line end included."""
SOCKET: Final = "sock"
"""The suffix of the socket in the runtime folder of its server."""
MOST_REPLY: Final = 16 << 20
"""Bytes of a reply."""

T = TypeVar("T")


class ErrorCode(StrEnum):
    """Why a request is not served."""

    MALFORMED = "malformed"
    """It is no JSON object, or has the wrong keys."""
    VERSION = "version"
    """It is of a version that the server does not speak."""
    UNKNOWN = "unknown"
    """There is no such request."""
    DENIED = "denied"
    """Who asks may not."""
    BUSY = "busy"
    """Something else is at work; later it may be served."""
    REFUSED = "refused"
    """What is asked cannot be done; the message says why."""
    FAILED = "failed"
    """A fault of the server."""


class RequestError(Exception):
    """A request that is not served.

    Attributes:
        code: why, for programs.
        details: each thing that is wrong, a sentence each; empty where the message is all.
    """

    def __init__(self, code: ErrorCode, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request as it came.

    Attributes:
        id: what the asker put there; it is in the reply.
        data: the other keys.
    """

    request: str
    id: str | int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def parse_envelope(line: bytes) -> Envelope:
    """Read a line. Raises RequestError."""
    try:
        read = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(ErrorCode.MALFORMED, f"expected one JSON object on a line: {error}"[:300]) from None
    if not isinstance(read, dict):
        raise RequestError(ErrorCode.MALFORMED, "expected one JSON object on a line")
    if read.get("version") != VERSION:
        raise RequestError(ErrorCode.VERSION, f'expected "version": {VERSION}: this server speaks no other')
    request = read.get("request")
    if not isinstance(request, str):
        raise RequestError(ErrorCode.MALFORMED, 'expected "request": the name of a request, as "ping"')
    identity = read.get("id")
    if identity is not None and not isinstance(identity, str | int):
        raise RequestError(ErrorCode.MALFORMED, '"id": expected a text or a whole number')
    data = {key: item for key, item in read.items() if key not in {"version", "request", "id"}}
    return Envelope(request, identity, data)


def decode(kind: type[T], data: Mapping[str, Any]) -> T:
    """Make a request of its keys, each of the type that the dataclass says. Raises RequestError."""
    hints = typing.get_type_hints(kind)
    # All kinds are dataclasses, which a type variable cannot be bound to.
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            names = ", ".join(known) or "none"
            raise RequestError(ErrorCode.MALFORMED, f"{key[:80]!r} is no key of this request; there are: {names}")
    for name, each in known.items():
        if name not in data:
            if each.default is MISSING and each.default_factory is MISSING:
                raise RequestError(ErrorCode.MALFORMED, f"{name!r} is missing")
        elif not _fits(data[name], hints[name]):
            raise RequestError(ErrorCode.MALFORMED, f"{name!r}: expected {_words(hints[name])}")
    return kind(**data)


def encode_request(request: str, data: Mapping[str, Any]) -> bytes:
    """A request, as a line."""
    return json.dumps({"version": VERSION, "request": request, **data}).encode() + b"\n"


def encode_reply(identity: Any, reply: Any, *, more: bool = False) -> bytes:
    """The reply to a request that was served, as a line. Raises RequestError where it is too large.

    Args:
        more: whether it is one of many, and not the last.
    """
    envelope = {"version": VERSION, "id": identity, "ok": True, **({"more": True} if more else {})}
    line = json.dumps({**envelope, "result": plain(reply)}).encode() + b"\n"
    if len(line) > MOST_REPLY:
        raise RequestError(ErrorCode.REFUSED, f"the reply has {len(line)} bytes, more than {MOST_REPLY}: ask for less")
    return line


def encode_error(identity: Any, error: RequestError) -> bytes:
    """The reply to a request that was not served, as a line."""
    said = {"code": error.code.value, "message": str(error), "details": list(error.details)}
    return json.dumps({"version": VERSION, "id": identity, "ok": False, "error": said}).encode() + b"\n"


def plain(reply: Any) -> Any:
    """A reply in what JSON has: dataclasses as objects, paths as text."""
    if is_dataclass(reply) and not isinstance(reply, type):
        return {each.name: plain(getattr(reply, each.name)) for each in fields(reply)}
    if isinstance(reply, Mapping):
        return {str(key): plain(item) for key, item in reply.items()}
    if isinstance(reply, list | tuple):
        return [plain(item) for item in reply]
    return str(reply) if isinstance(reply, Path) else reply


def _kinds(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _fits(item: Any, hint: Any) -> bool:
    if hint is Any:
        return True
    kinds = _kinds(hint)
    if isinstance(item, bool):
        return bool in kinds
    return isinstance(item, tuple(kinds)) or (isinstance(item, int) and float in kinds)


def _words(hint: Any) -> str:
    if hint is Any:
        return "anything"
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    return " or ".join(words[kind] for kind in _kinds(hint))


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for a socket that is short enough for the kernel, however long its path is; for a moment."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
