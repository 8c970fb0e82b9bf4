"""Showing the messages that actors handle, for a while: for `trace`, and for a log at the level `debug`."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, Full, Queue
from typing import Any, Final

import structlog

from janitoo_actors.errors import said
from janitoo_actors.runtime.masking import in_words
from janitoo_actors.runtime.wishes import covers
from supervisors import Actor, System, living, tap, untap

_ANEW_EVERY: Final = 0.2
"""Seconds between two looks for actors that have been started meanwhile."""
_LOG_RATE: Final = 20.0
_MOST_WAITING: Final = 1000


class Rate:
    """So many a second, and what was passed over. Any thread."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._left = self._most
        self._at = time.monotonic()
        self._lock = threading.Lock()
        self.passed_over = 0

    def take(self) -> bool:
        """Whether one more is allowed."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._most, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                self.passed_over += 1
                return False
            self._left -= 1
            return True


class Taps:
    """Looks at the actors of a system. Costs nothing where nobody wants to."""

    def __init__(self, system: System, secrets: Callable[[], frozenset[str]]) -> None:
        """Nobody is looked at yet.

        Args:
            secrets: gives the uuids of the values that are shown to nobody.
        """
        self._system = system
        self._find_secrets = secrets
        self._secrets: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._debugged: frozenset[str] = frozenset()
        self._logger: threading.Thread | None = None
        self._rate = Rate(_LOG_RATE)

    def trace(self, path: str, kind: str | None, rate: float, seconds: float) -> Iterator[dict[str, Any] | int | None]:
        """Each message that is handled at or below a path; None where there was none for a moment.

        The last is a number: how many the rate did not allow.

        Args:
            kind: only messages of this type.
            rate: how many a second at most.
            seconds: for how long.
        """
        allowed = Rate(rate)
        shown: Queue[dict[str, Any]] = Queue(_MOST_WAITING)

        def seen(actor: Actor, message: Any, took: float, failure: BaseException | None) -> None:
            name = type(message).__name__
            if (kind is None or name.strip("_").lower() == kind.strip("_").lower()) and allowed.take():
                with contextlib.suppress(Full):
                    shown.put_nowait(_shown(actor, message, took, failure, self._secrets))

        due = time.monotonic() + seconds
        tapped: set[Actor] = set()
        try:
            while time.monotonic() < due:
                tapped = self._tap([path], tapped, seen)
                wait_until = min(due, time.monotonic() + _ANEW_EVERY)
                idle = True
                while (left := wait_until - time.monotonic()) > 0:
                    try:
                        yield shown.get(timeout=left)
                    except Empty:
                        break
                    idle = False
                if idle:
                    yield None
        finally:
            for actor in tapped:
                untap(actor, seen)
        yield allowed.passed_over

    def set_levels(self, levels: Mapping[str, int]) -> None:
        """Log what is handled at and below the paths whose level is that of debugging."""
        with self._lock:
            self._debugged = frozenset(path for path, level in levels.items() if level <= logging.DEBUG)
            if self._debugged and self._logger is None:
                self._logger = threading.Thread(target=self._log_messages, name="log of messages", daemon=True)
                self._logger.start()

    def _log_messages(self) -> None:
        tapped: set[Actor] = set()
        while True:
            with self._lock:
                paths = self._debugged
                if not paths:
                    self._logger = None
                    break
            tapped = self._tap(paths, tapped, self._log)
            time.sleep(_ANEW_EVERY)
        for actor in tapped:
            untap(actor, self._log)

    def _log(self, actor: Actor, message: Any, took: float, failure: BaseException | None) -> None:
        if self._rate.take():
            shown = _shown(actor, message, took, failure, self._secrets)
            error = {"error": shown["error"]} if shown["error"] else {}
            log = structlog.get_logger()
            log.debug("handled", path=actor.path, message=shown["message"], took=shown["took"], **error)

    def _tap(self, paths: Any, tapped: set[Actor], seen: Any) -> set[Actor]:
        now: set[Actor] = set()
        for each in self._system.paths():
            if any(covers(path, each) for path in paths):
                ref = self._system.lookup(each)
                actor = living(ref) if ref is not None else None
                if actor is not None:
                    now.add(actor)
        if now - tapped:
            # Before the first of them is shown.
            self._secrets = self._find_secrets()
        for actor in now - tapped:
            tap(actor, seen)
        for actor in tapped - now:
            untap(actor, seen)
        return now


def _shown(
    actor: Actor, message: Any, took: float, failure: BaseException | None, secrets: frozenset[str]
) -> dict[str, Any]:
    return {
        "time": time.time(),
        "path": actor.path,
        "type": type(message).__name__,
        "message": in_words(message, secrets),
        "took": round(took, 6),
        "error": said(failure) if isinstance(failure, Exception) else None if failure is None else repr(failure),
    }
