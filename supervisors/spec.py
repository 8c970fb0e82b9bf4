"""What a supervisor is told of its children, as in Erlang/OTP."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from supervisors.actor import Actor


class Restart(Enum):
    """When a child that has ended is started again."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """Unless it ended normally or by shutdown."""
    TEMPORARY = "temporary"
    """Never; its specification goes with it."""


class Strategy(Enum):
    """Which children are restarted with one that has ended."""

    ONE_FOR_ONE = "one_for_one"
    """That one."""
    ONE_FOR_ALL = "one_for_all"
    """All of them."""
    REST_FOR_ONE = "rest_for_one"
    """That one, and those that were started after it."""


class Shutdown(Enum):
    """How a child is ended, where it is not given some seconds."""

    BRUTAL_KILL = "brutal_kill"
    """At once; `on_stop` does not run."""
    INFINITY = "infinity"
    """It is waited for, however long it takes."""


WORKER_SHUTDOWN: Final = 5.0
"""Seconds that a worker has for its `on_stop`, where its specification does not say."""


class ChildSpecError(ValueError):
    """A specification that cannot be; nothing has been started."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Restart with growing delays, for ever: such a child never counts towards its supervisor's intensity.

    Attributes:
        minimum, maximum: seconds before the first retry, and at most.
        factor: by how much each delay is longer than the one before.
        jitter: the share of a delay by which it varies, so that many do not retry at one moment.
        reset_after: seconds of running after which the next delay is `minimum` again.
    """

    minimum: float = 1.0
    maximum: float = 60.0
    factor: float = 2.0
    jitter: float = 0.1
    reset_after: float = 60.0

    def delay(self, failures: int) -> float:
        """Seconds before the retry after this many failures in a row, from 1."""
        try:
            grown = self.minimum * self.factor ** (failures - 1)
        except OverflowError:
            # After years of failures, it is longer than any maximum.
            grown = self.maximum
        varied = min(grown, self.maximum) * (1 + random.uniform(-self.jitter, self.jitter))
        return min(max(varied, 0.0), self.maximum)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start, restart and end one child.

    Attributes:
        id: its name among its siblings; the last part of its path.
        actor_class, args, kwargs: what is started. `__init__` runs on the supervisor's thread and must not block.
        restart: when it is started again.
        backoff: where given, restarts (and failed starts) wait, and never exhaust the supervisor.
        shutdown: seconds it has for its `on_stop`, or how else it is ended; None for 5 s, and for a supervisor
            as long as it takes.
        start_timeout: seconds that `on_start` may take before the start has failed; None for as long as it takes.
    """

    id: str
    actor_class: type[Actor]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    restart: Restart = Restart.PERMANENT
    backoff: Backoff | None = None
    shutdown: float | Shutdown | None = None
    start_timeout: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.id:
            raise ChildSpecError("a child needs an id")
        if isinstance(self.shutdown, int | float) and self.shutdown < 0:
            raise ChildSpecError(f"{self.id}: shutdown = {self.shutdown}: expected 0 seconds or more")


@dataclass(frozen=True, slots=True)
class SupervisorFlags:
    """How a supervisor works.

    Attributes:
        strategy: which children are restarted together.
        intensity, period: more than `intensity` restarts within `period` seconds, and the supervisor gives up.
        concurrent: children start, restart and stop side by side, not one after the other: none waits for another's
            `on_start` or `on_stop`. For children that do not know of each other; one_for_one only.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 1
    period: float = 5.0
    concurrent: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.intensity < 0:
            raise ChildSpecError(f"intensity = {self.intensity}: expected 0 or more")
        if self.period <= 0:
            raise ChildSpecError(f"period = {self.period}: expected more than 0 seconds")
        if self.concurrent and self.strategy is not Strategy.ONE_FOR_ONE:
            raise ChildSpecError("concurrent children are independent: expected the strategy one_for_one")


def check_specs(specs: Sequence[ChildSpec]) -> None:
    """Refuse specifications that cannot stand together. Raises ChildSpecError."""
    seen: set[str] = set()
    for spec in specs:
        if spec.id in seen:
            raise ChildSpecError(f"two children have the id {spec.id!r}")
        seen.add(spec.id)
