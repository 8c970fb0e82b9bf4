"""Look-ups: the network's nodes as leases, those included that never asked for one. Pure functions; any thread.

Source: `protocol.md`, "Leases" ("Look-ups answer the same way").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import Lease, LeaseAnswer, granted, granted_all, lease_of, refused
from janitoo_actors.protocol.resolv import LookUp

Leases = Mapping[Hadd, Lease]
"""The leases of a primary by address."""
Nodes = Mapping[Hadd, Mapping[str, Any]]
"""The nodes of the map by address, as a reply to `request_info_nodes` describes them."""


def answer_lookup(lookup: LookUp, leases: Leases, nodes: Nodes) -> LeaseAnswer:
    """The answer to a look-up. Each node that has a lease says so, as `leased`."""
    if lookup.hadd is not None:
        return by_hadd(lookup.rep_uuid, lookup.hadd, leases, nodes)
    if lookup.cmd_classes:
        return by_cmd_classes(lookup.rep_uuid, lookup.cmd_classes, leases, nodes)
    return by_name(lookup.rep_uuid, lookup.name, lookup.location, leases, nodes)


def known(leases: Leases, nodes: Nodes) -> dict[Hadd, Lease]:
    """All that is known, by address, in order: the leases, with what the map knows better."""
    return {hadd: _known(hadd, leases, nodes) for hadd in sorted({*leases, *nodes})}


def by_hadd(rep_uuid: str, hadd: Hadd, leases: Leases, nodes: Nodes) -> LeaseAnswer:
    """The answer to `/dhcp/resolv/hadd`."""
    if hadd not in leases and hadd not in nodes:
        return refused(rep_uuid, f"nobody knows {hadd}: it has no lease, and is not on the network")
    return granted(rep_uuid, _known(hadd, leases, nodes))


def by_name(rep_uuid: str, name: str | None, location: str | None, leases: Leases, nodes: Nodes) -> LeaseAnswer:
    """The answer to `/dhcp/resolv/name`: those with this name, at this location. None of the two: all."""
    return _several(
        rep_uuid,
        (
            each
            for each in known(leases, nodes).values()
            if name in {None, each.name} and location in {None, each.location}
        ),
    )


def by_cmd_classes(rep_uuid: str, cmd_classes: Collection[int], leases: Leases, nodes: Nodes) -> LeaseAnswer:
    """The answer to `/dhcp/resolv/cmd_classes`: those that have all of these."""
    wanted = set(cmd_classes)
    return _several(rep_uuid, (each for each in known(leases, nodes).values() if wanted <= set(each.cmd_classes)))


def _several(rep_uuid: str, leases: Iterable[Lease]) -> LeaseAnswer:
    return granted_all(rep_uuid, {lease.hadd: lease.wire() for lease in leases})


def _known(hadd: Hadd, leases: Leases, nodes: Nodes) -> Lease:
    held = leases.get(hadd)
    node = nodes.get(hadd)
    if node is None:
        lease = leases[hadd]
        return replace(lease, params={**lease.params, "leased": True})
    try:
        lease = lease_of(hadd, node)
    except ValueError:
        # A node of a peer that says of itself what no lease can hold.
        lease = lease_of(hadd, {})
    params = {**({} if held is None else held.params), **lease.params, "leased": held is not None}
    if held is None:
        return replace(lease, params=params)
    return replace(
        lease,
        name=lease.name or held.name,
        location=lease.location or held.location,
        cmd_classes=lease.cmd_classes or held.cmd_classes,
        last_seen=max(lease.last_seen, held.last_seen),
        params=params,
    )
