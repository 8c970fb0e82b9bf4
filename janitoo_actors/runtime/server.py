"""One server: a configuration, running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from janitoo_actors import log_watching
from janitoo_actors.configuration.changes import Plan
from janitoo_actors.configuration.model import BusConfig, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.runtime.addresses import AddressSource, Nobody
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.buses import Buses, prepare_all
from janitoo_actors.runtime.history import History
from janitoo_actors.runtime.inside import Inside
from janitoo_actors.runtime.metrics_port import Metrics
from janitoo_actors.runtime.reload import Reloaded, Reloader
from janitoo_actors.runtime.reports import ReportLog
from janitoo_actors.runtime.running import RunningConfig
from janitoo_actors.runtime.tree import root_children
from janitoo_actors.runtime.watching import FileWatch
from janitoo_actors.runtime.wishes import Wishes
from supervisors import ActorInfo, ExitReason, Report, Root, SupervisorFlags, System
from supervisors.wheel import TimerHandle


class NetworkView(Protocol):
    """The network object, as the console shows it."""

    def describe(self) -> Mapping[str, Any]:
        """What it is at, in what JSON has: `role`, `state`, `peers`, the counts of its map. Waits for nobody."""


_LEAST_WAIT: Final = 0.2
"""Seconds; also where `config_timeout` is 0."""


class Server:
    """A server, for the plain thread that owns the process.

    Attributes:
        running: its configuration, as it is now.
        started: when, in `time.monotonic()`.
        history: what has happened lately, and what has gone wrong.
        inside: this process, for the console.
        network: the network object of the server, as the console shows it; None where it has none.
        metrics: its figures by HTTP.
        claims: gives what a bus has claimed of the machine, a line each, by its section.
    """

    def __init__(
        self,
        config: ServerConfig,
        on_ended: Callable[[], None] | None = None,
        *,
        registry: Callable[[], Registry] | None = None,
        apply_logging: Callable[[ServerConfig], None] | None = None,
        addresses: AddressSource | None = None,
    ) -> None:
        """Start it, and return without waiting.

        Args:
            config: what to run.
            on_ended: called when the tree has ended, on the thread of its root; must not block.
            registry: gives the drivers at hand, for a reload; those that are installed where not given.
            apply_logging: as of `Reloader`.
            addresses: who is asked for the address of a bus that has none; nobody where not given.
        """
        self._addresses = addresses if addresses is not None else Nobody()
        self.started = time.monotonic()
        self._log = structlog.get_logger().bind(path="/reload")
        self.history = History()
        log_watching.listen(self.history.logged)
        self._log_report = ReportLog()
        self._system = System(self._reported)
        self.running = RunningConfig(config, ConfigStore(config.path), self._held)
        self._buses = Buses(self._system, self.running, self.history.reported)
        self.inside = Inside(self._system, self._own_boards)
        self.network: NetworkView | None = None
        self.claims: Callable[[str], Sequence[str]] = lambda _section: ()
        self.running.wishes.on_change = self._grant
        self._levels_lock = threading.Lock()
        self._levels: dict[str, TimerHandle] = {}
        # As it is looked up now: a test may have put its own in the place.
        drivers = registry if registry is not None else Registry.installed
        self._reloader = Reloader(self.running, self._buses, drivers, self._find_address, apply_logging)
        self._held_lock = threading.Lock()
        self._held_timers: dict[str, TimerHandle] = {}
        self._system.on_zombies = self._too_many_zombies
        children = root_children(config, prepare_all(self._buses, config))
        self._root = Root(self._system, SupervisorFlags(intensity=3, period=60.0), children, on_ended)
        for bus in config.buses:
            if bus.node.hadd_assigned:
                self._find_address(bus)
        self._watch = FileWatch(self.running, lambda: self.reload("auto_reload", others=True))
        self._watch.start()
        self.metrics = Metrics(self)
        self.metrics.apply(config.system.metrics_port)

    @property
    def config(self) -> ServerConfig:
        """The configuration that is in force."""
        return self.running.current

    @property
    def service(self) -> str:
        """Its name."""
        return self.config.system.service

    @property
    def boards(self) -> Sequence[Board]:
        """What its buses show, in the order of the file."""
        return self._buses.boards

    @property
    def system(self) -> System:
        """The actors' system: paths, dead letters."""
        return self._system

    @property
    def reason(self) -> ExitReason | None:
        """Why the tree has ended; None as long as it has not."""
        return self._root.reason

    def snapshot(self) -> ActorInfo | None:
        """The tree as it stands; None where it has ended. Any thread; waits for nobody."""
        return self._root.snapshot()

    def log_at(self, path: str, level: int | None, seconds: float) -> None:
        """Log what is of a path, and of all below it, at a level, for so long; None: as it was. Any thread."""
        wheel = self._system.wheel
        with self._levels_lock:
            waiting = self._levels.pop(path, None)
            if waiting is not None:
                wheel.cancel(waiting)
            if level is not None:
                self._levels[path] = wheel.schedule(seconds, lambda: self.running.wishes.set_level(path, None))
        self.running.wishes.set_level(path, level)

    def _grant(self, wishes: Wishes) -> None:
        """Have everybody do as somebody at the console wishes. Does not block."""
        log_watching.set_levels(wishes.levels)
        self.inside.set_levels(wishes.levels)
        self._buses.grant(wishes)

    def _own_boards(self) -> list[Board]:
        """Those of the buses in this process."""
        return [board for board in self._buses.boards if board.remote is None]

    def _reported(self, report: Report) -> None:
        self.history.reported(report)
        self._log_report(report)

    def settled(self) -> bool:
        """Whether every node has come to a state, and the network hears of it: it works, or is known not to."""
        boards = self.boards
        return len(boards) == len(self.config.buses) and all(board.settled for board in boards)

    def plan(self) -> Plan:
        """What a reload would do; see `Reloader.plan`. Any plain thread; blocks for the disk."""
        return self._reloader.plan()

    def reload(self, source: str, *, others: bool = False) -> Reloaded | None:
        """Have it run what its file says now; see `Reloader.reload`. Any plain thread; blocks for some seconds."""
        done = self._reloader.reload(source, others=others)
        self._watch.start()
        self.metrics.apply(self.config.system.metrics_port)
        return done

    def _find_address(self, bus: BusConfig) -> None:
        """Have a bus without an address ask for one, and start then. Does not block."""
        # Each on a thread of its own: none waits for the answer of another, and those with an address for none.
        threading.Thread(
            target=self._start_at_address, args=(bus,), name=f"address of {bus.section}", daemon=True
        ).start()

    def _start_at_address(self, bus: BusConfig) -> None:
        """Ask for the address of a bus, and start it with the answer, or without one at the one that is free here."""
        hadd = self._addresses.ask(bus, bus.node.config_timeout)
        if hadd is None:
            keep = f"[{bus.section}] hadd = {bus.node.hadd}"
            self._log.warning("address_assumed", bus=bus.section, hadd=str(bus.node.hadd), keep=keep)
        else:
            self._log.info("address_given", bus=bus.section, hadd=str(hadd))
        self._reloader.start_at(bus.section, hadd)

    def _held(self, section: str, seconds: float) -> None:
        """Something of a bus waits for its restart: do that when nothing more has come for so long. Any thread."""
        self._log.info("change_stored", bus=section, restart_in=seconds)
        # Not before who has written it is answered, by the bus that is to be stopped.
        seconds = max(seconds, _LEAST_WAIT)
        wheel = self._system.wheel
        with self._held_lock:
            waiting = self._held_timers.get(section)
            if waiting is not None:
                wheel.cancel(waiting)
            self._held_timers[section] = wheel.schedule(seconds, lambda: self._apply_held(section))

    def _apply_held(self, section: str) -> None:
        # On a thread of its own: timers must not wait for a bus to stop.
        name = f"restart of {section}"
        threading.Thread(target=self._reloader.apply_held, args=(section,), name=name, daemon=True).start()

    def _too_many_zombies(self) -> None:
        """Only a new process frees threads that hang: whoever started this one is to start it again."""
        self._root.kill("too many threads hang in drivers: only a new process frees them")

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Wait until the tree has ended by itself; whether it has in time. Blocks."""
        return self._root.wait_ended(timeout)

    def request_stop(self) -> None:
        """Have the tree end in order: each node says OFFLINE. Does not wait; a signal handler may call it."""
        self._root.request_shutdown()

    def stop(self, timeout: float) -> bool:
        """End the tree in order, and wait for it; whether it was in time. Blocks up to `timeout` seconds.

        What has not ended by then is left behind, on daemon threads.
        """
        self._watch.stop()
        self.metrics.end()
        self.request_stop()
        ended = self._root.wait_ended(timeout)
        if not ended:
            self._root.kill("the server has stopped")
        self._system.stop()
        log_watching.leave(self.history.logged)
        return ended
