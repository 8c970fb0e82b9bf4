"""What users of Pykka rely on, with our actors: refs, proxies, futures, hooks, the registry."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pykka import ActorDeadError, ActorRegistry, Timeout

from stage import TIMEOUT
from supervisors import Actor, ChildSpec, LightActor, PinnedActor, Root, SupervisorFlags, System
from waiting import wait_for


class Counter(Actor):
    """Counts; also what it is told."""

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self.count = start
        self.told: list[Any] = []

    def add(self, amount: int, *, times: int = 1) -> int:
        """Count on."""
        self.count += amount * times
        return self.count

    def fail(self) -> None:
        """Raise."""
        raise KeyError("no such thing")

    def on_receive(self, message: Any) -> Any:
        self.told.append(message)
        return message


class LightCounter(Counter, LightActor):
    pass


class PinnedCounter(Counter, PinnedActor):
    pass


@pytest.fixture(params=[LightCounter, PinnedCounter])
def kind(request: pytest.FixtureRequest) -> type[Counter]:
    made: type[Counter] = request.param
    return made


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """The registry is one for the process: nothing of another test may be in it, and nothing is left."""
    assert ActorRegistry.get_all() == []
    yield
    ActorRegistry.stop_all(timeout=TIMEOUT)
    # One that is just ending counts as stopped a moment before it leaves.
    wait_for(lambda: not ActorRegistry.get_all(), TIMEOUT, "nothing is left")


def test_tell_and_ask(kind: type[Counter]) -> None:
    ref = kind.start()
    ref.tell("one")
    assert ref.ask("two", timeout=TIMEOUT) == "two"
    future = ref.ask("three", block=False)
    assert future.get(timeout=TIMEOUT) == "three"
    assert ref.proxy().told.get(timeout=TIMEOUT) == ["one", "two", "three"]


def test_proxy(kind: type[Counter]) -> None:
    proxy = kind.start(40).proxy()
    assert proxy.add(1, times=2).get(timeout=TIMEOUT) == 42
    proxy.count = 7
    assert proxy.count.get(timeout=TIMEOUT) == 7
    proxy.add.defer(1)
    assert proxy.count.get(timeout=TIMEOUT) == 8
    with pytest.raises(KeyError):
        proxy.fail().get(timeout=TIMEOUT)
    assert proxy.add(0).get(timeout=TIMEOUT) == 8
    assert proxy.stop().get(timeout=TIMEOUT) is None
    wait_for(lambda: not proxy.actor_ref.is_alive(), TIMEOUT, "the end")
    with pytest.raises(ActorDeadError):
        proxy.add(1).get(timeout=TIMEOUT)


def test_deferred_call_that_fails_ends_the_actor(kind: type[Counter]) -> None:
    ref = kind.start()
    ref.proxy().fail.defer()
    assert ref.actor_stopped.wait(TIMEOUT)


class Waiter(PinnedActor):
    """Answers when it is let."""

    def on_receive(self, message: threading.Event) -> bool:
        return message.wait(TIMEOUT)


def test_ask_with_a_timeout() -> None:
    ref = Waiter.start()
    free = threading.Event()
    with pytest.raises(Timeout):
        ref.ask(free, timeout=0.01)
    free.set()
    assert ref.ask(free, timeout=TIMEOUT) is True


def test_stop(kind: type[Counter]) -> None:
    ref = kind.start()
    assert ref.is_alive()
    assert ref.stop(timeout=TIMEOUT) is True
    assert not ref.is_alive()
    assert ref.stop(timeout=TIMEOUT) is False
    with pytest.raises(ActorDeadError):
        ref.tell("too late")
    assert kind.start().stop(block=False).get(timeout=TIMEOUT) is True


def test_registry(kind: type[Counter]) -> None:
    first, second = kind.start(), kind.start()
    other = (PinnedCounter if kind is LightCounter else LightCounter).start()
    assert ActorRegistry.get_all() == [first, second, other]
    assert ActorRegistry.get_by_class(kind) == [first, second]
    assert ActorRegistry.get_by_class(Counter) == [first, second, other]
    assert ActorRegistry.get_by_class_name(kind.__name__) == [first, second]
    assert ActorRegistry.get_by_urn(second.actor_urn) is second
    ActorRegistry.broadcast("to all")
    ActorRegistry.broadcast("to some", kind)
    ActorRegistry.broadcast("to one", other.actor_class.__name__)
    assert [ref.proxy().told.get(timeout=TIMEOUT) for ref in (first, second, other)] == [
        ["to all", "to some"],
        ["to all", "to some"],
        ["to all", "to one"],
    ]
    first.stop(timeout=TIMEOUT)
    assert ActorRegistry.get_all() == [second, other]
    assert ActorRegistry.get_by_urn(first.actor_urn) is None
    assert ActorRegistry.stop_all(timeout=TIMEOUT) == [True, True]


def test_stop_all_ends_a_supervised_tree_too() -> None:
    system = System(lambda _report: None)
    children = [ChildSpec(f"c{number}", LightCounter) for number in range(5)]
    root = Root(system, SupervisorFlags(intensity=100), children)
    assert root.wait_ready(TIMEOUT)
    ActorRegistry.stop_all(timeout=TIMEOUT)
    assert root.wait_ended(TIMEOUT)
    assert system.paths() == []
    system.stop()


def test_an_actor_on_its_own_has_its_urn_for_a_path(kind: type[Counter]) -> None:
    ref = kind.start()
    assert ref.proxy().path.get(timeout=TIMEOUT) == ref.actor_urn
