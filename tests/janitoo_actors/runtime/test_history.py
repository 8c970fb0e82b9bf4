"""The rings of events and errors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.runtime.history import MOST_ERRORS, MOST_EVENTS, History
from janitoo_actors.runtime.wishes import WishList, covers
from supervisors import ExitReason, Report, ReportKind


def test_repeats_are_counted_and_the_log_may_know_better() -> None:
    history = History()
    for times in (None, 10, None):
        event = {"path": "/a", "event": "write_failed", "error": "no", **({"times": times} if times else {})}
        history.logged("warning", event)
    history.logged("warning", {"path": "/a", "event": "write_failed", "error": "other", "traceback": "where"})
    other, no = history.errors("/a", 10)
    assert (no.error, no.times) == ("no", 11)
    assert (other.times, other.traceback) == (1, "where")


def test_what_has_gone_wrong_is_counted_by_bus_whatever_is_forgotten() -> None:
    history = History()
    for times in (None, 10, 100):
        event = {"path": "/buses/one/bus", "event": "read_failed", "error": "no", "times": times}
        history.logged("warning", event)
    assert history.failed == {"one": 100}
    history.clear("/")
    history.logged("warning", {"path": "/buses/one", "event": "read_failed", "error": "no", "times": 1000})
    history.logged("warning", {"path": "/buses", "event": "x", "error": "no"})
    history.logged("info", {"path": "/buses/two", "event": "x"})
    assert history.failed == {"one": 101, "": 1}


def test_what_a_supervisor_reports_is_counted_once() -> None:
    history = History()
    reason = ExitReason.of(ValueError("bad"))
    for _ in range(3):
        history.reported(Report(ReportKind.CHILD_TERMINATED, "/", "a", reason))
        # The log has it too.
        history.logged("warning", {"path": "/a", "event": "child_terminated", "error": "ValueError: bad"})
    history.reported(Report(ReportKind.PROGRESS, "/", "a"))
    (error,) = history.errors("/", 10)
    assert (error.path, error.error, error.times) == ("/a", "ValueError: bad", 3)
    assert "ValueError: bad" in error.traceback
    assert len(history.events("/", 0, 10)) == 3


def test_what_a_driver_logs_is_of_its_bus() -> None:
    history = History()
    history.logged("info", {"bus": "attic", "event": "state_changed"})
    history.logged("info", {"bus": "attic", "path": "/buses/attic/link", "event": "mqtt_connected"})
    history.logged("info", {"event": "server_started", "bus": 3})
    assert [each.path for each in history.events("/", 0, 10)] == ["/buses/attic", "/buses/attic/link", ""]
    assert [each.event for each in history.events("/buses/attic", 0, 10)] == ["state_changed", "mqtt_connected"]


def test_it_is_bounded() -> None:
    history = History()
    for number in range(MOST_EVENTS + MOST_ERRORS):
        history.logged(
            "error", {"path": f"/{number}", "event": "x", "error": "y" * 100_000, "traceback": "z" * 100_000}
        )
    assert len(history.events("/", 0, 100_000)) == MOST_EVENTS
    errors = history.errors("/", 100_000)
    assert len(errors) == MOST_ERRORS
    assert errors[0].path == f"/{MOST_EVENTS + MOST_ERRORS - 1}"
    assert max(len(each.error) + len(each.traceback) for each in errors) < 10_000
    assert history.clear("/") == MOST_ERRORS
    assert history.errors("/", 10) == []
    assert history.events("/", 0, 10) == []


PATHS = st.lists(st.sampled_from("ab"), max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(PATHS, PATHS)
def test_a_place_covers_itself_and_what_is_below(path: str, of: str) -> None:
    parts, below = path.strip("/").split("/"), of.strip("/").split("/")
    assert covers(path, of) == (path == "/" or below[: len(parts)] == parts)


@given(st.lists(st.tuples(st.booleans(), PATHS.filter(lambda path: path != "/"))))
def test_what_is_resumed_is_not_held_back(steps: list[tuple[bool, str]]) -> None:
    wishes = WishList()
    for suspend, path in steps:
        (wishes.suspend if suspend else wishes.resume)(frozenset({path}))
        held = wishes.current.suspended
        assert (path in held) == suspend
        assert suspend or not any(covers(path, each) for each in held)
