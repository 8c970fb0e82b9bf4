"""After OTP's supervisor_SUITE: requests to a running supervisor, and what it says of its children."""

from __future__ import annotations

import pytest
from pykka import ActorDeadError

from conformance import ALL, MANY, REST, SIMPLE, children, counts, dynamic, log_of, refused, restart_of, wait_counts
from stage import TIMEOUT, LightPlayer, PinnedPlayer, Play
from supervisors import (
    Backoff,
    ChildError,
    ChildInfo,
    ChildState,
    Restart,
    Supervisor,
    SupervisorFlags,
    count_children,
    delete_child,
    get_childspec,
    restart_child,
    retry_child,
    start_child,
    start_dynamic_child,
    terminate_child,
    which_children,
)
from waiting import wait_for

NEVER = Backoff(3600, 3600)


@pytest.mark.parametrize("flags", [MANY, ALL, REST, SupervisorFlags(concurrent=True)])
def test_child_adm(play: Play, flags: SupervisorFlags) -> None:
    """Start, terminate, restart and delete a child, and OTP's errors."""
    root = play.root(flags, play.child("a"))
    refused(start_child(root.ref, play.child("a")), "already_started")
    refused(restart_child(root.ref, "a"), "running")
    refused(delete_child(root.ref, "a"), "running")
    for request in (terminate_child, restart_child, delete_child, retry_child):
        refused(request(root.ref, "nobody"), "not_found")
    refused(start_dynamic_child(root.ref), "not_dynamic")

    first = play.ref("/a")
    assert terminate_child(root.ref, "a").get(timeout=TIMEOUT) is None
    assert not first.is_alive()
    assert children(root.ref) == {"a": None}
    assert terminate_child(root.ref, "a").get(timeout=TIMEOUT) is None
    refused(start_child(root.ref, play.child("a")), "already_present")
    second = restart_child(root.ref, "a").get(timeout=TIMEOUT)
    assert children(root.ref) == {"a": second}
    assert second is not first

    assert terminate_child(root.ref, "a").get(timeout=TIMEOUT) is None
    assert delete_child(root.ref, "a").get(timeout=TIMEOUT) is None
    refused(restart_child(root.ref, "a"), "not_found")
    assert children(root.ref) == {}
    spec = play.child("a", PinnedPlayer)
    assert start_child(root.ref, spec).get(timeout=TIMEOUT) == play.ref("/a")
    assert get_childspec(root.ref, "a") == spec
    with pytest.raises(ChildError, match="not_found"):
        get_childspec(root.ref, "nobody")
    play.stage.fail("start b", ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        start_child(root.ref, play.child("b")).get(timeout=TIMEOUT)
    assert list(children(root.ref)) == ["a"]
    play.shut_down(root)
    for ask in (which_children, count_children, lambda ref: get_childspec(ref, "a")):
        with pytest.raises(ActorDeadError):
            ask(root.ref)


@pytest.mark.parametrize("restart", Restart)
def test_child_adm_simple(play: Play, restart: Restart) -> None:
    """Dynamic children are started and terminated; they are not restarted or deleted on request."""
    template = play.child("x", restart=restart)
    root = play.root(SIMPLE, template)
    assert play.stage.log == []
    refused(start_child(root.ref, play.child("y")), "simple_one_for_one")
    first, second = dynamic(root), dynamic(root)
    assert children(root.ref) == {first: play.ref(f"/{first}"), second: play.ref(f"/{second}")}
    assert get_childspec(root.ref, "x") == template
    for child_id in (first, "x", "nobody"):
        refused(restart_child(root.ref, child_id), "simple_one_for_one")
        refused(delete_child(root.ref, child_id), "simple_one_for_one")
    refused(terminate_child(root.ref, "x"), "not_found")
    assert terminate_child(root.ref, first).get(timeout=TIMEOUT) is None
    assert play.system.lookup(f"/{first}") is None
    assert list(children(root.ref)) == [second]
    refused(terminate_child(root.ref, first), "not_found")
    # An id is not given twice.
    third = dynamic(root)
    assert third not in {first, second}
    assert list(children(root.ref)) == [second, third]
    play.shut_down(root)


def test_which_children(play: Play) -> None:
    """Who they are, whether they run, and what they are; a child that has been terminated included."""
    root = play.root(MANY, play.child("a"), play.branch("b", MANY, play.child("x")), play.child("c", PinnedPlayer))
    assert which_children(root.ref) == [
        ChildInfo("a", play.ref("/a"), False, False, LightPlayer),
        ChildInfo("b", play.ref("/b"), False, True, Supervisor),
        ChildInfo("c", play.ref("/c"), False, False, PinnedPlayer),
    ]
    assert list(children(play.ref("/b"))) == ["x"]
    terminate_child(root.ref, "b").get(timeout=TIMEOUT)
    restart_of(play, "/c")
    assert children(root.ref) == {"a": play.ref("/a"), "b": None, "c": play.ref("/c")}
    play.shut_down(root)
    assert children(play.root(MANY).ref) == {}


def test_which_children_simple_one_for_one(play: Play) -> None:
    """All of one kind; unlike in OTP, where they have no ids, each has its own."""
    root = play.root(SIMPLE, play.branch("b", MANY, play.child("x")))
    assert which_children(root.ref) == []
    first, second = dynamic(root), dynamic(root)
    assert which_children(root.ref) == [
        ChildInfo(first, play.ref(f"/{first}"), False, True, Supervisor),
        ChildInfo(second, play.ref(f"/{second}"), False, True, Supervisor),
    ]
    play.shut_down(root)


def test_count_children(play: Play) -> None:
    """Specifications, those that run, and workers; what has been terminated is one that does not run."""
    root = play.root(MANY)
    assert counts(root.ref) == (0, 0, 0, 0)
    for name in "abc":
        start_child(root.ref, play.child(name)).get(timeout=TIMEOUT)
    assert counts(root.ref) == (3, 3, 0, 3)
    terminate_child(root.ref, "b").get(timeout=TIMEOUT)
    assert counts(root.ref) == (3, 2, 0, 3)
    delete_child(root.ref, "b").get(timeout=TIMEOUT)
    assert counts(root.ref) == (2, 2, 0, 2)
    play.shut_down(root)
    simple = play.root(SIMPLE, play.child("x"))
    assert counts(simple.ref) == (1, 0, 0, 0)
    first, _ = dynamic(simple), dynamic(simple)
    assert counts(simple.ref) == (1, 2, 0, 2)
    terminate_child(simple.ref, first).get(timeout=TIMEOUT)
    assert counts(simple.ref) == (1, 1, 0, 1)


def test_count_children_supervisor(play: Play) -> None:
    """Supervisors are counted apart, also where they do not run."""
    root = play.root(MANY, play.branch("b", MANY), play.child("a"), play.branch("c", MANY))
    assert counts(root.ref) == (3, 3, 2, 1)
    terminate_child(root.ref, "b").get(timeout=TIMEOUT)
    assert counts(root.ref) == (3, 2, 2, 1)
    play.shut_down(root)
    simple = play.root(SIMPLE, play.branch("b", MANY))
    dynamic(simple)
    assert counts(simple.ref) == (1, 1, 1, 0)


@pytest.mark.parametrize("flags", [MANY, SIMPLE])
def test_count_restarting_children(play: Play, flags: SupervisorFlags) -> None:
    """A child between two tries to restart it is one that does not run. Here a back-off keeps it there."""
    spec = play.child("x", backoff=NEVER)
    root = play.root(flags, *([spec] if flags is SIMPLE else [play.child(name, backoff=NEVER) for name in "abc"]))
    names = [dynamic(root) for _ in range(3)] if flags is SIMPLE else list("abc")
    specs = 1 if flags is SIMPLE else 3
    assert counts(root.ref) == (specs, 3, 0, 3)
    for number, name in enumerate(names, 1):
        play.end(f"/{name}")
        wait_counts(root.ref, specs, 3 - number, 0, 3)
        play.settled(root, **{name: ChildState.RESTARTING})
        assert children(root.ref)[name] == "restarting"
    for number, name in enumerate(names, 1):
        assert retry_child(root.ref, name).get(timeout=TIMEOUT) is None
        wait_counts(root.ref, specs, number, 0, 3)
    # One that waits can be terminated.
    play.end(f"/{names[0]}")
    wait_for(lambda: children(root.ref)[names[0]] == "restarting", TIMEOUT, "it waits")
    terminate_child(root.ref, names[0]).get(timeout=TIMEOUT)
    assert counts(root.ref) == (specs, 2, 0, 2 if flags is SIMPLE else 3)
    play.shut_down(root)


@pytest.mark.parametrize("flags", [MANY, REST, ALL])
def test_order_of_children(play: Play, flags: SupervisorFlags) -> None:
    """Children keep their order over restarts, on request or not; those added come last; the end is in reverse."""
    root = play.root(flags, *(play.child(name) for name in "abc"))
    start_child(root.ref, play.child("d")).get(timeout=TIMEOUT)
    restart_of(play, "/b")
    wait_for(lambda: counts(root.ref)[1] == 4, TIMEOUT, "all run")
    terminate_child(root.ref, "a").get(timeout=TIMEOUT)
    restart_child(root.ref, "a").get(timeout=TIMEOUT)
    assert list(children(root.ref)) == list("abcd")
    play.stage.log.clear()
    play.shut_down(root)
    assert log_of(play, "stop") == ["stop d", "stop c", "stop b", "stop a"]
