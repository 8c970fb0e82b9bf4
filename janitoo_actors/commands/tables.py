"""Tables as the tutorial shows them: padded columns, one space between. Pure functions."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

RULE: Final = "-" * 10
"""What stands under a title."""

MAX_CELL: Final = 200
"""Characters of one cell that are shown; `--output json` has the rest. Longer ones would push the columns
of every other row off the terminal."""

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        width: of its cells, in terminal columns, at least; it grows with its content.
    """

    title: str
    width: int


def render(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> list[str]:
    """The header and the rows, aligned; nothing at all where there are no rows."""
    lines = [[cell(each) for each in row] for row in rows]
    if not lines:
        return []
    lines.insert(0, [column.title for column in columns])
    widths = [max(column.width, *(_width(line[place]) for line in lines)) for place, column in enumerate(columns)]
    return [_line(line, widths) for line in lines]


def titled(title: str, lines: Iterable[str]) -> list[str]:
    """A list under its title."""
    return [printable(title), RULE, *lines]


def paragraphs(lists: Iterable[Sequence[str]]) -> list[str]:
    """The lists with a blank line between."""
    lines: list[str] = []
    for each in lists:
        lines += ["", *each] if lines else each
    return lines


def cell(data: object) -> str:
    """Anything that JSON can hold, as one cell: `None` where there is nothing, as the tutorial prints it."""
    if isinstance(data, str):
        text = data
    elif isinstance(data, dict | list):
        text = json.dumps(data, ensure_ascii=False)
    else:
        text = str(data)
    if len(text) > MAX_CELL:
        text = f"{text[: MAX_CELL - 1]}…"
    return printable(text)


def printable(text: str) -> str:
    r"""The text on one line, with what a terminal might obey (`\x1b`, line ends, bidirectional overrides) escaped.

    What others publish is printed on people's terminals: it must not be able to control them.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [text + " " * (width - _width(text)) for text, width in zip(cells, widths, strict=True)]
    # The last column is not padded: lines end where their text does.
    return " ".join([*padded[:-1], cells[-1]])


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_character_width(each) for each in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        # It sits on the character before it.
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def ago(seconds: float | None) -> str:
    """How long ago, for people: `3 s`, `12 min`, `5 h`, `2 d`."""
    if seconds is None:
        return "never"
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds:.0f} s"
