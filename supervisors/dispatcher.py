"""A few threads that run every light actor."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final

from pykka import ThreadingFuture

from supervisors.wheel import TimerWheel

logger = logging.getLogger("supervisors")

WORKERS: Final = 4
THROUGHPUT: Final = 64
"""How many messages an actor may handle in one turn before the others have theirs."""
MAX_EXTRA: Final = 64
"""How many workers may stand in for those that are blocked."""
_PATIENCE: Final = 0.05
"""Seconds without any turn done, while some wait, until another worker stands in."""
_IDLE: Final = 5.0
"""Seconds that a worker that stands in waits for more to do."""

_here = threading.local()

Turn = Callable[[], None]


class Dispatcher:
    """A pool of daemon threads that take turns of actors from one queue.

    Fair by turns: an actor that has more to do after `THROUGHPUT` messages goes to the end of the queue. Handlers must
    not block. Where they do, by asking another light actor or otherwise, other workers stand in, up to `MAX_EXTRA`, so
    that no actor waits for ever for a thread. Threads start with the first turn.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        # Of its own: the actors' timers are theirs alone. Its thread starts with the first backlog.
        self._wheel = TimerWheel()
        self._turns: SimpleQueue[Turn | None] = SimpleQueue()
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self._extra = 0
        self._blocked = 0
        self._done = 0
        self._watching = False
        self._lock = threading.Lock()
        self._stopped = False

    def submit(self, turn: Turn) -> None:
        """Have a worker run a turn; never blocks. A turn must not raise, and not block for long."""
        if not self._threads:
            self._start()
        self._turns.put(turn)
        if not self._watching and self._turns.qsize() > 0:
            self._watch()

    def stop(self) -> None:
        """End the workers after the turns that wait now. Does not wait for them."""
        with self._lock:
            self._stopped = True
            self._wheel.stop()
            for _ in range(len(self._threads) + self._extra):
                self._turns.put(None)

    def backlog(self) -> int:
        """How many turns wait for a worker, about."""
        return self._turns.qsize()

    @property
    def extra(self) -> int:
        """How many workers stand in for blocked ones just now."""
        return self._extra

    @contextlib.contextmanager
    def blocking(self) -> Iterator[None]:
        """Around a wait on a worker's thread: another stands in for as long as it lasts."""
        with self._lock:
            self._blocked += 1
            short = len(self._threads) + self._extra - self._blocked < self._workers
        if short:
            self._stand_in()
        try:
            yield
        finally:
            with self._lock:
                self._blocked -= 1

    def _start(self) -> None:
        with self._lock:
            if self._threads:
                return
            threads = [
                threading.Thread(target=self._work, name=f"dispatcher-{number}", daemon=True)
                for number in range(self._workers)
            ]
            for thread in threads:
                thread.start()
            self._threads = threads

    def _work(self) -> None:
        _here.dispatcher = self
        while (turn := self._turns.get()) is not None:
            self._run(turn)
            # A worker that waits for its next turn must not keep the actor of its last one.
            del turn

    def _work_for_now(self) -> None:
        _here.dispatcher = self
        try:
            while (turn := self._turns.get(timeout=_IDLE)) is not None:
                self._run(turn)
                del turn
        except Empty:
            pass
        finally:
            with self._lock:
                self._extra -= 1

    def _run(self, turn: Turn) -> None:
        try:
            turn()
        except BaseException:
            # A turn reports its actor's faults itself: what arrives here is a fault of this library. The worker must
            # live on for the other actors.
            logger.exception("A turn failed outside of its actor")
        # Without a lock: one count more or less does not matter, only whether it moves.
        self._done += 1

    def _stand_in(self) -> None:
        with self._lock:
            if self._extra >= MAX_EXTRA or self._stopped:
                return
            self._extra += 1
        try:
            threading.Thread(target=self._work_for_now, name="dispatcher-extra", daemon=True).start()
        except RuntimeError:
            # The system has no more threads. Those that wait go on waiting; nobody else is to fail for it.
            logger.exception("No worker could stand in")
            with self._lock:
                self._extra -= 1

    def _watch(self) -> None:
        """Look in a moment whether turns are being done: for handlers that block without saying so."""
        self._watching = True
        done = self._done
        self._wheel.schedule(_PATIENCE, lambda: self._look(done))

    def _look(self, done: int) -> None:
        if not self._turns.qsize():
            self._watching = False
            # Once more: whoever came in between has found that it was being watched.
            if not self._turns.qsize():
                return
        if self._done == done:
            self._stand_in()
        self._watch()


class AskFuture(ThreadingFuture[Any]):
    """The answer of an actor. Waiting for it on a worker's thread does not take the worker from the others."""

    def get(self, *, timeout: float | None = None) -> Any:
        """See `pykka.Future.get`."""
        dispatcher: Dispatcher | None = getattr(_here, "dispatcher", None)
        if dispatcher is None or self._result is not None:
            return super().get(timeout=timeout)
        with dispatcher.blocking():
            return super().get(timeout=timeout)
