"""The timers of one actor: messages to itself, which die with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from stage import TIMEOUT, Play
from supervisors import Actor, ChildSpec, LightActor, PinnedActor, Root, SupervisorFlags, living
from supervisors.birth import birth
from supervisors.wheel import TimerHandle, TimerWheel
from waiting import wait_for


class Clock(Actor):
    """Calls what it is told, with itself: timers are for their actor's own turn only."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: list[tuple[str, float]] = []

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, str):
            self.ticks.append((message, time.monotonic()))
            return None
        return message(self)

    def names(self) -> list[str]:
        """The ticks so far."""
        return [name for name, _at in self.ticks]


class LightClock(Clock, LightActor):
    pass


class PinnedClock(Clock, PinnedActor):
    pass


@pytest.fixture(params=[LightClock, PinnedClock])
def clock(request: pytest.FixtureRequest, play: Play) -> Clock:
    kind: type[Clock] = request.param
    with birth(play.system, "/clock", play.parent):
        actor = living(kind.start())
    assert isinstance(actor, Clock)
    return actor


def do(clock: Clock, work: Any) -> Any:
    """Have the clock do something in its own turn."""
    return clock.actor_ref.ask(work, timeout=TIMEOUT)


def test_once(clock: Clock) -> None:
    begin = time.monotonic()
    do(clock, lambda self: self.timers.once("a", 0.03, "a"))
    wait_for(lambda: clock.ticks, TIMEOUT, "the tick")
    (tick,) = clock.ticks
    assert tick[0] == "a"
    assert tick[1] >= begin + 0.03
    assert do(clock, lambda self: self.timers.due("a")) is None
    assert len(clock.system.wheel) == 0


def test_ticks_come_in_the_order_of_their_times(clock: Clock) -> None:
    def schedule(self: Clock) -> dict[str, float | None]:
        for name, delay in (("c", 0.09), ("a", 0.01), ("b", 0.05)):
            self.timers.once(name, delay, name)
        return {name: self.timers.due(name) for name in "abc"}

    # The times that they have been given: on a busy machine, long may pass between two of these lines.
    due = do(clock, schedule)
    wait_for(lambda: len(clock.ticks) == 3, TIMEOUT, "all ticks")
    assert clock.names() == sorted("abc", key=due.__getitem__)


def test_cancel(clock: Clock) -> None:
    def schedule(self: Clock) -> None:
        self.timers.once("a", 0.01, "a")
        self.timers.once("b", 0.03, "b")
        self.timers.cancel("a")
        self.timers.cancel("nothing")

    do(clock, schedule)
    wait_for(lambda: clock.ticks, TIMEOUT, "the other tick")
    assert clock.names() == ["b"]


def held_until_a_tick_waits(clock: Clock, key: str, then: Any) -> None:
    """In one turn: set a timer, wait until its tick is in the mailbox, and do something."""

    def work(self: Clock) -> None:
        self.timers.once(key, 0, "old")
        wait_for(lambda: len(self.mailbox) == 1, TIMEOUT, "the tick waits in the mailbox")
        then(self)

    do(clock, work)
    do(clock, lambda _self: None)


def test_a_tick_that_waits_is_void_once_its_timer_is_cancelled(clock: Clock) -> None:
    held_until_a_tick_waits(clock, "a", lambda self: self.timers.cancel("a"))
    assert clock.ticks == []


def test_a_tick_that_waits_is_void_once_its_timer_is_replaced(clock: Clock) -> None:
    held_until_a_tick_waits(clock, "a", lambda self: self.timers.once("a", 0.02, "new"))
    wait_for(lambda: clock.ticks, TIMEOUT, "the new tick")
    assert clock.names() == ["new"]


def test_a_replaced_timer_does_not_fire(clock: Clock) -> None:
    def schedule(self: Clock) -> None:
        self.timers.once("a", 0.02, "old")
        self.timers.every("a", 0.01, "old")
        self.timers.once("a", 0.05, "new")

    do(clock, schedule)
    wait_for(lambda: clock.ticks, TIMEOUT, "the new tick")
    assert clock.names() == ["new"]


def test_a_period_keeps_its_phase(clock: Clock) -> None:
    period = 0.02

    def schedule(self: Clock) -> float | None:
        self.timers.every("a", period, "a", first=0.01)
        return self.timers.due("a")

    first = do(clock, schedule)
    wait_for(lambda: len(clock.ticks) >= 5, TIMEOUT, "five ticks")
    due = do(clock, lambda self: self.timers.due("a"))
    phases = (due - first) / period
    assert phases == pytest.approx(round(phases), abs=1e-6)
    do(clock, lambda self: self.timers.cancel("a"))
    # One tick a period at most, and none of them early.
    for number, (_name, at) in enumerate(clock.ticks):
        assert at >= first + number * period - 1e-9


def test_the_first_tick_comes_after_a_period(clock: Clock) -> None:
    begin = time.monotonic()
    do(clock, lambda self: self.timers.every("a", 0.03, "a"))
    wait_for(lambda: clock.ticks, TIMEOUT, "the first tick")
    assert clock.ticks[0][1] >= begin + 0.03


def test_late_ticks_are_one(clock: Clock) -> None:
    def work(self: Clock) -> None:
        begin = time.monotonic()
        self.timers.every("a", 0.01, "a", first=0)
        wait_for(lambda: time.monotonic() > begin + 0.1 and len(self.mailbox), TIMEOUT, "ten periods")
        assert len(self.mailbox) == 1
        # Right behind the tick, before the next one can come.
        self.tell_self(lambda self: self.timers.cancel("a"))

    do(clock, work)
    do(clock, lambda _self: None)
    assert len(clock.ticks) == 1


@pytest.mark.parametrize("period", [0, -1])
def test_a_period_of_nothing_is_refused(clock: Clock, period: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0 seconds"):
        do(clock, lambda self: self.timers.every("a", period, "a"))
    assert do(clock, lambda _self: "alive") == "alive"


@pytest.mark.parametrize("end", ["stop", "shut down", "kill", "raise"])
def test_timers_die_with_their_actor(play: Play, clock: Clock, end: str) -> None:
    def schedule(self: Clock) -> None:
        for number in range(10):
            self.timers.every(number, 0.01 + number / 10, "tick")

    do(clock, schedule)
    if end == "raise":
        clock.actor_ref.tell(lambda _self: 1 / 0)
        play.parent.wait_down()
    else:
        play.end("/clock", end)
    assert len(play.system.wheel) == 0
    count = len(clock.ticks)
    passed = threading.Event()
    play.system.wheel.schedule(0.05, passed.set)
    assert passed.wait(TIMEOUT)
    assert len(clock.ticks) == count


def test_a_killed_actor_sets_no_timer(play: Play, clock: Clock) -> None:
    """Not even when it is killed between two of its own statements."""
    held, go_on = threading.Event(), threading.Event()

    def work(self: Clock) -> None:
        self.timers.every("a", 0.01, "a", first=0)
        held.set()
        go_on.wait(TIMEOUT)
        self.timers.once("b", 0, "b")
        self.timers.every("c", 1, "c")

    clock.actor_ref.tell(work)
    assert held.wait(TIMEOUT)
    clock.kill()
    go_on.set()
    play.wait_idle("/clock")
    assert len(play.system.wheel) == 0
    assert clock.ticks == []


class _Ambush(TimerWheel):
    """Kills an actor between its decision to set a timer and its doing so."""

    victim: Actor | None = None

    def schedule_at(self, due: float, callback: Callable[[], None], *, exact: bool = False) -> TimerHandle:
        if self.victim is not None:
            self.victim.kill()
        return super().schedule_at(due, callback, exact=exact)


@pytest.mark.parametrize("periodic", [False, True])
def test_no_timer_is_left_of_an_actor_that_is_killed_while_it_sets_one(play: Play, periodic: bool) -> None:
    wheel = play.system.wheel = _Ambush()
    with birth(play.system, "/clock", play.parent):
        ref = LightClock.start()

    def work(self: Clock) -> None:
        if periodic:
            # Set again when its tick is handled.
            self.timers.every("a", 60, "a", first=0)
            wheel.victim = self
        else:
            wheel.victim = self
            self.timers.once("a", 60, "a")

    ref.tell(work)
    play.parent.wait_down()
    play.occupy().set()
    assert len(wheel) == 0


@pytest.mark.usefixtures("hasty")
def test_no_timer_is_left_of_actors_that_are_killed_while_they_tick(play: Play) -> None:
    clocks: list[Actor | None] = []
    for number in range(100):
        with birth(play.system, f"/{number}", None):
            ref = LightClock.start()
        ref.tell(lambda self: self.timers.every("a", 0.01, "a", first=0))
        clocks.append(living(ref))
    wait_for(lambda: all(isinstance(c, Clock) and c.ticks for c in clocks), TIMEOUT, "all tick")
    for clock in clocks:
        assert clock is not None
        clock.kill()
    play.occupy().set()
    assert len(play.system.wheel) == 0


def test_the_next_incarnation_has_none_of_the_old_timers(play: Play) -> None:
    root = Root(play.system, SupervisorFlags(intensity=10), [ChildSpec("clock", LightClock)])
    assert root.wait_ready(TIMEOUT)
    ref, epoch = play.ref("/clock"), play.epoch("/clock")
    ref.ask(lambda self: self.timers.every("a", 0.01, "a"), timeout=TIMEOUT)
    ref.tell(lambda _self: 1 / 0)
    actor = play.restarted("/clock", epoch)
    passed = threading.Event()
    play.system.wheel.schedule(0.05, passed.set)
    assert passed.wait(TIMEOUT)
    assert isinstance(actor, Clock)
    assert actor.ticks == []
