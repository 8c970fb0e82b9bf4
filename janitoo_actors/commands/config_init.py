"""`janitoo config init BUS…`: a commented configuration file to start from."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from janitoo_actors.errors import JanitooError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("buses", metavar="BUS", nargs="+", help="a bus to run, as hostsensor")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="write it there; a file that is there already is left alone"
    )


def run(args: argparse.Namespace) -> int:
    """Print the file, or write it. Blocks for the disk, and for the import of the drivers.

    Raises:
        JanitooError: where no such bus is installed, or the file is there already or cannot be written.
    """
    from janitoo_actors.configuration.registry import Registry
    from janitoo_actors.configuration.template import template

    text = template(args.buses, Registry.installed())
    if args.output is None:
        sys.stdout.write(text)
        return 0
    _write(args.output, text)
    print(f"{args.output} is written, with every component: remove those that you have not.")
    print(f"See what is missing, as the numbers of pins: janitoo check {args.output}")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise JanitooError(f"{path} is there already, and is left as it is: choose another name") from None
    except OSError as error:
        raise JanitooError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        with file:
            file.write(text)
    except OSError as error:
        # Not half of it.
        with contextlib.suppress(OSError):
            path.unlink()
        raise JanitooError(f"{path} cannot be written: {error.strerror or error}") from error
