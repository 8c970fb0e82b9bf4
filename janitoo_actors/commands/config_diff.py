"""`janitoo config diff FILE`: what a reload would do."""

from __future__ import annotations

import argparse

from janitoo_actors.commands.changes import (
    NO_DIFFERENCE,
    add_server_arguments,
    ask,
    change_lines,
    print_json,
    print_lines,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the running server to compare its file with itself, and print the difference. Returns the exit code."""
    asked = ask(args, "diff", "janitoo config diff")
    if args.json:
        print_json(asked)
    elif asked.result is not None:
        print_lines(change_lines(asked.result, NO_DIFFERENCE))
    return asked.code
