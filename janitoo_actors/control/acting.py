"""The requests that act on actors: `restart`, `stop`, `start`, `retry`, `suspend`, `resume`, `clear`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from janitoo_actors.control.looking import describe_actor
from janitoo_actors.control.places import board_of, find_actor, find_path, held_back, pollers_at
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.errors import ConfigurationError, TemporaryError
from janitoo_actors.runtime.administration import Outcome
from janitoo_actors.runtime.remote import NotToldError
from janitoo_actors.runtime.server import Server

_REMOTE_PATIENCE: Final = 40.0
"""Seconds: ending by force and starting again, each with its limit."""


def add_to(requests: Requests) -> None:
    """Have these requests served."""
    for action in ("restart", "stop", "start", "retry"):
        requests.add(action, Act, Access.ACT, _actor_request(action))
    requests.add("suspend", Act, Access.ACT, _suspend)
    requests.add("resume", Act, Access.ACT, _resume)
    requests.add("clear", Clear, Access.ACT, _clear)


@dataclass(frozen=True, slots=True)
class Act:
    """Do this to an actor."""

    path: str


@dataclass(frozen=True, slots=True)
class Done:
    """It is done.

    Attributes:
        done: what, in a sentence.
        works: whether that was what was asked for.
        actor: how it is now; None where it is gone.
    """

    path: str
    done: str
    works: bool
    actor: Mapping[str, Any] | None


def _actor_request(action: str) -> Callable[[Server, Act, Peer], Done]:
    def serve(server: Server, request: Act, _peer: Peer) -> Done:
        path = find_actor(server, request.path).path
        _check(action, path)
        board = board_of(server, path)
        try:
            if board is not None and board.remote is not None and path != f"/buses/{board.section}":
                outcome: Outcome = board.remote.ask("act", action, path, timeout=_REMOTE_PATIENCE)
            else:
                outcome = server.inside.act(action, path)
        except NotToldError as error:
            # What its process says may be a refusal too; the words tell.
            raise RequestError(ErrorCode.REFUSED, str(error)) from error
        except TemporaryError as error:
            raise RequestError(ErrorCode.BUSY, str(error)) from error
        except ConfigurationError as error:
            raise RequestError(ErrorCode.REFUSED, str(error)) from error
        return _done(server, path, outcome.done, works=outcome.works)

    return serve


def _check(action: str, path: str) -> None:
    if path == "/":
        raise RequestError(ErrorCode.REFUSED, "/ is the server itself: restart or stop its process")
    if path == "/buses" and action == "stop":
        raise RequestError(ErrorCode.REFUSED, "/buses is all buses: stop them one by one, or the server's process")


def _suspend(server: Server, request: Act, _peer: Peer) -> Done:
    path, pollers = _polled(server, request)
    server.running.wishes.suspend(pollers)
    count = len(pollers)
    return _done(
        server, path, f"{count} poll{' is' if count == 1 else 's are'} held back until `resume {request.path}`"
    )


def _resume(server: Server, request: Act, _peer: Peer) -> Done:
    path, pollers = _polled(server, request)
    before = server.running.wishes.current
    held = frozenset(each for each in pollers if before.holds_back(each))
    if not held:
        raise RequestError(ErrorCode.REFUSED, f"{path}: nothing of it is held back")
    server.running.wishes.resume(held)
    return _done(server, path, f"{len(held)} poll{' goes' if len(held) == 1 else 's go'} on")


def _polled(server: Server, request: Act) -> tuple[str, frozenset[str]]:
    path = find_actor(server, request.path).path
    pollers = pollers_at(server, path)
    if not pollers:
        raise RequestError(ErrorCode.REFUSED, f"{path}: nothing of it is polled")
    return path, pollers


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what has gone wrong."""

    path: str = "/"


def _clear(server: Server, request: Clear, _peer: Peer) -> Done:
    path = find_path(server, request.path)
    count = server.history.clear(path)
    return _done(server, path, f"{count} error{'' if count == 1 else 's'} and the events of it are forgotten")


def _done(server: Server, path: str, done: str, *, works: bool = True) -> Done:
    try:
        info = find_actor(server, path)
    except RequestError:
        return Done(path, done, works, None)
    return Done(path, done, works, describe_actor(info, held_back(server)))
