"""One server: a configuration, running."""

from __future__ import annotations

from collections.abc import Callable

from janitoo_actors.configuration.model import BusConfig, ServerConfig
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.leasing import Addresses
from janitoo_actors.runtime.reports import ReportLog
from janitoo_actors.runtime.tree import BUSES, bus_spec, bus_specs, root_children
from supervisors import (
    ActorInfo,
    ExitReason,
    Root,
    SupervisorFlags,
    System,
    delete_child,
    start_child,
    terminate_child,
)


class Server:
    """A server, for the plain thread that owns the process.

    Attributes:
        boards: what its buses show, in the order of the file; those that have their addresses from a primary last.
    """

    def __init__(self, config: ServerConfig, on_ended: Callable[[], None] | None = None) -> None:
        """Start it, and return without waiting.

        Args:
            config: what to run.
            on_ended: called when the tree has ended, on the thread of its root; must not block.
        """
        self.config = config
        self.boards: list[Board] = [Board(bus) for bus in config.buses]
        self._system = System(ReportLog())
        self._store = ConfigStore(config.path)
        leased = [bus for bus in (*config.buses, *config.unaddressed) if bus.leased]
        foreign = frozenset(bus.node.hadd.controller for bus in config.buses if not bus.leased)
        self._addresses = Addresses(leased, self._store, self._start_bus, foreign) if leased else None
        # What is in it when the supervisor of the buses starts, is started: those that have come later, too.
        self._buses = bus_specs(config, self.boards, self._store)
        children = root_children(config, self._buses, self._addresses)
        self._system.on_zombies = self._too_many_zombies
        self._root = Root(self._system, SupervisorFlags(intensity=3, period=60.0), children, on_ended)

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
        return [] if self._addresses is None else self._addresses.waiting

    def settled(self) -> bool:
        """Whether every node has come to a state, and the network hears of it: it works, or is known not to."""
        return not self.waiting and all(board.settled for board in self.boards)

    def _start_bus(self, bus: BusConfig) -> None:
        """Start a bus that has got its addresses, in the place of what may run with others. Does not wait."""
        board = Board(bus)
        spec = bus_spec(bus, board, self.config.system, self._store)
        self.boards[:] = [*(each for each in self.boards if each.section != bus.section), board]
        self._buses[:] = [*(each for each in self._buses if each.id != bus.section), spec]
        supervisor = self._system.lookup(BUSES)
        if supervisor is not None:
            # One after the other, as the supervisor takes them. There is nobody to tell what becomes of it: the two
            # first fail where there is no such child, and what does not start is tried again, and reported.
            terminate_child(supervisor, bus.section)
            delete_child(supervisor, bus.section)
            start_child(supervisor, spec)

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
        self.request_stop()
        ended = self._root.wait_ended(timeout)
        if not ended:
            self._root.kill("the server has stopped")
        self._system.stop()
        return ended
