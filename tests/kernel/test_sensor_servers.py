"""A server on thermometers, a DHT and hwmon of a real kernel: what fails is told, the rest goes on, and all mends."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers import Mosquitto
from janitoo_actors.protocol.messages import NodeState
from kernel_hardware import OLD, ONE, TWO, KernelHardware
from mqtt_probe import Message, Probe
from running_server import PROGRAM, ServerProcess, system_section, wait_heartbeats
from waiting import wait_for

pytestmark = pytest.mark.kernel
TIMEOUT = 60.0

WARM, COLD, AGED, DHT, BOARD = "0163/0001", "0163/0002", "0163/0003", "0165/0001", "0166/0001"
CONFIGURATION = f"""
[rpi1wire]
hadd = 0163/0000
components.warm = rpi1wire.ds18b20
components.cold = rpi1wire.ds18b20
components.others = rpi1wire.thermometers

[rpi1wire__warm]
hadd = {WARM}
hexadd_0 = {ONE}
temperature_poll_0 = 0.5
temperature_retries = 0

[rpi1wire__cold]
hadd = {COLD}
hexadd_0 = {TWO}
temperature_poll_0 = 0.5
temperature_retries = 0

[rpi1wire__others]
hadd = {AGED}
temperature_poll_0 = 0.5
temperature_retries = 0
config_timeout = 0
search = 0.2

[rpibasic]
hadd = 0165/0000
components.ambiance = rpibasic.dht

[rpibasic__ambiance]
hadd = {DHT}
pin_0 = 4
sensor_0 = DHT22
temperature_poll_0 = 0.1
humidity_poll_0 = 0.1

[hostsensor]
hadd = 0166/0000
components.board = hostsensor.lmsensor

[hostsensor__board]
hadd = {BOARD}
temperature_config_0 = lm75-i2c-0-48/temp1
temperature_poll_0 = 0.1
voltage_poll_0 = 0
fan_poll_0 = 0
"""


@contextmanager
def served(broker: Mosquitto, folder: Path) -> Iterator[tuple[ServerProcess, Probe]]:
    """A server with all of it, online, that has found the third thermometer."""
    wait_for(lambda: all(Path("/sys/bus/w1/devices", each).exists() for each in (ONE, TWO, OLD)), TIMEOUT, "sensors")
    path = folder / "my.conf"
    # A sensor of 12 bits takes 0.75 s to measure, and the bus has three.
    path.write_text(system_section(broker, "read_timeout = 6", "max_backoff = 0.2") + CONFIGURATION)
    topics = ["/dhcp/heartbeat/#", "/values/#"]
    with (
        Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe,
        ServerProcess([*PROGRAM, "run", str(path)], cwd=folder) as server,
    ):
        for hadd in (WARM, COLD, AGED, DHT, BOARD):
            wait_published(probe, hadd, 0)
        assert f"temperature_config_0 = {OLD}\n" in path.read_text()
        wait_heartbeats(probe, [WARM, COLD, AGED, DHT, BOARD], NodeState.ONLINE)
        yield server, probe


def wait_published(probe: Probe, hadd: str, since: int) -> None:
    """Wait until a node has published a temperature that is known."""

    def published(message: Message) -> bool:
        if not message.topic.endswith(f"/{hadd}/temperature"):
            return False
        value = message.value
        return (value["data"] if "data" in value else value["0"]["data"]) is not None

    probe.wait_message(published, TIMEOUT, since=since)


def unplug(hardware: KernelHardware) -> None:
    """Take one of each kind away."""
    hardware.set(w1_absent=(1, 0, 0), dht_err=errno.ETIMEDOUT)
    hardware.unplug_thermometer()


Fault = Callable[[KernelHardware], None]
# Several at once, of different nodes: each start of a server takes its time.
FAULTS: dict[str, tuple[Fault, dict[str, str]]] = {
    "wrong checksums": (
        lambda it: it.set(w1_bad_crc=(1, 0, 0), dht_err=errno.EIO),
        {
            WARM: f"{ONE} does not answer, or with a wrong checksum",
            DHT: "the DHT22 at pin 4 answers with a wrong checksum",
        },
    ),
    # The kernel keeps the folder of a thermometer for 100 s.
    "unplugged": (
        unplug,
        {
            WARM: f"{ONE} does not answer",
            DHT: "the DHT22 at pin 4 does not answer: is it powered",
            BOARD: "lm75-i2c-0-48/temp1",
        },
    ),
    "power-on": (
        lambda it: it.set(w1_sixteenths=(85 * 16, 320, 85 * 16), dht_absent=1),
        {
            WARM: f"{ONE}: 85 is what the sensor gives",
            AGED: f"{OLD}: 85 is what the sensor gives",
            DHT: "the kernel has no DHT: enable it with dtoverlay=dht11,gpiopin=4",
        },
    ),
    # The kernel has the whole bus wait for the one that hangs.
    "stuck": (
        lambda it: it.set(w1_stuck=(1, 0, 0)),
        {WARM: f"{ONE} hangs", COLD: f"{TWO} hangs", AGED: f"{OLD} hangs"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_without_a_hand(
    hardware: KernelHardware, broker: Mosquitto, tmp_path: Path, fault: str
) -> None:
    begin, hit = FAULTS[fault]
    with served(broker, tmp_path) as (server, probe):
        since = len(probe.messages)
        begin(hardware)
        wait_heartbeats(probe, hit, NodeState.OFFLINE, since=since)
        for why in hit.values():
            server.wait_err(why)
        since = len(probe.messages)
        for other in {WARM, COLD, AGED, DHT, BOARD} - {*hit}:
            wait_published(probe, other, since)
        since = len(probe.messages)
        hardware.reset()
        wait_heartbeats(probe, hit, NodeState.ONLINE, since=since)
        for each in hit:
            wait_published(probe, each, since)
        # No bus was replaced for it.
        assert "child_terminated" not in server.err, server.both
