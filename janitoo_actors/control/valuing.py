"""The requests about values: `values`, `poll`, `set`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from janitoo_actors.api.options import HIDDEN
from janitoo_actors.control.places import Place, find_value, find_values, from_all
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol.codes import ValueType
from janitoo_actors.runtime.server import Server

_MOST_LISTED: Final = 5_000
_MOST_POLLED: Final = 100
_LONGEST_POLL: Final = 45.0
"""Seconds that a `poll` goes on; the console waits for longer."""
_MARGIN: Final = 1.0
"""Seconds on top of `read_timeout`, after which the node itself says that it has taken too long."""
_UNKNOWN: Final[Mapping[str, Any]] = {
    "age": None,
    "took": None,
    "reads": None,
    "failures": None,
    "failures_in_row": None,
    "error": None,
}


def add_to(requests: Requests) -> None:
    """Have these requests served."""
    requests.add("values", Values, Access.READ, _values)
    requests.add("poll", Poll, Access.ACT, _poll)
    requests.add("set", Set, Access.ACT, _set)


@dataclass(frozen=True, slots=True)
class Values:
    """What are the values?"""

    path: str = "/"
    limit: int = _MOST_LISTED


def _values(server: Server, request: Values, _peer: Peer) -> Mapping[str, Any]:
    found = find_values(server, request.path)
    limit = max(0, min(request.limit, _MOST_LISTED))
    return {"values": describe_values(server, found[:limit]), "left_off": max(0, len(found) - limit)}


def describe_values(server: Server, places: Sequence[Place]) -> list[dict[str, Any]]:
    """Values in what JSON has, with how their polls go."""
    boards = {place.board.section: place.board for place in places}
    polls = from_all(server, "polls", boards.values())
    return [_described(place, polls.get(place.path, _UNKNOWN)) for place in places]


def _described(place: Place, polls: Mapping[str, Any]) -> dict[str, Any]:
    value, declared = place.value, place.value.declared
    secret = value.type is ValueType.PASSWORD
    polled = value.is_driver and declared is not None and declared.is_polled
    return {
        "path": place.path,
        "hadd": str(place.node.hadd),
        "node": place.node.uuid,
        "uuid": value.uuid,
        "bus": place.board.section,
        "label": value.label,
        "units": value.units,
        "genre": value.genre.slug,
        "data": [HIDDEN if secret and item else item for item in value.data],
        "readable": value.is_readable or not value.is_driver,
        "writable": value.is_writable,
        "secret": secret,
        "poll_delay": value.poll_delay if polled else 0,
        "suspended": value.suspended and polled,
        **polls,
    }


@dataclass(frozen=True, slots=True)
class Poll:
    """Read this now."""

    path: str


def _poll(server: Server, request: Poll, _peer: Peer) -> Mapping[str, Any]:
    found = [place for place in find_values(server, request.path) if place.value.is_readable]
    if not found:
        raise RequestError(ErrorCode.REFUSED, f"{request.path}: there is nothing to read: no driver reads it")
    if len(found) > _MOST_POLLED:
        why = f"{request.path}: {len(found)} values: choose at most {_MOST_POLLED}, as those of one node"
        raise RequestError(ErrorCode.REFUSED, why)
    by_bus: dict[str, list[Place]] = {}
    for place in found:
        by_bus.setdefault(place.board.section, []).append(place)
    due = time.monotonic() + _LONGEST_POLL
    by_path: dict[str, Mapping[str, Any]] = {}

    def read(places: Sequence[Place]) -> None:
        by_path.update((each["path"], each) for each in _read_all(server, places, due))

    # Daemons, unlike those of an executor: a server that ends does not wait for a bus that hangs.
    threads = [threading.Thread(target=read, args=(each,), name="poll", daemon=True) for each in by_bus.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"readings": [by_path[place.path] for place in found]}


def _read_all(server: Server, places: Sequence[Place], due: float) -> Iterator[Mapping[str, Any]]:
    """Read values of one bus, one after the other, as it does: they would only wait for each other."""
    why = ""
    for place in places:
        if time.monotonic() >= due:
            why = why or f"there was no time left: {_LONGEST_POLL:g} s are over; poll fewer values at once"
        answer: Mapping[str, Any] = {"data": None, "error": why, "took": None}
        if not why:
            try:
                answer = _ask(server, place, write=False, data=None, index=0)
            except TemporaryError as error:
                answer = {"data": None, "error": str(error), "took": None}
            took = answer["took"]
            if took is None or took >= server.config.system.read_timeout:
                why = f"not asked: the read of {place.path} has not come to an end, and the bus does one at a time"
        yield {"path": place.path, "units": place.value.units, **answer}


@dataclass(frozen=True, slots=True)
class Set:
    """Write this."""

    path: str
    value: Any
    index: int = 0


def _set(server: Server, request: Set, _peer: Peer) -> Mapping[str, Any]:
    place = find_value(server, request.path)
    if request.index < 0:
        raise RequestError(ErrorCode.REFUSED, f"{place.path}: index {request.index}: expected 0 or more")
    try:
        answer = _ask(server, place, write=True, data=request.value, index=request.index)
    except TemporaryError as error:
        raise RequestError(ErrorCode.BUSY, str(error)) from error
    if answer["error"] is not None:
        raise RequestError(ErrorCode.REFUSED, answer["error"])
    data = [HIDDEN if place.value.type is ValueType.PASSWORD and item else item for item in answer["data"]]
    return {"path": place.path, "data": data, "units": place.value.units}


def _ask(server: Server, place: Place, *, write: bool, data: Any, index: int) -> Mapping[str, Any]:
    """Have the node serve it, as a request over the air. Raises TemporaryError where it does not answer."""
    value = place.value
    asked = {
        "section": place.board.section,
        "hadd": str(place.node.hadd),
        "uuid": value.uuid,
        "write": write,
        "data": data,
        "index": index,
    }
    patience = server.config.system.read_timeout + _MARGIN
    remote = place.board.remote
    if remote is None:
        return server.inside.request(asked, patience)
    answer: Mapping[str, Any] = remote.ask("request", asked, patience, timeout=patience + _MARGIN)
    return answer
