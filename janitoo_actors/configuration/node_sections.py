"""What the section of a bus and that of a component may hold, beside what its driver declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from janitoo_actors.api.bus import Bus, Component
from janitoo_actors.api.options import Address, Bool, Choice, Duration, Line, Maybe, Memory, Names, Text
from janitoo_actors.api.schema import NAME, Applies, Option, Section, deprecated
from janitoo_actors.configuration.model import Isolation
from janitoo_actors.protocol.hadd import Hadd

COMPONENT_PREFIX: Final = "components."
DEFAULT_LOCATION: Final = "Default location"
DEFAULT_HEARTBEAT: Final = 30
DEFAULT_CONFIG_TIMEOUT: Final = 3
_LONGEST: Final = 3000
"""Seconds; what the wire has as the highest heartbeat and config_timeout."""
_LEAST_MEMORY: Final = 48 << 20


class NodeSection(Section):
    """What every node has."""

    hadd = Option[Hadd | None](
        Address(), help="The address of the node", default=None, default_text="the next free one of its bus"
    )
    name = Option(Line(), help="The name of the node", default_text="the driver's", applies=Applies.IN_PLACE)
    location = Option(
        Line(),
        help="Where the node is",
        default_text="that of the bus",
        applies=Applies.IN_PLACE,
        example="Top shelf",
    )
    heartbeat = Option(
        Duration(_LONGEST),
        help="How often the node says its state; 0: only when it changes",
        default_text="that of the bus",
        applies=Applies.IN_PLACE,
        example="60",
    )
    config_timeout = Option(
        Duration(_LONGEST),
        help="How long nothing more is written over the air until what needs a restart of the bus is applied",
        default=DEFAULT_CONFIG_TIMEOUT,
        applies=Applies.IN_PLACE,
        example="5",
    )
    uuid = Option(
        Line(),
        help="A note of original servers; kept, and read of a bus only",
        default="",
        applies=Applies.IN_PLACE,
        example="d6b66de0-21ed-11e6-ae4d-0242ac110002",
    )


class ComponentSection(NodeSection):
    """What the section of a component may hold."""

    section = "<bus>__<component>"
    title = "A component"
    help = "One node of the network: `[<bus>__<component>]`. Its driver declares more keys"

    hadd = Option[Hadd | None](
        Address(),
        help="The address of the node, `CCCC/NNNN`",
        default=None,
        default_text="the next free one of its bus",
        example="0121/0001",
    )


class BusSection(NodeSection):
    """What the section of a bus may hold."""

    section = "<bus>"
    title = "A bus"
    help = "What holds components, and a node of the network itself: `[<bus>]`. Its driver declares more keys"

    hadd = Option[Hadd | None](
        Address(bus=True),
        help="The address of the bus, `CCCC/0000`",
        default=None,
        default_text="asked of the network",
        example="0121/0000",
    )
    lease = Option[bool | None](
        Bool(),
        help="Whether a primary gives the addresses of the bus and its nodes",
        default=None,
        default_text="True without hadd, otherwise False",
        applies=Applies.IN_PLACE,
        example="True",
    )
    config_timeout = Option(
        Duration(_LONGEST),
        help="How long nothing more is written over the air until what needs a restart of the bus is applied; and how "
        "long a bus whose nodes have no address waits for one before it does with what is free",
        default=DEFAULT_CONFIG_TIMEOUT,
        applies=Applies.IN_PLACE,
        example="5",
    )
    uuid = Option(
        Line(),
        help="By which a primary knows the bus again; read where its addresses are leased",
        default="",
        applies=Applies.IN_PLACE,
        example="d6b66de0-21ed-11e6-ae4d-0242ac110002",
    )
    location = Option(
        Line(),
        help="Where the node is",
        default=DEFAULT_LOCATION,
        applies=Applies.IN_PLACE,
        example="Cupboard",
    )
    heartbeat = Option(
        Duration(_LONGEST),
        help="How often the node says its state; 0: only when it changes",
        default=DEFAULT_HEARTBEAT,
        applies=Applies.IN_PLACE,
        example="60",
    )
    auto_start = Option(Bool(), help="False keeps the bus from being started", default=True, example="False")
    oid = Option(Text(), help="Which driver it is", default_text="the section's name", example="hostsensor")
    components = Option(
        Text(),
        help="A component, by its oid; its section is `[<bus>__<name>]`",
        key=f"{COMPONENT_PREFIX}{NAME}",
        example="hostsensor.load",
    )
    isolation = Option(
        Choice(Isolation),
        help="Where its driver runs: on a thread of the server, or in a process of its own",
        default=Isolation.THREAD,
        example="process",
    )
    memory_max = Option(
        Maybe(Memory(_LEAST_MEMORY, "Python and the runtime alone need some 30M")),
        help="How much memory such a process may use",
        default=None,
        example="64M",
    )
    extensions = Option(
        Names(),
        help="What other packages add to its driver, by the names of their entry points, with commas between",
        default=(),
        example="softspi",
    )
    simulate = Option(
        Bool(),
        help="Whether its devices are simulated: nothing of the machine is touched, and the data are made up",
        default=False,
        example="True",
    )
    slow_start = deprecated("buses start side by side, and none waits for another")
    loop_sleep = deprecated("nothing here loops: values are polled when they are due")
    hourly_timer = deprecated("values are polled when they are due; there are no timers to configure")

    @property
    def leased(self) -> bool:
        """Whether a primary gives the addresses: where the file does not say, it does to whoever has none."""
        return "hadd" not in self.given if self.lease is None else self.lease

    def check(self) -> Iterator[tuple[str, str]]:
        """Only a process has memory of its own."""
        if self.memory_max is not None and self.isolation is not Isolation.PROCESS:
            yield "memory_max", "expected isolation = process beside it: a thread has no memory of its own"


def bus_options(bus_class: type[Bus], section: str = "") -> Mapping[str, Option[Any]]:
    """Every option of the section of a bus, with the defaults that hold there."""
    options = dict(BusSection.options)
    options["name"] = BusSection.options["name"].with_default(bus_class.name or section or None)
    if section:
        options["oid"] = BusSection.options["oid"].with_default(section)
    return {**options, **bus_class.schema()}


def component_options(
    component_class: type[Component], key: str = "", bus: Mapping[str, Any] | None = None
) -> Mapping[str, Option[Any]]:
    """Every option of the section of a component, with the defaults that hold there.

    Args:
        key: its name on the bus.
        bus: the location and the heartbeat of its bus, where one is meant.
    """
    options = dict(ComponentSection.options)
    options["name"] = ComponentSection.options["name"].with_default(component_class.name or key or None)
    for inherited, data in (bus or {}).items():
        options[inherited] = ComponentSection.options[inherited].with_default(data)
    return {**options, **component_class.schema()}
