"""Random trees, to which random things happen: what must hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stage import TIMEOUT, LightPlayer, PinnedPlayer, Play
from supervisors import (
    ActorInfo,
    Backoff,
    ChildSpec,
    Restart,
    Root,
    Strategy,
    Supervisor,
    SupervisorFlags,
    retry_child,
    terminate_child,
)
from waiting import wait_for


@dataclass(frozen=True)
class Leaf:
    pinned: bool
    restart: Restart
    backoff: bool


@dataclass(frozen=True)
class Branch:
    flags: SupervisorFlags
    restart: Restart
    backoff: bool
    children: tuple[Leaf | Branch, ...]


@dataclass(frozen=True)
class Deed:
    """Something that is done to one of the actors that live just then."""

    victim: int
    what: str
    failures: int


restarts = st.sampled_from(Restart)
# A back-off is rare, as it hides what the intensity does.
backoffs = st.sampled_from([False, False, False, True])
flags = st.one_of(
    st.builds(
        SupervisorFlags,
        strategy=st.sampled_from([each for each in Strategy if each is not Strategy.SIMPLE_ONE_FOR_ONE]),
        intensity=st.sampled_from([0, 2, 1000]),
        period=st.just(0.5),
    ),
    st.just(SupervisorFlags(intensity=1000, period=0.5, concurrent=True)),
)
leaves = st.builds(Leaf, st.booleans(), restarts, backoffs)


def branches(below: st.SearchStrategy[Leaf | Branch]) -> st.SearchStrategy[Branch]:
    return st.builds(Branch, flags, restarts, backoffs, st.lists(below, max_size=4).map(tuple))


trees = branches(st.one_of(leaves, branches(st.one_of(leaves, branches(leaves)))))
deeds = st.lists(
    st.builds(
        Deed,
        st.integers(0, 100),
        st.sampled_from(["raise", "exit", "stop", "shut down", "kill", "kill", "terminate", "retry"]),
        st.sampled_from([0, 0, 0, 1, 3]),
    ),
    max_size=12,
)


def spec_of(play: Play, tree: Leaf | Branch, name: str) -> ChildSpec:
    options: dict[str, Any] = {"restart": tree.restart}
    if tree.backoff:
        options["backoff"] = Backoff(0.002, 0.01)
    if isinstance(tree, Leaf):
        return play.child(name, PinnedPlayer if tree.pinned else LightPlayer, **options)
    return play.branch(name, tree.flags, *specs_below(play, tree, name), **options)


def specs_below(play: Play, tree: Branch, name: str) -> Iterator[ChildSpec]:
    for number, below in enumerate(tree.children):
        # Unlike all others: the stage knows players by their names.
        yield spec_of(play, below, f"{name}{number}")


class Director:
    """Does the deeds in one tree, and knows what may be found afterwards."""

    def __init__(self, tree: Branch) -> None:
        self.play = Play()
        self.terminated: set[str] = set()
        self.root = Root(self.play.system, tree.flags, list(specs_below(self.play, tree, "n")))

    def do(self, deed: Deed) -> None:
        """Do it, to somebody; wait for nothing."""
        paths = [path for path in self.play.system.paths() if path != "/"]
        path = paths[deed.victim % len(paths)] if paths else ""
        actor, parent = self.play.actor(path), self.play.system.lookup(above(path))
        if actor is None or parent is None:
            return
        name = path.rsplit("/", 1)[-1]
        self.play.stage.fail(f"start {name}", *(ValueError("not yet") for _ in range(deed.failures)))
        match deed.what:
            case "kill":
                actor.kill()
            case "shut down":
                actor.request_shutdown()
            case "stop":
                actor.actor_ref.stop(block=False)
            case "terminate":
                self.terminated.add(path)
                terminate_child(parent, name)
            case "retry":
                retry_child(parent, name)
            case "exit":
                actor.tell_self(SystemExit(1))
            case _:
                actor.tell_self("raise")

    def is_settled(self) -> bool:
        """Whether nothing is in between, and every place is as it should be."""
        top = self.root.snapshot()
        if top is None:
            return self.root.reason is not None and self.play.system.paths() == []
        running = {info.path for info in top.walk() if info.state == "running"}
        # No orphans, and nobody who is only thought to live.
        return running == set(self.play.system.paths()) and all(map(self.is_right, top.walk()))

    def is_right(self, info: ActorInfo) -> bool:
        """Whether a place is one where nothing more will happen by itself."""
        if info.state == "running":
            return True
        if info.state != "stopped" or info.children:
            return False
        if any(above(path) == above(info.path) for path in self.terminated):
            # By request; with a child of rest_for_one that waited for its back-off, those after it as well.
            return True
        supervisor = self.play.actor(above(info.path))
        child = supervisor.children.get(info.path.rsplit("/", 1)[-1]) if isinstance(supervisor, Supervisor) else None
        if child is None:
            # It has changed since.
            return False
        spec = child.spec
        return spec.restart is Restart.TRANSIENT and info.last_exit is not None and not info.last_exit.is_abnormal

    def describe(self) -> str:
        """For the message of a failure."""
        top = self.root.snapshot()
        places = [] if top is None else [(info.path, info.state, str(info.last_exit)) for info in top.walk()]
        return f"settled: {places}; living: {self.play.system.paths()}; reports: {self.play.reports[-10:]}"

    def end(self) -> None:
        """End the tree in order: nothing is left."""
        self.play.shut_down(self.root)
        self.play.occupy().set()
        assert self.play.system.paths() == []
        assert len(self.play.system.wheel) == 0


def above(path: str) -> str:
    """The path of a path's supervisor."""
    return path.rsplit("/", 1)[0] or "/"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, deeds)
def test_whatever_happens_the_tree_comes_to_rest(tree: Branch, done: list[Deed]) -> None:
    director = Director(tree)
    try:
        assert director.root.wait_ready(TIMEOUT)
        for deed in done:
            director.do(deed)
        wait_for(director.is_settled, TIMEOUT, director.describe)
        director.end()
    finally:
        director.play.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, deeds)
def test_a_tree_ends_in_the_middle_of_anything(tree: Branch, done: list[Deed]) -> None:
    director = Director(tree)
    try:
        for deed in done:
            director.do(deed)
        director.end()
    finally:
        director.play.close()
