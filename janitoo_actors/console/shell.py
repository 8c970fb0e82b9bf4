"""The prompt: reads commands, runs them, and goes on whatever comes of them."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from janitoo_actors.commands.tables import printable
from janitoo_actors.console.commands import (
    COMMANDS,
    FAILED,
    LEVELS,
    MISTAKES,
    WRONG,
    HelpShown,
    Session,
    UsageError,
    execute,
    overview,
    parser_of,
)
from janitoo_actors.console.screen import Screen
from janitoo_actors.control.client import Control, NoServerError, NotServedError
from janitoo_actors.control.wire import ErrorCode
from janitoo_actors.errors import JanitooError

_FRESH: Final = 3.0
"""Seconds that the names of a server are kept for completion."""
_MOST_NAMES: Final = 5000
_LEAVE: Final = frozenset({"quit", "exit"})
Connect = Callable[[], Control]


class Shell:
    """Runs commands on one server, and connects to it again where that is needed."""

    def __init__(self, connect: Connect, *, as_json: bool) -> None:
        self._connect = connect
        self._as_json = as_json
        self._control: Control | None = None

    def run(self, line: str) -> int:
        """Run a command line; its exit code. What goes wrong is told."""
        try:
            given = shlex.split(line, comments=True)
        except ValueError as error:
            return _tell(f"cannot read this: {error}", WRONG)
        return self.run_words(given) if given else 0

    def run_words(self, given: list[str]) -> int:
        """Run a command; its exit code. What goes wrong is told."""
        try:
            if given[0] == "help":
                return self._help(given[1:])
            return execute(self._session, given, as_json=self._as_json)
        except HelpShown as shown:
            print(shown)
            return 0
        except UsageError as error:
            return _tell(str(error), WRONG)
        except JanitooError as error:
            return self._failed(error, given)
        except KeyboardInterrupt:
            # A stream, most likely: what is left of it must not be taken for the next answer.
            self.close()
            raise

    def close(self) -> None:
        """Leave the server; the next command connects again."""
        if self._control is not None:
            self._control.close()
            self._control = None

    def _session(self, screen: Screen) -> Session:
        if self._control is None:
            self._control = self._connect()
        return Session(self._control, screen)

    def _failed(self, error: JanitooError, given: list[str]) -> int:
        code = "failed"
        details: tuple[str, ...] = ()
        if isinstance(error, NotServedError):
            code, details = error.code, error.details
        elif isinstance(error, NoServerError):
            code = "no_server"
            self.close()
        if self._wants_json(given):
            Screen().document({"error": {"code": code, "message": str(error), "details": list(details)}})
        else:
            for line in (*details, str(error)):
                _tell(line, FAILED)
        if code == ErrorCode.REFUSED and details:
            return MISTAKES
        # For monitoring nothing is worse than no server.
        return WRONG if code == "no_server" and given[0] == "health" else FAILED

    def _wants_json(self, given: list[str]) -> bool:
        return self._as_json or "--json" in given

    @staticmethod
    def _help(given: list[str]) -> int:
        if not given:
            print(overview())
            return 0
        name = " ".join(given)
        if name not in COMMANDS:
            below = [each for each in COMMANDS if each.startswith(f"{name} ")]
            if not below:
                raise UsageError(f"there is no command {printable(name[:80])!r}; `help` lists them")
            for each in below:
                print(f"  {COMMANDS[each].usage:<24} {COMMANDS[each].summary}")
            return 0
        print(parser_of(name).format_help())
        return 0


def prompt(connect: Connect, *, as_json: bool) -> int:
    """Read commands and run them, until the end of the input; the exit code of the last one."""
    shell = Shell(connect, as_json=as_json)
    try:
        if not sys.stdin.isatty():
            return _run_all(shell, sys.stdin)
        # First of all: whether there is a server.
        with connect() as control:
            pong = control.ask("ping", 10)
        print(printable(f"{pong['service']} runs {pong['file']}. `help` lists the commands; Ctrl+D leaves."))
        return _converse(shell, connect, pong["service"])
    finally:
        shell.close()


def _run_all(shell: Shell, lines: Iterable[str]) -> int:
    code = 0
    for line in lines:
        if line.strip() in _LEAVE:
            break
        code = shell.run(line) if line.strip() else code
    return code


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
            if line.strip() in _LEAVE:
                return code
            code = shell.run(line)
        except KeyboardInterrupt:
            # The line is dropped, or the command ended; the prompt goes on.
            continue
        except EOFError:
            return code


def _history() -> History:
    """Where the lines are kept: among the user's own state, or nowhere where that cannot be."""
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        folder = (Path(state) if state else Path.home() / ".local/state") / "janitoo"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "console_history"
        # It may hold what was set: for nobody else.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return FileHistory(str(file))


class Names(Completer):
    """Completes commands, and what the server has: paths, values, sections."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._paths: list[str] = []
        self._values: list[str] = []
        self._until = 0.0

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
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
        if before == ["help"]:
            return first_words[:-2]
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
        wanted = COMMANDS[name].asks_for
        names = self._paths if wanted == "path" else [*self._values, *self._paths] if wanted == "value" else []
        return [*names, *options]

    def _refresh(self) -> None:
        if time.monotonic() < self._until:
            return
        self._until = time.monotonic() + _FRESH
        try:
            with self._connect() as control:
                tree = control.ask("tree", 3, limit=_MOST_NAMES)
                values = control.ask("values", 3, limit=_MOST_NAMES)
        except JanitooError:
            # There is nobody to ask: what is known from before will do.
            return
        self._paths = [each["path"] for each in tree["actors"]]
        self._values = [each["path"] for each in values["values"]]


def _tell(text: str, code: int) -> int:
    for line in text.split("\n"):
        print(printable(line), file=sys.stderr)
    return code


def words_of(given: Any) -> list[str]:
    """The words of a command, without the `--` that may stand before them."""
    words: list[str] = list(given)
    return words[1:] if words[:1] == ["--"] else words
