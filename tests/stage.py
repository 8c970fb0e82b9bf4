"""Actors whose every step a test directs, and what watches them."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from pykka import ActorRef

from supervisors import (
    Actor,
    ActorInfo,
    ChildSpec,
    ChildState,
    Down,
    LightActor,
    PinnedActor,
    Ready,
    Report,
    ReportKind,
    Root,
    Supervisor,
    SupervisorFlags,
    System,
    living,
)
from supervisors.birth import birth
from supervisors.dispatcher import WORKERS
from waiting import wait_for

TIMEOUT = 10.0
"""Seconds after which something that should happen has not; long, as a test machine may be busy."""

ActorClass = type[Actor]


class Watcher:
    """A parent or a monitor: keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[Ready | Down] = []
        self._down = threading.Event()

    def __call__(self, message: Ready | Down) -> None:
        self.messages.append(message)
        if isinstance(message, Down):
            self._down.set()

    @property
    def downs(self) -> list[Down]:
        """All that it has been told of ends."""
        return [message for message in self.messages if isinstance(message, Down)]

    @property
    def readies(self) -> list[Ready]:
        """All that it has been told of beginnings."""
        return [message for message in self.messages if isinstance(message, Ready)]

    def wait_down(self) -> Down:
        """The one end, as soon as it has come."""
        assert self._down.wait(TIMEOUT), "no Down came"
        (down,) = self.downs
        return down


class Stage:
    """What a test prescribes to its actors, by their names, over all their incarnations; and what they have done.

    Attributes:
        log: what has happened, as "start a", "stop a", in order.
        errors: what to raise, by the step and the name; `fail` fills it.
        starts: how often each has come to its `on_start`.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.errors: dict[str, list[BaseException]] = defaultdict(list)
        self.starts: Counter[str] = Counter()
        self._gates: dict[str, threading.Event] = {}
        self._reached: dict[str, threading.Event] = {}

    def fail(self, step: str, *errors: BaseException) -> None:
        """Have the next comings to a step, as "start a", raise these, one after the other."""
        self.errors[step] += errors

    def hold(self, step: str) -> threading.Event:
        """Have everyone who comes to a step wait there until the event is set."""
        return self._gates.setdefault(step, threading.Event())

    def release(self) -> None:
        """Open all gates, those of actors that nobody waits for included."""
        for gate in self._gates.values():
            gate.set()

    def wait_reached(self, step: str) -> None:
        """Wait until somebody has come to a step."""
        assert self._event(step).wait(TIMEOUT), f"nobody came to {step!r}: {self.log}"

    def come(self, step: str) -> None:
        """Somebody comes to a step."""
        self.log.append(step)
        self._event(step).set()
        gate = self._gates.get(step)
        if gate is not None:
            gate.wait(TIMEOUT * 3)
        if self.errors[step]:
            raise self.errors[step].pop(0)

    def _event(self, step: str) -> threading.Event:
        # Two threads may be the first at once: all must have the same event.
        return self._reached.setdefault(step, threading.Event())


class Player(Actor):
    """Does what the stage says; its name is the last part of its path.

    Messages: "raise", "stop", "shut down", "get" (answers "got"); an exception is raised; anything else is a step.
    """

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.name = self.path.rsplit("/", 1)[-1]
        stage.come(f"init {self.name}")

    def on_start(self) -> None:
        self.stage.starts[self.name] += 1
        self.stage.come(f"start {self.name}")

    def on_stop(self) -> None:
        self.stage.come(f"stop {self.name}")

    def on_failure(self, *_exc_info: object) -> None:
        self.stage.come(f"failure {self.name}")

    def on_receive(self, message: Any) -> Any:
        match message:
            case BaseException():
                raise message
            case "raise":
                raise ValueError("told to")
            case "stop":
                self.stop()
            case "shut down":
                self.request_shutdown()
            case "get":
                return "got"
            case _:
                self.stage.come(f"{message} {self.name}")
        return None


class LightPlayer(Player, LightActor):
    """A player on the dispatcher. Only one or two may be held at a time: they hold workers."""


class PinnedPlayer(Player, PinnedActor):
    """A player on its own thread."""


class Play:
    """A system with a stage, and the trees and actors in it."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.reports: list[Report] = []
        self.system = System(self.reports.append)
        self.parent = Watcher()

    def close(self) -> None:
        """End all that is left, however it is."""
        self.stage.release()
        for path in self.system.paths():
            actor = self.actor(path)
            if actor is not None:
                actor.kill()
        self.system.stop()

    # -- single actors -------------------------------------------------------------------------------------------

    def start(self, actor_class: ActorClass, path: str = "/a", *args: Any) -> ActorRef[Any]:
        """Start an actor without a supervisor; `parent` is told of it."""
        with birth(self.system, path, self.parent):
            return actor_class.start(*(args or (self.stage,)))

    def actor(self, path: str) -> Actor | None:
        """The living actor of a path."""
        ref = self.system.lookup(path)
        return None if ref is None else living(ref)

    def occupy(self) -> threading.Event:
        """Have all workers of the dispatcher wait until the event is set; none is in a turn of an actor then.

        Those that stand in too, as they do where this machine was busy; and no other one stands in meanwhile.
        """
        free = threading.Event()
        watching = threading.Event()
        at_it: list[None] = []
        dispatcher = self.system.dispatcher

        def keep_watch() -> None:
            watching.set()
            free.wait(TIMEOUT)

        def wait() -> None:
            at_it.append(None)
            free.wait(TIMEOUT)

        # It is where the dispatcher looks whether somebody must stand in.
        dispatcher._wheel.schedule(0, keep_watch)
        assert watching.wait(TIMEOUT), "the wheel does not turn"
        for _ in range(WORKERS + dispatcher.extra):
            dispatcher.submit(wait)
        wait_for(lambda: len(at_it) >= WORKERS + dispatcher.extra, TIMEOUT, "all workers wait")
        return free

    def wait_idle(self, path: str) -> None:
        """Wait until no thread is at work for an actor that has ended, be it light or pinned."""
        wait_for(lambda: path not in [thread.name for thread in threading.enumerate()], TIMEOUT, "the thread's end")
        self.occupy().set()

    def watch(self, ref: ActorRef[Any] | None) -> Watcher:
        """A new monitor of an actor."""
        watcher = Watcher()
        actor = living(ref) if ref is not None else None
        assert actor is not None
        actor.add_monitor(watcher)
        return watcher

    # -- trees ---------------------------------------------------------------------------------------------------

    def child(self, child_id: str, actor_class: ActorClass = LightPlayer, **options: Any) -> ChildSpec:
        """The specification of a player."""
        return ChildSpec(child_id, actor_class, args=(self.stage,), **options)

    def branch(self, child_id: str, flags: SupervisorFlags, *children: ChildSpec, **options: Any) -> ChildSpec:
        """The specification of a supervisor."""
        return ChildSpec(child_id, Supervisor, args=(flags, children), **options)

    def root(self, flags: SupervisorFlags, *children: ChildSpec) -> Root:
        """Start a tree, and wait until it is ready."""
        root = Root(self.system, flags, children)
        assert root.wait_ready(TIMEOUT)
        return root

    def ref(self, path: str) -> ActorRef[Any]:
        """Whoever lives at a path."""
        ref = self.system.lookup(path)
        assert ref is not None, f"nobody lives at {path}: {self.system.paths()}"
        return ref

    def end(self, path: str, how: str = "raise") -> Down:
        """Have a player end: "raise", "stop", "shut down" or "kill"; how it ended."""
        watcher = self.watch(self.ref(path))
        actor = self.actor(path)
        assert actor is not None
        if how == "kill":
            actor.kill()
        elif how == "shut down":
            actor.request_shutdown()
        elif how == "stop":
            actor.actor_ref.stop(block=False)
        else:
            actor.actor_ref.tell(how)
        return watcher.wait_down()

    def settled(self, root: Root, **states: ChildState) -> None:
        """Wait until children of the root are in these states, and nothing else is in between."""

        def condition() -> bool:
            now = {path.rsplit("/", 1)[-1]: info.state for path, info in infos(root).items()}
            return all(now.get(child_id) == state.value for child_id, state in states.items())

        wait_for(condition, TIMEOUT, lambda: f"{states}: {infos(root)}; {self.stage.log}")

    def restarted(self, path: str, epoch: int) -> Actor:
        """Wait for the incarnation after the one with this epoch, which runs."""

        def condition() -> Actor | None:
            actor = self.actor(path)
            ready = actor is not None and actor.epoch > epoch and actor.vitals.state.value == "running"
            return actor if ready else None

        return wait_for(condition, TIMEOUT, lambda: f"a restart of {path}: {self.stage.log} {self.reports}")

    def epoch(self, path: str) -> int:
        """The epoch of whoever lives at a path."""
        actor = self.actor(path)
        assert actor is not None, f"nobody lives at {path}"
        return actor.epoch

    def shut_down(self, root: Root) -> None:
        """End a tree in order; nobody is left."""
        root.request_shutdown()
        assert root.wait_ended(TIMEOUT), f"the root did not end: {infos(root)}"
        # A supervisor that is killed while it starts a child finds that one a moment after its own end.
        wait_for(lambda: not self.system.paths(), TIMEOUT, lambda: f"left behind: {self.system.paths()}")

    def kinds(self, *kinds: ReportKind) -> list[Report]:
        """The reports of some kinds."""
        return [report for report in self.reports if report.kind in kinds]


def infos(root: Root) -> dict[str, ActorInfo]:
    """The tree by path; empty where the root has ended."""
    snapshot = root.snapshot()
    return {} if snapshot is None else {info.path: info for info in snapshot.walk()}


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run work in threads that begin at one moment, and wait for them; what they raise is raised."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(TIMEOUT)
            work(number)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has failed with it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT * 3)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
