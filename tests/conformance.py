"""What the tests after OTP's supervisor_SUITE share."""

from __future__ import annotations

from typing import Any

import pytest
from pykka import ActorRef, Future

from stage import TIMEOUT, Play
from supervisors import (
    ChildCounts,
    ChildError,
    ChildState,
    ExitKind,
    Report,
    ReportKind,
    Restart,
    Root,
    Strategy,
    Supervisor,
    SupervisorFlags,
    count_children,
    start_dynamic_child,
    which_children,
)
from waiting import wait_for

MANY = SupervisorFlags(intensity=1000, period=3600)
ALL = SupervisorFlags(Strategy.ONE_FOR_ALL, intensity=1000, period=3600)
REST = SupervisorFlags(Strategy.REST_FOR_ONE, intensity=1000, period=3600)
SIMPLE = SupervisorFlags(Strategy.SIMPLE_ONE_FOR_ONE, intensity=1000, period=3600)
ENDS = ("stop", "shut down", "raise")
"""OTP's exits: normal, shutdown, abnormal."""


def log_of(play: Play, *steps: str) -> list[str]:
    """What has happened, of these kinds of step only."""
    return [line for line in play.stage.log if line.split()[0] in steps]


def refused(future: Future[Any], why: str) -> None:
    """The request was refused, with OTP's word for it."""
    with pytest.raises(ChildError) as error:
        future.get(timeout=TIMEOUT)
    assert error.value.why == why


def children(supervisor: ActorRef[Supervisor]) -> dict[str, ActorRef[Any] | str | None]:
    """`which_children`, as OTP has it: a ref, "restarting", or None."""
    return {info.id: "restarting" if info.restarting else info.ref for info in which_children(supervisor)}


def counts(supervisor: ActorRef[Supervisor]) -> tuple[int, int, int, int]:
    """`count_children`, as (specs, active, supervisors, workers)."""
    count: ChildCounts = count_children(supervisor)
    return (count.specs, count.active, count.supervisors, count.workers)


def dynamic(root: Root, *args: Any) -> str:
    """Start one more child of a simple_one_for_one supervisor; its id."""
    ref = start_dynamic_child(root.ref, *args).get(timeout=TIMEOUT)
    (child_id,) = (info.id for info in which_children(root.ref) if info.ref is ref)
    return child_id


def ended(play: Play, root: Root) -> None:
    """The root ends by itself with reason shutdown, and leaves nobody."""
    assert root.wait_ended(TIMEOUT), f"the root did not end: {play.stage.log}"
    assert root.reason is not None
    assert root.reason.kind is ExitKind.SHUTDOWN
    assert play.system.paths() == []


def restart_of(play: Play, path: str, how: str = "raise") -> None:
    """Have an actor end, and wait for its next incarnation, until its supervisor knows of it."""
    above, name = path.rsplit("/", 1)
    supervisor = play.actor(above or "/")
    assert isinstance(supervisor, Supervisor)
    epoch = play.epoch(path)
    play.end(path, how)
    play.restarted(path, epoch)
    wait_for(lambda: supervisor.children[name].state is ChildState.RUNNING, TIMEOUT, f"{path} runs")


def told(play: Play, kind: ReportKind, child: str) -> Report:
    """The one report of a kind about a child, as soon as it has come."""
    wait_for(lambda: [each for each in play.kinds(kind) if each.child == child], TIMEOUT, f"{kind} of {child}")
    (report,) = [each for each in play.kinds(kind) if each.child == child]
    return report


def wait_counts(supervisor: ActorRef[Supervisor], *first: int) -> None:
    """Wait until the first of `counts` are these."""
    wait_for(lambda: counts(supervisor)[: len(first)] == first, TIMEOUT, lambda: f"{counts(supervisor)}, not {first}")


def wait_children(supervisor: ActorRef[Supervisor], *ids: str) -> None:
    """Wait until there are the children with these ids, and no others."""
    wait_for(lambda: tuple(children(supervisor)) == ids, TIMEOUT, lambda: f"{children(supervisor)}, not {ids}")


def check_end(play: Play, restart: Restart, how: str, *, restarted: bool) -> None:
    """What becomes of a child of some type that ends so, in an ordinary and in a dynamic supervisor."""
    specs = (play.child("c", restart=restart), play.child("d", restart=restart))
    root = play.root(MANY, play.branch("b", MANY, specs[0]), play.branch("s", SIMPLE, specs[1]))
    start_dynamic_child(play.ref("/s")).get(timeout=TIMEOUT)
    for path, name in (("/b", "c"), ("/s", "d-1")):
        supervisor = play.ref(path)
        epoch = play.epoch(f"{path}/{name}")
        down = play.end(f"{path}/{name}", how)
        report = told(play, ReportKind.CHILD_TERMINATED, name)
        assert (report.path, report.reason) == (path, down.reason)
        if restarted:
            play.restarted(f"{path}/{name}", epoch)
            wait_counts(supervisor, 1, 1)
            assert play.stage.starts[name] == 2
        else:
            # The specification of a transient child stays; a dynamic supervisor has one in any case.
            kept = restart is Restart.TRANSIENT and path == "/b"
            wait_children(supervisor, *([name] if kept else []))
            assert counts(supervisor)[:2] == (int(kept or path == "/s"), 0)
            assert play.stage.starts[name] == 1
    play.shut_down(root)
