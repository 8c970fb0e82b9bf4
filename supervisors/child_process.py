"""The child's side of a `ProcessActor`, and what the two sides say to each other."""

from __future__ import annotations

import ctypes
import itertools
import logging
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any, Final

from pykka import ThreadingFuture

from supervisors.snapshot import ActorInfo

logger = logging.getLogger("supervisors")

_PR_SET_PDEATHSIG: Final = 1
ORPHANED: Final = 70
"""The exit code of a child whose parent is gone; nobody sees it but a log of processes."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Parent → child: are you there? It is answered by a plain thread, which only a stuck interpreter stops."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Parent → child: end in order."""


@dataclass(frozen=True, slots=True)
class Hear:
    """Parent → child: whatever the two agree on."""

    what: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """Parent → child: what a call gave."""

    number: int
    result: Any
    error: str | None


@dataclass(frozen=True, slots=True)
class Pong:
    """Child → parent: I am, and this is my tree; None where it has been told a moment ago."""

    below: tuple[ActorInfo, ...] | None


@dataclass(frozen=True, slots=True)
class Started:
    """Child → parent: ready."""


@dataclass(frozen=True, slots=True)
class Hung:
    """Child → parent: a thread of mine hangs; kill me."""

    stack: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Child → parent: what runs in me has raised something."""

    traceback: str


@dataclass(frozen=True, slots=True)
class Told:
    """Child → parent: whatever the two agree on."""

    what: Any


@dataclass(frozen=True, slots=True)
class Call:
    """Child → parent: call this, and answer."""

    number: int
    name: str
    args: tuple[Any, ...]


class ParentError(RuntimeError):
    """What a call in the parent has raised."""


class ChildSide:
    """The child's way to its parent. Any thread may call it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._send_lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._calls: dict[int, ThreadingFuture[Any]] = {}
        self._stop_asked = threading.Event()
        self._hear_lock = threading.Lock()
        self._heard: list[Any] = []
        self._on_told: Callable[[Any], None] | None = None
        self._next_snapshot = 0.0
        self._snapshot: Callable[[], tuple[ActorInfo, ...]] | None = None
        threading.Thread(target=self._listen, name="parent", daemon=True).start()

    def ready(self, snapshot: Callable[[], tuple[ActorInfo, ...]] | None = None) -> None:
        """Tell the parent that the work has begun.

        Args:
            snapshot: gives the tree below the actor, for the parent's snapshot; called on another thread.
        """
        self._snapshot = snapshot
        self._send(Started())

    def wait_stop(self, timeout: float | None = None) -> bool:
        """Wait until the parent wants the child to end; whether it does. Blocks."""
        return self._stop_asked.wait(timeout)

    @property
    def stop_asked(self) -> threading.Event:
        """Set when the parent wants the child to end."""
        return self._stop_asked

    def on_told(self, handler: Callable[[Any], None]) -> None:
        """Have a handler called with whatever the parent tells, and with what it has told so far.

        On the thread that answers the parent's pings, or on this one: it must not block. What it raises is logged.
        """
        with self._hear_lock:
            self._on_told = handler
            heard, self._heard = self._heard, []
            for what in heard:
                self._handle(handler, what)

    def tell(self, what: Any) -> None:
        """Tell the parent something for its `on_told`."""
        self._send(Told(what))

    def hung(self, stack: str) -> None:
        """Tell the parent that this process hangs; it is killed for it."""
        self._send(Hung(stack))

    def failed(self, error: Exception) -> None:
        """Tell the parent that the work has failed."""
        self._send(Failed("".join(traceback.format_exception(error))))

    def call(self, name: str, *args: Any, timeout: float | None = None) -> Any:
        """Call something in the parent, and give what it gives. Blocks.

        Raises:
            pykka.Timeout: no answer in time.
            ParentError: what the call has raised, as text: not every exception survives the way.
        """
        number = next(self._numbers)
        future: ThreadingFuture[Any] = ThreadingFuture()
        self._calls[number] = future
        try:
            self._send(Call(number, name, args))
            return future.get(timeout=timeout)
        finally:
            self._calls.pop(number, None)

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                # The parent is gone. Nothing here may outlive it.
                os._exit(ORPHANED)
            match message:
                case Ping():
                    self._pong()
                case Stop():
                    self._stop_asked.set()
                case Hear(what=what):
                    self._hear(what)
                case Answer(number=number, result=result, error=error):
                    future = self._calls.pop(number, None)
                    if future is not None and error is not None:
                        future.set_exception((ParentError, ParentError(error), None))
                    elif future is not None:
                        future.set(result)

    def _hear(self, what: Any) -> None:
        with self._hear_lock:
            if self._on_told is None:
                self._heard.append(what)
            else:
                self._handle(self._on_told, what)

    @staticmethod
    def _handle(handler: Callable[[Any], None], what: Any) -> None:
        try:
            handler(what)
        except Exception:
            # The application's code. Without this thread the parent would take the process for dead.
            logger.exception("What the parent has told cannot be handled")

    def _pong(self) -> None:
        now = time.monotonic()
        if self._snapshot is None or now < self._next_snapshot:
            self._send(Pong(None))
            return
        self._send(Pong(tuple(info.portable() for info in self._snapshot())))
        # A large tree is told less often, so that telling never takes more than a hundredth of the time.
        self._next_snapshot = now + 100 * (time.monotonic() - now)

    def _send(self, message: Any) -> None:
        try:
            with self._send_lock:
                self._connection.send(message)
        except OSError:
            # The parent is gone.
            os._exit(ORPHANED)


def child_main(connection: Connection, main: Callable[..., None], args: tuple[Any, ...]) -> None:
    """Where the child process starts, on its main thread."""
    _die_with_parent()
    # Ctrl+C and SIGTERM to the group are the parent's: it ends its children in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    side = ChildSide(connection)
    try:
        main(side, *args)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent tells of it
        side.failed(error)
        raise SystemExit(1) from None


def _die_with_parent() -> None:
    """Have the kernel kill this process when the server process that forked it dies, which dies with the parent.

    The pipe to the parent tells of its end, too; but only to an interpreter that is not stuck.
    """
    # Each child of that server keeps its lifeline open, so that it would not die as long as one of them lives. Nothing
    # public closes it, and typeshed does not know it.
    lifeline = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if lifeline is not None:
        os.close(lifeline)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        # It was too late to be told.
        os._exit(ORPHANED)
