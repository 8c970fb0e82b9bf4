"""The server, as `janitoo top` sees it: asked by plain threads, so that the screen never waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from janitoo_actors.console.words import data as words_of
from janitoo_actors.control.client import Control, NoServerError, NotServedError
from janitoo_actors.errors import JanitooError

REFRESH: Final = 1.0
"""Seconds between two looks at the server."""
_REST: Final = 4.0
"""For so many times as long as a look has taken, nobody looks: a large server has other things to do."""
_ANSWER: Final = 5.0
"""Seconds that it has to answer."""
_ACT: Final = 60.0
_TRACE_SECONDS: Final = 600.0
_TRACE_MOST: Final = 1_000
_TRACE_RATE: Final = 20.0

Connect = Callable[[], Control]


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look at the server.

    Attributes:
        document: its answer; None where there is none.
        why: why there is none.
        gone: whether there is no server; otherwise it did not want to answer.
    """

    document: Mapping[str, Any] | None
    why: str = ""
    gone: bool = False


class Asks(Protocol):
    """What to ask for."""

    def __call__(self) -> Mapping[str, Any]:
        """The keys of an `overview`."""


def pause(took: float) -> float:
    """Seconds until the next look, after one that has taken so long."""
    return max(REFRESH - took, _REST * min(took, _ANSWER), 0.0)


class Looker:
    """Looks at the server again and again, on a thread of its own, with one request each time.

    Where it is gone, it is looked for again and again.

    Args:
        connect: connects to it; raises NoServerError.
        asks: gives what to ask for; called on the thread.
        told: called on the thread with what came of it.
    """

    def __init__(self, connect: Connect, asks: Asks, told: Callable[[Looked], object]) -> None:
        self._connect = connect
        self._asks = asks
        self._told = told
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._control: Control | None = None
        self._thread = threading.Thread(target=self._run, name="looker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look_now(self) -> None:
        """Do not wait for the next time. Any thread."""
        self._wanted.set()

    def stop(self) -> None:
        """End it. Does not wait."""
        self._over.set()
        self._wanted.set()

    def _run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            self._wanted.clear()
            looked = self._look()
            if self._over.is_set():
                break
            self._told(looked)
            self._wanted.wait(pause(time.monotonic() - begun))
        self._leave()

    def _look(self) -> Looked:
        try:
            if self._control is None:
                self._control = self._connect()
            return Looked(self._control.ask("overview", _ANSWER, **self._asks()))
        except NotServedError as error:
            # As where there are too many clients; it may have closed the connection with it.
            self._leave()
            return Looked(None, str(error))
        except JanitooError as error:
            self._leave()
            return Looked(None, str(error), gone=True)

    def _leave(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


def act(connect: Connect, request: str, path: str, done: Callable[[str, Sequence[str], bool], None]) -> None:
    """Have the server do something; does not wait.

    Args:
        done: called on a thread with what was wanted, what came of it, a line each, and whether it was done.
    """
    title = f"{request} {path}"

    def work() -> None:
        try:
            with connect() as control:
                result = control.ask(request, _ACT, path=path)
        except JanitooError as error:
            done(title, [str(error)], False)
            return
        done(title, _said(request, result), True)

    threading.Thread(target=work, name=f"top {request}", daemon=True).start()


def _said(request: str, result: Mapping[str, Any]) -> list[str]:
    if request != "poll":
        return [str(result["done"])]
    return [
        f"{each['path']}: {each['error']}" if each["error"] else f"{each['path']} = {_data(each)}"
        for each in result["readings"]
    ]


def _data(reading: Mapping[str, Any]) -> str:
    return words_of(reading["data"] or [], reading["units"])


def errors(connect: Connect, path: str, done: Callable[[Mapping[str, Any] | str], None]) -> None:
    """Ask for the errors of a place; does not wait. `done` has the answer, or why there is none."""

    def work() -> None:
        try:
            with connect() as control:
                done(control.ask("errors", _ANSWER, path=path))
        except JanitooError as error:
            done(str(error))

    threading.Thread(target=work, name="top errors", daemon=True).start()


class Trace:
    """The messages of a place as they are handled, on a thread of its own; bounded.

    Args:
        shown: called on the thread with each message.
        ended: called on the thread with why there are no more.
    """

    def __init__(
        self, connect: Connect, path: str, shown: Callable[[Mapping[str, Any]], None], ended: Callable[[str], None]
    ) -> None:
        self._connect = connect
        self._path = path
        self._shown = shown
        self._ended = ended
        self._control: Control | None = None
        self._is_over = False
        threading.Thread(target=self._run, name="top trace", daemon=True).start()

    def stop(self) -> None:
        """End it. Does not wait."""
        self._is_over = True
        if self._control is not None:
            self._control.close()

    def _run(self) -> None:
        about = {"path": self._path, "max": _TRACE_MOST, "rate": _TRACE_RATE, "seconds": _TRACE_SECONDS}
        why = ""
        try:
            with self._connect() as control:
                self._control = control
                messages = control.stream("trace", _TRACE_SECONDS + _ANSWER, **about)
                while not self._is_over:
                    try:
                        self._shown(next(messages))
                    except StopIteration as end:
                        result = end.value
                        passed = f", {result['passed_over']} passed over" if result["passed_over"] else ""
                        why = f"ended ({result['ended']}): {result['shown']} shown{passed}"
                        break
        except (NoServerError, NotServedError) as error:
            why = str(error)
        if not self._is_over:
            self._ended(why)
