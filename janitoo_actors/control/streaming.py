"""The streams, `trace` and `logs`, and `log`, which sets the level of a path."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from queue import Empty, Full, Queue
from typing import Any, Final, cast

from janitoo_actors.control.places import board_of, find_actor, find_path
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.runtime.remote import NotToldError
from janitoo_actors.runtime.server import Server
from janitoo_actors.runtime.taps import Rate
from janitoo_actors.runtime.wishes import covers
from janitoo_actors.suggest import did_you_mean

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
_LONGEST: Final = 3_600.0
_LONGEST_LEVEL: Final = 86_400.0
_MOST_TRACED: Final = 10_000
_FASTEST: Final = 200.0
_MOST_LINES: Final = 2_000
_LOOK_EVERY: Final = 0.2
_MARGIN: Final = 1.0
"""Seconds in which a process has to say that the time is over."""
_MOST_SAID: Final = 40
_MOST_WAITING: Final = 1000

Stream = Generator[Mapping[str, Any] | None, bool, Mapping[str, Any]]


def add_to(requests: Requests) -> None:
    """Have these requests served."""
    # What others write and read is shown: no matter of the group.
    requests.add("trace", Trace, Access.ACT, _trace)
    requests.add("logs", Logs, Access.READ, _logs)
    requests.add("log", Log, Access.ACT, _log)


@dataclass(frozen=True, slots=True)
class Trace:
    """What do these actors handle?"""

    path: str = "/"
    type: str | None = None
    max: int = 100
    rate: float = 20.0
    seconds: float = 30.0


def _trace(server: Server, request: Trace, _peer: Peer) -> Stream:
    _check("max", request.max, 1, _MOST_TRACED)
    _check("rate", request.rate, 0.1, _FASTEST)
    _check("seconds", request.seconds, 0.1, _LONGEST)
    path = find_actor(server, request.path).path
    board = board_of(server, path)
    about = (path, request.type, request.rate, request.seconds)
    if board is not None:
        source = server.inside.trace(*about) if board.remote is None else board.remote.stream("trace", *about)
        return _traced(source, request)
    far = [each.remote for each in server.boards if each.remote is not None and covers(path, f"/buses/{each.section}")]
    sources = [server.inside.trace(*about), *(remote.stream("trace", *about) for remote in far)]
    return _traced(_merged(sources, request.rate) if far else sources[0], request)


def _merged(sources: Sequence[Iterator[Any]], rate: float) -> Iterator[Any]:
    """What several processes show, as it comes, at the rate of one; the last is how many were passed over."""
    shown: Queue[Any] = Queue(_MOST_WAITING)
    over = threading.Event()
    allowed = Rate(rate)

    def pump(source: Iterator[Any]) -> None:
        passed_over = 0
        # A process that has ended, or does not answer, shows nothing more; the others do.
        with contextlib.suppress(NotToldError), contextlib.closing(cast(Generator[Any], source)) as items:
            for each in items:
                if over.is_set():
                    break
                if isinstance(each, int):
                    passed_over = each
                elif each is not None and allowed.take():
                    with contextlib.suppress(Full):
                        shown.put_nowait(each)
        # Not for ever: whoever asked may have gone, and nobody takes anything any more.
        with contextlib.suppress(Full):
            shown.put(passed_over, timeout=_MARGIN)

    threads = [threading.Thread(target=pump, args=(each,), name="trace", daemon=True) for each in sources]
    for thread in threads:
        thread.start()
    left, passed_over = len(threads), 0
    try:
        while left:
            try:
                each = shown.get(timeout=_LOOK_EVERY)
            except Empty:
                yield None
                continue
            if isinstance(each, int):
                left, passed_over = left - 1, passed_over + each
            else:
                yield each
    finally:
        over.set()
    yield passed_over + allowed.passed_over


def _traced(source: Iterator[Any], request: Trace) -> Stream:
    shown = passed_over = 0
    ended = "time"
    # It ends by itself; but not where the process of a bus does not.
    due = time.monotonic() + request.seconds + _MARGIN
    try:
        for each in source:
            if time.monotonic() >= due:
                break
            if isinstance(each, int):
                passed_over = each
                continue
            shown += each is not None
            if (yield each):
                ended = "asked"
                break
            if shown >= request.max:
                ended = "max"
                break
    except NotToldError as error:
        ended = str(error)
    finally:
        if isinstance(source, Generator):
            source.close()
    return {"ended": ended, "shown": shown, "passed_over": passed_over}


@dataclass(frozen=True, slots=True)
class Logs:
    """What is in the log?"""

    path: str = "/"
    lines: int = 50
    follow: bool = False
    level: str | None = None
    seconds: float = _LONGEST


def _logs(server: Server, request: Logs, _peer: Peer) -> Stream:
    _check("lines", request.lines, 0, _MOST_LINES)
    _check("seconds", request.seconds, 0.1, _LONGEST)
    least = logging.DEBUG if request.level is None else _level(request.level)
    return _followed(server, find_path(server, request.path), request, least)


def _followed(server: Server, path: str, request: Logs, least: int) -> Stream:
    due = time.monotonic() + request.seconds
    history = server.history
    last, shown, lines = 0, 0, request.lines
    while True:
        now = history.last
        wanted = [each for each in history.events(path, last, _MOST_LINES) if LEVELS.get(each.level, 0) >= least]
        for each in wanted[-lines:] if lines else []:
            shown += 1
            if (yield asdict(each)):
                return {"ended": "asked", "shown": shown, "passed_over": 0}
        last, lines = now, _MOST_LINES
        if not request.follow:
            return {"ended": "lines", "shown": shown, "passed_over": 0}
        if time.monotonic() >= due:
            return {"ended": "time", "shown": shown, "passed_over": 0}
        if (yield None):
            return {"ended": "asked", "shown": shown, "passed_over": 0}
        history.wait(last, _LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class Log:
    """Log a place at a level, for a while; null: as it was."""

    path: str
    level: str | None = "debug"
    seconds: float = 600.0


def _log(server: Server, request: Log, _peer: Peer) -> Mapping[str, Any]:
    _check("seconds", request.seconds, 0.1, _LONGEST_LEVEL)
    level = None if request.level is None else _level(request.level)
    path = find_path(server, request.path)
    server.log_at(path, level, request.seconds)
    until = None if level is None else round(time.time() + request.seconds, 1)
    return {"path": path, "level": request.level, "until": until}


def _level(name: str) -> int:
    try:
        return LEVELS[name.lower()]
    except KeyError:
        hint = did_you_mean(name, LEVELS) or f"; there are: {', '.join(LEVELS)}"
        raise RequestError(ErrorCode.REFUSED, f"{name[:40]!r} is no level{hint}") from None


def _check(key: str, given: float, least: float, most: float) -> None:
    # NaN is neither.
    if not least <= given <= most:
        # Not `:g`: an integer may be too large for a float.
        raise RequestError(ErrorCode.REFUSED, f"{key} = {str(given)[:_MOST_SAID]}: expected {least:g} to {most:g}")
