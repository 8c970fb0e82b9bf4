"""`janitoo top [FILE]`: watch a running server on a live screen, and act on it."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from janitoo_actors.configuration.extras import install
from janitoo_actors.control.client import Control, connect, connect_only
from janitoo_actors.errors import ConfigurationError

_ANSWER: Final = 5.0
_NO_COLOURS: Final = ("vt1", "vt2")
"""How the names of terminals begin that know none."""
_NO_SCREENS: Final = frozenset({"dumb", "unknown"})
"""Terminals that can only write a line below the other."""

_COERCED: Final = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="the configuration file of the server; it may be left out where only one runs",
    )
    parser.add_argument("--socket", metavar="PATH", type=Path, help="its control socket, where it is not found")
    parser.add_argument("--ascii", action="store_true", help="draw with plain letters only")


def run(args: argparse.Namespace) -> int:
    """Show it until it is left. Returns the exit code.

    Raises:
        ConfigurationError: there is no library, or no terminal.
        NoServerError, NotServedError: there is no server, or it does not tell who asks.
    """
    try:
        from janitoo_actors.top.app import Top
        from janitoo_actors.top.drawing import ASCII, UNICODE
    except ImportError as error:
        what = f"the live screen needs {error.name}"
        raise ConfigurationError(f"{what}: install it with: {install('console')}") from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError("the live screen needs a terminal; for programs there is: janitoo console --json tree")
    terminal = os.environ.get("TERM", "")
    if terminal in _NO_SCREENS:
        raise ConfigurationError(
            f"the live screen cannot be drawn on a terminal that is {terminal!r} (TERM); there is: janitoo console tree"
        )
    to_server = _to_server(args)
    with to_server() as control:
        # What is wrong is told here, and not on a screen of its own.
        control.ask("overview", _ANSWER)
    if terminal.startswith(_NO_COLOURS):
        os.environ["NO_COLOR"] = "1"
    signs = ASCII if args.ascii or not _knows_unicode(terminal) else UNICODE
    # Without the mouse: so the terminal's own way to mark and copy text goes on working.
    top = Top(to_server, str(args.file or args.socket or ""), signs)
    top.run(mouse=False)
    return top.return_code or 0


def _to_server(args: argparse.Namespace) -> Callable[[], Control]:
    if args.socket is not None:
        return partial(Control, args.socket, str(args.file or args.socket))
    if args.file is not None:
        return partial(connect, args.file)
    with connect_only() as control:
        # From now on this one, whatever else may be started.
        return partial(Control, control.path, control.of)


def _knows_unicode(terminal: str) -> bool:
    if terminal.startswith(_NO_COLOURS):
        return False
    # As the C library chooses; where nobody says anything, most terminals of today do. Python itself sets this
    # LC_CTYPE where it does not know the locale.
    ctype = os.environ.get("LC_CTYPE", "")
    chosen = (os.environ.get("LC_ALL"), None if ctype in _COERCED else ctype, os.environ.get("LANG"))
    locale, _, charset = next((each for each in chosen if each), "").partition(".")
    if locale in {"C", "POSIX"} and not charset:
        # Said in so many words.
        return False
    try:
        return not charset or codecs.lookup(charset.partition("@")[0]).name == "utf-8"
    except LookupError:
        return False
