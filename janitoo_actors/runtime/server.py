"""One server: a configuration, running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from janitoo_actors import log_watching
from janitoo_actors.claims import ClaimTable
from janitoo_actors.configuration.changes import Plan
from janitoo_actors.configuration.model import Isolation, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.runtime.addresses import Addresses, Follow
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.buses import Buses, prepare_all
from janitoo_actors.runtime.history import History
from janitoo_actors.runtime.inside import Inside
from janitoo_actors.runtime.metrics_port import Metrics
from janitoo_actors.runtime.reload import Reloaded, Reloader
from janitoo_actors.runtime.reports import ReportLog
from janitoo_actors.runtime.running import RunningConfig
from janitoo_actors.runtime.tree import absent_child, addresses_child, root_children
from janitoo_actors.runtime.watching import FileWatch
from janitoo_actors.runtime.wishes import Wishes
from supervisors import ActorInfo, ExitReason, Report, Root, SupervisorFlags, System, start_child
from supervisors.wheel import TimerHandle

_LEAST_WAIT: Final = 0.2
"""Seconds; also where `config_timeout` is 0."""

if TYPE_CHECKING:
    from janitoo_actors.configuration.examination import Report as Examined
    from janitoo_actors.network.network import Network


class Server:
    """A server, for the plain thread that owns the process.

    Attributes:
        running: its configuration, as it is now.
        started: when, in `time.monotonic()`.
        network: what it knows of the network; None where it has no role there.
        history: what has happened lately, and what has gone wrong.
        inside: this process, for the console.
        metrics: its figures by HTTP.
    """

    def __init__(
        self,
        config: ServerConfig,
        on_ended: Callable[[], None] | None = None,
        *,
        registry: Callable[[], Registry] | None = None,
        apply_logging: Callable[[ServerConfig], None] | None = None,
    ) -> None:
        """Start it, and return without waiting.

        Args:
            config: what to run.
            on_ended: called when the tree has ended, on the thread of its root; must not block.
            registry: gives the drivers at hand, for a reload; those that are installed where not given.
            apply_logging: as of `Reloader`.
        """
        self.started = time.monotonic()
        self._log = structlog.get_logger().bind(path="/reload")
        self.history = History()
        log_watching.listen(self.history.logged)
        self._log_report = ReportLog()
        self._system = System(self._reported)
        store = ConfigStore(config.path, config.ini, refuses=_refuses(config))
        self.running = RunningConfig(config, store, self._held)
        claims = ClaimTable(config.system.service, config.path)
        self._buses = Buses(self._system, self.running, claims, self.history.reported)
        self.inside = Inside(self._system, self._own_boards)
        self.running.wishes.on_change = self._grant
        self._levels_lock = threading.Lock()
        self._levels: dict[str, TimerHandle] = {}
        # As it is looked up now: a test may have put its own in the place.
        self._drivers = registry if registry is not None else Registry.installed
        self._addresses = Addresses(self.running, self._apply_addresses, self._follow)
        self._reloader = Reloader(
            self.running, self._buses, store, self._drivers, self._addresses, apply_logging=apply_logging
        )
        self._held_lock = threading.Lock()
        self._held_timers: dict[str, TimerHandle] = {}
        self._system.on_zombies = self._too_many_zombies
        self.network: Network | None = None
        if config.network is not None:
            # Here and not above: a server without a role there has no use for it.
            from janitoo_actors.network.tree import make_network

            self.network = make_network(config.network)
        children = root_children(config, prepare_all(self._buses, config), self._addresses, self.network)
        if self._has_processes():
            children.insert(-1, absent_child(config.system, lambda: self.boards))
        self._root = Root(self._system, SupervisorFlags(intensity=3, period=60.0), children, on_ended)
        if config.copy is None:
            # It runs with it now.
            store.adopt(config.ini, good=not config.problems)
        self._watch = FileWatch(self.running, lambda: self.reload("auto_reload", others=True))
        self._watch.start()
        self.metrics = Metrics(self, self._system.wheel)
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

    @property
    def waiting(self) -> list[str]:
        """The sections of the buses that wait for an address."""
        return list(self.running.waiting)

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
        return not self.waiting and len(boards) == len(self.config.buses) and all(board.settled for board in boards)

    def plan(self) -> Plan:
        """What a reload would do; see `Reloader.plan`. Any plain thread; blocks for the disk."""
        return self._reloader.plan()

    def examine(self) -> Examined:
        """What is wrong with its file now; see `examination.examine`. Any plain thread; blocks for the disk."""
        # Here and not above: a server that nobody asks for it need not have it.
        from janitoo_actors.configuration.examination import examine

        return examine(self.config.path, self._drivers())

    def reload(self, source: str, *, others: bool = False) -> Reloaded | None:
        """Have it run what its file says now; see `Reloader.reload`. Any plain thread; blocks for some seconds."""
        done = self._reloader.reload(source, others=others)
        self._watch.start()
        self.metrics.apply(self.config.system.metrics_port)
        return done

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

    def _apply_addresses(self, section: str, hadds: Mapping[str, Hadd]) -> None:
        # Likewise, and no actor may wait for the supervisor.
        name = f"addresses of {section}"
        run = self._reloader.apply_addresses
        threading.Thread(target=run, args=(section, hadds), name=name, daemon=True).start()

    def _follow(self) -> None:
        """The configuration has changed. The first bus that needs an address brings what asks for it, and so on."""
        root = self._system.lookup("/")
        if root is None:
            return
        # What is there already and is being restarted looks by itself; another one of it is refused.
        if not self._system.tell("/addresses", Follow()) and self._addresses.buses:
            start_child(root, addresses_child(self.config.system, self._addresses))
        if self._has_processes() and self._system.lookup("/absent") is None:
            start_child(root, absent_child(self.config.system, lambda: self.boards))

    def _has_processes(self) -> bool:
        return any(bus.isolation is Isolation.PROCESS for bus in self.config.all_buses)

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


def _refuses(config: ServerConfig) -> str:
    """Why the file is not written, where the server runs with a copy of it."""
    if config.copy is None:
        return ""
    return (
        f"it is broken, and the server runs on the good copy of {config.copy.date}; "
        f"mend the file and reload it first. What is wrong: {config.broken[0]}"
    )
