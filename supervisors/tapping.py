"""Looking at what actors handle, without a word in their code and without a cost for those that nobody looks at."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from supervisors.actor import Actor

logger = logging.getLogger("supervisors")

Seen = Callable[[Actor, Any, float, "BaseException | None"], None]
"""Called with an actor, a message that it has handled, for how many seconds, and what it has raised. On the actor's
thread: it must not block. What it raises itself is logged."""

_lock = threading.Lock()


class _Tapped:
    """Takes the place of an actor's `on_receive`."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self.seen: tuple[Seen, ...] = ()

    def __call__(self, message: Any) -> Any:
        begun = time.monotonic()
        failure: BaseException | None = None
        try:
            return type(self._actor).on_receive(self._actor, message)
        except BaseException as error:
            failure = error
            raise
        finally:
            for each in self.seen:
                self._show(each, message, time.monotonic() - begun, failure)

    def _show(self, seen: Seen, message: Any, took: float, failure: BaseException | None) -> None:
        try:
            seen(self._actor, message, took, failure)
        except Exception:
            # Whoever looks must not end the one who is looked at.
            logger.exception("%s: who looks at it has failed", self._actor.path)


def tap(actor: Actor, seen: Seen) -> None:
    """Have each message that an actor handles from now on shown; once, however often this is called. Any thread."""
    with _lock:
        tapped = actor.__dict__.get("on_receive")
        if not isinstance(tapped, _Tapped):
            tapped = _Tapped(actor)
        if seen not in tapped.seen:
            tapped.seen = (*tapped.seen, seen)
        actor.__dict__["on_receive"] = tapped


def untap(actor: Actor, seen: Seen) -> None:
    """Look no more; nothing where nobody did. Any thread."""
    with _lock:
        tapped = actor.__dict__.get("on_receive")
        if isinstance(tapped, _Tapped):
            tapped.seen = tuple(each for each in tapped.seen if each != seen)
            if not tapped.seen:
                del actor.__dict__["on_receive"]
