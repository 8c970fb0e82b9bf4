"""`janitoo reload FILE`: have the running server of a file take over what is in it now."""

from __future__ import annotations

import argparse
import sys

from janitoo_actors.commands.changes import Asked, add_server_arguments, ask, print_json, print_lines
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
    print_lines(asked.result["lines"] or ["nothing has changed"])
    for each in asked.result["outcomes"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        print_lines([f"[{each['bus']}] {each['online']} of {each['nodes']} nodes are online{reason}"])
    for warning in asked.result["warnings"]:
        print(printable(f"janitoo reload: warning: {warning}"), file=sys.stderr)
