"""A primary that only serves leases, on a real broker: its actors, without the rest of the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from brokers import Mosquitto
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.network.leases.server import Heard, LeaseServer, LeaseShelf
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState, dump
from janitoo_actors.runtime.messages import Publish
from janitoo_actors.runtime.mqtt import Arrived, Connected, MqttConnection
from running_server import TIMEOUT
from supervisors import Backoff, ChildSpec, PinnedActor, Report, Root, SupervisorFlags, System
from waiting import wait_for

HEARTBEAT = "/dhcp/heartbeat/"


class StationLink(PinnedActor):
    """The connection: hears requests and heartbeats, and says what the server answers."""

    def __init__(self, station: Station) -> None:
        super().__init__()
        self.station = station
        self.connection = MqttConnection(
            station.broker, "station", None, (topics.LEASE_REQUESTS, topics.REPLIES, f"{HEARTBEAT}#"), self.tell_self
        )

    def on_start(self) -> None:
        self.connection.start()

    def on_stop(self) -> None:
        self.beat("OFFLINE")
        self.connection.drain(1.0)

    def on_end(self) -> None:
        super().on_end()
        self.connection.close()

    def beat(self, state: str) -> None:
        own = self.station.own
        beat = {"add_ctrl": f"{own.controller:04d}", "add_node": f"{own.node:04d}", "state": state}
        self.connection.publish("/dhcp/resolv/heartbeat", dump(beat))

    def on_receive(self, message: Any) -> Any:
        match message:
            case Connected():
                self.beat("ONLINE")
                self.station.connected = True
            case Publish(topic=topic, payload=payload):
                self.connection.publish(topic, payload)
            case Arrived(topic=topic, payload=payload) if topic.startswith(HEARTBEAT):
                if topic != HEARTBEAT:
                    hadd = Hadd.parse(topic.removeprefix(HEARTBEAT))
                    self.station.addresses.add(hadd)
                    self.tell_path("/leases", Heard(hadd, NodeState(payload.decode())))
            case Arrived():
                self.tell_path("/leases", message)
        return None


class Station:
    """The primary.

    Attributes:
        addresses: What is on the network, as far as it has heard.
        known: Whether it knows the network yet.
        shelf: Its leases.
        reports: What its supervisor reports.
    """

    def __init__(self, broker: Mosquitto, path: Path, own: Hadd, addresses: Iterable[Hadd], **options: Any) -> None:
        self.broker = BrokerConfig(host=broker.host, port=broker.port)
        self.own = own
        self.connected = False
        self.known = True
        self.addresses = set(addresses)
        self.shelf = LeaseShelf()
        self.reports: list[Report] = []
        self.system = System(self.reports.append)
        backoff = Backoff(minimum=0.05, maximum=0.1)
        children = [
            ChildSpec("link", StationLink, (self,)),
            ChildSpec(
                "leases",
                LeaseServer,
                (path, self.shelf, own, "/link", lambda: self.addresses if self.known else None),
                options,
                backoff=backoff,
            ),
        ]
        self.root = Root(self.system, SupervisorFlags(), children)

    def tell(self, message: Any) -> None:
        """Tell the server."""
        assert self.system.tell("/leases", message)

    def leases(self) -> dict[str, str]:
        """Its leases: names by address."""
        return {str(hadd): lease.name for hadd, lease in self.shelf.leases().items()}

    def stop(self) -> None:
        """End it in order."""
        self.root.request_shutdown()
        assert self.root.wait_ended(TIMEOUT)
        self.system.stop()


@contextlib.contextmanager
def station(
    broker: Mosquitto, path: Path, own: Hadd | None = None, addresses: Iterable[Hadd] = (), **options: Any
) -> Iterator[Station]:
    """Run a primary, and end it. Its requests are heard from the beginning."""
    running = Station(broker, path, own or Hadd(1, 0), addresses, **options)
    try:
        wait_for(lambda: running.connected, TIMEOUT, lambda: f"a connection: {running.reports}")
        wait_for(lambda: running.system.lookup("/leases"), TIMEOUT, lambda: f"the server: {running.reports}")
        yield running
    finally:
        running.stop()
