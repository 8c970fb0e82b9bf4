"""`auto_reload = True`: the file is looked at, and taken over when somebody has changed it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

import structlog

from janitoo_actors.errors import JanitooError, said
from janitoo_actors.runtime.reload import ReloadRefusedError
from janitoo_actors.runtime.running import RunningConfig

LOOK_EVERY: Final = 1.0
"""Seconds between two looks; a file that is the same at two of them is complete."""

_Signature = tuple[int, int, int, int] | None


class FileWatch:
    """A plain thread that looks at the file, as long as `auto_reload` says so.

    It looks instead of being told (inotify): editors save in many ways, a file may be a link or on a network, and a
    look costs microseconds. What the server writes itself is nothing new.

    Args:
        take: takes the file over, where somebody else has changed it; blocks.
    """

    def __init__(self, running: RunningConfig, take: Callable[[], object], every: float = LOOK_EVERY) -> None:
        self._running = running
        self._take = take
        self._every = every
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger().bind(path="/reload")

    def start(self) -> None:
        """Begin to look, where the configuration says so; again after each change of it. Any thread."""
        with self._lock:
            looks = self._thread is not None and self._thread.is_alive()
            if self._running.current.system.auto_reload and not looks:
                self._thread = threading.Thread(target=self._look, name="auto_reload", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Look no more. Does not wait."""
        self._stopped.set()

    def _look(self) -> None:
        # The first time too: it may have been changed since it was read for the start.
        taken: _Signature = None
        seen: _Signature = None
        while not self._stopped.wait(self._every) and self._running.current.system.auto_reload:
            before, seen = seen, self._signature()
            if seen is None or seen != before or seen == taken:
                # Away, or being written just now, or nothing new.
                continue
            taken = seen
            try:
                self._take()
            except ReloadRefusedError:
                # It has been logged with all that is wrong; the next change may mend it.
                continue
            except JanitooError as error:
                self._log.error("reload_failed", source="auto_reload", error=said(error))

    def _signature(self) -> _Signature:
        try:
            found = os.stat(self._running.current.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
