"""What the commands share that ask a running server about its configuration."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from janitoo_actors.commands.arguments import positive_seconds
from janitoo_actors.commands.tables import printable
from janitoo_actors.control.client import NoServerError, NotServedError, connect
from janitoo_actors.control.wire import ErrorCode

NO_DIFFERENCE: Final = "no difference: the server runs what is in the file"
NOTHING_CHANGED: Final = "nothing has changed"
_TIMEOUT: Final = 60.0
_DONE: Final = 0
_FAILED: Final = 1
_MISTAKES: Final = 78
"""As of `janitoo run`: the file is wrong."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server has answered.

    Attributes:
        code: the exit code of the command.
        result: None where it was not served; that has been told, unless it goes into a document.
        error: why not, for programs.
    """

    code: int
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None = None


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which server."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the configuration file of the server")
    parser.add_argument("--socket", metavar="PATH", type=Path, help="its control socket, where it is not found")
    parser.add_argument(
        "--timeout",
        type=positive_seconds,
        default=_TIMEOUT,
        metavar="SECONDS",
        help="the longest wait for its answer (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print a document for programs")


def ask(args: argparse.Namespace, request: str, prog: str) -> Asked:
    """Ask the server; what it refuses goes to stderr, a line each."""
    try:
        with connect(args.file, args.socket) as control:
            return Asked(_DONE, control.ask(request, args.timeout))
    except NotServedError as error:
        code = refusal_code(error)
        said, lines = {"code": error.code, "message": str(error), "details": list(error.details)}, error.details
        message = str(error)
    except NoServerError as error:
        code, lines, message = _FAILED, (), str(error)
        said = {"code": "no_server", "message": message, "details": []}
    if not args.json:
        for line in (*lines, message):
            print(printable(f"{prog}: {line}"), file=sys.stderr)
    return Asked(code, None, said)


def refusal_code(error: NotServedError) -> int:
    """The exit code of what a server does not do: of its own where the file has mistakes."""
    return _MISTAKES if error.details and error.code == ErrorCode.REFUSED else _FAILED


def change_lines(result: Mapping[str, Any], nothing: str) -> list[str]:
    """The result of `diff` or `reload` in words.

    Args:
        nothing: what to say where nothing is different.
    """
    lines = list(result["lines"]) or [nothing]
    for each in result["outcomes"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        lines.append(f"[{each['bus']}] {each['online']} of {each['nodes']} nodes are online{reason}")
    return lines


def print_lines(lines: Iterable[str]) -> None:
    """Print what a server says, without what could control a terminal."""
    for line in lines:
        print(printable(line))


def print_json(asked: Asked) -> None:
    """Print the answer as one document: the result, or `{"error": …}`."""
    print(json.dumps(asked.result if asked.result is not None else {"error": asked.error}, indent=2))
