"""`janitoo config diff FILE`: what a reload would do."""

from __future__ import annotations

import argparse

from janitoo_actors.commands.changes import add_server_arguments, ask, print_json, print_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask the running server to compare its file with itself, and print the difference. Returns the exit code."""
    asked = ask(args, "diff", "janitoo config diff")
    if args.json:
        print_json(asked)
    elif asked.result is not None:
        print_lines(asked.result["lines"] or ["no difference: the server runs what is in the file"])
    return asked.code
