"""What a benchmark found: figures, their table, and their JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

_COLUMNS: Final = ("figure", "value", "unit", "reference", "note")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: what was measured.
        value: the median, where it was measured several times.
        unit: of the value; "x" for a ratio.
        samples: what was measured, each time; empty where there was one time.
        original: what the original Janitoo needs, in the same unit.
        goal: the value is to stay below this.
        at_least: the value is to reach this.
        note: how to read it.
    """

    name: str
    value: float
    unit: str
    samples: Sequence[float] = field(default=())
    original: float | None = None
    goal: float | None = None
    at_least: float | None = None
    note: str = ""

    @property
    def misses_its_goal(self) -> bool:
        """Whether there is a goal, and the value is on the wrong side of it."""
        too_much = self.goal is not None and self.value >= self.goal
        return too_much or (self.at_least is not None and self.value < self.at_least)

    def as_json(self) -> dict[str, Any]:
        """All of it, for a file."""
        return asdict(self)


def median_of(name: str, samples: Iterable[float], unit: str, **about: Any) -> Figure:
    """A figure that was measured several times."""
    values = list(samples)
    return Figure(name, statistics.median(values), unit, values, **about)


def percentile(samples: Sequence[float], share: float) -> float:
    """The value that so large a share of the samples (0 to 1) does not exceed."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(title: str, figures: Sequence[Figure]) -> str:
    """The figures of one benchmark, as text."""
    rows = [_COLUMNS, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = [f"{title}"]
    for row in rows:
        cells = [
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    lines.insert(2, f"  {'  '.join('-' * width for width in widths)}")
    return "\n".join(lines)


def markdown(found: Mapping[str, Sequence[Figure]]) -> str:
    """The figures of all benchmarks as one table, for a page of the documentation."""
    lines = ["| | figure | value | reference | note |", "|---|---|---:|---|---|"]
    for benchmark, figures in found.items():
        for figure in figures:
            name, value, unit, references, note = _row(figure)
            cells = (benchmark, name.strip(), f"{value} {unit}".strip(), references, note)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    references = []
    if figure.original is not None:
        references.append(f"original {number(figure.original)}")
    if figure.goal is not None:
        references.append(f"goal < {number(figure.goal)}{' MISSED' if figure.misses_its_goal else ''}")
    if figure.at_least is not None:
        references.append(f"goal ≥ {number(figure.at_least)}{' MISSED' if figure.misses_its_goal else ''}")
    return (figure.name, number(figure.value), figure.unit, ", ".join(references), figure.note)


def number(value: float) -> str:
    """A number with three significant digits, and no exponent."""
    if value != 0 and abs(value) < 1000:
        text = f"{value:.3g}"
        return text if "e" not in text else f"{value:.6f}".rstrip("0")
    return f"{value:,.0f}"
