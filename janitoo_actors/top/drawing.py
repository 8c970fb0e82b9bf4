"""The lines of `janitoo top`, as text with styles. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from janitoo_actors.commands.tables import printable
from janitoo_actors.console.screen import STATES
from janitoo_actors.console.words import age, clock, count
from janitoo_actors.top.model import Model, Row, Sort

Line = list[Segment]

PLAIN: Final = Style()
BOLD: Final = Style(bold=True)
DIM: Final = Style(dim=True)
REVERSE: Final = Style(reverse=True)
RED: Final = Style(color="red", bold=True)
_LEVELS: Final = {"warning": Style(color="yellow"), "error": RED, "critical": RED}
_SLOW: Final = 1.0
"""Seconds of latency that are shown as a warning."""
_SHORT: Final = 0.01
_FEW: Final = 10
_MANY: Final = 100
_LEAST_PATH: Final = 12
_LEAST_GRAPH: Final = 5
_STATE, _RESTARTS = 11, 5


@dataclass(frozen=True, slots=True)
class Signs:
    """The characters to draw with."""

    opened: str
    closed: str
    line: str
    levels: str
    cut: str
    rising: str


UNICODE: Final = Signs("▾", "▸", "─", " ▁▂▃▄▅▆▇█", "…", "▼")
ASCII: Final = Signs("-", "+", "-", " .:-=+*#@", "~", "v")

_COLUMNS: Final = (
    ("MAIL", 6, Sort.MAILBOX),
    ("RATE/s", 8, Sort.RATE),
    ("ERR", 6, Sort.ERRORS),
    ("LATENCY", 9, Sort.LATENCY),
)
"""The columns by which one may sort: their titles and widths."""


def fit(text: str, width: int, signs: Signs) -> str:
    """The text without what could control a terminal, cut to so many columns."""
    text = printable(text)
    width = max(0, width)
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, width - 1)}{signs.cut}" if width else ""


def padded(line: Line, width: int, style: Style = PLAIN) -> Line:
    """The line, as wide as the screen and no wider."""
    return Segment.adjust_line_length(line, width, style)


def heading(model: Model, file: str, signs: Signs, width: int) -> Line:
    """The first line: which server, and how it does as a whole."""
    document = model.document
    if document is None:
        return padded([Segment(fit(f"janitoo top  {file}", width, signs), BOLD)], width)
    states: Mapping[str, int] = document["states"]
    top = model.rows[0] if model.rows else None
    words = [
        f"up {age(document['up'])}",
        f"{count(sum(states.values()))} actors",
        *(f"{number} {state}" for state, number in states.items() if state != "running" and number),
        f"{_rate(top.rate if top is not None else None)}/s",
        *(f"{count(document[key])} {name}" for key, name in _ODD.items() if document[key]),
        *(f"no word from {section}" for section in document["silent"][:2]),
    ]
    told = "  ".join(words)
    name = fit(f"janitoo top  {document['service']}", max(_LEAST_PATH, width - len(told) - 2), signs)
    return padded([Segment(name, BOLD), Segment(f"  {fit(told, max(0, width - len(name) - 2), signs)}")], width)


_ODD: Final = {"dead_letters": "dead letters", "backlog": "turns wait", "zombies": "threads hang"}


def titles(model: Model, signs: Signs, width: int) -> Line:
    """The titles of the columns."""
    path = _path_width(width)
    shown = f"ACTOR ({len(model.rows)})" if not model.find else f"ACTOR  /{model.find} ({len(model.rows)})"
    line = [Segment(set_cell_size(fit(shown, path - 1, signs), path), REVERSE), Segment("STATE".ljust(_STATE), REVERSE)]
    for title, wide, sort in _COLUMNS:
        mark = signs.rising if model.sort is sort else " "
        line.append(Segment(f"{mark}{title}".rjust(wide), REVERSE + BOLD if mark != " " else REVERSE))
    return padded([*line, Segment("RST".rjust(_RESTARTS), REVERSE)], width, REVERSE)


def row_line(row: Row, signs: Signs, width: int, *, selected: bool, stale: bool) -> Line:
    """A place of the tree."""
    told = row.told
    path = _path_width(width)
    sign = (signs.opened if row.is_open else signs.closed) if row.can_open else " "
    name = _name(row)
    indent = "  " * min(row.depth, max(0, (path - _LEAST_PATH) // 2))
    state = "suspended" if row.is_suspended and told["state"] == "running" else told["state"]
    slow = told["latency"] is not None and told["latency"] >= _SLOW
    cells = [
        Segment(set_cell_size(fit(f"{indent}{sign} {name}", path - 1, signs), path), BOLD if row.can_open else PLAIN),
        Segment(fit(state, _STATE - 1, signs).ljust(_STATE), _state_style(state)),
    ]
    numbers = (
        (count(told["all_mailbox"]), PLAIN),
        (_rate(row.rate), PLAIN),
        (count(told["errors"]), RED if told["errors"] else DIM),
        (latency(told["latency"]), RED if slow else PLAIN),
    )
    cells += [
        Segment(text.rjust(wide), style) for (text, style), (_title, wide, _sort) in zip(numbers, _COLUMNS, strict=True)
    ]
    restarts = told["all_restarts"]
    cells.append(Segment(count(restarts).rjust(_RESTARTS), PLAIN if restarts else DIM))
    over = REVERSE if selected else (DIM if stale else PLAIN)
    if selected or stale:
        # One style for the whole line: a colour behind the letters would hide them on some terminals.
        cells = [Segment(cell.text, over) for cell in cells]
    return padded(cells, width, over)


def detail_lines(model: Model, signs: Signs, width: int, height: int) -> list[Line]:
    """What is known of the place that the cursor is on."""
    row = model.row
    document = model.document
    if row is None or document is None or height <= 0:
        return [padded([], width) for _ in range(height)]
    told = row.told
    words = [told["actor"], f"{told['state']} {age(told['age'])}", told["isolation"]]
    words += [f"pid {told['pid']}"] if told["pid"] is not None else []
    words += [f"{told['below']} below"] if told["below"] else []
    words += [f"next start in {age(told['retry_in'])}"] if told["retry_in"] is not None else []
    about = ", ".join(words)
    path = fit(told["path"], max(_LEAST_PATH, width - len(about) - 6), signs)
    title = fit(f"{signs.line} {path} {signs.line} {about} ", width, signs)
    lines = [[Segment(title.ljust(width, signs.line), BOLD)]]
    series = model.series(row.path)
    graphs = (
        ("rate", f"{_rate(row.rate)}/s", series.rate, _rate),
        ("latency", latency(told["latency"]), series.latency, latency),
        ("mailbox", count(told["all_mailbox"]), series.mailbox, count),
    )
    for name, now, samples, words_of in graphs:
        lines.append(_graph(name, (now, words_of(max(samples, default=0.0))), samples, signs, width))
    lines.append(_trouble(told, document["selected"], signs, width))
    events: Sequence[Mapping[str, Any]] = document["selected"]["events"]
    if document["selected"]["path"] != row.path:
        # The answer is of where the cursor was before.
        events = []
    left = max(0, height - len(lines))
    lines += [_event(each, signs, width) for each in (events[-left:] if left else [])]
    return [padded(line, width) for line in [*lines, *([] for _ in range(height))][:height]]


def _graph(name: str, said: tuple[str, str], samples: Sequence[float], signs: Signs, width: int) -> Line:
    """A line with what it is now, what it was, and the most of that; `said` are the first and the last of these."""
    now, most = said
    head, tail = f"{name:<8}{now:>8} ", f" max {most}"
    room = max(_LEAST_GRAPH, width - len(head) - len(tail) - 1)
    graph = spark(samples[-room:], signs).rjust(room)
    return [Segment(head), Segment(graph, Style(color="cyan")), Segment(tail, DIM)]


def spark(samples: Sequence[float], signs: Signs) -> str:
    """Samples as a line of bars, each as high as its share of the most; what is more than nothing can be seen."""
    most = max(samples, default=0.0)
    top = len(signs.levels) - 1
    if most <= 0:
        return signs.levels[0] * len(samples)
    return "".join(signs.levels[0 if each <= 0 else max(1, min(top, round(each / most * top)))] for each in samples)


def _trouble(told: Mapping[str, Any], selected: Mapping[str, Any], signs: Signs, width: int) -> Line:
    """What is wrong with it, in a line."""
    error = selected["error"] if selected["path"] == told["path"] else None
    if told["current"] is not None and (told["current_age"] or 0.0) >= _SLOW:
        return [Segment(fit(f"at {told['current']} for {age(told['current_age'])}", width, signs), RED)]
    if error is not None:
        times = f"{error['times']}x " if error["times"] > 1 else ""
        words = f"{clock(error['last'])} {times}{error['event']}: {error['error']}"
        return [Segment(fit(words, width, signs), _LEVELS.get(error["level"], PLAIN))]
    if told["error"]:
        return [Segment(fit(f"last end: {told['error']}", width, signs), _LEVELS["warning"])]
    return [Segment("no errors", DIM)]


def _event(event: Mapping[str, Any], signs: Signs, width: int) -> Line:
    head = f"{clock(event['time'])} "
    text = fit(f"{event['event']} {event['text']}", max(0, width - len(head)), signs)
    return [Segment(head, DIM), Segment(text, _LEVELS.get(event["level"], PLAIN))]


def _name(row: Row) -> str:
    path = row.path
    if path == "/":
        return "/"
    # Children have ids of their own, some with slashes in them, as `0701/0001`.
    parts = path.strip("/").split("/")
    return "/".join(parts[max(0, row.depth - 1) :]) if row.depth <= len(parts) else parts[-1]


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    if rate == 0:
        return "0"
    return f"{rate:.2f}" if rate < _FEW else (f"{rate:.1f}" if rate < _MANY else count(rate))


def latency(seconds: float | None) -> str:
    """`0.25ms`, `12ms`, `3s`: short ones are what most are."""
    if seconds is None or seconds >= _SHORT:
        return age(seconds)
    return f"{seconds * 1000:.2f}ms" if seconds else "0"


def _path_width(width: int) -> int:
    return max(_LEAST_PATH, width - _STATE - sum(wide for _title, wide, _sort in _COLUMNS) - _RESTARTS)


def _state_style(state: str) -> Style:
    colour = STATES.get(state)
    return Style.parse(colour) if colour else PLAIN
