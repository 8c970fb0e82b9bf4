"""Did you mean: help with names that are not there. Pure functions; any thread."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Final

_FEW: Final = 12
"""How many names a person reads through in one line."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'hostsensor'?`, or nothing where no name is close."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def did_you_mean_or_choose(name: str, names: Collection[str]) -> str:
    """The closest name; else all of them where they are few; else nothing."""
    if (near := did_you_mean(name, names)) or len(names) > _FEW:
        return near
    return f"; installed: {', '.join(sorted(names)) or 'none'}"
