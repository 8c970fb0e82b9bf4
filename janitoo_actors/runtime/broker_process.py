"""A broker as a child process: it dies with us, its end is noticed at once, and its last words are kept."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import IO, Final

from structlog.typing import FilteringBoundLogger

from janitoo_actors.runtime.broker_programs import Program
from janitoo_actors.runtime.repeats import Repeats

_PR_SET_PDEATHSIG: Final = 1
_LAST_LINES: Final = 3
_LONGEST_LINE: Final = 500
_LAST_WORDS_TIMEOUT: Final = 0.2
_KILL_TIMEOUT: Final = 0.2


class BrokerProcess:
    """A broker that runs. Any thread may call it; only `stop` blocks.

    On Linux it is killed when the thread that has started it ends, and so when the process ends, however that comes.
    It is in a session of its own: Ctrl+C in the terminal ends us and not the broker, over which the nodes have yet to
    say that they are OFFLINE.

    Args:
        program: what to start.
        log: where the broker's lines go: warnings as `broker_warning`, counted where they repeat, others at debug.

    Raises:
        OSError: it cannot be started.

    Attributes:
        program: what has been started.
        ended: set when the process has ended.
    """

    def __init__(self, program: Program, log: FilteringBoundLogger) -> None:
        self.ended = threading.Event()
        self.program = program
        self._log = log.bind(program=program.name)
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._lock = threading.Lock()
        self._notify: Callable[[], None] | None = None
        self._process = subprocess.Popen(
            program.command,
            stdin=subprocess.DEVNULL if program.input is None else subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
            # Whatever comes between fork and exec must not wait for locks that other threads held at the fork. The
            # one function here does two system calls, and imports and allocates nothing that is not there before.
            preexec_fn=_dies_with_parent(),  # noqa: PLW1509 - see above
        )
        self._reader = threading.Thread(target=self._read, name=f"{program.name}-log", daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, name=f"{program.name}-watch", daemon=True).start()
        if program.input is not None:
            self._give(program.input)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def epitaph(self) -> str:
        """How it ended, and what it said last; without its pid, so that ends of one kind read the same."""
        status = self._process.returncode
        if status is None:
            how = "runs"
        elif status < 0:
            how = f"was ended by {_signal_name(-status)}"
        else:
            how = f"ended with status {status}"
        lines = list(self._lines)
        return f"{self.program.name} {how}" + (f": {' / '.join(lines)}" if lines else "")

    def when_ended(self, notify: Callable[[], None]) -> None:
        """Have `notify` called, on the thread that notices it, when the process ends; at once where it has."""
        with self._lock:
            if not self.ended.is_set():
                self._notify = notify
                return
        notify()

    def kill(self) -> None:
        """SIGKILL, where it is alive. Does not wait."""
        self._signal(signal.SIGKILL)

    def stop(self, timeout: float) -> None:
        """End it: SIGTERM, and after `timeout` seconds SIGKILL. Nobody is told of this end. Blocks."""
        with self._lock:
            self._notify = None
        self._signal(signal.SIGTERM)
        if not self.ended.wait(timeout):
            self.kill()
            self.ended.wait(_KILL_TIMEOUT)

    def _signal(self, number: signal.Signals) -> None:
        # Under the lock under which it is reaped: its pid may be another's afterwards.
        with self._lock:
            if not self.ended.is_set():
                os.kill(self._process.pid, number)

    def _give(self, data: bytes) -> None:
        stdin = _present(self._process.stdin)
        # It has ended already; that is told on the other way.
        with contextlib.suppress(BrokenPipeError), stdin:
            stdin.write(data)

    def _watch(self) -> None:
        # Without reaping: until then nobody else can have its pid.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        # What it said last is on its way; no longer than this, should someone else hold the pipe open.
        self._reader.join(_LAST_WORDS_TIMEOUT)
        with self._lock:
            self._process.wait()
            self.ended.set()
            notify, self._notify = self._notify, None
        if notify is not None:
            notify()

    def _read(self) -> None:
        repeats = Repeats(self._log)
        with _present(self._process.stderr) as stderr:
            for raw in stderr:
                line = raw.decode(errors="replace").strip()[:_LONGEST_LINE]
                if not line:
                    continue
                self._lines.append(line)
                if self.program.is_warning(line):
                    repeats.failed(line, "broker_warning", line)
                else:
                    self._log.debug("broker_says", line=line)


def _dies_with_parent() -> Callable[[], None] | None:
    """What to run in the child before it becomes the broker; None where the system cannot do it.

    The signal is tied to the thread that forks: to the actor's own thread, which lives as long as the actor.
    """
    if sys.platform != "linux":
        return None
    # Loaded before the fork.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL.value, 0, 0, 0)
        if os.getppid() != parent:
            # The parent ended before that, and there will be no signal.
            os._exit(1)

    return prepare


def _present(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("the process was started without this pipe")
    return pipe


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # A real-time signal has no name.
        return f"signal {number}"
