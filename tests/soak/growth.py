"""The rule that says whether a figure grows, however it goes up and down. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

FEWEST: Final = 6
"""Figures that it takes to say anything."""
_WARM_UP: Final = 3
"""One in so many figures, the first ones, are those of a server that has not yet met everything once."""


@dataclass(frozen=True)
class Growth:
    """How a series has gone.

    Attributes:
        start, end: the medians of the first and of the last third of what counts.
        trend: by how much it has grown from the first to the last of these figures, as their slopes have it.
        tolerance: by how much it may.
    """

    start: float
    end: float
    trend: float
    tolerance: float

    @property
    def is_too_much(self) -> bool:
        """Whether it has grown by more than it may, by its ends and all along.

        A step is no growth all along, and a few figures that are far off move neither medians nor slopes.
        """
        return min(self.trend, self.end - self.start) > self.tolerance

    def __str__(self) -> str:
        return f"{self.start:.0f} → {self.end:.0f}, trend {self.trend:+.1f}, tolerance {self.tolerance:.1f}"


def growth(figures: Sequence[float], tolerance: float, relative: float = 0.0) -> Growth:
    """How a series goes, without its beginning.

    Args:
        figures: as they were, at equal distances.
        tolerance: by how much it may grow.
        relative: by which part of itself it may grow, where that is more.

    Raises:
        ValueError: there are too few of them.
    """
    if len(figures) < FEWEST:
        raise ValueError(f"{len(figures)} figures say nothing: expected {FEWEST} or more; let it run for longer")
    counted = figures[len(figures) // _WARM_UP :]
    third = max(len(counted) // 3, 1)
    start, end = median(counted[:third]), median(counted[-third:])
    return Growth(start, end, slope(counted) * (len(counted) - 1), max(tolerance, relative * start))


def slope(figures: Sequence[float]) -> float:
    """The median of the slopes between any two figures (Theil and Sen): up to 29 % of them may be anything."""
    pairs = itertools.combinations(enumerate(figures), 2)
    return median((late - early) / (end - start) for (start, early), (end, late) in pairs)
