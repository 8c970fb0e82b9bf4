"""The request `overview`: all that a live screen shows at a moment, in one answer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from janitoo_actors import __version__
from janitoo_actors.control.looking import describe_actor
from janitoo_actors.control.places import held_back, tree_of
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.runtime.figures import Branch, ask_processes, branch
from janitoo_actors.runtime.history import Failure, Happened
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.server import Server

PROCESS_PATIENCE: Final = 0.2
"""Seconds that the processes of buses have, altogether: somebody looks every second, and one may hang."""
_MOST_ROWS: Final = 20_000
_MOST_EVENTS: Final = 100
_MOST_FOUND: Final = 200
"""Characters of what is looked for."""
_ALWAYS_OPEN: Final = 2
"""Down to this depth everything is shown: the root, `/buses`, each bus."""
_BLOCKED: Final = 0.1
"""Seconds at one message from which on they are a latency."""


def add_to(requests: Requests) -> None:
    """Have it served."""
    requests.add("overview", Overview, Access.READ, _overview)


@dataclass(frozen=True, slots=True)
class Overview:
    """How is everything?

    Attributes:
        open: a list of the paths whose children are wanted; those of the root and of `/buses` are always there.
        find: only the actors whose path, class or state has this text in it, with those that they are below.
        selected: whose events are wanted.
    """

    open: Any = None
    find: str = ""
    selected: str = "/"
    events: int = 10
    limit: int = _MOST_ROWS


@dataclass(frozen=True, slots=True)
class Selected:
    """More of one place: the latest events of it and of all below, the oldest first, and its latest error."""

    path: str
    events: Sequence[Happened]
    error: Failure | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A server at a moment; see `docs/control.md`."""

    at: float
    up: float
    pid: int
    release: str
    service: str
    file: str
    dead_letters: int
    backlog: int
    zombies: int
    states: Mapping[str, int]
    silent: Sequence[str]
    off_air: Sequence[str]
    waiting: Sequence[str]
    is_failed: bool
    left_off: int
    actors: Sequence[Mapping[str, Any]]
    selected: Selected


@dataclass(slots=True)
class _Marks:
    """What is known of places besides the tree, by path.

    Attributes:
        errors: how often something has gone wrong there or below.
        took: seconds of the slowest of the last polls.
        failing: of a poller: how many reads in a row have failed, and why.
    """

    errors: dict[str, int] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    failing: dict[str, tuple[int, str]] = field(default_factory=dict)

    def times(self, failure: Failure) -> int:
        """How often something has gone wrong: the log has reads that fail in the same way only once."""
        in_row, error = self.failing.get(failure.path, (0, None))
        return max(failure.times, in_row if error == failure.error else 0)

    def failed(self, path: str, times: int) -> None:
        """Count it for a place, and for all above it."""
        while True:
            self.errors[path or "/"] = self.errors.get(path or "/", 0) + times
            if path in {"", "/"}:
                return
            path = path.rpartition("/")[0]

    def polled(self, paths: Sequence[str], took: float) -> None:
        """A value was polled, for these places: its poller, its node, its bus."""
        for path in paths:
            self.took[path] = max(took, self.took.get(path, 0.0))


def _overview(server: Server, request: Overview, _peer: Peer) -> Shown:
    wanted = _paths(request.open)
    top = branch(tree_of(server))
    network = server.network
    off_air = [board.section for board in server.boards if not board.on_air]
    off_air += ["network"] if network is not None and not network.mqtt.is_on_air else []
    marks, silent = _marks(server)
    find = request.find[:_MOST_FOUND].lower()
    rows = _found(top, 0, "", find, wanted) if find else list(_opened(top, 0, wanted))
    limit = max(0, min(request.limit, _MOST_ROWS))
    held = held_back(server)
    history = server.history
    last = history.errors(request.selected, 1)
    system = server.system
    return Shown(
        at=round(time.monotonic(), 6),
        up=round(time.monotonic() - server.started, 1),
        pid=os.getpid(),
        release=__version__,
        service=server.config.system.service,
        file=os.path.abspath(server.config.path),
        dead_letters=system.dead_letters,
        backlog=system.dispatcher.backlog(),
        zombies=system.zombies.count(),
        states=top.states,
        silent=silent,
        off_air=off_air,
        waiting=server.waiting,
        is_failed=network is not None and network.is_failed,
        left_off=max(0, len(rows) - limit),
        actors=[_described(*row, marks, held) for row in rows[:limit]],
        selected=Selected(
            request.selected,
            history.events(request.selected, 0, max(0, min(request.events, _MOST_EVENTS))),
            replace(last[0], times=marks.times(last[0])) if last else None,
        ),
    )


def _paths(given: Any) -> frozenset[str]:
    if given is None:
        return frozenset()
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise RequestError(ErrorCode.MALFORMED, "'open': expected a list of paths, or null")
    return frozenset(given)


def _opened(part: Branch, depth: int, wanted: frozenset[str]) -> Iterator[tuple[Branch, int, bool]]:
    """The places to show, each before those below it: with its depth, and whether those below are shown."""
    is_open = bool(part.below) and (depth < _ALWAYS_OPEN or part.info.path in wanted)
    yield part, depth, is_open
    if is_open:
        for below in part.below:
            yield from _opened(below, depth + 1, wanted)


def _found(part: Branch, depth: int, above: str, text: str, wanted: frozenset[str]) -> list[tuple[Branch, int, bool]]:
    """The places that have this text, with those above them, and those below them that are wanted; or none."""
    info = part.info
    below = [row for each in part.below for row in _found(each, depth + 1, info.path, text, wanted)]
    if below:
        return [(part, depth, True), *below]
    if _has(info.path.lower(), len(above), text) or text in info.actor.lower() or text in info.state.lower():
        if depth >= _ALWAYS_OPEN:
            return list(_opened(part, depth, wanted))
        return [(part, depth, False)]
    return []


def _has(path: str, above: int, text: str) -> bool:
    """Whether a path has a text that is not in the one above it already: what all of a bus have means the bus."""
    if text.startswith("/"):
        return text in path
    return path.find(text, max(0, above - len(text) + 1)) >= 0


def _described(part: Branch, depth: int, is_open: bool, marks: _Marks, held: frozenset[str]) -> dict[str, Any]:
    info = part.info
    return {
        **describe_actor(info, held),
        "depth": depth,
        "open": is_open,
        "below": part.actors - 1,
        "errors": marks.errors.get(info.path, 0),
        "all_mailbox": part.mailbox,
        "all_handled": part.handled,
        "all_restarts": part.restarts,
        "latency": _latency(part, marks),
    }


def _latency(part: Branch, marks: _Marks) -> float | None:
    took = marks.took.get(part.info.path)
    # Somebody who is at a message for long, here or below, is slower than any poll that has come to an end.
    if part.longest > max(took or 0.0, _BLOCKED):
        return round(part.longest, 3)
    return None if took is None else round(took, 6)


def _marks(server: Server) -> tuple[_Marks, list[str]]:
    """What is known besides the tree, and the buses whose processes have not told it."""
    marks = _Marks()
    boards = server.boards
    told = ask_processes(boards, "last_reads", PROCESS_PATIENCE)
    local = server.inside.last_reads()
    for board in boards:
        places = Places.of(f"/buses/{board.section}")
        reads = local if board.remote is None else told.get(board.section, {})
        of_all = (places.bus, places.pollers, places.nodes, f"/buses/{board.section}", "/buses", "/")
        for node in board.nodes.values():
            for uuid in node.values:
                read = reads.get(f"{node.hadd}/{uuid}")
                if read is not None:
                    took, in_row, error = read
                    poller = places.poller(node, uuid)
                    marks.polled((poller, places.node(node), *of_all), took)
                    if error is not None:
                        marks.failing[poller] = (in_row, error)
    for failure in server.history.errors("/", _MOST_ROWS):
        marks.failed(failure.path.rstrip("/"), marks.times(failure))
    return marks, [board.section for board in boards if board.remote is not None and board.section not in told]
