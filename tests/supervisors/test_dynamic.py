"""Dynamic children, and ends that cross with requests: what OTP's suite does not name."""

from __future__ import annotations

import pytest
from pykka import ActorDeadError

from conformance import ALL, ENDS, MANY, REST, SIMPLE, children, told
from stage import TIMEOUT, PinnedPlayer, Play
from supervisors import ReportKind, Root, SupervisorFlags, start_dynamic_child, terminate_child


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("flags", [MANY, ALL, REST])
def test_dynamic_children_are_lost_when_their_supervisor_restarts(play: Play, flags: SupervisorFlags, how: str) -> None:
    branch = play.branch("s", SIMPLE, play.child("x"))
    root = play.root(flags, branch)
    assert start_dynamic_child(play.ref("/s")).get(timeout=TIMEOUT) is not None
    epoch = play.epoch("/s")
    # A supervisor has no messages of its own: from outside.
    play.end("/s", {"raise": "kill"}.get(how, how))
    play.restarted("/s", epoch)
    assert children(play.ref("/s")) == {}
    assert root.reason is None
    play.shut_down(root)


def test_a_pinned_dynamic_child_that_is_slow_to_start_keeps_no_other(play: Play) -> None:
    root = Root(play.system, SIMPLE, [play.child("x", PinnedPlayer)])
    gate = play.stage.hold("start x-1")
    slow = start_dynamic_child(root.ref)
    play.stage.wait_reached("start x-1")
    assert start_dynamic_child(root.ref).get(timeout=TIMEOUT) == play.ref("/x-2")
    gate.set()
    assert slow.get(timeout=TIMEOUT) == play.ref("/x-1")
    play.shut_down(root)


def test_a_child_ends_while_a_sibling_is_stopped(play: Play) -> None:
    """It ends by itself while a sibling is being stopped."""
    root = play.root(MANY, play.child("a", PinnedPlayer), play.child("b", PinnedPlayer))
    gate = play.stage.hold("stop b")
    root.request_shutdown()
    play.stage.wait_reached("stop b")
    down = play.end("/a")
    gate.set()
    assert root.wait_ended(TIMEOUT)
    assert told(play, ReportKind.SHUTDOWN_ERROR, "a").reason == down.reason
    assert play.stage.starts["a"] == 1


def test_a_child_ends_before_a_request_to_terminate_it_is_served(play: Play) -> None:
    """A child that ends by itself before a request to terminate it is served is not restarted."""
    root = play.root(MANY, play.child("a", PinnedPlayer), play.child("b", PinnedPlayer))
    gate = play.stage.hold("stop a")
    first = terminate_child(root.ref, "a")
    play.stage.wait_reached("stop a")
    second = terminate_child(root.ref, "b")
    play.end("/b")
    gate.set()
    assert [first.get(timeout=TIMEOUT), second.get(timeout=TIMEOUT)] == [None, None]
    assert children(root.ref) == {"a": None, "b": None}
    play.shut_down(root)
    assert play.stage.starts["b"] == 1


@pytest.mark.parametrize("end", ["shutdown", "kill"])
def test_a_supervisor_ends_while_dynamic_children_start(play: Play, end: str) -> None:
    root = play.root(SIMPLE, play.child("x", PinnedPlayer, shutdown=0.03))
    gate = play.stage.hold("start x-2")
    started = [start_dynamic_child(root.ref) for _ in range(3)]
    play.stage.wait_reached("start x-2")
    assert [started[number].get(timeout=TIMEOUT) for number in (0, 2)] == [play.ref("/x-1"), play.ref("/x-3")]
    if end == "kill":
        root.kill()
    else:
        root.request_shutdown()
    assert root.wait_ended(TIMEOUT)
    with pytest.raises(ActorDeadError):
        started[1].get(timeout=TIMEOUT)
    gate.set()
    assert play.system.paths() == []
