"""Look-ups: the network's nodes as leases, those included that never asked for one. Pure functions; any thread.

Source: `protocol.md`, "Leases" ("Look-ups answer the same way").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import Lease, LeaseAnswer, granted, granted_all, lease_of, refused

Nodes = Mapping[Hadd, Mapping[str, Any]]
"""The nodes of the map by address, as a reply to `request_info_nodes` describes them."""


def known(leases: Mapping[Hadd, Lease], nodes: Nodes) -> dict[Hadd, Lease]:
    """All that is known, by address, in order: the leases, with what the map knows better."""
    return {hadd: _known(hadd, leases, nodes) for hadd in sorted({*leases, *nodes})}


def by_hadd(rep_uuid: str, hadd: Hadd, leases: Mapping[Hadd, Lease], nodes: Nodes) -> LeaseAnswer:
    """The answer to `/dhcp/resolv/hadd`."""
    if hadd not in leases and hadd not in nodes:
        return refused(rep_uuid, f"nobody knows {hadd}: it has no lease, and is not on the network")
    return granted(rep_uuid, _known(hadd, leases, nodes))


def by_name(
    rep_uuid: str, name: str | None, location: str | None, leases: Mapping[Hadd, Lease], nodes: Nodes
) -> LeaseAnswer:
    """The answer to `/dhcp/resolv/name`: those with this name, at this location. None of the two: all."""
    return _several(
        rep_uuid,
        (
            each
            for each in known(leases, nodes).values()
            if name in {None, each.name} and location in {None, each.location}
        ),
    )


def by_cmd_classes(
    rep_uuid: str, cmd_classes: Collection[int], leases: Mapping[Hadd, Lease], nodes: Nodes
) -> LeaseAnswer:
    """The answer to `/dhcp/resolv/cmd_classes`: those that have all of these."""
    wanted = set(cmd_classes)
    return _several(rep_uuid, (each for each in known(leases, nodes).values() if wanted <= set(each.cmd_classes)))


def _several(rep_uuid: str, leases: Iterable[Lease]) -> LeaseAnswer:
    return granted_all(rep_uuid, {lease.hadd: lease.wire() for lease in leases})


def _known(hadd: Hadd, leases: Mapping[Hadd, Lease], nodes: Nodes) -> Lease:
    node = nodes.get(hadd)
    if node is None:
        return leases[hadd]
    # Only what leases know of too: the rest of a node is asked for by discovery.
    told = {key: node[key] for key in ("name", "location", "cmd_classes", "state", "last_seen") if key in node}
    try:
        lease = lease_of(hadd, told)
    except ValueError:
        # A node of a peer that says of itself what no lease can hold.
        lease = lease_of(hadd, {})
    held = leases.get(hadd)
    if held is None:
        return lease
    return replace(
        lease,
        name=lease.name or held.name,
        location=lease.location or held.location,
        cmd_classes=lease.cmd_classes or held.cmd_classes,
        last_seen=max(lease.last_seen, held.last_seen),
        params=held.params,
    )
