"""What is asked of others, and when its answers are complete. Pure: times are given.

An answer does not say whose it is where it holds nothing. So answers are counted: each controller gives one to each
request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from janitoo_actors.network.messages import ListHeard
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery

QUIET: Final = 0.2
"""Seconds without a further answer after which a list is complete. Originals answer within 50 ms."""
PACE: Final = 0.005
"""Seconds between two requests to single controllers, on average."""
BURST: Final = 12
"""How many of them may go at once: all lists of two controllers."""
MOST_ROUNDS: Final = 3
"""How often a primary is asked again for what was lost."""
LONGEST_RETRY: Final = 300.0
"""Seconds between two tries to complete what is known of a controller, at most."""


class Everybody:
    """The lists that are asked of every controller, one after the other; that of the nodes first.

    Args:
        timeout: seconds to wait where nobody answers, `broadcast_timeout`.

    Attributes:
        what: the list at hand; None where none is asked.
    """

    def __init__(self, timeout: float) -> None:
        self.what: Discovery | None = None
        self._timeout = timeout
        self._ask_at: float | None = None
        self._asked = 0.0
        self._answers = 0
        self._last: float | None = None
        # How many have answered the first question.
        self._expected = 0

    def begin(self, what: Discovery, now: float, delay: float = 0.0) -> None:
        """A list is to be asked, after a delay."""
        if what is Discovery.NODES:
            self._expected = 0
        elif self.what is Discovery.NODES:
            self._expected = self._answers
        self.what = what
        self._answers, self._last = 0, None
        self._asked = now + delay
        # Where nobody is there, that was waited for with the first.
        self._ask_at = self._asked if self._is_worth_it else None

    def question(self, now: float) -> Discovery | None:
        """The list to ask for now, once; None where there is none."""
        if self._ask_at is None or now < self._ask_at:
            return None
        self._ask_at = None
        return self.what

    def heard(self, reply: ListHeard, now: float) -> None:
        """A reply, or a piece of one, has come."""
        if reply.what is self.what:
            self._last = now
            self._answers += reply.last

    def somebody(self, now: float) -> None:
        """Somebody is there, whether or not there will be an answer."""
        if self._last is None:
            self._last = now

    def is_over(self, now: float) -> bool:
        """Whether all have answered that are expected to, or the answers have stopped coming."""
        return 0 < self._expected <= self._answers or now >= self._due

    def next_due(self) -> float | None:
        """When there is something to do; None for never."""
        if self.what is None:
            return None
        return self._due if self._ask_at is None else min(self._ask_at, self._due)

    def end(self) -> None:
        """Nothing is asked any more."""
        self.what = self._ask_at = None

    @property
    def _is_worth_it(self) -> bool:
        return self.what is Discovery.NODES or self._expected > 0

    @property
    def _due(self) -> float:
        if self._last is not None:
            return max(self._last, self._asked) + QUIET
        return self._asked + (self._timeout if self._is_worth_it else 0.0)


@dataclass(slots=True)
class _List:
    """What has come of one list of the primary."""

    chunks: set[int] = field(default_factory=set)
    seen: set[Hadd] = field(default_factory=set)
    total: int = 0
    digest: str = ""
    answered: bool = False
    complete: bool = False


class Resolving:
    """All six lists, asked of the primary.

    Attributes:
        of_ours: whether the primary is one of ours: it says which part of which list a reply is.
    """

    def __init__(self, asked: float, timeout: float, request_timeout: float) -> None:
        self.of_ours = False
        self._asked = asked
        self._timeout = timeout
        self._request_timeout = request_timeout
        self._last: float | None = None
        self._rounds = 0
        self._lists = {what: _List() for what in Discovery}

    @property
    def answered(self) -> bool:
        """Whether anything has come at all."""
        return self._last is not None

    @property
    def missing(self) -> list[Discovery]:
        """The lists of which nothing, or not all, has come."""
        return [what for what, each in self._lists.items() if not (each.complete or (each.answered and not each.total))]

    @property
    def complete(self) -> bool:
        """Whether all of all lists has come; of an original that cannot be known."""
        return all(each.complete for each in self._lists.values())

    @property
    def due(self) -> float:
        """When it is over though not complete."""
        if self._last is None:
            return self._asked + self._timeout
        return self._last + (self._request_timeout if self.of_ours else QUIET)

    def again(self, lists: Iterable[Discovery], now: float) -> bool:
        """These are to be asked once more; False where that was done often enough."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            return False
        self._last = None
        self._asked = now
        for what in lists:
            self._lists[what] = _List()
        return True

    def differing(self, digests: Callable[[Discovery], str]) -> list[Discovery]:
        """The lists that are complete, and yet differ from the own ones: something came in another order."""
        return [what for what, each in self._lists.items() if each.digest not in {"", digests(what)}]

    def heard(self, reply: ListHeard, now: float) -> set[Hadd] | None:
        """A reply, or a piece of it, has come; where it completes a list that is new, all addresses of the list."""
        self._last = now
        each = self._lists[reply.what]
        each.answered = True
        chunk = reply.chunk
        if chunk is None or not reply.last:
            return None
        self.of_ours = True
        if chunk.total == 0:
            each.complete = True
            return None
        if chunk.digest != each.digest or chunk.total != each.total:
            # The list has changed meanwhile: it begins again.
            each.chunks.clear()
            each.seen.clear()
            each.digest, each.total, each.complete = chunk.digest, chunk.total, False
        each.chunks.add(chunk.number)
        each.seen.update(reply.complete or ())
        if each.complete or len(each.chunks) < chunk.total:
            return None
        each.complete = True
        return set(each.seen)


@dataclass(slots=True)
class _Controller:
    delay: float
    next: float


class Direct:
    """Lists, asked of single controllers: not too many at once, and again with growing delays.

    Args:
        timeout: seconds that an answer may take, `request_timeout`.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._queue: deque[tuple[int, Discovery]] = deque()
        self._tried: dict[int, _Controller] = {}
        self._owed = 0
        self._last = 0.0
        self._free = 0.0

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        return not self._queue and self._owed <= 0

    def ask(self, controller: int, lists: Iterable[Discovery], now: float) -> bool:
        """Ask a controller, unless it was asked a moment ago; whether it is asked."""
        tried = self._tried.get(controller)
        if tried is not None and now < tried.next:
            return False
        delay = self._timeout if tried is None else min(tried.delay * 2, LONGEST_RETRY)
        self._tried[controller] = _Controller(delay, now + delay)
        self._queue.extend((controller, what) for what in lists)
        return True

    def may_ask(self, controller: int) -> float | None:
        """From when a controller may be asked again; None for one that was not."""
        tried = self._tried.get(controller)
        return tried.next if tried is not None else None

    def settled(self, controller: int) -> None:
        """All is known of a controller: should it be asked again, then at once."""
        self._tried.pop(controller, None)

    def answered(self, now: float) -> None:
        """One answer has come."""
        self._owed -= 1
        self._last = now

    def due_requests(self, now: float) -> Iterator[tuple[int, Discovery]]:
        """The requests to send now."""
        self._free = max(self._free, now - BURST * PACE)
        while self._queue and self._free <= now:
            self._free += PACE
            self._owed = max(self._owed, 0) + 1
            self._last = now
            yield self._queue.popleft()
        if self._owed > 0 and not self._queue and now >= self._last + self._timeout:
            # What has not come by now is lost, or never will.
            self._owed = 0

    def next_due(self) -> float | None:
        """When there is something to do."""
        if self._queue:
            return self._free
        return self._last + self._timeout if self._owed > 0 else None

    def clear(self) -> None:
        """Nothing is asked any more."""
        self._queue.clear()
        self._tried.clear()
        self._owed = 0
