"""Values through the whole path of a server, each load in a process of its own: see `benchmarks.loads`."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.air import paho_client
from benchmarks.counter import Counter
from benchmarks.generated import REGISTRY
from benchmarks.loads import Found, run
from benchmarks.servers import generated_conf
from benchmarks.vitals import vitals
from janitoo_actors import logs
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.protocol import topics
from janitoo_actors.runtime.messages import PollEvery
from janitoo_actors.runtime.server import Server

_VALUES: Final = "/values/#"
_START: Final = 120.0
_OFF: Final = 0.0


@contextmanager
def _server(broker: BrokerConfig, nodes: int) -> Iterator[tuple[Server, list[str]]]:
    """A server in this process that has one value on each of its nodes, and the paths of their pollers."""
    with tempfile.TemporaryDirectory() as folder:
        config = load(generated_conf(Path(folder), broker, 1, nodes), REGISTRY)
        logs.configure(config)
        # What it says besides would stand between the figures.
        logging.getLogger().setLevel(logging.CRITICAL)
        server = Server(config)
        due = time.monotonic() + _START
        while not server.settled():
            if time.monotonic() > due:
                raise TimeoutError(f"the server is not up within {_START:g} s")
            time.sleep(0.05)
        yield server, [path for path in server.system.paths() if "/pollers/" in path]
        server.stop(30)


def _poll(server: Server, pollers: list[str], delay: float) -> None:
    """Have all of them poll with this delay, their phases spread by what telling them takes, at least."""
    for number, path in enumerate(pollers):
        server.system.tell(path, PollEvery(delay))
        if delay > 0 and number % 100 == 0:
            time.sleep(min(delay, 1.0) * 100 / len(pollers))


def _payloads(server: Server) -> list[tuple[str, bytes]]:
    """What its pollers publish."""
    return [
        (topics.value(value.genre, node.hadd, value.uuid), value.payload())
        for node, value in server.boards[0].driver_values()
        if value.is_known
    ]


def values(host: str, port: int, nodes: int, messages: int) -> Found:
    """Values a second, and microseconds of processor time each: of raw paho-mqtt, and of a server.

    Its pollers tick as often as raw paho-mqtt has been able to publish.
    """
    broker = BrokerConfig(host, port)
    with Counter(broker, _VALUES) as counter, _server(broker, nodes) as (server, pollers):
        publications = _payloads(server)
        counter.wait_quiet()
        client = paho_client(broker, "bench-raw")
        client.loop_start()

        def raw() -> None:
            for number in range(messages):
                topic, payload = publications[number % len(publications)]
                client.publish(topic, payload)

        rate_of_raw, cpu_of_raw = _measured(counter, raw)
        client.disconnect()
        client.loop_stop()

        def path() -> None:
            _poll(server, pollers, len(pollers) / rate_of_raw)
            time.sleep(messages / rate_of_raw)
            _poll(server, pollers, _OFF)

        rate, cpu = _measured(counter, path)
    return {"raw": rate_of_raw, "raw_cpu": cpu_of_raw, "path": rate, "path_cpu": cpu}


def _measured(counter: Counter, work: Callable[[], None]) -> tuple[float, float]:
    before, _ = counter.look()
    cpu = vitals().cpu
    began = time.monotonic()
    work()
    count, last = counter.wait_quiet()
    done = count - before
    return done / (last - began), (vitals().cpu - cpu) / done * 1e6


def polled(host: str, port: int, nodes: int, period: float, seconds: float) -> Found:
    """Values at a period: the share that is delivered, and the share of a core; raw paho-mqtt's for as many."""
    broker = BrokerConfig(host, port)
    with Counter(broker, _VALUES) as counter, _server(broker, nodes) as (server, pollers):
        publications = _payloads(server)
        counter.wait_quiet()
        client = paho_client(broker, "bench-raw")
        client.loop_start()
        before, cpu = counter.look()[0], vitals().cpu
        began = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - began) < seconds:
            # In small bursts, as a wheel with slots of 10 ms would have them.
            while sent < passed * nodes / period:
                topic, payload = publications[sent % len(publications)]
                client.publish(topic, payload)
                sent += 1
            time.sleep(0.01)
        cpu_of_raw = (vitals().cpu - cpu) / seconds * 100
        counter.wait_quiet()
        client.disconnect()
        client.loop_stop()
        _poll(server, pollers, period)
        time.sleep(2 * period)
        before, cpu = counter.look()[0], vitals().cpu
        began = time.monotonic()
        time.sleep(seconds)
        after = counter.look()[0]
        passed = time.monotonic() - began
        cpu = (vitals().cpu - cpu) / passed * 100
        _poll(server, pollers, _OFF)
    return {"delivered": (after - before) / (nodes * passed / period), "cpu": cpu, "raw_cpu": cpu_of_raw}


if __name__ == "__main__":
    run({"values": values, "polled": polled})
