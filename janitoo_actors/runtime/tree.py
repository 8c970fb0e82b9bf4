"""The tree of a server, as child specifications. Source: `design.md`, "The tree"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from janitoo_actors.claims import ClaimTable
from janitoo_actors.configuration.model import BrokerKind, BusConfig, Isolation, ServerConfig, SystemConfig
from janitoo_actors.runtime.addresses import Addresses
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.bus import BusActor
from janitoo_actors.runtime.link import Link
from janitoo_actors.runtime.node import NodeActor
from janitoo_actors.runtime.poller import Places, Poller
from janitoo_actors.runtime.running import RunningConfig
from janitoo_actors.runtime.services import Store
from janitoo_actors.runtime.values import Role
from supervisors import Backoff, ChildSpec, ProcessActor, Strategy, Supervisor, SupervisorFlags

if TYPE_CHECKING:
    from janitoo_actors.network.network import Network

BUS_SHUTDOWN: Final = 2.0
"""Seconds that a driver has to close; then it is left behind. The whole server has 5 s to stop."""
OPEN_TIMEOUT: Final = 30.0
"""Seconds that a driver has at least to open its device."""
PROCESS_SHUTDOWN: Final = 4.0
"""Seconds that the process of a bus has to stop all of it."""
LINK_SHUTDOWN: Final = 1.5
"""Seconds that a link has for its last words."""


KEEPER_SHUTDOWN: Final = 1.5
"""Seconds to give leased addresses back."""


def root_children(
    config: ServerConfig, buses: Sequence[ChildSpec], addresses: Addresses, network: Network | None = None
) -> list[ChildSpec]:
    """The children of the root: a broker, the network, what keeps leased addresses, where there are any; and the buses.

    Args:
        buses: those to start. The list itself is kept: what is in it counts whenever their supervisor starts.
        addresses: the buses that have their addresses from a primary, if any.
    """
    system = config.system
    children = []
    if system.broker.kind is BrokerKind.EMBEDDED:
        # Here and not above: with a broker elsewhere nothing of it is needed, and the start does not wait for it.
        from janitoo_actors.runtime.broker import Broker

        backoff = Backoff(minimum=0.5, maximum=system.max_backoff)
        children.append(ChildSpec("broker", Broker, (system.broker,), backoff=backoff, shutdown=2.0))
    if config.network is not None and network is not None:
        from janitoo_actors.network.tree import network_child

        children.append(network_child(config.network, system, network))
    if addresses.buses:
        # Before the buses, as it ends after them.
        children.append(addresses_child(system, addresses))
    # Side by side: a bus that takes its time to open or close keeps no other from it.
    children.append(ChildSpec("buses", Supervisor, (SupervisorFlags(concurrent=True), buses)))
    return children


def addresses_child(system: SystemConfig, addresses: Addresses) -> ChildSpec:
    """What keeps the addresses of leased buses; there is none where there is no such bus."""
    # Here and not above: others need nothing of it.
    from janitoo_actors.runtime.leasing import AddressKeeper

    return ChildSpec(
        "addresses",
        AddressKeeper,
        (system.broker, addresses),
        backoff=_backoff(system),
        shutdown=KEEPER_SHUTDOWN,
    )


def absent_child(system: SystemConfig, boards: Callable[[], Sequence[Board]]) -> ChildSpec:
    """Who answers for the buses whose processes are down; there is none where no bus has a process."""
    from janitoo_actors.runtime.absent import Absent

    return ChildSpec("absent", Absent, (system.broker, boards), backoff=_backoff(system), shutdown=1.0)


def bus_flags() -> SupervisorFlags:
    """How the supervisor of a bus works."""
    return SupervisorFlags(Strategy.REST_FOR_ONE, intensity=5, period=60.0)


def bus_children(
    config: BusConfig, board: Board, system: SystemConfig, store: Store, claims: ClaimTable
) -> list[ChildSpec]:
    """The children of a bus's supervisor, in the order of their start."""
    places = Places.of(f"/buses/{config.section}")
    backoff = _backoff(system)
    link = ChildSpec("link", Link, (system.broker, board), shutdown=LINK_SHUTDOWN)
    bus = ChildSpec(
        "bus",
        BusActor,
        (config, board, store, claims),
        {"read_timeout": system.read_timeout},
        backoff=backoff,
        shutdown=BUS_SHUTDOWN,
        start_timeout=max(system.read_timeout, OPEN_TIMEOUT),
        hang_limit=system.read_timeout,
    )
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
    return [
        link,
        bus,
        ChildSpec("nodes", Supervisor, (one_by_one, nodes)),
        ChildSpec("pollers", Supervisor, (one_by_one, pollers)),
    ]


def bus_spec(
    config: BusConfig, board: Board, system: SystemConfig, running: RunningConfig, claims: ClaimTable
) -> ChildSpec:
    """A bus, as a child of `/buses`: its supervisor, or its process."""
    backoff = _backoff(system)
    if config.isolation is Isolation.PROCESS:
        # Here and not above: it needs the tree.
        from janitoo_actors.runtime.process_bus import ProcessBus

        work = ProcessBus(config, board, system, running).work()
        return ChildSpec(config.section, ProcessActor, (work,), backoff=backoff, shutdown=PROCESS_SHUTDOWN)
    children = bus_children(config, board, system, running, claims)
    return ChildSpec(config.section, Supervisor, (bus_flags(), children), backoff=backoff)


def _backoff(system: SystemConfig) -> Backoff:
    """Once at once: most of what makes a bus fail is over when it starts again."""
    return Backoff(minimum=min(1.0, system.max_backoff), maximum=system.max_backoff, immediate=1)
