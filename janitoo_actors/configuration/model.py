"""A server's configuration, read and checked. Immutable; any thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from janitoo_actors.api.device import Bus, Component
from janitoo_actors.protocol.hadd import Hadd


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
    """`[system]`. Times in seconds.

    `slow_start` and `loop_sleep` paced the original's polling threads. Here nothing polls in a loop: they are read and
    checked, and change nothing.
    """

    service: str
    log_dir: Path
    home_dir: Path
    pid_dir: Path
    conf_dir: Path
    broker: BrokerConfig
    heartbeat_timeout: float
    heartbeat_count: int
    slow_start: float
    loop_sleep: float
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
        options: the other options of the section, as text, for the device.
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
    """

    section: str
    node: NodeConfig
    bus_class: type[Bus]
    components: tuple[ComponentConfig, ...]
    isolation: Isolation = Isolation.THREAD
    memory_max: int | None = None


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A configuration file, as far as it is valid.

    Attributes:
        path: the file.
        system: `[system]`; the file could not be loaded at all where it is wrong.
        buses: those to start (`auto_start`) and wholly valid, in the order of the file.
        problems: what is wrong with the others; each of them is not started.
        warnings: what is odd and does no harm, as a section that nothing reads.
        logging: the sections of the log, for `logging.config.fileConfig`; none where `[loggers]`, `[handlers]` and
            `[formatters]` are not all there.
    """

    path: Path
    system: SystemConfig
    buses: tuple[BusConfig, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    logging: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
