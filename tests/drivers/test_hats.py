"""Servers with I2C and SPI chips: what fails is one chip's failure, told plainly, and mended without a hand."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers import Mosquitto
from fake_buses import BMP280, FakeBuses, bmp280
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


def plug(buses: FakeBuses) -> None:
    """Have the three chips."""
    bmp280(buses)
    buses.words(0x48, {0: 0x4000})
    buses.spi(inputs=[512] * 8)


@contextmanager
def served(
    buses: FakeBuses, broker: Mosquitto, folder: Path, *, plugged: bool = True
) -> Iterator[tuple[ServerProcess, Probe]]:
    """A server with three chips, all of them online, unless they are to be plugged in later."""
    if plugged:
        plug(buses)
    path = folder / "hats.conf"
    path.write_text(system_section(broker, "read_timeout = 0.5", "max_backoff = 0.2") + CONFIGURATION)
    topics = ["/dhcp/heartbeat/#", "/values/#"]
    with Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe, buses.serve(path) as server:
        if plugged:
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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.EREMOTEIO, "does not answer: is it wired, powered, and at this address?"),
        (errno.ETIMEDOUT, "holds the bus for too long (timeout)"),
        (errno.EIO, "Input/output error"),
        (errno.EAGAIN, "another master has taken the bus meanwhile (arbitration)"),
        (errno.EBUSY, "the bus is busy, and no other program is seen that has it open"),
    ],
    ids=lambda it: errno.errorcode[it] if isinstance(it, int) else "",
)
def test_a_chip_fails_and_works_again(
    buses: FakeBuses, broker: Mosquitto, tmp_path: Path, error: int, said: str
) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.fail("i2c-1-48", error)
        wait_heartbeats(probe, [VOLTS], NodeState.OFFLINE, since=since)
        server.wait_err(said)
        wait_others_go_on(probe, AIR, INPUTS)
        since = len(probe.messages)
        buses.fail("i2c-1-48", None)
        wait_heartbeats(probe, [VOLTS], NodeState.ONLINE, since=since)


def test_a_driver_of_the_kernel_takes_a_chip_and_lets_it_go(
    buses: FakeBuses, broker: Mosquitto, tmp_path: Path
) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.bind("i2c/devices/1-0048", "ads1015")
        # Until it fails once, nobody has to ask who has it.
        buses.fail("i2c-1-48", errno.EBUSY)
        wait_heartbeats(probe, [VOLTS], NodeState.OFFLINE, since=since)
        server.wait_err("take it from there: echo 1-0048 > /sys/bus/i2c/drivers/ads1015/unbind")
        buses.fail("i2c-1-48", None)
        wait_others_go_on(probe, AIR, INPUTS)
        since = len(probe.messages)
        buses.bind("i2c/devices/1-0048", None)
        wait_heartbeats(probe, [VOLTS], NodeState.ONLINE, since=since)


GARBAGE = {
    "no number": ({0xD0: b"\xff"}, "what is at 0x76 says 0xff and not which chip it is: check its wires"),
    "another chip": ({0xD0: b"\x60"}, "there is a BME280 at 0x76, and no BMP280: configure that one"),
    "all ones": ({0xF7: 6 * b"\xff"}, "the chip has not measured: it may have lost its power for a moment"),
    "no calibration": ({0x88: 26 * b"\xff"}, "the calibration of the chip is not readable: check its wires"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_chip_says_garbage_and_then_the_truth(buses: FakeBuses, broker: Mosquitto, tmp_path: Path, kind: str) -> None:
    garbage, said = GARBAGE[kind]
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        # As after a bad contact: what the driver knew of it counts no more.
        buses.unplug(0x76)
        wait_heartbeats(probe, [AIR], NodeState.OFFLINE, since=since)
        since = len(probe.messages)
        buses.chip(0x76, {**BMP280, **garbage})
        server.wait_err(said)
        wait_others_go_on(probe, VOLTS, INPUTS)
        assert temperatures(probe, since) == []
        since = len(probe.messages)
        buses.chip(0x76, BMP280)
        wait_heartbeats(probe, [AIR], NodeState.ONLINE, since=since)
        wait_value(probe, AIR, since)
        assert temperatures(probe, since)[0] == pytest.approx(25.08, abs=0.01)


def temperatures(probe: Probe, since: int) -> list[float]:
    """What has come of the air's temperature since then, but for null."""
    topic = f"/values/basic/{AIR}/temperature"
    found = (each.value["data"] for each in probe.messages[since:] if each.topic == topic)
    return [each for each in found if each is not None]


@pytest.mark.parametrize(("name", "hit"), [("i2c-1-48", VOLTS), ("spi0.0", INPUTS)])
def test_answers_that_come_too_late_silence_no_other_bus(
    buses: FakeBuses, broker: Mosquitto, tmp_path: Path, name: str, hit: str
) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        # Longer than read_timeout.
        buses.delay(name, 1.5)
        wait_heartbeats(probe, [hit], NodeState.OFFLINE, since=since)
        server.wait_err("it was at Read for 0.5 s, longer than it may be")
        wait_others_go_on(probe, INPUTS if hit == VOLTS else AIR)
        since = len(probe.messages)
        buses.delay(name, 0)
        wait_heartbeats(probe, [hit], NodeState.ONLINE, since=since)
        wait_value(probe, hit, since)


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


SPI_FAULTS = {
    errno.EIO: "/dev/spidev0.0: Input/output error",
    errno.ETIMEDOUT: "/dev/spidev0.0: Connection timed out",
    errno.EMSGSIZE: "/dev/spidev0.0: Message too long",
}


@pytest.mark.parametrize("error", SPI_FAULTS, ids=errno.errorcode.get)
def test_a_transfer_fails_and_works_again(buses: FakeBuses, broker: Mosquitto, tmp_path: Path, error: int) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.fail("spi0.0", error)
        wait_heartbeats(probe, [INPUTS], NodeState.OFFLINE, since=since)
        server.wait_err(SPI_FAULTS[error])
        wait_others_go_on(probe, AIR, VOLTS)
        since = len(probe.messages)
        buses.fail("spi0.0", None)
        wait_heartbeats(probe, [INPUTS], NodeState.ONLINE, since=since)


def test_an_spi_device_goes_is_another_drivers_and_comes_back(
    buses: FakeBuses, broker: Mosquitto, tmp_path: Path
) -> None:
    with served(buses, broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        buses.remove("spi0.0")
        wait_heartbeats(probe, [INPUTS], NodeState.OFFLINE, since=since)
        server.wait_err("/dev/spidev0.0 is gone: Cannot send after transport endpoint shutdown")
        server.wait_err("there is no /dev/spidev0.0: enable it with dtparam=spi=on")
        buses.bind("spi/devices/spi0.0", "mcp251x")
        server.wait_err("the kernel's driver mcp251x has the chip select 0.0: remove its overlay")
        wait_others_go_on(probe, AIR, VOLTS)
        since = len(probe.messages)
        buses.bind("spi/devices/spi0.0", None)
        buses.spi(inputs=[512] * 8)
        wait_heartbeats(probe, [INPUTS], NodeState.ONLINE, since=since)


def test_nothing_is_there_at_the_start(buses: FakeBuses, broker: Mosquitto, tmp_path: Path) -> None:
    with served(buses, broker, tmp_path, plugged=False) as (server, probe):
        wait_heartbeats(probe, [AIR, VOLTS, INPUTS], NodeState.OFFLINE)
        server.wait_err("there is no /dev/i2c-1: enable it with dtparam=i2c_arm=on")
        server.wait_err("there is no /dev/spidev0.0: enable it with dtparam=spi=on")
        plug(buses)
        wait_heartbeats(probe, [AIR, VOLTS, INPUTS], NodeState.ONLINE)


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
