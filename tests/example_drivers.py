"""Drivers for the tests: they touch nothing, and declare one of everything."""

from __future__ import annotations

from janitoo_actors.api import Bus, Component, Instance, Instances, Setting, Value
from janitoo_actors.configuration.registry import Registry


def parse_minutes(text: str) -> int:
    """Read the configuration of an instance of `Ups.load`."""
    if text not in {"1", "5", "15"}:
        raise ValueError("expected 1, 5 or 15")
    return int(text)


class NutBus(Bus):
    """A bus with options of its own."""

    oid = "nut"
    name = "UPS server"
    port = Setting[int]("config_integer", default=3493, minimum=1, maximum=65535, help="The port", label="port")
    key = Setting[str]("config_password", default="", help="The key", minimum=0, maximum=0)


class HostBus(Bus):
    """A bus without options."""

    oid = "hostsensor"
    name = "Host sensors"


class Ups(Component):
    """A component with a polled value, instances, and a setting."""

    oid = "nut.ups"
    name = "UPS"
    device = Setting[str]("config_string", default="ups", help="The name of the UPS")
    charge = Value("sensor_percent", help="The charge of the battery", poll_delay=30)
    load = Value(
        "sensor_float",
        help="The load",
        poll_delay=60,
        instances=Instances("Load", "Minutes", defaults=("1", "5", "15"), parse=parse_minutes),
    )

    @charge.reader
    def read_charge(self, instance: Instance) -> float:
        """Read the charge."""
        return 100.0 - instance.index

    @load.reader
    def read_load(self, instance: Instance) -> float:
        """Read the load."""
        return float(instance.config)


class Uptime(Component):
    """A component without a name of its own."""

    oid = "hostsensor.uptime"
    uptime = Value("sensor_float", help="The uptime", poll_delay=300)

    @uptime.reader
    def read_uptime(self, instance: Instance) -> float:
        """Read the uptime."""
        return float(instance.index)


def parse_with_a_bug(text: str) -> str:
    """Fail as a driver with a bug does."""
    raise KeyError(text)


class Broken(Component):
    """A component whose check of its options has a bug."""

    oid = "hostsensor.broken"
    device = Setting[str]("config_string", default="", help="The device", parse=parse_with_a_bug)


def registry() -> Registry:
    """All of these drivers."""
    components: tuple[type[Component], ...] = (Ups, Uptime, Broken)
    return Registry({"nut": NutBus, "hostsensor": HostBus}, {each.oid: each for each in components})
