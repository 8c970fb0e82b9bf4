"""What the child processes of the tests do. As a program, a parent with one child, to be killed."""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from supervisors import (
    ActorInfo,
    ChildSide,
    ChildSpec,
    ParentError,
    PinnedActor,
    ProcessActor,
    ProcessWork,
    Root,
    SupervisorFlags,
    System,
)
from waiting import wait_for

_SECONDS = 600
"""Longer than any test."""


class Idle(PinnedActor):
    """An actor with nothing to do, somewhere in a child's tree."""


def idle(side: ChildSide) -> None:
    """Tell its pid, and wait for the end."""
    side.ready()
    side.tell(os.getpid())
    side.wait_stop()
    side.tell("stopped in order")


def answers(side: ChildSide) -> None:
    """Tell the parent what it has told, from before it was listened to, too."""
    side.ready()
    # What is told now has nobody who hears it.
    side.call("tell me")

    def hear(what: Any) -> None:
        if what == "fail":
            raise LookupError("a bug")
        side.tell(f"heard {what}")

    side.on_told(hear)
    side.wait_stop()


def never_ready(side: ChildSide) -> None:
    """Do not come so far as to be ready."""
    side.wait_stop()


def fails(side: ChildSide) -> None:
    """Fail before it is ready."""
    raise LookupError(f"a bug; asked to stop: {side.wait_stop(0)}")


def exits(side: ChildSide) -> None:
    """End by itself."""
    side.ready()
    raise SystemExit(3)


def does_not_stop(side: ChildSide) -> None:
    """Take no notice of the wish to stop."""
    side.ready()
    side.tell(os.getpid())
    threading.Event().wait(_SECONDS)


def says_it_hangs(side: ChildSide) -> None:
    """Tell the parent where it stands, as a watchdog does."""
    side.ready()
    side.hung("at the bottom of the sea")
    side.wait_stop()


def leaks(side: ChildSide) -> None:
    """Take more and more memory."""
    side.ready()
    taken = []
    while not side.wait_stop(0.01):
        taken.append(b"x" * (1 << 21))


def calls(side: ChildSide) -> None:
    """Call the parent in each way, and tell what came of it."""
    side.ready()
    side.tell(("added", side.call("add", 2, 3, timeout=_SECONDS)))
    for name in ("raise", "nowhere", "unpicklable"):
        try:
            side.call(name, timeout=_SECONDS)
        except ParentError as error:
            side.tell((name, str(error)))
    side.wait_stop()


def tells_what_cannot_be_handled(side: ChildSide) -> None:
    """Tell what the parent chokes on, and then something else."""
    side.ready()
    side.tell("choke")
    side.tell("still heard")
    side.wait_stop()


def with_a_tree(side: ChildSide) -> None:
    """Run actors of its own, and show them."""
    root = Root(System(), SupervisorFlags(), [ChildSpec("one", Idle), ChildSpec("two", Idle)], path="/child")
    root.wait_ready()

    def below() -> tuple[ActorInfo, ...]:
        info = root.snapshot()
        return () if info is None else info.children

    side.ready(below)
    side.wait_stop()
    root.request_shutdown()
    root.wait_ended()


def stuck_in_c(side: ChildSide) -> None:
    """Hang in C code which does not let any other thread run."""
    side.ready()
    side.tell(os.getpid())
    hold_the_interpreter()


def hold_the_interpreter(seconds: int = _SECONDS) -> None:
    """Sleep without letting any other thread of the process run."""
    # PyDLL keeps the interpreter's lock during the call.
    ctypes.PyDLL(None).sleep(seconds)


WORK: dict[str, Callable[..., None]] = {"idle": idle, "stuck": stuck_in_c}


def main(what: str) -> None:
    """A parent, which prints the child's pid and waits to be killed."""
    told: list[Any] = []
    work = ProcessWork(WORK[what], on_told=told.append, hang_limit=_SECONDS)
    Root(System(), SupervisorFlags(), [ChildSpec("child", ProcessActor, (work,))])
    print(wait_for(lambda: told[0] if told else None, 30, "the child"), flush=True)
    for _ in itertools.count():
        threading.Event().wait(_SECONDS)


if __name__ == "__main__":
    # From its own module: the child looks functions up by their names.
    import child_work

    child_work.main(sys.argv[1])
