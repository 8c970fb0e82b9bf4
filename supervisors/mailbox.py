"""The inbox of an actor: what has come and is not handled yet."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from supervisors.events import Down, Ready
from supervisors.timers import Tick

_ALWAYS_TAKEN: Final = (Tick, Ready, Down, _ActorStop)
"""Messages that an actor would be broken without."""


class Overflow(Enum):
    """What a full mailbox does with one message more."""

    DROP_NEWEST = "drop_newest"
    """It is not taken; its asker has a MailboxFullError."""
    DROP_OLDEST = "drop_oldest"
    """It is taken, and the oldest goes; that one's asker has the error."""


class MailboxFullError(RuntimeError):
    """A message found no room in the mailbox of an actor, or had to make room for another."""


class Mailbox:
    """A queue that wakes its actor when there is something to do, and that can be closed for good.

    Any thread may put. One turn at a time takes: `put` schedules a turn where none is on its way, and the turn calls
    `take` until it has found nothing more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Only as long as something waits: an empty deque takes more than the rest of an idle actor's mailbox.
        self._queue: deque[Envelope[Any]] | None = None
        self._limit: int | None = None
        self._overflow = Overflow.DROP_NEWEST
        self.dropped = 0
        self._closed = False
        self._scheduled = False
        self._schedule: Callable[[], None] | None = None
        self._dead_letter: Callable[[], None] | None = None

    def limit(self, limit: int | None, overflow: Overflow) -> None:
        """Bound the mailbox: at most `limit` messages wait. `dropped` counts those that found no room."""
        self._limit = limit
        self._overflow = overflow

    def bind(self, schedule: Callable[[], None], dead_letter: Callable[[], None]) -> None:
        """Say how a turn is scheduled, and where messages go that come after the end. Schedules the first turn."""
        with self._lock:
            self._schedule = schedule
            self._dead_letter = dead_letter
            self._scheduled = True
        schedule()

    def put(self, envelope: Envelope[Any]) -> None:
        """Add a message; never blocks. On a closed mailbox its asker is told that the actor is dead."""
        with self._lock:
            if self._closed or self._limit is not None:
                schedule, surplus = self._put_carefully(envelope)
            else:
                surplus = None
                waiting = self._queue
                if waiting is None:
                    waiting = self._queue = deque()
                waiting.append(envelope)
                if self._scheduled:
                    # Most messages of a busy actor end here.
                    return
                schedule = self._schedule
                self._scheduled = schedule is not None
        if schedule is not None:
            schedule()
        if surplus is not None:
            self._drop(surplus)

    def _put_carefully(self, envelope: Envelope[Any]) -> tuple[Callable[[], None] | None, Envelope[Any] | None]:
        """Put into a mailbox that is closed or bounded; what to schedule, and what has to go. Under the lock."""
        if self._closed:
            return lambda: self.refuse(envelope), None
        surplus = None
        waiting = self._queue
        if waiting is None:
            waiting = self._queue = deque()
        if self._limit is not None and len(waiting) >= self._limit:
            surplus = self._surplus(waiting, envelope)
            self.dropped += surplus is not None
        if surplus is not envelope:
            waiting.append(envelope)
            if not self._scheduled and self._schedule is not None:
                self._scheduled = True
                return self._schedule, surplus
        return None, surplus

    def _surplus(self, queued: deque[Envelope[Any]], envelope: Envelope[Any]) -> Envelope[Any] | None:
        """The message that has to go for this one, perhaps itself; None where all stay. Under the lock."""
        if isinstance(envelope.message, _ALWAYS_TAKEN):
            return None
        if self._overflow is Overflow.DROP_OLDEST:
            for place, waiting in enumerate(queued):
                if not isinstance(waiting.message, _ALWAYS_TAKEN):
                    del queued[place]
                    return waiting
        return envelope

    def _drop(self, envelope: Envelope[Any]) -> None:
        if envelope.reply_to is not None:
            full = MailboxFullError("the mailbox of the actor is full")
            with contextlib.suppress(queue.Full):
                envelope.reply_to.set_exception((MailboxFullError, full, None))

    def wake(self) -> None:
        """Schedule a turn though there may be no message: the actor has been asked to end."""
        with self._lock:
            if self._scheduled or self._closed or self._schedule is None:
                return
            self._scheduled = True
            schedule = self._schedule
        schedule()

    def take(self) -> Envelope[Any] | None:
        """The oldest message; None where there is none, and the next one is to schedule a turn. Only the turn calls it.

        After None the turn is over: another may be under way.
        """
        waiting = self._queue
        if waiting and self._limit is None:
            try:
                return waiting.popleft()
            except IndexError:
                # Another thread may close the mailbox, which empties it, at any time.
                pass
        with self._lock:
            # Again: a message may have come, or be making room for another, just now.
            if self._queue:
                return self._queue.popleft()
            self._queue = None
            self._scheduled = False
            return None

    def get(self) -> Envelope[Any]:
        """The oldest message (Pykka's inbox protocol). IndexError where there is none."""
        waiting = self._queue
        if waiting is None:
            raise IndexError("nothing waits")
        return waiting.popleft()

    def empty(self) -> bool:
        """Whether nothing waits (Pykka's inbox protocol)."""
        return not self._queue

    def close(self) -> None:
        """Take nothing more, and tell every asker that waits that the actor is dead."""
        with self._lock:
            self._closed = True
            # The way back to the actor: a ref that somebody keeps must not keep a dead actor.
            self._schedule = None
            left = list(self._queue or ())
            if self._queue is not None:
                # And not only forgotten: the turn may have it in hand.
                self._queue.clear()
        for envelope in left:
            self.refuse(envelope)

    def waiting_types(self, most: int) -> list[str]:
        """The types of the oldest messages that wait, so many at most. Any thread."""
        waiting = self._queue
        # In one step of the interpreter: nobody puts or takes in between.
        oldest = list(itertools.islice(waiting, most)) if waiting is not None else []
        return [type(each.message).__name__ for each in oldest]

    def __len__(self) -> int:
        """How many messages wait."""
        waiting = self._queue
        return 0 if waiting is None else len(waiting)

    def refuse(self, envelope: Envelope[Any]) -> None:
        """Tell the asker of a message that the actor is dead; without one, it is a dead letter."""
        if envelope.reply_to is None:
            if self._dead_letter is not None:
                self._dead_letter()
            return
        # Full: whoever killed the actor has answered already.
        with contextlib.suppress(queue.Full):
            if isinstance(envelope.message, _ActorStop):
                # Stopping what has stopped is no error, as in Pykka.
                envelope.reply_to.set(None)
            else:
                dead = ActorDeadError("the actor stopped before it handled the message")
                envelope.reply_to.set_exception((ActorDeadError, dead, None))
