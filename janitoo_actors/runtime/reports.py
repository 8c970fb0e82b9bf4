"""The supervisors' reports, in the log."""

from __future__ import annotations

import logging
import threading
from typing import Any

import structlog

from janitoo_actors.errors import JanitooError
from janitoo_actors.runtime.repeats import Repeats
from supervisors import ExitKind, ExitReason, ProcessLostError, Report, ReportKind


class ReportLog:
    """Writes reports to the log; what fails again and again in the same way is counted. Any thread."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._repeats = Repeats(self._log)
        self._lock = threading.Lock()

    def __call__(self, report: Report) -> None:
        """Log one report."""
        path = f"{report.path.rstrip('/')}/{report.child}" if report.child else report.path
        with self._lock:
            match report.kind:
                case ReportKind.PROGRESS:
                    self._repeats.worked(path, "started_again", path=path, restarts=report.restarts)
                    self._repeats.forget(_end_of(path))
                case ReportKind.CHILD_TERMINATED | ReportKind.START_ERROR | ReportKind.SHUTDOWN_ERROR:
                    self._failed(path, report)
                case ReportKind.SHUTDOWN:
                    about = {"path": report.path, "child": report.child, **_traceback(report.reason)}
                    self._repeats.failed(
                        _end_of(report.path), "supervisor_gives_up", str(report.reason), level=logging.ERROR, **about
                    )
                case ReportKind.HUNG:
                    self._log.error("hung", path=path, at=report.detail, traceback=report.stack)
                case ReportKind.ASK_FAILED | ReportKind.UNHANDLED_MESSAGE:
                    why = {} if report.reason is None else {"error": str(report.reason)}
                    more = {**why, **_traceback(report.reason)}
                    self._log.error(report.kind.value, path=path, detail=report.detail, **more)

    def _failed(self, path: str, report: Report) -> None:
        about: dict[str, Any] = {"path": path}
        if report.retry_in is not None:
            about["retry_in"] = round(report.retry_in, 1)
        reason = report.reason
        about |= _traceback(reason)
        if reason is not None and reason.kind is ExitKind.SHUTDOWN and not reason.detail:
            return
        self._repeats.failed(path, report.kind.value, str(reason), **about)


def _end_of(supervisor: str) -> str:
    """What a supervisor's giving up is counted under, apart from what its own supervisor tells of it."""
    return f"the end of {supervisor}"


def _traceback(reason: ExitReason | None) -> dict[str, str]:
    """Where a bug is, of ours or of a driver; nothing for what goes wrong in the world or in the configuration."""
    if reason is None or not reason.traceback or isinstance(reason.error, JanitooError | OSError | ProcessLostError):
        return {}
    return {"traceback": reason.traceback}
