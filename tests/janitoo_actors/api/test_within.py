"""Calls with a limit: one that hangs is left alone, and there is one of it at most."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from janitoo_actors.api import Component, HangingError, ManualRuntime, TemporaryError
from janitoo_actors.api.within import hanging, within
from waiting import wait_for

TIMEOUT = 15.0
SHORT = 0.05


@contextmanager
def hung(key: str) -> Iterator[Callable[[], None]]:
    """A call that hangs until what is given is called."""
    release = threading.Event()
    with pytest.raises(HangingError, match="x hangs: its read has not come back"):
        within(SHORT, key, "x", lambda: release.wait(TIMEOUT))
    try:
        yield release.set
    finally:
        release.set()
        wait_for(lambda: not hanging(key), TIMEOUT, "it is back")


def test_what_comes_in_time_is_returned_and_leaves_nothing() -> None:
    before = threading.active_count()
    assert [within(TIMEOUT, "key", "x", partial(abs, -each)) for each in range(20)] == list(range(20))
    assert not hanging("key")
    wait_for(lambda: threading.active_count() <= before, TIMEOUT, "no thread is left")


@pytest.mark.parametrize("error", [TemporaryError("no answer"), ValueError("a bug"), SystemExit(3)], ids=repr)
def test_what_is_raised_is_raised(error: BaseException) -> None:
    def fails() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        within(TIMEOUT, "key", "x", fails)
    assert caught.value is error
    assert not hanging("key")


def test_there_is_one_of_a_key_at_most_and_others_go_on() -> None:
    with hung("key") as release:
        before = threading.active_count()
        for _ in range(100):
            with pytest.raises(HangingError):
                # At once, and without a further thread: the test's own time would not be enough for two that wait.
                within(100, "key", "x", pytest.fail)
        assert within(TIMEOUT, "other", "y", lambda: 5) == 5
        wait_for(lambda: threading.active_count() <= before, TIMEOUT, "no thread is left")
        release()
        wait_for(lambda: not hanging("key"), TIMEOUT, "it is back")
        assert within(TIMEOUT, "key", "x", lambda: 7) == 7


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    # What the system does when there are too many.
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuses)
        with pytest.raises(TemporaryError, match="x cannot be read: can't start new thread"):
            within(TIMEOUT, "key", "x", lambda: 5)
    assert within(TIMEOUT, "key", "x", lambda: 5) == 5


def test_a_device_has_keys_of_its_own_and_is_back_before_the_watchdog() -> None:
    one, two = Component("bus__one"), Component("bus__two")
    one.runtime = ManualRuntime()
    one.runtime.read_timeout = SHORT
    release = threading.Event()
    for _ in range(2):
        with pytest.raises(HangingError, match="the lamp hangs"):
            one.within(TIMEOUT, "the lamp", lambda: release.wait(TIMEOUT))
    assert one.within(TIMEOUT, "the lamp", lambda: 5, key="its switch") == 5
    assert two.within(TIMEOUT, "the lamp", lambda: 7) == 7
    release.set()
    wait_for(lambda: not hanging(("bus__one", "the lamp")), TIMEOUT, "it is back")
