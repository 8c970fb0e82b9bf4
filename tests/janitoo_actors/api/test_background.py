"""What a device does in the background, and how its bus meets it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from janitoo_actors.api import Background, BusLostError, NotDoneError, TemporaryError
from waiting import wait_for

TIMEOUT = 15.0


class Far:
    """Something far away, which answers when the test says so."""

    def __init__(self) -> None:
        self.looks: queue.SimpleQueue[float | Exception] = queue.SimpleQueue()
        self.looked = 0
        self.aborted = threading.Event()
        self.ended = threading.Event()
        self.threads: set[int] = set()
        self.background = Background("far", self.look, abort=self.abort, end=self.ended.set)
        self.background.start()

    def look(self) -> float:
        self.threads.add(threading.get_ident())
        self.looked += 1
        answer = self.looks.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def abort(self) -> None:
        self.aborted.set()
        self.looks.put(0.0)


@pytest.fixture
def far() -> Iterator[Far]:
    made = Far()
    yield made
    made.background.stop()
    assert not made.background.is_alive


def test_the_bus_waits_for_the_first_look_only(far: Far) -> None:
    assert not far.background.wait(0)
    assert not far.background.has_looked
    far.looks.put(0.0)
    assert far.background.wait(TIMEOUT)
    wait_for(lambda: far.looked == 2, TIMEOUT, "the next look, which hangs")
    assert far.background.wait(0)


def test_a_stop_ends_what_is_under_way(far: Far) -> None:
    wait_for(lambda: far.looked == 1, TIMEOUT, "a look, which hangs")
    far.background.stop()
    assert far.aborted.is_set()
    assert far.ended.is_set()
    assert not far.background.is_alive


def test_a_bug_ends_it_and_the_bus_with_it(far: Far) -> None:
    far.looks.put(KeyError("a bug"))
    with pytest.raises(BusLostError, match="the thread 'far' has failed: KeyError: 'a bug'"):
        far.background.wait(TIMEOUT)
    assert far.ended.wait(TIMEOUT)


def test_calls_are_made_between_two_looks_on_the_same_thread(far: Far) -> None:
    # The next look is far away: a call does not wait for it.
    far.looks.put(1000.0)
    assert far.background.wait(TIMEOUT)
    assert {far.background.run(threading.get_ident, TIMEOUT)} == far.threads
    wait_for(lambda: far.looked == 2, TIMEOUT, "a look after the call")


@pytest.mark.parametrize("error", [TemporaryError("busy"), KeyError("a bug")])
def test_what_a_call_raises(far: Far, error: Exception) -> None:
    def fail() -> None:
        raise error

    far.looks.put(1000.0)
    assert far.background.wait(TIMEOUT)
    with pytest.raises(type(error)):
        far.background.run(fail, TIMEOUT)
    if isinstance(error, KeyError):
        assert far.ended.wait(TIMEOUT)
        with pytest.raises(BusLostError):
            far.background.wait(TIMEOUT)
    else:
        assert far.background.wait(TIMEOUT)


def test_a_call_that_is_not_begun_in_time_is_never_made(far: Far) -> None:
    made: list[int] = []
    wait_for(lambda: far.looked == 1, TIMEOUT, "a look, which hangs")
    with pytest.raises(NotDoneError) as failure:
        far.background.run(lambda: made.append(1), 0.01)
    assert not failure.value.begun
    far.looks.put(0.0)
    wait_for(lambda: far.looked == 2, TIMEOUT, "the look after it")
    assert made == []


def test_a_call_that_is_under_way_may_come_to_its_end(far: Far) -> None:
    begun, free = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        free.wait(TIMEOUT)

    def run(call: Callable[[], None]) -> bool:
        try:
            far.background.run(call, 0.05)
        except NotDoneError as error:
            return error.begun
        raise AssertionError("it has come back")

    far.looks.put(1000.0)
    assert far.background.wait(TIMEOUT)
    try:
        # On a busy machine it may not have begun in time.
        wait_for(lambda: run(hang) or begun.is_set(), TIMEOUT, "it is under way")
        assert begun.is_set()
    finally:
        free.set()
