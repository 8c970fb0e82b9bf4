"""Thermometers on 1-Wire, on the real w1thermsensor and the files of the kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokers import Mosquitto
from drivers.onewire import Ds18b20, OneWireBus
from janitoo_actors.api import ConfigurationError, OptionsError, TemporaryError
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from onewire_tree import OneWireTree, scratchpad
from running_server import TIMEOUT, Requester, running, system_section, wait_heartbeats
from waiting import wait_for

ONE, TWO = "28-00000588806a", "28-0000058bfaaa"


@pytest.fixture
def tree(tmp_path: Path) -> OneWireTree:
    return OneWireTree(tmp_path / "w1")


def thermometer(tree: OneWireTree, **options: str) -> Ds18b20:
    bus = OneWireBus("rpi1wire", {"rpi1wire_sensors_dir_0": str(tree.folder)})
    bus.open()
    device = Ds18b20("rpi1wire__x", options)
    device.bus = bus
    return device


@pytest.mark.parametrize("celsius", [23.125, -10.125, 0.0, 124.5])
def test_a_reading(tree: OneWireTree, celsius: float) -> None:
    tree.plug(ONE, celsius)
    assert thermometer(tree, hexadd_0=ONE).read("temperature") == pytest.approx(celsius, abs=0.001)


def test_the_only_sensor_needs_no_address(tree: OneWireTree) -> None:
    tree.plug(TWO, 20)
    device = thermometer(tree)
    assert device.read("temperature") == 20
    assert device.bus.read("sensors") == TWO
    tree.plug(ONE, 21)
    with pytest.raises(ConfigurationError, match=f"several sensors: write hexadd_0 = one of {ONE}, {TWO}"):
        device.read("temperature")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (scratchpad(20, is_sound=False).encode(), "wrong checksum"),
        (b"00 00 00 00 00 00 00 00 00 : crc=00 YES\n00 00 00 00 00 00 00 00 00 t=0\n", "wrong checksum"),
        (b"ff ff ff ff ff ff ff ff ff : crc=c9 NO\nff ff ff ff ff ff ff ff ff t=-62\n", "wrong checksum"),
        (b"", "wrong checksum"),
        (scratchpad(20).splitlines()[0].encode(), "no reading"),
        (b"garbage YES\nzz zz t=1\n", "no reading"),
        (b"\xff\xfe YES\n", "no reading"),
        (scratchpad(85).encode(), "85 °C, as it does when its power has just come"),
        (scratchpad(-60).encode(), "-60 cannot be: expected -55 or more, 125 or less"),
    ],
)
def test_what_cannot_be_believed(tree: OneWireTree, data: bytes, expected: str) -> None:
    tree.plug(ONE, 20)
    device = thermometer(tree, hexadd_0=ONE)
    tree.say(ONE, data)
    with pytest.raises(TemporaryError, match=expected):
        device.read("temperature")
    tree.plug(ONE, 21)
    assert device.read("temperature") == 21


def test_a_kettle_may_be_at_85_degrees(tree: OneWireTree) -> None:
    device = thermometer(tree, hexadd_0=ONE)
    for celsius in (81.0, 85.0, 86.0):
        tree.plug(ONE, celsius)
        assert device.read("temperature") == celsius


def test_a_sensor_that_is_not_there(tree: OneWireTree) -> None:
    tree.plug(TWO, 20)
    with pytest.raises(TemporaryError, match=f"{ONE} is not on the bus: is it plugged in. There are: {TWO}"):
        thermometer(tree, hexadd_0=ONE).read("temperature")


def test_no_bus(tmp_path: Path) -> None:
    bus = OneWireBus(options={"rpi1wire_sensors_dir_0": str(tmp_path / "none")})
    with pytest.raises(TemporaryError, match=r"there is no 1-Wire bus .*: enable it with dtoverlay=w1-gpio"):
        bus.open()


@pytest.mark.parametrize("address", ["28", "28-xyz", "00000588806a", "28-00000588806a7"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(OptionsError, match="expected the address of a sensor, as 28-00000588806a"):
        Ds18b20(options={"hexadd_0": address})


# -- a server --------------------------------------------------------------------------------------------------------


def configuration(tree: OneWireTree, broker: Mosquitto) -> str:
    lines = ["[rpi1wire]", "hadd = 0163/0000", f"rpi1wire_sensors_dir_0 = {tree.folder}", "sensors_poll_0 = 0.05"]
    lines += ["components.t1 = rpi1wire.ds18b20", "components.t2 = rpi1wire.ds18b20"]
    for number, address in enumerate((ONE, TWO), start=1):
        lines += [f"[rpi1wire__t{number}]", f"hadd = 0163/000{number}", f"hexadd_0 = {address}"]
        lines += ["temperature_poll_0 = 0.05"]
    return system_section(broker, "read_timeout = 0.5", "max_backoff = 0.2") + "\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("fault", ["unplugged", "checksum", "power-on", "hangs", "no bus"])
def test_a_fault_is_mended_without_a_hand(tree: OneWireTree, broker: Mosquitto, tmp_path: Path, fault: str) -> None:
    tree.plug(ONE, 20)
    tree.plug(TWO, 30)
    path = tmp_path / "my.conf"
    path.write_text(configuration(tree, broker))
    topics = ["/dhcp/heartbeat/#", "/values/#", "/nodes/9997/0001/reply"]
    with (
        Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe,
        running(path, Registry.installed()) as server,
    ):
        since = len(probe.messages)
        fifo = tree.folder / ONE / "w1_slave"
        match fault:
            case "unplugged":
                tree.unplug(ONE)
            case "checksum":
                tree.say(ONE, scratchpad(20, is_sound=False).encode())
            case "power-on":
                tree.say(ONE, scratchpad(85).encode())
            case "hangs":
                # Whoever opens it for reading waits for a writer.
                fifo.unlink()
                os.mkfifo(fifo)
            case "no bus":
                tree.vanish()
        everybody = ["0163/0000", "0163/0002"] if fault == "no bus" else []
        wait_heartbeats(probe, ["0163/0001", *everybody], NodeState.OFFLINE, since=since)
        if fault not in {"hangs", "no bus"}:
            # The other one goes on.
            air = Requester(probe)
            assert air.read("0163/0002", "temperature", Genre.BASIC, 49)["data"] == 30
            assert next(node for node in server.nodes if node.uuid == "rpi1wire__t1").reason
        since = len(probe.messages)
        match fault:
            case "hangs":
                fifo.unlink()
            case "no bus":
                tree.come_back()
        tree.plug(ONE, 22)
        wait_heartbeats(probe, ["0163/0001", *everybody], NodeState.ONLINE, since=since)
        wait_for(lambda: set(server.states().values()) == {"ONLINE"}, TIMEOUT, lambda: str(server.states()))
