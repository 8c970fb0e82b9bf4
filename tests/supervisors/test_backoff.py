"""Back-off: children that are tried again for ever, and never cost their supervisor its life."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage import TIMEOUT, PinnedPlayer, Play, infos
from supervisors import (
    Backoff,
    ChildState,
    Report,
    ReportKind,
    Restart,
    Root,
    Strategy,
    SupervisorFlags,
    restart_child,
    retry_child,
    terminate_child,
)
from waiting import wait_for

NONE = SupervisorFlags(intensity=0)
"""Any restart that counts ends the supervisor."""
REST = SupervisorFlags(Strategy.REST_FOR_ONE, intensity=0)
ALL = SupervisorFlags(Strategy.ONE_FOR_ALL, intensity=0)
SIDE_BY_SIDE = SupervisorFlags(intensity=0, concurrent=True)
QUICK = Backoff(0.01, 0.05)
NEVER = Backoff(3600, 3600)

seconds = st.floats(0, 1e6)


@given(seconds, seconds, st.floats(1, 1e9), st.floats(0, 1), st.integers(1, 10**9))
def test_a_delay_is_never_above_the_maximum(
    minimum: float, maximum: float, factor: float, jitter: float, failures: int
) -> None:
    assert 0 <= Backoff(minimum, maximum, factor, jitter).delay(failures) <= maximum


@given(st.integers(1, 40))
def test_delays_grow_without_jitter(failures: int) -> None:
    assert Backoff(1, 60, 2, 0).delay(failures) == min(2 ** (failures - 1), 60)


def test_jitter_varies_by_its_share() -> None:
    delays = {Backoff(10, 100, 2, 0.1).delay(1) for _ in range(100)}
    assert len(delays) > 50
    assert all(9 <= delay <= 11 for delay in delays)


def planned(play: Play, *kinds: ReportKind) -> list[Report]:
    return [report for report in play.kinds(*kinds) if report.retry_in is not None]


@pytest.mark.parametrize("flags", [NONE, ALL, REST, SIDE_BY_SIDE])
@pytest.mark.parametrize("end", ["raise", "kill", "stop"])
def test_an_end_is_followed_by_a_restart_after_the_delay(play: Play, flags: SupervisorFlags, end: str) -> None:
    backoff = Backoff(0.06, 1, jitter=0)
    root = play.root(flags, play.child("a"), play.child("b", backoff=backoff))
    epoch = play.epoch("/b")
    before = time.monotonic()
    play.end("/b", end)
    actor = play.restarted("/b", epoch)
    assert time.monotonic() - before >= 0.06
    assert actor.path == "/b"
    (report,) = planned(play, ReportKind.CHILD_TERMINATED)
    assert (report.child, report.retry_in) == ("b", 0.06)
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING)
    play.shut_down(root)


def test_a_transient_child_that_ends_normally_is_not_retried(play: Play) -> None:
    root = play.root(NONE, play.child("a", backoff=QUICK, restart=Restart.TRANSIENT))
    play.end("/a", "stop")
    play.settled(root, a=ChildState.STOPPED)
    assert planned(play, *ReportKind) == []
    assert len(play.system.wheel) == 0


def test_delays_grow_to_the_maximum_while_starts_fail(play: Play) -> None:
    backoff = Backoff(0.01, 0.05, jitter=0)
    root = play.root(NONE, play.child("a", backoff=backoff), play.child("b"))
    epoch = play.epoch("/a")
    play.stage.fail("start a", *(ValueError("gone") for _ in range(3)))
    play.stage.fail("init a", *(ValueError("gone") for _ in range(2)))
    play.end("/a")
    play.restarted("/a", epoch)
    delays = [report.retry_in for report in planned(play, *ReportKind)]
    assert delays == [0.01, 0.02, 0.04, 0.05, 0.05, 0.05]
    # Quickly ended again: the row of failures goes on.
    epoch = play.epoch("/a")
    play.end("/a")
    play.restarted("/a", epoch)
    assert planned(play, *ReportKind)[-1].retry_in == 0.05
    play.shut_down(root)


def test_the_delay_is_small_again_after_a_quiet_time(play: Play) -> None:
    backoff = Backoff(0.01, 10, jitter=0, reset_after=0.1)
    play.root(NONE, play.child("a", backoff=backoff))
    play.stage.fail("start a", ValueError("1"), ValueError("2"))
    epoch = play.epoch("/a")
    play.end("/a")
    actor = play.restarted("/a", epoch)
    assert planned(play, *ReportKind)[-1].retry_in == 0.04
    since = actor.vitals.since
    wait_for(lambda: time.monotonic() > since + 0.15, TIMEOUT, "the quiet time")
    play.end("/a")
    wait_for(lambda: len(planned(play, *ReportKind)) == 4, TIMEOUT, "the next plan")
    assert planned(play, *ReportKind)[-1].retry_in == 0.01


def test_nothing_is_tried_before_its_time(play: Play) -> None:
    root = play.root(NONE, play.child("a", backoff=NEVER), play.child("b"))
    play.end("/a")
    play.settled(root, a=ChildState.RESTARTING, b=ChildState.RUNNING)
    retry_in = infos(root)["/a"].retry_in
    assert retry_in is not None
    assert 3000 < retry_in <= 3600
    assert play.stage.starts["a"] == 1
    play.shut_down(root)
    assert len(play.system.wheel) == 0


@pytest.mark.parametrize("flags", [NONE, ALL, REST, SIDE_BY_SIDE])
def test_retry_now(play: Play, flags: SupervisorFlags) -> None:
    root = play.root(flags, play.child("a"), play.child("b", backoff=NEVER), play.child("c"))
    epoch = play.epoch("/b")
    play.end("/b")
    play.settled(root, b=ChildState.RESTARTING)
    retry_child(root.ref, "b").get(timeout=TIMEOUT)
    play.restarted("/b", epoch)
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    assert infos(root)["/b"].retry_in is None
    assert len(play.system.wheel) == 0
    play.shut_down(root)


@pytest.mark.parametrize("step", ["init", "start"])
@pytest.mark.parametrize("flags", [NONE, SIDE_BY_SIDE])
def test_a_first_start_that_fails_is_retried_and_keeps_no_sibling(
    play: Play, flags: SupervisorFlags, step: str
) -> None:
    play.stage.fail(f"{step} b", ValueError("no adapter"))
    root = play.root(flags, play.child("a"), play.child("b", backoff=QUICK), play.child("c"))
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    (report,) = planned(play, ReportKind.START_ERROR)
    assert (report.child, str(report.reason)) == ("b", "ValueError: no adapter")
    play.shut_down(root)


def test_a_start_that_takes_too_long_is_retried(play: Play) -> None:
    gate = play.stage.hold("start a")
    root = play.root(NONE, play.child("a", PinnedPlayer, backoff=QUICK, start_timeout=0.02))
    wait_for(lambda: play.stage.starts["a"] >= 3, TIMEOUT, "some tries")
    gate.set()
    play.settled(root, a=ChildState.RUNNING)
    play.shut_down(root)


def test_it_never_exhausts_its_supervisor_or_those_above(play: Play) -> None:
    backoff = Backoff(0, 0.001)
    play.stage.fail("start x", *(ValueError(str(number)) for number in range(100)))
    root = play.root(NONE, play.branch("b", NONE, play.child("x", backoff=backoff)), play.child("a"))
    play.settled(root, x=ChildState.RUNNING)
    assert play.stage.starts["x"] == 101
    assert infos(root)["/b"].restarts == 0
    assert play.stage.starts["a"] == 1
    play.shut_down(root)


def test_a_supervisor_with_a_back_off_is_retried_as_a_whole(play: Play) -> None:
    branch = play.branch("b", NONE, play.child("x"), play.child("y"), backoff=QUICK)
    root = play.root(NONE, branch, play.child("a"))
    epoch = play.epoch("/b/x")
    play.stage.fail("start x", ValueError("once more"))
    play.end("/b/x")
    play.restarted("/b/x", epoch)
    play.settled(root, b=ChildState.RUNNING, x=ChildState.RUNNING, y=ChildState.RUNNING)
    assert infos(root)["/b"].restarts == 2
    assert play.stage.starts["a"] == 1
    play.shut_down(root)


# -- with those that depend on it ----------------------------------------------------------------------------------


def test_rest_for_one_stops_the_later_ones_at_once_and_starts_them_after_it(play: Play) -> None:
    root = play.root(REST, *(play.child(name, backoff=NEVER) for name in "abcd"))
    before = {name: play.epoch(f"/{name}") for name in "abcd"}
    play.stage.log.clear()
    play.end("/b")
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RESTARTING, c=ChildState.STOPPED, d=ChildState.STOPPED)
    assert play.stage.log == ["failure b", "stop d", "stop c"]
    retry_child(root.ref, "b").get(timeout=TIMEOUT)
    for name in "bcd":
        play.restarted(f"/{name}", before[name])
    assert play.stage.log[3:] == [f"{step} {name}" for name in "bcd" for step in ("init", "start")]
    assert play.epoch("/a") == before["a"]
    play.shut_down(root)


def test_rest_for_one_starts_the_later_ones_only_after_a_first_start_that_failed(play: Play) -> None:
    play.stage.fail("start b", ValueError("no"))
    root = play.root(REST, play.child("a"), play.child("b", backoff=NEVER), play.child("c"))
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RESTARTING, c=ChildState.STOPPED)
    assert "init c" not in play.stage.log
    retry_child(root.ref, "b").get(timeout=TIMEOUT)
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    # It was never started before.
    assert [infos(root)[f"/{name}"].restarts for name in "abc"] == [0, 1, 0]
    play.shut_down(root)


def test_one_for_all_stops_the_others_at_once_and_starts_all_again(play: Play) -> None:
    root = play.root(ALL, play.child("a"), play.child("b", backoff=NEVER), play.child("c"))
    play.stage.log.clear()
    play.end("/b")
    play.settled(root, a=ChildState.STOPPED, b=ChildState.RESTARTING, c=ChildState.STOPPED)
    assert play.stage.log == ["failure b", "stop c", "stop a"]
    retry_child(root.ref, "b").get(timeout=TIMEOUT)
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    assert [line for line in play.stage.log if line.startswith("start")] == ["start a", "start b", "start c"]
    play.shut_down(root)


def test_an_earlier_child_of_a_rest_for_one_takes_a_waiting_one_with_it(play: Play) -> None:
    root = play.root(REST, play.child("a", backoff=NEVER), play.child("b", backoff=NEVER), play.child("c"))
    play.end("/b")
    play.settled(root, b=ChildState.RESTARTING)
    play.end("/a")
    play.settled(root, a=ChildState.RESTARTING, b=ChildState.STOPPED, c=ChildState.STOPPED)
    assert len(play.system.wheel) == 1
    retry_child(root.ref, "a").get(timeout=TIMEOUT)
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    play.shut_down(root)


def test_a_restart_waits_where_a_later_child_with_a_back_off_fails(play: Play) -> None:
    flags = SupervisorFlags(Strategy.REST_FOR_ONE, intensity=1, period=3600)
    root = play.root(flags, play.child("a"), play.child("b", backoff=QUICK), play.child("c"))
    epochs = {name: play.epoch(f"/{name}") for name in "abc"}
    play.stage.fail("start b", *(ValueError("no") for _ in range(4)))
    play.end("/a")
    for name in "abc":
        play.restarted(f"/{name}", epochs[name])
    assert play.stage.starts["a"] == 2
    play.shut_down(root)


# -- while it waits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [NONE, ALL, REST, SIDE_BY_SIDE])
def test_shutdown_while_a_child_waits(play: Play, flags: SupervisorFlags) -> None:
    root = play.root(flags, play.child("a"), play.child("b", backoff=NEVER), play.child("c"))
    play.end("/b")
    play.settled(root, b=ChildState.RESTARTING)
    play.shut_down(root)
    assert play.stage.starts["b"] == 1
    assert len(play.system.wheel) == 0


def test_shutdown_before_the_tree_has_ever_stood(play: Play) -> None:
    play.stage.fail("start a", *(ValueError("no") for _ in range(1000)))
    root = Root(play.system, NONE, [play.child("a", backoff=Backoff(0, 0))])
    assert root.wait_ready(TIMEOUT)
    wait_for(lambda: play.stage.starts["a"] > 5, TIMEOUT, "some tries")
    play.shut_down(root)


def test_a_waiting_child_can_be_terminated_and_restarted(play: Play) -> None:
    root = play.root(NONE, play.child("a", backoff=NEVER))
    play.end("/a")
    play.settled(root, a=ChildState.RESTARTING)
    terminate_child(root.ref, "a").get(timeout=TIMEOUT)
    assert infos(root)["/a"].state == "stopped"
    assert len(play.system.wheel) == 0
    assert restart_child(root.ref, "a").get(timeout=TIMEOUT) == play.ref("/a")
    play.shut_down(root)
