"""The tree as it stands, also while it hangs; and what a system knows of its actors."""

from __future__ import annotations

import logging

import pytest

from stage import TIMEOUT, LightPlayer, PinnedPlayer, Play, infos
from supervisors import (
    ActorInfo,
    Backoff,
    ChildState,
    LightActor,
    Report,
    ReportKind,
    Restart,
    Root,
    Supervisor,
    SupervisorFlags,
    System,
    default_system,
    living,
    snapshot,
)
from waiting import wait_for

MANY = SupervisorFlags(intensity=1000)


def test_the_tree(play: Play) -> None:
    root = play.root(MANY, play.branch("b", MANY, play.child("x", PinnedPlayer)), play.child("a"))
    top = root.snapshot()
    assert top is not None
    assert [info.path for info in top.walk()] == ["/", "/b", "/b/x", "/a"]
    assert [info.actor for info in top.walk()] == ["Supervisor", "Supervisor", "PinnedPlayer", "LightPlayer"]
    assert [info.isolation == "thread" for info in top.walk()] == [False, False, True, False]
    assert {info.state for info in top.walk()} == {"running"}
    assert all(info.epoch == play.epoch(info.path) for info in top.walk())
    assert all(info.age >= 0 and info.restarts == 0 and info.last_exit is None for info in top.walk())
    assert all(info.retry_in is None and info.mailbox == 0 and info.current is None for info in top.walk())
    branch = living(play.ref("/b"))
    assert branch is not None
    assert [info.path for info in snapshot(branch).walk()] == ["/b", "/b/x"]


def test_a_root_that_starts_or_stops_says_so(play: Play) -> None:
    gate, last = play.stage.hold("start a"), play.stage.hold("stop a")
    root = Root(play.system, MANY, [play.child("a", PinnedPlayer), play.child("b")])

    def states() -> dict[str, str]:
        return {path: info.state for path, info in infos(root).items()}

    play.stage.wait_reached("start a")
    wait_for(lambda: states() == {"/": "starting", "/a": "starting", "/b": "stopped"}, TIMEOUT, lambda: str(states()))
    gate.set()
    assert root.wait_ready(TIMEOUT)
    assert states() == {"/": "running", "/a": "running", "/b": "running"}
    root.request_shutdown()
    play.stage.wait_reached("stop a")
    wait_for(lambda: states() == {"/": "stopping", "/a": "stopping", "/b": "stopped"}, TIMEOUT, lambda: str(states()))
    last.set()
    assert root.wait_ended(TIMEOUT)
    assert root.snapshot() is None


def test_an_actor_that_hangs(play: Play) -> None:
    root = play.root(MANY, play.child("a", PinnedPlayer))
    play.ref("/a").ask("get", timeout=TIMEOUT)
    play.stage.hold("work a")
    for message in ("work", "one", "two"):
        play.ref("/a").tell(message)
    play.stage.wait_reached("work a")
    info = infos(root)["/a"]
    assert (info.state, info.current, info.mailbox, info.handled) == ("running", "str", 2, 1)
    assert info.current_age is not None
    assert info.current_age >= 0


def test_a_child_that_has_ended(play: Play) -> None:
    waits = play.child("w", backoff=Backoff(3600, 3600))
    root = play.root(MANY, play.child("a", restart=Restart.TRANSIENT), waits)
    reasons = [play.end("/a", "stop").reason, play.end("/w").reason]
    play.settled(root, a=ChildState.STOPPED, w=ChildState.RESTARTING)
    for path, reason in zip(("/a", "/w"), reasons, strict=True):
        info = infos(root)[path]
        assert (info.actor, info.isolation == "thread", info.epoch, info.last_exit) == ("LightPlayer", False, 0, reason)
        assert (info.retry_in is None) == (path == "/a")


@pytest.mark.usefixtures("hasty")
def test_snapshots_while_everything_changes(play: Play) -> None:
    root = play.root(MANY, *(play.child(str(number), restart=Restart.TEMPORARY) for number in range(300)))
    for number in range(300):
        play.ref(f"/{number}").tell("raise")
    seen: list[ActorInfo] = []

    def condition() -> bool:
        top = root.snapshot()
        assert top is not None
        seen.append(top)
        return not top.children

    wait_for(condition, TIMEOUT, "all have ended", interval=0.0005)


# -- the system ----------------------------------------------------------------------------------------------------


def test_lookup_and_tell(play: Play) -> None:
    assert play.system.lookup("/a") is None
    ref = play.start(LightPlayer)
    assert play.system.lookup("/a") is ref
    assert play.system.paths() == ["/a"]
    assert play.system.tell("/a", "get")
    assert not play.system.tell("/b", "get")
    assert play.system.dead_letters == 1


def test_the_newest_of_a_path_counts(play: Play) -> None:
    old, new = play.start(LightPlayer), play.start(LightPlayer)
    assert play.system.lookup("/a") is new
    old.stop(timeout=TIMEOUT)
    assert play.system.lookup("/a") is new
    new.stop(timeout=TIMEOUT)
    assert play.system.lookup("/a") is None


def test_reports_of_a_life(play: Play) -> None:
    root = play.root(MANY, play.child("a"))
    epoch = play.epoch("/a")
    play.end("/a")
    play.restarted("/a", epoch)
    wait_for(lambda: len(play.reports) == 3, TIMEOUT, lambda: str(play.reports))
    assert [(report.kind, report.path, report.child, report.restarts) for report in play.reports] == [
        (ReportKind.PROGRESS, "/", "a", 0),
        (ReportKind.CHILD_TERMINATED, "/", "a", 0),
        (ReportKind.PROGRESS, "/", "a", 1),
    ]
    play.shut_down(root)


def test_a_receiver_of_reports_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_report: Report) -> None:
        raise RuntimeError("cannot log")

    system = System(fail)
    play = Play()
    play.system = system
    root = play.root(MANY, play.child("a"))
    epoch = play.epoch("/a")
    play.end("/a")
    play.restarted("/a", epoch)
    play.shut_down(root)
    play.close()
    assert "cannot log" in caplog.text


def test_reports_are_logged_where_nobody_takes_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "supervisors")
    system = System()
    system.report(Report(ReportKind.PROGRESS, "/", "a"))
    assert "progress / a" in caplog.text
    system.stop()


def test_one_default_system_for_the_process() -> None:
    class Plain(LightActor):
        pass

    ref = Plain.start()
    actor = living(ref)
    assert actor is not None
    assert actor.system is default_system() is default_system()
    assert default_system().lookup(actor.path) is ref
    assert ref.stop(timeout=TIMEOUT)
    assert default_system().lookup(actor.path) is None


def test_actors_that_an_actor_makes_are_its_own_and_not_its_supervisors(play: Play) -> None:
    class Parent(LightPlayer):
        def on_start(self) -> None:
            self.helper = LightActor.start()

    class Early(LightPlayer):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type] # what the play gives
            self.helper = LightActor.start()

    root = play.root(MANY, play.child("a", Parent), play.child("b", Early))
    for path in ("/a", "/b"):
        actor = play.actor(path)
        assert isinstance(actor, Parent | Early)
        helper = living(actor.helper)
        assert helper is not None
        assert helper.path == helper.actor_urn
        actor.helper.stop(timeout=TIMEOUT)
    assert set(infos(root)) == {"/", "/a", "/b"}
    assert isinstance(living(root.ref), Supervisor)
