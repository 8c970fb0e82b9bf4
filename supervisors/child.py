"""A child as its supervisor knows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pykka import ActorRef

from supervisors.exits import ExitReason
from supervisors.spec import ChildSpec

_MOST_TIMES: Final = 64
"""How many restarts of a child are kept for the snapshot."""


class ChildState(Enum):
    """Where a child is, seen from its supervisor."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    """It waits for its next start."""
    STOPPED = "stopped"
    """It has ended, and is not to be started again by itself."""


class ChildError(LookupError):
    """A request about a child that cannot be served, with OTP's word for it.

    Attributes:
        why: `already_present`, `already_started`, `not_found`, `running`, `restarting`, `simple_one_for_one`,
            `not_dynamic`.
    """

    def __init__(self, why: str, child: str) -> None:
        super().__init__(f"{child}: {why}")
        self.why = why


@dataclass(slots=True)
class Child:
    """A child as its supervisor knows it. Only the supervisor writes; any thread may read.

    Attributes:
        since: when it came to its state, in `time.monotonic()`.
        restarts: how often it has been started again.
        failures: how often in a row it has ended or not started, for the back-off.
        last_exit: why it ended last.
        next_retry: when it is started again, in `time.monotonic()`, where that is planned.
        ignored: whether it did not want to run (`IgnoreStart`) when it was started last.
        is_fresh: whether it has ended by itself, and nothing has been done about it so far.
    """

    spec: ChildSpec
    state: ChildState = ChildState.STOPPED
    since: float = 0.0
    ref: ActorRef[Any] | None = None
    epoch: int = 0
    restarts: int = 0
    failures: int = 0
    last_exit: ExitReason | None = None
    next_retry: float | None = None
    ignored: bool = False
    is_fresh: bool = False
    restart_times: tuple[float, ...] = ()
    period: float = 5.0

    def recent_restarts(self, now: float) -> int:
        """How often it has been started again within its supervisor's period, as far as that is kept."""
        return sum(each >= now - self.period for each in self.restart_times)

    @property
    def is_active(self) -> bool:
        """Whether it runs, or may again without being asked to."""
        return self.is_fresh or self.state is not ChildState.STOPPED

    def restarted(self) -> None:
        """Count that it is started again, now."""
        self.restarts += 1
        self.restart_times = (*self.restart_times[1 - _MOST_TIMES :], time.monotonic())

    def enter(self, state: ChildState) -> None:
        """Come to a state, now."""
        self.state = state
        self.since = time.monotonic()
