"""A few threads that run every light actor."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

logger = logging.getLogger("supervisors")

WORKERS: Final = 4
THROUGHPUT: Final = 64
"""How many messages an actor may handle in one turn before the others have theirs."""


class Dispatcher:
    """A pool of daemon threads that take turns of actors from one queue.

    Fair by turns: an actor that has more to do after `THROUGHPUT` messages goes to the end of the queue.
    Threads start with the first turn.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        self._turns: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, turn: Callable[[], None]) -> None:
        """Have a worker run a turn; never blocks. A turn must not raise, and not block for long."""
        if not self._threads:
            self._start()
        self._turns.put(turn)

    def stop(self) -> None:
        """End the workers after the turns that wait now. Does not wait for them."""
        with self._lock:
            for _ in self._threads:
                self._turns.put(None)

    def backlog(self) -> int:
        """How many turns wait for a worker, about."""
        return self._turns.qsize()

    def _start(self) -> None:
        with self._lock:
            if self._threads:
                return
            self._threads = [
                threading.Thread(target=self._work, name=f"dispatcher-{number}", daemon=True)
                for number in range(self._workers)
            ]
            for thread in self._threads:
                thread.start()

    def _work(self) -> None:
        while (turn := self._turns.get()) is not None:
            try:
                turn()
            except BaseException:
                # A turn reports its actor's faults itself: what arrives here is a fault of this library. The worker
                # must live on for the other actors.
                logger.exception("A turn failed outside of its actor")
            # A worker that waits for its next turn must not keep the actor of its last one.
            del turn
