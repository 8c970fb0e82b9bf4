"""After OTP's supervisor_SUITE: how children are ended, and what is told of it."""

from __future__ import annotations

import logging

import pytest

from conformance import ALL, MANY, REST, SIMPLE, children, dynamic, log_of, told
from stage import TIMEOUT, PinnedPlayer, Play, Watcher
from supervisors import (
    ChildSpec,
    ExitKind,
    LightActor,
    ReportKind,
    Restart,
    Root,
    Shutdown,
    SupervisorFlags,
    System,
    start_dynamic_child,
    terminate_child,
)
from waiting import wait_for


def test_sup_stop_infinity(play: Play) -> None:
    """A child with infinity is waited for, however long it takes; nothing is planned that would end the wait."""
    gate = play.stage.hold("stop a")
    root = play.root(MANY, play.child("a", PinnedPlayer, shutdown=Shutdown.INFINITY))
    down = play.watch(play.ref("/a"))
    root.request_shutdown()
    play.stage.wait_reached("stop a")
    assert len(play.system.wheel) == 0
    gate.set()
    assert root.wait_ended(TIMEOUT)
    assert down.wait_down().reason.kind is ExitKind.SHUTDOWN
    assert play.kinds(ReportKind.SHUTDOWN_ERROR) == []


def test_sup_stop_timeout(play: Play) -> None:
    """A child that does not end within its seconds is killed, and that is told; its siblings end in order."""
    play.stage.hold("stop b")
    root = play.root(MANY, play.child("a"), play.child("b", PinnedPlayer, shutdown=0.03), play.child("c"))
    downs = {name: play.watch(play.ref(f"/{name}")) for name in "abc"}
    play.shut_down(root)
    assert {name: down.wait_down().reason.kind for name, down in downs.items()} == {
        "a": ExitKind.SHUTDOWN,
        "b": ExitKind.KILLED,
        "c": ExitKind.SHUTDOWN,
    }
    report = told(play, ReportKind.SHUTDOWN_ERROR, "b")
    assert report.reason is not None
    assert report.reason.kind is ExitKind.KILLED
    assert len(play.kinds(ReportKind.SHUTDOWN_ERROR)) == 1


def _dynamic_children(play: Play, root: Root, count: int) -> dict[str, Watcher]:
    names = [dynamic(root) for _ in range(count)]
    return {name: play.watch(play.ref(f"/{name}")) for name in names}


def test_sup_stop_timeout_dynamic(play: Play) -> None:
    """Of dynamic children those are killed that do not end within the seconds; each is told."""
    root = play.root(SIMPLE, play.child("x", PinnedPlayer, shutdown=0.2))
    downs = _dynamic_children(play, root, 3)
    play.stage.hold("stop x-2")
    play.shut_down(root)
    kinds = [downs[f"x-{number}"].wait_down().reason.kind for number in (1, 2, 3)]
    assert kinds == [ExitKind.SHUTDOWN, ExitKind.KILLED, ExitKind.SHUTDOWN]
    assert [report.child for report in play.kinds(ReportKind.SHUTDOWN_ERROR)] == ["x-2"]


def test_sup_stop_brutal_kill(play: Play) -> None:
    """A brutal kill is at once, without `on_stop`, and no error."""
    children = [play.child("a"), play.child("b", shutdown=Shutdown.BRUTAL_KILL)]
    root = play.root(MANY, *children)
    down = play.watch(play.ref("/b"))
    play.shut_down(root)
    assert down.wait_down().reason.kind is ExitKind.KILLED
    assert log_of(play, "stop") == ["stop a"]
    assert play.kinds(ReportKind.SHUTDOWN_ERROR) == []


def test_sup_stop_brutal_kill_dynamic(play: Play) -> None:
    """So for dynamic children, all of them."""
    root = play.root(SIMPLE, play.child("x", shutdown=Shutdown.BRUTAL_KILL))
    downs = _dynamic_children(play, root, 3)
    play.shut_down(root)
    assert {down.wait_down().reason.kind for down in downs.values()} == {ExitKind.KILLED}
    assert log_of(play, "stop") == []
    assert play.kinds(ReportKind.SHUTDOWN_ERROR) == []


@pytest.mark.parametrize("shutdown", [None, Shutdown.BRUTAL_KILL, Shutdown.INFINITY])
@pytest.mark.parametrize(("how", "is_error"), [("raise", True), ("stop", False), ("shut down", False)])
@pytest.mark.parametrize("flags", [MANY, SupervisorFlags(concurrent=True)])
def test_sup_stop_race(play: Play, flags: SupervisorFlags, how: str, is_error: bool, shutdown: Shutdown | None) -> None:
    """A child ends by itself just before its supervisor does: that holds up nothing, and its own reason is told."""
    options = {"shutdown": shutdown, "restart": Restart.TRANSIENT}
    root = play.root(flags, play.child("a"), play.child("b", PinnedPlayer, **options), play.child("c"))
    # The end is in the mailbox of the supervisor when it is asked to stop.
    free = play.occupy()
    down = play.end("/b", how)
    root.request_shutdown()
    free.set()
    assert root.wait_ended(TIMEOUT)
    told_of = [(report.child, report.reason) for report in play.kinds(ReportKind.SHUTDOWN_ERROR)]
    # One that was to be killed and ended in order by itself instead, by shutdown, is odd enough to be told.
    odd = how == "shut down" and shutdown is Shutdown.BRUTAL_KILL
    assert told_of == ([("b", down.reason)] if is_error or odd else [])
    assert play.stage.starts["b"] == 1


def test_sup_stop_non_shutdown_exit_dynamic(play: Play) -> None:
    """Dynamic children that fail while they are stopped: each with its reason; the others are not concerned."""
    root = play.root(SIMPLE, play.child("x"))
    _dynamic_children(play, root, 3)
    play.stage.fail("stop x-2", ValueError("cannot close"))
    play.shut_down(root)
    (report,) = play.kinds(ReportKind.SHUTDOWN_ERROR)
    assert (report.child, str(report.reason)) == ("x-2", "ValueError: cannot close")


def test_simple_one_for_one_shutdown(play: Play) -> None:
    """Dynamic children are stopped side by side, within one deadline."""
    root = play.root(SIMPLE, play.child("x", PinnedPlayer, shutdown=Shutdown.INFINITY))
    gates = [play.stage.hold(f"stop x-{number}") for number in range(1, 6)]
    for _ in gates:
        dynamic(root)
    root.request_shutdown()
    for number in range(1, 6):
        # None waits for another one.
        play.stage.wait_reached(f"stop x-{number}")
    assert not root.wait_ended(0)
    for gate in gates:
        gate.set()
    assert root.wait_ended(TIMEOUT)
    assert play.kinds(ReportKind.SHUTDOWN_ERROR) == []


@pytest.mark.parametrize("flags", [MANY, ALL, REST])
def test_child_unlink(play: Play, flags: SupervisorFlags) -> None:
    """No counterpart: there are no links to cut. No monitor that is taken back hides an end from the supervisor."""
    root = play.root(flags, play.child("a"))
    actor = play.actor("/a")
    assert actor is not None
    actor.remove_monitor(actor.add_monitor(lambda _: None))
    for key in list(actor._monitors):
        actor.remove_monitor(key)
    epoch = actor.epoch
    actor.kill()
    play.restarted("/a", epoch)
    assert terminate_child(root.ref, "a").get(timeout=TIMEOUT) is None
    play.shut_down(root)


class _Plain(LightActor):
    pass


@pytest.mark.parametrize("flags", [MANY, SupervisorFlags(concurrent=True)])
def test_scale_start_stop_many_children(play: Play, flags: SupervisorFlags) -> None:
    """Thousands of children start and stop; all are there, and none is left."""
    root = Root(play.system, flags, [ChildSpec(str(number), _Plain) for number in range(2000)])
    assert root.wait_ready(60)
    assert len(play.system.paths()) == 2001
    root.request_shutdown()
    assert root.wait_ended(60)
    assert play.system.paths() == []
    assert len(play.system.wheel) == 0


def test_simple_one_for_one_scale_many_temporary_children(play: Play) -> None:
    """Thousands of temporary children come and go: nothing is kept of them."""
    root = play.root(SIMPLE, ChildSpec("x", _Plain, restart=Restart.TEMPORARY))
    for _ in range(2):
        started = [start_dynamic_child(root.ref) for _ in range(1000)]
        refs = [each.get(timeout=60) for each in started]
        assert len(children(root.ref)) == len(set(children(root.ref).values())) == 1000
        for ref in refs:
            ref.stop(block=False)
        wait_for(lambda: children(root.ref) == {}, 60, "all have gone")
    play.shut_down(root)


def test_format_log(caplog: pytest.LogCaptureFixture) -> None:
    """No counterpart: there are no formatters. Without a receiver of its own, a system logs each report in one line."""
    caplog.set_level(logging.INFO, "supervisors")
    system = System()
    root = Root(system, MANY, [ChildSpec("a", _Plain)])
    assert root.wait_ready(TIMEOUT)
    root.request_shutdown()
    assert root.wait_ended(TIMEOUT)
    system.stop()
    assert [record.getMessage().strip() for record in caplog.records] == ["progress / a"]
