"""Other people's packages that extend the network. Source: the tutorial, "Primary or secondaries"."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

import structlog

from janitoo_actors.errors import said
from janitoo_actors.network.network import Network
from janitoo_actors.suggest import did_you_mean


def extend(network: Network, packages: Sequence[str]) -> None:
    """Give the network to each callable of the entry points in the group `<package>.network`.

    Blocks for the disk, and for the imports. A package that has none, and an extension that fails, is logged; the
    others work.
    """
    log = structlog.get_logger()
    for package in packages:
        points = entry_points(group=f"{package}.network")
        if not points:
            others = [group.removesuffix(".network") for group in entry_points().groups if group.endswith(".network")]
            hint = did_you_mean(package, others)
            error = f"no installed package has entry points in the group {package}.network{hint}"
            log.error("network_extension_missing", extension=package, error=error)
        for point in points:
            try:
                point.load()(network)
            except Exception as error:  # noqa: BLE001 - somebody's code: whatever it is, the network does without it
                log.error("network_extension_failed", extension=f"{package}: {point.value}", error=said(error))
            else:
                log.info("network_extended", extension=f"{package}: {point.value}")
