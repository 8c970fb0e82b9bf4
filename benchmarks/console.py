"""How long the control socket takes: at rest, with every worker and a bus hung and no broker, and with many actors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure, percentile
from benchmarks.generated import BenchBus, BenchNode
from benchmarks.servers import generated_conf
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.control.client import Control
from janitoo_actors.control.server import ControlServer
from janitoo_actors.control.standard import standard_requests
from janitoo_actors.runtime.server import Server
from supervisors.dispatcher import MAX_EXTRA, WORKERS

_TIMEOUT: Final = 30.0
_MS: Final = 1000.0
_ANSWER: Final = 100.0
"""Milliseconds that an answer may take, whatever hangs."""
_LOOKING: Final = ("ping", "tree", "errors", "health", "mqtt", "values")
_MANY: Final = (50, 100)
"""Buses and nodes, each with an actor and a poller: 10,000 actors, and those of the buses."""


def console(context: Context) -> Iterator[Figure]:
    """Asks a server in this process, whose threads share Python's lock with the client: the worst case."""
    times = context.pick(200, 30)
    release = threading.Event()

    def hang() -> None:
        release.wait()

    with Broker() as broker:
        server, control = _server(context.folder, broker, 2, 10)
    # The broker is gone from here on.
    try:
        yield from _figures("at rest", control.path, times)
        for _ in range(WORKERS + MAX_EXTRA + 8):
            server.system.dispatcher.submit(hang)
        due = time.monotonic() + _TIMEOUT
        while server.system.dispatcher.extra < MAX_EXTRA and time.monotonic() < due:
            time.sleep(0.01)
        yield from _figures("every worker hangs, no broker", control.path, times)
    finally:
        release.set()
        control.close()
        server.stop(_TIMEOUT)
    with Broker() as broker:
        server, control = _server(context.folder, broker, *_MANY)
        try:
            with Control(control.path, "the benchmark") as client:
                count = len(client.ask("tree", _TIMEOUT)["actors"])
                samples = [_ask(client, "tree") / _MS for _ in range(context.pick(11, 3))]
                name = f"list of {count:,} actors"
                yield Figure(name, percentile(samples, 0.5), "s", samples, goal=1, note="read and parsed by the client")
                client.ask("suspend", _TIMEOUT, path="/")
                samples = [_ask(client, "tree") / _MS for _ in range(context.pick(11, 3))]
                yield Figure(f"{name}, all suspended", percentile(samples, 0.5), "s", samples, goal=1)
        finally:
            control.close()
            server.stop(_TIMEOUT)


def _server(folder: Path, broker: Broker, buses: int, nodes: int) -> tuple[Server, ControlServer]:
    registry = Registry({"bench": BenchBus}, {"bench.node": BenchNode})
    server = Server(load(generated_conf(folder, broker.config, buses, nodes), registry), registry=lambda: registry)
    due = time.monotonic() + _TIMEOUT
    while not server.settled() and time.monotonic() < due:
        time.sleep(0.05)
    return server, ControlServer(server, folder / "bench.sock", standard_requests())


def _figures(when: str, path: Path, times: int) -> Iterator[Figure]:
    with Control(path, "the benchmark") as client:
        for request in _LOOKING:
            samples = [_ask(client, request) for _ in range(times)]
            worst = percentile(samples, 0.99)
            note = f"99 of 100 within {worst:.1f} ms"
            yield Figure(f"{request}, {when}", percentile(samples, 0.5), "ms", samples, goal=_ANSWER, note=note)


def _ask(client: Control, request: str) -> float:
    """Milliseconds for an answer."""
    began = time.perf_counter()
    client.ask(request, _TIMEOUT)
    return (time.perf_counter() - began) * _MS
