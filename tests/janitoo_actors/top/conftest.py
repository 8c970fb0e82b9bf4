"""A server to watch, and `janitoo top` on a terminal beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from brokers import Mosquitto
from faulty_drivers import SCRIPTS
from janitoo_actors import log_watching
from terminals import Terminal
from tool_runs import ROOT
from watched_server import Top, Watched, top_command


@pytest.fixture
def watched(tmp_path: Path, broker: Mosquitto) -> Iterator[Watched]:
    """A server, all of whose nodes are online."""
    # As the log of a server is set up: what happens is kept for whoever looks.
    structlog.configure(processors=[log_watching.note, *structlog.get_config()["processors"]])
    made = Watched(tmp_path, broker)
    made.server.wait_online()
    yield made
    SCRIPTS.reset()
    made.stop()
    structlog.reset_defaults()


@pytest.fixture
def top(watched: Watched) -> Iterator[Top]:
    """A function that starts `janitoo top` on a terminal, and waits until it shows the server."""
    with ExitStack() as stack:

        def start(*arguments: str, env: Mapping[str, str] | None = None, **size: int) -> Terminal:
            command = top_command("--socket", str(watched.socket), *arguments)
            terminal = stack.enter_context(Terminal(command, cwd=ROOT, env=env, **size))
            terminal.wait_text("attic", "one", "two", "q quit")
            return terminal

        yield start
