"""Light actors that wait for each other, or that block: the others are served all the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pykka import ActorRef, Future

from stage import TIMEOUT, LightPlayer, Play
from supervisors import LightActor, dispatcher
from supervisors.birth import birth
from supervisors.dispatcher import MAX_EXTRA, RESERVES, THROUGHPUT, WORKERS
from waiting import wait_for


class Link(LightActor):
    """Asks the next in its chain, and adds one to the answer."""

    def __init__(self, following: ActorRef[Any] | None) -> None:
        super().__init__()
        self.following = following

    def on_receive(self, message: Any) -> int:
        if self.following is None:
            return 1
        future: Future[int] = self.following.ask(message, block=False)
        return 1 + future.get(timeout=TIMEOUT * 2)


class Blocked(LightActor):
    """Does what a light actor must not do."""

    def on_receive(self, message: tuple[threading.Semaphore, threading.Event]) -> bool:
        reached, free = message
        reached.release()
        return free.wait(TIMEOUT * 2)


@pytest.fixture
def free(play: Play) -> Iterator[threading.Event]:
    """Lets the blocked go on; in any case, at the end."""
    assert play.system.dispatcher.extra == 0
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers stand in soon, and leave soon when there is nothing to do."""
    monkeypatch.setattr(dispatcher, "_PATIENCE", 0.01)
    monkeypatch.setattr(dispatcher, "_IDLE", 0.05)


def chain(play: Play, length: int, last: ActorRef[Any] | None = None, name: str = "link") -> ActorRef[Any]:
    """The first of a chain of links."""
    ref = last
    for number in range(length):
        with birth(play.system, f"/{name}/{number}", None):
            ref = Link.start(ref)
    assert ref is not None
    return ref


def block(play: Play, count: int, free: threading.Event) -> list[Future[Any]]:
    """Have so many actors hold a worker each; returns when all do."""
    reached = threading.Semaphore(0)
    futures = []
    for number in range(count):
        with birth(play.system, f"/blocked/{number}", None):
            futures.append(Blocked.start().ask((reached, free), block=False))
    for _ in range(count):
        assert reached.acquire(timeout=TIMEOUT)
    return futures


def extras_leave(play: Play) -> None:
    wait_for(lambda: play.system.dispatcher.extra == 0, TIMEOUT, lambda: f"{play.system.dispatcher.extra} stay")


@pytest.mark.usefixtures("impatient")
def test_a_chain_of_asks_may_be_longer_than_the_pool(play: Play) -> None:
    first = chain(play, 50)
    for _ in range(3):
        assert first.ask("how long?", timeout=TIMEOUT) == 50
    extras_leave(play)
    assert first.ask("how long?", timeout=TIMEOUT) == 50


@pytest.mark.usefixtures("impatient")
def test_chains_of_asks_side_by_side(play: Play) -> None:
    chains = [chain(play, 8, name=f"chain{number}") for number in range(7)]
    futures = [first.ask("how long?", block=False) for first in chains for _ in range(3)]
    assert [future.get(timeout=TIMEOUT) for future in futures] == [8] * 21
    extras_leave(play)


def test_an_ask_inside_of_a_light_actor_has_its_worker_replaced_as_long_as_it_waits(play: Play) -> None:
    """Told to the dispatcher, so that nobody needs to find out."""
    askers = RESERVES + 2
    gate = play.stage.hold("work a")
    last = play.start(LightPlayer)
    first = chain(play, askers, last, "chain")
    future = first.ask("work", block=False)
    play.stage.wait_reached("work a")
    assert play.system.dispatcher.extra >= askers
    gate.set()
    with pytest.raises(TypeError):
        # The player answers None.
        future.get(timeout=TIMEOUT)


@pytest.mark.usefixtures("impatient")
def test_others_are_served_when_all_workers_are_blocked(play: Play, free: threading.Event) -> None:
    futures = block(play, WORKERS, free)
    ref = play.start(LightPlayer)
    for _ in range(10):
        assert ref.ask("get", timeout=TIMEOUT) == "got"
    assert play.system.dispatcher.extra >= 1
    free.set()
    assert [future.get(timeout=TIMEOUT) for future in futures] == [True] * WORKERS
    extras_leave(play)
    assert ref.ask("get", timeout=TIMEOUT) == "got"


@pytest.mark.usefixtures("impatient")
def test_workers_that_stand_in_leave_though_there_is_always_something_to_do(play: Play, free: threading.Event) -> None:
    """With a steady load each of them has a turn now and then, and is never idle for long."""
    many = WORKERS + 8
    futures = block(play, many, free)
    assert play.system.dispatcher.extra >= many - WORKERS
    free.set()
    assert [future.get(timeout=TIMEOUT) for future in futures] == [True] * many
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            done = threading.Event()
            play.system.dispatcher.submit(done.set)
            assert done.wait(TIMEOUT)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        extras_leave(play)
    finally:
        stop.set()
        loading.join(TIMEOUT)


@pytest.mark.usefixtures("impatient")
def test_others_are_served_again_after_those_that_stood_in_have_left(play: Play, free: threading.Event) -> None:
    futures = block(play, WORKERS, free)
    ref = play.start(LightPlayer)
    for _ in range(3):
        assert ref.ask("get", timeout=TIMEOUT) == "got"
        extras_leave(play)
    free.set()
    assert [future.get(timeout=TIMEOUT) for future in futures] == [True] * WORKERS


@pytest.mark.usefixtures("impatient")
def test_whoever_frees_the_blocked_is_served_though_nothing_else_is_submitted(
    play: Play, free: threading.Event
) -> None:
    """The one turn that waits is seen, whenever the last look at the backlog was."""

    class Freeing(LightActor):
        def on_receive(self, message: threading.Event) -> None:
            message.set()

    with birth(play.system, "/freeing", None):
        freeing = Freeing.start()
    assert freeing.ask(threading.Event(), timeout=TIMEOUT) is None
    futures = block(play, WORKERS, free)
    freeing.tell(free)
    assert [future.get(timeout=TIMEOUT) for future in futures] == [True] * WORKERS


def test_only_so_many_workers_stand_in(play: Play, free: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_PATIENCE", 0.01)
    assert MAX_EXTRA > 3
    monkeypatch.setattr(dispatcher, "MAX_EXTRA", 3)
    most = WORKERS + 3
    futures = block(play, most, free)
    ref = play.start(LightPlayer)
    late = ref.ask("get", block=False)
    # Blocked ones that say so have no more stand in for them, either.
    for _ in range(5):
        with play.system.dispatcher.blocking():
            pass
    looks = threading.Semaphore(0)
    looked = play.system.dispatcher._look

    def look(done: int) -> None:
        looked(done)
        looks.release()

    monkeypatch.setattr(play.system.dispatcher, "_look", look)
    for _ in range(3):
        assert looks.acquire(timeout=TIMEOUT)
    assert play.system.dispatcher.extra == 3
    assert play.system.dispatcher.backlog() >= 1
    free.set()
    assert [future.get(timeout=TIMEOUT) for future in futures] == [True] * most
    assert late.get(timeout=TIMEOUT) == "got"


@pytest.mark.usefixtures("impatient")
def test_a_system_without_more_threads_makes_an_ask_no_error(
    play: Play, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    last = play.start(LightPlayer)
    # So many that those who stand by are needed, all of them.
    first = chain(play, RESERVES, last)
    start = threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if thread.name == "dispatcher-extra":
            raise RuntimeError("can't start new thread")
        start(thread)

    gate = play.stage.hold("work a")
    monkeypatch.setattr(threading.Thread, "start", fail)
    future = first.ask("work", block=False)
    play.stage.wait_reached("work a")
    done = threading.Event()
    play.system.dispatcher.submit(done.set)
    wait_for(lambda: "No worker could stand in" in caplog.text, TIMEOUT, "one more was wanted")
    gate.set()
    with pytest.raises(TypeError):
        # The player answers None, and the link has got that far.
        future.get(timeout=TIMEOUT)
    assert done.wait(TIMEOUT)
    extras_leave(play)


def test_the_turns_of_busy_actors_alternate(play: Play) -> None:
    handled: list[int] = []

    class Busy(LightActor):
        def on_receive(self, message: int) -> None:
            handled.append(message)

    busy = 5
    free = play.occupy()
    for number in range(busy):
        with birth(play.system, f"/{number}", None):
            ref = Busy.start()
        for _ in range(THROUGHPUT * 4):
            ref.tell(number)
    free.set()
    wait_for(lambda: len(handled) == busy * THROUGHPUT * 4, TIMEOUT, "all is handled")
    # Each has had a turn before any is done with its fourth, but for what the workers do at one moment.
    firsts = [handled.index(number) for number in range(busy)]
    assert max(firsts) < THROUGHPUT * (busy + WORKERS)
