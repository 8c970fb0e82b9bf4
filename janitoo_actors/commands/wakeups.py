"""What ends a wait of the main thread: signals, and other threads."""

from __future__ import annotations

import contextlib
import signal
import socket
from types import TracebackType
from typing import Final

_MANY: Final = 4096


class Wakeups:
    """A context in which the main thread waits, to be woken by any signal with a handler, and by any thread.

    Python calls handlers on the main thread, but the kernel may give a signal to any thread, as it does where the
    process stood still when the signal came. A main thread that waits for a lock or a queue would not hear of it.
    This one waits for a socket, which the thread that has got the signal writes to.
    """

    def __enter__(self) -> Wakeups:
        """Begin to be woken. On the main thread."""
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        self._before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Be woken no more. On the main thread."""
        signal.set_wakeup_fd(self._before)
        self._ear.close()
        self._mouth.close()

    def wake(self) -> None:
        """End the wait, or the next one. Any thread; never blocks."""
        # Full: it has been woken already. Closed: nobody waits any more.
        with contextlib.suppress(OSError):
            self._mouth.send(b"\0")

    def wait(self, timeout: float | None = None) -> None:
        """Wait until woken, at most so many seconds. On the main thread; handlers have run when it returns."""
        self._ear.settimeout(timeout)
        with contextlib.suppress(TimeoutError):
            self._ear.recv(_MANY)
