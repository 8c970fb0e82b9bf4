"""Asking the process of a bus what only it knows, and having it do what only it can: both sides of that."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from janitoo_actors.errors import TemporaryError, said
from supervisors import Report

MOST_AT_WORK: Final = 8
"""Questions that a process answers at a time; more are refused at once."""

_PATIENCE_WITH_THE_SILENT: Final = 0.05
"""Seconds. A process that is there again answers what it was asked meanwhile, and is no more silent then."""

_NO_MORE: Final = ""
"""Instead of what to do: whoever has asked waits no more."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Parent → child: do this, and tell what came of it. `what` is a method of `Inside`."""

    number: int
    what: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Child → parent: what came of it; one of many where `more`."""

    number: int
    result: Any
    error: str | None = None
    more: bool = False


class NotToldError(TemporaryError):
    """The process of a bus does not answer, or says why it cannot."""


class Remote:
    """The way to the process of a bus. Any thread.

    Attributes:
        is_silent: whether it has not answered in time, and nothing since: the next who asks need not wait as long.

    Args:
        tell: has the process told something; must not block; False where there is no process.
        reported: called with what the supervisors in the process report; must not block.
    """

    def __init__(self, tell: Callable[[Any], bool], reported: Callable[[Report], None]) -> None:
        self._tell = tell
        self.reported = reported
        self.is_silent = False
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, SimpleQueue[Told]] = {}

    def look(self, what: str, *args: Any, timeout: float) -> Any:
        """As `ask`, for what only looks: who has kept others waiting has less time."""
        return self.ask(what, *args, timeout=self.patience(timeout))

    def patience(self, timeout: float) -> float:
        """How long to wait for what only looks, in seconds; `timeout` where it has answered so far."""
        return min(timeout, _PATIENCE_WITH_THE_SILENT) if self.is_silent else timeout

    def ask(self, what: str, *args: Any, timeout: float) -> Any:
        """Ask, and wait for the answer. Blocks for as long as that at most.

        Raises:
            NotToldError: there is none.
        """
        with _Conversation(self, what, args) as conversation:
            told = conversation.next(timeout)
            if told is None:
                self.is_silent = True
                raise NotToldError(f"its process has not answered within {timeout:g} s")
            return told.result

    def stream(self, what: str, *args: Any) -> Iterator[Any]:
        """Ask for many things: each as it comes, None where none has for a moment. Ends when the process says so.

        Raises:
            NotToldError: it cannot.
        """
        with _Conversation(self, what, args) as conversation:
            while True:
                told = conversation.next(0.2)
                if told is None:
                    yield None
                elif told.more:
                    yield told.result
                else:
                    return

    def heard(self, told: Told) -> None:
        """The process has told something. Does not block."""
        self.is_silent = False
        with self._lock:
            waiting = self._waiting.get(told.number)
        if waiting is not None:
            waiting.put(told)

    def ended(self) -> None:
        """The process has ended: nobody who waits for an answer gets one. Does not block."""
        self.is_silent = False
        with self._lock:
            waiting = list(self._waiting.items())
        for number, answers in waiting:
            answers.put(Told(number, None, "its process has ended"))

    def begin(self, what: str, args: tuple[Any, ...]) -> tuple[int, SimpleQueue[Told]]:
        """Ask; where the answers come."""
        answers: SimpleQueue[Told] = SimpleQueue()
        number = next(self._numbers)
        with self._lock:
            self._waiting[number] = answers
        if not self._tell(Ask(number, what, args)):
            self.end(number)
            raise NotToldError("its process does not run")
        return number, answers

    def end(self, number: int, *, early: bool = False) -> None:
        """Whoever asked waits no more.

        Args:
            early: and the process may still be at it.
        """
        with self._lock:
            self._waiting.pop(number, None)
        if early:
            self._tell(Ask(number, _NO_MORE, ()))


class _Conversation:
    def __init__(self, remote: Remote, what: str, args: tuple[Any, ...]) -> None:
        self._remote = remote
        self._is_over = False
        self._number, self._answers = remote.begin(what, args)

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_error: object) -> None:
        self._remote.end(self._number, early=not self._is_over)

    def next(self, timeout: float) -> Told | None:
        try:
            told = self._answers.get(timeout=timeout)
        except Empty:
            return None
        self._is_over = not told.more
        if told.error is not None:
            raise NotToldError(told.error)
        return told


class Answerer:
    """The child's side: answers each question on a thread of its own.

    Args:
        inside: whose methods are called.
        tell: tells the parent.
    """

    def __init__(self, inside: Any, tell: Callable[[Any], None]) -> None:
        self._inside = inside
        self._tell = tell
        self._places = threading.BoundedSemaphore(MOST_AT_WORK)
        # Those that somebody still waits for.
        self._at_work: set[int] = set()

    def heard(self, ask: Ask) -> None:
        """Answer a question. Does not block."""
        if ask.what == _NO_MORE:
            self._at_work.discard(ask.number)
            return
        if not self._places.acquire(blocking=False):
            self._tell(Told(ask.number, None, f"its process is at work on {MOST_AT_WORK} questions already"))
            return
        self._at_work.add(ask.number)
        threading.Thread(target=self._work, args=(ask,), name="console", daemon=True).start()

    def _work(self, ask: Ask) -> None:
        try:
            result = getattr(self._inside, ask.what)(*ask.args)
            if isinstance(result, Iterator):
                for each in result:
                    if ask.number not in self._at_work:
                        break
                    if each is not None:
                        self._tell(Told(ask.number, each, more=True))
                result = None
            self._tell(Told(ask.number, result))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self._tell(Told(ask.number, None, said(error)))
        finally:
            self._at_work.discard(ask.number)
            self._places.release()
