"""Every section of the file and what it may hold. What is declared here is read, checked, shown and documented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from janitoo_actors.api.schema import Option, Section, option_of
from janitoo_actors.configuration.model import ServerConfig
from janitoo_actors.configuration.network import NetworkSection
from janitoo_actors.configuration.node_sections import BusSection, ComponentSection, bus_options, component_options
from janitoo_actors.configuration.system import SystemSection

OTHER_SECTIONS: Final[tuple[type[Section], ...]] = (NetworkSection,)
"""The sections of the server beside `[system]`. A further one is declared as a `Section`, and added here."""

SERVER_SECTIONS: Final[tuple[type[Section], ...]] = (SystemSection, *OTHER_SECTIONS)
"""The sections of the server itself: those that are no bus and no component."""

SECTIONS: Final[tuple[type[Section], ...]] = (*SERVER_SECTIONS, BusSection, ComponentSection)
"""All of them but those of logging, in the order of the reference."""


def options_of(config: ServerConfig, section: str) -> Mapping[str, Option[Any]]:
    """Everything that a section of this server may hold, with the defaults there; empty where it is unknown.

    Any thread; does not block.
    """
    for kind in SERVER_SECTIONS:
        if kind.section == section:
            return kind.options
    for bus in config.all_buses:
        if bus.section == section:
            return bus_options(bus.bus_class, section)
        for component in bus.components:
            if component.node.uuid == section:
                inherited = {"location": bus.node.location, "heartbeat": bus.node.heartbeat}
                return component_options(component.component_class, component.key, inherited)
    # Most files have no such sections.
    from janitoo_actors.configuration.logging_sections import logging_options

    return logging_options(section)


def lookup(config: ServerConfig, section: str, key: str) -> Option[Any] | None:
    """What a key of a section is: its help, type, default, and how a change of it is applied. None where it is unknown.

    Args:
        config: the server; its buses say which drivers declare what.
        section: as `system`, `hostsensor`, `hostsensor__load`.
        key: as `broker_ip`, `components.load`, `load_poll_0`.
    """
    return option_of(options_of(config, section), key)
