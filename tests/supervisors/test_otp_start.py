"""After OTP's supervisor_SUITE: how supervisors and children start, and what they are told."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from conformance import ALL, MANY, REST, SIMPLE, children, counts, dynamic, ended, log_of, refused, told
from stage import TIMEOUT, LightPlayer, PinnedPlayer, Play
from supervisors import (
    AutoShutdown,
    ChildSpec,
    ChildSpecError,
    ExitKind,
    IgnoreStart,
    LightActor,
    ReportKind,
    Restart,
    Root,
    Shutdown,
    Strategy,
    Supervisor,
    SupervisorFlags,
    check_specs,
    get_childspec,
    restart_child,
    start_child,
    start_dynamic_child,
    terminate_child,
)
from waiting import wait_for


def test_sup_start_normal(play: Play) -> None:
    """A supervisor starts, and stops with reason shutdown when its parent says so."""
    root = play.root(MANY)
    assert children(root.ref) == {}
    play.shut_down(root)
    assert root.reason is not None
    assert root.reason.kind is ExitKind.SHUTDOWN


class _Absent(Supervisor):
    def __init__(self, *_args: Any) -> None:
        raise IgnoreStart


def test_sup_start_ignore_init(play: Play) -> None:
    """A supervisor may not want to run: that is no failure of its parent."""
    with pytest.raises(IgnoreStart):
        _Absent.start(MANY)
    root = play.root(MANY, ChildSpec("b", _Absent, args=(MANY,)), play.child("c"))
    assert children(root.ref) == {"b": None, "c": play.ref("/c")}
    assert play.kinds(ReportKind.START_ERROR) == []
    play.shut_down(root)


@pytest.mark.parametrize("flags", [MANY, ALL, REST, SupervisorFlags(concurrent=True)])
@pytest.mark.parametrize("step", ["init", "start"])
def test_sup_start_ignore_child(play: Play, step: str, flags: SupervisorFlags) -> None:
    """A child that ignores its start has a specification and no actor; those after it start."""
    play.stage.fail(f"{step} b", IgnoreStart())
    root = play.root(flags, play.child("a"), play.child("b"), play.child("c"))
    assert children(root.ref) == {"a": play.ref("/a"), "b": None, "c": play.ref("/c")}
    play.stage.fail(f"{step} d", IgnoreStart())
    assert start_child(root.ref, play.child("d")).get(timeout=TIMEOUT) is None
    assert children(root.ref)["d"] is None
    assert counts(root.ref) == (4, 2, 0, 4)
    refused(start_child(root.ref, play.child("d")), "already_present")
    # One that has been terminated may ignore its next start, and want the one after that.
    assert restart_child(root.ref, "b").get(timeout=TIMEOUT) == play.ref("/b")
    terminate_child(root.ref, "b").get(timeout=TIMEOUT)
    play.stage.fail(f"{step} b", IgnoreStart())
    assert restart_child(root.ref, "b").get(timeout=TIMEOUT) is None
    assert children(root.ref)["b"] is None
    assert play.kinds(ReportKind.START_ERROR) == []
    play.shut_down(root)


@pytest.mark.parametrize("flags", [MANY, ALL, REST])
def test_sup_start_ignore_temporary_child(play: Play, flags: SupervisorFlags) -> None:
    """The specification of a temporary child that ignores its start is not kept."""
    play.stage.fail("start a", IgnoreStart())
    play.stage.fail("start c", IgnoreStart())
    root = play.root(flags, play.child("a", restart=Restart.TEMPORARY), play.child("b", restart=Restart.TEMPORARY))
    assert children(root.ref) == {"b": play.ref("/b")}
    assert start_child(root.ref, play.child("c", restart=Restart.TEMPORARY)).get(timeout=TIMEOUT) is None
    assert children(root.ref) == {"b": play.ref("/b")}
    play.shut_down(root)


def test_sup_start_error_return(play: Play) -> None:
    """What a supervisor is started with is no flags, or no children: `start()` raises, and nothing lives."""
    wrong: Any = "invalid"
    for arguments in ((wrong,), (MANY, wrong), (MANY, [wrong]), (SIMPLE, [])):
        with pytest.raises(ChildSpecError):
            Root(play.system, *arguments)
    assert play.system.paths() == []


class _Broken(Supervisor):
    def __init__(self, *_args: Any) -> None:
        raise RuntimeError("told to fail")


def test_sup_start_fail(play: Play) -> None:
    """An exception in the supervisor's own `__init__` goes to whoever starts it; a parent cannot start either."""
    with pytest.raises(RuntimeError, match="told to fail"):
        _Broken.start(MANY)
    root = play.root(MANY, play.child("a"), ChildSpec("b", _Broken, args=(MANY,)))
    ended(play, root)
    assert "RuntimeError: told to fail" in str(told(play, ReportKind.START_ERROR, "b").reason)


@pytest.mark.parametrize("step", ["init", "start"])
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("flags", [MANY, ALL, REST])
def test_sup_start_child_returns_error(play: Play, flags: SupervisorFlags, restart: Restart, step: str) -> None:
    """A child that cannot start, of whatever type, fails the supervisor; those before it are stopped in reverse."""
    play.stage.fail(f"{step} c", ValueError("no"))
    root = play.root(flags, play.child("a"), play.child("b"), play.child("c", restart=restart), play.child("d"))
    ended(play, root)
    assert log_of(play, "stop") == ["stop b", "stop a"]
    assert "init d" not in play.stage.log
    assert str(told(play, ReportKind.START_ERROR, "c").reason) == "ValueError: no"


@pytest.mark.parametrize("flags", [MANY, ALL, REST])
def test_sup_start_restart_child_returns_error(play: Play, flags: SupervisorFlags) -> None:
    """A restart that fails is tried again, and each try counts, until the supervisor has had enough."""
    flags = SupervisorFlags(flags.strategy, intensity=2, period=3600)
    root = play.root(flags, play.child("a"))
    play.stage.fail("start a", *(ValueError(str(number)) for number in range(9)))
    play.end("/a")
    ended(play, root)
    assert [str(report.reason) for report in play.kinds(ReportKind.START_ERROR)] == ["ValueError: 0", "ValueError: 1"]


def test_sup_start_map(play: Play) -> None:
    """What a specification and the flags do not say has OTP's default."""
    spec, flags = ChildSpec("a", LightPlayer), SupervisorFlags()
    assert (spec.restart, spec.significant, spec.shutdown) == (Restart.PERMANENT, False, None)
    assert (flags.strategy, flags.intensity, flags.period) == (Strategy.ONE_FOR_ONE, 1, 5)
    assert flags.auto_shutdown is AutoShutdown.NEVER
    root = play.root(flags, play.child("a"))
    play.end("/a")
    wait_for(lambda: play.stage.starts["a"] == 2, TIMEOUT, "one restart")
    play.end("/a")
    ended(play, root)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": 7},
        {"actor_class": dict},
        {"actor_class": "LightPlayer"},
        {"restart": "permanent"},
        {"restart": None},
        {"significant": "yes"},
        {"significant": True},
        {"shutdown": "infinity"},
        {"shutdown": -1},
        {"shutdown": True},
    ],
    ids=str,
)
def test_sup_start_map_faulty_specs(wrong: dict[str, Any]) -> None:
    """A faulty specification is refused when it is made. Significant and permanent cannot be together."""
    with pytest.raises(ChildSpecError):
        ChildSpec(**{"id": "a", "actor_class": LightPlayer, **wrong})


def test_child_specs(play: Play) -> None:
    """All are checked, together and with the flags, before the first one starts, and so are those added later."""
    any_one = SupervisorFlags(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    significant = play.child("s", restart=Restart.TRANSIENT, significant=True)
    for flags, specs in (
        (MANY, [play.child("a"), play.child("b"), play.child("a")]),
        (MANY, [play.child("a"), significant]),
        (SIMPLE, []),
        (SIMPLE, [play.child("a"), play.child("b")]),
        (SIMPLE, [significant]),
    ):
        with pytest.raises(ChildSpecError):
            check_specs(specs, flags)
        with pytest.raises(ChildSpecError):
            Root(play.system, flags, specs)
    assert play.stage.log == []
    check_specs([play.child("a"), significant], any_one)
    for shutdown in (0, 0.5, Shutdown.INFINITY, Shutdown.BRUTAL_KILL, None):
        check_specs([play.child("a", shutdown=shutdown)], MANY)
    root = play.root(MANY)
    with pytest.raises(ChildSpecError, match="auto_shutdown"):
        start_child(root.ref, significant).get(timeout=TIMEOUT)
    assert children(root.ref) == {}
    play.shut_down(root)
    root = play.root(any_one)
    assert start_child(root.ref, significant).get(timeout=TIMEOUT) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "one_for_one"},
        {"strategy": None},
        {"intensity": -1},
        {"intensity": "1"},
        {"period": 0},
        {"period": -5},
        {"period": None},
        {"auto_shutdown": "never"},
        {"auto_shutdown": True},
    ],
    ids=str,
)
def test_sup_flags(wrong: dict[str, Any]) -> None:
    """Faulty flags are refused when they are made."""
    with pytest.raises(ChildSpecError):
        SupervisorFlags(**wrong)


def test_extra_return(play: Play) -> None:
    """No counterpart: a start returns a ref, and no third element. What a child has to say is asked of its ref."""
    root = play.root(MANY)
    assert start_child(root.ref, play.child("a")).get(timeout=TIMEOUT).ask("get", timeout=TIMEOUT) == "got"
    terminate_child(root.ref, "a").get(timeout=TIMEOUT)
    assert restart_child(root.ref, "a").get(timeout=TIMEOUT).ask("get", timeout=TIMEOUT) == "got"
    play.shut_down(root)
    root = play.root(SIMPLE, play.child("x"))
    assert start_dynamic_child(root.ref).get(timeout=TIMEOUT).ask("get", timeout=TIMEOUT) == "got"


class _Heavy:
    pass


class _Forgetful(LightActor):
    def __init__(self, *_args: Any) -> None:
        super().__init__()


def _is_kept(made: weakref.ref[_Heavy]) -> bool:
    gc.collect()
    return made() is not None


@pytest.mark.parametrize("restart", Restart)
def test_do_not_save_start_parameters(play: Play, restart: Restart) -> None:
    """What a temporary child was started with is not kept alive: it is never needed again. That of others is."""
    fixed = play.root(MANY)
    heavy = _Heavy()
    start_child(fixed.ref, ChildSpec("a", _Forgetful, args=(heavy,), restart=restart)).get(timeout=TIMEOUT)
    many = Root(play.system, SIMPLE, [ChildSpec("x", _Forgetful, args=(1,), restart=restart)], path="/many")
    assert many.wait_ready(TIMEOUT)
    other = _Heavy()
    child_id = dynamic(many, other)
    made = [weakref.ref(heavy), weakref.ref(other)]
    del heavy, other
    if restart is Restart.TEMPORARY:
        wait_for(lambda: not any(map(_is_kept, made)), TIMEOUT, "they are forgotten")
        assert get_childspec(fixed.ref, "a").args == get_childspec(many.ref, child_id).args == ()
    else:
        assert all(map(_is_kept, made))
        assert get_childspec(many.ref, child_id).args == (1, made[1]())
    # That of the dynamic supervisor itself is needed for each child.
    assert get_childspec(many.ref, "x").args == (1,)


@pytest.mark.parametrize("flags", [MANY, ALL, REST])
@pytest.mark.parametrize("how", ["terminate", "raise", "stop"])
def test_do_not_save_child_specs_for_temporary_children(play: Play, flags: SupervisorFlags, how: str) -> None:
    """The specification of a temporary child goes when it ends, however that is; its id is free again."""
    root = play.root(flags, play.child("a"), play.child("t", PinnedPlayer, restart=Restart.TEMPORARY))
    if how == "terminate":
        terminate_child(root.ref, "t").get(timeout=TIMEOUT)
    else:
        play.end("/t", how)
    wait_for(lambda: list(children(root.ref)) == ["a"], TIMEOUT, lambda: str(children(root.ref)))
    refused(restart_child(root.ref, "t"), "not_found")
    assert start_child(root.ref, play.child("t")).get(timeout=TIMEOUT) == play.ref("/t")
    play.shut_down(root)
