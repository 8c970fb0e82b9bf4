"""What the actors of one process share: workers, timers, paths, reports."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pykka import ActorRef
from pykka._envelope import Envelope

from supervisors.dispatcher import Dispatcher
from supervisors.events import Report, ReportKind
from supervisors.watchdog import OnHung, Watchdog, Zombies
from supervisors.wheel import TimerWheel

if TYPE_CHECKING:
    from supervisors.actor import Actor

logger = logging.getLogger("supervisors")

MAX_ZOMBIES: Final = 100
"""Threads of hung actors, altogether. Each costs some 25 KB; a hundred of them is no accident any more."""


class System:
    """A dispatcher, a timer wheel, the paths of living actors, and where reports go.

    Any thread may call it.

    Args:
        on_report: called with every report, on the thread that reports; it must not block. Reports are logged on
            `logging.getLogger("supervisors")` where it is not given.
        on_hung: called, instead of replacing it, with an actor that hangs, since how many seconds, and the stack of
            its thread; on the timers' thread, and must not block.
        max_zombies: how many threads of hung actors may be left behind altogether; with one more, `on_zombies` is
            called. Only the end of the process frees them.
    """

    def __init__(
        self,
        on_report: Callable[[Report], None] | None = None,
        *,
        on_hung: OnHung | None = None,
        max_zombies: int = MAX_ZOMBIES,
    ) -> None:
        self.wheel = TimerWheel()
        self.dispatcher = Dispatcher()
        self.zombies = Zombies()
        self.watchdog = Watchdog(self.wheel, on_hung if on_hung is not None else self._replace_hung)
        self.on_zombies: Callable[[], None] | None = None
        self._max_zombies = max_zombies
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
        if ref is not None and ref.is_alive():
            # As `ref.tell`, for whom a dead actor is an error.
            ref.actor_inbox.put(Envelope(message))
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

    @property
    def takes_reports(self) -> bool:
        """Whether somebody receives the reports; otherwise they are logged."""
        return self._on_report is not None

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

    def _replace_hung(self, actor: Actor, seconds: float, stack: str) -> None:
        """End an actor that hangs; its supervisor replaces it. What it was at, and where, is reported."""
        at = actor.vitals.current or "a message"
        # On a worker: whoever takes the report may be slow, and timers must not wait.
        report = Report(ReportKind.HUNG, actor.path, detail=f"{at} for {seconds:.1f} s", stack=stack)
        self.dispatcher.submit(lambda: self.report(report))
        actor.kill(f"it was at {at} for {seconds:.1f} s, longer than it may be")

    def check_zombies(self) -> None:
        """Call `on_zombies` where too many threads of hung actors have been left behind."""
        if self.zombies.count() > self._max_zombies and self.on_zombies is not None:
            self.on_zombies()

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
