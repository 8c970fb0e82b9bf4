"""What people call actors and values, and what these are. Any thread; asks no actor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.runtime.board import Board, Node
from janitoo_actors.runtime.figures import ask_processes
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.server import Server
from janitoo_actors.runtime.suspending import node_pollers, pollers_of
from janitoo_actors.runtime.values import NodeValue
from janitoo_actors.runtime.wishes import covers
from janitoo_actors.suggest import did_you_mean
from supervisors import ActorInfo

REMOTE_PATIENCE: Final = 2.0
"""Seconds that the process of a bus has for an answer that only looks."""
_MOST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A value, and where it is.

    Attributes:
        path: `0701/0001/temperature`.
        poller: the path of its poller, which is there where it is polled.
    """

    board: Board
    node: Node
    value: NodeValue
    path: str = field(init=False)
    poller: str = field(init=False)

    def __post_init__(self) -> None:
        places = Places.of(f"/buses/{self.board.section}")
        object.__setattr__(self, "path", f"{self.node.hadd}/{self.value.uuid}")
        object.__setattr__(self, "poller", places.poller(self.node, self.value.uuid))


def tree_of(server: Server) -> ActorInfo:
    """The tree as it stands. Raises RequestError where it has ended."""
    tree = server.snapshot()
    if tree is None:
        raise RequestError(ErrorCode.BUSY, f"the server is stopping: {server.reason or 'it was told to'}")
    return tree


def find_actor(server: Server, name: str) -> ActorInfo:
    """The actor that somebody means: its path, a bus, an address, the uuid of a node, a value.

    Raises:
        RequestError: there is none; with the closest name.
    """
    tree = tree_of(server)
    by_path = {info.path: info for info in tree.walk()}
    for path in _paths(server, name):
        if path in by_path:
            return by_path[path]
    raise RequestError(ErrorCode.REFUSED, f"there is no actor {name[:_MOST_NAME]!r}{_hint(server, name, by_path)}")


def find_path(server: Server, name: str) -> str:
    """As `find_actor`, for what remembers actors that are gone: the path alone, where there is no such actor now."""
    if name in {"", "/"}:
        return "/"
    try:
        return find_actor(server, name).path
    except RequestError:
        known = (each.path for each in server.history.errors("/", 10_000))
        if name.startswith("/") and (name in {"/control", "/reload"} or any(covers(name, path) for path in known)):
            return name
        raise


def find_values(server: Server, name: str) -> list[Place]:
    """The values that somebody means: one, or all of a node, a bus, the server.

    Raises:
        RequestError: there is none.
    """
    places = list(all_values(server))
    name = name.strip() or "/"
    if name in {"/", "/buses"}:
        return places
    found = [place for place in places if name in {place.path, place.poller, _by_uuid(place)}]
    if not found:
        found = [place for place in places if name in _nodes(place)]
    if not found:
        found = [place for place in places if name in _buses(place)]
    if not found:
        names = {*(place.path for place in places), *(_by_uuid(place) for place in places)}
        names |= {place.board.section for place in places}
        raise RequestError(
            ErrorCode.REFUSED, f"there is no value {name[:_MOST_NAME]!r}{_hint(server, name, sorted(names))}"
        )
    return found


def find_value(server: Server, name: str) -> Place:
    """The one value that somebody means.

    Raises:
        RequestError: there is none, or there are several.
    """
    found = find_values(server, name)
    if len(found) > 1:
        some = ", ".join(place.path for place in found[:4])
        raise RequestError(ErrorCode.REFUSED, f"{name[:_MOST_NAME]!r} is {len(found)} values: choose one, as {some}")
    return found[0]


def all_values(server: Server) -> Iterator[Place]:
    """All values of the server."""
    for board in server.boards:
        for node in board.nodes.values():
            for value in node.values.values():
                yield Place(board, node, value)


def from_all(server: Server, what: str, boards: Iterable[Board]) -> dict[str, Any]:
    """What `Inside` tells, of this process and of those of these buses; without those that do not answer."""
    found: dict[str, Any] = dict(getattr(server.inside, what)())
    for told in ask_processes(boards, what, REMOTE_PATIENCE).values():
        found |= told
    return found


def board_of(server: Server, path: str) -> Board | None:
    """The bus that an actor is of; None where it is of none."""
    return next((board for board in server.boards if covers(f"/buses/{board.section}", path)), None)


def pollers_at(server: Server, path: str) -> frozenset[str]:
    """The pollers that somebody means with an actor: itself, or those of its node, its bus, of all."""
    board = board_of(server, path)
    if board is None:
        return frozenset(each for board in server.boards for each in pollers_of(board) if covers(path, each))
    places = Places.of(f"/buses/{board.section}")
    pollers = pollers_of(board)
    if path in {places.bus, f"/buses/{board.section}", places.nodes}:
        return pollers
    for node in board.nodes.values():
        if path == places.node(node):
            return frozenset(each for each in pollers if covers(f"{places.pollers}/{node.hadd}", each))
    return frozenset(each for each in pollers if covers(path, each))


def held_back(server: Server) -> frozenset[str]:
    """All places whose polls are held back: pollers, and nodes and buses all of whose pollers are."""
    wishes = server.running.wishes.current
    if not wishes.suspended:
        return frozenset()
    held: set[str] = set()
    for board in server.boards:
        places = Places.of(f"/buses/{board.section}")
        of_bus: set[bool] = set()
        for node in board.nodes.values():
            pollers = node_pollers(places, node)
            ours = {each for each in pollers if wishes.holds_back(each)}
            of_bus |= {each in ours for each in pollers}
            held |= ours
            if ours and len(ours) == len(pollers):
                held.add(places.node(node))
        if of_bus == {True}:
            held |= {f"/buses/{board.section}", places.bus, places.pollers, places.nodes}
    return frozenset(held)


def _paths(server: Server, name: str) -> Iterator[str]:
    name = name.strip()
    yield name if name == "/" else name.rstrip("/")
    if name.startswith("/"):
        return
    yield f"/{name}"
    yield f"/buses/{name}"
    for board in server.boards:
        places = Places.of(f"/buses/{board.section}")
        for node in board.nodes.values():
            if name in {str(node.hadd), node.uuid}:
                yield places.node(node)
            for value in node.values.values():
                if name in {f"{node.hadd}/{value.uuid}", f"{node.uuid}/{value.uuid}"}:
                    yield places.poller(node, value.uuid)


def _by_uuid(place: Place) -> str:
    return f"{place.node.uuid}/{place.value.uuid}"


def _nodes(place: Place) -> set[str]:
    places = Places.of(f"/buses/{place.board.section}")
    names = {str(place.node.hadd), places.node(place.node), f"{places.pollers}/{place.node.hadd}"}
    # The controller has the name of its bus.
    return names if place.node.uuid == place.board.section else {*names, place.node.uuid}


def _buses(place: Place) -> set[str]:
    places = Places.of(f"/buses/{place.board.section}")
    section = place.board.section
    return {section, f"/buses/{section}", places.bus, places.nodes, places.pollers, places.link}


def _hint(server: Server, name: str, names: Collection[str]) -> str:
    near = did_you_mean(name, _some(names))
    if near:
        return near
    buses: Sequence[str] = [board.section for board in server.boards]
    return f"; the buses are: {', '.join(buses[:12])}" if buses else ""


def _some(names: Iterable[str]) -> list[str]:
    """Not all of ten thousand: looking for the closest takes its time."""
    return [each for each, _ in zip(names, range(2000), strict=False)]
