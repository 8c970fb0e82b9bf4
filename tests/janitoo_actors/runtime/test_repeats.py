"""Errors that repeat: logged when they are new, counted, and logged when they are over."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from janitoo_actors.runtime.repeats import Repeats
from janitoo_actors.runtime.reports import ReportLog
from supervisors import ExitKind, ExitReason, Report, ReportKind


def repeats() -> Repeats:
    """What is tested."""
    return Repeats(structlog.get_logger())


def fail(tested: Repeats, times: int, *, key: str = "pump", error: str = "it is stuck") -> None:
    """Have the same fail so many times."""
    for _ in range(times):
        tested.failed(key, "pump_failed", error, path="/pump")


def warning(**more: object) -> EventDict:
    """The event of a failure."""
    return {"event": "pump_failed", "error": "it is stuck", "path": "/pump", "log_level": "warning", **more}


def test_an_error_is_logged_when_it_is_new_and_at_each_power_of_ten() -> None:
    with capture_logs() as log:
        fail(repeats(), 1234)
    assert log == [warning(), warning(times=10), warning(times=100), warning(times=1000)]


def test_what_works_again_is_logged_once_with_how_often_it_had_failed() -> None:
    tested = repeats()
    with capture_logs() as log:
        fail(tested, 3)
        for _ in range(2):
            tested.worked("pump", "pump_works", path="/pump")
    assert log == [warning(), {"event": "pump_works", "failures": 3, "path": "/pump", "log_level": "info"}]


def test_what_has_never_failed_is_not_logged_when_it_works() -> None:
    with capture_logs() as log:
        repeats().worked("pump", "pump_works")
    assert log == []


def test_an_error_after_it_has_worked_is_new() -> None:
    tested = repeats()
    with capture_logs() as log:
        fail(tested, 2)
        tested.worked("pump", "pump_works")
        fail(tested, 2)
    assert [event["event"] for event in log] == ["pump_failed", "pump_works", "pump_failed"]


def test_another_error_of_the_same_is_new() -> None:
    tested = repeats()
    with capture_logs() as log:
        fail(tested, 2)
        fail(tested, 2, error="it is gone")
        assert tested.times("pump") == 2
        fail(tested, 1)
    assert [event["error"] for event in log] == ["it is stuck", "it is gone", "it is stuck"]


def test_errors_of_different_things_are_counted_apart() -> None:
    tested = repeats()
    with capture_logs() as log:
        fail(tested, 2, key="one")
        fail(tested, 3, key="two")
    assert (tested.times("one"), tested.times("two"), tested.times("three")) == (2, 3, 0)
    assert len(log) == 2


@pytest.mark.parametrize("number", [0, 255])
def test_no_more_than_256_errors_are_told_apart_and_the_oldest_is_forgotten(number: int) -> None:
    tested = repeats()
    with capture_logs() as log:
        for each in range(256):
            fail(tested, 1, key=f"thing {each}")
        fail(tested, 1, key="one more")
        log.clear()
        fail(tested, 1, key=f"thing {number}")
    # The oldest one is new again.
    assert len(log) == (1 if number == 0 else 0)


def test_an_error_that_changes_makes_nobody_forgotten() -> None:
    tested = repeats()
    with capture_logs() as log:
        for each in range(256):
            fail(tested, 1, key=f"thing {each}")
        fail(tested, 1, key="thing 255", error="another one")
        log.clear()
        fail(tested, 1, key="thing 0")
    assert log == []


def test_what_is_forgotten_is_new() -> None:
    tested = repeats()
    with capture_logs() as log:
        fail(tested, 2)
        tested.forget("pump")
        tested.forget("another")
        fail(tested, 1)
    assert log == [warning(), warning()]


def test_a_supervisor_that_gives_up_again_and_again_is_logged_once() -> None:
    tested = ReportLog()
    reason = ExitReason(ExitKind.ERROR, OSError("there is no room"), "Traceback …")

    def give_up() -> None:
        tested(Report(ReportKind.START_ERROR, "/buses/one", "link", reason))
        tested(Report(ReportKind.SHUTDOWN, "/buses/one", "link", reason))
        tested(Report(ReportKind.START_ERROR, "/buses", "one", reason, retry_in=1))

    with capture_logs() as log:
        for _ in range(5):
            give_up()
        (event,) = [event for event in log if event["event"] == "supervisor_gives_up"]
        assert event == {
            "event": "supervisor_gives_up",
            "error": "OSError: there is no room",
            "path": "/buses/one",
            "child": "link",
            "log_level": "error",
        }
        assert len(log) == 3
        # It runs again; should it give up then, that is new.
        tested(Report(ReportKind.PROGRESS, "/buses", "one"))
        log.clear()
        give_up()
        assert "supervisor_gives_up" in {event["event"] for event in log}


def test_the_end_of_a_child_by_its_supervisor_is_no_failure() -> None:
    with capture_logs() as log:
        ReportLog()(Report(ReportKind.CHILD_TERMINATED, "/buses", "one", ExitReason(ExitKind.SHUTDOWN)))
    assert log == []
