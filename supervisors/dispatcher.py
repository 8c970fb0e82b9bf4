"""A few threads that run every light actor."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final

from pykka import ThreadingFuture

from supervisors.wheel import TimerWheel

logger = logging.getLogger("supervisors")

WORKERS: Final = 1
"""How many workers take turns. Python's lock lets one thread run at a time: more of them only contend for it, and for
each message that goes from one thread to another it changes hands. Where a turn does not end, others stand in."""
RESERVES: Final = 3
"""How many threads are there from the start to stand in, so that some can where the system has no more threads."""
THROUGHPUT: Final = 64
"""How many messages an actor may handle in one turn before the others have theirs."""
MAX_EXTRA: Final = 64
"""How many workers may stand in for those that are blocked."""
_PATIENCE: Final = 0.01
"""Seconds without any turn done, while some wait, until another worker stands in."""
_IDLE: Final = 5.0
"""Seconds that a worker stands in for at least, and that it waits for more to do."""

_here = threading.local()

Turn = Callable[[], None]


class Dispatcher:
    """A pool of daemon threads that take turns of actors from one queue.

    Fair by turns: an actor that has more to do after `THROUGHPUT` messages goes to the end of the queue. Handlers must
    not block. Where they do, by asking another light actor or otherwise, other workers stand in, up to `MAX_EXTRA`: at
    once for an ask, and for whatever else takes longer than some hundredths of a second. So no actor waits for ever for
    a thread. Threads start with the first turn.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        # Of its own: the actors' timers are theirs alone. Its thread starts with the first backlog.
        self._wheel = TimerWheel()
        self._turns: SimpleQueue[Turn | None] = SimpleQueue()
        # To the reserves: whether to stand in, or to end.
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._standing_by = RESERVES
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self._extra = 0
        self._blocked = 0
        self._done = 0
        self._busy = False
        self._watching = False
        self._lock = threading.Lock()
        self._stopped = False

    def submit(self, turn: Turn) -> None:
        """Have a worker run a turn; never blocks. A turn must not raise, and not block for long."""
        if not self._threads:
            self._start()
        self._turns.put(turn)
        if self._busy and not self._watching:
            self._watch()

    def stop(self) -> None:
        """End the workers after the turns that wait now. Does not wait for them."""
        with self._lock:
            self._stopped = True
            self._wheel.stop()
            for _ in range(self._workers + self._extra):
                self._turns.put(None)
            for _ in range(RESERVES):
                self._calls.put(False)

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
            short = self._extra < self._blocked
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
            works = [self._work] * self._workers + [self._stand_by] * RESERVES
            threads = [
                threading.Thread(target=work, name=f"dispatcher-{number}", daemon=True)
                for number, work in enumerate(works)
            ]
            for thread in threads:
                thread.start()
            self._threads = threads

    def _work(self) -> None:
        _here.dispatcher = self
        while (turn := self._next(None)) is not None:
            self._run(turn)
            # A worker that waits for its next turn must not keep the actor of its last one.
            del turn

    def _stand_by(self) -> None:
        while self._calls.get():
            self._work_for_now()
            with self._lock:
                self._standing_by += 1

    def _work_for_now(self) -> None:
        _here.dispatcher = self
        since = time.monotonic()
        try:
            while (turn := self._next(_IDLE)) is not None:
                self._run(turn)
                del turn
                # Where there is always something to do, each of many has a turn now and then, and nobody is ever idle
                # for long: who finds nothing that waits is one too many, as soon as those that were blocked are not.
                if not self._turns.qsize() and time.monotonic() - since > _IDLE and self._extra > self._blocked:
                    break
        except Empty:
            pass
        finally:
            with self._lock:
                self._extra -= 1
            # It may have been the only one that waited for the next turn, as the others are blocked.
            self._busy = True
            if self._turns.qsize() and not self._watching:
                self._watch()

    def _next(self, timeout: float | None) -> Turn | None:
        turns = self._turns
        if not turns.qsize():
            # Whoever submits from now on finds a worker that waits for it: nothing needs to be watched.
            self._busy = False
        return turns.get(timeout=timeout)

    def _run(self, turn: Turn) -> None:
        self._busy = True
        if not self._watching and self._turns.qsize():
            # Submitted after this turn was, and before it was under way.
            self._watch()
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
            stands_by = self._standing_by > 0
            self._standing_by -= stands_by
        if stands_by:
            self._calls.put(True)
            return
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
