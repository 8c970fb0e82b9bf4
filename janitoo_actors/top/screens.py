"""The pages of `janitoo top` that are not the tree: help, errors, a trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from janitoo_actors.console.words import clock
from janitoo_actors.top import source
from janitoo_actors.top.drawing import BOLD, DIM, RED, REVERSE, Line, Signs, fit, latency, padded
from janitoo_actors.top.widgets import Lines, Pages

if TYPE_CHECKING:
    from janitoo_actors.top.app import Top


class Call(Message):
    """Do this on the thread of the screen."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self.work = work


class TextScreen(Screen[None]):
    """Text to scroll through, until it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,left", "leave", show=False)]

    def __init__(self, signs: Signs, title: str, *, text: str = "", follow: bool = False) -> None:
        super().__init__()
        self._signs = signs
        self._title = title
        self._text = text
        self.pages = Pages(signs, follow=follow)

    def compose(self) -> ComposeResult:
        """The title, the text, and how to leave."""
        yield Lines(self._head, id="heading")
        yield self.pages
        yield Lines(self._foot, id="keys")

    def on_mount(self) -> None:
        """The keys are for the text."""
        self.pages.focus()
        if self._text:
            self.pages.add(self._text)

    def retitle(self, title: str) -> None:
        """Another title."""
        self._title = title
        self.query_one("#heading", Lines).renew()

    def action_leave(self) -> None:
        """Back to the tree."""
        self.dismiss()

    def _head(self, width: int, _height: int) -> Sequence[Line]:
        return [padded([Segment(fit(self._title, width, self._signs), REVERSE)], width, REVERSE)]

    def _foot(self, width: int, _height: int) -> Sequence[Line]:
        return [[Segment(fit("up down page up page down home end: scroll   esc: back", width, self._signs), DIM)]]


class ErrorsScreen(TextScreen):
    """What has gone wrong at a place and below."""

    def __init__(self, top: Top, path: str) -> None:
        super().__init__(top.signs, f"errors of {path}")
        self._top = top
        self._path = path

    def on_mount(self) -> None:
        """Ask for them."""
        super().on_mount()
        source.errors(self._top.connect, self._path, self._got)

    def _got(self, answer: Mapping[str, Any] | str) -> None:
        # On a thread: the answer is shown on the screen's.
        self._top.post_message(Call(lambda: self._show(answer)))

    def _show(self, answer: Mapping[str, Any] | str) -> None:
        if isinstance(answer, str):
            self.pages.add(answer, RED)
            return
        failures = answer["errors"]
        self.retitle(f"errors of {self._path}: {len(failures)}, the latest first")
        if not failures:
            self.pages.add("Nothing has gone wrong.")
        for each in failures:
            times = f", {each['times']} times since {clock(each['first'])}" if each["times"] > 1 else ""
            self.pages.add(f"{clock(each['last'])}  {each['level']}{times}", BOLD)
            self.pages.add(f"  {each['path']}")
            self.pages.add(f"  {each['event']}: {each['error']}")
            if each["traceback"]:
                self.pages.add("\n".join(f"    {line}" for line in each["traceback"].rstrip().split("\n")), DIM)


class TraceScreen(TextScreen):
    """The messages of a place, as they are handled."""

    def __init__(self, top: Top, path: str) -> None:
        super().__init__(top.signs, f"trace of {path}: messages as they are handled", follow=True)
        self._top = top
        self._path = path
        self._trace: source.Trace | None = None

    def on_mount(self) -> None:
        """Begin."""
        super().on_mount()
        self._trace = source.Trace(self._top.connect, self._path, self._shown, self._ended)

    def on_unmount(self) -> None:
        """End it: it costs the server something."""
        if self._trace is not None:
            self._trace.stop()

    def _shown(self, message: Mapping[str, Any]) -> None:
        took = latency(message["took"])
        error = f"  {message['error']}" if message["error"] else ""
        where = message["path"].removeprefix(f"{self._path}/")
        text = f"{clock(message['time'])} {where}  {message['message']}  {took}{error}"
        style = RED if error else None
        self._top.post_message(Call(lambda: self.pages.add(text, style)))

    def _ended(self, why: str) -> None:
        self._top.post_message(Call(lambda: self.pages.add(why, BOLD)))
