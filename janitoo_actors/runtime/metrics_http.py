"""The figures of a server by HTTP: a thread that listens, and one for each client as long as it is there.

This module needs `prometheus_client`: it is imported only where `metrics_port` is set.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

from janitoo_actors.errors import said
from janitoo_actors.runtime.metrics import ServerCollector, Source
from janitoo_actors.runtime.repeats import Repeats

MOST_CLIENTS: Final = 16
"""Those that come then wait for their turn, and who does not come to the end of its request is left for them."""
_GRACE: Final = 0.25
"""Seconds that each has for its request all the same."""
CLIENT_TIMEOUT: Final = 10.0
"""Seconds from the connection of a client to the end of its answer."""
_SILENCE: Final = 5.0
"""Seconds that a client may be silent."""
_SWEEP: Final = 0.5
"""Seconds between two looks for clients that take too long; nobody looks where there are none."""

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
                self._server.sweep()
        self._server.sweep(everybody=True)


def _application(source: Source, log: Any) -> Application:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(ServerCollector(source))
    answer = make_wsgi_app(registry)
    repeats = Repeats(log)
    # Counters are brought up to now by one scrape at a time.
    scraping = threading.Lock()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") not in {"/", "/metrics"}:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"The figures are at /metrics\n"]
        with scraping:
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
    """Each client has a thread: one that sends its request a letter at a time keeps no other from the figures."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        # The clients that are there, the oldest first, and since when.
        self._clients: dict[socket.socket, float] = {}
        self._answered: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own. Raises RuntimeError where there are no more."""
        with self._changed:
            while len(self._clients) >= MOST_CLIENTS:
                # The others wait in the queue of the socket, in the order in which they have come.
                self._leave_slow(_GRACE)
                self._changed.wait(_GRACE / 4)
            self._clients[request] = time.monotonic()
            # Asleep for as long as there is nobody.
            self.timeout = _SWEEP
        try:
            threading.Thread(
                target=self._serve, args=(request, client_address), name="metrics client", daemon=True
            ).start()
        except RuntimeError:
            self._forget(request)
            raise

    def answers(self, request: socket.socket) -> None:
        """A client has said what it wants, and is not left for one that has not."""
        with self._changed:
            self._answered.add(request)

    def sweep(self, *, everybody: bool = False) -> None:
        """Leave those that take too long."""
        with self._changed:
            if everybody:
                for client in self._clients:
                    _leave(client)
            self._leave_slow(CLIENT_TIMEOUT)
            self.timeout = _SWEEP if self._clients else None

    def _leave_slow(self, for_request: float) -> None:
        now = time.monotonic()
        for client, since in self._clients.items():
            if now - since >= (CLIENT_TIMEOUT if client in self._answered else for_request):
                _leave(client)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - the client has gone, is too slow, or sends what is no HTTP: its own matter
            pass
        finally:
            self._forget(request)
            self.shutdown_request(request)

    def _forget(self, request: socket.socket) -> None:
        with self._changed:
            del self._clients[request]
            self._answered.discard(request)
            self._changed.notify()

    def server_bind(self) -> None:
        """Bind the socket; without the base's question to the DNS for the name of this machine."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client has gone, or was silent for too long: its own matter."""


def _leave(client: socket.socket) -> None:
    """Have the thread of a client end: what it reads or writes fails."""
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE
    server: _Server

    def get_environ(self) -> dict[str, Any]:
        """What is asked; it is asked for when the whole request is there."""
        self.server.answers(self.connection)
        environ: dict[str, Any] = super().get_environ()
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: Prometheus asks again and again."""

    def get_stderr(self) -> io.StringIO:
        """Where wsgiref prints its tracebacks: the application has told what there is to tell."""
        return io.StringIO()
