"""One server: a configuration, running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from janitoo_actors.configuration.model import ServerConfig
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.reports import ReportLog
from janitoo_actors.runtime.tree import root_children
from supervisors import ActorInfo, ExitReason, Root, SupervisorFlags, System

if TYPE_CHECKING:
    from janitoo_actors.network.network import Network


class Server:
    """A server, for the plain thread that owns the process.

    Attributes:
        boards: what its buses show, in the order of the file.
        network: what it knows of the network; None where it has no role there.
    """

    def __init__(self, config: ServerConfig, on_ended: Callable[[], None] | None = None) -> None:
        """Start it, and return without waiting.

        Args:
            config: what to run.
            on_ended: called when the tree has ended, on the thread of its root; must not block.
        """
        self.config = config
        self.boards: Sequence[Board] = [Board(bus) for bus in config.buses]
        self.network: Network | None = None
        if config.network is not None:
            # Here and not above: a server without a role there has no use for it.
            from janitoo_actors.network.tree import make_network

            self.network = make_network(config.network)
        self._system = System(ReportLog())
        store = ConfigStore(config.path)
        children = root_children(config, list(self.boards), store, self.network)
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

    def settled(self) -> bool:
        """Whether every node has come to a state, and the network hears of it: it works, or is known not to."""
        return all(board.settled for board in self.boards)

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
