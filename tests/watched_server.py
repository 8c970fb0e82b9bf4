"""A server to watch: in this process, with its control socket."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from brokers import Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, Script, registry
from janitoo_actors.control.requests import Requests, Served
from janitoo_actors.control.server import ControlServer
from janitoo_actors.control.standard import standard_requests
from running_server import RunningServer
from supervisors import ActorInfo
from terminals import Terminal


class CountedRequests(Requests):
    """The requests of every server, counted by name as they come."""

    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._all = standard_requests()
        self._counts = counts

    def find(self, name: str) -> Served[Any]:
        """As that of every server."""
        self._counts[name] += 1
        return self._all.find(name)


class Watched:
    """A server in this process, with its control socket.

    Args:
        far: whether it has a bus `far` too, in a process of its own.

    Attributes:
        requests: How often each request has come.
    """

    def __init__(self, path: Path, broker: Mosquitto, *, far: bool = False) -> None:
        made = Configuration(path, broker, pid_dir=path, read_timeout=5, max_backoff=1, service="attic")
        made.bus("one", ["sensor", "switch"], temperature_poll_0=0.2).bus("two", ["sensor"], temperature_poll_0=300)
        if far:
            made.bus("far", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.2, order_0=path / "order")
        self.file = made.write()
        self.requests: Counter[str] = Counter()
        self.start()

    def start(self) -> None:
        """Start it, again where it was stopped."""
        self.server = RunningServer(self.file, registry())
        self.socket = self.file.with_suffix(".sock")
        self.control = ControlServer(self.server.server, self.socket, CountedRequests(self.requests))

    def stop(self) -> None:
        """Stop it."""
        self.control.close()
        self.server.server.stop(TIMEOUT)

    def actor(self, path: str) -> ActorInfo:
        """How one is now."""
        return next(info for info in self.server.infos() if info.path == path)

    @property
    def sensor(self) -> Script:
        """What the sensor of the bus `one` does."""
        return SCRIPTS["one__sensor"]


def top_command(*arguments: str) -> list[str]:
    """`janitoo top` with these arguments."""
    return [sys.executable, "-m", "janitoo_actors.commands.main", "top", *arguments]


Top = Callable[..., Terminal]
"""Starts `janitoo top` with these arguments, and with the options of `Terminal`."""
