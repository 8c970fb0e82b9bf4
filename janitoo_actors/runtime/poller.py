"""The poller of one value: its schedule, its last data, its last error."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog

from janitoo_actors.protocol import topics
from janitoo_actors.runtime.board import Node
from janitoo_actors.runtime.messages import (
    Changed,
    DelayChanged,
    PollEvery,
    PollNow,
    Publish,
    Read,
    Reading,
    ValueHealth,
)
from janitoo_actors.runtime.values import NodeValue, Polls
from supervisors import Backoff, LightActor

PUSH_PERIOD: Final = 0.05
"""Seconds between two reads that a driver's pushes ask for, at least: a contact that chatters asks for thousands."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the actors of a bus are."""

    link: str
    bus: str
    nodes: str
    pollers: str

    @classmethod
    def of(cls, bus_supervisor: str) -> Places:
        """The places below a bus's supervisor."""
        return cls(*(f"{bus_supervisor}/{child}" for child in ("link", "bus", "nodes", "pollers")))

    def node(self, node: Node) -> str:
        """The path of a node's actor."""
        return f"{self.nodes}/{node.hadd}"

    def poller(self, node: Node, uuid: str) -> str:
        """The path of a value's poller."""
        return f"{self.pollers}/{node.hadd}/{uuid}"


class Poller(LightActor):
    """The actor that polls one value, and publishes it.

    It tells the bus to read, and is told the reading, or by a timer that none has come in time; one read is under way
    at a time. A failed one is published as null and tried again, with back-off; a late one counts when it comes.

    Args:
        places: where its bus's actors are.
        node, value: what it polls, on the board.
        read_timeout: seconds until a read that has not come back has failed; so many for each instance.
        max_backoff: seconds between two retries, at most.
        phase: 0 to 1: where in the last tenth of the period the second poll is, so that those of one delay do not all
            come at once.
    """

    def __init__(
        self,
        places: Places,
        node: Node,
        value: NodeValue,
        *,
        read_timeout: float,
        max_backoff: float,
        phase: float,
    ) -> None:
        super().__init__()
        self._places = places
        self._node = node
        self._value = value
        self._read_timeout = read_timeout
        self._max_backoff = max_backoff
        self._phase = phase
        self._log = structlog.get_logger().bind(path=self.path, hadd=str(node.hadd))
        self._topic = topics.value(value.genre, node.hadd, value.uuid)
        self._node_path = places.node(node)
        self._told: tuple[object, str | None, bool] | None = None
        # As it is configured; the driver may want another one for the time being.
        self._configured: float = value.poll_delay
        self._delay: float = value.poll_delay if value.paced is None else value.paced
        self._token = 0
        self._waiting = False
        self._late_at = math.inf
        self._asked_at = 0.0
        self._is_watched = False
        self._again = False
        self._changed = False
        self._pushed_at = -math.inf
        self._failures = 0
        self._error: str | None = None

    def on_start(self) -> None:
        """Poll now, then on schedule."""
        # Those of an earlier poller of the value do not count any more.
        self._value.polls = Polls()
        if self._delay > 0:
            self._schedule(self._delay * (1 - 0.1 * self._phase))
            self._poll()
        else:
            self._tell_health()

    def on_receive(self, message: Any) -> Any:
        """Handle ticks, readings and changes of the schedule."""
        match message:
            case _Tick():
                self._poll()
            case Reading():
                if message.token == self._token:
                    self._read(message)
            case _Late():
                self._look()
            case Changed() | _Push():
                self._push()
            case DelayChanged():
                self._paced()
            case PollEvery(delay=delay):
                self._configured = delay
                if self._value.paced is None:
                    self._poll_every(delay)
            case PollNow():
                # The read under way may be of what was before.
                self._again = self._waiting
                self._poll()
            case _:
                return super().on_receive(message)
        return None

    def _push(self) -> None:
        """Poll once, as soon as there is no read under way, and the last push is some time ago."""
        wait = self._pushed_at + PUSH_PERIOD - time.monotonic()
        if self._waiting:
            self._changed = True
        elif wait > 0:
            self.timers.once("push", wait, _Push())
        else:
            self._pushed_at = time.monotonic()
            self._poll()

    def _poll(self) -> None:
        if self._waiting:
            # The bus is still at the last one: another would only wait behind it.
            return
        if self._value.suspended:
            # Somebody wants no polls: its node does not wait for them.
            self._tell_health()
            return
        self._waiting = True
        self._token += 1
        count = len(self._value.data)
        read = Read(self._node.hadd, self._value.uuid, count, self._token, self.actor_ref)
        if self.tell_path(self._places.bus, read):
            self._asked_at = time.monotonic()
            self._late_at = self._asked_at + (self._read_timeout if count == 1 else self._patience)
            self._watch()
        else:
            # The bus is down; with it, its supervisor stops this poller.
            self._waiting = False

    @property
    def _patience(self) -> float:
        """Seconds that a read may take: the bus reads one instance after the other, and other values in between."""
        return self._read_timeout * max(1, len(self._value.data))

    def _watch(self) -> None:
        """Look when the read under way would be late: one timer for as many reads as come in time until then."""
        if not self._is_watched:
            self._is_watched = True
            self.timers.once("late", self._late_at - time.monotonic(), _Late())

    def _look(self) -> None:
        self._is_watched = False
        if not self._waiting or self._late_at == math.inf:
            return
        if time.monotonic() < self._late_at:
            self._watch()
            return
        # Told once; it counts when it comes all the same.
        self._late_at = math.inf
        self._read_failed(f"no reading within {self._patience:g} s", hopeless=False)

    def _read(self, reading: Reading) -> None:
        self._waiting = False
        if self._is_watched and not 0 < self._delay < self._read_timeout:
            # Nothing is to wake for before the next one.
            self._is_watched = False
            self.timers.cancel("late")
        if self._again:
            self._again = False
            self._poll()
            return
        self._value.data = list(reading.data)
        polls = self._value.polls
        polls.at = now = time.monotonic()
        polls.took = now - self._asked_at
        polls.reads += 1
        if self._changed:
            # The read had begun before that: it was true then, and is not what is now.
            self._changed = False
            self.tell_self(_Push())
        if reading.error is not None:
            self._read_failed(reading.error, hopeless=reading.hopeless, traceback=reading.traceback)
            return
        self._publish()
        if self._failures or self._error is not None:
            self._log.info("read_recovered", value=self._value.uuid, failures=self._failures)
            self._failures = polls.in_row = 0
            self._error = polls.error = None
            if self._delay > 0:
                self._schedule(self._delay)
        self._tell_health()

    def _read_failed(self, error: str, *, hopeless: bool, traceback: str = "") -> None:
        if self._waiting:
            # No reading at all: what was known is not known any more.
            self._value.data = [None] * len(self._value.data)
        self._failures += 1
        polls = self._value.polls
        polls.failures += 1
        polls.in_row = self._failures
        polls.error = error
        if error != self._error:
            self._error = error
            bug = {"traceback": traceback} if traceback else {}
            self._log.warning("read_failed", value=self._value.uuid, error=error, **bug)
        self._publish()
        self._tell_health()
        if self._delay > 0:
            # Sooner than the next poll where that is far, but never more often than the delay allows when it is short.
            longest = min(self._max_backoff, max(self._delay, 1.0))
            shortest = min(1.0, longest)
            backoff = Backoff(minimum=longest if hopeless else shortest, maximum=longest)
            self._schedule(backoff.delay(self._failures), then=longest)

    def _paced(self) -> None:
        before = self._delay
        self._poll_every(self._configured if self._value.paced is None else self._value.paced)
        if before <= 0 < self._delay:
            # What was read before is of another time.
            self._poll()

    def _poll_every(self, delay: float) -> None:
        self._delay = delay
        self._failures = 0
        if delay > 0:
            self._schedule(delay)
        else:
            self.timers.cancel("tick")
            self._error = self._value.polls.error = None
        self._tell_health()

    def _schedule(self, first: float, *, then: float | None = None) -> None:
        self.timers.every("tick", then if then is not None else self._delay, _Tick(), first=first)

    def _publish(self) -> None:
        self._value.is_known = True
        self.tell_path(self._places.link, Publish(self._topic, self._value.payload()))

    def _tell_health(self) -> None:
        # A node that has been restarted meanwhile knows nothing yet.
        polled = self._delay > 0 and not self._value.suspended
        told = (self.system.lookup(self._node_path), self._error, polled)
        if told == self._told:
            return
        if self.tell_path(self._node_path, ValueHealth(self._value.uuid, self._error, polled=polled)):
            self._told = told


@dataclass(frozen=True, slots=True)
class _Tick:
    """A poll is due."""


@dataclass(frozen=True, slots=True)
class _Push:
    """A push that had to wait."""


@dataclass(frozen=True, slots=True)
class _Late:
    """A read may not have come back in time."""
