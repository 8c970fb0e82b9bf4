"""`janitoo config …`: looks at configurations, and makes one to start from."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from janitoo_actors.commands.main import Command

SUB_COMMANDS: Final = {
    "show": "print what holds for every key, and where it comes from",
    "diff": "print what a reload of the running server would do",
    "init": "print a commented file to start from",
}
"""Each is a module `config_<name>`, with `add_arguments` and `run`, that imports next to nothing until it runs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their arguments."""
    commands = parser.add_subparsers(dest="config_command", required=True, metavar="COMMAND")
    for name, summary in SUB_COMMANDS.items():
        sub_parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        _load(name).add_arguments(sub_parser)


def run(args: argparse.Namespace) -> int:
    """Run the sub-command that was chosen; blocks, and raises, as it does."""
    return _load(args.config_command).run(args)


def _load(name: str) -> Command:
    module: Command = import_module(f"janitoo_actors.commands.config_{name}")
    return module
