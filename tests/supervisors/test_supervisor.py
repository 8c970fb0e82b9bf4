"""Supervisors: who is started, restarted and ended, when, and in which order; after OTP's supervisor_SUITE."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from pykka import ActorDeadError

from stage import TIMEOUT, LightPlayer, PinnedPlayer, Play, infos
from supervisors import (
    ChildSpec,
    ChildSpecError,
    ChildState,
    ExitKind,
    LightActor,
    ReportKind,
    Restart,
    Root,
    Shutdown,
    Strategy,
    Supervisor,
    SupervisorFlags,
    delete_child,
    living,
    start_child,
    terminate_child,
)
from waiting import wait_for

# Those whose children are given at the start; a simple_one_for_one has none then.
FIXED = [each for each in Strategy if each is not Strategy.SIMPLE_ONE_FOR_ONE]

MANY = SupervisorFlags(intensity=1000, period=1)
ALL = SupervisorFlags(Strategy.ONE_FOR_ALL, intensity=1000, period=1)
REST = SupervisorFlags(Strategy.REST_FOR_ONE, intensity=1000, period=1)
SIDE_BY_SIDE = SupervisorFlags(intensity=1000, period=1, concurrent=True)
BASE_ERRORS = [SystemExit(3), KeyboardInterrupt()]


def log_of(play: Play, *steps: str) -> list[str]:
    """What has happened, of these kinds of step only."""
    return [line for line in play.stage.log if line.split()[0] in steps]


# -- start and stop ------------------------------------------------------------------------------------------------


def test_start_in_order_and_stop_in_reverse(play: Play) -> None:
    """sup_start_normal, order_of_children."""
    branch = play.branch("b", MANY, play.child("b1"), play.child("b2", PinnedPlayer))
    root = play.root(MANY, play.child("a", PinnedPlayer), branch, play.child("c"))
    assert log_of(play, "start") == ["start a", "start b1", "start b2", "start c"]
    assert play.system.paths() == ["/", "/a", "/b", "/b/b1", "/b/b2", "/c"]
    play.shut_down(root)
    assert log_of(play, "stop") == ["stop c", "stop b2", "stop b1", "stop a"]
    assert root.reason is not None
    assert root.reason.kind is ExitKind.SHUTDOWN
    assert root.snapshot() is None
    assert play.system.dead_letters == 0


def test_the_next_child_is_made_when_the_one_before_is_ready(play: Play) -> None:
    gate = play.stage.hold("start a")
    root = Root(play.system, MANY, [play.child("a", PinnedPlayer), play.child("b")])
    play.stage.wait_reached("start a")
    assert not root.wait_ready(0)
    assert "init b" not in play.stage.log
    gate.set()
    assert root.wait_ready(TIMEOUT)
    assert play.stage.log == ["init a", "start a", "init b", "start b"]


def test_the_next_child_is_stopped_when_the_one_before_has_ended(play: Play) -> None:
    root = play.root(MANY, play.child("a"), play.child("b", PinnedPlayer))
    gate = play.stage.hold("stop b")
    root.request_shutdown()
    play.stage.wait_reached("stop b")
    assert not root.wait_ended(0)
    assert "stop a" not in play.stage.log
    gate.set()
    assert root.wait_ended(TIMEOUT)
    assert log_of(play, "stop") == ["stop b", "stop a"]


def test_root_ends_by_stop_too(play: Play) -> None:
    root = play.root(MANY, play.child("a"), play.branch("b", MANY, play.child("b1")))
    assert root.ref.stop(timeout=TIMEOUT) is True
    assert root.wait_ended(TIMEOUT)
    assert root.reason is not None
    assert root.reason.kind is ExitKind.NORMAL
    assert log_of(play, "stop") == ["stop b1", "stop a"]
    assert play.system.paths() == []


def test_a_supervisor_without_children(play: Play) -> None:
    play.shut_down(play.root(MANY))


@pytest.mark.parametrize("error", [ValueError("no"), *BASE_ERRORS], ids=repr)
@pytest.mark.parametrize("step", ["init", "start"])
@pytest.mark.parametrize("flags", [MANY, ALL, REST])
def test_start_failure_ends_those_that_were_started(
    play: Play, step: str, error: BaseException, flags: SupervisorFlags
) -> None:
    """sup_start_fail, sup_start_error_return."""
    play.stage.fail(f"{step} c", error)
    root = play.root(flags, *(play.child(name) for name in "abcd"))
    assert root.wait_ended(TIMEOUT)
    assert root.reason is not None
    assert root.reason.kind is ExitKind.SHUTDOWN
    assert "c cannot be kept running" in str(root.reason)
    assert log_of(play, "stop") == ["stop b", "stop a"]
    assert "init d" not in play.stage.log
    assert play.system.paths() == []
    (report,) = play.kinds(ReportKind.START_ERROR)
    assert (report.path, report.child) == ("/", "c")
    assert report.reason is not None
    assert report.reason.error is error


def test_a_child_of_wrong_arguments_is_a_start_failure(play: Play) -> None:
    root = play.root(MANY, play.child("a"), ChildSpec("b", LightPlayer, args=("one", "too many")))
    assert root.wait_ended(TIMEOUT)
    assert play.system.paths() == []


def test_a_failure_below_fails_those_above(play: Play) -> None:
    play.stage.fail("start b1", ValueError("no"))
    root = play.root(MANY, play.child("a"), play.branch("b", MANY, play.child("b0"), play.child("b1")))
    assert root.wait_ended(TIMEOUT)
    assert log_of(play, "stop") == ["stop b0", "stop a"]
    assert [(report.path, report.child) for report in play.kinds(ReportKind.START_ERROR)] == [("/b", "b1"), ("/", "b")]
    assert play.system.paths() == []


@pytest.mark.parametrize("end", ["stop", "shut down"])
def test_a_child_that_ends_in_its_start_has_not_started(play: Play, end: str) -> None:
    """A kill of one that starts, too, is not a restart but a failed start."""
    gate = play.stage.hold("start b")
    root = Root(play.system, MANY, [play.child("a"), play.child("b", PinnedPlayer)])
    play.stage.wait_reached("start b")
    actor = play.actor("/b")
    assert actor is not None
    if end == "stop":
        actor.kill()
    else:
        # In order: it is ready, and ends then.
        actor.request_shutdown()
    gate.set()
    if end == "stop":
        assert root.wait_ended(TIMEOUT)
        assert log_of(play, "stop") == ["stop a"]
    else:
        wait_for(lambda: play.stage.starts["b"] == 2, TIMEOUT, "a restart")


# -- specifications ------------------------------------------------------------------------------------------------


def test_duplicate_ids_are_refused_before_any_start(play: Play) -> None:
    """child_specs."""
    with pytest.raises(ChildSpecError, match="two children have the id 'a'"):
        Root(play.system, MANY, [play.child("a"), play.child("b"), play.child("a")])
    assert play.stage.log == []
    assert play.system.paths() == []


def test_duplicate_ids_below_fail_the_start(play: Play) -> None:
    root = play.root(MANY, play.branch("b", MANY, play.child("x"), play.child("x")))
    assert root.wait_ended(TIMEOUT)
    assert play.stage.log == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ChildSpec("", LightPlayer), "needs an id"),
        (lambda: ChildSpec("a", LightPlayer, shutdown=-1), "expected 0 seconds or more"),
        (lambda: SupervisorFlags(intensity=-1), "expected 0 or more"),
        (lambda: SupervisorFlags(period=0), "expected more than 0 seconds"),
        (lambda: SupervisorFlags(Strategy.ONE_FOR_ALL, concurrent=True), "expected the strategy one_for_one"),
        (lambda: SupervisorFlags(Strategy.REST_FOR_ONE, concurrent=True), "expected the strategy one_for_one"),
    ],
)
def test_faulty_specifications(make: Any, said: str) -> None:
    """sup_flags, sup_start_map_faulty_specs."""
    with pytest.raises(ChildSpecError, match=said):
        make()


def test_defaults() -> None:
    spec, flags = ChildSpec("a", LightPlayer), SupervisorFlags()
    assert (spec.restart, spec.backoff, spec.shutdown, spec.start_timeout) == (Restart.PERMANENT, None, None, None)
    assert (flags.strategy, flags.intensity, flags.period, flags.concurrent) == (Strategy.ONE_FOR_ONE, 1, 5, False)


# -- who is restarted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [MANY, SIDE_BY_SIDE])
@pytest.mark.parametrize("end", ["stop", "shut down", "raise", "kill", *BASE_ERRORS], ids=repr)
@pytest.mark.parametrize("restart", Restart)
def test_restart_types(play: Play, restart: Restart, end: Any, flags: SupervisorFlags) -> None:
    """{permanent,transient,temporary}_{normal,shutdown,abnormal}."""
    root = play.root(flags, play.child("a", restart=restart), play.child("b"))
    epoch, other = play.epoch("/a"), play.epoch("/b")
    down = play.end("/a", end)
    abnormal = end not in {"stop", "shut down"}
    if restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and abnormal):
        play.restarted("/a", epoch)
        play.settled(root, a=ChildState.RUNNING)
        info = infos(root)["/a"]
        assert (info.restarts, info.last_exit) == (1, down.reason)
        assert play.stage.starts["a"] == 2
    elif restart is Restart.TRANSIENT:
        play.settled(root, a=ChildState.STOPPED)
        assert play.stage.starts["a"] == 1
    else:
        wait_for(lambda: "/a" not in infos(root), TIMEOUT, "the specification goes")
        assert play.stage.starts["a"] == 1
    wait_for(lambda: play.kinds(ReportKind.CHILD_TERMINATED), TIMEOUT, "the report")
    (report,) = play.kinds(ReportKind.CHILD_TERMINATED)
    assert (report.path, report.child, report.reason) == ("/", "a", down.reason)
    assert play.epoch("/b") == other
    play.shut_down(root)


def test_on_stop_has_run_before_the_replacement_is_made(play: Play) -> None:
    play.root(MANY, play.child("a", PinnedPlayer))
    epoch = play.epoch("/a")
    gate = play.stage.hold("stop a")
    play.ref("/a").tell("stop")
    play.stage.wait_reached("stop a")
    assert play.stage.log.count("init a") == 1
    gate.set()
    play.restarted("/a", epoch)
    assert play.stage.log == ["init a", "start a", "stop a", "init a", "start a"]


@pytest.mark.parametrize(
    ("flags", "stopped", "started"),
    [(MANY, "", "b"), (ALL, "dca", "abcd"), (REST, "dc", "bcd")],
    ids=["one_for_one", "one_for_all", "rest_for_one"],
)
@pytest.mark.parametrize("end", ["raise", "kill"])
def test_strategies(play: Play, flags: SupervisorFlags, stopped: str, started: str, end: str) -> None:
    root = play.root(flags, *(play.child(name) for name in "abcd"))
    before = {name: play.epoch(f"/{name}") for name in "abcd"}
    play.stage.log.clear()
    play.end("/b", end)
    for name in started:
        play.restarted(f"/{name}", before[name])
    wait_for(lambda: all(infos(root)[f"/{name}"].state == "running" for name in "abcd"), TIMEOUT, "all run")
    log = [line for line in play.stage.log if not line.startswith(("failure", "raise"))]
    assert log == [
        *(f"stop {name}" for name in stopped),
        *(f"{step} {name}" for name in started for step in ("init", "start")),
    ]
    assert {name for name in "abcd" if play.epoch(f"/{name}") == before[name]} == set("abcd") - set(started)
    assert {name: infos(root)[f"/{name}"].restarts for name in "abcd"} == {
        name: int(name in started) for name in "abcd"
    }
    # An incident is one, however many are restarted with it.
    assert len(play.kinds(ReportKind.CHILD_TERMINATED)) == 1
    play.shut_down(root)


@pytest.mark.parametrize(("flags", "left"), [(ALL, "ac"), (REST, "abc")])
def test_temporary_children_end_with_the_others_and_are_not_restarted(
    play: Play, flags: SupervisorFlags, left: str
) -> None:
    """temporary_bystander."""
    temporary = Restart.TEMPORARY
    children = [
        play.child("a"),
        play.child("b", restart=temporary),
        play.child("c"),
        play.child("d", restart=temporary),
    ]
    root = play.root(flags, *children)
    epoch = play.epoch("/c")
    play.end("/c")
    play.restarted("/c", epoch)
    play.settled(root, c=ChildState.RUNNING)
    wait_for(lambda: set(infos(root)) == {"/", *(f"/{name}" for name in left)}, TIMEOUT, lambda: str(infos(root)))
    assert play.stage.starts["d"] == 1
    assert play.stage.log.count("stop d") == 1
    play.shut_down(root)


@pytest.mark.parametrize("flags", [ALL, REST])
@pytest.mark.parametrize("collected", [False, True])
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_children_that_end_at_once_are_restarted(
    play: Play, flags: SupervisorFlags, names: str, collected: bool
) -> None:
    """The second end comes while, or after, the first one's restart has dealt with it already."""
    root = play.root(flags, *(play.child(name) for name in names))
    before = {name: play.epoch(f"/{name}") for name in names}
    free = play.occupy()
    for name in "ba":
        play.end(f"/{name}", "kill")
    if collected:
        # The dead are gone before their supervisor hears of them.
        gc.collect()
    free.set()
    for name in names:
        play.restarted(f"/{name}", before[name])

    def all_run() -> bool:
        tree = infos(root)
        return all(tree[f"/{name}"].state == "running" for name in names) and len(play.system.paths()) == len(tree)

    wait_for(all_run, TIMEOUT, lambda: f"{infos(root)} {play.reports}")
    # One restart for all has dealt with both; for the rest, b's may have come first.
    assert all(play.stage.starts[name] == 2 or flags is REST for name in names)
    play.shut_down(root)
    assert all(play.stage.starts[name] <= 3 for name in names)


def test_names_survive_restarts(play: Play) -> None:
    play.root(MANY, play.branch("b", MANY, play.child("x")))
    epochs = [play.epoch("/b/x")]
    for _ in range(3):
        play.end("/b/x")
        epochs.append(play.restarted("/b/x", epochs[-1]).epoch)
        assert play.system.tell("/b/x", "get")
        assert play.ref("/b/x").ask("get", timeout=TIMEOUT) == "got"
    assert epochs == sorted(set(epochs))
    assert not play.system.tell("/b/y", "get")


def test_a_restarted_supervisor_starts_its_children_anew(play: Play) -> None:
    root = play.root(MANY, play.branch("b", MANY, play.child("x"), play.child("y")))
    start_child(play.ref("/b"), play.child("dynamic")).get(timeout=TIMEOUT)
    epoch = play.epoch("/b")
    play.end("/b", "kill")
    play.restarted("/b", epoch)
    play.settled(root, b=ChildState.RUNNING, x=ChildState.RUNNING, y=ChildState.RUNNING)
    # As in OTP: children that were added are lost.
    assert play.system.paths() == ["/", "/b", "/b/x", "/b/y"]
    assert play.stage.starts["x"] == 2


# -- intensity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intensity", [0, 1, 3])
@pytest.mark.parametrize("strategy", FIXED)
def test_more_restarts_than_the_intensity_end_the_supervisor(play: Play, strategy: Strategy, intensity: int) -> None:
    """one_for_one, one_for_all, rest_for_one."""
    root = play.root(SupervisorFlags(strategy, intensity, 3600), *(play.child(name) for name in "abc"))
    for _ in range(intensity):
        epoch = play.epoch("/b")
        play.end("/b")
        play.restarted("/b", epoch)
        play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING)
    play.stage.log.clear()
    play.end("/b")
    assert root.wait_ended(TIMEOUT)
    assert root.reason is not None
    assert root.reason.kind is ExitKind.SHUTDOWN
    assert str(root.reason) == "shutdown: b cannot be kept running: ValueError: told to"
    assert log_of(play, "stop", "init") == ["stop c", "stop a"]
    assert play.system.paths() == []
    (report,) = play.kinds(ReportKind.SHUTDOWN)
    assert (report.path, report.child) == ("/", "b")


def test_restarts_before_the_period_do_not_count(play: Play) -> None:
    root = play.root(SupervisorFlags(intensity=1, period=0.05), play.child("a"))
    for _ in range(4):
        epoch = play.epoch("/a")
        play.end("/a")
        play.restarted("/a", epoch)
        passed = threading.Event()
        play.system.wheel.schedule(0.08, passed.set)
        assert passed.wait(TIMEOUT)
    play.shut_down(root)


def test_ends_that_are_not_restarted_do_not_count(play: Play) -> None:
    children = [play.child(str(number), restart=Restart.TEMPORARY) for number in range(5)]
    root = play.root(SupervisorFlags(intensity=0), *children, play.child("last", restart=Restart.TRANSIENT))
    for number in range(5):
        play.end(f"/{number}")
    play.end("/last", "stop")
    play.settled(root, last=ChildState.STOPPED)
    assert set(infos(root)) == {"/", "/last"}


@pytest.mark.parametrize(
    ("restart", "restarted"), [(Restart.PERMANENT, True), (Restart.TRANSIENT, False), (Restart.TEMPORARY, False)]
)
@pytest.mark.parametrize("strategy", FIXED)
def test_escalation(play: Play, strategy: Strategy, restart: Restart, restarted: bool) -> None:
    """The four _escalation: the parent decides by the restart type of the supervisor that has given up."""
    low = SupervisorFlags(strategy, 0)
    root = play.root(MANY, play.child("a"), play.branch("b", low, play.child("x"), play.child("y"), restart=restart))
    before = {path: play.epoch(path) for path in ("/a", "/b", "/b/x")}
    down_of_b = play.watch(play.ref("/b"))
    play.end("/b/x")
    reason = down_of_b.wait_down().reason
    assert reason.kind is ExitKind.SHUTDOWN
    if restarted:
        play.restarted("/b", before["/b"])
        play.restarted("/b/x", before["/b/x"])
        play.settled(root, b=ChildState.RUNNING, x=ChildState.RUNNING, y=ChildState.RUNNING)
    else:
        wait_for(lambda: play.system.paths() == ["/", "/a"], TIMEOUT, "the branch is gone")
    assert play.epoch("/a") == before["/a"]
    play.shut_down(root)


def test_escalation_to_the_top(play: Play) -> None:
    low = SupervisorFlags(intensity=0)
    root = play.root(low, play.branch("b", low, play.branch("c", low, play.child("x"))), play.child("a"))
    play.end("/b/c/x")
    assert root.wait_ended(TIMEOUT)
    assert play.system.paths() == []
    assert [(report.path, report.child) for report in play.kinds(ReportKind.SHUTDOWN)] == [
        ("/b/c", "x"),
        ("/b", "c"),
        ("/", "b"),
    ]
    assert "stop a" in play.stage.log


# -- restarts that fail --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["init", "start"])
def test_a_restart_that_fails_is_tried_again(play: Play, step: str) -> None:
    root = play.root(MANY, play.child("a"), play.child("b"))
    epoch = play.epoch("/a")
    play.stage.fail(f"{step} a", ValueError("1"), SystemExit(2), ValueError("3"))
    play.end("/a")
    play.restarted("/a", epoch)
    play.settled(root, a=ChildState.RUNNING)
    assert infos(root)["/a"].restarts == 4
    assert [str(report.reason) for report in play.kinds(ReportKind.START_ERROR)] == [
        "ValueError: 1",
        "SystemExit: 2",
        "ValueError: 3",
    ]


@pytest.mark.parametrize("step", ["init", "start"])
@pytest.mark.parametrize("strategy", FIXED)
def test_each_restart_that_fails_counts(play: Play, strategy: Strategy, step: str) -> None:
    """hanging_restart_loop ends, here, as the intensity says."""
    root = play.root(SupervisorFlags(strategy, 3, 3600), play.child("a"), play.child("b"))
    play.stage.fail(f"{step} a", *(ValueError(str(number)) for number in range(10)))
    play.end("/a")
    assert root.wait_ended(TIMEOUT)
    assert len(play.kinds(ReportKind.START_ERROR)) == 3
    assert len(play.stage.errors[f"{step} a"]) == 7
    assert play.system.paths() == []


@pytest.mark.parametrize(("flags", "again"), [(ALL, "abcd"), (REST, "cd")])
def test_a_restart_goes_on_from_the_child_that_failed(play: Play, flags: SupervisorFlags, again: str) -> None:
    """{one_for_all,rest_for_one}_other_child_fails_restart."""
    root = play.root(flags, *(play.child(name) for name in "abcd"))
    epoch = play.epoch("/d")
    play.stage.log.clear()
    play.stage.fail("start c", ValueError("not yet"))
    play.end("/b")
    play.restarted("/d", epoch)
    play.settled(root, a=ChildState.RUNNING, b=ChildState.RUNNING, c=ChildState.RUNNING, d=ChildState.RUNNING)
    first = "abc" if flags is ALL else "bc"
    assert log_of(play, "start") == [*(f"start {name}" for name in first), *(f"start {name}" for name in again)]
    play.shut_down(root)


def test_requests_get_in_between_restarts_that_fail(play: Play) -> None:
    """hanging_restart_loop: a supervisor that restarts for ever can be talked to, and ended."""
    root = play.root(SupervisorFlags(intensity=10**6, period=1), play.child("a"), play.child("b"))
    play.stage.fail("start a", *(ValueError("never") for _ in range(10**5)))
    play.end("/a")
    wait_for(lambda: play.stage.starts["a"] > 3, TIMEOUT, "some restarts")
    assert start_child(root.ref, play.child("c")).get(timeout=TIMEOUT) == play.ref("/c")
    assert terminate_child(root.ref, "a").get(timeout=TIMEOUT) is None
    play.settled(root, a=ChildState.STOPPED)
    count = play.stage.starts["a"]
    delete_child(root.ref, "a").get(timeout=TIMEOUT)
    assert play.stage.starts["a"] == count
    play.shut_down(root)


def test_a_shutdown_gets_in_between_restarts_that_fail(play: Play) -> None:
    root = play.root(SupervisorFlags(intensity=10**6, period=1), play.child("a"), play.child("b"))
    play.stage.fail("start a", *(ValueError("never") for _ in range(10**5)))
    play.end("/a")
    wait_for(lambda: play.stage.starts["a"] > 3, TIMEOUT, "some restarts")
    play.shut_down(root)


# -- how children are ended ----------------------------------------------------------------------------------------


def test_shutdown_kills_one_whose_on_stop_takes_too_long(play: Play) -> None:
    """sup_stop_timeout."""
    play.stage.hold("stop b")
    root = play.root(MANY, play.child("a"), play.child("b", PinnedPlayer, shutdown=0.03), play.child("c"))
    down = play.watch(play.ref("/b"))
    play.shut_down(root)
    assert str(down.wait_down().reason) == "killed: its on_stop took too long"
    assert log_of(play, "stop") == ["stop c", "stop b", "stop a"]
    (report,) = play.kinds(ReportKind.SHUTDOWN_ERROR)
    assert report.child == "b"


def test_shutdown_kills_one_that_hangs_in_a_handler(play: Play) -> None:
    play.stage.hold("work b")
    root = play.root(MANY, play.child("a"), play.child("b", PinnedPlayer, shutdown=0.03))
    play.ref("/b").tell("work")
    play.stage.wait_reached("work b")
    play.shut_down(root)
    assert log_of(play, "stop") == ["stop a"]


def test_brutal_kill(play: Play) -> None:
    """sup_stop_brutal_kill."""
    root = play.root(MANY, play.child("a"), play.child("b", shutdown=Shutdown.BRUTAL_KILL))
    down = play.watch(play.ref("/b"))
    play.shut_down(root)
    assert down.wait_down().reason.kind is ExitKind.KILLED
    assert log_of(play, "stop") == ["stop a"]


def test_infinity(play: Play) -> None:
    """sup_stop_infinity."""
    gate = play.stage.hold("stop a")
    root = play.root(MANY, play.child("a", PinnedPlayer, shutdown=Shutdown.INFINITY))
    root.request_shutdown()
    play.stage.wait_reached("stop a")
    # Nothing is planned that would end the wait.
    assert len(play.system.wheel) == 0
    gate.set()
    assert root.wait_ended(TIMEOUT)
    assert play.kinds(ReportKind.SHUTDOWN_ERROR) == []


def test_a_supervisor_has_as_long_as_it_takes(play: Play) -> None:
    gate = play.stage.hold("stop x")
    root = play.root(MANY, play.branch("b", MANY, play.child("x", PinnedPlayer, shutdown=Shutdown.INFINITY)))
    root.request_shutdown()
    play.stage.wait_reached("stop x")
    assert len(play.system.wheel) == 0
    gate.set()
    assert root.wait_ended(TIMEOUT)
    assert play.stage.log == ["init x", "start x", "stop x"]


def test_zero_seconds(play: Play) -> None:
    play.stage.hold("stop a")
    root = play.root(MANY, play.child("a", PinnedPlayer, shutdown=0))
    play.shut_down(root)


def test_an_error_in_on_stop_is_reported(play: Play) -> None:
    """sup_stop_non_shutdown_exit."""
    play.stage.fail("stop a", ValueError("cannot close"))
    root = play.root(MANY, play.child("a"), play.child("b"))
    play.shut_down(root)
    (report,) = play.kinds(ReportKind.SHUTDOWN_ERROR)
    assert (report.child, str(report.reason)) == ("a", "ValueError: cannot close")


def test_start_timeout(play: Play) -> None:
    play.stage.hold("start b")
    root = play.root(MANY, play.child("a"), play.child("b", PinnedPlayer, start_timeout=0.03))
    assert root.wait_ended(TIMEOUT)
    assert "its on_start took too long" in str(root.reason)
    assert log_of(play, "stop") == ["stop a"]


def test_start_timeout_of_a_restart_is_tried_again(play: Play) -> None:
    root = play.root(MANY, play.child("a", PinnedPlayer, start_timeout=0.03), play.child("b"))
    epoch = play.epoch("/a")
    gate = play.stage.hold("start a")
    play.end("/a")
    wait_for(lambda: play.stage.starts["a"] >= 4, TIMEOUT, "some tries")
    gate.set()
    play.restarted("/a", epoch)
    play.shut_down(root)


# -- in the middle of something ------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [MANY, ALL, REST, SIDE_BY_SIDE])
def test_shutdown_in_the_middle_of_the_start(play: Play, flags: SupervisorFlags) -> None:
    play.stage.hold("start b")
    root = Root(play.system, flags, [play.child("a"), play.child("b", PinnedPlayer, shutdown=0.03), play.child("c")])
    play.stage.wait_reached("start b")
    play.shut_down(root)
    assert "stop a" in play.stage.log
    assert "stop b" not in play.stage.log


@pytest.mark.parametrize("flags", [MANY, ALL, REST, SIDE_BY_SIDE])
def test_shutdown_in_the_middle_of_a_restart(play: Play, flags: SupervisorFlags) -> None:
    root = play.root(flags, play.child("a"), play.child("b", PinnedPlayer, shutdown=0.03), play.child("c"))
    play.stage.hold("start b")
    play.end("/b")
    wait_for(lambda: play.stage.starts["b"] == 2, TIMEOUT, "the restart has begun")
    play.shut_down(root)
    assert play.stage.log.count("stop a") == play.stage.starts["a"]


def test_shutdown_while_a_child_is_stopped_for_a_restart(play: Play) -> None:
    root = play.root(ALL, play.child("a", PinnedPlayer), play.child("b"))
    gate = play.stage.hold("stop a")
    play.end("/b")
    play.stage.wait_reached("stop a")
    root.request_shutdown()
    gate.set()
    assert root.wait_ended(TIMEOUT)
    assert play.system.paths() == []
    assert play.stage.starts["b"] == 1


def test_a_branch_is_shut_down_in_the_middle_of_its_start(play: Play) -> None:
    play.stage.hold("start x")
    branch = play.branch("b", MANY, play.child("w"), play.child("x", PinnedPlayer, shutdown=0.03))
    root = Root(play.system, MANY, [play.child("a"), branch])
    play.stage.wait_reached("start x")
    play.shut_down(root)
    assert log_of(play, "stop") == ["stop w", "stop a"]


def test_many_shutdowns_are_one(play: Play) -> None:
    root = play.root(MANY, play.child("a", PinnedPlayer), play.child("b"))
    gate = play.stage.hold("stop a")
    root.request_shutdown()
    play.stage.wait_reached("stop a")
    stops = [root.ref.stop(block=False) for _ in range(3)]
    for _ in range(3):
        root.request_shutdown()
    gate.set()
    assert [stop.get(timeout=TIMEOUT) for stop in stops] == [True] * 3
    assert root.wait_ended(TIMEOUT)
    assert log_of(play, "stop") == ["stop b", "stop a"]
    root.request_shutdown()
    assert root.ref.stop(timeout=TIMEOUT) is False


# -- supervisors that die ------------------------------------------------------------------------------------------


def test_killing_a_supervisor_leaves_no_orphan(play: Play) -> None:
    branch = play.branch(
        "b", MANY, play.child("x"), play.child("y", PinnedPlayer), play.branch("c", MANY, play.child("z"))
    )
    root = play.root(MANY, play.child("a"), branch)
    dead = [play.watch(play.ref(path)) for path in ("/b/x", "/b/y", "/b/c", "/b/c/z")]
    before = {path: play.epoch(path) for path in ("/a", "/b", "/b/c/z")}
    play.end("/b", "kill")
    assert [str(watcher.wait_down().reason) for watcher in dead] == ["killed: its supervisor has ended"] * 4
    play.restarted("/b", before["/b"])
    play.restarted("/b/c/z", before["/b/c/z"])
    assert play.epoch("/a") == before["/a"]
    play.shut_down(root)


def test_killing_the_root_leaves_nobody(play: Play) -> None:
    root = play.root(MANY, play.branch("b", MANY, *(play.child(str(number)) for number in range(20))))
    actor = living(root.ref)
    assert actor is not None
    actor.kill()
    assert root.wait_ended(TIMEOUT)
    assert root.reason is not None
    assert root.reason.kind is ExitKind.KILLED
    assert play.system.paths() == []


@pytest.mark.parametrize("flags", [MANY, SIDE_BY_SIDE])
@pytest.mark.usefixtures("hasty")
def test_a_supervisor_that_is_killed_while_it_starts_leaves_no_orphan(play: Play, flags: SupervisorFlags) -> None:
    for number in range(60):
        root = Root(play.system, flags, [play.child(f"{number}-{child}") for child in range(8)])
        actor = living(root.ref)
        assert actor is not None
        if number % 3:
            play.stage.wait_reached(f"init {number}-{number % 8}")
        actor.kill()
        assert root.wait_ended(TIMEOUT)
        play.occupy().set()
        assert play.system.paths() == []


def test_a_supervisor_that_is_killed_in_the_init_of_a_child_leaves_no_orphan(play: Play) -> None:
    gate = play.stage.hold("init b")
    root = Root(play.system, MANY, [play.child("a"), play.child("b"), play.child("c")])
    play.stage.wait_reached("init b")
    actor = living(root.ref)
    assert actor is not None
    actor.kill()
    gate.set()
    play.occupy().set()
    assert play.system.paths() == []
    assert "init c" not in play.stage.log
    assert "start b" not in play.stage.log
    assert play.kinds(ReportKind.START_ERROR, ReportKind.SHUTDOWN) == []


class _Faulty(Supervisor):
    def on_receive(self, message: Any) -> Any:
        if message == "fault":
            raise RuntimeError("a fault of the supervisor's own")
        return super().on_receive(message)


def test_a_supervisor_that_fails_is_restarted_as_any_other(play: Play) -> None:
    spec = ChildSpec("b", _Faulty, args=(MANY, [play.child("x")]))
    root = play.root(MANY, spec)
    before = {path: play.epoch(path) for path in ("/b", "/b/x")}
    play.end("/b", "fault")
    play.restarted("/b", before["/b"])
    play.restarted("/b/x", before["/b/x"])
    play.shut_down(root)


def test_messages_that_a_supervisor_does_not_know_change_nothing(play: Play) -> None:
    root = play.root(MANY, play.child("a"))
    assert root.ref.ask("hello", timeout=TIMEOUT) is None
    (report,) = play.kinds(ReportKind.UNHANDLED_MESSAGE)
    assert report.path == "/"
    play.shut_down(root)


# -- concurrent children -------------------------------------------------------------------------------------------


def test_concurrent_children_start_side_by_side(play: Play) -> None:
    gates = [play.stage.hold(f"start {name}") for name in "ab"]
    children = [play.child("a", PinnedPlayer), play.child("b", PinnedPlayer), play.child("c"), play.child("d")]
    root = Root(play.system, SIDE_BY_SIDE, children)
    for name in "abcd":
        play.stage.wait_reached(f"start {name}")
    play.settled(root, a=ChildState.STARTING, b=ChildState.STARTING, c=ChildState.RUNNING, d=ChildState.RUNNING)
    # A sibling is restarted meanwhile.
    epoch = play.epoch("/c")
    play.end("/c")
    play.restarted("/c", epoch)
    assert not root.wait_ready(0)
    for gate in gates:
        gate.set()
    assert root.wait_ready(TIMEOUT)
    play.shut_down(root)


def test_a_restart_that_hangs_keeps_no_concurrent_sibling_from_its_own(play: Play) -> None:
    root = play.root(SIDE_BY_SIDE, play.child("a", PinnedPlayer, shutdown=0.03), play.child("b"))
    play.stage.hold("start a")
    play.end("/a")
    wait_for(lambda: play.stage.starts["a"] == 2, TIMEOUT, "the restart has begun")
    epoch = play.epoch("/b")
    play.end("/b")
    play.restarted("/b", epoch)
    assert start_child(root.ref, play.child("c")).get(timeout=TIMEOUT) == play.ref("/c")
    play.shut_down(root)


def test_concurrent_children_stop_within_one_deadline(play: Play) -> None:
    names = [f"h{number}" for number in range(30)]
    for name in names:
        play.stage.hold(f"stop {name}")
    root = play.root(SIDE_BY_SIDE, *(play.child(name, PinnedPlayer, shutdown=1) for name in names))
    root.request_shutdown()
    for name in names:
        # All of them at once: one after the other, most would be asked after 30 s only.
        play.stage.wait_reached(f"stop {name}")
    assert root.wait_ended(TIMEOUT)
    assert len(play.kinds(ReportKind.SHUTDOWN_ERROR)) == 30
    assert play.system.paths() == []


@pytest.mark.parametrize("step", ["init", "start"])
def test_a_concurrent_child_that_cannot_start_ends_the_supervisor(play: Play, step: str) -> None:
    play.stage.fail(f"{step} b", SystemExit(1))
    root = play.root(SIDE_BY_SIDE, *(play.child(name) for name in "abcd"))
    assert root.wait_ended(TIMEOUT)
    assert "b cannot be kept running" in str(root.reason)
    assert play.system.paths() == []
    assert play.stage.log.count("stop a") == play.stage.starts["a"] == 1


def test_concurrent_children_share_the_intensity(play: Play) -> None:
    flags = SupervisorFlags(intensity=2, period=3600, concurrent=True)
    root = play.root(flags, *(play.child(name) for name in "abcd"))
    for name in "abc":
        play.end(f"/{name}")
    assert root.wait_ended(TIMEOUT)
    assert play.system.paths() == []


def test_terminating_a_concurrent_child_that_starts_waits_for_its_start(play: Play) -> None:
    gate = play.stage.hold("start a")
    root = Root(play.system, SIDE_BY_SIDE, [play.child("a", PinnedPlayer), play.child("b")])
    play.stage.wait_reached("start a")
    answer = terminate_child(root.ref, "a")
    gate.set()
    assert answer.get(timeout=TIMEOUT) is None
    play.settled(root, a=ChildState.STOPPED, b=ChildState.RUNNING)
    assert root.wait_ready(TIMEOUT)
    play.shut_down(root)


# -- many ----------------------------------------------------------------------------------------------------------


class _Plain(LightActor):
    pass


def test_ten_thousand_actors_start_and_stop(play: Play) -> None:
    """scale_start_stop_many_children."""
    root = Root(play.system, SIDE_BY_SIDE, [ChildSpec(str(number), _Plain) for number in range(10_000)])
    assert root.wait_ready(60)
    assert len(play.system.paths()) == 10_001
    root.request_shutdown()
    assert root.wait_ended(60)
    assert play.system.paths() == []
    assert len(play.system.wheel) == 0


def test_two_thousand_actors_one_after_the_other(play: Play) -> None:
    root = Root(play.system, MANY, [ChildSpec(str(number), _Plain) for number in range(2000)])
    assert root.wait_ready(60)
    root.request_shutdown()
    assert root.wait_ended(60)
    assert play.system.paths() == []


def test_requests_of_a_tree_that_has_ended(play: Play) -> None:
    root = play.root(MANY, play.child("a"))
    play.shut_down(root)
    with pytest.raises(ActorDeadError):
        start_child(root.ref, play.child("b")).get(timeout=TIMEOUT)
