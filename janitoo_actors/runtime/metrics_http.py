"""The figures of a server by HTTP: one thread, which answers one client after the other.

This module needs `prometheus_client`: it is imported only where `metrics_port` is set.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from janitoo_actors.errors import said
from janitoo_actors.runtime.metrics import ServerCollector, Source
from janitoo_actors.runtime.repeats import Repeats

_CLIENT_TIMEOUT: Final = 5.0
"""Seconds that a client may be silent: there is one thread for all."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class MetricsHttp:
    """Listens, and answers on a thread of its own.

    Attributes:
        port: that is listened on.
    """

    def __init__(self, source: Source, host: str, port: int, log: Any) -> None:
        """Listen.

        Raises:
            OSError: the port cannot be had.
            RuntimeError: the system has no more threads.
        """
        self.port = port
        self._is_ending = False
        self._server = _Server((host, port), _Handler)
        self._server.set_app(_application(source, log))
        try:
            threading.Thread(target=self._run, name="metrics", daemon=True).start()
        except RuntimeError:
            self._server.server_close()
            raise

    def end(self) -> None:
        """Listen no more. Does not wait for the thread, which may be at a client."""
        self._is_ending = True
        # The thread closes the socket itself: its number may belong to another one the moment after.
        with contextlib.suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        with self._server:
            while not self._is_ending:
                self._server.handle_request()


def _application(source: Source, log: Any) -> Application:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(ServerCollector(source))
    answer = make_wsgi_app(registry)
    repeats = Repeats(log)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") not in {"/", "/metrics"}:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"The figures are at /metrics\n"]
        try:
            answered: Iterable[bytes] = answer(environ, start_response)
        except Exception as error:  # noqa: BLE001 - a bug in one figure must not end the thread; it is logged
            repeats.failed("scrape", "metrics_failed", said(error))
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"The log of the server says why: metrics_failed\n"]
        repeats.worked("scrape", "metrics_recovered")
        return answered

    return application


class _Server(WSGIServer):
    def server_bind(self) -> None:
        """Bind the socket; without the base's question to the DNS for the name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client has gone, or was silent for too long: its own matter."""


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: Prometheus asks again and again."""

    def get_stderr(self) -> io.StringIO:
        """Where wsgiref prints its tracebacks: the application has told what there is to tell."""
        return io.StringIO()
