"""A server in this process with its control socket, for the tests of what it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from janitoo_actors.configuration.registry import Registry
from janitoo_actors.control.client import Control
from janitoo_actors.control.server import ControlServer
from janitoo_actors.control.standard import standard_requests
from running_server import TIMEOUT, RunningServer


class AskedServer(RunningServer):
    """A server that can be asked.

    Attributes:
        socket: Where.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        super().__init__(path, registry)
        self.socket = path.with_suffix(".sock")
        self.control = ControlServer(self.server, self.socket, standard_requests())

    def client(self) -> Control:
        """A client."""
        return Control(self.socket, str(self.path))

    def ask(self, request: str, **data: Any) -> Any:
        """Ask once."""
        with self.client() as client:
            return client.ask(request, TIMEOUT, **data)

    def stop(self) -> None:
        """End it in order."""
        self.control.close()
        super().stop()


@contextlib.contextmanager
def asked(path: Path, registry: Registry, *, online: bool = True) -> Iterator[AskedServer]:
    """Run one, and end it.

    Args:
        online: Whether to wait until its nodes are.
    """
    server = AskedServer(path, registry)
    try:
        if online:
            server.wait_online()
        yield server
    finally:
        server.stop()
