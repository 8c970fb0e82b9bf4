"""A bus in a process of its own: `isolation = process` in its section.

The child runs the same actors as a bus in the server's process does, with its own MQTT connection. What must be one for
the server stays in the parent: the configuration file, the log, and the supervisor that starts the child again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pykka import Timeout

from janitoo_actors import log_watching, logs
from janitoo_actors.claims import ClaimTable
from janitoo_actors.configuration.model import BusConfig, SystemConfig
from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Board, BoardState
from janitoo_actors.runtime.inside import Inside
from janitoo_actors.runtime.remote import Answerer, Ask, Told
from janitoo_actors.runtime.reports import ReportLog
from janitoo_actors.runtime.running import RunningConfig
from janitoo_actors.runtime.suspending import hold_back
from janitoo_actors.runtime.tree import bus_children, bus_flags
from janitoo_actors.runtime.tuning import tune
from janitoo_actors.runtime.wishes import Wishes
from supervisors import ActorInfo, ChildSide, ParentError, ProcessWork, Report, Root, System

STORE_TIMEOUT: Final = 5.0
"""Seconds that the parent has to write the file."""
_STOP_TIMEOUT: Final = 4.0
_SETTLING: Final = 0.05
_SETTLED: Final = 1.0
"""Seconds between two looks at the board, until its nodes are up and then."""
_CALL: Final = "store"


@dataclass(frozen=True, slots=True)
class Tuned:
    """Parent → child: go on with the settings of this configuration."""

    config: BusConfig


@dataclass(frozen=True, slots=True)
class LogLevel:
    """Parent → child: what is below this level need not be told."""

    level: int


@dataclass(frozen=True, slots=True)
class Start:
    """Parent → child: what the next child is made of.

    Attributes:
        path: the configuration file.
        level: what is below it need not be told of the log.
    """

    config: BusConfig
    system: SystemConfig
    path: Path
    level: int
    wishes: Wishes


class ProcessBus:
    """The parent's part in a bus that runs in a child: its configuration, as it is now, and its board."""

    def __init__(self, config: BusConfig, board: Board, system: SystemConfig, running: RunningConfig) -> None:
        self._config = config
        self._board = board
        self._system = system
        self._running = running

    def work(self) -> ProcessWork:
        """What the child does."""
        return ProcessWork(
            main=run_bus,
            # What is in force now, and not what was at the start.
            args=self._arguments,
            preload=(__name__,),
            # A busy machine may keep a healthy process waiting for a moment.
            hang_limit=max(self._system.read_timeout, 1.0),
            memory_max=self._config.memory_max,
            calls={_CALL: self._write},
            on_told=self._told,
            on_end=self._ended,
        )

    def _arguments(self) -> tuple[Start]:
        """What the next child is made of."""
        # It answers for itself, as soon as it is on the air.
        self._board.is_absent = False
        start = Start(
            self._running.bus(self._config.section),
            self._system,
            self._running.current.path,
            logging.getLogger().getEffectiveLevel(),
            self._running.wishes.current,
        )
        return (start,)

    def _write(self, section: str, options: Mapping[str, str], held: bool) -> None:
        self._running.set(section, options, held=held)

    def _told(self, what: Any) -> None:
        match what:
            case BoardState():
                self._board.take(what)
            case logs.Event():
                what.log()
            case Told() if self._board.remote is not None:
                self._board.remote.heard(what)
            case Report() if self._board.remote is not None:
                self._board.remote.reported(what)

    def _ended(self) -> None:
        """The child's last will tells the network; here nobody else takes its nodes down."""
        if self._board.remote is not None:
            self._board.remote.ended()
        self._board.on_air = False
        self._board.is_absent = True
        for node in self._board.nodes.values():
            node.state = NodeState.OFFLINE
            node.reason = "the process of the bus has ended"


class _RemoteStore:
    """The store, in the child: the parent writes."""

    def __init__(self, side: ChildSide) -> None:
        self._side = side

    def set(self, section: str, options: Mapping[str, str], *, held: bool = False) -> None:
        """As `RunningConfig.set`. Blocks. Raises TemporaryError with what the parent says."""
        try:
            self._side.call(_CALL, section, dict(options), held, timeout=STORE_TIMEOUT)
        except ParentError as error:
            raise TemporaryError(str(error)) from None
        except Timeout:
            raise TemporaryError(f"the file was not written within {STORE_TIMEOUT:g} s") from None


@dataclass(frozen=True, slots=True)
class _Below:
    """The tree below the bus, for the parent's snapshot."""

    root: Root

    def __call__(self) -> tuple[ActorInfo, ...]:
        info = self.root.snapshot()
        return () if info is None else info.children


def run_bus(side: ChildSide, start: Start) -> None:
    """The child's main thread: run the bus until the parent wants it to end, or it ends by itself."""
    config, system, wishes = start.config, start.system, start.wishes
    logs.configure_child(side.tell, start.level)
    board = Board(config)
    hold_back(board, wishes, None)
    # What hangs here is not replaced beside its zombie, as in the server's process: the whole process goes.
    log_report = ReportLog()

    def report(what: Report) -> None:
        log_report(what)
        reason = what.reason.portable() if what.reason is not None else None
        side.tell(replace(what, reason=reason))

    actors = System(report, on_hung=lambda actor, seconds, stack: side.hung(f"{actor.path}, {seconds:.1f} s\n{stack}"))
    # Its own: the claims of a process go with it.
    claims = ClaimTable(system.service, start.path)
    children = bus_children(config, board, system, _RemoteStore(side), claims)
    root = Root(actors, bus_flags(), children, path=f"/buses/{config.section}")

    inside = Inside(actors, lambda: [board])
    answerer = Answerer(inside, side.tell)

    def grant(wished: Wishes) -> None:
        log_watching.set_levels(wished.levels)
        inside.set_levels(wished.levels)
        hold_back(board, wished, actors.tell)

    def told_by_parent(what: Any) -> None:
        match what:
            case Ask():
                answerer.heard(what)
            case Wishes():
                grant(what)
            case Tuned(config=tuned):
                tune(board, tuned, actors.tell)
            case LogLevel(level=changed):
                logging.getLogger().setLevel(changed)

    grant(wishes)
    side.on_told(told_by_parent)
    side.ready(_Below(root))
    told: BoardState | None = None
    while root.reason is None and not side.stop_asked.wait(_SETTLED if board.settled else _SETTLING):
        state = board.report()
        if state != told:
            side.tell(state)
            told = state
    if root.reason is None:
        root.request_shutdown()
        root.wait_ended(_STOP_TIMEOUT)
    else:
        raise SystemExit(str(root.reason))
