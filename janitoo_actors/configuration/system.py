"""The `[system]` section."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Final

from janitoo_actors.api.types import one_line
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import BrokerConfig, BrokerKind, LogFormat, Problem, SystemConfig
from janitoo_actors.configuration.options import (
    SectionReader,
    boolean,
    choice,
    duration,
    name,
    optional,
    path_from,
    whole,
)
from janitoo_actors.configuration.suggest import did_you_mean

SECTION: Final = "system"

KEYS: Final = (
    "service",
    "log_dir",
    "home_dir",
    "pid_dir",
    "conf_dir",
    "broker",
    "broker_ip",
    "broker_port",
    "broker_user",
    "broker_password",
    "broker_keepalive",
    "broker_ca_file",
    "heartbeat_timeout",
    "heartbeat_count",
    "slow_start",
    "loop_sleep",
    "log_format",
    "read_timeout",
    "max_backoff",
    "auto_reload",
    "metrics_port",
)
"""Every key that is read."""

# Where the installation of the original puts its files.
_HOME: Final = Path("/opt/janitoo")


def read_system(ini: IniFile, problems: list[Problem], warnings: list[Problem]) -> SystemConfig:
    """Read `[system]`; the defaults stand where it has nothing, or is not there at all. Pure; any thread.

    Args:
        problems: what is wrong is appended here; the result is of no use then.
        warnings: keys that nothing reads are appended here.
    """
    reader = SectionReader(ini, SECTION, problems)
    folder = ini.path.parent.absolute()
    path = path_from(folder)
    for key in ini.sections.get(SECTION, {}):
        if key not in KEYS:
            # Without the value: a misspelt broker_password has a password.
            hint = did_you_mean(key, KEYS)
            warnings.append(ini.problem(SECTION, key, f"nothing reads this key{hint}", show=False))
    return SystemConfig(
        service=reader.read("service", ini.path.stem, name),
        log_dir=reader.read("log_dir", _HOME / "log", path),
        home_dir=reader.read("home_dir", _HOME / "home", path),
        pid_dir=reader.read("pid_dir", _HOME / "run", path),
        conf_dir=reader.read("conf_dir", _HOME / "etc", path),
        broker=_read_broker(reader, folder),
        heartbeat_timeout=reader.read("heartbeat_timeout", 5, duration()),
        heartbeat_count=reader.read("heartbeat_count", 3, whole(1, 1000)),
        slow_start=reader.read("slow_start", 0, duration()),
        loop_sleep=reader.read("loop_sleep", 0.25, duration()),
        log_format=reader.read("log_format", LogFormat.CONSOLE, choice(LogFormat)),
        read_timeout=reader.read("read_timeout", 10, duration(positive=True)),
        max_backoff=reader.read("max_backoff", 60, duration(positive=True)),
        auto_reload=reader.read("auto_reload", False, boolean),
        metrics_port=reader.read("metrics_port", 0, whole(0, 65535)),
    )


def _read_broker(reader: SectionReader, folder: Path) -> BrokerConfig:
    kind = reader.read("broker", BrokerKind.EXTERNAL, choice(BrokerKind))
    embedded = kind is BrokerKind.EMBEDDED
    user = reader.read("broker_user", None, optional)
    password = reader.read("broker_password", None, _with_user(named="broker_user" in reader.options))
    return BrokerConfig(
        host=reader.read("broker_ip", "127.0.0.1", _loopback if embedded else name),
        port=reader.read("broker_port", 1883, whole(1, 65535)),
        user=user,
        # Where the user is empty, so is the password.
        password=password if user is not None else None,
        keepalive=reader.read("broker_keepalive", 60, whole(0, 65535)),
        ca_file=reader.read("broker_ca_file", None, _no_tls if embedded else _existing(folder)),
        kind=kind,
    )


def _loopback(text: str) -> str:
    host = name(text)
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError("expected 127.0.0.1: the embedded broker is for this machine only; remove broker = embedded")
    return host


def _with_user(*, named: bool) -> Callable[[str], str | None]:
    def convert(text: str) -> str | None:
        password = one_line(text) or None
        if password is not None and not named:
            raise ValueError("expected broker_user beside it: MQTT has no password without a user")
        return password

    return convert


def _no_tls(text: str) -> Path | None:
    if optional(text) is not None:
        raise ValueError("expected nothing: the embedded broker speaks no TLS; remove broker = embedded, or this key")
    return None


def _existing(folder: Path) -> Callable[[str], Path | None]:
    path = path_from(folder)

    def convert(text: str) -> Path | None:
        if optional(text) is None:
            return None
        found = path(text)
        if not found.is_file():
            raise ValueError(f"expected a file with the certificate of the broker's authority; {found} is none")
        return found

    return convert
