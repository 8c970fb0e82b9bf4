"""After OTP's supervisor_SUITE: significant children, and supervisors that end with them."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import ENDS, children, counts, dynamic, ended, restart_of, wait_counts
from stage import TIMEOUT, Play
from supervisors import (
    AutoShutdown,
    ChildSpec,
    ExitKind,
    Restart,
    Root,
    Strategy,
    SupervisorFlags,
    restart_child,
    start_child,
    terminate_child,
)
from waiting import wait_for

ANY, EVERY = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
STRATEGIES = [Strategy.ONE_FOR_ONE, Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE]


def flags(auto: AutoShutdown, strategy: Strategy = Strategy.ONE_FOR_ONE) -> SupervisorFlags:
    return SupervisorFlags(strategy, intensity=1000, period=3600, auto_shutdown=auto)


def child(play: Play, name: str, restart: Restart = Restart.TEMPORARY, *, significant: bool = True) -> ChildSpec:
    return play.child(name, restart=restart, significant=significant)


def lives(root: Root, **expected: Any) -> None:
    """The supervisor has dealt with what has happened, and lives."""
    wait_for(lambda: children(root.ref) == expected, TIMEOUT, lambda: f"{children(root.ref)}, not {expected}")
    # Served after all that has been planned so far.
    terminate_child(root.ref, next(iter(expected))).get(timeout=TIMEOUT)
    assert root.reason is None


@pytest.mark.parametrize("auto", [ANY, EVERY])
@pytest.mark.parametrize("how", ENDS)
def test_nonsignificant_temporary(play: Play, auto: AutoShutdown, how: str) -> None:
    """Children that are not significant end without their supervisor."""
    root = play.root(flags(auto), play.child("a"), child(play, "b", significant=False))
    play.end("/b", how)
    lives(root, a=play.ref("/a"))
    play.shut_down(root)


@pytest.mark.parametrize("auto", [ANY, EVERY])
@pytest.mark.parametrize("how", ENDS)
def test_nonsignificant_transient(play: Play, auto: AutoShutdown, how: str) -> None:
    """Children that are not significant end without their supervisor; or they are restarted."""
    root = play.root(flags(auto), play.child("a"), child(play, "b", Restart.TRANSIENT, significant=False))
    if how == "raise":
        restart_of(play, "/b", how)
        lives(root, a=play.ref("/a"), b=play.ref("/b"))
    else:
        play.end("/b", how)
        lives(root, a=play.ref("/a"), b=None)
    play.shut_down(root)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("how", ENDS)
def test_significant_temporary(play: Play, how: str, strategy: Strategy) -> None:
    """Any end of a significant temporary child, by itself, ends the supervisor: that one, or the last of them."""
    root = play.root(flags(ANY, strategy), play.child("a"), child(play, "b"), child(play, "c"))
    # By request it is no end by itself.
    terminate_child(root.ref, "c").get(timeout=TIMEOUT)
    play.end("/b", how)
    ended(play, root)

    root = play.root(flags(EVERY, strategy), play.child("a"), child(play, "b"), child(play, "c"))
    play.end("/b", how)
    wait_for(lambda: children(root.ref) == {"a": play.ref("/a"), "c": play.ref("/c")}, TIMEOUT, "the others live")
    play.end("/c", how)
    ended(play, root)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_significant_transient(play: Play, strategy: Strategy) -> None:
    """A transient child that fails is restarted; one that ends in order, by itself, ends the supervisor."""
    transient = Restart.TRANSIENT
    for how in ("stop", "shut down"):
        root = play.root(flags(ANY, strategy), play.child("a"), child(play, "b", transient))
        restart_of(play, "/b")
        wait_counts(root.ref, 2, 2)
        terminate_child(root.ref, "b").get(timeout=TIMEOUT)
        assert root.reason is None
        restart_child(root.ref, "b").get(timeout=TIMEOUT)
        play.end("/b", how)
        ended(play, root)

        root = play.root(flags(EVERY, strategy), child(play, "b", transient), child(play, "c", transient))
        play.end("/b", how)
        wait_counts(root.ref, 2, 1)
        assert children(root.ref) == {"b": None, "c": play.ref("/c")}
        # Started once more, it counts once more.
        restart_child(root.ref, "b").get(timeout=TIMEOUT)
        play.end("/c", how)
        wait_counts(root.ref, 2, 1)
        assert children(root.ref) == {"b": play.ref("/b"), "c": None}
        play.end("/b", how)
        ended(play, root)


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
@pytest.mark.parametrize("how", ["stop", "shut down"])
def test_significant_simple(play: Play, how: str, restart: Restart) -> None:
    """So with dynamic children."""
    root = play.root(flags(ANY, Strategy.SIMPLE_ONE_FOR_ONE), child(play, "x", restart))
    first, second = dynamic(root), dynamic(root)
    terminate_child(root.ref, first).get(timeout=TIMEOUT)
    assert root.reason is None
    play.end(f"/{second}", how)
    ended(play, root)

    root = play.root(flags(EVERY, Strategy.SIMPLE_ONE_FOR_ONE), child(play, "x", restart))
    first, second = dynamic(root), dynamic(root)
    play.end(f"/{second}", how)
    wait_for(lambda: list(children(root.ref)) == [first], TIMEOUT, "the other lives")
    play.end(f"/{first}", how)
    ended(play, root)


@pytest.mark.parametrize("auto", [ANY, EVERY])
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_significant_bystander(play: Play, strategy: Strategy, auto: AutoShutdown) -> None:
    """Significant children that end with a sibling's restart do not end the supervisor."""
    specs = [play.child("a"), child(play, "t"), child(play, "s", Restart.TRANSIENT)]
    root = play.root(flags(auto, strategy), *specs)
    epoch = play.epoch("/s")
    play.end("/a")
    play.restarted("/s", epoch)
    wait_for(lambda: counts(root.ref) == (2, 2, 0, 2), TIMEOUT, "both run")
    assert list(children(root.ref)) == ["a", "s"]
    start_child(root.ref, child(play, "u")).get(timeout=TIMEOUT)
    assert root.reason is None
    if auto is EVERY:
        play.end("/u")
        wait_for(lambda: list(children(root.ref)) == ["a", "s"], TIMEOUT, "the others live")
    play.end("/s", "stop")
    ended(play, root)


@pytest.mark.parametrize("auto", [ANY, EVERY])
@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
def test_significant_escalation(play: Play, auto: AutoShutdown, restart: Restart) -> None:
    """A supervisor that ends with its significant child ends with shutdown; being significant, it is the next one."""
    inner = play.branch("i", flags(auto), child(play, "x"), play.child("y"), restart=restart, significant=True)
    outer = play.branch("o", flags(auto), inner, restart=restart, significant=True)
    root = play.root(flags(auto), play.child("a"), outer)
    watchers = [play.watch(play.ref(path)) for path in ("/o/i", "/o")]
    play.end("/o/i/x")
    assert {watcher.wait_down().reason.kind for watcher in watchers} == {ExitKind.SHUTDOWN}
    ended(play, root)
    assert all(count == 1 for count in play.stage.starts.values())
