"""Restarting, stopping and starting single actors of a running tree, for a plain thread that may wait for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pykka import ActorDeadError, Timeout

from janitoo_actors.errors import ConfigurationError, TemporaryError, said
from supervisors import (
    ChildError,
    ChildState,
    Supervisor,
    System,
    living,
    restart_child,
    retry_child,
    terminate_child,
)
from supervisors.child import Child

_ANSWER: Final = 5.0
"""Seconds that a supervisor has for what needs no waiting."""
_STOP: Final = 10.0
"""Seconds that an actor has to end in order, before it is ended by force; those with children need the most."""
_START: Final = 5.0
"""Seconds that it is waited for a start; it goes on without."""
_LOOK_EVERY: Final = 0.01
_WORDS: Final = {
    "already_started": "it runs already",
    "running": "it runs already",
    "restarting": "it waits for its next start already: `retry` starts it now",
    "not_found": "its supervisor does not know it any more",
}


class NotDoneError(ConfigurationError):
    """What is asked cannot be done, now or ever; it says why."""


class SupervisorBusyError(TemporaryError):
    """The supervisor does not answer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        done: what has been done, in a sentence.
        works: whether that was what was asked for; an actor that does not start is tried again, or stays as it is.
    """

    done: str
    works: bool = True


class Administration:
    """What can be done to the actors of a system. Any plain thread; blocks for some seconds at most."""

    def __init__(self, system: System) -> None:
        self._system = system

    def act(self, action: str, path: str) -> Outcome:
        """Do it: `restart`, `stop`, `start` or `retry`.

        Raises:
            NotDoneError: it cannot be done.
            SupervisorBusyError: the supervisor of the actor does not answer.
        """
        supervisor, child = self._find(path)
        try:
            match action:
                case "restart":
                    return self._restart(supervisor, child)
                case "stop":
                    return self._stop(supervisor, child)
                case "start":
                    return self._start(supervisor, child)
                case _:
                    return self._retry(supervisor, child)
        except ChildError as error:
            raise NotDoneError(f"{path}: {_WORDS.get(error.why, error.why)}") from error
        except Timeout as error:
            raise SupervisorBusyError(f"{supervisor.path} has not answered within {_ANSWER:g} s") from error
        except ActorDeadError as error:
            raise SupervisorBusyError(f"{supervisor.path} is ending") from error

    def _find(self, path: str) -> tuple[Supervisor, Child]:
        """The supervisor of a place, and what it knows of it. The ids of children may have slashes in them."""
        parts = path.strip("/").split("/")
        for count in range(len(parts) - 1, -1, -1):
            ref = self._system.lookup("/" + "/".join(parts[:count]))
            supervisor = living(ref) if ref is not None else None
            if isinstance(supervisor, Supervisor):
                child = supervisor.children.get("/".join(parts[count:]))
                if child is not None:
                    return supervisor, child
        raise NotDoneError(f"{path}: nothing of this name has a supervisor that runs")

    def _restart(self, supervisor: Supervisor, child: Child) -> Outcome:
        if _waits(child):
            return self._retry(supervisor, child)
        if not child.is_active:
            return self._start(supervisor, child)
        epoch, begun = child.epoch, time.monotonic()

        def ended() -> bool:
            return child.epoch != epoch or child.state in {ChildState.RESTARTING, ChildState.STOPPED}

        # By the end of the actor, and not by its supervisor's administration: those that depend on it go with it.
        how = self._end(child, "it was restarted from the console, and did not stop in time", ended)
        if _waits(child):
            # The back-off is for what fails by itself. Where the start has come first, there is nothing to do.
            with contextlib.suppress(ChildError):
                retry_child(supervisor.actor_ref, child.spec.id).get(timeout=_ANSWER)
        return self._started(child, begun, how)

    def _stop(self, supervisor: Supervisor, child: Child) -> Outcome:
        if not child.is_active:
            raise NotDoneError(f"{_path(supervisor, child)}: it is stopped already")
        answer = terminate_child(supervisor.actor_ref, child.spec.id)
        actor = living(child.ref) if child.ref is not None else None
        if actor is not None and child.state is ChildState.STARTING:
            # A start that hangs would keep the request waiting.
            actor.kill("it was stopped from the console while it started")
        answer.get(timeout=_STOP)
        return Outcome("stopped; it stays so until it is started, or its supervisor is")

    def _start(self, supervisor: Supervisor, child: Child) -> Outcome:
        begun = time.monotonic()
        answer = restart_child(supervisor.actor_ref, child.spec.id)
        try:
            answer.get(timeout=_ANSWER)
        except Timeout:
            if child.state is not ChildState.STARTING:
                raise
        except (ChildError, ActorDeadError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever its start has failed with
            return Outcome(f"it did not start: {said(error)}{_again(child)}", works=False)
        return self._started(child, begun, "")

    def _retry(self, supervisor: Supervisor, child: Child) -> Outcome:
        begun = time.monotonic()
        if child.state is ChildState.STOPPED and not child.is_active:
            raise NotDoneError(f"{_path(supervisor, child)}: it is stopped: `start` starts it")
        retry_child(supervisor.actor_ref, child.spec.id).get(timeout=_ANSWER)
        return self._started(child, begun, "")

    def _end(self, child: Child, why: str, ended: Callable[[], bool]) -> str:
        """Have an actor end, in order where it does; a word on how it was."""
        actor = living(child.ref) if child.ref is not None else None
        if actor is None:
            return ""
        if child.state is ChildState.STARTING:
            actor.kill(why)
            return ", by force"
        actor.request_shutdown()
        seconds = child.spec.shutdown
        patience = float(seconds) if isinstance(seconds, int | float) else _STOP
        if _wait(ended, patience):
            return ""
        actor.kill(why)
        if not _wait(ended, _ANSWER):
            raise SupervisorBusyError(f"{actor.path} was ended by force, and its supervisor has not noticed")
        return ", by force"

    @staticmethod
    def _started(child: Child, begun: float, how: str) -> Outcome:
        def settled() -> bool:
            return child.state not in {ChildState.STARTING, ChildState.STOPPING} and not child.is_fresh

        _wait(settled, _START)
        took = f"after {time.monotonic() - begun:.1f} s"
        if child.state is ChildState.RUNNING:
            return Outcome(f"it runs{how}, {took}")
        if child.state is ChildState.RESTARTING:
            return Outcome(f"it did not start{how}: {child.last_exit}{_again(child)}", works=False)
        return Outcome(f"it is {child.state.value}{how}, {took}", works=child.state is ChildState.STARTING)


def _again(child: Child) -> str:
    retry = child.next_retry
    return "" if retry is None else f"; the next try is in {max(0.0, retry - time.monotonic()):.0f} s"


def _path(supervisor: Supervisor, child: Child) -> str:
    return f"{supervisor.path.rstrip('/')}/{child.spec.id}"


def _waits(child: Child) -> bool:
    """Whether it waits for its next start, just now: its supervisor goes on meanwhile."""
    return child.state is ChildState.RESTARTING


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    due = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= due:
            return False
        time.sleep(_LOOK_EVERY)
    return True
