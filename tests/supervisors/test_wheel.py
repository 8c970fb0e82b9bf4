"""The timers of a system: nothing early, nothing that was cancelled, everything else once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from stage import TIMEOUT, in_threads
from supervisors.wheel import TimerHandle, TimerWheel
from waiting import wait_for


@pytest.fixture
def wheel() -> Iterator[TimerWheel]:
    made = TimerWheel()
    yield made
    made.stop()


@contextmanager
def held(wheel: TimerWheel) -> Iterator[None]:
    """Nothing fires in the context, however long it takes on a busy machine."""
    reached, release = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert release.wait(TIMEOUT)

    wheel.schedule(0, hold)
    assert reached.wait(TIMEOUT)
    try:
        yield
    finally:
        release.set()


def test_timers_fire_in_the_order_of_their_slots(wheel: TimerWheel) -> None:
    fired: list[int] = []
    done = threading.Event()
    with held(wheel):
        begin = time.monotonic()
        wheel.schedule_at(begin + 0.09, done.set)
        for number in (3, 1, 2, 0):
            wheel.schedule_at(begin + number * 0.02, lambda number=number: fired.append(number))  # type: ignore[misc]
    assert done.wait(TIMEOUT)
    assert fired == [0, 1, 2, 3]


def test_an_earlier_timer_wakes_the_wheel_from_a_later_one(wheel: TimerWheel) -> None:
    wheel.schedule(3600, lambda: None)
    fired = threading.Event()
    wheel.schedule(0.01, fired.set)
    assert fired.wait(TIMEOUT)
    assert len(wheel) == 1


@pytest.mark.parametrize("delay", [0, -5])
def test_what_is_due_already_fires_at_once(wheel: TimerWheel, delay: float) -> None:
    fired = threading.Event()
    wheel.schedule(delay, fired.set)
    assert fired.wait(TIMEOUT)


def test_cancel(wheel: TimerWheel) -> None:
    fired: list[str] = []
    done = threading.Event()
    with held(wheel):
        handle = wheel.schedule(0.05, lambda: fired.append("cancelled"))
        wheel.schedule(0.1, done.set)
        wheel.cancel(handle)
        wheel.cancel(handle)
        assert len(wheel) == 1
    assert done.wait(TIMEOUT)
    assert fired == []
    wheel.cancel(handle)


def test_a_callback_that_raises_ends_no_other_timer(wheel: TimerWheel, caplog: pytest.LogCaptureFixture) -> None:
    def fail(error: BaseException) -> None:
        raise error

    fired = threading.Event()
    with held(wheel):
        # Both in one turn.
        due = time.monotonic() + 0.02
        wheel.schedule_at(due, lambda: fail(ValueError("broken")))
        wheel.schedule_at(due, lambda: fail(SystemExit(1)))
        wheel.schedule_at(due + 0.02, fired.set)
    assert fired.wait(TIMEOUT)
    assert caplog.text.count("A timer's callback failed") == 2


def test_a_callback_may_schedule_and_cancel(wheel: TimerWheel) -> None:
    fired: list[str] = []
    done = threading.Event()

    def first() -> None:
        wheel.cancel(doomed)
        wheel.schedule(0, done.set)

    with held(wheel):
        doomed = wheel.schedule(0.2, lambda: fired.append("doomed"))
        wheel.schedule(0, first)
    assert done.wait(TIMEOUT)
    assert len(wheel) == 0
    assert fired == []


def test_timers_of_many_threads_fire_once_each(wheel: TimerWheel) -> None:
    fired: list[tuple[int, int]] = []

    def schedule(thread: int) -> None:
        for number in range(500):
            mark = (thread, number)
            wheel.schedule(number % 7 * 0.005, lambda mark=mark: fired.append(mark))  # type: ignore[misc]
            wheel.cancel(wheel.schedule(60, lambda: fired.append((-1, -1))))

    in_threads(4, schedule)
    wait_for(lambda: len(fired) >= 2000, TIMEOUT, lambda: f"only {len(fired)} fired")
    assert len(wheel) == 0
    assert len(set(fired)) == len(fired) == 2000
    assert (-1, -1) not in fired


def test_stop_ends_the_thread_and_every_timer(wheel: TimerWheel) -> None:
    before = set(threading.enumerate())
    fired: list[int] = []
    with held(wheel):
        (thread,) = set(threading.enumerate()) - before
        wheel.schedule(0.05, lambda: fired.append(1))
        wheel.stop()
    wait_for(lambda: not thread.is_alive(), TIMEOUT, "the thread ends")
    assert len(wheel) == 0
    assert fired == []


@pytest.mark.skipif(sys.platform != "linux", reason="counts a thread's wake-ups in /proc")
def test_at_rest_the_wheel_does_not_wake(wheel: TimerWheel) -> None:
    def wake_ups(thread: threading.Thread) -> int:
        status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
        return int(status.split("voluntary_ctxt_switches:")[1].split()[0])

    before = set(threading.enumerate())
    fired = threading.Event()
    wheel.schedule(0, fired.set)
    (thread,) = set(threading.enumerate()) - before
    assert fired.wait(TIMEOUT)
    far = wheel.schedule(3600, lambda: None)
    pause = threading.Event()
    pause.wait(0.05)
    for cancelled in (False, True):
        if cancelled:
            wheel.cancel(far)
        count = wake_ups(thread)
        pause.wait(0.25)
        # 25 slots have passed.
        assert wake_ups(thread) - count <= 1


class Wheel(RuleBasedStateMachine):
    """Timers that come, fire and are cancelled in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.wheel = TimerWheel()
        self.fired: dict[int, list[float]] = {}
        self.due: dict[int, float] = {}
        self.cancelled: set[int] = set()

    timers = Bundle[tuple[int, TimerHandle]]("timers")

    def _schedule(self, delay: float) -> tuple[int, TimerHandle]:
        number = len(self.due)
        times = self.fired[number] = []
        self.due[number] = time.monotonic() + delay
        return number, self.wheel.schedule(delay, lambda: times.append(time.monotonic()))

    @rule(target=timers, delay=st.integers(-1, 6).map(lambda slots: slots * 0.007))
    def schedule_soon(self, delay: float) -> tuple[int, TimerHandle]:
        return self._schedule(delay)

    @rule(target=timers)
    def schedule_late(self) -> tuple[int, TimerHandle]:
        return self._schedule(3600)

    @rule(timer=consumes(timers))
    def cancel(self, timer: tuple[int, TimerHandle]) -> None:
        number, handle = timer
        self.wheel.cancel(handle)
        if time.monotonic() < self.due[number]:
            # In time for sure: one that is due may be firing just now.
            self.cancelled.add(number)
        elif not self.fired[number]:
            # Whether it was in time is open.
            del self.due[number]
            self.due[number] = float("inf")

    @rule()
    def let_time_pass(self) -> None:
        passed = threading.Event()
        self.wheel.schedule(0.015, passed.set)
        assert passed.wait(TIMEOUT)

    def teardown(self) -> None:
        try:
            horizon = time.monotonic() + 60
            expected = {number for number, due in self.due.items() if due < horizon and number not in self.cancelled}
            wait_for(lambda: all(self.fired[number] for number in expected), TIMEOUT, "what is due fires")
            passed = threading.Event()
            self.wheel.schedule(0.02, passed.set)
            assert passed.wait(TIMEOUT)
            for number, times in self.fired.items():
                assert len(times) <= 1
                assert number not in self.cancelled or not times, "a cancelled timer has fired"
                assert self.due[number] == float("inf") or all(at >= self.due[number] for at in times), "too early"
            far = [number for number, due in self.due.items() if horizon <= due < float("inf")]
            assert len(self.wheel) == len([number for number in far if number not in self.cancelled])
        finally:
            self.wheel.stop()


TestWheel = Wheel.TestCase
TestWheel.settings = settings(
    max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
