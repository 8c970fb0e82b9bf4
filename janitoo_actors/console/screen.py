"""What the console prints: plain lines, and colours on a terminal only."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from janitoo_actors.commands.tables import printable

STATES: Final = {
    "running": "green",
    "ONLINE": "green",
    "ok": "green",
    "restarting": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "suspended": "cyan",
    "warning": "yellow",
    "BOOT": "yellow",
    "stopped": "red",
    "dead": "red",
    "OFFLINE": "red",
    "critical": "bold red",
    "error": "red",
}
_LEAST_WIDTH: Final = 60


class Screen:
    """Where a command prints."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        # A pipe has no width: nothing is cut there.
        width = None if sys.stdout.isatty() else 240
        self._console = Console(
            highlight=False,
            markup=False,
            emoji=False,
            width=width,
            no_color=not colours,
            force_terminal=colours,
            soft_wrap=True,
        )
        self._colours = colours

    @property
    def width(self) -> int:
        """How many columns there are."""
        return max(self._console.width, _LEAST_WIDTH)

    def document(self, result: Any) -> None:
        """Print for programs: one object, over several lines."""
        print(json.dumps(result, indent=2))

    def item(self, result: Any) -> None:
        """Print for programs: one object of many, on a line, at once."""
        print(json.dumps(result), flush=True)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line, without what could control a terminal."""
        print(self.paint(printable(text), style), flush=True)

    def block(self, text: str, style: str = "", indent: str = "    ") -> None:
        """Print several lines, as a traceback."""
        for each in text.rstrip("\n").split("\n"):
            self.line(f"{indent}{each}", style)

    def title(self, text: str) -> None:
        """Print what stands above."""
        self.line(text, "bold")

    def paint(self, text: str, style: str) -> str:
        """A text in a style, where there are colours. It must be printable already."""
        return _style(style).render(text) if style and self._colours else text

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = ()) -> None:
        """Print a table; the last column takes what is left, and is folded. A style for the first cell of each row."""
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for title in titles[:-1]:
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        table.add_column(titles[-1], overflow="fold", ratio=1)
        for number, row in enumerate(rows):
            style = styles[number] if number < len(styles) else ""
            first, *rest = (printable(cell) for cell in row)
            table.add_row(Text(first, style=style), *(Text(cell) for cell in rest))
        with self._console.capture() as captured:
            self._console.print(table)
        for line in captured.get().splitlines():
            # It fills each line up to the width of the column.
            print(line.rstrip(), flush=True)

    def fit(self, text: str, used: int) -> str:
        """The text, cut to what is left of a line."""
        text = printable(text)
        most = self.width - used
        return text if len(text) <= most else f"{text[: max(0, most - 1)]}…"


@functools.cache
def _style(style: str) -> Style:
    return Style.parse(style)
