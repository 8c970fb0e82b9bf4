"""What the actors of one process share: workers, timers, paths, reports."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

from pykka import ActorDeadError, ActorRef

from supervisors.dispatcher import Dispatcher
from supervisors.events import Report
from supervisors.wheel import TimerWheel

logger = logging.getLogger("supervisors")


class System:
    """A dispatcher, a timer wheel, the paths of living actors, and where reports go.

    Any thread may call it.

    Args:
        on_report: called with every report, on the thread that reports; it must not block. Reports are logged on
            `logging.getLogger("supervisors")` where it is not given.
    """

    def __init__(self, on_report: Callable[[Report], None] | None = None) -> None:
        self.dispatcher = Dispatcher()
        self.wheel = TimerWheel()
        self._on_report = on_report
        self._paths: dict[str, ActorRef[Any]] = {}
        self._epochs = itertools.count(1)
        self._dead_letters = 0
        self._lock = threading.Lock()

    def lookup(self, path: str) -> ActorRef[Any] | None:
        """The living actor of a path; None where there is none now."""
        return self._paths.get(path)

    def paths(self) -> list[str]:
        """The paths of all living actors."""
        return list(self._paths)

    def tell(self, path: str, message: Any) -> bool:
        """Tell whoever lives at a path; a dead letter, and False, where nobody does."""
        ref = self._paths.get(path)
        if ref is not None:
            try:
                ref.tell(message)
            except ActorDeadError:
                pass
            else:
                return True
        self.count_dead_letter()
        return False

    @property
    def dead_letters(self) -> int:
        """How many messages found nobody, ever."""
        return self._dead_letters

    def count_dead_letter(self) -> None:
        """Count a message that found nobody."""
        with self._lock:
            self._dead_letters += 1

    def report(self, report: Report) -> None:
        """Pass a report on. What the receiver raises is logged: a report must not end the one who reports."""
        try:
            if self._on_report is not None:
                self._on_report(report)
            else:
                logger.info("%s %s %s %s", report.kind.value, report.path, report.child, report.reason or "")
        except Exception:
            # The receiver is the application's code, called from inside of actors and supervisors.
            logger.exception("The receiver of reports failed")

    def stop(self) -> None:
        """End the workers and the timers. Actors are to be stopped before, from their root."""
        self.wheel.stop()
        self.dispatcher.stop()

    def next_epoch(self) -> int:
        """A number that no incarnation of any actor has had."""
        return next(self._epochs)

    def register(self, path: str, ref: ActorRef[Any]) -> None:
        """Enter a living actor; the newest of a path counts."""
        with self._lock:
            self._paths[path] = ref

    def unregister(self, path: str, ref: ActorRef[Any]) -> None:
        """Strike out an actor that has ended, unless another has its path already."""
        with self._lock:
            if self._paths.get(path) is ref:
                del self._paths[path]


_default: System | None = None
_default_lock = threading.Lock()


def default_system() -> System:
    """The system of actors that are started without one, as `MyActor.start()` of Pykka's users."""
    global _default  # noqa: PLW0603 - one for the process, as Pykka's registry is
    with _default_lock:
        if _default is None:
            _default = System()
        return _default
