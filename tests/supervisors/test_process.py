"""Actors whose work runs in a child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import child_work
from stage import Play
from supervisors import (
    ActorInfo,
    Backoff,
    ChildSpec,
    ChildState,
    ExitKind,
    ProcessActor,
    ProcessWork,
    ReportKind,
    Root,
    Shutdown,
    SupervisorFlags,
    TellChild,
)
from waiting import wait_for

TIMEOUT = 30.0
"""Seconds after which something that should happen has not; long, as a test machine may be busy."""
ROOT = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Scene:
    """A root with one process actor, `/child`, and what its child has told."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.told: list[Any] = []
        self.root: Root | None = None

    def start(self, main: Callable[..., None], *, shutdown: float | Shutdown = 10.0, **work: Any) -> Root:
        """Start the child; it is restarted at once, ten times in a row."""
        what = ProcessWork(main, **{"on_told": self.told.append, **work})
        backoff = Backoff(minimum=0.05, maximum=0.05, immediate=10)
        spec = ChildSpec("child", ProcessActor, (what,), backoff=backoff, shutdown=shutdown)
        self.root = Root(self.play.system, SupervisorFlags(), [spec])
        return self.root

    def info(self) -> ActorInfo:
        """The child's place in the tree."""
        assert self.root is not None
        snapshot = self.root.snapshot()
        assert snapshot is not None
        return snapshot.children[0]

    def wait_running(self, *, other_than: int | None = None) -> int:
        """Wait until a child, not this one, is ready; its pid."""

        def running() -> int | None:
            info = self.info()
            ready = info.state == ChildState.RUNNING.value and info.pid != other_than
            return info.pid if ready else None

        return wait_for(running, TIMEOUT, lambda: f"it runs: {self.info()}")

    def wait_told(self, what: Any) -> None:
        """Wait until the child has told this."""
        wait_for(lambda: what in self.told, TIMEOUT, lambda: f"{what!r} is told: {self.told}")

    def wait_end(self, words: str) -> None:
        """Wait until one child has ended for a reason with these words."""

        def ended() -> bool:
            reports = [each for each in self.play.reports if each.reason is not None and each.child == "child"]
            return any(words in str(each.reason) for each in reports)

        wait_for(ended, TIMEOUT, lambda: f"{words!r}: {[str(each.reason) for each in self.play.reports]}")

    def stop(self) -> None:
        """End in order."""
        assert self.root is not None
        self.root.request_shutdown()
        assert self.root.wait_ended(TIMEOUT)


@pytest.fixture
def scene(play: Play) -> Iterator[Scene]:
    """A scene, at whose end no child is left."""
    made = Scene(play)
    yield made
    pid = made.info().pid if made.root is not None and made.root.reason is None else None
    if made.root is not None:
        made.root.kill()
    play.close()
    if pid is not None:
        wait_for(lambda: not alive(pid), TIMEOUT, f"process {pid} is gone")


def test_it_is_ready_when_the_child_says_so(scene: Scene) -> None:
    root = scene.start(child_work.idle)
    assert root.wait_ready(TIMEOUT)
    pid = scene.wait_running()
    scene.wait_told(pid)
    assert pid != os.getpid()
    info = scene.info()
    assert (info.isolation, info.pid, info.path, info.restarts) == ("process", pid, "/child", 0)


def test_it_stops_in_order(scene: Scene) -> None:
    scene.start(child_work.idle)
    pid = scene.wait_running()
    scene.stop()
    assert scene.told == [pid, "stopped in order"]
    assert not alive(pid)
    assert not [each for each in scene.play.reports if each.kind is ReportKind.SHUTDOWN_ERROR]


def test_one_that_does_not_stop_is_killed(scene: Scene) -> None:
    scene.start(child_work.does_not_stop, shutdown=0.2)
    pid = scene.wait_running()
    scene.stop()
    wait_for(lambda: not alive(pid), TIMEOUT, "it is killed")
    assert [each.child for each in scene.play.reports if each.kind is ReportKind.SHUTDOWN_ERROR] == ["child"]


def test_a_brutal_kill_takes_the_child_along(scene: Scene) -> None:
    scene.start(child_work.idle, shutdown=Shutdown.BRUTAL_KILL)
    pid = scene.wait_running()
    scene.stop()
    wait_for(lambda: not alive(pid), TIMEOUT, "it is killed")
    assert "stopped in order" not in scene.told


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_child_that_is_killed_is_named_its_signal_and_replaced(number: signal.Signals, scene: Scene) -> None:
    scene.start(child_work.idle)
    pid = scene.wait_running()
    os.kill(pid, number)
    assert scene.wait_running(other_than=pid) != pid
    scene.wait_end(f"the process was killed by {number.name}")
    last_exit = scene.info().last_exit
    assert last_exit is not None
    assert last_exit.kind is ExitKind.ERROR
    assert scene.info().restarts == 1


def test_a_child_that_ends_by_itself(scene: Scene) -> None:
    scene.start(child_work.exits)
    scene.wait_end("the process has ended with exit code 3")


def test_a_child_that_is_stopped_with_a_signal_answers_no_more_and_is_replaced(scene: Scene) -> None:
    scene.start(child_work.idle, hang_limit=1.0)
    pid = scene.wait_running()
    os.kill(pid, signal.SIGSTOP)
    scene.wait_running(other_than=pid)
    scene.wait_end("the process has not answered for 1.")
    wait_for(lambda: not alive(pid), TIMEOUT, "it is killed")


def test_a_child_stuck_in_c_code_is_replaced(scene: Scene) -> None:
    scene.start(child_work.stuck_in_c, hang_limit=1.0)
    pid = scene.wait_running()
    scene.wait_end("the process has not answered for 1.")
    wait_for(lambda: not alive(pid), TIMEOUT, "it is killed")


def test_a_child_that_says_that_it_hangs_is_killed(scene: Scene) -> None:
    scene.start(child_work.says_it_hangs)
    scene.wait_end("it hangs, and is killed; it stood at:\nat the bottom of the sea")


def test_a_child_that_takes_too_much_memory_is_killed(scene: Scene) -> None:
    scene.start(child_work.leaks, memory_max=64 << 20)
    scene.wait_end("MiB of memory, more than its limit of 64 MiB, and is killed")


def test_calls_to_the_parent(scene: Scene) -> None:
    threads: list[str] = []

    def add(one: int, other: int) -> int:
        threads.append(threading.current_thread().name)
        return one + other

    def fail() -> None:
        raise LookupError("not there")

    scene.start(child_work.calls, calls={"add": add, "raise": fail, "unpicklable": threading.Lock})
    scene.wait_told(("added", 5))
    scene.wait_told(("raise", "LookupError: not there"))
    scene.wait_told(("nowhere", "LookupError: the parent has no call 'nowhere'"))
    wait_for(lambda: len(scene.told) == 4, TIMEOUT, lambda: str(scene.told))
    assert scene.told[-1] == ("unpicklable", "TypeError: cannot pickle '_thread.lock' object")
    assert threads == ["/child"]
    assert scene.info().restarts == 0


def test_what_the_parent_cannot_handle_harms_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def hear(what: Any) -> None:
        if what == "choke":
            raise ValueError("too much")
        heard.append(what)

    scene.start(child_work.tells_what_cannot_be_handled, on_told=hear)
    wait_for(lambda: heard == ["still heard"], TIMEOUT, lambda: str(heard))
    assert "what its process has told cannot be handled" in caplog.text
    assert scene.info().restarts == 0
    scene.stop()


def test_a_start_that_fails(scene: Scene) -> None:
    scene.start(child_work.fails)
    scene.wait_end("the process has failed:\nTraceback")
    scene.wait_end("LookupError: a bug; asked to stop: False")


def test_a_start_that_takes_too_long(scene: Scene) -> None:
    scene.start(child_work.never_ready, start_timeout=0.5, hang_limit=1.0)
    scene.wait_end("the process has not become ready for ")


def test_the_tree_of_the_child_is_in_the_tree_of_the_parent(scene: Scene) -> None:
    scene.start(child_work.with_a_tree, hang_limit=1.0)
    wait_for(lambda: len(scene.info().children) == 2, TIMEOUT, lambda: f"its actors: {scene.info()}")
    assert [each.path for each in scene.info().children] == ["/child/one", "/child/two"]
    assert {each.isolation for each in scene.info().children} == {"thread"}
    scene.stop()


def test_the_end_is_told_before_the_replacement_starts(scene: Scene) -> None:
    ends: list[int] = []
    scene.start(child_work.idle, on_end=lambda: ends.append(len(scene.told)))
    pid = scene.wait_running()
    scene.wait_told(pid)
    os.kill(pid, signal.SIGKILL)
    scene.wait_told(scene.wait_running(other_than=pid))
    assert ends == [1]


def test_fifty_restarts_leave_nothing_behind(scene: Scene) -> None:
    def threads() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate())

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    scene.start(child_work.idle)
    pid = scene.wait_running()
    os.kill(pid, signal.SIGKILL)
    pid = scene.wait_running(other_than=pid)
    threads_before, descriptors_before = threads(), descriptors()
    pids = []
    for _ in range(50):
        pids.append(pid)
        os.kill(pid, signal.SIGKILL)
        pid = scene.wait_running(other_than=pid)
    wait_for(lambda: not any(Path(f"/proc/{each}").exists() for each in pids), TIMEOUT, "all of them are buried")
    wait_for(lambda: threads() == threads_before, TIMEOUT, lambda: f"{threads()}, before: {threads_before}")
    wait_for(lambda: descriptors() <= descriptors_before, TIMEOUT, lambda: f"{descriptors()}: {descriptors_before}")
    assert all("SIGKILL" in str(each.reason) for each in scene.play.reports if each.kind is ReportKind.CHILD_TERMINATED)


def parent(what: str) -> subprocess.Popen[str]:
    """A process with one child, whose pid it prints."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return subprocess.Popen(
        [sys.executable, "-m", "child_work", what],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        encoding="ascii",
        start_new_session=True,
    )


@pytest.mark.parametrize("what", ["idle", "stuck"])
def test_a_child_dies_with_its_parent(what: str) -> None:
    with parent(what) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
        wait_for(lambda: not alive(pid), TIMEOUT, f"the {what} child is gone")


def test_signals_to_all_are_for_the_parent_alone() -> None:
    with parent("idle") as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        server = int(status(child, "PPid"))
        assert server != process.pid
        for pid in (child, server):
            ignored = int(status(pid, "SigIgn"), 16)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                assert ignored >> (number - 1) & 1, f"{pid} does not ignore {number.name}"
        process.kill()
        wait_for(lambda: not alive(child) and not alive(server), TIMEOUT, "both are gone")


def status(pid: int, key: str) -> str:
    """What the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{key}:"))


def test_a_child_hears_what_it_is_told_from_its_start_on(scene: Scene) -> None:
    def tell_some() -> None:
        for what in ("one", "two"):
            assert scene.play.system.tell("/child", TellChild(what))

    scene.start(child_work.answers, calls={"tell me": tell_some})
    # Whatever the child is at: it is in the mailbox, and then in the pipe.
    wait_for(lambda: scene.play.system.lookup("/child") is not None, TIMEOUT, "it lives")
    assert scene.play.system.tell("/child", TellChild("zero"))
    scene.wait_running()
    # A bug in what hears it is no end of the child.
    for what in ("fail", "three"):
        assert scene.play.system.tell("/child", TellChild(what))
    expected = [f"heard {what}" for what in ("zero", "one", "two", "three")]
    wait_for(lambda: set(expected) <= set(scene.told), TIMEOUT, lambda: f"it has heard all: {scene.told}")
    # In order, as far as one has told it.
    assert [each for each in scene.told if each in expected[1:3]] == expected[1:3]
    assert scene.told.count("heard three") == 1
