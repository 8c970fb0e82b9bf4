"""The parts of the screen: each draws only the lines that can be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from janitoo_actors.top.drawing import Line, Signs, fit, padded, row_line
from janitoo_actors.top.model import Model


class Lines(Widget):
    """Some lines that do not scroll; `draw` gives them, for a width and a height."""

    def __init__(self, draw: Callable[[int, int], Sequence[Line]], *, id: str) -> None:
        super().__init__(id=id)
        self._drawer = draw
        self._shown_lines: Sequence[Line] | None = None

    def renew(self) -> None:
        """Draw them anew."""
        self._shown_lines = None
        self.refresh()

    def on_resize(self) -> None:
        """Draw them for the new size."""
        self._shown_lines = None

    def render_line(self, y: int) -> Strip:
        """One of them."""
        width, height = self.size
        if self._shown_lines is None:
            self._shown_lines = self._drawer(width, height)
        line = self._shown_lines[y] if y < len(self._shown_lines) else []
        return Strip(padded(list(line), width), width)


class ActorTree(ScrollView):
    """The tree of actors. Its keys are the screen's."""

    can_focus = False

    def __init__(self, model: Model, signs: Signs) -> None:
        super().__init__(id="tree")
        self._model = model
        self._signs = signs
        self.stale = False

    def renew(self) -> None:
        """Draw what the model has now, with the cursor in sight."""
        self.virtual_size = Size(self.size.width, len(self._model.rows))
        if self._model.rows and self.size.height:
            row = Region(0, self._model.index, self.size.width, 1)
            self.scroll_to_region(row, animate=False, force=True, immediate=True)
        self.refresh()

    @property
    def page(self) -> int:
        """How many rows fit."""
        return max(1, self.size.height - 1)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self.renew()

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        rows = self._model.rows
        width = self.size.width
        number = y + self.scroll_offset.y
        if number >= len(rows):
            return Strip.blank(width, Style())
        row = rows[number]
        selected = row.path == self._model.selected
        return Strip(row_line(row, self._signs, width, self._model.sort, selected=selected, stale=self.stale), width)


class Pages(ScrollView):
    """Lines of text to scroll through, wrapped at the edge; those that come last are followed until one scrolls up."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "by(-1)", show=False),
        Binding("down,j", "by(1)", show=False),
        Binding("pageup", "by_page(-1)", show=False),
        Binding("pagedown,space", "by_page(1)", show=False),
        Binding("home,g", "to(0)", show=False),
        Binding("end,G", "to(1)", show=False),
    ]

    def __init__(self, signs: Signs, *, follow: bool = False, most: int = 10_000) -> None:
        super().__init__(id="pages")
        self._signs = signs
        self._follows = follow
        self._at_end = follow
        self._most = most
        self._given: list[tuple[str, Style]] = []
        self._shown_lines: list[tuple[str, Style]] = []

    def add(self, text: str, style: Style | None = None) -> None:
        """Add lines at the end."""
        given = [(line, style or Style()) for line in text.expandtabs().split("\n")]
        self._given = (self._given + given)[-self._most :]
        self._shown_lines = (self._shown_lines + [each for line in given for each in self._wrapped(line)])[
            -self._most :
        ]
        self._renew()

    def on_resize(self) -> None:
        """Wrap them anew."""
        self._shown_lines = [each for line in self._given for each in self._wrapped(line)]
        self._renew()

    def action_by(self, lines: int) -> None:
        """Scroll by lines."""
        self._scroll(round(self.scroll_target_y) + lines)

    def action_by_page(self, pages: int) -> None:
        """Scroll by pages."""
        self.action_by(pages * max(1, self.size.height - 1))

    def action_to(self, end: int) -> None:
        """Scroll to the beginning or to the end."""
        self._scroll(len(self._shown_lines) if end else 0)

    def render_line(self, y: int) -> Strip:
        """One row of the screen."""
        width = self.size.width
        number = y + self.scroll_offset.y
        if number >= len(self._shown_lines):
            return Strip.blank(width, Style())
        text, style = self._shown_lines[number]
        return Strip(padded([Segment(text, style)], width), width)

    def _wrapped(self, line: tuple[str, Style]) -> list[tuple[str, Style]]:
        text, style = line
        width = max(1, self.size.width or self.app.size.width)
        # By characters and not by words: most of it is paths and tracebacks.
        parts = [text[start : start + width] for start in range(0, len(text), width)] or [""]
        return [(fit(part, width, self._signs), style) for part in parts]

    def _scroll(self, to: int) -> None:
        most = max(0, len(self._shown_lines) - self.size.height)
        to = max(0, min(to, most))
        if self._follows:
            self._at_end = to >= most
        self.scroll_to(y=to, animate=False, force=True, immediate=True)
        self.refresh()

    def _renew(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._shown_lines))
        if self._follows and self._at_end:
            self._scroll(len(self._shown_lines))
        self.refresh()
