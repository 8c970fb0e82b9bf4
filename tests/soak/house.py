"""The two servers of the soak: a house with all kinds of buses, and an annex whose addresses the house leases to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from brokers import Mosquitto
from janitoo_actors.configuration.registry import Registry

POLL: Final = 0.5
"""Seconds between two polls of each value of the house: what a real house reads in half a minute or more."""
READ_TIMEOUT: Final = 1.0
HANG: Final = 2.5
"""Seconds that a simulated hang lasts: longer than a read may take, so that the bus is replaced, and not for long."""
QUICK: Final = f"""
read_timeout = {READ_TIMEOUT}
max_backoff = 0.5
broker_keepalive = 3
"""
LOG: Final = """
[loggers]
keys = root,janitoo

[handlers]
keys = file

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = file

[logger_janitoo]
level = INFO
handlers = file
propagate = 0
qualname = janitoo

[handler_file]
class = handlers.RotatingFileHandler
args = (r'{log}', 'a', {size}, {backups})
formatter = plain

[formatter_plain]
format = %(message)s
"""
LOG_SIZE: Final = 200_000
LOG_BACKUPS: Final = 2

APART: Final = ("cellar", "nut")
"""The buses in processes of their own."""
SPARED: Final = ("cellar",)
"""Those of them that have no faults, and that nobody kills: so that it would be seen if anything grew in them."""
FAULTS: Final = ("error 0.05, late 0.005", "error 0.02, hang 0.002", "lost 0.003", "nan 0.05, null 0.05, absurd 0.05")
_OPTIONS: Final = {
    "rpii2c.register": {"address": "0x21"},
    "rpispi.mcp3208": {"device": "1"},
    "tutorial": {"critical_0": "45", "rpi1wire_sensors_dir_0": "/sys/bus/w1/devices", "boardmode_0": "BCM"},
}


@dataclass(frozen=True)
class Bus:
    """A bus of the house.

    Attributes:
        oid: its driver.
        controller: its number; None where it is leased.
        components: what is on it, by key.
        isolated: whether it has a process of its own.
    """

    section: str
    oid: str
    controller: int | None
    components: Mapping[str, str]
    isolated: bool = False

    def hadds(self) -> list[str]:
        """The addresses of its nodes, its own first."""
        return [f"{self.controller:04d}/{number:04d}" for number in range(len(self.components) + 1)]

    def text(self, more: Mapping[str, Mapping[str, str]], faults: str) -> str:
        """Its sections, with further options by section, and with its faults."""
        lines = [f"[{self.section}]", f"oid = {self.oid}", "auto_start = True", "simulate = True", "heartbeat = 1"]
        lines += [f"hadd = {self.controller:04d}/0000"] if self.controller is not None else []
        lines += ["isolation = process"] if self.isolated else []
        lines += [f"components.{key} = {oid}" for key, oid in self.components.items()]
        lines += _lines({**_OPTIONS.get(self.oid, {}), **more.get(self.section, {})})
        for number, (key, oid) in enumerate(self.components.items(), start=1):
            section = f"{self.section}__{key}"
            lines += ["", f"[{section}]", "heartbeat = 1", f"simulate_hang = {HANG}"]
            lines += [f"hadd = {self.controller:04d}/{number:04d}"] if self.controller is not None else []
            lines += [f"simulate_faults = {faults}"] if faults else []
            polls = {f"{uuid}_poll_0": f"{POLL}" for uuid in polled(oid)}
            lines += _lines({**polls, **_OPTIONS.get(oid, {}), **more.get(section, {})})
        return "\n".join([*lines, "", ""])


def polled(oid: str) -> list[str]:
    """The values of a component that are polled."""
    return [uuid for uuid, value in Registry.installed().component(oid).values.items() if value.is_polled]


def _lines(options: Mapping[str, str]) -> list[str]:
    return [f"{key} = {text}" for key, text in options.items()]


def _all(bus: str) -> dict[str, str]:
    return {oid.partition(".")[2]: oid for oid in Registry.installed().component_oids if oid.startswith(f"{bus}.")}


def base_buses() -> list[Bus]:
    """The buses that are always in the house: each kind that is installed, and two more."""
    kinds = [oid for oid in Registry.installed().bus_oids if oid != "tutorial"]
    buses = [Bus(oid, oid, 200 + number, _all(oid), oid in APART) for number, oid in enumerate(kinds)]
    buses.append(Bus("cellar", "rpi1wire", 220, {"wine": "rpi1wire.ds18b20", "coal": "rpi1wire.ds18b20"}, True))
    parts = {"ambiance": "rpibasic.dht", "temperature": "rpi1wire.ds18b20", "cpu": "hostsensor.picpu"}
    buses.append(Bus("tutorial", "tutorial", 225, {**parts, "led": "rpigpio.led"}))
    return buses


GUESTS: Final = (
    Bus("guest", "rpi1wire", 240, {"a": "rpi1wire.ds18b20", "b": "rpi1wire.ds18b20"}),
    Bus("lodger", "rpibasic", 241, {"air": "rpibasic.dht"}, True),
    Bus("visitor", "hostsensor", 242, {"load": "hostsensor.load", "uptime": "hostsensor.uptime"}),
)
"""Buses that come and go."""


@dataclass
class House:
    """The file of the house, as somebody edits it who keeps what was written over the air.

    Attributes:
        written: what was written over the air and answered: options by section.
        guests: the buses that are there besides.
        faults: what goes wrong on a bus, by section.
        without: the keys of components that are out, by the section of their bus.
        moved: the sections of the buses whose isolation is the other one.
    """

    path: Path
    broker: Mosquitto
    metrics_port: int
    buses: list[Bus] = field(default_factory=base_buses)
    written: dict[str, dict[str, str]] = field(default_factory=dict)
    guests: list[Bus] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    without: dict[str, set[str]] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    @property
    def log(self) -> Path:
        """Its log."""
        return self.path.with_suffix(".log")

    def tidy(self) -> None:
        """Have it as it was in the beginning, but for what was written over the air."""
        self.guests, self.faults, self.without, self.moved = [], {}, {}, set()

    def text(self) -> str:
        """The file."""
        parts = [
            _system("soak_house", self.path, self.broker, f"metrics_port = {self.metrics_port}"),
            "[network]\nis_primary = True\nhadd = 0001/0000\n",
            LOG.format(log=self.log, size=LOG_SIZE, backups=LOG_BACKUPS),
        ]
        for bus in [*self.buses, *self.guests]:
            isolated = bus.isolated != (bus.section in self.moved)
            out = self.without.get(bus.section, set())
            # Those that stay keep their addresses: only the last ones are taken out.
            components = {key: oid for key, oid in bus.components.items() if key not in out}
            changed = Bus(bus.section, bus.oid, bus.controller, components, isolated)
            parts.append(changed.text(self.written, self.faults.get(bus.section, "")))
        return "\n".join(parts)


def annex_text(path: Path, broker: Mosquitto) -> str:
    """The file of the annex before its first start: a secondary, whose buses have no addresses."""
    buses = [
        Bus("shed", "rpi1wire", None, {"roof": "rpi1wire.ds18b20", "floor": "rpi1wire.ds18b20"}),
        Bus("stable", "hostsensor", None, {"load": "hostsensor.load", "uptime": "hostsensor.uptime"}, True),
    ]
    parts = [
        _system("soak_annex", path, broker),
        "[network]\nis_secondary = True\nhadd = 0002/0000\n",
        LOG.format(log=path.with_suffix(".log"), size=LOG_SIZE, backups=LOG_BACKUPS),
        *(bus.text({}, "error 0.02, lost 0.001") for bus in buses),
    ]
    return "\n".join(parts)


def _system(service: str, path: Path, broker: Mosquitto, *more: str) -> str:
    folders = [f"{key}_dir = {path.parent / path.stem / key}" for key in ("home", "pid", "log", "conf")]
    lines: Iterable[str] = [f"service = {service}", f"broker_ip = {broker.host}", f"broker_port = {broker.port}"]
    return "\n".join(["[system]", *lines, *folders, *more]) + QUICK
