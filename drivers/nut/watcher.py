"""The thread that asks the server of one UPS, again and again, so that nobody else waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from typing import Final

from drivers.nut.connection import Connection, DeniedError, ServerLostError
from janitoo_actors.api import BusLostError, ConfigurationError, TemporaryError
from janitoo_actors.errors import JanitooError, said

LISTED: Final = 5.0
"""Seconds for which all that a UPS says but its status counts. As often as upsmon looks."""
_RETRIED: Final = 5.0
"""Seconds between two tries to reach a server that is lost, at most."""
_RECHECKED: Final = 30.0
"""Seconds between two looks at a user that was not taken: upsd.users may have been mended."""
_ENDED: Final = 1.0
"""Seconds that the thread has to end; an aborted connection ends it at once, a name server only when it answers."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a UPS now.

    Attributes:
        variables: all that it says, by the names of NUT; empty where that is not known.
        error: why it is not known; None where it is.
        denied: why the user and the password are not taken; None where they are, or nobody has looked.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    error: JanitooError | None = None
    denied: ConfigurationError | None = None

    @property
    def answers(self) -> bool:
        """Whether the server does, be it with an error."""
        return not isinstance(self.error, ServerLostError)


@dataclass(frozen=True, slots=True)
class _Job:
    command: str
    done: Future[None]


class Watcher:
    """Watches one UPS on a thread of its own, from `start` to `stop`: a server that hangs keeps this one waiting only.

    It asks for the status every so often, which is one short line, and lists all variables when that has changed, and
    every 5 s. Nothing raises on its thread but a bug; the next `heard` tells of it.

    Args:
        every: seconds between two looks at the status.
        check_user: whether to see at each connection if the server takes the user.
        told: called with what was known and what is known now, on the watcher's thread.
    """

    def __init__(
        self, connection: Connection, *, every: float, check_user: bool, told: Callable[[Heard, Heard], None]
    ) -> None:
        self._connection = connection
        self._every = every
        self._check_user = check_user
        self._told = told
        self._heard = Heard(error=ServerLostError(f"{connection.server} has not answered yet"))
        self._first = threading.Event()
        self._is_missed = False
        self._bug: BaseException | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"nut {connection.ups}", daemon=True)
        self._due = 0.0
        # The watcher's own.
        self._listed_at: float | None = None
        self._checked_at: float | None = None
        self._failures = 0

    def start(self) -> None:
        """Begin. The first answer is waited for from now on."""
        self._due = time.monotonic() + self._connection.server.timeout
        self._thread.start()

    def stop(self) -> None:
        """End, with what is under way. Blocks for a second at most, where a name server does not answer."""
        self._jobs.put(None)
        self._connection.abort()
        self._thread.join(_ENDED)

    # -- for the bus's thread ------------------------------------------------------------------------------------

    def heard(self) -> Heard:
        """What is known now. Blocks only before the first answer, for the timeout since the start at most.

        Raises:
            BusLostError: the watcher has a bug; the bus that follows has another one.
        """
        if not self._first.wait(max(self._due - time.monotonic(), 0)):
            self._is_missed = True
        if self._bug is not None:
            raise BusLostError(f"the thread that asks {self._connection.server} has failed: {said(self._bug)}")
        return self._heard

    def run(self, command: str) -> None:
        """Have the server pass an instant command on. Blocks for two timeouts at most, and not where it is lost.

        Raises:
            TemporaryError, ConfigurationError, PermanentError: as `Connection.run`; or the server is busy or lost.
        """
        known = self.heard()
        if known.error is not None:
            raise type(known.error)(str(known.error))
        job = _Job(command, Future())
        self._jobs.put(job)
        server, limit = self._connection.server, 2 * self._connection.server.timeout
        try:
            job.done.result(limit)
        except FutureTimeoutError:
            if job.done.cancel():
                raise TemporaryError(f"{server} has not answered within {limit:g} s: {command} was not given") from None
            raise TemporaryError(
                f"{server} has not answered {command} within {limit:g} s: whether it was given is not known"
            ) from None

    # -- on the watcher's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # noqa: BLE001 - a bug: the bus ends with it at its next read
            self._bug = error
            self._first.set()
        finally:
            self._connection.drop()

    def _watch(self) -> None:
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

    def _do(self, job: _Job) -> None:
        if not job.done.set_running_or_notify_cancel():
            return
        try:
            self._connection.run(job.command)
        except DeniedError as error:
            if self._check_user:
                # It may be this command alone that the user may not give.
                self._checked_at = None
            else:
                self._keep(replace(self._heard, denied=error))
            job.done.set_exception(error)
        except BaseException as error:
            job.done.set_exception(error)
            if not isinstance(error, JanitooError):
                raise
        else:
            # Whatever was wrong with the user is not any more.
            self._keep(replace(self._heard, denied=None))
            job.done.set_result(None)

    def _look(self) -> float:
        """Ask once; seconds until the next time."""
        try:
            heard = self._asked()
        except JanitooError as error:
            heard = Heard(error=error, denied=self._heard.denied)
            self._listed_at = None
        self._failures = 0 if heard.answers else self._failures + 1
        if not heard.answers:
            self._checked_at = None
        self._keep(heard)
        if self._failures == 0:
            return self._every
        return max(self._every, min(self._every * 2.0 ** min(self._failures - 1, 8), _RETRIED))

    def _asked(self) -> Heard:
        now = time.monotonic()
        variables = self._heard.variables
        is_known = self._listed_at is not None and now - self._listed_at < LISTED
        if not is_known or self._connection.status() != variables.get("ups.status"):
            variables = self._connection.variables()
            self._listed_at = now
        return Heard(variables, denied=self._denied(now))

    def _denied(self, now: float) -> ConfigurationError | None:
        denied = self._heard.denied
        if not self._check_user:
            return denied
        if self._checked_at is not None and (denied is None or now - self._checked_at < _RECHECKED):
            return denied
        self._checked_at = now
        try:
            self._connection.check_user()
        except DeniedError as error:
            return error
        return None

    def _keep(self, heard: Heard) -> None:
        before, self._heard = self._heard, heard
        if self._first.is_set() or self._is_missed:
            self._first.set()
            self._told(before, heard)
        else:
            # Whoever waits for the first answer has it now.
            self._first.set()
