"""Runs commands as people type them, and goes on whatever comes of them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from janitoo_actors.commands.changes import refusal_code
from janitoo_actors.commands.tables import printable
from janitoo_actors.console.commands import COMMANDS, execute, overview, parser_of
from janitoo_actors.console.screen import Screen
from janitoo_actors.console.session import FAILED, WRONG, HelpShown, Session, UsageError
from janitoo_actors.control.client import Control, NoServerError, NotServedError
from janitoo_actors.errors import JanitooError

LEAVE: Final = frozenset({"quit", "exit"})
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
            if given[0] in {"help", "-h", "--help"}:
                return self._help(given[1:])
            return execute(self._session, given, as_json=self._as_json)
        except HelpShown as shown:
            print(shown)
            return 0
        except UsageError as error:
            return _tell(str(error), WRONG)
        except JanitooError as error:
            return self._failed(error, given)
        except KeyError as error:
            # What an answer lacks: the package has been upgraded, and the server is still the old one.
            self.close()
            why = f"the answer of the server has no {error}: it is of another release than this console; restart it"
            return _tell(why, FAILED)
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
        if isinstance(error, NotServedError):
            return refusal_code(error)
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


def run_all(shell: Shell, lines: Iterable[str]) -> int:
    """Run commands, a line each, until the end or a word that leaves; the exit code of the last one."""
    code = 0
    for line in lines:
        if line.strip() in LEAVE:
            break
        code = shell.run(line) if line.strip() else code
    return code


def _tell(text: str, code: int) -> int:
    for line in text.split("\n"):
        print(printable(line), file=sys.stderr)
    return code


def words_of(given: Any) -> list[str]:
    """The words of a command, without the `--` that may stand before them."""
    words: list[str] = list(given)
    return words[1:] if words[:1] == ["--"] else words
