"""Fixtures of the tests of the tools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokers import Mosquitto
from janitoo_actors.commands.main import main
from tool_runs import Outcome, Tool, with_port


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker for the tests of one module: a broadcast is heard by every server, so let nobody else's be there."""
    with Mosquitto(tmp_path_factory.mktemp("network")) as mosquitto:
        yield mosquitto


@pytest.fixture
def tool(capsys: pytest.CaptureFixture[str]) -> Tool:
    """A function that runs a tool in this process."""

    def run(*arguments: str, port: int | None = None) -> Outcome:
        code = main(with_port(arguments, port))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
