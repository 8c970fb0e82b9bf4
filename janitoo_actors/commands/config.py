"""`janitoo config …`: looks at configurations. Each sub-command is a module `config_<name>`."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from janitoo_actors.commands.main import Command

_COMMANDS: Final = {"diff": "what a reload of the running server would do"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands and their arguments."""
    commands = parser.add_subparsers(dest="config_command", required=True, metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        _load(name).add_arguments(commands.add_parser(name, help=summary, description=f"Print {summary}."))


def run(args: argparse.Namespace) -> int:
    """Run the sub-command; its exit code."""
    return _load(args.config_command).run(args)


def _load(name: str) -> Command:
    module: Command = import_module(f"janitoo_actors.commands.config_{name}")
    return module
