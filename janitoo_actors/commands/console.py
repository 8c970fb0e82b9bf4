"""`janitoo console [FILE] [COMMAND …]`: look into a running server, and act on it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from janitoo_actors.control.client import Control, connect, connect_only
from janitoo_actors.errors import ConfigurationError

_SUFFIX: Final = ".conf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--socket", metavar="PATH", type=Path, help="the control socket of the server")
    parser.add_argument("--json", action="store_true", help="print documents for programs")
    parser.add_argument(
        "words",
        metavar="FILE COMMAND",
        nargs=argparse.REMAINDER,
        help="the configuration file of the server, which may be left out where only one runs; "
        "and a command (`help` lists them): without one there is a prompt",
    )


def run(args: argparse.Namespace) -> int:
    """Run a command, or the prompt. Returns the exit code."""
    try:
        from janitoo_actors.console.shell import Shell, prompt, words_of
    except ImportError as error:
        what = f"the console needs {error.name}"
        raise ConfigurationError(f"{what}: install it with: pip install 'janitoo-actors[console]'") from error
    words = words_of(args.words)
    file, words = (None, words) if args.socket is not None else _file_of(words)
    to_server: Callable[[], Control]
    if file is not None:
        to_server = partial(connect, file)
    elif args.socket is not None:
        to_server = partial(Control, args.socket, str(args.socket))
    else:
        to_server = connect_only
    if not words:
        return prompt(to_server, as_json=args.json)
    shell = Shell(to_server, as_json=args.json)
    try:
        return shell.run_words(words)
    finally:
        shell.close()


def _file_of(words: list[str]) -> tuple[Path | None, list[str]]:
    """The file, where the first word is one; and the rest."""
    if words and (words[0].endswith(_SUFFIX) or "/" in words[0] or Path(words[0]).is_file()):
        return Path(words[0]), words[1:]
    return None, words
