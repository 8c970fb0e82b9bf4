"""The heartbeats of our own nodes, as a primary hears them: a bus that hangs, or is killed, is reported at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokers import BrokerFactory, Mosquitto
from faulty_drivers import SCRIPTS, Configuration, Scripts, gives, registry
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.network.events import NodeStateChanged
from janitoo_actors.network.network import Network
from janitoo_actors.network.states import NetworkState
from running_server import TIMEOUT, RunningServer, running, system_section
from waiting import wait_for

NODE = "0701/0001"
LATE = {"PENDING", "FAILED"}


@pytest.fixture
def scripts() -> Iterator[Scripts]:
    SCRIPTS.reset()
    yield SCRIPTS
    SCRIPTS.reset()


@pytest.fixture
def broker(private_broker: BrokerFactory) -> Mosquitto:
    return private_broker()


@pytest.fixture
def primary(broker: Mosquitto, tmp_path: Path) -> Iterator[Network]:
    """A primary on another server."""
    path = tmp_path / "primary.conf"
    path.write_text(system_section(broker) + "home_dir = home\n[network]\nis_primary = True\n", encoding="utf-8")
    with running(path, Registry({}, {}), online=False) as server:
        network = server.server.network
        assert network is not None
        yield network


class Heard:
    """The states of a node, as the primary comes to know them."""

    def __init__(self, network: Network, hadd: str) -> None:
        self._network = network
        self._hadd = hadd
        self.states: list[str] = []
        wait_for(lambda: network.state is NetworkState.STARTED, TIMEOUT, "the primary has its map")
        wait_for(lambda: self._now() == "ONLINE", TIMEOUT, lambda: f"{hadd} is online")
        network.subscribe(NodeStateChanged, self._note)

    def wait(self, *states: str) -> None:
        """Wait until it has gone through these states."""
        wait_for(lambda: tuple(self.states) == states, TIMEOUT, lambda: f"{states}: {self.states}")

    def _now(self) -> Any:
        return self._network.nodes[self._hadd]["state"] if self._hadd in self._network.nodes else None

    def _note(self, event: NodeStateChanged) -> None:
        if str(event.hadd) == self._hadd:
            self.states.append(event.state)


def wait_process(server: RunningServer) -> int:
    def pid() -> int | None:
        (info,) = (each for each in server.infos() if each.path == "/buses/one")
        return info.pid if info.state == "running" else None

    return wait_for(pid, TIMEOUT, "the process of the bus")


def test_a_bus_that_hangs_is_offline_at_once_and_comes_back(
    broker: Mosquitto, primary: Network, tmp_path: Path, scripts: Scripts
) -> None:
    # Its next heartbeats would be in half a minute.
    path = Configuration(tmp_path, broker, read_timeout=0.5).bus("one", ["sensor"], temperature_poll_0=0.05).write()
    with running(path, registry()):
        heard = Heard(primary, NODE)
        hang = scripts.hang()
        scripts["one__sensor"].read = hang
        hang.wait_reached()
        scripts["one__sensor"].read = gives(34.0)
        wait_for(lambda: heard.states[:1] == ["OFFLINE"], TIMEOUT, lambda: f"OFFLINE: {heard.states}")
        wait_for(lambda: heard.states[-1:] == ["ONLINE"], TIMEOUT, lambda: f"ONLINE: {heard.states}")
        assert not LATE & set(heard.states)


def test_a_bus_whose_process_is_killed_is_offline_by_its_will_and_comes_back(
    broker: Mosquitto, primary: Network, tmp_path: Path
) -> None:
    configuration = Configuration(tmp_path, broker, max_backoff=0.2)
    configuration.bus(
        "one", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.2, order_0=tmp_path / "order"
    )
    with running(configuration.write(), registry()) as server:
        heard = Heard(primary, NODE)
        os.kill(wait_process(server), signal.SIGKILL)
        wait_for(lambda: heard.states[:1] == ["OFFLINE"], TIMEOUT, lambda: f"OFFLINE: {heard.states}")
        wait_for(lambda: heard.states[-1:] == ["ONLINE"], TIMEOUT, lambda: f"ONLINE: {heard.states}")
        assert not LATE & set(heard.states)


def test_a_server_that_stops_takes_its_nodes_down(broker: Mosquitto, primary: Network, tmp_path: Path) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["sensor"]).write()
    with running(path, registry()):
        heard = Heard(primary, NODE)
    heard.wait("OFFLINE")
