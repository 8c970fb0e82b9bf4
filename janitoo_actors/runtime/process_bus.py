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

from janitoo_actors import logs
from janitoo_actors.claims import ClaimTable
from janitoo_actors.configuration.model import BusConfig, NodeConfig, SystemConfig
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Board, BoardState
from janitoo_actors.runtime.reports import ReportLog
from janitoo_actors.runtime.tree import bus_children, bus_flags
from supervisors import ActorInfo, ChildSide, ParentError, ProcessWork, Root, System

STORE_TIMEOUT: Final = 5.0
"""Seconds that the parent has to write the file."""
_STOP_TIMEOUT: Final = 4.0
_SETTLING: Final = 0.05
_SETTLED: Final = 1.0
"""Seconds between two looks at the board, until its nodes are up and then."""
_CALL: Final = "store"


class ProcessBus:
    """The parent's part in a bus that runs in a child: its configuration, as it is now, and its board."""

    def __init__(self, config: BusConfig, board: Board, system: SystemConfig, store: ConfigStore) -> None:
        self._config = config
        self._board = board
        self._system = system
        self._store = store

    def work(self) -> ProcessWork:
        """What the child does."""
        return ProcessWork(
            main=run_bus,
            args=lambda: (self._config, self._system, self._store.path, logging.getLogger().getEffectiveLevel()),
            preload=(__name__,),
            # A busy machine may keep a healthy process waiting for a moment.
            hang_limit=max(self._system.read_timeout, 1.0),
            memory_max=self._config.memory_max,
            calls={_CALL: self._write},
            on_told=self._told,
            on_end=self._ended,
        )

    def _write(self, section: str, options: Mapping[str, str]) -> None:
        self._store.set(section, options)
        # The next child is made of what is in the file now.
        components = tuple(
            replace(each, node=_changed(each.node, section, options)) for each in self._config.components
        )
        node = _changed(self._config.node, section, options)
        self._config = replace(self._config, node=node, components=components)

    def _told(self, what: Any) -> None:
        match what:
            case BoardState():
                self._board.take(what)
            case logs.Event():
                what.log()

    def _ended(self) -> None:
        """The child's last will tells the network; here nobody else takes its nodes down."""
        self._board.on_air = False
        for node in self._board.nodes.values():
            node.state = NodeState.OFFLINE
            node.reason = "the process of the bus has ended"


class _RemoteStore:
    """The store, in the child: the parent writes."""

    def __init__(self, side: ChildSide) -> None:
        self._side = side

    def set(self, section: str, options: Mapping[str, str]) -> None:
        """As `ConfigStore.set`. Blocks. Raises TemporaryError with what the parent says."""
        try:
            self._side.call(_CALL, section, dict(options), timeout=STORE_TIMEOUT)
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


def run_bus(side: ChildSide, config: BusConfig, system: SystemConfig, path: Path, level: int) -> None:
    """The child's main thread: run the bus until the parent wants it to end, or it ends by itself."""
    logs.configure_child(side.tell, level)
    board = Board(config)
    # What hangs here is not replaced beside its zombie, as in the server's process: the whole process goes.
    actors = System(
        ReportLog(), on_hung=lambda actor, seconds, stack: side.hung(f"{actor.path}, {seconds:.1f} s\n{stack}")
    )
    # Its own: the claims of a process go with it.
    claims = ClaimTable(system.service, path)
    children = bus_children(config, board, system, _RemoteStore(side), claims)
    root = Root(actors, bus_flags(), children, path=f"/buses/{config.section}")
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


def _changed(node: NodeConfig, section: str, options: Mapping[str, str]) -> NodeConfig:
    """The node's configuration with options of its section written; an address waits for the next start of all."""
    if node.uuid != section:
        return node
    fields: dict[str, Any] = {key: text for key, text in options.items() if key in {"name", "location"}}
    fields |= {key: float(text) for key, text in options.items() if key in {"heartbeat", "config_timeout"}}
    if "hadd" in options:
        # It stands in the file now: nobody may write the assigned one over it.
        fields["hadd_assigned"] = False
    others = {key: text for key, text in options.items() if key not in {*fields, "hadd"}}
    return replace(node, options={**node.options, **others}, **fields)
