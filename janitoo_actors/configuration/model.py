"""A server's configuration, read and checked. Immutable; any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from janitoo_actors.api.bus import Bus, Component
from janitoo_actors.api.schema import Section
from janitoo_actors.configuration.network import NetworkSection
from janitoo_actors.protocol.hadd import Hadd

if TYPE_CHECKING:
    # They need the classes of this module.
    from janitoo_actors.configuration.ini import IniFile
    from janitoo_actors.configuration.last_good import GoodCopy

S = TypeVar("S", bound=Section)


class LogFormat(StrEnum):
    """How log events are written."""

    CONSOLE = "console"
    JSON = "json"


class BrokerKind(StrEnum):
    """Who runs the broker."""

    EXTERNAL = "external"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in the configuration: what, where, and what was expected.

    Attributes:
        file: the file it stands in.
        section: the section; None where the file itself is wrong.
        key: the option; None where the section itself is wrong.
        value: what the file has; None where it is missing, or where it is not to be shown. Never a password.
        expected: what was expected, or what is wrong, and what to do; "expected a number of seconds, 0 to 3000".
        line: where in the file, from 1; None where it is nowhere.
    """

    file: Path
    section: str | None
    key: str | None
    value: str | None
    expected: str
    line: int | None = None

    def __str__(self) -> str:
        """One line: `conf/x.conf:12: [nut] heartbeat = 'abc': expected a number of seconds, 0 to 3000`."""
        parts = [str(self.file) if self.line is None else f"{self.file}:{self.line}"]
        if self.section is not None:
            parts.append(f"[{self.section}]")
            if self.key is not None:
                parts[-1] += f" {self.key}"
            if self.value is not None:
                parts[-1] += f" = {self.value!r}"
        text = ": ".join([*parts, self.expected])
        # The names of files and sections are whatever people wrote; control characters do not belong in a log.
        return text if text.isprintable() else "".join(map(_printable, text))


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """How to reach the broker: `broker_*` of `[system]`.

    Attributes:
        host, port: `broker_ip`, `broker_port`.
        user, password: `broker_user`, `broker_password`; None for an anonymous connection.
        keepalive: `broker_keepalive`, seconds.
        ca_file: `broker_ca_file`; TLS where it is set.
        kind: `broker = embedded` or, without that line, external.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive: int = 60
    ca_file: Path | None = None
    kind: BrokerKind = BrokerKind.EXTERNAL


@dataclass(frozen=True, slots=True)
class SystemConfig:
    """`[system]`. Times in seconds."""

    service: str
    log_dir: Path
    home_dir: Path
    pid_dir: Path
    conf_dir: Path
    broker: BrokerConfig
    heartbeat_timeout: float
    heartbeat_count: int
    log_format: LogFormat
    read_timeout: float
    max_backoff: float
    auto_reload: bool = False
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What every node has, controller or component.

    Attributes:
        uuid: the node's uuid on the wire: its section's name, `<bus>` or `<bus>__<component>`.
        heartbeat, config_timeout: seconds.
        options: the other options of the section, as text, for the device. Passwords among them are `SecretText`.
        hadd_assigned: whether the address was not in the file, and is the next free one.
    """

    uuid: str
    hadd: Hadd
    name: str
    location: str
    heartbeat: float
    config_timeout: float
    options: Mapping[str, str]
    hadd_assigned: bool = False


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """One component of a bus: `components.<key> = <oid>`."""

    key: str
    node: NodeConfig
    component_class: type[Component]


class Isolation(StrEnum):
    """Where the driver of a bus runs."""

    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class BusConfig:
    """One bus, all of it valid.

    Attributes:
        isolation: on a thread of the server's process, or in a process of its own.
        memory_max: bytes that such a process may use; None for no limit.
        leased: whether a primary gives it its addresses: it has no `hadd`, or says `lease = True`.
        identity: its `uuid`, by which the primary knows it again; None where the file has none yet.
        extensions: what other packages have added to its class, by name.
        simulate: whether its classes are those of the simulator.
    """

    section: str
    node: NodeConfig
    bus_class: type[Bus]
    components: tuple[ComponentConfig, ...]
    isolation: Isolation = Isolation.THREAD
    memory_max: int | None = None
    leased: bool = False
    identity: str | None = None
    extensions: tuple[str, ...] = ()
    simulate: bool = False

    @property
    def lacks_addresses(self) -> bool:
        """Whether the primary is yet to give addresses to it, or to some of its nodes.

        What is in their place is nothing where the bus has none, and otherwise the next free ones.
        """
        nodes = (self.node, *(component.node for component in self.components))
        return self.leased and any(node.hadd_assigned for node in nodes)

    @property
    def hadds(self) -> dict[str, Hadd]:
        """The addresses of the bus and its nodes, by key; that of the bus is the one without a key."""
        return {"": self.node.hadd, **{each.key: each.node.hadd for each in self.components}}

    def addressed(self, hadds: Mapping[str, Hadd]) -> BusConfig:
        """The bus with addresses that are in its file now, by key; what is not among them stays as it is."""

        def node(key: str, config: NodeConfig) -> NodeConfig:
            return replace(config, hadd=hadds[key], hadd_assigned=False) if key in hadds else config

        components = tuple(replace(each, node=node(each.key, each.node)) for each in self.components)
        return replace(self, node=node("", self.node), components=components)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A configuration file, as far as it is valid.

    Attributes:
        path: the file.
        ini: what was read: the file's text, or that of its last good copy.
        system: `[system]`; the file could not be loaded at all where it is wrong.
        buses: those to start (`auto_start`) and wholly valid, in the order of the file.
        problems: what is wrong with the others; each of them is not started.
        warnings: what is odd and does no harm, as a section that nothing reads.
        sections: the other sections of the server, by name, as far as they are in the file: `[network]`.
        logging: the sections of the log, for `logging.config.fileConfig`; none where `[loggers]`, `[handlers]` and
            `[formatters]` are not all there.
        copy: the last good copy that was read in the place of the file; None where that was the file itself.
        broken: what is wrong with the file, where a copy was read.
        unaddressed: buses as well, which can be started when a primary has given them their addresses.
    """

    path: Path
    ini: IniFile = field(repr=False)
    system: SystemConfig
    buses: tuple[BusConfig, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    logging: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    copy: GoodCopy | None = None
    broken: tuple[Problem, ...] = ()
    sections: Mapping[str, Section] = field(default_factory=dict)
    unaddressed: tuple[BusConfig, ...] = ()

    def section(self, kind: type[S]) -> S | None:
        """What the file has in a section of the server; None where the section is not there."""
        found = self.sections.get(kind.section)
        return found if isinstance(found, kind) else None

    @property
    def network(self) -> NetworkSection | None:
        """`[network]`, where it gives the server a role."""
        network = self.section(NetworkSection)
        return network if network is not None and network.has_role else None

    @property
    def all_buses(self) -> tuple[BusConfig, ...]:
        """The buses that are to be started, those without an address included."""
        return (*self.buses, *self.unaddressed)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to run: no bus, and no role on the network."""
        return not self.all_buses and self.network is None
