"""From a request to its reply: the server's, and those of a peer of raw paho-mqtt that only echoes."""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from benchmarks import echo
from benchmarks.air import Air, Online, paho_client
from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure, percentile
from benchmarks.servers import HOSTSENSOR_NODES, JANITOO_RUN, ServerProcess, hostsensor_conf
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.protocol.codes import CommandClass, Genre

_ME: Final = "9999/0000"
_REPLY: Final = f"/nodes/{_ME}/reply"
_TIMEOUT: Final = 10.0
_WARM_UP: Final = 20
_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of request.

    Attributes:
        topic, answered_on: where it is sent, and where its reply comes.
        payload: of the n-th one.
        writes: whether the configuration file is written before it is answered.
    """

    name: str
    topic: str
    answered_on: str
    payload: Callable[[int], bytes]
    writes: bool = False


class _Requester:
    """Sends a request, and waits for its reply, on raw paho-mqtt."""

    def __init__(self, broker: BrokerConfig, topics: set[str]) -> None:
        self._replies: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
        self._client = paho_client(broker, "bench-requester")
        self._client.on_message = lambda _c, _d, message: self._replies.put((message.topic, bytes(message.payload)))
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 0) for topic in sorted(topics)])
        self._client.on_subscribe = lambda *_: self._replies.put(("", b""))
        self._client.loop_start()
        self._replies.get(timeout=_TIMEOUT)

    def ask(self, topic: str, payload: bytes, answered_on: str, timeout: float = _TIMEOUT) -> tuple[float, bytes]:
        """Seconds from the request to its reply, and the reply."""
        began = time.perf_counter()
        self._client.publish(topic, payload)
        while True:
            heard, reply = self._replies.get(timeout=timeout)
            if heard == answered_on:
                return time.perf_counter() - began, reply

    def wait_for_peer(self) -> None:
        """Wait until the echo answers."""
        due = time.monotonic() + _TIMEOUT
        while True:
            try:
                self.ask(echo.REQUEST, b"hello", echo.REPLY, timeout=0.1)
            except queue.Empty:
                if time.monotonic() > due:
                    raise
            else:
                # Answers to those that were asked before it was there do not come: it subscribes only then.
                return

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def requests(context: Context) -> Iterator[Figure]:
    """p50 and p99 of each kind of request, each one beside an echo of the same size at the same time."""
    count = context.pick(2000, 200)
    kinds = _kinds()
    with Broker() as broker, _peer(broker.config):
        conf = hostsensor_conf(context.folder, broker.config)
        with Air(broker.config, "/dhcp/heartbeat/#") as air, ServerProcess(JANITOO_RUN, conf):
            air.wait_for(Online(HOSTSENSOR_NODES), "every node is ONLINE")
            requester = _Requester(broker.config, {echo.REPLY, *(kind.answered_on for kind in kinds)})
            disk = _Disk(conf)
            try:
                requester.wait_for_peer()
                for kind in kinds:
                    yield from _measure(requester, kind, count, disk if kind.writes else None)
            finally:
                requester.close()
                disk.close()


def _measure(requester: _Requester, kind: _Kind, count: int, disk: _Disk | None) -> Iterator[Figure]:
    taken, echoed, written, ratios, size = [], [], [], [], 0
    for number in range(count + _WARM_UP):
        payload = kind.payload(number)
        seconds, reply = requester.ask(kind.topic, payload, kind.answered_on)
        if b'"error"' in reply:
            raise RuntimeError(f"{kind.name}: the server answers {reply!r}")
        reference, _ = requester.ask(echo.REQUEST, reply, echo.REPLY)
        alone = disk.write() if disk is not None else 0.0
        if number >= _WARM_UP:
            taken.append(seconds * _MS)
            echoed.append(reference * _MS)
            written.append(alone * _MS)
            ratios.append(seconds / (reference + alone))
            size = len(reply)
    note = f"{count:,} requests, {size:,} bytes a reply"
    yield Figure(f"{kind.name}, p50", statistics.median(taken), "ms", original=4, note=note)
    yield Figure(f"{kind.name}, p99", percentile(taken, 0.99), "ms", original=43)
    against = f"echo: p50 {statistics.median(echoed):.2f} ms, p99 {percentile(echoed, 0.99):.2f} ms"
    if disk is None:
        yield Figure(f"{kind.name}, of a paho echo", statistics.median(ratios), "x", note=against)
    else:
        against += f"; disk: p50 {statistics.median(written):.2f} ms, p99 {percentile(written, 0.99):.2f} ms"
        yield Figure(f"{kind.name}, of an echo and the disk", statistics.median(ratios), "x", note=against)


class _Disk:
    """Does what a config write needs of the disk: a file as large, fsync, rename, fsync of the folder."""

    def __init__(self, conf: Path) -> None:
        self._data = conf.read_bytes()
        self._file = conf.with_suffix(".reference")
        self._temporary = conf.with_suffix(".reference-new")
        self._folder = os.open(conf.parent, os.O_RDONLY | os.O_DIRECTORY)

    def write(self) -> float:
        """Seconds that it takes now."""
        began = time.perf_counter()
        with self._temporary.open("wb") as file:
            file.write(self._data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._temporary, self._file)
        os.fsync(self._folder)
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the folder."""
        os.close(self._folder)


@contextmanager
def _peer(broker: BrokerConfig) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.echo", broker.host, str(broker.port)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _kinds() -> list[_Kind]:
    load = "0121/0001"
    return [
        _Kind(
            "discovery of 6 nodes",
            "/nodes/0121/0000/request",
            _REPLY,
            _request("request_info_nodes", "0121/0000", CommandClass.DISCOVERY, Genre.BASIC),
        ),
        _Kind(
            "config read",
            f"/nodes/{load}/request",
            f"/values/config/{load}/location",
            _request("location", load, CommandClass.CONFIGURATION, Genre.CONFIG),
        ),
        _Kind(
            "config write",
            f"/nodes/{load}/request",
            f"/values/config/{load}/location",
            _request("location", load, CommandClass.CONFIGURATION, Genre.CONFIG, write=True),
            writes=True,
        ),
        _Kind(
            "basic read",
            f"/nodes/{load}/request",
            _REPLY,
            _request("load", load, CommandClass.SENSOR_MULTILEVEL, Genre.BASIC),
        ),
    ]


def _request(
    uuid: str, hadd: str, cmd_class: CommandClass, genre: Genre, *, write: bool = False
) -> Callable[[int], bytes]:
    fields: dict[str, Any] = {
        "uuid": uuid,
        "hadd": hadd,
        "cmd_class": int(cmd_class),
        "genre": int(genre),
        "is_writeonly": write,
        "is_readonly": not write,
        "reply_hadd": _ME,
        "data": None,
    }

    def payload(number: int) -> bytes:
        # Each write has something new to write.
        return json.dumps({**fields, "data": f"Room {number}"} if write else fields).encode()

    return payload
