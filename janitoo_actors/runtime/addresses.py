"""Where a bus that has no address gets one from."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from janitoo_actors.configuration.model import BusConfig
from janitoo_actors.protocol.hadd import Hadd


class AddressSource(Protocol):
    """The network, as a bus without an address asks it when it starts."""

    def ask(self, bus: BusConfig, timeout: float) -> Hadd | None:
        """The address of a bus, `CCCC/0000`; None where nobody answers.

        Called on a plain thread of this bus alone; blocks for up to `timeout` seconds. It must not raise.
        """


class Nobody:
    """A network without anybody who gives addresses out. It need not be waited for."""

    def ask(self, bus: BusConfig, timeout: float) -> Hadd | None:  # noqa: ARG002 - that is what it is asked
        """Nobody answers."""
        return None


def with_controller(bus: BusConfig, hadd: Hadd) -> BusConfig:
    """The bus at another address, which stands in the file; its components at the same places on it."""
    components = tuple(
        replace(each, node=replace(each.node, hadd=Hadd(hadd.controller, each.node.hadd.node)))
        for each in bus.components
    )
    return replace(bus, node=replace(bus.node, hadd=hadd, hadd_assigned=False), components=components)
