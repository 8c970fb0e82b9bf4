"""The requests that look at actors: `tree`, `status`, `events`, `errors`, `threads`."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from janitoo_actors.claims import holders
from janitoo_actors.configuration.ini import ConfigurationFileError, read
from janitoo_actors.control.places import (
    REMOTE_PATIENCE,
    Place,
    all_values,
    board_of,
    find_actor,
    find_path,
    from_all,
    held_back,
)
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.valuing import describe_values
from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.runtime.board import Board, Node
from janitoo_actors.runtime.figures import ask_processes
from janitoo_actors.runtime.history import Failure, Happened
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.remote import NotToldError
from janitoo_actors.runtime.server import Server
from janitoo_actors.runtime.wishes import covers
from supervisors import ActorInfo, ExitKind

_MOST_ACTORS: Final = 20_000
_MOST_LISTED: Final = 2_000
_LAST: Final = 20
"""How many events and errors a page has."""
_MOST_ERROR: Final = 300
_SECTIONS: Final = {"/broker": ("system", "broker"), "/network": ("network", ""), "/": ("system", "")}
"""What is of no bus: its section, and its key there."""
_READ_FAILED: Final = "read_failed"


def add_to(requests: Requests) -> None:
    """Have these requests served."""
    requests.add("tree", Tree, Access.READ, _tree)
    requests.add("status", Status, Access.READ, _status)
    requests.add("events", Events, Access.READ, _events)
    requests.add("errors", Errors, Access.READ, _errors)
    requests.add("threads", Threads, Access.READ, _threads)


# -- tree ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """Which actors are there, and how are they?"""

    path: str = "/"
    depth: int | None = None
    limit: int = _MOST_ACTORS


@dataclass(frozen=True, slots=True)
class Actors:
    """The actors of a place, each before those below it.

    Attributes:
        at: the server's clock, in seconds: rates are differences of two of these.
        left_off: how many more there are.
    """

    at: float
    dead_letters: int
    backlog: int
    left_off: int
    actors: Sequence[Mapping[str, Any]]


def _tree(server: Server, request: Tree, _peer: Peer) -> Actors:
    found = find_actor(server, request.path)
    held = held_back(server)
    infos = list(found.walk()) if request.depth is None else _walk(found, request.depth)
    limit = max(0, min(request.limit, _MOST_ACTORS))
    system = server.system
    return Actors(
        at=round(time.monotonic(), 6),
        dead_letters=system.dead_letters,
        backlog=system.dispatcher.backlog(),
        left_off=max(0, len(infos) - limit),
        actors=[describe_actor(info, held) for info in infos[:limit]],
    )


def _walk(info: ActorInfo, depth: int) -> list[ActorInfo]:
    below = [each for child in info.children for each in _walk(child, depth - 1)] if depth > 0 else []
    return [info, *below]


def describe_actor(info: ActorInfo, held: frozenset[str]) -> dict[str, Any]:
    """An actor in what JSON has; `held`: the places whose polls are held back."""
    last = info.last_exit
    failed = last is not None and (last.kind in {ExitKind.ERROR, ExitKind.KILLED} or bool(last.detail))
    return {
        "path": info.path,
        "actor": info.actor,
        "state": info.state,
        "age": round(info.age, 3),
        "suspended": info.path in held,
        "restarts": info.restarts,
        "restarts_recent": info.restarts_recent,
        "error": _line(str(last)) if failed else None,
        "retry_in": None if info.retry_in is None else round(info.retry_in, 3),
        "mailbox": info.mailbox,
        "handled": info.handled,
        "current": info.current,
        "current_age": None if info.current_age is None else round(info.current_age, 3),
        "epoch": info.epoch,
        "isolation": info.isolation,
        "pid": info.pid,
    }


def _line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _MOST_ERROR else f"{line[:_MOST_ERROR]}…"


# -- status ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Status:
    """How is this one?"""

    path: str


@dataclass(frozen=True, slots=True)
class Page:
    """All that is known of an actor; see `docs/control.md`."""

    actor: Mapping[str, Any]
    process: int
    configured: Mapping[str, Any] | None
    claims: Sequence[str]
    children: Sequence[Mapping[str, Any]]
    events: Sequence[Happened]
    errors: Sequence[Failure]
    node: Mapping[str, Any] | None
    values: Sequence[Mapping[str, Any]]
    stack: str
    mailbox_types: Mapping[str, int]


def _status(server: Server, request: Status, _peer: Peer) -> Page:
    info = find_actor(server, request.path)
    held = held_back(server)
    board = board_of(server, info.path)
    node = _node_of(board, info.path) if board is not None else None
    inside = _inside(server, board, info)
    return Page(
        actor=describe_actor(info, held),
        process=_process_of(server, board, info),
        configured=_configured(server, board, info.path),
        claims=_claims(server, board),
        children=[describe_actor(child, held) for child in info.children[:_MOST_LISTED]],
        events=server.history.events(info.path, 0, _LAST),
        errors=_counted(server, server.history.errors(info.path, _LAST)),
        node=None if node is None or board is None else _node(server, board, node),
        values=describe_values(server, _values_of(server, board, info.path)[:_MOST_LISTED]),
        stack=inside["stack"],
        mailbox_types=inside["mailbox_types"],
    )


def _process_of(server: Server, board: Board | None, info: ActorInfo) -> int:
    """Where it runs: the process of its bus, or ours."""
    if board is not None and board.remote is not None:
        pid = info.pid if info.pid is not None else find_actor(server, f"/buses/{board.section}").pid
        return pid if pid is not None else os.getpid()
    return os.getpid()


def _claims(server: Server, board: Board | None) -> Sequence[str]:
    """What a bus has of the machine, a line each: also one in a process of its own, whose claims are there."""
    if board is None:
        return ()
    file = str(server.config.path.absolute())
    ours = (each for each in holders() if (each.file, each.bus) == (file, board.section))
    return sorted(f"{each.hardware}, for [{each.device or each.bus}]" for each in ours)


def _inside(server: Server, board: Board | None, info: ActorInfo) -> Mapping[str, Any]:
    below = board is not None and info.path != f"/buses/{board.section}"
    if board is not None and board.remote is not None and below:
        try:
            page: Mapping[str, Any] = board.remote.look("page", info.path, timeout=REMOTE_PATIENCE)
            return page
        except NotToldError as error:
            return {"stack": f"({error})\n", "mailbox_types": {}}
    return server.inside.page(info.path)


def _node_of(board: Board, path: str) -> Node | None:
    places = Places.of(f"/buses/{board.section}")
    for node in board.nodes.values():
        if path == places.node(node) or path.startswith(f"{places.pollers}/{node.hadd}/"):
            return node
    if path in {places.bus, places.link, f"/buses/{board.section}"}:
        # The controller is the bus's own node.
        return next(iter(board.nodes.values()))
    return None


def _node(server: Server, board: Board, node: Node) -> Mapping[str, Any]:
    return {
        "hadd": str(node.hadd),
        "uuid": node.uuid,
        "name": node.values["name"].data[0],
        "state": node.state.value,
        "reason": node.reason,
        "heartbeat": node.heartbeat,
        "heartbeat_age": from_all(server, "beats", [board]).get(str(node.hadd)),
    }


def _values_of(server: Server, board: Board | None, path: str) -> list[Place]:
    if board is None:
        return []
    places = Places.of(f"/buses/{board.section}")
    of_all = path in {places.bus, places.pollers, places.nodes, f"/buses/{board.section}"}
    return [
        place
        for place in all_values(server)
        if place.board is board
        and place.value.is_driver
        and (of_all or path in {place.poller, places.node(place.node), f"{places.pollers}/{place.node.hadd}"})
    ]


def _configured(server: Server, board: Board | None, path: str) -> Mapping[str, Any] | None:
    """Where in the file an actor comes from."""
    if board is None:
        place = next((each for each in _SECTIONS if covers(each, path) and (each != "/" or path == "/")), None)
        if place is None:
            return None
        section, key = _SECTIONS[place]
    else:
        node = _node_of(board, path)
        section = node.uuid if node is not None else board.section
        poller = next((each for each in all_values(server) if each.board is board and each.poller == path), None)
        key = f"{poller.value.uuid}_poll_0" if poller is not None else ""
    file = server.config.path
    line = None
    with contextlib.suppress(ConfigurationFileError):
        ini = read(file)
        line = ini.line(section, key) if key and key in ini.sections.get(section, {}) else None
        if line is None:
            key = key if board is None else ""
            line = ini.line(section)
    return {"file": os.path.abspath(file), "line": line, "section": section, "key": key or None}


# -- events and errors -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Events:
    """What has happened lately?"""

    path: str = "/"
    since: int = 0
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Happenings:
    """Events, the oldest first, and the number of the latest one of all."""

    events: Sequence[Happened]
    last: int


def _events(server: Server, request: Events, _peer: Peer) -> Happenings:
    last = server.history.last
    path = find_path(server, request.path)
    return Happenings(server.history.events(path, request.since, max(0, min(request.limit, _MOST_LISTED))), last)


@dataclass(frozen=True, slots=True)
class Errors:
    """What has gone wrong?"""

    path: str = "/"
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Failures:
    """Errors, the latest first."""

    errors: Sequence[Failure]


def _errors(server: Server, request: Errors, _peer: Peer) -> Failures:
    path = find_path(server, request.path)
    return Failures(_counted(server, server.history.errors(path, max(0, min(request.limit, _MOST_LISTED)))))


def _counted(server: Server, errors: Sequence[Failure]) -> Sequence[Failure]:
    """With how often reads have failed: the log has each only once."""
    if all(each.event != _READ_FAILED for each in errors):
        return errors
    polls = from_all(server, "polls", server.boards)
    by_poller = {place.poller: polls.get(place.path) for place in all_values(server) if place.value.is_driver}
    counted = []
    for each in errors:
        poll = by_poller.get(each.path) if each.event == _READ_FAILED else None
        in_row = poll["failures_in_row"] if poll is not None and poll["error"] == each.error else 0
        if poll is not None and in_row > each.times:
            each = replace(each, times=in_row, last=time.time() - (poll["age"] or 0.0))  # noqa: PLW2901 - the same, counted
        counted.append(each)
    return counted


# -- threads ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Threads:
    """Where do the threads stand?"""

    path: str | None = None


def _threads(server: Server, request: Threads, _peer: Peer) -> Mapping[str, Any]:
    boards: Sequence[Board] = server.boards
    found: list[dict[str, Any]] = []
    if request.path is not None:
        path = find_actor(server, request.path).path
        board = board_of(server, path)
        boards = [board] if board is not None and board.remote is not None else []
        if not boards:
            found = [each for each in server.inside.threads() if covers(path, each["name"])]
            if not found:
                why = f"{path} has no thread of its own: light actors share those of the dispatcher"
                raise RequestError(ErrorCode.REFUSED, why)
    else:
        found = server.inside.threads()
    threads = [{"process": "server", **each} for each in found]
    told = ask_processes(boards, "threads", REMOTE_PATIENCE)
    silent = [{"name": "", "daemon": False, "stack": "its process does not answer\n"}]
    for board in boards:
        if board.remote is not None:
            threads += [{"process": board.section, **each} for each in told.get(board.section, silent)]
    return {"threads": threads}
