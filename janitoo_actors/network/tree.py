"""The network's place in the tree, as child specifications. Source: `design.md`, "The tree"."""

from __future__ import annotations

from typing import Final

from janitoo_actors.configuration.model import SystemConfig
from janitoo_actors.configuration.network import NetworkSection
from janitoo_actors.network.actor import NetworkActor
from janitoo_actors.network.extensions import extend
from janitoo_actors.network.leases.server import LeaseServer, LeaseShelf
from janitoo_actors.network.link import NetworkLink
from janitoo_actors.network.network import Network
from janitoo_actors.network.settings import Settings
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.hadd import Hadd
from supervisors import Backoff, ChildSpec, Strategy, Supervisor, SupervisorFlags

DATABASE: Final = "leases.sqlite"
"""The file with the leases of a primary, in `home_dir`."""
_LINK_SHUTDOWN: Final = 1.5
"""Seconds that the link has for its last words."""


def make_network(config: NetworkSection) -> Network:
    """The network, extended. Blocks for the imports of the extensions."""
    network = Network(config.home_id, primary=config.is_primary)
    extend(network, config.extensions)
    return network


def network_child(config: NetworkSection, system: SystemConfig, network: Network) -> ChildSpec:
    """The supervisor of the network."""
    settings = Settings(
        primary=config.is_primary,
        hadd=config.address,
        dispatch=config.do_heartbeat_dispatch,
        broadcast_timeout=config.broadcast_timeout,
        resolv_timeout=config.resolv_timeout,
        request_timeout=config.request_timeout,
        heartbeat_timeout=system.heartbeat_timeout,
        heartbeat_count=system.heartbeat_count,
    )
    backoff = Backoff(minimum=min(1.0, system.max_backoff), maximum=system.max_backoff, immediate=1)
    shelf = LeaseShelf()
    connection = (system.broker, settings, network.mqtt)
    children = [
        ChildSpec("link", NetworkLink, connection, backoff=backoff, shutdown=_LINK_SHUTDOWN),
        ChildSpec("map", NetworkActor, (settings, network, shelf.leases), backoff=backoff),
    ]
    if config.is_primary:

        def addresses() -> frozenset[Hadd] | None:
            return network.addresses() if network.state is NetworkState.STARTED else None

        database = system.home_dir / DATABASE
        arguments = (database, shelf, config.address, "/network/link", addresses)
        children.append(ChildSpec("leases", LeaseServer, arguments, backoff=backoff))
    return ChildSpec("network", Supervisor, (SupervisorFlags(Strategy.REST_FOR_ONE), children), backoff=backoff)
