"""The buses of a running server, for the plain threads that add, stop and change them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pykka import ActorDeadError, ActorRef, Future, Timeout

from janitoo_actors.claims import ClaimTable
from janitoo_actors.configuration.model import BusConfig, Isolation, ServerConfig, SystemConfig
from janitoo_actors.errors import TemporaryError, said
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.remote import Remote
from janitoo_actors.runtime.running import RunningConfig
from janitoo_actors.runtime.suspending import hold_back
from janitoo_actors.runtime.tree import bus_spec
from janitoo_actors.runtime.tuning import tune
from janitoo_actors.runtime.wishes import Wishes
from supervisors import (
    ActorState,
    ChildError,
    ChildSpec,
    Report,
    Supervisor,
    System,
    TellChild,
    delete_child,
    living,
    start_child,
    terminate_child,
)

STOP_PATIENCE: Final = 6.0
"""Seconds that a bus has to stop in order; a bit more than its children need at most."""
KILL_PATIENCE: Final = 5.0
START_PATIENCE: Final = 30.0
"""Seconds that the supervisor of the buses may be missing: while the embedded broker starts."""
_LOOK_EVERY: Final = 0.02
_PATH: Final = "/buses"


class ServerEndingError(TemporaryError):
    """The server stops, or hangs as a whole: nothing can be changed any more."""


@dataclass(frozen=True, slots=True)
class BusOutcome:
    """What came of the start of a bus, as far as it is known.

    Attributes:
        online, nodes: how many of its nodes are online, and how many there are.
        reason: why it is not all of them; empty where it is.
    """

    section: str
    online: int
    nodes: int
    reason: str

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"[{self.section}] {self.online} of {self.nodes} nodes are online{reason}"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bus that is ready to be started."""

    config: BusConfig
    board: Board
    spec: ChildSpec


class Buses:
    """The buses: what they show, and the requests to their supervisor.

    Any thread reads; one at a time changes. What waits for the supervisor blocks, so that no actor may call it.

    Args:
        reported: called with what the supervisors in the processes of buses report; must not block.

    Attributes:
        specs: those that are to run: their supervisor begins with them, also where it is started anew.
    """

    def __init__(
        self, system: System, running: RunningConfig, claims: ClaimTable, reported: Callable[[Report], None]
    ) -> None:
        self._system = system
        self._reported = reported
        self._running = running
        self._claims = claims
        self.specs: list[ChildSpec] = []
        self._boards: dict[str, Board] = {}
        self._starts: dict[str, Future[ActorRef[Any]]] = {}

    @property
    def boards(self) -> Sequence[Board]:
        """What they show, in the order of the file."""
        boards = self._boards
        return [boards[bus.section] for bus in self._running.current.buses if bus.section in boards]

    def prepare(self, config: BusConfig, system: SystemConfig) -> Prepared:
        """Make what a bus is started with. Raises whatever its drivers do when they are made."""
        board = Board(config)
        spec = bus_spec(config, board, system, self._running, self._claims)
        if config.isolation is Isolation.PROCESS:
            path = self._path(config.section)
            board.remote = Remote(lambda what: self._system.tell(path, TellChild(what)), self._reported)
        return Prepared(config, board, spec)

    def enter(self, prepared: Prepared) -> ChildSpec:
        """Show a bus from now on; its specification, for who starts it."""
        section = prepared.config.section
        hold_back(prepared.board, self._running.wishes.current, None)
        self._boards = {**self._boards, section: prepared.board}
        self.specs[:] = [*(spec for spec in self.specs if spec.id != section), prepared.spec]
        return prepared.spec

    def stop(self, sections: Iterable[str]) -> None:
        """Stop buses, side by side, and forget them: their nodes say OFFLINE. Blocks for some seconds at most.

        Raises:
            ServerEndingError: some of them may still run.
        """
        supervisor = self._supervisor()
        requests = {section: terminate_child(supervisor, section) for section in sections}
        for section in requests:
            # A start that hangs would keep the request waiting.
            actor = self._actor(section)
            if actor is not None and actor.vitals.state is ActorState.STARTING:
                actor.request_shutdown()
        due = time.monotonic() + STOP_PATIENCE
        for section, request in requests.items():
            if not _is_answered(request, max(due - time.monotonic(), 0)):
                actor = self._actor(section)
                if actor is not None:
                    actor.kill("it has not stopped in time")
                if not _is_answered(request, KILL_PATIENCE):
                    raise ServerEndingError(f"[{section}] does not stop: the server must be restarted")
            _is_answered(delete_child(supervisor, section), KILL_PATIENCE)
        self.specs[:] = [spec for spec in self.specs if spec.id not in requests]
        self._boards = {section: board for section, board in self._boards.items() if section not in requests}

    def start(self, buses: Iterable[Prepared]) -> None:
        """Start buses, side by side; waits for none of them. One that fails is tried again, as every bus."""
        supervisor = self._supervisor()
        for bus in buses:
            self._starts[bus.config.section] = start_child(supervisor, self.enter(bus))

    def outcomes(self, sections: Sequence[str], timeout: float) -> list[BusOutcome]:
        """Wait until buses that have been started have settled, but not for long; what came of it. Blocks."""
        due = time.monotonic() + timeout
        while not all(self._is_settled(section) for section in sections) and time.monotonic() < due:
            if self._system.lookup(_PATH) is None:
                raise ServerEndingError("the server is stopping")
            time.sleep(_LOOK_EVERY)
        return [self._outcome(section) for section in sections]

    def tune(self, config: BusConfig) -> None:
        """Have a bus go on with other settings. Never blocks."""
        board = self._boards[config.section]
        if config.isolation is Isolation.PROCESS:
            # Imported with the first such bus: it needs the tree.
            from janitoo_actors.runtime.process_bus import Tuned

            tune(board, config, None)
            # Where there is no process now, the next one is made of the configuration that runs.
            self._system.tell(self._path(config.section), TellChild(Tuned(config)))
        else:
            tune(board, config, self._system.tell)

    def set_log_level(self, level: int) -> None:
        """Have the processes of buses tell what is to be logged now."""
        from janitoo_actors.runtime.process_bus import LogLevel

        for bus in self._running.current.buses:
            if bus.isolation is Isolation.PROCESS:
                self._system.tell(self._path(bus.section), TellChild(LogLevel(level)))

    def grant(self, wishes: Wishes) -> None:
        """Have the buses do as somebody at the console wishes. Never blocks."""
        for board in self.boards:
            if board.remote is None:
                hold_back(board, wishes, self._system.tell)
            else:
                hold_back(board, wishes, None)
                # Where there is no process now, the next one is told at its start.
                self._system.tell(self._path(board.section), TellChild(wishes))

    def _is_settled(self, section: str) -> bool:
        board = self._boards.get(section)
        return board is not None and board.settled

    def _outcome(self, section: str) -> BusOutcome:
        board = self._boards.get(section)
        if board is None:
            return BusOutcome(section, 0, 0, "it has been removed meanwhile")
        nodes = list(board.nodes.values())
        online = sum(node.state is NodeState.ONLINE for node in nodes)
        reason = ""
        start = self._starts.pop(board.section, None)
        if start is not None:
            try:
                start.get(timeout=0)
            except Timeout:
                # It may have failed already, and be tried again: its nodes say so.
                pass
            except Exception as error:  # noqa: BLE001 - whatever its start has failed with; it is tried again
                reason = said(error)
        if online == len(nodes):
            # Whatever its start has come to: it works now.
            reason = ""
        elif not reason:
            reason = "; ".join(dict.fromkeys(node.reason for node in nodes if node.reason)) or "it is still starting"
        if not board.on_air:
            reason = "; ".join(filter(None, [reason, "it has no connection to the broker, so that nobody hears it"]))
        return BusOutcome(board.section, online, len(nodes), reason)

    def _supervisor(self) -> ActorRef[Supervisor]:
        due = time.monotonic() + START_PATIENCE
        while (ref := self._system.lookup(_PATH)) is None:
            if self._system.lookup("/") is None:
                raise ServerEndingError("the server is stopping")
            # It is started after the broker.
            if time.monotonic() >= due:
                raise ServerEndingError("the server is still starting; try again")
            time.sleep(_LOOK_EVERY)
        return ref

    def _actor(self, section: str) -> Any:
        ref = self._system.lookup(self._path(section))
        return living(ref) if ref is not None else None

    @staticmethod
    def _path(section: str) -> str:
        return f"{_PATH}/{section}"


def prepare_all(buses: Buses, config: ServerConfig) -> list[ChildSpec]:
    """The specifications of the buses of a configuration; they are shown from now on."""
    for bus in config.buses:
        buses.enter(buses.prepare(bus, config.system))
    return buses.specs


def _is_answered(request: Future[Any], timeout: float) -> bool:
    """Wait for the answer of the supervisor; whether it has come. A child that is not there is no failure."""
    try:
        with contextlib.suppress(ChildError):
            request.get(timeout=timeout)
    except Timeout:
        return False
    except ActorDeadError as error:
        raise ServerEndingError("the server is stopping") from error
    return True
