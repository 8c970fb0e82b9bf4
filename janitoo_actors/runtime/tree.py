"""The tree of a server, as child specifications. Source: `design.md`, "The tree"."""

from __future__ import annotations

from typing import Final

from janitoo_actors.configuration.model import BrokerKind, BusConfig, ServerConfig, SystemConfig
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.bus import BusActor
from janitoo_actors.runtime.link import Link
from janitoo_actors.runtime.node import NodeActor
from janitoo_actors.runtime.poller import Places, Poller
from janitoo_actors.runtime.values import Role
from supervisors import Backoff, ChildSpec, Strategy, Supervisor, SupervisorFlags

BUS_SHUTDOWN: Final = 2.0
"""Seconds that a driver has to close; then it is left behind. The whole server has 5 s to stop."""
LINK_SHUTDOWN: Final = 1.5
"""Seconds that a link has for its last words."""


def root_children(config: ServerConfig, boards: list[Board], store: ConfigStore) -> list[ChildSpec]:
    """The children of the root: the embedded broker where there is one, and the buses.

    Args:
        boards: one for each bus of the configuration, in its order.
    """
    system = config.system
    children = []
    if system.broker.kind is BrokerKind.EMBEDDED:
        # Here and not above: with a broker elsewhere nothing of it is needed, and the start does not wait for it.
        from janitoo_actors.runtime.broker import Broker

        backoff = Backoff(minimum=0.5, maximum=system.max_backoff)
        children.append(ChildSpec("broker", Broker, (system.broker,), backoff=backoff, shutdown=2.0))
    buses = [_bus_supervisor(bus, board, system, store) for bus, board in zip(config.buses, boards, strict=True)]
    # Side by side: a bus that takes its time to open or close keeps no other from it.
    children.append(ChildSpec("buses", Supervisor, (SupervisorFlags(concurrent=True), buses)))
    return children


def _bus_supervisor(config: BusConfig, board: Board, system: SystemConfig, store: ConfigStore) -> ChildSpec:
    places = Places.of(f"/buses/{config.section}")
    backoff = Backoff(minimum=1.0, maximum=system.max_backoff)
    link = ChildSpec("link", Link, (system.broker, board), shutdown=LINK_SHUTDOWN)
    bus = ChildSpec("bus", BusActor, (config, board, store), backoff=backoff, shutdown=BUS_SHUTDOWN)
    nodes = [
        ChildSpec(
            str(node.hadd),
            NodeActor,
            (places, board, node),
            {"read_timeout": system.read_timeout},
            backoff=backoff,
        )
        for node in board.nodes.values()
    ]
    polled = [
        (node, value)
        for node in board.nodes.values()
        for value in node.values.values()
        if value.role is Role.DRIVER and value.declared is not None and value.declared.is_polled
    ]
    pollers = [
        ChildSpec(
            f"{node.hadd}/{value.uuid}",
            Poller,
            (places, node, value),
            {
                "read_timeout": system.read_timeout,
                "max_backoff": system.max_backoff,
                "phase": number / len(polled),
            },
            backoff=backoff,
        )
        for number, (node, value) in enumerate(polled)
    ]
    # A back-off of its own for each that may fail for outside reasons: none of them uses this intensity up.
    one_by_one = SupervisorFlags()
    children = [
        link,
        bus,
        ChildSpec("nodes", Supervisor, (one_by_one, nodes)),
        ChildSpec("pollers", Supervisor, (one_by_one, pollers)),
    ]
    flags = SupervisorFlags(Strategy.REST_FOR_ONE, intensity=5, period=60.0)
    return ChildSpec(config.section, Supervisor, (flags, children), backoff=backoff)
