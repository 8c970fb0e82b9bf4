"""`janitoo reload FILE`: have the running server of a file take over what is in it now."""

from __future__ import annotations

import argparse
import sys

from janitoo_actors.commands.changes import (
    NOTHING_CHANGED,
    Asked,
    add_server_arguments,
    ask,
    change_lines,
    print_json,
    print_lines,
)
from janitoo_actors.commands.tables import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the server, wait until it is done, and print what has changed. Returns the exit code."""
    asked = ask(args, "reload", "janitoo reload")
    if args.json:
        print_json(asked)
    elif asked.result is not None:
        _print(asked)
    return asked.code


def _print(asked: Asked) -> None:
    assert asked.result is not None
    print_lines(change_lines(asked.result, NOTHING_CHANGED))
    for warning in asked.result["warnings"]:
        print(printable(f"janitoo reload: warning: {warning}"), file=sys.stderr)
