"""Servers with I2C and SPI chips: what fails is one chip's failure, told plainly, and mended without a hand."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers import Mosquitto
from fake_buses import FakeBuses, bmp280
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message, Probe
from running_server import TIMEOUT, ServerProcess, system_section, wait_heartbeats

AIR, VOLTS, INPUTS = "0161/0001", "0161/0002", "0162/0001"
CONFIGURATION = """
[rpii2c]
hadd = 0161/0000
components.air = rpii2c.bmp280
components.volts = rpii2c.ads1115

[rpii2c__air]
hadd = 0161/0001
temperature_poll_0 = 0.05
pressure_poll_0 = 0

[rpii2c__volts]
hadd = 0161/0002
voltage_poll_0 = 0.05
voltage_config_0 = 0

[rpispi]
hadd = 0162/0000
components.inputs = rpispi.mcp3008

[rpispi__inputs]
hadd = 0162/0001
voltage_poll_0 = 0.05
voltage_config_0 = 0
"""


@contextmanager
def served(buses: FakeBuses, broker: Mosquitto, folder: Path) -> Iterator[tuple[ServerProcess, Probe]]:
    """A server with three chips, all of them online."""
    bmp280(buses)
    buses.words(0x48, {0: 0x4000})
    buses.spi(inputs=[512] * 8)
    path = folder / "hats.conf"
    path.write_text(system_section(broker, "read_timeout = 0.5", "max_backoff = 0.2") + CONFIGURATION)
    topics = ["/dhcp/heartbeat/#", "/values/#"]
    with Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe, buses.serve(path) as server:
        wait_heartbeats(probe, [AIR, VOLTS, INPUTS], NodeState.ONLINE)
        yield server, probe


def wait_value(probe: Probe, hadd: str, since: int) -> None:
    """Wait until a node has published a value that is known."""

    def published(message: Message) -> bool:
        if not message.topic.startswith(f"/values/basic/{hadd}/"):
            return False
        value = message.value
        data = value["data"] if "data" in value else value["0"]["data"]
        return data is not None

    probe.wait_message(published, TIMEOUT, since=since)


def wait_others_go_on(probe: Probe, *hadds: str) -> None:
    """Wait until each of them has published twice from now on."""
    for _ in range(2):
        since = len(probe.messages)
        for hadd in hadds:
            wait_value(probe, hadd, since)


def test_a_chip_is_unplugged_and_comes_back(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.unplug(0x76)
        wait_heartbeats(probe, [AIR], NodeState.OFFLINE, since=since)
        server.wait_err("the chip at 0x76 of the I2C adapter 1 does not answer: is it wired, powered")
        wait_others_go_on(probe, VOLTS, INPUTS)
        since = len(probe.messages)
        bmp280(buses)
        wait_heartbeats(probe, [AIR], NodeState.ONLINE, since=since)
        wait_value(probe, AIR, since)


@pytest.mark.parametrize("error", [errno.EREMOTEIO, errno.ETIMEDOUT, errno.EIO], ids=errno.errorcode.get)
def test_a_chip_fails_and_works_again(buses: FakeBuses, broker: Mosquitto, tmp_path: Path, error: int) -> None:
    with served(buses, broker, tmp_path) as (_, probe):
        since = len(probe.messages)
        buses.fail("i2c-1-48", error)
        wait_heartbeats(probe, [VOLTS], NodeState.OFFLINE, since=since)
        wait_others_go_on(probe, AIR, INPUTS)
        since = len(probe.messages)
        buses.fail("i2c-1-48", None)
        wait_heartbeats(probe, [VOLTS], NodeState.ONLINE, since=since)


def test_a_stuck_bus_silences_no_other_one(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.stick()
        wait_heartbeats(probe, [AIR, VOLTS], NodeState.OFFLINE, since=since)
        # Its thread is left behind, with the place where it hangs.
        server.wait_err("i2c_rdwr")
        wait_others_go_on(probe, INPUTS)
        since = len(probe.messages)
        buses.stick(stuck=False)
        wait_heartbeats(probe, [AIR, VOLTS], NodeState.ONLINE, since=since)


def test_an_adapter_goes_and_comes_back(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.remove("i2c-1")
        wait_heartbeats(probe, [AIR, VOLTS], NodeState.OFFLINE, since=since)
        server.wait_err("the I2C adapter 1 is gone")
        server.wait_err("there is no /dev/i2c-1: enable it with dtparam=i2c_arm=on")
        wait_others_go_on(probe, INPUTS)
        since = len(probe.messages)
        buses.adapter()
        wait_heartbeats(probe, [AIR, VOLTS], NodeState.ONLINE, since=since)


def test_an_spi_chip_loses_its_power(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.remove("spi0.0.mcp3008")
        wait_heartbeats(probe, [INPUTS], NodeState.OFFLINE, since=since)
        server.wait_err("no MCP3008 answers at chip select 0: is it wired and powered?")
        wait_others_go_on(probe, AIR, VOLTS)
        since = len(probe.messages)
        buses.spi(inputs=[1] * 8)
        wait_heartbeats(probe, [INPUTS], NodeState.ONLINE, since=since)


def test_the_second_server_is_told_who_has_the_adapter(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    with served(buses, broker, tmp_path):
        path = tmp_path / "other.conf"
        other = CONFIGURATION.replace("0161/", "0171/").replace("0162/", "0172/")
        path.write_text(system_section(broker) + other)
        with buses.serve(path) as second:
            second.wait_err("the I2C adapter 1 is taken by [rpii2c] of hats (process")
            second.wait_err("the SPI chip select 0.0 is taken by [rpispi__inputs] of hats (process")


@pytest.mark.parametrize(("bus", "oid"), [("rpispi", "rpii2c.bme280"), ("hostsensor", "rpispi.mcp3008")])
def test_a_chip_on_another_kind_of_bus_is_refused(tmp_path: Path, bus: str, oid: str) -> None:
    path = tmp_path / "my.conf"
    path.write_text(f"[{bus}]\nhadd = 0161/0000\ncomponents.x = {oid}\n")
    (problem,) = load(path, Registry.installed()).problems
    needed = oid.partition(".")[0]
    assert str(problem) == (
        f"{path}:3: [{bus}] components.x = {oid!r}: it works on a bus {needed}, "
        f"as components.x = {oid} in [{needed}], and not on this one"
    )


def test_two_chips_at_one_address_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    components = "components.supply = rpii2c.ina219\ncomponents.lamps = rpii2c.pca9685\n"
    path.write_text(f"[rpii2c]\nhadd = 0161/0000\n{components}[rpii2c__lamps]\nname = Lamps\n")
    (problem,) = load(path, Registry.installed()).problems
    assert str(problem) == (
        f"{path}:5: [rpii2c__lamps]: [rpii2c__supply] has the address 0x40 of the I2C adapter 1 already: "
        "expected another one"
    )
