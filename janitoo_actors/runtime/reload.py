"""Changing the configuration of a running server: each change is applied to just what it touches."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from janitoo_actors.configuration.changes import Plan, difference
from janitoo_actors.configuration.ini import ConfigurationFileError
from janitoo_actors.configuration.loader import load, load_ini
from janitoo_actors.configuration.model import BusConfig, Problem, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.errors import ConfigurationError, JanitooError, TemporaryError, said
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.runtime.addresses import Addresses
from janitoo_actors.runtime.buses import Buses, BusOutcome, Prepared
from janitoo_actors.runtime.running import RunningConfig

BUSY_PATIENCE: Final = 30.0
"""Seconds that a reload waits for the one before it."""
SETTLE_PATIENCE: Final = 5.0
"""Seconds that a reload waits for what it has started, to say what came of it."""


class ReloadRefusedError(ConfigurationError):
    """The file cannot be taken over, and nothing has changed.

    Attributes:
        problems: everything that is wrong, a sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class ReloadBusyError(TemporaryError):
    """Another reload has been at work all the time."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload has done.

    Attributes:
        outcomes: of the buses that were started or restarted.
        warnings: what is odd in the file, and does no harm.
    """

    plan: Plan
    outcomes: Sequence[BusOutcome] = ()
    warnings: Sequence[Problem] = ()


class Reloader:
    """The one who changes the buses of a running server, one change at a time.

    For plain threads: it blocks, for seconds. No actor may call it.

    Args:
        store: what writes the file; it is told what runs.
        registry: gives the drivers at hand.
        addresses: the buses that have their addresses from a primary; it is told when there are others.
        apply_logging: sets the log up by a configuration, or raises ConfigurationError and leaves it as it was; None
            where the log is not the server's.
    """

    def __init__(
        self,
        running: RunningConfig,
        buses: Buses,
        store: ConfigStore,
        registry: Callable[[], Registry],
        addresses: Addresses,
        *,
        apply_logging: Callable[[ServerConfig], None] | None = None,
    ) -> None:
        self._running = running
        self._buses = buses
        self._store = store
        self._registry = registry
        self._addresses = addresses
        self._apply_logging = apply_logging
        self._lock = threading.Lock()
        self._log = structlog.get_logger().bind(path="/reload")

    def plan(self) -> Plan:
        """What a reload would do. Reads the file, and changes nothing.

        Raises:
            ReloadRefusedError: why it would do nothing.
        """
        config = self._checked(lambda: load(self._running.current.path, self._registry()))
        return difference(self._running.current, config)

    def reload(self, source: str, *, others: bool = False) -> Reloaded | None:
        """Read the file, and have the server run what it says.

        Args:
            source: who wants it, for the log.
            others: only where somebody else has changed it: do nothing, and give None, where the file differs from what
                runs by nothing but what was written over the air, and waits.

        Raises:
            ReloadRefusedError: the file has mistakes; nothing has changed.
            ReloadBusyError: another reload does not come to its end; nothing has changed.
            ServerEndingError: the server is stopping.
        """
        with self._one_at_a_time():
            self._running.begin()
            try:
                # By the store: what is written over the air from here on goes on top of what was read.
                loaded = self._checked(lambda: load_ini(self._store.read(), self._registry()))
                config = self._running.rebased(loaded)
                if others and difference(self._running.settled(), config).is_empty:
                    return None
                plan = difference(self._running.current, config)
                started = self._apply(plan)
            except ReloadRefusedError as error:
                for problem in error.problems:
                    self._log.error("configuration_wrong", problem=problem)
                self._log.error("reload_refused", source=source, problems=len(error.problems))
                raise
            finally:
                self._running.abandon()
        # The next reload need not wait for that.
        outcomes = self._buses.outcomes(started, SETTLE_PATIENCE)
        lines = [line.strip() for line in plan.lines()]
        self._log.info("reloaded", source=source, changes=lines or "nothing")
        for warning in loaded.warnings:
            self._log.warning("configuration_odd", problem=str(warning))
        return Reloaded(plan, outcomes, loaded.warnings)

    def apply_held(self, section: str) -> None:
        """Restart a bus for what was written over the air and waits for it; nothing where nothing waits.

        What goes wrong is logged: nobody asked.
        """
        try:
            with self._one_at_a_time():
                if section not in self._running.held:
                    return
                plan = difference(self._running.current, self._running.with_held(section))
                self._apply(plan, held=section)
        except JanitooError as error:
            self._log.error("change_not_applied", bus=section, error=said(error))
            return
        self._log.info("changes_applied", bus=section, changes=[line.strip() for line in plan.lines()])

    def apply_addresses(self, section: str, hadds: Mapping[str, Hadd]) -> None:
        """Have a bus run at these addresses, by key; those that are not among them are its own, or assumed.

        A bus that has been removed meanwhile, or changed so that it needs others, is left alone. What goes wrong is
        logged: nobody asked.
        """
        try:
            with self._one_at_a_time():
                before = self._running.leased.get(section)
                if before is None:
                    return
                bus = before.addressed(hadds)
                if bus.node.hadd_assigned:
                    return
                runs = section not in self._running.waiting
                if runs and bus.hadds == before.hadds:
                    self._running.enter(bus)
                    return
                prepared = self._made(bus, self._running.current)
                if runs:
                    self._buses.stop([section])
                self._running.enter(bus)
                current = self._running.current
                self._buses.start([self._as_it_is(prepared, current)])
        except JanitooError as error:
            self._log.error("address_not_applied", bus=section, error=said(error))

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=BUSY_PATIENCE):
            raise ReloadBusyError(f"another reload has been at work for {BUSY_PATIENCE:g} s; try again")
        try:
            yield
        finally:
            self._lock.release()

    def _checked(self, read: Callable[[], ServerConfig]) -> ServerConfig:
        path = self._running.current.path
        try:
            config = read()
        except ConfigurationFileError as error:
            raise ReloadRefusedError([str(problem) for problem in error.problems]) from error
        if config.problems:
            # Half of a file is not what anybody wanted; and a bus with a mistake in it must not be stopped for that.
            raise ReloadRefusedError([str(problem) for problem in config.problems])
        if config.is_idle:
            raise ReloadRefusedError([f"{path}: there is no bus to start"])
        return config

    def _apply(self, plan: Plan, *, held: str | None = None) -> list[str]:
        """Do it; the buses that have been started, or will be.

        Args:
            held: the bus whose waiting changes are put in force; None for a reload.
        """
        anew = [*plan.added, *(each.bus for each in plan.restarted)]
        # What cannot even be made is found here, with everything still running.
        prepared = [self._prepare(bus.section, plan.config) for bus in anew]
        if plan.logging or any(change.key == "log_format" for change in plan.system):
            self._change_log(plan.config)
        # All stop before one starts: an address may go from one to another.
        gone = [bus.section for bus in (*plan.removed, *(each.bus for each in plan.restarted))]
        if gone:
            self._buses.stop(gone)
        waited = () if held is not None else self._running.held
        if held is None:
            self._running.adopt(plan.config)
            self._store.adopt(plan.config.ini, good=True)
        else:
            self._running.release(held)
        tuned = {each.bus.section for each in plan.tuned}
        # What waited and is not in the file any more is not to be shown either.
        tuned |= {section for section in waited if section not in {*gone, *(bus.section for bus in plan.added)}}
        for section in tuned:
            self._buses.tune(self._running.bus(section))
        current = self._running.current
        self._buses.start(self._as_it_is(each, current) for each in prepared)
        self._addresses.follow()
        return [each.config.section for each in prepared]

    def _as_it_is(self, prepared: Prepared, current: ServerConfig) -> Prepared:
        """What was prepared; made anew where something has been written over the air meanwhile."""
        section = prepared.config.section
        same = prepared.config == self._running.bus(section)
        return prepared if same else self._prepare(section, current)

    def _prepare(self, section: str, config: ServerConfig) -> Prepared:
        (bus,) = (each for each in config.buses if each.section == section)
        return self._made(bus, config)

    def _made(self, bus: BusConfig, config: ServerConfig) -> Prepared:
        try:
            return self._buses.prepare(bus, config.system)
        except Exception as error:
            # The drivers' own code: what it cannot make is a mistake in the file, or a bug of its own.
            raise ReloadRefusedError([f"{config.path}: [{bus.section}]: it cannot be made: {said(error)}"]) from error

    def _change_log(self, config: ServerConfig) -> None:
        if self._apply_logging is None:
            return
        try:
            self._apply_logging(config)
        except ConfigurationError as error:
            raise ReloadRefusedError([str(error)]) from error
        self._buses.set_log_level(logging.getLogger().getEffectiveLevel())
