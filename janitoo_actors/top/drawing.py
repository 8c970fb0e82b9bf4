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
_LEAST_NAME = 14
_STATE = 11


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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers, and what one sorts by to have it in order."""

    title: str
    width: int
    sort: Sort | None = None


_MAIL: Final = Column("MAIL", 6, Sort.MAILBOX)
_RATE: Final = Column("RATE/s", 8, Sort.RATE)
_ERRORS: Final = Column("ERR", 6, Sort.ERRORS)
_LATENCY: Final = Column("LATENCY", 9, Sort.LATENCY)
_RESTARTS: Final = Column("RST", 5)
_COLUMNS: Final = (_MAIL, _RATE, _ERRORS, _LATENCY, _RESTARTS)
_DISPENSABLE: Final = (_RESTARTS, _MAIL, _LATENCY, _RATE, _ERRORS)
"""Which are left out where it is narrow, the first one first; never that by which it is sorted."""


def columns(width: int, sort: Sort) -> Sequence[Column]:
    """Those that there is room for, besides a name."""
    shown = list(_COLUMNS)
    for each in _DISPENSABLE:
        if width - _STATE - sum(column.width for column in shown) >= _LEAST_NAME:
            break
        if each.sort is not sort:
            shown.remove(each)
    return shown


def fit(text: str, width: int, signs: Signs) -> str:
    """The text without what could control a terminal, cut to so many columns."""
    text = printable(text)
    if signs is ASCII:
        # Whatever else comes of them on the terminal may be wider than they are.
        text = text.encode("ascii", "replace").decode()
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
    words = [
        f"up {age(document['up'])}",
        f"{count(sum(states.values()))} actors",
        f"{_rate(model.rate)}/s",
        *(f"{number} {state}" for state, number in states.items() if state != "running" and number),
        # There are some where actors start and end: nothing is wrong now.
        *([f"dead letters: {count(document['dead_letters'])}"] if document["dead_letters"] else []),
    ]
    odd = [
        *(_some("no broker", document["off_air"])),
        *(["no primary"] if document["is_failed"] else []),
        *(_some("no address", document["waiting"])),
        *(_some("no word from", document["silent"])),
        *(f"{name}: {count(document[key])}" for key, name in _ODD.items() if document[key]),
    ]
    told = "  ".join(words)
    wrong = "  ".join(odd)
    room = max(_LEAST_PATH, width - len(told) - len(wrong) - 4)
    name = f"janitoo top  {document['service']}"
    name = fit(name if cell_len(name) <= room else document["service"], room, signs)
    left = max(0, width - cell_len(name) - 2)
    line = [Segment(name, BOLD), Segment("  ")]
    if wrong:
        # What is wrong before what is there always, where there is no room for both.
        said = fit(wrong, left, signs)
        line.append(Segment(said, RED))
        left = max(0, left - cell_len(said) - 2)
        line.append(Segment("  "))
    return padded([*line, Segment(fit(told, left, signs))], width)


def _some(what: str, sections: Sequence[str]) -> list[str]:
    """What is so of some buses: of which."""
    if not sections:
        return []
    more = f" and {len(sections) - 1} more" if len(sections) > 1 else ""
    return [f"{what}: {sections[0]}{more}"]


_ODD: Final = {"zombies": "threads hang", "backlog": "turns wait"}


def titles(model: Model, signs: Signs, width: int) -> Line:
    """The titles of the columns."""
    shown_columns = columns(width, model.sort)
    path = _path_width(width, shown_columns)
    shown = f"ACTOR ({len(model.rows)})" if not model.find else f"ACTOR  /{model.find} ({len(model.rows)})"
    line = [Segment(set_cell_size(fit(shown, path - 1, signs), path), REVERSE), Segment("STATE".ljust(_STATE), REVERSE)]
    for column in shown_columns:
        mark = signs.rising if model.sort is column.sort else " "
        line.append(Segment(f"{mark}{column.title}".rjust(column.width), REVERSE + BOLD if mark != " " else REVERSE))
    return padded(line, width, REVERSE)


def row_line(row: Row, signs: Signs, width: int, sort: Sort, *, selected: bool, stale: bool) -> Line:
    """A place of the tree."""
    told = row.told
    shown = columns(width, sort)
    path = _path_width(width, shown)
    sign = (signs.opened if row.is_open else signs.closed) if row.can_open else " "
    name = _name(row)
    indent = "  " * min(row.depth, max(0, (path - _LEAST_PATH) // 2))
    state = "suspended" if row.is_suspended and told["state"] == "running" else told["state"]
    slow = told["latency"] is not None and told["latency"] >= _SLOW
    cells = [
        Segment(set_cell_size(fit(f"{indent}{sign} {name}", path - 1, signs), path), BOLD if row.can_open else PLAIN),
        Segment(fit(state, _STATE - 1, signs).ljust(_STATE), _state_style(state)),
    ]
    restarts = told["all_restarts"]
    numbers = {
        _MAIL: (count(told["all_mailbox"]), PLAIN),
        _RATE: (_rate(row.rate), PLAIN),
        _ERRORS: (count(told["errors"]), RED if told["errors"] else DIM),
        _LATENCY: (latency(told["latency"]), RED if slow else PLAIN),
        _RESTARTS: (count(restarts), PLAIN if restarts else DIM),
    }
    cells += [Segment(numbers[column][0].rjust(column.width), numbers[column][1]) for column in shown]
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


def _path_width(width: int, shown: Sequence[Column]) -> int:
    return max(_LEAST_PATH, width - _STATE - sum(column.width for column in shown))


def _state_style(state: str) -> Style:
    colour = STATES.get(state)
    return Style.parse(colour) if colour else PLAIN
