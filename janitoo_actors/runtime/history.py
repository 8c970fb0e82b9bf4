"""What has happened lately, and what has gone wrong: rings in memory, which survive the restarts of actors."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from janitoo_actors.runtime.wishes import covers
from supervisors import ExitKind, Report, ReportKind

MOST_EVENTS: Final = 2000
MOST_ERRORS: Final = 500
_MOST_TEXT: Final = 500
_MOST_TRACEBACK: Final = 8000
_FAILURES: Final = frozenset(
    {
        ReportKind.CHILD_TERMINATED,
        ReportKind.START_ERROR,
        ReportKind.SHUTDOWN_ERROR,
        ReportKind.SHUTDOWN,
        ReportKind.ASK_FAILED,
        ReportKind.UNHANDLED_MESSAGE,
        ReportKind.HUNG,
    }
)
_OF_REPORTS: Final = frozenset({*(kind.value for kind in _FAILURES), "supervisor_gives_up"})
"""Events of the log that come as reports too, and are counted there."""
_BUSES: Final = "/buses/"
_UNSAID: Final = frozenset({"event", "path", "timestamp", "level", "traceback", "exception"})


@dataclass(frozen=True, slots=True)
class Happened:
    """An event.

    Attributes:
        number: counts from 1.
        time: in seconds since 1970.
        text: all that it says besides its name, in a line.
    """

    number: int
    time: float
    level: str
    path: str
    event: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that has gone wrong, once or again and again in the same way.

    Attributes:
        first, last: when, in seconds since 1970.
        times: how often, as far as it was told.
    """

    path: str
    event: str
    error: str
    level: str
    first: float
    last: float
    times: int
    traceback: str


class History:
    """The events and the errors of a server. Any thread; bounded: some 2 MB at most.

    Attributes:
        failed: how often something has gone wrong with each bus, by its section, and with what is of none, by `""`;
            it only grows.
    """

    def __init__(self) -> None:
        self._events: deque[Happened] = deque(maxlen=MOST_EVENTS)
        self._errors: OrderedDict[tuple[str, str, str], Failure] = OrderedDict()
        self.failed: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the latest event."""
        return self._last

    def logged(self, level: str, event: Mapping[str, Any]) -> None:
        """Take in an event of the log."""
        name, path = str(event.get("event", ""))[:80], str(event.get("path") or _of_bus(event))[:_MOST_TEXT]
        said = (f"{key}={item!r}" for key, item in event.items() if key not in _UNSAID and not key.startswith("_"))
        with self._changed:
            self._last += 1
            self._events.append(Happened(self._last, time.time(), level, path, name, " ".join(said)[:_MOST_TEXT]))
            if level in {"warning", "error", "critical"} and name not in _OF_REPORTS:
                error = str(event.get("error", "") or event.get("reason", "") or event.get("problem", ""))
                trace = str(event.get("traceback", ""))
                self._failed((path, name, error[:_MOST_TEXT]), level, trace, event.get("times"))
            self._changed.notify_all()

    def reported(self, report: Report) -> None:
        """Take in a report of a supervisor."""
        reason = report.reason
        if report.kind not in _FAILURES:
            return
        if reason is not None and reason.kind is ExitKind.SHUTDOWN and report.kind is not ReportKind.SHUTDOWN:
            # It was told to.
            return
        path = f"{report.path.rstrip('/')}/{report.child}" if report.child else report.path
        error = str(reason) if reason is not None else report.detail
        trace = report.stack or (reason.traceback if reason is not None else "")
        grave = report.kind in {ReportKind.SHUTDOWN, ReportKind.HUNG}
        level = logging.getLevelName(logging.ERROR if grave else logging.WARNING).lower()
        with self._changed:
            self._failed((path, report.kind.value, error[:_MOST_TEXT]), level, trace, None)

    def events(self, path: str, since: int, limit: int) -> list[Happened]:
        """The latest events of a place and of all below it, the oldest first."""
        with self._changed:
            events = list(self._events)
        found: list[Happened] = []
        for each in reversed(events):
            if each.number <= since or len(found) >= limit:
                break
            if covers(path, each.path or "/"):
                found.append(each)
        return found[::-1]

    def errors(self, path: str, limit: int) -> list[Failure]:
        """The errors of a place and of all below it, the latest first."""
        with self._changed:
            errors = list(self._errors.values())
        return [each for each in reversed(errors) if covers(path, each.path or "/")][:limit]

    def wait(self, since: int, timeout: float) -> bool:
        """Wait for an event with a number above this one; whether there is one. Blocks."""
        with self._changed:
            return self._changed.wait_for(lambda: self._last > since, timeout)

    def clear(self, path: str) -> int:
        """Forget what is known of a place and of all below it; how many errors that were."""
        with self._changed:
            gone = [key for key, each in self._errors.items() if covers(path, each.path or "/")]
            for key in gone:
                del self._errors[key]
            left = [each for each in self._events if not covers(path, each.path or "/")]
            self._events.clear()
            self._events.extend(left)
            return len(gone)

    def _failed(self, key: tuple[str, str, str], level: str, trace: str, times: object) -> None:
        path, event, error = key
        before = self._errors.pop(key, None)
        while before is None and len(self._errors) >= MOST_ERRORS:
            self._errors.popitem(last=False)
        now = time.time()
        # Who counts them itself says only at 10, 100, … how many there were.
        counted = before.times if before is not None else 0
        count = counted + 1
        if isinstance(times, int) and not isinstance(times, bool):
            count = max(count, times)
        bus = path.removeprefix(_BUSES).partition("/")[0] if path.startswith(_BUSES) else ""
        # What was forgotten meanwhile has been counted, and is not once more.
        self.failed[bus] += count - counted if before is not None else 1
        first = before.first if before is not None else now
        kept = trace[-_MOST_TRACEBACK:] or (before.traceback if before is not None else "")
        self._errors[key] = Failure(path, event, error, level, first, now, count, kept)


def _of_bus(event: Mapping[str, Any]) -> str:
    """Where an event belongs that says only of which bus it is, as those of drivers do."""
    bus = event.get("bus")
    return f"/buses/{bus}" if isinstance(bus, str) else ""
