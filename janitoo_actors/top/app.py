"""The screens of `janitoo top`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from janitoo_actors.console.words import age
from janitoo_actors.top import source
from janitoo_actors.top.drawing import (
    BOLD,
    DIM,
    RED,
    REVERSE,
    Line,
    Signs,
    detail_lines,
    fit,
    heading,
    padded,
    titles,
)
from janitoo_actors.top.model import Model, Sort
from janitoo_actors.top.screens import Call, ErrorsScreen, TextScreen, TraceScreen
from janitoo_actors.top.source import REFRESH, Connect, Looked, Looker
from janitoo_actors.top.widgets import ActorTree, Lines

_KEYS: Final = "r restart  s suspend  p poll  t trace  e errors  / find  o sort  ? help  q quit"
_FEW_KEYS: Final = "? help  q quit  / find  o sort  rspte"
_NOTHING: Final = "nothing is like that: / looks for another, esc shows all"
_ALWAYS: Final = frozenset({"q", "question_mark", "?", "f1", "slash", "/", "escape"})
"""The keys that need no actor below the cursor."""
_MOST_FIND: Final = 60
_ALL: Final = 1_000_000
_LEAVING: Final = 2.0
"""Seconds after which it ends whatever the terminal does."""
_DETAILS_FROM: Final = 18
"""Lines of a terminal from which on there is room for the details."""

HELP: Final = """\
Keys of janitoo top

  up down        the actor above, below     enter  show or hide what is below
  page up, down  a page                     left   hide it, or go up
  home end       the first, the last        right  show it

  r  restart it           s  hold its polls back, or have them go on
  p  read its values now  t  trace the messages that it handles
  e  its errors, and of all below, with tracebacks
     r, s and p ask before they act: y does it, any other key does not

  /  look for actors: a part of a path, a class, a state; esc shows all
  o  sort by the next column, or at once by
  M  mailbox    R  rate    E  errors    L  latency    N  the start

The figures of an actor are those of it and of all below.
MAIL     messages that wait       RATE/s  messages that were handled
ERR      what has gone wrong, and how many reads in a row have failed
LATENCY  the slowest of the last polls, or for how long one is at a message
RST      restarts
"""

_QUESTIONS: Final[Mapping[str, str]] = {
    "restart": "y: it ends, and starts again, with all that depends on it. Another key: nothing.",
    "suspend": "y: its polls are held back until they are resumed. Another key: nothing.",
    "resume": "y: its polls go on. Another key: nothing.",
    "poll": "y: its values are read now. Another key: nothing.",
}


class Told(Message):
    """The server was looked at."""

    def __init__(self, looked: Looked) -> None:
        super().__init__()
        self.looked = looked


class Acted(Message):
    """What came of an action."""

    def __init__(self, title: str, lines: Sequence[str], *, done: bool) -> None:
        super().__init__()
        self.title = title
        self.lines = lines
        self.done = done


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be done where the answer is yes."""

    request: str
    path: str


class Top(App[None]):
    """Shows a server until it is left.

    Args:
        connect: connects to the server.
        name: what to call it before it has said so itself.
    """

    CSS: ClassVar[str] = """
    Screen { background: ansi_default; color: ansi_default; layout: vertical; }
    #heading, #titles, #status, #keys { height: 1; }
    #tree, #pages { height: 1fr; scrollbar-size: 0 0; background: ansi_default; color: ansi_default; }
    #details { height: 8; }
    .low #details { display: none; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False, priority=True),
    ]

    def __init__(self, connect: Connect, name: str, signs: Signs) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.connect = connect
        self.model = Model()
        self.signs = signs
        self.server_name = name
        self.looker = Looker(connect, self._asks, lambda looked: self.post_message(Told(looked)))
        self.main = Main(self)

    def on_mount(self) -> None:
        """Begin to look."""
        self.push_screen(self.main)
        self.looker.start()
        # What would end the program as it stands leaves the terminal as it was, too.
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._leave, number)
        self.set_interval(REFRESH, self._watch_terminal)

    def _leave(self, number: int) -> None:
        # Whoever writes to a terminal that is gone may wait for ever.
        last = threading.Timer(_LEAVING, os._exit, (128 + number,))
        last.daemon = True
        last.start()
        self.exit(return_code=128 + number)

    def _watch_terminal(self) -> None:
        try:
            termios.tcgetattr(sys.stdin.fileno())
        except termios.error:
            # The line is dead, and nobody has said so: as where somebody has it ignore that.
            self._leave(signal.SIGHUP)

    def on_unmount(self) -> None:
        """Look no more."""
        self.looker.stop()

    def on_told(self, told: Told) -> None:
        """Show what came of a look."""
        self.main.show_looked(told.looked)

    def on_call(self, call: Call) -> None:
        """Do what a thread wants done here."""
        call.work()

    def on_acted(self, acted: Acted) -> None:
        """Show what came of an action."""
        width = self.size.width
        words = f"{acted.title}: {'; '.join(acted.lines)}"
        brief = acted.done and len(acted.lines) == 1
        self.main.say(acted.lines[0] if brief and len(words) > width else words, bad=not acted.done)
        if not brief and len(words) > width:
            # On a page of its own, where the line has no room for what must be read.
            self.show_page(acted.title, "\n".join(acted.lines))
        self.looker.look_now()

    def show_page(self, title: str, text: str) -> None:
        """Show a text until it is left."""
        self.push_screen(TextScreen(self.signs, title, text=text))

    def _asks(self) -> Mapping[str, Any]:
        # On the looker's thread: what it reads is replaced or read in one step.
        return self.model.request()


class Main(Screen[None]):
    """The tree, and what its cursor is on."""

    # Its keys are no bindings of Textual's: those do their work a moment later, so that an answer which is typed at
    # once would come before its question.

    def __init__(self, top: Top) -> None:
        super().__init__()
        self._top = top
        self._model = top.model
        self._signs = top.signs
        self._question: Question | None = None
        self._finding: str | None = None
        self._said: tuple[str, Style] = ("", DIM)
        self._gone_since: float | None = None
        self._why_gone = ""
        self._pid: int | None = None
        self._does = self._keys_of()

    def _keys_of(self) -> dict[str, Callable[[], object]]:
        """What each key does."""
        return {
            **dict.fromkeys(("up", "k"), lambda: self._move(-1)),
            **dict.fromkeys(("down", "j"), lambda: self._move(1)),
            "pageup": lambda: self._move(-self._page),
            "pagedown": lambda: self._move(self._page),
            "home": lambda: self._move(-_ALL),
            "end": lambda: self._move(_ALL),
            **dict.fromkeys(("right", "l"), self._open_row),
            **dict.fromkeys(("left", "h"), self._close_row),
            **dict.fromkeys(("enter", "space"), self._flip_row),
            "r": lambda: self._ask("restart"),
            "s": lambda: self._ask("suspend"),
            "p": lambda: self._ask("poll"),
            "t": lambda: self._top.push_screen(TraceScreen(self._top, self._model.selected)),
            "e": lambda: self._top.push_screen(ErrorsScreen(self._top, self._model.selected)),
            "o": self._model.sort_next,
            "N": lambda: self._model.sort_by(Sort.TREE),
            "M": lambda: self._model.sort_by(Sort.MAILBOX),
            "R": lambda: self._model.sort_by(Sort.RATE),
            "E": lambda: self._model.sort_by(Sort.ERRORS),
            "L": lambda: self._model.sort_by(Sort.LATENCY),
            **dict.fromkeys(("slash", "/"), self._find),
            "escape": lambda: self._look_for(""),
            **dict.fromkeys(("question_mark", "?", "f1"), lambda: self._top.show_page("help", HELP)),
            "q": self._top.exit,
        }

    def compose(self) -> ComposeResult:
        """The parts, from the top to the bottom."""
        model, signs = self._model, self._signs
        yield Lines(lambda width, _: [heading(model, self._top.server_name, signs, width)], id="heading")
        yield Lines(lambda width, _: [titles(model, signs, width)], id="titles")
        yield ActorTree(model, signs)
        yield Lines(lambda width, height: detail_lines(model, signs, width, height), id="details")
        yield Lines(lambda width, _: [self._status(width)], id="status")
        yield Lines(lambda width, _: [self._keys(width)], id="keys")

    def on_resize(self, event: events.Resize) -> None:
        """Where it is low, the tree has all of it."""
        self.set_class(event.size.height < _DETAILS_FROM, "low")
        self._renew()

    def show_looked(self, looked: Looked) -> None:
        """Show what came of a look."""
        if looked.document is not None:
            self._model.take(looked.document)
            pid = looked.document["pid"]
            if self._gone_since is not None:
                new = "" if pid == self._pid else f", as process {pid}"
                self.say(f"the server is back{new}; it was gone for {age(time.monotonic() - self._gone_since)}")
            self._gone_since, self._pid, self._why_gone = None, pid, ""
        elif looked.gone:
            self._gone_since = time.monotonic() if self._gone_since is None else self._gone_since
            self._why_gone = looked.why
        else:
            self._why_gone = looked.why
        self.query_one(ActorTree).stale = looked.document is None
        self._renew()

    def say(self, words: str, *, bad: bool = False) -> None:
        """Show a sentence, until there is another."""
        self._said = (words, RED if bad else BOLD)
        self._renew()

    def on_key(self, event: events.Key) -> None:
        """Do what a key does: it may be an answer to a question, or a letter of what is looked for."""
        if self._question is not None:
            question, self._question = self._question, None
            if event.key in {"y", "Y"}:
                self.say(f"{question.request} {question.path} …")
                source.act(self._top.connect, question.request, question.path, self._acted)
            else:
                self.say("nothing was done")
        elif self._finding is not None:
            self._edit(event)
        else:
            # Some terminals say the letter only.
            key = event.key if event.key in self._does else event.character or ""
            does = self._does.get(key)
            if does is None or (self._model.row is None and key not in _ALWAYS):
                return
            does()
        event.stop()
        event.prevent_default()
        self._renew()

    # -- keys ----------------------------------------------------------------------------------------------------

    def _move(self, by: int) -> None:
        # The events of what the cursor is on come with the next look, and not with one of their own: a key that is
        # held down is many.
        self._model.move(by)

    @property
    def _page(self) -> int:
        return self.query_one(ActorTree).page

    def _open_row(self) -> None:
        try:
            if self._model.open():
                self._top.looker.look_now()
        except ValueError as error:
            self.say(str(error), bad=True)

    def _close_row(self) -> None:
        if self._model.close():
            self._top.looker.look_now()

    def _flip_row(self) -> None:
        row = self._model.row
        if row is not None and row.is_open:
            self._close_row()
        else:
            self._open_row()

    def _find(self) -> None:
        self._finding = self._model.find

    def _ask(self, request: str) -> None:
        row = self._model.row
        if row is not None:
            resume = request == "suspend" and row.is_suspended
            self._question = Question("resume" if resume else request, row.path)

    # -- what they need ------------------------------------------------------------------------------------------

    def _acted(self, title: str, lines: Sequence[str], done: bool) -> None:
        self._top.post_message(Acted(title, lines, done=done))

    def _edit(self, event: events.Key) -> None:
        assert self._finding is not None
        if event.key == "enter":
            self._finding = None
        elif event.key == "escape":
            self._finding = None
            self._look_for("")
        elif event.key in {"backspace", "ctrl+h"}:
            self._look_for(self._finding[:-1])
        elif event.key == "ctrl+u":
            self._look_for("")
        elif event.is_printable and event.character and len(self._finding) < _MOST_FIND:
            self._look_for(self._finding + event.character)

    def _look_for(self, text: str) -> None:
        if self._finding is not None:
            self._finding = text
        if text != self._model.find:
            self._model.find = text
            self._top.looker.look_now()
        self._renew()

    def _status(self, width: int) -> Line:
        signs = self._signs
        if self._question is not None:
            tail = "? y/n "
            head = f"{self._question.request} {self._question.path}"
            text = f"{fit(head, width - len(tail), signs)}{tail}"
            return padded([Segment(text, REVERSE)], width, REVERSE)
        if self._finding is not None:
            return padded(
                [Segment(fit(f"/{self._finding}_   enter keeps it, esc shows all", width, signs), BOLD)], width
            )
        if self._gone_since is not None:
            since = age(time.monotonic() - self._gone_since)
            words = f"NO SERVER for {since}, trying again: {self._why_gone}"
            return padded([Segment(fit(words, width, signs), RED + REVERSE)], width, RED + REVERSE)
        if self._why_gone:
            return padded([Segment(fit(self._why_gone, width, signs), RED)], width)
        if self._model.find and not self._model.rows:
            return padded(
                [Segment(fit("nothing is like that: / looks for another, esc shows all", width, signs), BOLD)], width
            )
        words, style = self._said
        return padded([Segment(fit(words, width, signs), style)], width)

    def _keys(self, width: int) -> Line:
        keys = _KEYS if width >= len(_KEYS) else _FEW_KEYS
        text = keys if self._question is None else _QUESTIONS[self._question.request]
        return [Segment(fit(text, width, self._signs), DIM)]

    def _renew(self) -> None:
        if not self.is_mounted:
            return
        for part in self.query(Lines):
            part.renew()
        self.query_one(ActorTree).renew()
