"""The `[system]` section: the server itself, and its broker."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from janitoo_actors.api.options import Bool, Choice, Duration, Line, Maybe, Text, Whole
from janitoo_actors.api.places import FilePath, Host, Port, Secret
from janitoo_actors.api.schema import Applies, Option, Section, deprecated
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import BrokerConfig, BrokerKind, LogFormat, Problem, SystemConfig
from janitoo_actors.configuration.reading import SectionReader

# Where the installation of the original puts its files.
_HOME: Final = Path("/opt/janitoo")


class SystemSection(Section):
    """What `[system]` may hold."""

    section = "system"
    help = "The server itself: its broker, its log, how patient it is"

    service = Option(
        Text(),
        help="What the server calls itself in its log",
        default_text="the file's name, without `.conf`",
        applies=Applies.IN_PLACE,
        example="jnt_cupboard",
    )
    broker = Option(
        Choice(BrokerKind),
        help="Who runs the broker: somebody else, or this server itself, on this machine only",
        default=BrokerKind.EXTERNAL,
        applies=Applies.RESTART_SERVER,
        example="embedded",
    )
    broker_ip = Option(
        Host(), help="Where the broker is", default="127.0.0.1", applies=Applies.RESTART_BUS, example="192.168.14.65"
    )
    broker_port = Option(Port(), help="Its port", default=1883, applies=Applies.RESTART_BUS, example="8883")
    broker_user = Option(
        Maybe(Line()), help="The user to connect as", default=None, applies=Applies.RESTART_BUS, example="janitoo"
    )
    broker_password = Option(
        Secret(), help="That user's password; refused without `broker_user`", default=None, applies=Applies.RESTART_BUS
    )
    broker_keepalive = Option(
        Whole(0, 65535),
        help="Seconds of silence until the broker takes the server for dead; 0: never",
        default=60,
        applies=Applies.RESTART_BUS,
        example="30",
    )
    broker_ca_file = Option(
        Maybe(FilePath()),
        help="Speak TLS; the file has the certificate of the authority that signed the broker's",
        default=None,
        applies=Applies.RESTART_BUS,
        example="/etc/mosquitto/ca.crt",
    )
    log_format = Option(
        Choice(LogFormat),
        help="How the log is written: to be read, or as one JSON object a line",
        default=LogFormat.CONSOLE,
        applies=Applies.IN_PLACE,
        example="json",
    )
    read_timeout = Option(
        Duration(positive=True),
        help="A reading that takes longer has failed",
        default=10,
        applies=Applies.RESTART_BUS,
        example="3",
    )
    max_backoff = Option(
        Duration(positive=True),
        help="The longest pause between two tries, where something does not work",
        default=60,
        applies=Applies.RESTART_BUS,
        example="300",
    )
    heartbeat_timeout = Option(
        Duration(), help="How late a heartbeat of others may be", default=5, applies=Applies.IN_PLACE, example="10"
    )
    heartbeat_count = Option(
        Whole(1, 1000), help="How many of them may be missing", default=3, applies=Applies.IN_PLACE, example="5"
    )
    log_dir = Option(
        FilePath(),
        help="The folder of logs; where the log goes is said by `[handlers]`",
        default=_HOME / "log",
        applies=Applies.IN_PLACE,
        example="/tmp/janitoo/log",
    )
    home_dir = Option(
        FilePath(),
        help="The folder of data: a primary keeps its leases there",
        default=_HOME / "home",
        applies=Applies.RESTART_SERVER,
        example="/tmp/janitoo/home",
    )
    pid_dir = Option(
        FilePath(),
        help="The folder of the pid file and of the control socket; where it cannot be written, another one",
        default=_HOME / "run",
        applies=Applies.RESTART_SERVER,
        example="/tmp/janitoo/run",
    )
    conf_dir = Option(
        FilePath(),
        help="The folder of configuration files",
        default=_HOME / "etc",
        applies=Applies.IN_PLACE,
        example="/tmp/janitoo/etc",
    )
    auto_reload = Option(
        Bool(),
        help="Take the file over whenever it has been saved",
        default=False,
        applies=Applies.IN_PLACE,
        example="True",
    )
    metrics_port = Option(
        Whole(0, 65535),
        help="Give the figures of the server by HTTP, on this port of 127.0.0.1, for Prometheus; 0: do not",
        default=0,
        applies=Applies.IN_PLACE,
        example="9464",
    )
    slow_start = deprecated("buses start side by side, and none waits for another")
    loop_sleep = deprecated("nothing here loops: values are polled when they are due")
    user = deprecated("the service manager says who runs the server, with User= in the unit")
    group = deprecated("the service manager says who runs the server, with Group= in the unit")
    hostname = deprecated("the name of the machine is asked of the machine")
    cache_dir = deprecated("nothing is cached on the disk")

    def check(self) -> Iterator[tuple[str, str]]:
        """A password needs a user; the embedded broker is on loopback, and speaks no TLS."""
        if self.broker_password is not None and "broker_user" not in self.given:
            yield "broker_password", "expected broker_user beside it: MQTT has no password without a user"
        embedded = self.broker is BrokerKind.EMBEDDED
        if embedded and self.broker_user is not None and "broker_password" not in self.given:
            yield "broker_user", "expected broker_password beside it: an embedded broker asks its user for one"
        if embedded and not _is_loopback(self.broker_ip):
            yield (
                "broker_ip",
                "expected 127.0.0.1: the embedded broker is for this machine only; remove broker = embedded",
            )
        if self.broker_ca_file is not None and embedded:
            yield (
                "broker_ca_file",
                "expected nothing: the embedded broker speaks no TLS; remove broker = embedded, or this key",
            )
        elif self.broker_ca_file is not None and not self.broker_ca_file.is_file():
            yield (
                "broker_ca_file",
                f"expected a file with the certificate of the broker's authority; {self.broker_ca_file} is none",
            )


def read_system(ini: IniFile, problems: list[Problem], warnings: list[Problem]) -> SystemConfig:
    """Read `[system]`; the defaults stand where it has nothing, or is not there at all.

    Any thread; blocks for the disk.

    Args:
        problems: what is wrong is appended here; the result is of no use then.
        warnings: what is odd and does no harm is appended here.
    """
    reader = SectionReader(ini, SystemSection.section, problems, warnings)
    read = reader.read(SystemSection, {"service": ini.path.stem})
    reader.unread(SystemSection.options, "this key")
    return SystemConfig(
        service=read.service,
        log_dir=read.log_dir,
        home_dir=read.home_dir,
        pid_dir=read.pid_dir,
        conf_dir=read.conf_dir,
        broker=BrokerConfig(
            host=read.broker_ip,
            port=read.broker_port,
            user=read.broker_user,
            # Where the user is empty, so is the password.
            password=read.broker_password if read.broker_user is not None else None,
            keepalive=read.broker_keepalive,
            ca_file=read.broker_ca_file,
            kind=read.broker,
        ),
        heartbeat_timeout=read.heartbeat_timeout,
        heartbeat_count=read.heartbeat_count,
        log_format=read.log_format,
        read_timeout=read.read_timeout,
        max_backoff=read.max_backoff,
        auto_reload=read.auto_reload,
        metrics_port=read.metrics_port,
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
