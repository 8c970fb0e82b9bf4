"""What every benchmark is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure.

    Attributes:
        folder: for files, on a real disk.
        quick: whether a rough answer soon is wanted.
    """

    folder: Path
    quick: bool

    def pick(self, full: _T, quick: _T) -> _T:
        """The one or the other."""
        return quick if self.quick else full
