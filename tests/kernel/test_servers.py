"""A server on the buses of a real kernel: what fails is told, the rest goes on, and no hand is needed afterwards."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers import Mosquitto
from fake_buses import BMP280
from janitoo_actors.protocol.messages import NodeState
from kernel_hardware import ONE, TWO, KernelHardware
from mqtt_probe import Probe
from running_server import PROGRAM, ServerProcess, system_section, wait_heartbeats
from waiting import wait_for

pytestmark = pytest.mark.kernel
TIMEOUT = 60.0

AIR, INPUTS, WARM, COLD = "0161/0001", "0162/0001", "0163/0001", "0163/0002"
CONFIGURATION = f"""
[rpii2c]
hadd = 0161/0000
components.air = rpii2c.bmp280

[rpii2c__air]
hadd = {AIR}
temperature_poll_0 = 0.1
pressure_poll_0 = 0

[rpispi]
hadd = 0162/0000
components.inputs = rpispi.mcp3008

[rpispi__inputs]
hadd = {INPUTS}
voltage_poll_0 = 0.1
voltage_config_0 = 0

[rpi1wire]
hadd = 0163/0000
components.warm = rpi1wire.ds18b20
components.cold = rpi1wire.ds18b20

[rpi1wire__warm]
hadd = {WARM}
hexadd_0 = {ONE}
temperature_poll_0 = 0.5

[rpi1wire__cold]
hadd = {COLD}
hexadd_0 = {TWO}
temperature_poll_0 = 0.5
"""


@contextmanager
def served(hardware: KernelHardware, broker: Mosquitto, folder: Path) -> Iterator[tuple[ServerProcess, Probe]]:
    """A server with all of it, online."""
    for first, data in BMP280.items():
        hardware.registers(first, data)
    wait_for(lambda: all(Path("/sys/bus/w1/devices", each).exists() for each in (ONE, TWO)), TIMEOUT, "the sensors")
    path = folder / "my.conf"
    # A sensor of 12 bits takes 0.75 s to measure, and the bus has two.
    path.write_text(system_section(broker, "read_timeout = 4", "max_backoff = 0.2") + CONFIGURATION)
    topics = ["/dhcp/heartbeat/#", "/values/#"]
    with (
        Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe,
        ServerProcess([*PROGRAM, "run", str(path)], cwd=folder) as server,
    ):
        wait_heartbeats(probe, [AIR, INPUTS, WARM, COLD], NodeState.ONLINE)
        yield server, probe


def wait_published(probe: Probe, hadd: str, since: int) -> None:
    """Wait until a node has published a value."""
    probe.wait_message(lambda message: message.topic.startswith(f"/values/basic/{hadd}/"), TIMEOUT, since=since)


FAULTS: dict[str, tuple[dict[str, int | Sequence[int]], str]] = {
    "I2C unplugged": ({"i2c_absent": 1}, AIR),
    "I2C times out": ({"i2c_err": errno.ETIMEDOUT}, AIR),
    "I2C arbitration": ({"i2c_err": errno.EAGAIN}, AIR),
    "I2C busy": ({"i2c_err": errno.EBUSY}, AIR),
    "I2C late": ({"i2c_delay_ms": 5000}, AIR),
    "I2C stuck": ({"i2c_stuck": 1}, AIR),
    "SPI fails": ({"spi_err": errno.EIO}, INPUTS),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_without_a_hand(
    hardware: KernelHardware, broker: Mosquitto, tmp_path: Path, fault: str
) -> None:
    parameters, hit = FAULTS[fault]
    with served(hardware, broker, tmp_path) as (_, probe):
        since = len(probe.messages)
        hardware.set(**parameters)
        wait_heartbeats(probe, [hit], NodeState.OFFLINE, since=since)
        since = len(probe.messages)
        for other in {AIR, INPUTS, COLD} - {hit}:
            wait_published(probe, other, since)
        since = len(probe.messages)
        hardware.reset()
        wait_heartbeats(probe, [hit], NodeState.ONLINE, since=since)
