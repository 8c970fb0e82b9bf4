"""The root of a tree, for the plain thread that owns the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from supervisors.actor import living
from supervisors.birth import birth
from supervisors.events import Down, Ready
from supervisors.exits import ExitReason
from supervisors.snapshot import ActorInfo, snapshot
from supervisors.spec import ChildSpec, SupervisorFlags
from supervisors.supervisor import Supervisor
from supervisors.system import System


class Root:
    """A supervisor without a parent, at the path `/`.

    Any thread may call it; only `wait_ready` and `wait_ended` block.
    """

    def __init__(
        self,
        system: System,
        flags: SupervisorFlags,
        children: Sequence[ChildSpec] = (),
        on_ended: Callable[[], None] | None = None,
        *,
        path: str = "/",
    ) -> None:
        """Start the root, and return without waiting for its children.

        Args:
            system: what its actors share.
            flags, children: as of every supervisor.
            path: its path; another one for the root of a child process, which stands below an actor of its parent.
            on_ended: called once when it has ended, on the thread that ends it; must not block.

        Raises:
            ChildSpecError: nothing has been started then.
        """
        self._on_ended = on_ended
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._reason: ExitReason | None = None
        with birth(system, path, self._notified):
            self.ref = Supervisor.start(flags, children)
        self.system = system

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until all children have started, or the root has ended; whether that was in time."""
        return self._ready.wait(timeout)

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Wait until the root has ended; whether that was in time."""
        return self._ended.wait(timeout)

    @property
    def reason(self) -> ExitReason | None:
        """Why the root ended; None as long as it has not."""
        return self._reason

    def request_shutdown(self) -> None:
        """Have the whole tree end in order. Does not wait."""
        actor = living(self.ref)
        if actor is not None:
            actor.request_shutdown()

    def kill(self, detail: str = "") -> None:
        """End the whole tree at once; see `Actor.kill`. Does not wait."""
        actor = living(self.ref)
        if actor is not None:
            actor.kill(detail)

    def snapshot(self) -> ActorInfo | None:
        """The tree as it stands; None where the root has ended."""
        actor = living(self.ref)
        return None if actor is None or actor.exit_reason is not None else snapshot(actor)

    def _notified(self, message: Any) -> None:
        match message:
            case Ready():
                self._ready.set()
            case Down(reason=reason):
                self._reason = reason
                self._ended.set()
                self._ready.set()
                if self._on_ended is not None:
                    self._on_ended()
