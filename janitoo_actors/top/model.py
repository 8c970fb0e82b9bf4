"""What `janitoo top` knows of the server, and what of it is on the screen. Pure: no terminal, no socket, no clock."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from janitoo_actors.control.wire import MOST_REQUEST

HISTORY: Final = 120
"""Samples that are kept of each place, one a second."""
SAMPLE_EVERY: Final = 0.8
"""Seconds of the server's clock after which a look counts as a sample; a key press may have had an earlier one."""
_ALWAYS_OPEN: Final = 2
_MARGIN: Final = 2_000
"""Bytes of a request besides the paths in it."""


class Sort(Enum):
    """What siblings are sorted by."""

    TREE = "start"
    """The order in which they are started."""
    MAILBOX = "mailbox"
    RATE = "rate"
    ERRORS = "errors"
    LATENCY = "latency"


@dataclass(slots=True)
class Series:
    """What a place has been at, the latest last."""

    # Arrays of small numbers: there may be ten thousand of these.
    rate: array[float] = field(default_factory=lambda: array("f"))
    latency: array[float] = field(default_factory=lambda: array("f"))
    mailbox: array[float] = field(default_factory=lambda: array("f"))

    def add(self, rate: float, latency: float, mailbox: float) -> None:
        """One more sample."""
        for samples, now in ((self.rate, rate), (self.latency, latency), (self.mailbox, mailbox)):
            samples.append(now)
            if len(samples) > HISTORY:
                del samples[0]


@dataclass(slots=True)
class Row:
    """A place on the screen.

    Attributes:
        told: what the server says of it: `actors` of an `overview`.
        rate: messages handled a second, by it and all below; None before there are two samples.
    """

    told: Mapping[str, Any]
    rate: float | None = None

    @property
    def path(self) -> str:
        """Where it is."""
        path: str = self.told["path"]
        return path

    @property
    def depth(self) -> int:
        """How many are above it."""
        depth: int = self.told["depth"]
        return depth

    @property
    def is_open(self) -> bool:
        """Whether those below it are shown."""
        return bool(self.told["open"])

    @property
    def can_open(self) -> bool:
        """Whether there are some."""
        return bool(self.told["below"])

    @property
    def is_suspended(self) -> bool:
        """Whether its polls are held back."""
        return bool(self.told["suspended"])

    def key(self, sort: Sort) -> float:
        """By what it is sorted."""
        match sort:
            case Sort.MAILBOX:
                return float(self.told["all_mailbox"])
            case Sort.RATE:
                return self.rate or 0.0
            case Sort.ERRORS:
                return float(self.told["errors"])
            case Sort.LATENCY:
                return float(self.told["latency"] or 0.0)
            case _:
                return 0.0


class Model:
    """The state of the screen.

    Attributes:
        document: the last `overview`; None before the first.
        rows: what is shown, in its order.
        selected: the path that the cursor is on.
        sort, find: how it is sorted, and what is looked for.
    """

    def __init__(self) -> None:
        self.document: Mapping[str, Any] | None = None
        self.rows: list[Row] = []
        self.selected = "/"
        self.sort = Sort.TREE
        self.find = ""
        self._open: dict[str, None] = {}
        self._series: dict[str, Series] = {}
        self._sampled_at: float | None = None
        self._handled: dict[str, int] = {}
        self._rates: dict[str, float] = {}
        self._server: tuple[int, float] | None = None

    def request(self) -> dict[str, Any]:
        """The keys of the next `overview`."""
        return {"open": list(self._open), "find": self.find, "selected": self.selected}

    def take(self, document: Mapping[str, Any]) -> None:
        """The server has answered."""
        started = document["at"] - document["up"]
        before = self._server
        # Another process, or another server in the same one: what is known is of no use.
        if before is None or before[0] != document["pid"] or abs(before[1] - started) > 1:
            self._series.clear()
            self._handled.clear()
            self._rates.clear()
            self._sampled_at = None
        self._server = (document["pid"], started)
        self.document = document
        actors: Sequence[Mapping[str, Any]] = document["actors"]
        at: float = document["at"]
        if self._sampled_at is None or at - self._sampled_at >= SAMPLE_EVERY:
            self._sample(actors, at)
        self._arrange(actors)

    def _sample(self, actors: Sequence[Mapping[str, Any]], at: float) -> None:
        seconds = at - self._sampled_at if self._sampled_at is not None else 0.0
        handled = {each["path"]: each["all_handled"] for each in actors}
        rates = {}
        for each in actors:
            path = each["path"]
            before = self._handled.get(path)
            if before is not None and seconds > 0:
                # Less than before: one below has been restarted, and counts anew.
                rates[path] = max(0, each["all_handled"] - before) / seconds
            series = self._series.get(path)
            if series is None:
                series = self._series[path] = Series()
            series.add(rates.get(path, 0.0), each["latency"] or 0.0, each["all_mailbox"])
        for gone in self._series.keys() - handled.keys():
            del self._series[gone]
        self._handled, self._rates, self._sampled_at = handled, rates, at

    def _arrange(self, actors: Sequence[Mapping[str, Any]]) -> None:
        rows = [Row(each, self._rates.get(each["path"])) for each in actors]
        before = self.index
        self.rows = rows if self.sort is Sort.TREE else list(_sorted(rows, self.sort))
        shown = {row.path for row in self.rows}
        while self.selected not in shown and self.selected != "/":
            self.selected = self.selected.rpartition("/")[0] or "/"
        if self.selected not in shown and self.rows:
            self.selected = self.rows[min(before, len(self.rows) - 1)].path

    @property
    def rate(self) -> float | None:
        """Messages handled a second, by all of the server; None where it is not known."""
        return self._rates.get("/")

    @property
    def index(self) -> int:
        """Where the cursor is, in the rows."""
        return next((number for number, row in enumerate(self.rows) if row.path == self.selected), 0)

    @property
    def row(self) -> Row | None:
        """What the cursor is on."""
        index = self.index
        return self.rows[index] if index < len(self.rows) else None

    def series(self, path: str) -> Series:
        """What a place has been at."""
        return self._series.get(path) or Series()

    def move(self, by: int) -> None:
        """Move the cursor."""
        if self.rows:
            self.selected = self.rows[max(0, min(self.index + by, len(self.rows) - 1))].path

    def select_parent(self) -> None:
        """Move the cursor to what the place is below."""
        row = self.row
        if row is None:
            return
        for above in reversed(self.rows[: self.index]):
            if above.depth < row.depth:
                self.selected = above.path
                return

    def open(self) -> bool:
        """Have what is below the cursor shown; whether the server must be asked. Raises ValueError where it is full."""
        row = self.row
        if row is None or not row.can_open or row.is_open:
            return False
        self._open[row.path] = None
        if len(json.dumps(self.request())) > MOST_REQUEST - _MARGIN:
            del self._open[row.path]
            raise ValueError("too many places are open: close some, or look for one with /")
        return True

    def close(self) -> bool:
        """Have it shown no more, or go up where it is not; whether the server must be asked."""
        row = self.row
        if row is None:
            return False
        if row.path in self._open and row.is_open:
            del self._open[row.path]
            return True
        self.select_parent()
        return False

    def sort_by(self, sort: Sort) -> None:
        """Sort siblings, the most first."""
        self.sort = sort
        if self.document is not None:
            self._arrange(self.document["actors"])

    def sort_next(self) -> None:
        """Sort by the next thing."""
        sorts = list(Sort)
        self.sort_by(sorts[(sorts.index(self.sort) + 1) % len(sorts)])


def _sorted(rows: Sequence[Row], sort: Sort) -> Iterator[Row]:
    """The rows with siblings sorted; each with all below it behind it."""
    below: dict[int, list[int]] = {}
    above: list[int] = []
    for number, row in enumerate(rows):
        while above and rows[above[-1]].depth >= row.depth:
            above.pop()
        below.setdefault(above[-1] if above else -1, []).append(number)
        above.append(number)
    # Without recursion: a tree may be deeper than Python's stack.
    left = _by(below.get(-1, []), rows, sort)
    while left:
        number = left.pop()
        yield rows[number]
        left += _by(below.get(number, []), rows, sort)


def _by(numbers: Sequence[int], rows: Sequence[Row], sort: Sort) -> list[int]:
    """Siblings, the first one last."""
    # Those that are the same stay in the order of the tree.
    return sorted(numbers, key=lambda number: rows[number].key(sort), reverse=True)[::-1]
