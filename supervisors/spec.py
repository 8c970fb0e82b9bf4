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
    SIMPLE_ONE_FOR_ONE = "simple_one_for_one"
    """That one. All children are made of one specification, when they are asked for, and end side by side."""


class AutoShutdown(Enum):
    """Whether a supervisor ends by itself when its significant children have."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


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
        immediate: how many restarts come at once, before the delays begin.
        minimum, maximum: seconds before the first delayed retry, and at most.
        factor: by how much each delay is longer than the one before.
        jitter: the share of a delay by which it varies, so that many do not retry at one moment.
        reset_after: seconds of running after which the next delay is `minimum` again.
    """

    minimum: float = 1.0
    maximum: float = 60.0
    factor: float = 2.0
    jitter: float = 0.1
    reset_after: float = 60.0
    immediate: int = 0

    def delay(self, failures: int) -> float:
        """Seconds before the retry after this many failures in a row, from 1."""
        if failures <= self.immediate:
            return 0.0
        try:
            grown = self.minimum * self.factor ** (failures - self.immediate - 1)
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
        significant: whether its end counts for the supervisor's `auto_shutdown`.
        hang_limit: seconds that it may be at one message; then its thread is left behind, and it is replaced. None for
            as long as it takes.
        max_zombies: how many threads it may have left behind; with one more, its supervisor gives up.
    """

    id: str
    actor_class: type[Actor]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    restart: Restart = Restart.PERMANENT
    backoff: Backoff | None = None
    shutdown: float | Shutdown | None = None
    start_timeout: float | None = None
    significant: bool = False
    hang_limit: float | None = None
    max_zombies: int = 10

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _expect(self.id, "id", self.id, str)
        _expect(self.id, "actor_class", self.actor_class, type)
        _expect(self.id, "restart", self.restart, Restart)
        _expect(self.id, "significant", self.significant, bool)
        _expect(self.id, "shutdown", self.shutdown, int, float, Shutdown, type(None))
        if not issubclass(self.actor_class, Actor):
            raise ChildSpecError(f"{self.id}: actor_class = {self.actor_class.__name__}: expected an Actor")
        if self.significant and self.restart is Restart.PERMANENT:
            raise ChildSpecError(f"{self.id}: a permanent child never ends for good, and so is not significant")
        if self.hang_limit is not None and self.hang_limit <= 0:
            raise ChildSpecError(f"{self.id}: hang_limit = {self.hang_limit}: expected more than 0 seconds")
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
        auto_shutdown: whether it ends by itself when significant children have.
        concurrent: children start, restart and stop side by side, not one after the other: none waits for another's
            `on_start` or `on_stop`. For children that do not know of each other; one_for_one only.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: int = 1
    period: float = 5.0
    concurrent: bool = False
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        _expect("", "strategy", self.strategy, Strategy)
        _expect("", "auto_shutdown", self.auto_shutdown, AutoShutdown)
        _expect("", "intensity", self.intensity, int)
        _expect("", "period", self.period, int, float)
        if self.intensity < 0:
            raise ChildSpecError(f"intensity = {self.intensity}: expected 0 or more")
        if self.period <= 0:
            raise ChildSpecError(f"period = {self.period}: expected more than 0 seconds")
        if self.concurrent and self.strategy in {Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE}:
            raise ChildSpecError("concurrent children are independent: expected the strategy one_for_one")


def _expect(child: str, name: str, value: object, *kinds: type) -> None:
    """Refuse a value of another kind: a word instead of its enumeration's member would mean something else."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ChildSpecError(f"{child}: {name} = {value!r}: expected {expected}".removeprefix(": "))


def check_specs(specs: Sequence[ChildSpec], flags: SupervisorFlags | None = None) -> None:
    """Refuse specifications that cannot stand together, or under these flags. Raises ChildSpecError."""
    seen: set[str] = set()
    _expect("", "flags", flags, SupervisorFlags, type(None))
    for spec in specs:
        _expect("", "child", spec, ChildSpec)
        if spec.id in seen:
            raise ChildSpecError(f"two children have the id {spec.id!r}")
        seen.add(spec.id)
        if flags is not None and spec.significant and flags.auto_shutdown is AutoShutdown.NEVER:
            raise ChildSpecError(f"{spec.id}: a significant child is for a supervisor with auto_shutdown")
    if flags is not None and flags.strategy is Strategy.SIMPLE_ONE_FOR_ONE and len(specs) != 1:
        raise ChildSpecError(f"simple_one_for_one makes all children of one specification; there are {len(specs)}")
