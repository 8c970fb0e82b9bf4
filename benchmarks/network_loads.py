"""Network controllers in one process, each load in a process of its own: see `benchmarks.loads`."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.air import Air
from benchmarks.loads import Found, run
from benchmarks.vitals import vitals
from janitoo_actors import logs
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.network.engine import REFRESH
from janitoo_actors.network.network import Network
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, dump
from janitoo_actors.protocol.resolv import discovery_request
from janitoo_actors.runtime.server import Server

_TIMEOUT: Final = 60.0
_OUR_BEATS: Final = "/dhcp/resolv/heartbeat"


def _conf(folder: Path, broker: BrokerConfig, *, primary: bool) -> Path:
    role = "is_primary" if primary else "is_secondary"
    path = folder / f"{role}.conf"
    system = ["[system]", f"broker_ip = {broker.host}", f"broker_port = {broker.port}", "home_dir = home"]
    lines = [*system, "[network]", f"{role} = True"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class _Running:
    """A server with a role, from its start on."""

    def __init__(self, folder: Path, broker: BrokerConfig, *, primary: bool) -> None:
        config = load(_conf(folder, broker, primary=primary), Registry({}, {}))
        logs.configure(config)
        # What it says besides would stand between the figures.
        logging.getLogger().setLevel(logging.CRITICAL)
        self.began = time.monotonic()
        self.server = Server(config)
        assert self.server.network is not None
        self.network: Network = self.server.network

    def wait(self, condition: Callable[[], Any]) -> float:
        """When a condition holds, of the network; in `time.monotonic()`."""
        due = time.monotonic() + _TIMEOUT
        while not condition():
            if time.monotonic() > due:
                raise TimeoutError(f"not within {_TIMEOUT:g} s: {self.network.state}, {self.network.nodes_count} nodes")
            time.sleep(0.001)
        return time.monotonic()

    def wait_map(self, nodes: int, values: int) -> float:
        """How long it has taken from its start, before the connection, to the whole map."""
        self.wait(lambda: self.network.state is NetworkState.STARTED and self.network.nodes_count == nodes)
        ready = self.wait(lambda: _values(self.network) == values)
        return ready - self.began


def _values(network: Network) -> int:
    return sum(1 for node in network.map.snapshot().values() for _ in node.every_value())


def maps(host: str, port: int, nodes: int, values: int) -> Found:
    """Seconds from the start to the whole map in all genres: a primary's, and a secondary's; megabytes of one."""
    broker = BrokerConfig(host, port)
    with tempfile.TemporaryDirectory() as folder:
        before = vitals().rss
        primary = _Running(Path(folder), broker, primary=True)
        of_primary = primary.wait_map(nodes, values)
        secondary = _Running(Path(folder), broker, primary=False)
        of_secondary = secondary.wait_map(nodes, values)
        memory = (vitals().rss - before) / 2
        secondary.server.stop(10)
        primary.server.stop(10)
    return {"primary": of_primary, "secondary": of_secondary, "memory": memory / 1e6}


def alone(host: str, port: int, nodes: int, values: int) -> Found:
    """Seconds that a secondary without a primary takes."""
    with tempfile.TemporaryDirectory() as folder:
        secondary = _Running(Path(folder), BrokerConfig(host, port), primary=False)
        seconds = secondary.wait_map(nodes, values)
        secondary.server.stop(10)
    return {"alone": seconds}


def killed(host: str, port: int, nodes: int) -> Found:
    """Seconds from SIGKILL of a primary to its secondary's fail mode; from a new one's first beat to its recovery."""
    broker = BrokerConfig(host, port)
    with tempfile.TemporaryDirectory() as folder, Air(broker, _OUR_BEATS) as air:
        conf = _conf(Path(folder), broker, primary=True)
        command = [sys.executable, "-m", "janitoo_actors.commands.main", "run", "--quiet", str(conf)]
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _wait_beats(air, 1)
        secondary = _Running(Path(folder), broker, primary=False)
        secondary.wait(lambda: secondary.network.state is NetworkState.STARTED)
        fewest = secondary.network.nodes_count
        _wait_beats(air, 2)
        began = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        failed = secondary.wait(lambda: secondary.network.is_failed) - began
        first.wait()
        beats = len(air.heard)
        second = subprocess.Popen(command, stderr=subprocess.DEVNULL)

        def recovered() -> bool:
            nonlocal fewest
            fewest = min(fewest, secondary.network.nodes_count)
            network = secondary.network
            return not network.is_failed and network.state is NetworkState.STARTED

        back = secondary.wait(recovered)
        beat = next(heard.time for heard in air.heard[beats:] if json.loads(heard.payload)["state"] == "ONLINE")
        second.terminate()
        second.wait()
        secondary.server.stop(10)
    return {"failed": failed, "recovered": back - beat, "nodes": min(fewest, nodes)}


def _wait_beats(air: Air, number: int) -> None:
    due = time.monotonic() + _TIMEOUT
    while len(air.heard) < number and time.monotonic() < due:
        time.sleep(0.001)


def flood(host: str, port: int, nodes: int, values: int) -> Found:
    """Messages and bytes for the discovery of many controllers, and for the map of a secondary."""
    broker = BrokerConfig(host, port)
    with tempfile.TemporaryDirectory() as folder, Air(broker, "#") as air:
        primary = _Running(Path(folder), broker, primary=True)
        seconds = primary.wait_map(nodes, values)
        requests = [each for each in air.heard if each.topic.endswith("/request") or each.topic == _OUR_BEATS]
        replies = [each for each in air.heard if "/reply" in each.topic]
        secondary = _Running(Path(folder), broker, primary=False)
        secondary.wait_map(nodes, values)
        resolv = [each for each in air.heard if each.topic.startswith("/dhcp/resolv/reply/")]
        before = len(air.heard)
        # What a secondary of ours says every so often.
        own = Hadd(3, 0)
        for what in Discovery:
            digest = primary.network.map.digest(what)
            air.publish("/dhcp/resolv/request/", dump(discovery_request(what, own, digest=digest)))
        topic = f"/dhcp/resolv/reply/{own}"
        due = time.monotonic() + REFRESH
        while sum(each.topic == topic for each in air.heard[before:]) < len(Discovery) and time.monotonic() < due:
            time.sleep(0.01)
        compared = [each for each in air.heard[before:] if each.topic in {topic, "/dhcp/resolv/request/"}]
        secondary.server.stop(10)
        primary.server.stop(10)
    return {
        "seconds": seconds,
        "requests": len(requests),
        "replies": len(replies),
        "reply_bytes": sum(len(each.payload) for each in replies),
        "resolv": len(resolv),
        "resolv_bytes": sum(len(each.payload) for each in resolv),
        "longest": max(len(each.payload) for each in resolv),
        "compared": len(compared),
        "compared_bytes": sum(len(each.payload) for each in compared),
    }


if __name__ == "__main__":
    run({"maps": maps, "alone": alone, "killed": killed, "flood": flood})
