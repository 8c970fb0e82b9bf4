"""`janitoo console [FILE] [COMMAND …]`: look into a running server, and act on it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from janitoo_actors.configuration.extras import install
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
        from janitoo_actors.console.commands import COMMANDS
        from janitoo_actors.console.shell import Shell, words_of

        words = words_of(args.words)
        file, words = (None, words) if args.socket is not None else _file_of(words, COMMANDS)
        as_json = args.json
        while words[:1] == ["--json"]:
            as_json, words = True, words[1:]
        # A single command needs less.
        prompt = None if words else import_module("janitoo_actors.console.prompt").prompt
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("janitoo"):
            raise
        what = f"the console needs {(error.name or '').partition('.')[0]}"
        raise ConfigurationError(f"{what}: install it with: {install('console')}") from error
    to_server: Callable[[], Control]
    if file is not None:
        to_server = partial(connect, file)
    elif args.socket is not None:
        to_server = partial(Control, args.socket, str(args.socket))
    else:
        to_server = connect_only
    if prompt is not None:
        code: int = prompt(to_server, as_json=as_json)
        return code
    shell = Shell(to_server, as_json=as_json)
    try:
        return shell.run_words(words)
    finally:
        shell.close()


def _file_of(words: list[str], commands: Iterable[str]) -> tuple[Path | None, list[str]]:
    """The file, where the first word is one; and the rest."""
    if not words or words[0] in {"help", *(each.split()[0] for each in commands)}:
        # Whatever files there are of that name.
        return None, words
    if words[0].endswith(_SUFFIX) or "/" in words[0] or Path(words[0]).is_file():
        return Path(words[0]), words[1:]
    return None, words
