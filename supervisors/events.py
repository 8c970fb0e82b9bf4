"""What actors and supervisors tell of themselves: lifecycle messages, and reports for the log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pykka import ActorRef

from supervisors.exits import ExitReason


@dataclass(frozen=True, slots=True)
class Ready:
    """To the parent: the actor's `on_start` has returned (a supervisor: its children have started)."""

    ref: ActorRef[Any]
    epoch: int


@dataclass(frozen=True, slots=True)
class Down:
    """To the parent and to every monitor: the actor has ended. Exactly one for each death and watcher."""

    ref: ActorRef[Any]
    path: str
    epoch: int
    reason: ExitReason


class ReportKind(Enum):
    """The reports of OTP's supervisor, and those of a system of actors."""

    PROGRESS = "progress"
    CHILD_TERMINATED = "child_terminated"
    START_ERROR = "start_error"
    SHUTDOWN_ERROR = "shutdown_error"
    SHUTDOWN = "shutdown"
    ASK_FAILED = "ask_failed"
    UNHANDLED_MESSAGE = "unhandled_message"
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Report:
    """Something that a person or a log should know.

    Attributes:
        path: of the actor that reports; a supervisor for the first five kinds.
        child: the child it is about; empty where it is about the actor itself.
        reason: why, where something ended or failed.
        retry_in: seconds until the next try, where one is planned.
        restarts: how often the child has been restarted.
        stack: where the thread of a hung actor stands.
    """

    kind: ReportKind
    path: str
    child: str = ""
    reason: ExitReason | None = None
    retry_in: float | None = None
    restarts: int = 0
    detail: str = ""
    stack: str = ""
