"""What `janitoo top` makes of the server's answers, without a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from janitoo_actors.top.drawing import (
    ASCII,
    UNICODE,
    Line,
    columns,
    detail_lines,
    fit,
    heading,
    row_line,
    spark,
    titles,
)
from janitoo_actors.top.model import HISTORY, Model, Sort
from janitoo_actors.top.source import pause


def actor(path: str, depth: int, *, below: int = 0, is_open: bool = False, **more: Any) -> dict[str, Any]:
    """An actor, as an `overview` has it."""
    return {
        "path": path,
        "actor": "Poller",
        "state": "running",
        "age": 12.0,
        "suspended": False,
        "restarts": 0,
        "restarts_recent": 0,
        "error": None,
        "retry_in": None,
        "mailbox": 0,
        "handled": 0,
        "current": None,
        "current_age": None,
        "epoch": 1,
        "isolation": "shared",
        "pid": None,
        "depth": depth,
        "open": is_open,
        "below": below,
        "errors": 0,
        "all_mailbox": 0,
        "all_handled": 0,
        "all_restarts": 0,
        "latency": None,
        **more,
    }


def document(*actors: dict[str, Any], at: float = 100.0, up: float = 50.0, pid: int = 7) -> dict[str, Any]:
    """An `overview`."""
    return {
        "at": at,
        "up": up,
        "pid": pid,
        "release": "0",
        "service": "attic",
        "file": "/my.conf",
        "dead_letters": 0,
        "backlog": 0,
        "zombies": 0,
        "states": {"running": len(actors)},
        "silent": [],
        "off_air": [],
        "waiting": [],
        "is_failed": False,
        "left_off": 0,
        "actors": list(actors),
        "selected": {"path": "/", "events": [], "error": None},
    }


def buses(at: float = 100.0, **handled: int) -> dict[str, Any]:
    """Buses that have handled so many messages."""
    below = [actor(f"/buses/{name}", 2, below=5, all_handled=count) for name, count in handled.items()]
    return document(
        actor("/", 0, below=9, is_open=True), actor("/buses", 1, below=8, is_open=True), *below, at=at, up=at - 50
    )


def paths(model: Model) -> list[str]:
    """What is shown."""
    return [row.path for row in model.rows]


def rates(model: Model) -> dict[str, float | None]:
    """The rate of each."""
    return {row.path.rpartition("/")[2]: row.rate for row in model.rows}


def test_a_rate_is_the_difference_of_two_samples() -> None:
    model = Model()
    model.take(buses(100.0, a=1000, b=5))
    assert rates(model)["a"] is None
    model.take(buses(102.0, a=1020, b=5))
    assert (rates(model)["a"], rates(model)["b"]) == (10.0, 0.0)
    # A key press has had one early: it is no sample, and the rates stay.
    model.take(buses(102.1, a=1021, b=5))
    assert rates(model)["a"] == 10.0
    # One below has been restarted, and counts anew.
    model.take(buses(103.0, a=12, b=6))
    assert (rates(model)["a"], rates(model)["b"]) == (0.0, 1.0)
    assert list(model.series("/buses/a").rate) == [0.0, 10.0, 0.0]


def test_another_server_has_rates_of_its_own() -> None:
    model = Model()
    model.take(buses(100.0, a=1000))
    model.take(buses(101.0, a=1001))
    other = buses(200.0, a=5000)
    model.take({**other, "pid": 8})
    assert rates(model)["a"] is None
    # The same process, another server.
    model.take({**buses(300.0, a=9000), "pid": 8, "up": 1.0})
    assert rates(model)["a"] is None


def test_history_is_bounded_and_goes_with_its_actor() -> None:
    model = Model()
    for second in range(HISTORY + 30):
        model.take(buses(100.0 + second, a=second, b=0))
    assert len(model.series("/buses/a").rate) == HISTORY
    model.take(buses(999.0, b=0))
    assert not model.series("/buses/a").rate


def test_siblings_are_sorted_and_take_what_is_below_along() -> None:
    model = Model()
    told = document(
        actor("/", 0, below=9, is_open=True),
        actor("/a", 1, below=2, is_open=True, errors=1, all_mailbox=7),
        actor("/a/x", 2, errors=1),
        actor("/a/y", 2, errors=0, all_mailbox=7),
        actor("/b", 1, errors=3, latency=0.5),
        actor("/c", 1, errors=3),
    )
    model.take(told)
    assert paths(model) == ["/", "/a", "/a/x", "/a/y", "/b", "/c"]
    model.sort_by(Sort.ERRORS)
    assert paths(model) == ["/", "/b", "/c", "/a", "/a/x", "/a/y"]
    model.sort_by(Sort.MAILBOX)
    assert paths(model) == ["/", "/a", "/a/y", "/a/x", "/b", "/c"]
    model.sort_by(Sort.LATENCY)
    assert paths(model)[:2] == ["/", "/b"]
    model.sort_next()
    assert (model.sort, paths(model)) == (Sort.TREE, ["/", "/a", "/a/x", "/a/y", "/b", "/c"])


def test_the_cursor_stays_on_its_actor() -> None:
    model = Model()
    model.take(buses(100.0, a=1, b=1, c=1))
    model.move(3)
    assert model.selected == "/buses/b"
    model.sort_by(Sort.RATE)
    model.take(buses(101.0, a=1, b=1, c=100))
    assert model.selected == "/buses/b"
    assert paths(model)[2] == "/buses/c"
    # It is gone: what it was below.
    model.take(buses(102.0, a=1, c=100))
    assert model.selected == "/buses"
    model.move(-99)
    assert model.selected == "/"
    model.move(99)
    assert model.selected == "/buses/c"
    model.select_parent()
    assert model.selected == "/buses"


def test_open_and_close_are_asked_for() -> None:
    model = Model()
    model.take(buses(a=1))
    model.move(2)
    assert model.open()
    assert model.request() == {"open": ["/buses/a"], "find": "", "selected": "/buses/a"}
    opened = buses(101.0, a=1)
    opened["actors"][2]["open"] = True
    model.take(opened)
    assert not model.open(), "it is open already"
    assert model.close()
    assert model.request()["open"] == []
    # What is shut goes up; the root and the buses cannot be shut.
    model.take(buses(102.0, a=1))
    assert not model.close()
    assert model.selected == "/buses"
    assert not model.close()
    assert model.selected == "/"


def test_a_request_does_not_grow_without_end() -> None:
    model = Model()
    model.take(document(*(actor(f"/{'x' * 200}{number}", 0, below=1) for number in range(1000))))

    def open_all() -> None:
        for row in model.rows:
            model.selected = row.path
            model.open()

    with pytest.raises(ValueError, match="too many places are open"):
        open_all()
    assert 250 < len(model.request()["open"]) < 330


trees: st.SearchStrategy[list[Any]] = st.recursive(
    st.just([]), lambda below: st.lists(below, max_size=4), max_leaves=30
)


def grown(tree: list[Any], path: str, depth: int, draw: Iterator[int]) -> Iterator[dict[str, Any]]:
    """The actors of a tree, each before those below it."""
    yield actor(path or "/", depth, below=len(tree), is_open=bool(tree), errors=next(draw))
    for number, below in enumerate(tree):
        yield from grown(below, f"{path}/{number}", depth + 1, draw)


@given(trees, st.randoms(use_true_random=False))
def test_sorting_keeps_the_tree(tree: list[Any], random: Any) -> None:
    model = Model()
    numbers = iter(lambda: random.randrange(4), None)
    model.take(document(*grown(tree, "", 0, numbers)))
    before = paths(model)
    model.sort_by(Sort.ERRORS)
    assert sorted(paths(model)) == sorted(before)
    seen: list[Any] = []
    for row in model.rows:
        assert row.path == "/" or (row.path.rpartition("/")[0] or "/") in seen, "each is behind what it is below"
        seen.append(row.path)
    for above in seen:
        siblings = [r for r in model.rows if r.path != "/" and (r.path.rpartition("/")[0] or "/") == above]
        errors = [row.told["errors"] for row in siblings]
        assert errors == sorted(errors, reverse=True)


def width_of(line: Line) -> int:
    """How many columns a line takes."""
    return sum(cell_len(segment.text) for segment in line)


nasty = st.text(max_size=60) | st.sampled_from(["家家家家家家家家家家家家家家家", "\x1b[2J", "a\nb", "🏠" * 30])


@given(
    nasty,
    nasty,
    st.integers(min_value=1, max_value=200),
    st.sampled_from([ASCII, UNICODE]),
    st.sampled_from(list(Sort)),
)
def test_no_line_is_longer_than_the_screen_nor_controls_it(
    name: str, error: str, width: int, signs: Any, sort: Sort
) -> None:
    model = Model()
    model.sort = sort
    told = actor(f"/{name}", 1, error=error, state=name[:20], latency=1e9, all_mailbox=10**12, actor=name, pid=4711)
    answer = document(actor("/", 0, below=1, is_open=True), told)
    event = {"number": 1, "time": 1.0, "level": "error", "path": "/", "event": name, "text": error}
    failure = {"path": "/", "event": name, "error": error, "level": "error", "first": 1.0, "last": 2.0, "times": 3}
    answer["selected"] = {"path": f"/{name}", "events": [event], "error": failure}
    answer |= {"service": name, "off_air": [name, name], "waiting": [name], "is_failed": True, "zombies": 3}
    model.take(answer)
    model.find = name
    model.selected = f"/{name}"
    lines = [heading(model, name, signs, width), titles(model, signs, width), *detail_lines(model, signs, width, 8)]
    lines += [row_line(row, signs, width, sort, selected=False, stale=False) for row in model.rows]
    for line in lines:
        assert width_of(line) == width
        assert text_of(line).isprintable()
        assert signs is UNICODE or text_of(line).isascii()


def test_what_is_wrong_with_the_server_comes_first() -> None:
    model = Model()
    model.take(document(actor("/", 0), at=1.0))
    assert "no " not in text_of(heading(model, "", ASCII, 80))
    answer = document(actor("/", 0), at=2.0)
    answer |= {"off_air": ["one", "two", "network"], "waiting": ["far"], "is_failed": True, "dead_letters": 1}
    model.take(answer)
    wrong = "attic  no broker: one and 2 more  no primary  no address: far"
    assert text_of(heading(model, "", ASCII, 120)).startswith(
        f"janitoo top  {wrong}  up 50s  1 actors  0/s  dead letters: 1"
    )
    assert text_of(heading(model, "", ASCII, 40)).startswith("attic  no broker: one and 2 more")


def text_of(line: Line) -> str:
    """What it says."""
    return "".join(segment.text for segment in line)


@pytest.mark.parametrize("sort", list(Sort))
@pytest.mark.parametrize("width", [20, 30, 40, 50, 60, 80, 200])
def test_the_column_by_which_it_is_sorted_is_always_there(sort: Sort, width: int) -> None:
    shown = columns(width, sort)
    assert sort is Sort.TREE or sort in {each.sort for each in shown}
    assert len(shown) == 5 or width < 80
    if width >= 40:
        assert sum(each.width for each in shown) + 14 + 11 <= width


def test_a_slow_server_is_left_in_peace() -> None:
    assert pause(0.0) == 1.0
    assert pause(0.1) == pytest.approx(0.9)
    # Not a fifth of its time is spent on who watches it.
    for took in (0.3, 1.0, 3.0):
        assert took / (took + pause(took)) <= 0.2
    assert pause(1000.0) <= 20


@given(st.lists(st.floats(min_value=0, max_value=1e12)))
def test_what_is_more_than_nothing_can_be_seen(samples: list[float]) -> None:
    drawn = spark(samples, UNICODE)
    assert len(drawn) == len(samples)
    assert [each != " " for each in drawn] == [each > 0 for each in samples]
    if any(samples):
        assert "█" in drawn


def test_what_does_not_fit_is_marked() -> None:
    assert fit("abcdef", 6, UNICODE) == "abcdef"
    assert fit("abcdefg", 6, UNICODE) == "abcde…"
    assert fit("abcdefg", 6, ASCII) == "abcde~"
    assert fit("abc", 0, UNICODE) == ""
