"""Why an actor ended."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import Enum


class ExitKind(Enum):
    """The kinds of end that a supervisor tells apart."""

    NORMAL = "normal"
    """It stopped of its own accord, or somebody called `stop()`."""
    SHUTDOWN = "shutdown"
    """Its supervisor ended it in order."""
    KILLED = "killed"
    """It was fenced off: it did not end in time, or had to go at once. `on_stop` has not run."""
    ERROR = "error"
    """An exception ended it."""


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Why an actor ended.

    Attributes:
        kind: the kind of end.
        error: what ended it, where an exception did. Its traceback is cut off, so that it holds no frames alive.
        traceback: the traceback as text; empty where there is none.
        detail: a sentence on it, where there is one.
    """

    kind: ExitKind
    error: BaseException | None = None
    traceback: str = ""
    detail: str = ""

    @classmethod
    def of(cls, error: BaseException) -> ExitReason:
        """The reason of an actor that this exception ended."""
        text = "".join(traceback.format_exception(error))
        # The frames hold the actor, its message and all that hangs on them: the text is enough.
        return cls(ExitKind.ERROR, error.with_traceback(None), text)

    @property
    def is_abnormal(self) -> bool:
        """Whether a transient child is restarted after it: OTP's "other than normal or shutdown"."""
        return self.kind in {ExitKind.KILLED, ExitKind.ERROR}

    def portable(self) -> ExitReason:
        """The same in words only, for another process: not every exception survives the way there."""
        return self if self.error is None else ExitReason(self.kind, None, self.traceback, str(self))

    def __str__(self) -> str:
        if self.error is not None:
            try:
                said = str(self.error)
            except Exception:  # noqa: BLE001 - somebody's __str__ has a bug; whoever reports must not die of it
                said = ""
            return f"{type(self.error).__name__}: {said}" if said else type(self.error).__name__
        if self.detail and self.kind is ExitKind.ERROR:
            return self.detail
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


class IgnoreStart(Exception):
    """Raised in `__init__` or `on_start`: the actor does not want to run now, and that is no failure.

    Its supervisor keeps the specification (unless it is temporary), and goes on with the next child.
    """


NORMAL = ExitReason(ExitKind.NORMAL)
SHUTDOWN = ExitReason(ExitKind.SHUTDOWN)
