"""Buses that another package extends: `extensions = softspi`, found by its entry point."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, FaultyBus, Sensor
from janitoo_actors.api import (
    Bus,
    BusLostError,
    Component,
    Extension,
    Genre,
    Hardware,
    Instance,
    Option,
    Setting,
    TemporaryError,
    Value,
    Whole,
)
from janitoo_actors.api.extended import extended
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from mqtt_probe import Message
from resilience import wait_value
from running_server import PROGRAM, Requester, ServerProcess, running, system_section
from waiting import wait_for

LOG: list[str] = []


class SoftSpi(Extension):
    """An SPI bus in software, with which other packages extend the bus of these tests."""

    oid = "softspi"
    extends = FaultyBus
    clock = Option(Whole(0, 53), help="The pin of the clock")
    speed = Setting[int]("config_integer", default=1000, help="Its speed")
    transfers = Value("sensor_integer", genre=Genre.BASIC, help="How much it has transferred", poll_delay=300)
    count = 0
    is_open = False

    def takes(self) -> Iterable[Hardware]:
        return [Hardware.gpio(self.clock)]

    def open(self) -> None:
        LOG.append(f"open {self.uuid}")
        self.is_open = True
        self.bus.transfer = self.transfer

    def close(self) -> None:
        LOG.append(f"close {self.uuid}")

    def transfer(self, data: int) -> int:
        """Transfer a number."""
        self.count += 1
        self.changed("transfers")
        return data + self.speed

    @transfers.reader
    def read_transfers(self, _instance: Instance) -> int:
        return self.count


class Chip(Component):
    """A chip on it."""

    oid = "faulty.chip"
    bus_class = FaultyBus
    level = Value("sensor_float", genre=Genre.BASIC, help="The level", poll_delay=300)

    @level.reader
    def read_level(self, _instance: Instance) -> int:
        assert self.bus.part(SoftSpi).is_open
        answer: int = self.bus.transfer(7)
        return answer


def registry() -> Registry:
    extensions: dict[str, type[Extension]] = {"softspi": SoftSpi, "other": Other}
    return Registry({"faulty": FaultyBus, "plain": Plain}, {"faulty.chip": Chip, "faulty.sensor": Sensor}, extensions)


class Plain(Bus):
    oid = "plain"


class Other(Extension):
    """One that declares the same."""

    oid = "other"
    clock = Option(Whole(0, 53), default=1, help="Another pin")


def test_an_extension_on_a_server(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    LOG.clear()
    own = {"extensions": "softspi", "clock": 11, "speed_0": 100}
    path = Configuration(tmp_path, broker).bus("one", ["chip"], own=own).write()
    with running(path, registry()):
        wait_value(air, 107, uuid="level")
        # Its values are the bus's.
        wait_value(air, 1, hadd="0701/0000", uuid="transfers")
        air.write("0701/0000", "speed", 200, Genre.CONFIG)
        assert air.read("0701/0001", "level", Genre.BASIC, 0x31)["data"] == 207
        assert "speed_0 = 200" in path.read_text(encoding="utf-8")
    assert LOG == ["open one", "close one"]


def test_its_pin_is_claimed(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    made = Configuration(tmp_path, broker, max_backoff=0.1)
    for section in ("one", "two"):
        made.bus(section, ["chip"], own={"extensions": "softspi", "clock": 11})
    with running(made.write(), registry(), online=False) as server:

        def reasons() -> list[str]:
            return [node.reason for node in server.nodes if "the GPIO pin 11 is taken by" in node.reason]

        wait_for(lambda: len(reasons()) == 2, TIMEOUT, lambda: f"one of the two is told: {server.states()}")
        del air


@pytest.mark.parametrize(
    ("bus", "expected"),
    [
        ("oid = faulty\nextensions = softpsi", "extensions = 'softpsi': no extension 'softpsi' is installed"),
        ("oid = plain\nextensions = softspi\nclock = 1", "SoftSpi extends a bus faulty, and not this one"),
        ("oid = faulty\nextensions = softspi", "clock: expected a whole number, 0 to 53: it must be there"),
        (
            "oid = faulty\nextensions = softspi, other\nclock = 1",
            "FaultyBus has clock already, which Other declares too",
        ),
        ("oid = faulty\nextensions = softspi, softspi\nclock = 1", "expected each of them once"),
        ("oid = faulty\nextensions = soft spi!", "expected names with commas between"),
    ],
)
def test_what_is_wrong_in_the_file(tmp_path: Path, bus: str, expected: str) -> None:
    path = tmp_path / "server.conf"
    path.write_text(f"[one]\n{bus}\nhadd = 0701/0000\n", encoding="utf-8")
    assert expected in "\n".join(map(str, load(path, registry()).problems))


def test_an_extended_class_goes_to_another_process() -> None:
    made = extended(FaultyBus, (SoftSpi,))
    assert made is extended(FaultyBus, (SoftSpi,))
    assert pickle.loads(pickle.dumps(made)) is made
    assert {"speed", "transfers"} <= set(made.values)
    assert "speed" not in FaultyBus.values


def test_all_are_closed_whatever_one_raises() -> None:
    closed: list[str] = []

    class Bad(Extension):
        def close(self) -> None:
            closed.append("bad")
            raise TemporaryError("it sticks")

    class Good(Extension):
        def close(self) -> None:
            closed.append("good")

    class Base(Bus):
        def close(self) -> None:
            closed.append("bus")

    bus = extended(Base, (Good, Bad))()
    with pytest.raises(TemporaryError, match="it sticks"):
        bus.close_all()
    assert closed == ["bad", "good", "bus"]


# -- a package of somebody else ----------------------------------------------------------------------------------------

PACKAGE = """
from janitoo_actors.api import Component, Extension, Value
from drivers.dht import BasicBus


class Thermostat(Extension):
    extends = BasicBus

    def open(self):
        self.bus.wanted = 21.5


class Wanted(Component):
    oid = "rpibasic.wanted"
    temperature = Value("sensor_temperature", help="What is wanted", poll_delay=1)

    @temperature.reader
    def read_temperature(self, instance):
        return self.bus.wanted
"""
ENTRY_POINTS = """
[janitoo_actors.bus_extensions]
thermostat = thermostat_package:Thermostat

[janitoo_actors.components]
rpibasic.wanted = thermostat_package:Wanted
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """A package that is installed where these variables are set."""
    site = tmp_path / "site"
    metadata = site / "thermostat_package-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "thermostat_package.py").write_text(PACKAGE, encoding="utf-8")
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: thermostat-package\nVersion: 1.0\n", encoding="utf-8"
    )
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return {"PYTHONPATH": f"{site}{os.pathsep}{Path(__file__).parents[3]}"}


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_package_that_is_installed_extends_a_bus(
    broker: Mosquitto, air: Requester, tmp_path: Path, installed: dict[str, str], isolation: str
) -> None:
    path = tmp_path / "server.conf"
    lines = ["[rpibasic]", "hadd = 0711/0000", "extensions = thermostat", f"isolation = {isolation}"]
    text = "\n".join([system_section(broker, "service = test"), *lines, "components.wanted = rpibasic.wanted", ""])
    path.write_text(text, encoding="utf-8")
    checked = subprocess.run(
        [*PROGRAM, "check", str(path)],
        env={**os.environ, **installed},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (checked.returncode, checked.stdout) == (0, "0 errors, 0 warnings: rpibasic would work\n")
    with ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path, env=installed) as server:

        def published(message: Message) -> bool:
            return message.topic == "/values/user/0711/0001/temperature" and message.value["data"] == 21.5

        air.probe.wait_message(published, TIMEOUT)
        assert server.interrupt() == 0, server.both


def test_a_lost_bus_opens_its_extensions_again(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    class Losing(Chip):
        lost = False

        def read(self, uuid: str, index: int = 0) -> object:
            if not type(self).lost:
                type(self).lost = True
                raise BusLostError("the adapter is gone")
            return super().read(uuid, index)

    LOG.clear()
    drivers = Registry({"faulty": FaultyBus}, {"faulty.chip": Losing}, {"softspi": SoftSpi})
    own = {"extensions": "softspi", "clock": 11}
    with running(Configuration(tmp_path, broker).bus("one", ["chip"], own=own).write(), drivers, online=False):
        wait_value(air, 1007, uuid="level")
        assert LOG == ["open one", "close one", "open one"]
