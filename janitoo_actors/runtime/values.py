"""A value of a node as the network sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from janitoo_actors.api.device import Device
from janitoo_actors.api.schema import Applies
from janitoo_actors.api.types import coerce, one_line, seconds
from janitoo_actors.api.values import Setting, Value
from janitoo_actors.configuration.model import NodeConfig
from janitoo_actors.protocol.codes import CommandClass, Genre, ValueType
from janitoo_actors.protocol.messages import dump, dump_data

LONGEST: Final = 3000
"""Seconds; the upper limit of `heartbeat` and `config_timeout` on the wire."""


_NULL: Final = b"null}"


class Role(Enum):
    """What a value is to its node."""

    ADDRESS = "hadd"
    HEARTBEAT = "heartbeat"
    CONFIG_TIMEOUT = "config_timeout"
    TEXT = "text"
    """`name` or `location`."""
    POLL = "poll"
    """The poll delay of a driver's value."""
    INSTANCE = "instance"
    """The configuration of the instances of a driver's value."""
    SETTING = "setting"
    """A configuration value of the driver."""
    DRIVER = "driver"
    """A value that the driver reads or writes."""


@dataclass(slots=True)
class Polls:
    """How the polls of a value go. Its poller writes; any thread reads.

    Attributes:
        at: when the last one came to an end, in `time.monotonic()`; 0 where none has.
        took: how long it took, in seconds.
        reads, failures: how many came to an end, and how many of them failed.
        in_row: how many have failed since one worked.
        error: why the last one has failed; None where it has not.
    """

    at: float = 0.0
    took: float = 0.0
    reads: int = 0
    failures: int = 0
    in_row: int = 0
    error: str | None = None


class NodeValue:
    """A value of a node: its fields on the wire, and the data of its instances.

    Attributes:
        source: the driver's value that it belongs to; its own uuid where it is one, or belongs to none.
        data: one item for each instance, in their order.
        poll_delay: as the wire has it: seconds; for `<value>_poll` the default, as originals do.
        configs: the configurations of the instances, as text; empty where it has none.
        is_known: whether it has been read or written since the start, be it that the read has failed.
        paced: the delay with which its driver wants it polled now, whatever is configured; None where it does not say.
        suspended: whether its polls are held back.
        polls: how its polls go.
    """

    def __init__(
        self,
        node: NodeConfig,
        uuid: str,
        role: Role,
        *,
        genre: Genre,
        type: ValueType,
        label: str,
        help: str,
        data: Sequence[Any],
        coerced: Callable[[Any], Any],
        units: str | None = None,
        cmd_class: int = CommandClass.CONFIGURATION,
        minimum: float | None = None,
        maximum: float | None = None,
        poll_delay: float = 0,
        source: Value | None = None,
        entry: str | None = None,
        configs: Sequence[str] = (),
    ) -> None:
        self.node_uuid = node.uuid
        self.hadd = str(node.hadd)
        self.uuid = uuid
        self.role = role
        self.genre = genre
        self.type = type
        self.cmd_class = int(cmd_class)
        self.label = label
        self.help = help
        self.units = units
        self.minimum = minimum
        self.maximum = maximum
        self.poll_delay = poll_delay
        self.declared = source
        self.source = source.uuid if source is not None else uuid
        self.entry = entry
        self.data = list(data)
        self._heads: list[bytes] = []
        self._heads_of: tuple[float, tuple[str, ...], int] | None = None
        self.configs = tuple(configs)
        self.is_known = False
        self.paced: float | None = None
        self.coerced = coerced
        self.suspended = False
        self.polls = Polls()

    @property
    def is_driver(self) -> bool:
        """Whether a driver reads or writes it."""
        return self.role is Role.DRIVER

    @property
    def is_readable(self) -> bool:
        """Whether a driver's method reads it."""
        return self.declared is not None and self.is_driver and self.declared.read_by is not None

    @property
    def is_writable(self) -> bool:
        """Whether it can be written over the air."""
        if self.is_driver:
            return self.declared is not None and self.declared.written_by is not None
        return True

    @property
    def is_live(self) -> bool:
        """Whether a write counts at once; otherwise when the bus has been restarted."""
        if isinstance(self.declared, Setting) and self.role is Role.SETTING:
            return self.declared.applies is Applies.IN_PLACE
        if self.declared is not None and self.declared.instances is not None and self.role is Role.INSTANCE:
            return self.declared.instances.applies is Applies.IN_PLACE
        return self.role is not Role.ADDRESS

    @property
    def has_levels(self) -> bool:
        """Whether it is published with a level for the index: it has several instances, or one with a config."""
        return len(self.data) > 1 or bool(self.configs)

    def key(self, index: int) -> str:
        """The option in the node's section that holds an instance's data."""
        if self.role in {Role.POLL, Role.INSTANCE, Role.SETTING}:
            return f"{self.uuid}_{index}"
        return self.uuid

    def units_of(self, index: int) -> str | None:
        """The units of an instance: its configuration may say them."""
        instances = self.declared.instances if self.declared is not None and self.is_driver else None
        if instances is None or instances.units is None:
            return self.units
        own = instances.units(instances.parse(self.configs[index]))
        return self.units if own is None else own

    def wire(self, index: int, *, on_air: bool = False) -> dict[str, Any]:
        """One instance, in the fields and the order of originals. Source: captures, `protocol.md` "Discovery".

        Args:
            on_air: as it is published on its topic, where originals label the only instance of a value too.
        """
        declared = self.declared if self.role in {Role.DRIVER, Role.SETTING} else None
        fields: dict[str, Any] = {} if self.entry is None else {"entry_name": self.entry}
        fields |= {
            "uuid": self.uuid,
            "node_uuid": self.node_uuid,
            "voice_uuid": None,
            "hadd": self.hadd,
            "cmd_class": self.cmd_class,
            "is_readonly": declared is not None and declared.is_readonly,
            "is_writeonly": declared is not None and declared.is_writeonly,
            "default": declared.default if declared is not None else None,
            "label": self._label(index, on_air=on_air),
            "help": self.help,
            "units": self.units_of(index),
            "list_items": list(declared.list_items) if declared is not None and declared.list_items else None,
            "max": self.maximum,
            "min": self.minimum,
            "genre": int(self.genre),
            "type": int(self.type),
            "index": index,
            "is_polled": declared is not None and declared.is_polled,
            "poll_delay": self.poll_delay,
            "reply_hadd": None,
            "data": self.data[index],
        }
        return fields

    def indexed(self) -> dict[str, Any]:
        """All instances, by their index as JSON has it."""
        return {str(index): self.wire(index) for index in range(len(self.data))}

    def payload(self) -> bytes:
        """As it goes on its topic, in JSON: flat, or with a level for the index.

        What is the same each time is made once; the data are the last field of an instance.

        Raises:
            ValueError, TypeError: as `dump`, where JSON cannot carry the data.
        """
        state = (self.poll_delay, self.configs, len(self.data))
        if self._heads_of != state:
            # All up to the data, and `"data": ` itself.
            self._heads = [
                dump({**self.wire(index, on_air=True), "data": None})[: -len(_NULL)] for index in range(len(self.data))
            ]
            self._heads_of = state
        if not self.has_levels:
            return b"%b%b}" % (self._heads[0], dump_data(self.data[0]))
        parts = [b"%b%b}" % (head, dump_data(item)) for head, item in zip(self._heads, self.data, strict=True)]
        return b"{" + b", ".join(b'"%d": %b' % each for each in enumerate(parts)) + b"}"

    def _label(self, index: int, *, on_air: bool) -> str:
        if self.is_driver and self.configs and self.configs[index] and (on_air or len(self.data) > 1):
            return f"{self.label} ({self.configs[index]})"
        return self.label


def node_values(node: NodeConfig, device_class: type[Device]) -> Iterator[NodeValue]:
    """The values of a node, in the order of originals: system, config, then the driver's."""
    # Made for what it knows of its options; it is never opened, and thrown away.
    device = device_class(node.uuid, node.options)
    yield _times(node, "heartbeat", Role.HEARTBEAT, "The heartbeat delay in seconds", node.heartbeat)
    yield NodeValue(
        node,
        "hadd",
        Role.ADDRESS,
        genre=Genre.SYSTEM,
        type=ValueType.HADD,
        label="hadd",
        help="The Janitoo Home address",
        units="",
        data=[str(node.hadd)],
        coerced=lambda raw: coerce(ValueType.HADD, raw),
    )
    help_text = "The config timeout before applying configuration and rebooting"
    yield _times(node, "config_timeout", Role.CONFIG_TIMEOUT, help_text, node.config_timeout)
    for uuid, data in (("name", node.name), ("location", node.location)):
        yield NodeValue(
            node,
            uuid,
            Role.TEXT,
            genre=Genre.CONFIG,
            type=ValueType.STRING,
            label=uuid,
            help=f"The {uuid} of the node",
            data=[data],
            coerced=one_line,
        )
    for value in device_class.values.values():
        if isinstance(value, Setting):
            yield _setting(node, device, value)
        else:
            yield from _driver_value(node, device, value)


def _times(node: NodeConfig, uuid: str, role: Role, help_text: str, data: float) -> NodeValue:
    return NodeValue(
        node,
        uuid,
        role,
        genre=Genre.SYSTEM,
        type=ValueType.INT,
        label=uuid,
        help=help_text,
        units="seconds",
        minimum=0,
        maximum=LONGEST,
        data=[seconds(data)],
        coerced=lambda raw: seconds(raw, maximum=LONGEST),
    )


def _setting(node: NodeConfig, device: Device, value: Setting[Any]) -> NodeValue:
    return NodeValue(
        node,
        value.uuid,
        Role.SETTING,
        genre=value.genre,
        type=value.type,
        cmd_class=value.cmd_class,
        label=value.label,
        help=value.help,
        units=value.units,
        minimum=value.minimum,
        maximum=value.maximum,
        data=device.settings(value.uuid),
        coerced=value.coerce,
        source=value,
        entry=value.entry,
    )


def _driver_value(node: NodeConfig, device: Device, value: Value) -> Iterator[NodeValue]:
    instances = device.instances(value.uuid)
    texts = [each.text for each in instances] if value.instances is not None else []
    delay = seconds(device.poll_delay(value.uuid))
    if value.instances is not None:
        parse = value.instances.parse

        def configured(raw: Any) -> str:
            text = one_line(raw)
            parse(text)
            return text

        yield NodeValue(
            node,
            f"{value.uuid}_config",
            Role.INSTANCE,
            genre=Genre.CONFIG,
            type=value.instances.type,
            label=value.instances.label,
            help=value.instances.help,
            data=texts,
            coerced=configured,
            source=value,
        )
    if value.is_polled:
        yield NodeValue(
            node,
            f"{value.uuid}_poll",
            Role.POLL,
            genre=Genre.CONFIG,
            type=ValueType.INT,
            label="poll_delay",
            help="The poll delay of the value",
            units="seconds",
            data=[delay],
            coerced=seconds,
            poll_delay=seconds(value.poll_delay),
            source=value,
        )
    yield NodeValue(
        node,
        value.uuid,
        Role.DRIVER,
        genre=value.genre,
        type=value.type,
        cmd_class=value.cmd_class,
        label=value.label,
        help=value.help,
        units=value.units,
        minimum=value.minimum,
        maximum=value.maximum,
        data=[None] * len(instances),
        coerced=value.coerce,
        poll_delay=delay,
        source=value,
        entry=value.entry,
        configs=texts,
    )
