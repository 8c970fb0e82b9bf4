"""The inbox of an actor: what has come and is not handled yet."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from pykka import ActorDeadError
from pykka._envelope import Envelope
from pykka.messages import _ActorStop


class Mailbox:
    """A queue that wakes its actor when there is something to do, and that can be closed for good.

    Any thread may put. One turn at a time takes: `put` schedules a turn where none is on its way, and the turn calls
    `rest` when it has found nothing more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Envelope[Any]] = deque()
        self._closed = False
        self._scheduled = False
        self._schedule: Callable[[], None] | None = None
        self._dead_letter: Callable[[], None] | None = None

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
            if not self._closed:
                self._queue.append(envelope)
                if self._scheduled or self._schedule is None:
                    return
                self._scheduled = True
                schedule = self._schedule
            else:
                schedule = None
        if schedule is not None:
            schedule()
        else:
            self.refuse(envelope)

    def wake(self) -> None:
        """Schedule a turn though there may be no message: the actor has been asked to end."""
        with self._lock:
            if self._scheduled or self._closed or self._schedule is None:
                return
            self._scheduled = True
            schedule = self._schedule
        schedule()

    def take(self) -> Envelope[Any] | None:
        """The oldest message; None where there is none. Only the turn calls it."""
        # Looked at first, as most turns end here and an exception is dear.
        if not self._queue:
            return None
        try:
            return self._queue.popleft()
        except IndexError:
            # Another thread may close the mailbox, which empties it, at any time.
            return None

    def get(self) -> Envelope[Any]:
        """The oldest message (Pykka's inbox protocol). IndexError where there is none."""
        return self._queue.popleft()

    def empty(self) -> bool:
        """Whether nothing waits (Pykka's inbox protocol)."""
        return not self._queue

    def rest(self) -> bool:
        """Called by a turn that ends: whether the next one is to be scheduled at once."""
        with self._lock:
            if self._queue:
                return True
            self._scheduled = False
            return False

    def close(self) -> None:
        """Take nothing more, and tell every asker that waits that the actor is dead."""
        with self._lock:
            self._closed = True
            # The way back to the actor: a ref that somebody keeps must not keep a dead actor.
            self._schedule = None
            left = list(self._queue)
            self._queue.clear()
        for envelope in left:
            self.refuse(envelope)

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._queue)

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
