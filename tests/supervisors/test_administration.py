"""Requests to a running supervisor, with OTP's answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pykka import ActorDeadError, ActorRef, Future, Timeout

from stage import TIMEOUT, PinnedPlayer, Play, infos
from supervisors import (
    Backoff,
    ChildError,
    ChildState,
    ExitKind,
    Restart,
    Root,
    Shutdown,
    Strategy,
    SupervisorFlags,
    delete_child,
    living,
    restart_child,
    retry_child,
    start_child,
    terminate_child,
)
from waiting import wait_for

FLAGS = [
    SupervisorFlags(intensity=0),
    SupervisorFlags(Strategy.ONE_FOR_ALL, intensity=0),
    SupervisorFlags(Strategy.REST_FOR_ONE, intensity=0),
    SupervisorFlags(intensity=0, concurrent=True),
]
NEVER = Backoff(3600, 3600)
REQUESTS: list[Callable[[ActorRef[Any], str], Future[Any]]] = [
    terminate_child,
    restart_child,
    delete_child,
    retry_child,
]


@pytest.fixture(params=FLAGS, ids=lambda flags: "concurrent" if flags.concurrent else flags.strategy.value)
def root(request: pytest.FixtureRequest, play: Play) -> Root:
    """A supervisor with the children a, b (temporary) and w, which waits for its back-off."""
    flags: SupervisorFlags = request.param
    play.stage.fail("start w", ValueError("not yet"))
    made = play.root(flags, play.child("a"), play.child("b", restart=Restart.TEMPORARY), play.child("w", backoff=NEVER))
    play.settled(made, w=ChildState.RESTARTING)
    return made


def refused(future: Future[Any], why: str) -> None:
    with pytest.raises(ChildError) as error:
        future.get(timeout=TIMEOUT)
    assert error.value.why == why


def test_child_adm(play: Play, root: Root) -> None:
    """child_adm."""
    ref = start_child(root.ref, play.child("x", PinnedPlayer)).get(timeout=TIMEOUT)
    assert ref == play.ref("/x")
    refused(start_child(root.ref, play.child("x")), "already_started")
    refused(restart_child(root.ref, "x"), "running")
    refused(delete_child(root.ref, "x"), "running")
    refused(retry_child(root.ref, "x"), "running")

    assert terminate_child(root.ref, "x").get(timeout=TIMEOUT) is None
    assert not ref.is_alive()
    assert infos(root)["/x"].state == "stopped"
    assert play.stage.log[-1] == "stop x"
    assert terminate_child(root.ref, "x").get(timeout=TIMEOUT) is None
    refused(start_child(root.ref, play.child("x")), "already_present")

    second = restart_child(root.ref, "x").get(timeout=TIMEOUT)
    assert second == play.ref("/x") != ref
    terminate_child(root.ref, "x").get(timeout=TIMEOUT)
    assert delete_child(root.ref, "x").get(timeout=TIMEOUT) is None
    assert "/x" not in infos(root)
    assert start_child(root.ref, play.child("x")).get(timeout=TIMEOUT) == play.ref("/x")
    play.shut_down(root)


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_child_that_is_not_there(root: Root, request_: Callable[[ActorRef[Any], str], Future[Any]]) -> None:
    refused(request_(root.ref, "nobody"), "not_found")


def test_a_child_that_waits_for_its_back_off(play: Play, root: Root) -> None:
    refused(start_child(root.ref, play.child("w")), "already_started")
    refused(restart_child(root.ref, "w"), "restarting")
    refused(delete_child(root.ref, "w"), "restarting")
    assert retry_child(root.ref, "w").get(timeout=TIMEOUT) is None
    play.settled(root, w=ChildState.RUNNING)
    refused(retry_child(root.ref, "w"), "running")


def test_terminated_children_are_not_restarted(play: Play, root: Root) -> None:
    terminate_child(root.ref, "a").get(timeout=TIMEOUT)
    assert play.stage.starts["a"] == 1
    info = infos(root)["/a"]
    assert info.last_exit is not None
    assert (info.state, info.last_exit.kind, info.restarts) == ("stopped", ExitKind.SHUTDOWN, 0)


def test_a_temporary_child_goes_with_its_specification(root: Root) -> None:
    """do_not_save_child_specs_for_temporary_children."""
    terminate_child(root.ref, "b").get(timeout=TIMEOUT)
    assert "/b" not in infos(root)
    refused(restart_child(root.ref, "b"), "not_found")


@pytest.mark.parametrize("step", ["init", "start"])
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)], ids=repr)
def test_a_child_that_does_not_start_is_not_added(play: Play, root: Root, step: str, error: BaseException) -> None:
    """sup_start_child_returns_error."""
    play.stage.fail(f"{step} x", error)
    with pytest.raises(type(error)):
        start_child(root.ref, play.child("x")).get(timeout=TIMEOUT)
    assert "/x" not in infos(root)
    assert start_child(root.ref, play.child("x")).get(timeout=TIMEOUT) == play.ref("/x")


def test_a_child_that_is_too_slow_is_not_added(play: Play, root: Root) -> None:
    play.stage.hold("start x")
    with pytest.raises(ChildError, match="its on_start took too long"):
        start_child(root.ref, play.child("x", PinnedPlayer, start_timeout=0.02)).get(timeout=TIMEOUT)
    assert "/x" not in infos(root)
    assert play.system.lookup("/x") is None


def test_a_child_with_a_back_off_is_added_though_it_does_not_start(play: Play, root: Root) -> None:
    play.stage.fail("start x", ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        start_child(root.ref, play.child("x", backoff=Backoff(0.01, 0.01))).get(timeout=TIMEOUT)
    play.settled(root, x=ChildState.RUNNING)


def test_a_restart_that_fails_leaves_the_child_stopped(play: Play, root: Root) -> None:
    """sup_start_restart_child_returns_error."""
    terminate_child(root.ref, "a").get(timeout=TIMEOUT)
    play.stage.fail("start a", ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        restart_child(root.ref, "a").get(timeout=TIMEOUT)
    assert infos(root)["/a"].state == "stopped"
    assert restart_child(root.ref, "a").get(timeout=TIMEOUT) == play.ref("/a")


@pytest.mark.parametrize("shutdown", [0.02, Shutdown.BRUTAL_KILL])
def test_terminating_one_that_hangs(play: Play, root: Root, shutdown: float | Shutdown) -> None:
    start_child(root.ref, play.child("x", PinnedPlayer, shutdown=shutdown)).get(timeout=TIMEOUT)
    play.stage.hold("work x")
    play.ref("/x").tell("work")
    play.stage.wait_reached("work x")
    terminate_child(root.ref, "x").get(timeout=TIMEOUT)
    assert play.system.lookup("/x") is None


def test_a_request_waits_for_the_one_before(play: Play, root: Root) -> None:
    gate = play.stage.hold("start x")
    started = start_child(root.ref, play.child("x", PinnedPlayer))
    play.stage.wait_reached("start x")
    terminated = terminate_child(root.ref, "x")
    deleted = delete_child(root.ref, "x")
    with pytest.raises(Timeout):
        terminated.get(timeout=0.02)
    gate.set()
    assert started.get(timeout=TIMEOUT) is not None
    assert terminated.get(timeout=TIMEOUT) is None
    assert deleted.get(timeout=TIMEOUT) is None
    assert "/x" not in infos(root)


def test_concurrent_supervisors_serve_one_child_while_another_hangs(play: Play) -> None:
    root = play.root(SupervisorFlags(concurrent=True))
    play.stage.hold("start x")
    hung = start_child(root.ref, play.child("x", PinnedPlayer, shutdown=0.02))
    play.stage.wait_reached("start x")
    assert start_child(root.ref, play.child("y")).get(timeout=TIMEOUT) == play.ref("/y")
    play.shut_down(root)
    with pytest.raises(ActorDeadError):
        hung.get(timeout=TIMEOUT)


# -- nobody waits for ever -----------------------------------------------------------------------------------------


def all_requests(play: Play, root: Root) -> list[Future[Any]]:
    return [start_child(root.ref, play.child("new")), *(request(root.ref, "a") for request in REQUESTS)]


@pytest.mark.parametrize("end", ["shutdown", "stop", "kill"])
def test_requests_are_answered_though_the_supervisor_ends(play: Play, root: Root, end: str) -> None:
    gate = play.stage.hold("start x")
    futures = [start_child(root.ref, play.child("x", PinnedPlayer, shutdown=0.02))]
    play.stage.wait_reached("start x")
    # One is at work, or they wait for it; and some are still in the mailbox when it ends.
    futures += all_requests(play, root)
    actor = living(root.ref)
    assert actor is not None
    if end == "shutdown":
        root.request_shutdown()
    elif end == "stop":
        root.ref.stop(block=False)
    else:
        actor.kill()
    futures += all_requests(play, root)
    assert root.wait_ended(TIMEOUT)
    futures += all_requests(play, root)
    gate.set()
    for future in futures:
        try:
            future.get(timeout=TIMEOUT)
        except (ActorDeadError, ChildError):
            continue
    with pytest.raises(ActorDeadError):
        futures[0].get(timeout=TIMEOUT)
    # One that was killed in the middle of a start finds the child a moment later.
    play.occupy().set()
    assert play.system.paths() == []


@pytest.mark.parametrize("end", ["shutdown", "stop", "kill"])
@pytest.mark.usefixtures("hasty")
def test_every_request_is_answered_at_the_very_end(play: Play, end: str) -> None:
    for number in range(40):
        root = play.root(FLAGS[number % len(FLAGS)], play.child("a"))
        actor = living(root.ref)
        assert actor is not None
        futures: list[Future[Any]] = []
        begun = threading.Event()

        def ask(root: Root = root, futures: list[Future[Any]] = futures, begun: threading.Event = begun) -> None:
            for _ in range(10):
                futures.extend(all_requests(play, root))
                begun.set()

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        begun.wait(TIMEOUT)
        if end == "kill":
            actor.kill()
        elif end == "stop":
            assert root.ref.stop(timeout=TIMEOUT)
        else:
            root.request_shutdown()
        thread.join(TIMEOUT)
        assert root.wait_ended(TIMEOUT)
        assert len(futures) == 50
        for future in futures:
            try:
                future.get(timeout=TIMEOUT)
            except (ActorDeadError, ChildError):
                continue
        play.occupy().set()
        assert play.system.paths() == []


def test_stopping_a_supervisor_from_many_threads(play: Play) -> None:
    root = play.root(FLAGS[0], play.child("a", PinnedPlayer))
    gate = play.stage.hold("stop a")
    stops = [root.ref.stop(block=False) for _ in range(5)]
    play.stage.wait_reached("stop a")
    actor = living(root.ref)
    assert actor is not None
    actor.kill()
    assert [stop.get(timeout=TIMEOUT) for stop in stops] == [True] * 5
    gate.set()
    wait_for(lambda: play.system.paths() == [], TIMEOUT, "nobody is left")
