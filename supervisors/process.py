"""An actor whose work runs in a child process: it can be killed whatever it is doing, and has a core of its own.

The actor lives in the parent, under its supervisor, at its path, and is restarted like any other. The child is forked
from a lean server process that has imported what it needs (`multiprocessing`'s forkserver), so that a start costs
milliseconds and the memory of the imports is shared.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Final

from supervisors.actor import PinnedActor
from supervisors.child_process import (
    Answer,
    Call,
    Failed,
    Hear,
    Hung,
    Ping,
    Pong,
    Started,
    Stop,
    Told,
    child_main,
)
from supervisors.snapshot import ActorInfo

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_LOOK_EVERY: Final = 0.25
"""Seconds between two looks at a child's memory."""
_LAST_WORDS: Final = 1.0
"""Seconds that a child has to exit after it has closed the pipe."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_exit_codes = threading.Lock()
"""An exit code can be read once, and the start of a process looks for those of all others: one thread at a time."""

logger = logging.getLogger("supervisors")


class ProcessLostError(RuntimeError):
    """The child process of an actor has ended by itself, or had to be killed."""


@dataclass(frozen=True, slots=True)
class TellChild:
    """Tell a `ProcessActor` this to have its child told, in the `on_told` of its side; it must be picklable."""

    what: Any


@dataclass(frozen=True, slots=True)
class ProcessWork:
    """What runs in the child.

    Attributes:
        main: called in the child as `main(side, *args)`, with its `ChildSide`; the process ends when it returns.
            A function of a module, as it is sent by its name.
        args: gives what else it gets, at each start; sent to the child, so that they must be picklable.
        preload: modules that the server process imports before it forks.
        hang_limit: seconds in which the child must answer a ping; one that does not is killed.
        start_timeout: seconds until it must have said that it is ready.
        memory_max: bytes of memory; one that uses more is killed. None for no limit.
        calls: what the child may call in the parent, by name; on the actor's thread.
        on_told: called with whatever the child tells; on the thread that reads from it, and must not block.
        on_end: called when the actor ends, whatever ends it, before anybody hears of it; must not block.
    """

    main: Callable[..., None]
    args: Callable[[], Sequence[Any]] = tuple
    preload: Sequence[str] = ()
    hang_limit: float = 10.0
    start_timeout: float = 30.0
    memory_max: int | None = None
    calls: dict[str, Callable[..., Any]] = field(default_factory=dict)
    on_told: Callable[[Any], None] | None = None
    on_end: Callable[[], None] | None = None


class ProcessActor(PinnedActor):
    """The parent's side of a child process.

    It is ready when the child says so. It ends, and with it the child by SIGKILL, when the child has ended, does not
    answer, uses too much memory, or says itself that it hangs.
    """

    acknowledges_start = False

    def __init__(self, work: ProcessWork) -> None:
        super().__init__()
        self._work = work
        self._process: ForkServerProcess | None = None
        self._pid: int | None = None
        self._connection: Connection | None = None
        self._send_lock = threading.Lock()
        self._answered = self._started = time.monotonic()
        self._exit_code: int | None = None
        self._ready = False
        self._gone = threading.Event()
        self._below: tuple[ActorInfo, ...] = ()

    @property
    def pid(self) -> int | None:
        """The child's process id; None where there is none now. Any thread."""
        return None if self._gone.is_set() else self._pid

    def below(self) -> tuple[ActorInfo, ...]:
        """What the child has last told of its tree. Any thread; asks nobody."""
        return self._below

    def on_start(self) -> None:
        """Start the child; it says itself when it is ready. Blocks for some milliseconds."""
        context = multiprocessing.get_context("forkserver")
        # First of all: there is no child yet that the signals could take with it.
        context.set_forkserver_preload(["supervisors.fork_server", *self._work.preload])
        mine, theirs = context.Pipe()
        process = context.Process(
            target=child_main,
            args=(theirs, self._work.main, tuple(self._work.args())),
            name=self.path,
            daemon=True,
        )
        with _exit_codes:
            process.start()
        theirs.close()
        self._connection = mine
        self._process = process
        self._pid = process.pid
        self._answered = self._started = time.monotonic()
        threading.Thread(target=self._listen, args=(mine, process), name=f"{self.path} listener", daemon=True).start()
        if self.fenced:
            # Killed meanwhile, when there was no child to kill.
            self._kill()
            return
        self.timers.every("ping", min(1.0, self._work.hang_limit / 4), Ping())
        if self._work.memory_max is not None:
            self.timers.every("memory", _LOOK_EVERY, _Look())

    def on_stop(self) -> None:
        """Ask the child to end, and wait for it: its supervisor's patience is the limit."""
        self._send(Stop())
        self._gone.wait()

    def on_end(self) -> None:
        """Kill the child, whatever ended the actor. Any thread."""
        super().on_end()
        self._kill()
        if self._work.on_end is not None:
            self._work.on_end()

    def on_receive(self, message: Any) -> Any:
        """Handle what the child says, and what it does not say."""
        match message:
            case Ping():
                self._ping()
            case _Look():
                self._check_memory()
            case Started():
                self._ready = True
                self._answered = time.monotonic()
                self.acknowledge_start()
            case Call():
                self._call(message)
            case TellChild(what=what):
                self._send(Hear(what))
            case Hung(stack=stack):
                raise ProcessLostError(f"it hangs, and is killed; it stood at:\n{stack}")
            case Failed(traceback=where):
                raise ProcessLostError(f"the process has failed:\n{where}")
            case _Gone():
                raise ProcessLostError(self._epitaph())
            case _:
                return super().on_receive(message)
        return None

    def _kill(self) -> None:
        process = self._process
        if process is not None:
            # ProcessLookupError: it has just ended; ValueError: and has been buried.
            with contextlib.suppress(ProcessLookupError, ValueError):
                process.kill()

    def _ping(self) -> None:
        silent = time.monotonic() - (self._answered if self._ready else self._started)
        limit = self._work.hang_limit if self._ready else self._work.start_timeout
        if silent > limit:
            what = "answered" if self._ready else "become ready"
            raise ProcessLostError(f"the process has not {what} for {silent:.1f} s, and is killed")
        self._send(Ping())

    def _check_memory(self) -> None:
        limit = self._work.memory_max
        used = _resident(self.pid)
        if limit is not None and used > limit:
            raise ProcessLostError(
                f"the process uses {used >> 20} MiB of memory, more than its limit of {limit >> 20} MiB, and is killed"
            )

    def _call(self, call: Call) -> None:
        handler = self._work.calls.get(call.name)
        try:
            if handler is None:
                raise LookupError(f"the parent has no call {call.name!r}")
            answer = Answer(call.number, handler(*call.args), None)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            answer = Answer(call.number, None, f"{type(error).__name__}: {error}")
        try:
            self._send(answer)
        except Exception as error:  # noqa: BLE001 - pickle raises anything; nothing of it has been sent
            self._send(Answer(call.number, None, f"{type(error).__name__}: {error}"))

    def _send(self, message: Any) -> None:
        connection = self._connection
        # OSError: the child is gone, which its listener tells.
        with contextlib.suppress(OSError), self._send_lock:
            if connection is not None:
                connection.send(message)

    def _listen(self, connection: Connection, process: ForkServerProcess) -> None:
        """On a thread of its own: what the child says, until it is gone."""
        with connection:
            while process.sentinel not in (ready := wait([connection, process.sentinel])) or connection in ready:
                try:
                    message = connection.recv()
                except (EOFError, OSError):
                    break
                except Exception:
                    # What it has sent cannot be understood here; the rest may be.
                    logger.exception("%s: its process has sent what cannot be read", self.path)
                    continue
                try:
                    self._heard(message)
                except Exception:
                    # The application's code. Without this thread nobody would see the end of the child.
                    logger.exception("%s: what its process has told cannot be handled", self.path)
        # Whoever closes the pipe has to go.
        if not wait([process.sentinel], _LAST_WORDS):
            process.kill()
            wait([process.sentinel])
        with _exit_codes:
            # It takes the exit status, which is there.
            process.join()
            self._exit_code = process.exitcode
            # Not when it is collected: until then it would hold two descriptors.
            process.close()
        self._below = ()
        self._gone.set()
        self.tell_self(_Gone())

    def _heard(self, message: Any) -> None:
        match message:
            case Pong(below=below):
                self._answered = time.monotonic()
                if below is not None and not self.fenced:
                    self._below = below
            case Told(what=what):
                if self._work.on_told is not None and not self.fenced:
                    self._work.on_told(what)
            case _:
                self.tell_self(message)

    def _epitaph(self) -> str:
        code = self._exit_code
        if code is not None and code < 0:
            return f"the process was killed by {signal.Signals(-code).name}"
        return f"the process has ended with exit code {code}"


@dataclass(frozen=True, slots=True)
class _Look:
    """It is time to look at the child's memory."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """The child has closed its end."""


def _resident(pid: int | None) -> int:
    """The bytes of memory that a process has to itself and shares, as the kernel counts them; 0 where it is gone."""
    if pid is None:
        return 0
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
