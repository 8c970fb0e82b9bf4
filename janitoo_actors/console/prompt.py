"""The prompt: reads commands with history and completion, until the end of the input."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from janitoo_actors.commands.tables import printable
from janitoo_actors.console.commands import COMMANDS, LEVELS, parser_of
from janitoo_actors.console.shell import LEAVE, Connect, Shell, run_all
from janitoo_actors.errors import JanitooError

_FRESH: Final = 3.0
"""Seconds that the names of a server are kept for completion."""
_PATIENCE: Final = 3.0
"""Seconds that it has to tell them."""


def prompt(connect: Connect, *, as_json: bool) -> int:
    """Read commands and run them, until the end of the input; the exit code of the last one."""
    shell = Shell(connect, as_json=as_json)
    try:
        if not sys.stdin.isatty():
            return run_all(shell, sys.stdin)
        # First of all: whether there is a server.
        with connect() as control:
            pong = control.ask("ping", 10)
        print(printable(f"{pong['service']} runs {pong['file']}. `help` lists the commands; Ctrl+D leaves."))
        return _converse(shell, connect, pong["service"])
    finally:
        shell.close()


def _converse(shell: Shell, connect: Connect, service: str) -> int:
    session: PromptSession[str] = PromptSession(
        f"{printable(service)}> ",
        history=_history(),
        completer=Names(connect),
        complete_while_typing=False,
        complete_in_thread=True,
    )
    code = 0
    while True:
        try:
            line = session.prompt()
            if line.strip() in LEAVE:
                return code
            code = shell.run(line)
        except KeyboardInterrupt:
            # The line is dropped, or the command ended; the prompt goes on.
            continue
        except EOFError:
            return code


class _Kept(FileHistory):
    """The lines of a file. One that cannot be written any more, as on a full disk, ends nobody's session."""

    def store_string(self, string: str) -> None:
        """Keep a line, where that can be."""
        with contextlib.suppress(OSError):
            super().store_string(string)


def _history() -> History:
    """Where the lines are kept: among the user's own state, or nowhere where that cannot be."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (Path(state) if state else Path.home() / ".local/state") / "janitoo"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "console_history"
        # It may hold what was set: for nobody else.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return _Kept(str(file))


class Names(Completer):
    """Completes commands, and what the server has: paths, values, sections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._names: dict[str, list[str]] = {}
        self._until = 0.0

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - prompt_toolkit calls it so
    ) -> Iterator[Completion]:
        """What the word before the cursor may be. On a thread of its own."""
        words = document.text_before_cursor.split(" ")
        word, before = words[-1], [each for each in words[:-1] if each]
        for each in self._candidates(before):
            if each.startswith(word):
                yield Completion(each, start_position=-len(word))

    def _candidates(self, before: list[str]) -> list[str]:
        first_words = [*dict.fromkeys(name.split()[0] for name in COMMANDS), "help", "quit"]
        if not before:
            return first_words
        if before[0] == "help":
            before = before[1:]
            if not before:
                return first_words[:-2]
            return self._candidates(before) if before == ["config"] else []
        if before == ["config"]:
            return [name.split()[1] for name in COMMANDS if name.startswith("config ")]
        name = " ".join(before[:2]) if before[0] == "config" else before[0]
        return self._arguments(name, before[len(name.split()) :]) if name in COMMANDS else []

    def _arguments(self, name: str, before: list[str]) -> list[str]:
        actions = parser_of(name)._actions
        options = [each for action in actions for each in action.option_strings if each.startswith("--")]
        given = [each for each in before if not each.startswith("-")]
        if given:
            return [*LEVELS, *options] if name == "log" and len(given) == 1 else options
        self._refresh()
        return [*self._names.get(COMMANDS[name].asks_for, ()), *options]

    def _refresh(self) -> None:
        if time.monotonic() < self._until:
            return
        try:
            with self._connect() as control:
                tree = control.ask("tree", _PATIENCE)
                values = control.ask("values", _PATIENCE)["values"]
                sections = control.ask("config", _PATIENCE)["sections"]
        except JanitooError:
            # There is nobody to ask: what is known from before will do.
            return
        finally:
            self._until = time.monotonic() + _FRESH
        of_values = [each["path"] for each in values]
        # What people call an actor: a bus, an address, a uuid, a value; and its path.
        short = dict.fromkeys(each[key] for key in ("bus", "hadd", "node") for each in values)
        paths = [each["path"] for each in tree["actors"]]
        self._names = {
            "path": [*short, *of_values, *paths],
            "value": [*short, *of_values],
            "section": list(sections),
        }
