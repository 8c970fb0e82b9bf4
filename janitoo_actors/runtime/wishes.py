"""What somebody at the console wants of actors, whatever becomes of them: it outlives their restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace


def covers(path: str, of: str) -> bool:
    """Whether a place in the tree is this one or below it."""
    return path in {"/", of} or of.startswith(f"{path}/")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wished, for this process or the one of a bus.

    Attributes:
        suspended: the paths whose polls, and those of all below, are held back.
        levels: the level of the log of a path and of all below, instead of the loggers'.
    """

    suspended: frozenset[str] = frozenset()
    levels: Mapping[str, int] = field(default_factory=dict)

    def holds_back(self, path: str) -> bool:
        """Whether the polls of a place are held back."""
        # Up from the place: there may be thousands of others.
        while path and self.suspended:
            if path in self.suspended:
                return True
            path = path.rpartition("/")[0]
        return "/" in self.suspended


class WishList:
    """The wishes of a server. Any thread.

    Args:
        on_change: called with them when they have changed; must not block.
    """

    def __init__(self, on_change: Callable[[Wishes], None] = lambda _wishes: None) -> None:
        self.on_change = on_change
        self._lock = threading.Lock()
        self._current = Wishes()

    @property
    def current(self) -> Wishes:
        """What is wished now."""
        return self._current

    def suspend(self, paths: frozenset[str]) -> None:
        """Hold the polls of these back."""
        with self._lock:
            self._current = replace(self._current, suspended=self._current.suspended | paths)
        self.on_change(self._current)

    def resume(self, paths: frozenset[str]) -> None:
        """Let these and all below them poll again."""
        with self._lock:
            below = Wishes(suspended=paths)
            left = frozenset(each for each in self._current.suspended if not below.holds_back(each))
            self._current = replace(self._current, suspended=left)
        self.on_change(self._current)

    def set_level(self, path: str, level: int | None) -> None:
        """Log a path at a level; None: as it was before."""
        with self._lock:
            levels = {key: each for key, each in self._current.levels.items() if key != path}
            if level is not None:
                levels[path] = level
            self._current = replace(self._current, levels=levels)
        self.on_change(self._current)
