"""The threads that light actors share."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from stage import TIMEOUT, LightPlayer, Play
from supervisors import LightActor
from supervisors.birth import birth
from supervisors.dispatcher import RESERVES, THROUGHPUT, WORKERS
from waiting import wait_for


class Flood(LightActor):
    """Always has more to do: each message tells the next."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.stop_flood = stop

    def on_receive(self, message: Any) -> None:
        if not self.stop_flood.is_set():
            self.tell_self(message)
            if len(self.mailbox) < 1000:
                self.tell_self(message)


def test_actors_that_never_rest_do_not_starve_another(play: Play) -> None:
    stop = threading.Event()
    for number in range(WORKERS * 2):
        with birth(play.system, f"/flood/{number}", None):
            Flood.start(stop).tell("on")
    # More than there are workers: without turns, nobody else would ever have one.
    ref = play.start(LightPlayer)
    for _ in range(20):
        assert ref.ask("get", timeout=TIMEOUT) == "got"
    stop.set()


def test_a_turn_ends_after_so_many_messages(play: Play) -> None:
    """With one worker at hand, another actor has its turn before a long queue has been handled."""
    handled: list[str] = []

    class Busy(LightActor):
        def on_receive(self, message: Any) -> None:
            handled.append(message)

    free = play.occupy()
    with birth(play.system, "/busy", None):
        busy = Busy.start()
    with birth(play.system, "/other", None):
        other = Busy.start()
    for _ in range(THROUGHPUT * 10):
        busy.tell("busy")
    other.tell("other")
    free.set()
    wait_for(lambda: len(handled) == THROUGHPUT * 10 + 1, TIMEOUT, "all messages are handled")
    assert handled.index("other") < THROUGHPUT * 8


def test_turns_run_on_threads_that_do_not_keep_the_process(play: Play) -> None:
    seen: list[threading.Thread] = []
    done = threading.Event()

    def turn() -> None:
        seen.append(threading.current_thread())
        done.set()

    play.system.dispatcher.submit(turn)
    assert done.wait(TIMEOUT)
    assert seen[0].daemon
    assert seen[0] is not threading.current_thread()


@pytest.mark.parametrize("error", [ValueError("a fault"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_a_turn_that_raises_kills_no_worker(play: Play, caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    def turn() -> None:
        raise error

    for _ in range(WORKERS * 2):
        play.system.dispatcher.submit(turn)
    # All workers are there at once.
    play.occupy().set()
    assert caplog.text.count("A turn failed outside of its actor") == WORKERS * 2
    caplog.clear()


def test_threads_start_with_the_first_turn_and_end_with_stop(play: Play) -> None:
    def workers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("dispatcher-")}

    before = workers()
    play.system.dispatcher.submit(lambda: None)
    mine = workers() - before
    assert len(mine) == WORKERS + RESERVES
    play.system.dispatcher.stop()
    wait_for(lambda: not mine & workers(), TIMEOUT, "the workers end")


def test_turns_that_wait_are_counted(play: Play) -> None:
    free = play.occupy()
    for _ in range(3):
        play.system.dispatcher.submit(lambda: None)
    assert play.system.dispatcher.backlog() == 3
    free.set()
    wait_for(lambda: play.system.dispatcher.backlog() == 0, TIMEOUT, "all turns are taken")
