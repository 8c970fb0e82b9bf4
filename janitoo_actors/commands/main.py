"""Where every command starts. Imports next to nothing: each command's own imports wait until it is chosen."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Final, Protocol

from janitoo_actors import __version__
from janitoo_actors.errors import JanitooError

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report a command that Ctrl+C ended."""

READER_GONE: Final = 141
"""128 + SIGPIPE, as shells report a command whose reader (`| head`) has left."""

_COMMANDS: Final = {
    "run": "run the buses of a configuration file",
    "reload": "have a running server take over its changed file",
    "console": "look into a running server, and act on it",
    "top": "watch a running server on a live screen",
    "query": "ask nodes, and read and write values",
    "network": "show the map of the network: every node, its state, and when it was last heard of",
    "spy": "print the messages of the network as they come",
    "collect": "print what the installed buses and components declare",
    "check": "say everything that is wrong with a configuration file, and start nothing",
    "config": "show what holds in a configuration file, compare it with its server, or print one to start from",
}

_PAGES: Final = {
    "run": "configuration.md",
    "reload": "configuration.md",
    "console": "console.md",
    "top": "top.md",
    "network": "network.md",
}
"""The page in docs/ that a command is explained on, where it is not `tools.md`."""


class Command(Protocol):
    """What a command's module holds."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """`janitoo run|reload|console|top|…`, as `_COMMANDS` says. Blocks until it is done; returns its exit code.

    Raises:
        SystemExit: with 2 for wrong arguments, with 0 after `--help` and `--version`.
    """
    try:
        return _janitoo(argv)
    except KeyboardInterrupt:
        # While it was still starting.
        return INTERRUPTED


def _janitoo(argv: Sequence[str] | None) -> int:
    given = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(
        prog="janitoo",
        description="Home automation on the Janitoo network.",
        epilog="First steps are in README.md, all commands in docs/tools.md, the configuration file in "
        "docs/configuration.md of the sources.",
    )
    parser.add_argument("--version", action="version", version=f"janitoo {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((each for each in given if each in _COMMANDS), None)
    module: Command | None = None
    for name, summary in _COMMANDS.items():
        command_parser = commands.add_parser(name, help=summary, description=_sentence(summary), epilog=_more(name))
        if name == chosen:
            module = _load(name)
            module.add_arguments(command_parser)
    if not given:
        parser.print_help(sys.stderr)
        parser.exit(2, "\njanitoo: expected one of these commands\n")
    if not given[0].startswith("-") and given[0] not in _COMMANDS:
        from janitoo_actors.suggest import did_you_mean

        near, names = did_you_mean(given[0], _COMMANDS), ", ".join(_COMMANDS)
        parser.error(f"there is no command {given[0]!r}{near or f': expected one of {names}'}")
    args = parser.parse_args(given)
    # parse_args has ended the program where no command was given.
    assert module is not None
    if chosen == "run":
        # It handles its own signals and errors, and its exit codes are its own.
        return module.run(args)
    return _run_tool(module, args, f"janitoo {chosen}")


def jnt_query(argv: Sequence[str] | None = None) -> int:
    """The command `jnt_query`, which is `janitoo query`."""
    return _tool("query", argv)


def jnt_spy(argv: Sequence[str] | None = None) -> int:
    """The command `jnt_spy`, which is `janitoo spy`."""
    return _tool("spy", argv)


def jnt_collect(argv: Sequence[str] | None = None) -> int:
    """The command `jnt_collect`, which is `janitoo collect`."""
    return _tool("collect", argv)


def _tool(name: str, argv: Sequence[str] | None) -> int:
    prog = f"jnt_{name}"
    try:
        module = _load(name)
    except KeyboardInterrupt:
        return INTERRUPTED
    parser = argparse.ArgumentParser(prog=prog, description=_sentence(_COMMANDS[name]), epilog=_more(name))
    module.add_arguments(parser)
    return _run_tool(module, parser.parse_args(argv), prog)


def _load(name: str) -> Command:
    module: Command = import_module(f"janitoo_actors.commands.{name}")
    return module


def _run_tool(tool: Command, args: argparse.Namespace, prog: str) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character gets its escape instead of a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = tool.run(args)
        # Here and not at the interpreter's end, where a reader that has left cannot be handled any more.
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return READER_GONE
    except JanitooError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _discard_stdout() -> None:
    # Python flushes stdout once more at its end, and would print that the pipe is broken.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _more(name: str) -> str:
    return f"More of it is in docs/{_PAGES.get(name, 'tools.md')}."


if __name__ == "__main__":
    sys.exit(main())
