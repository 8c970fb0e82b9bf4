"""Running the project's commands as users do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "janitoo_actors.commands.main")
# As PROGRAM, and with Ctrl+C as a terminal gives it: shells start background jobs, and so whatever runs the
# tests there, with SIGINT ignored, which every process inherits.
INTERRUPTIBLE = (
    sys.executable,
    "-c",
    "import runpy, signal\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "runpy.run_module('janitoo_actors.commands.main', run_name='__main__')",
)


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.out.splitlines()


class Tool(Protocol):
    """Runs `janitoo` with these arguments, and with `--port` where it is given."""

    def __call__(self, *arguments: str, port: int | None = None) -> Outcome: ...


def with_port(arguments: Sequence[str], port: int | None) -> list[str]:
    """The arguments of a command, with the port of its broker."""
    return [*arguments, *(["--port", str(port)] if port is not None else [])]


def run_program(*arguments: str, port: int | None = None) -> Outcome:
    """Run `janitoo` in a process of its own, to its end."""
    done = subprocess.run(
        [*PROGRAM, *with_port(arguments, port)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def start_program(
    *arguments: str, port: int | None = None, stdout: IO[str] | int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start `janitoo` in a process of its own; whoever starts it ends it."""
    return subprocess.Popen(
        [*INTERRUPTIBLE, *with_port(arguments, port)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
