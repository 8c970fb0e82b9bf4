"""A terminal for the tests: a program runs on a pseudo-terminal, and what it draws is on a screen that can be read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyte

from waiting import wait_for

TIMEOUT = 20.0
"""Seconds after which something that should be on the screen is not; long, as a test machine may be busy."""

KEYS: Final = {
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "page down": "\x1b[6~",
    "enter": "\r",
    "escape": "\x1b",
    "ctrl+c": "\x03",
}


class Terminal:
    """A program on a pseudo-terminal, in a `with`.

    Attributes:
        process: The program.
        raw: All that it has written.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        columns: int = 80,
        lines: int = 24,
    ) -> None:
        """Start it.

        Args:
            command: The program and its arguments.
            env: Variables besides those of this process; `TERM=xterm` where none is given.
            cwd: Where it is started.
            columns: The width of the terminal.
            lines: Its height.
        """
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.raw = b""
        self._is_gone = False
        self._own, theirs = pty.openpty()
        self._set_size(columns, lines)
        # What is told of the terminal that the tests are run on is not of this one.
        others = {"COLORTERM", "NO_COLOR", "LINES", "COLUMNS", "LC_ALL", "LC_CTYPE", "TERM_PROGRAM"}
        kept = {key: value for key, value in os.environ.items() if key not in others}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**kept, "TERM": "xterm", "LANG": "C.UTF-8", **(env or {})},
            start_new_session=True,
            # Ctrl+C and the size are for who has the terminal.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        if not self._is_gone:
            with contextlib.suppress(OSError):
                os.close(self._own)

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The same, as one text."""
        return "\n".join(self.lines)

    @property
    def colours(self) -> set[str]:
        """The colours of the letters and behind them."""
        with self._lock:
            cells = [cell for line in self._screen.buffer.values() for cell in line.values()]
        return {cell.fg for cell in cells} | {cell.bg for cell in cells}

    def marked(self) -> list[str]:
        """The lines that begin in reverse."""
        with self._lock:
            buffer = self._screen.buffer
            return [line.rstrip() for y, line in enumerate(self._screen.display) if buffer[y][0].reverse]

    def press(self, *keys: str) -> None:
        """Press keys: their names in `KEYS`, or what they write."""
        for key in keys:
            os.write(self._own, KEYS.get(key, key).encode())

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size."""
        with self._lock:
            self._screen.resize(lines, columns)
        self._set_size(columns, lines)

    def hang_up(self) -> None:
        """Have it gone, as a line that breaks."""
        with self._lock:
            self._is_gone = True
            os.close(self._own)

    def wait(self, condition: Callable[[str], object], what: str) -> str:
        """Wait until what is on the screen fulfils a condition; the screen then."""

        def met() -> str | None:
            text = self.text
            return text if condition(text) else None

        return wait_for(met, TIMEOUT, lambda: f"{what}; on the screen is:\n{self.text}\nexit {self.process.poll()}")

    def wait_text(self, *texts: str) -> str:
        """Wait until all these are on the screen; the screen then."""
        return self.wait(lambda screen: all(text in screen for text in texts), f"{texts}")

    def wait_exit(self) -> int:
        """Wait until it has ended, and all that it wrote is read; its exit code."""
        code = self.process.wait(TIMEOUT)
        self._reader.join(TIMEOUT)
        return code

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if hasattr(self, "process"):
            os.killpg(self.process.pid, signal.SIGWINCH)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._own, 1 << 16)
            except OSError:
                # The last one has closed the other side.
                return
            if not chunk:
                return
            with self._lock:
                self.raw += chunk
                self._stream.feed(chunk)
