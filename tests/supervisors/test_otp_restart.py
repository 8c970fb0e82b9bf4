"""After OTP's supervisor_SUITE: who is restarted, how often, and with whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from conformance import (
    ALL,
    MANY,
    REST,
    SIMPLE,
    check_end,
    children,
    counts,
    dynamic,
    ended,
    log_of,
    refused,
    restart_of,
    told,
)
from stage import TIMEOUT, LightPlayer, Play
from supervisors import (
    ChildSpec,
    ChildState,
    ExitKind,
    IgnoreStart,
    LightActor,
    ReportKind,
    Restart,
    Strategy,
    SupervisorFlags,
    delete_child,
    get_childspec,
    restart_child,
    start_child,
    start_dynamic_child,
    terminate_child,
)
from waiting import wait_for

# -- restart types -------------------------------------------------------------------------------------------------


def test_permanent_normal(play: Play) -> None:
    """A permanent child is restarted though it ended normally."""
    check_end(play, Restart.PERMANENT, "stop", restarted=True)


def test_permanent_shutdown(play: Play) -> None:
    """A permanent child is restarted though it ended by shutdown."""
    check_end(play, Restart.PERMANENT, "shut down", restarted=True)


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_permanent_abnormal(play: Play, how: str) -> None:
    """A permanent child is restarted when it fails."""
    check_end(play, Restart.PERMANENT, how, restarted=True)


def test_transient_normal(play: Play) -> None:
    """A transient child that ended normally is not restarted; its specification stays."""
    check_end(play, Restart.TRANSIENT, "stop", restarted=False)


def test_transient_shutdown(play: Play) -> None:
    """A transient child that ended by shutdown is not restarted; its specification stays."""
    check_end(play, Restart.TRANSIENT, "shut down", restarted=False)


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_transient_abnormal(play: Play, how: str) -> None:
    """A transient child is restarted when it fails."""
    check_end(play, Restart.TRANSIENT, how, restarted=True)


def test_temporary_normal(play: Play) -> None:
    """A temporary child is not restarted, and its specification goes."""
    check_end(play, Restart.TEMPORARY, "stop", restarted=False)


def test_temporary_shutdown(play: Play) -> None:
    """A temporary child is not restarted, and its specification goes."""
    check_end(play, Restart.TEMPORARY, "shut down", restarted=False)


@pytest.mark.parametrize("how", ["raise", "kill"])
def test_temporary_abnormal(play: Play, how: str) -> None:
    """A temporary child is not restarted even when it fails, and its specification goes."""
    check_end(play, Restart.TEMPORARY, how, restarted=False)


@pytest.mark.parametrize(("flags", "left"), [(ALL, ["a", "c"]), (REST, ["a", "c"])])
def test_temporary_bystander(play: Play, flags: SupervisorFlags, left: list[str]) -> None:
    """A temporary child that ends with a sibling's restart is not started again, and its specification goes."""
    temporary = Restart.TEMPORARY
    root = play.root(flags, play.child("a"), play.child("c"), play.child("t", restart=temporary))
    restart_of(play, "/c")
    wait_for(lambda: list(children(root.ref)) == left, TIMEOUT, lambda: str(children(root.ref)))
    assert play.stage.starts["t"] == 1
    assert play.stage.log.count("stop t") == 1
    play.shut_down(root)


# -- strategies and intensity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [MANY, ALL, REST, SIMPLE])
def test_multiple_restarts(play: Play, flags: SupervisorFlags) -> None:
    """A child may be restarted as often as the intensity says, and lives; once more, and the supervisor ends."""
    flags = SupervisorFlags(flags.strategy, intensity=3, period=3600)
    root = play.root(flags, play.child("a"))
    name = dynamic(root) if flags.strategy is Strategy.SIMPLE_ONE_FOR_ONE else "a"
    for _ in range(3):
        restart_of(play, f"/{name}")
        assert children(root.ref) == {name: play.ref(f"/{name}")}
    play.end(f"/{name}")
    ended(play, root)
    assert play.stage.starts[name] == 4
    assert told(play, ReportKind.SHUTDOWN, name).path == "/"


def _one_restart(play: Play, strategy: Strategy, stopped: str, started: str) -> None:
    """Of a, b and c, b fails twice where one restart is allowed."""
    root = play.root(SupervisorFlags(strategy, intensity=1, period=3600), *(play.child(name) for name in "abc"))
    before = {name: play.epoch(f"/{name}") for name in "abc"}
    play.stage.log.clear()
    play.end("/b")
    for name in started:
        play.restarted(f"/{name}", before[name])
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    assert log_of(play, "stop", "start") == [*(f"stop {n}" for n in stopped), *(f"start {n}" for n in started)]
    assert [name for name in "abc" if play.epoch(f"/{name}") == before[name]] == [n for n in "abc" if n not in started]
    play.stage.log.clear()
    play.end("/b")
    ended(play, root)
    assert log_of(play, "stop", "start") == ["stop c", "stop a"]


def test_one_for_one(play: Play) -> None:
    """The one that failed is restarted, and no other."""
    _one_restart(play, Strategy.ONE_FOR_ONE, "", "b")


def test_one_for_all(play: Play) -> None:
    """All others are stopped in reverse, and all are started in order. It counts as one restart."""
    _one_restart(play, Strategy.ONE_FOR_ALL, "ca", "abc")


def test_rest_for_one(play: Play) -> None:
    """Those after it are stopped in reverse, and started after it. It counts as one restart."""
    _one_restart(play, Strategy.REST_FOR_ONE, "c", "bc")


def test_simple_one_for_one(play: Play) -> None:
    """Children are made of one specification; the one that failed is restarted, and all count together."""
    root = play.root(SupervisorFlags(Strategy.SIMPLE_ONE_FOR_ONE, intensity=1, period=3600), play.child("x"))
    assert children(root.ref) == {}
    first, second = dynamic(root), dynamic(root)
    before = play.epoch(f"/{second}")
    restart_of(play, f"/{first}")
    assert play.epoch(f"/{second}") == before
    play.end(f"/{second}")
    ended(play, root)


class _Named(LightPlayer):
    def __init__(self, *args: Any, last: str = "") -> None:
        super().__init__(args[0])
        self.given = (*args[1:], last)

    def on_receive(self, message: Any) -> Any:
        return self.given if message == "given" else super().on_receive(message)


def test_simple_one_for_one_extra(play: Play) -> None:
    """The arguments of a start come after those of the specification, and are those of its restarts."""
    root = play.root(SIMPLE, ChildSpec("x", _Named, args=(play.stage, "fixed"), kwargs={"last": "too"}))
    name = dynamic(root, "extra", 2)
    given = ("fixed", "extra", 2, "too")
    assert play.ref(f"/{name}").ask("given", timeout=TIMEOUT) == given
    restart_of(play, f"/{name}")
    assert play.ref(f"/{name}").ask("given", timeout=TIMEOUT) == given
    assert get_childspec(root.ref, name).args[1:] == given[:-1]
    play.shut_down(root)


@pytest.mark.parametrize("step", ["init", "start"])
def test_simple_one_for_one_corruption(play: Play, step: str) -> None:
    """Starts that fail change nothing: neither the others nor those that come."""
    root = play.root(SIMPLE, play.child("x"))
    first = dynamic(root)
    for number, error in ((2, ValueError("no")), (3, SystemExit(1))):
        play.stage.fail(f"{step} x-{number}", error)
        with pytest.raises(type(error)):
            start_dynamic_child(root.ref).get(timeout=TIMEOUT)
    with pytest.raises(TypeError):
        start_dynamic_child(root.ref, "one", "too", "many").get(timeout=TIMEOUT)
    assert list(children(root.ref)) == [first]
    last = dynamic(root)
    assert list(children(root.ref)) == [first, last]
    restart_of(play, f"/{first}")
    restart_of(play, f"/{last}")
    assert counts(root.ref) == (1, 2, 0, 2)
    play.shut_down(root)


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
@pytest.mark.parametrize("step", ["init", "start"])
def test_simple_one_for_one_restart_ignore(play: Play, step: str, restart: Restart) -> None:
    """A dynamic child that ignores its start, the first one or a later one, is gone, and the supervisor lives."""
    root = play.root(SIMPLE, play.child("x", restart=restart))
    first, second = dynamic(root), dynamic(root)
    play.stage.fail(f"{step} {first}", IgnoreStart())
    play.end(f"/{first}")
    wait_for(lambda: list(children(root.ref)) == [second], TIMEOUT, lambda: str(children(root.ref)))
    play.stage.fail(f"{step} x-3", IgnoreStart())
    assert start_dynamic_child(root.ref).get(timeout=TIMEOUT) is None
    assert list(children(root.ref)) == [second]
    play.shut_down(root)


# -- escalation ----------------------------------------------------------------------------------------------------


def _escalation(play: Play, strategy: Strategy) -> None:
    """Branches with no restart at all give up; the parent decides by their own restart types."""
    flags = SupervisorFlags(strategy, 0)
    is_simple = strategy is Strategy.SIMPLE_ONE_FOR_ONE
    specs = [play.branch(name, flags, play.child(f"{name}x"), restart=kind) for name, kind in _BRANCHES.items()]
    root = play.root(MANY, *specs)
    for name, kind in _BRANCHES.items():
        if is_simple:
            start_dynamic_child(play.ref(f"/{name}")).get(timeout=TIMEOUT)
        child = f"{name}x-1" if is_simple else f"{name}x"
        epoch, watcher = play.epoch(f"/{name}"), play.watch(play.ref(f"/{name}"))
        play.end(f"/{name}/{child}")
        assert watcher.wait_down().reason.kind is ExitKind.SHUTDOWN
        if kind is Restart.PERMANENT:
            play.restarted(f"/{name}", epoch)
            assert list(children(play.ref(f"/{name}"))) == ([] if is_simple else [child])
        report = told(play, ReportKind.SHUTDOWN, child)
        assert report.path == f"/{name}"
    wait_for(lambda: list(children(root.ref)) == ["p", "t"], TIMEOUT, "the temporary one goes")
    assert children(root.ref) == {"p": play.ref("/p"), "t": None}
    play.shut_down(root)


_BRANCHES = {"p": Restart.PERMANENT, "t": Restart.TRANSIENT, "m": Restart.TEMPORARY}


def test_one_for_one_escalation(play: Play) -> None:
    """A supervisor that gives up ends with shutdown."""
    _escalation(play, Strategy.ONE_FOR_ONE)


def test_one_for_all_escalation(play: Play) -> None:
    """A supervisor that gives up ends with shutdown."""
    _escalation(play, Strategy.ONE_FOR_ALL)


def test_rest_for_one_escalation(play: Play) -> None:
    """A supervisor that gives up ends with shutdown."""
    _escalation(play, Strategy.REST_FOR_ONE)


def test_simple_one_for_one_escalation(play: Play) -> None:
    """A supervisor that gives up ends with shutdown."""
    _escalation(play, Strategy.SIMPLE_ONE_FOR_ONE)


def _other_child_fails(play: Play, flags: SupervisorFlags, again: str) -> None:
    """When a fails, all are restarted; c fails its start once."""
    root = play.root(flags, *(play.child(name) for name in "abcd"))
    before = play.epoch("/d")
    play.stage.log.clear()
    play.stage.fail("start c", ValueError("not yet"))
    play.end("/a")
    play.restarted("/d", before)
    play.settled(root, **dict.fromkeys("abcd", ChildState.RUNNING))
    stopped = "ba" if "a" in again else ""
    assert log_of(play, "stop", "start") == [
        *("stop d", "stop c", "stop b"),
        *("start a", "start b", "start c"),
        *(f"stop {name}" for name in stopped),
        *(f"start {name}" for name in again),
    ]
    assert [report.child for report in play.kinds(ReportKind.START_ERROR)] == ["c"]
    play.shut_down(root)


def test_one_for_all_other_child_fails_restart(play: Play) -> None:
    """Another one fails in the restart of all: it is retried, with all of them."""
    _other_child_fails(play, ALL, "abcd")


def test_rest_for_one_other_child_fails_restart(play: Play) -> None:
    """Another one fails in the restart of the rest: it is retried, and those before it are left alone."""
    _other_child_fails(play, REST, "cd")


def test_tree(play: Play) -> None:
    """Supervisors below supervisors: failures stay where they are, or climb; the end comes in reverse order."""
    low = SupervisorFlags(intensity=1, period=3600)
    inner = play.branch("i", low, play.child("x"), play.child("y"))
    root = play.root(low, play.child("a"), play.branch("o", low, inner, play.child("z")), play.child("b"))
    before = {path: play.epoch(path) for path in play.system.paths()}
    restart_of(play, "/o/i/x")
    assert {path for path in before if play.epoch(path) != before[path]} == {"/o/i/x"}
    # One more is too many for the inner one, which is restarted by the outer one.
    play.end("/o/i/x")
    play.restarted("/o/i", before["/o/i"])
    for path in ("/o/i/x", "/o/i/y"):
        play.restarted(path, before[path])
    assert all(play.epoch(path) == before[path] for path in ("/", "/a", "/o", "/o/z", "/b"))
    play.stage.log.clear()
    play.shut_down(root)
    assert log_of(play, "stop") == ["stop b", "stop z", "stop y", "stop x", "stop a"]


# -- restarts that fail for ever -----------------------------------------------------------------------------------


class _Stubborn(LightActor):
    """Does not start as long as it is told not to."""

    def __init__(self, fails: threading.Event, tries: list[str]) -> None:
        super().__init__()
        self._fails = fails
        self._tries = tries

    def on_start(self) -> None:
        self._tries.append(self.path)
        if self._fails.is_set():
            raise ValueError("not yet")


def _hanging_restart_loop(play: Play, strategy: Strategy) -> None:
    fails, tries = threading.Event(), list[str]()
    root = play.root(
        SupervisorFlags(strategy, intensity=10**6, period=3600),
        play.child("a"),
        ChildSpec("s", _Stubborn, args=(fails, tries)),
        play.child("z"),
    )

    def loop() -> None:
        fails.set()
        play.end("/s", "kill")
        before = len(tries)
        wait_for(lambda: len(tries) > before + 3, TIMEOUT, "some restarts")

    loop()
    refused(start_child(root.ref, ChildSpec("s", _Stubborn)), "already_started")
    refused(restart_child(root.ref, "s"), "restarting")
    refused(delete_child(root.ref, "s"), "restarting")
    # While another one is started, between two tries.
    gate = play.stage.hold("init n")
    started = start_child(root.ref, play.child("n"))
    play.stage.wait_reached("init n")
    assert children(root.ref)["s"] == "restarting"
    gate.set()
    assert started.get(timeout=TIMEOUT) is not None
    # Those after it wait for it, where they depend on it.
    assert (children(root.ref)["z"] is None) is (strategy is Strategy.REST_FOR_ONE)
    assert terminate_child(root.ref, "s").get(timeout=TIMEOUT) is None
    assert children(root.ref)["s"] is None
    with pytest.raises(ValueError, match="not yet"):
        restart_child(root.ref, "s").get(timeout=TIMEOUT)
    fails.clear()
    assert restart_child(root.ref, "s").get(timeout=TIMEOUT) == play.ref("/s")
    loop()
    play.shut_down(root)


def test_hanging_restart_loop(play: Play) -> None:
    """A supervisor that restarts a child for ever serves requests in between, and ends when it is to."""
    _hanging_restart_loop(play, Strategy.ONE_FOR_ONE)


def test_hanging_restart_loop_rest_for_one(play: Play) -> None:
    """The same, while those after the child wait for it."""
    _hanging_restart_loop(play, Strategy.REST_FOR_ONE)


def test_hanging_restart_loop_simple(play: Play) -> None:
    """The same, of dynamic children."""
    fails, tries = threading.Event(), list[str]()
    flags = SupervisorFlags(Strategy.SIMPLE_ONE_FOR_ONE, intensity=10**6, period=3600)
    root = play.root(flags, ChildSpec("s", _Stubborn, args=(fails, tries)))
    first, second = dynamic(root), dynamic(root)
    fails.set()
    play.end(f"/{first}", "kill")
    wait_for(lambda: len(tries) > 5, TIMEOUT, "some restarts")
    refused(restart_child(root.ref, first), "simple_one_for_one")
    refused(delete_child(root.ref, first), "simple_one_for_one")
    with pytest.raises(ValueError, match="not yet"):
        start_dynamic_child(root.ref).get(timeout=TIMEOUT)
    assert terminate_child(root.ref, first).get(timeout=TIMEOUT) is None
    assert children(root.ref) == {second: play.ref(f"/{second}")}
    play.end(f"/{second}", "kill")
    wait_for(lambda: tries[-1] == f"/{second}", TIMEOUT, "restarts of the other")
    fails.clear()
    wait_for(lambda: children(root.ref)[second] not in {None, "restarting"}, TIMEOUT, "it runs")
    play.shut_down(root)
