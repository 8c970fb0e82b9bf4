"""What a command of the console is, and what it runs with."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from janitoo_actors.console.screen import Screen
from janitoo_actors.control.client import Control

DONE: Final = 0
FAILED: Final = 1
WRONG: Final = 2
TIMEOUT: Final = 60.0
"""Seconds that the server has for an answer."""


class UsageError(Exception):
    """A command line is wrong; the text says how, in a line or a few."""


class HelpShown(Exception):
    """The help of a command was asked for; the text is it."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a command needs: the server, and where it prints."""

    control: Control
    screen: Screen

    def ask(self, request: str, **data: Any) -> Mapping[str, Any]:
        """Ask the server. Raises as `Control.ask`."""
        return self.control.ask(request, TIMEOUT, **{key: item for key, item in data.items() if item is not None})


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        usage, summary: for the list of all commands.
        add: adds its arguments.
        run: does it; the exit code.
        asks_for: what its first argument is, for the completion: `path`, `value`, `section`, or nothing.
    """

    usage: str
    summary: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Session, argparse.Namespace], int]
    asks_for: str = ""


def asking(
    request: str, page: Callable[[Screen, Mapping[str, Any]], None], *keys: str
) -> Callable[[Session, argparse.Namespace], int]:
    """A command that asks once, and prints what it is answered."""

    def run(session: Session, args: argparse.Namespace) -> int:
        result = session.ask(request, **{key: getattr(args, key) for key in keys})
        if session.screen.as_json:
            session.screen.document(result)
        else:
            page(session.screen, result)
        return DONE

    return run
