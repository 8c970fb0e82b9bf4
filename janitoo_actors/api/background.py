"""A thread of a device, for what answers when it likes: a server of a network that may hang."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from janitoo_actors.errors import BusLostError, JanitooError, TemporaryError, said

T = TypeVar("T")

_ENDED: Final = 1.0
"""Seconds that the thread has to end, once what it does has been aborted."""


class NotDoneError(TemporaryError):
    """A call has not come back in time.

    Attributes:
        begun: whether it was under way: what has come of it is not known then. Otherwise it will never be made.
    """

    def __init__(self, what: str, *, begun: bool) -> None:
        super().__init__(what)
        self.begun = begun


@dataclass(frozen=True, slots=True)
class _Job:
    call: Callable[[], Any]
    done: Future[Any]


class Background:
    """Looks again and again on a thread of its own, from `start` to `stop`, so that the bus waits for nobody.

    A device makes one in `open`, and stops it in `close`. A driver needs no thread or lock of its own for it: what it
    looks with is used on this thread alone, and what it finds is told by `Device.changed`, which any thread may call.

    Args:
        name: of the thread, for people: "nut ups1".
        look: called on the thread; gives the seconds until the next look. JanitooErrors are its own matter: whatever
            it raises is a bug, which ends the thread, and the bus with its next `check`.
        abort: called on the bus's thread to have what `look` waits for fail at once. It must not block.
        end: called on the thread, as the last thing.
    """

    def __init__(
        self, name: str, look: Callable[[], float], *, abort: Callable[[], None], end: Callable[[], None]
    ) -> None:
        self._name = name
        self._look = look
        self._abort = abort
        self._end = end
        self._bug: BaseException | None = None
        self._first = threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin. On the bus's thread; does not block."""
        self._thread.start()

    def stop(self) -> None:
        """End, with what is under way. On the bus's thread; blocks for a second at most, where `abort` ends nothing."""
        self._jobs.put(None)
        self._abort()
        self._thread.join(_ENDED)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def has_looked(self) -> bool:
        """Whether the first look is over. Any thread."""
        return self._first.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end of the first look; whether it has come. On the bus's thread; blocks for `seconds` at most.

        Raises:
            BusLostError: there is a bug in it; the bus that follows has another thread.
        """
        has_looked = self._first.wait(seconds)
        if self._bug is not None:
            raise BusLostError(f"the thread {self._name!r} has failed: {said(self._bug)}")
        return has_looked

    def run(self, call: Callable[[], T], seconds: float) -> T:
        """Have something done on the thread, between two looks. On the bus's thread; blocks for `seconds` at most.

        Raises:
            NotDoneError: it has not come back in time.
            Exception: whatever the call raises; what is no JanitooError is a bug here too.
        """
        job = _Job(call, Future())
        self._jobs.put(job)
        try:
            return cast("T", job.done.result(seconds))
        except FutureTimeoutError:
            begun = not job.done.cancel()
            raise NotDoneError(f"not done within {seconds:g} s", begun=begun) from None

    # -- on its own thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._go_on()
        except Exception as error:  # noqa: BLE001 - a bug: the bus ends with it at its next read
            self._bug = error
            self._first.set()
        finally:
            self._end()

    def _go_on(self) -> None:
        wait = 0.0
        while True:
            try:
                job = self._jobs.get(timeout=wait)
            except queue.Empty:
                pass
            else:
                if job is None:
                    return
                self._do(job)
            wait = self._look()
            self._first.set()

    @staticmethod
    def _do(job: _Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            result = job.call()
        except BaseException as error:
            job.done.set_exception(error)
            if not isinstance(error, JanitooError):
                raise
        else:
            job.done.set_result(result)
