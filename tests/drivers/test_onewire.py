"""Thermometers on 1-Wire, on the real w1thermsensor and the files of the kernel."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.onewire import Ds18b20, OneWireBus, Thermometers
from janitoo_actors.api import ConfigurationError, HangingError, ManualRuntime, OptionsError, TemporaryError
from onewire_tree import OneWireTree, scratchpad, thermocouple
from running_server import TIMEOUT
from waiting import wait_for

ONE, TWO, OLD, HOT = "28-00000588806a", "28-0000058bfaaa", "10-000802be73fa", "3b-0000001921e8"
NO_MODULE = "W1THERMSENSOR_NO_KERNEL_MODULE"


@pytest.fixture
def tree(tmp_path: Path) -> OneWireTree:
    return OneWireTree(tmp_path / "w1")


def thermometer(tree: OneWireTree, **options: str) -> Ds18b20:
    bus = OneWireBus("rpi1wire", {"rpi1wire_sensors_dir_0": str(tree.folder), "timeout": "0.3"})
    bus.open()
    device = Ds18b20("rpi1wire__x", options)
    device.bus = bus
    return device


def hanging_threads(address: str) -> int:
    return [each.name for each in threading.enumerate()].count(f"reads {address}")


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
        (b"", "does not answer, or with a wrong checksum"),
        (scratchpad(20).splitlines()[0].encode(), "no reading"),
        (b"garbage YES\nzz zz t=1\n", "no reading"),
        (b"\xff\xfe YES\n", "no reading"),
        (scratchpad(85).encode(), f"{ONE}: 85 is what the sensor gives when its power has just come"),
        (scratchpad(-60).encode(), "gives -60 °C: a DS18B20 can measure -55 to 125"),
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


FAMILY = {"10": "DS18S20", "22": "DS1822", "28": "DS18B20", "3b": "DS1825", "42": "DS28EA00"}


@pytest.mark.parametrize("family", FAMILY)
def test_each_family_and_what_it_gives_when_its_power_has_come(tree: OneWireTree, family: str) -> None:
    address = f"{family}-000802be73fa"
    device = thermometer(tree, hexadd_0=address)
    for celsius in (21.5, -10.125, 124.5, 0.75):
        tree.plug(address, celsius)
        assert device.read("temperature") == celsius
    tree.plug(address, 85)
    for _ in range(2):
        with pytest.raises(TemporaryError, match="85 is what the sensor gives when its power has just come"):
            device.read("temperature")
    # A kettle may be as hot, on its way.
    for celsius in (81.0, 85.0, 85.0, 86.0, 85.0):
        tree.plug(address, celsius)
        assert device.read("temperature") == celsius
    tree.plug(address, 126)
    with pytest.raises(TemporaryError, match=f"{address} gives 126 °C: a {FAMILY[family]} can measure -55 to 125"):
        device.read("temperature")


@given(content=st.binary(max_size=120))
@example(content=b"f" * 400 + b" 05 4b 46 7f ff 0c 10 1c t=1\n")
def test_whatever_the_kernel_says_is_a_temperature_or_a_temporary_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tree = OneWireTree(tmp_path_factory.mktemp("w1") / "w1")
    for address in (ONE, OLD, HOT):
        device = thermometer(tree, hexadd_0=address, temperature_retries="0")
        tree.plug(address, 20)
        for text in (content, b"YES\n" + content, scratchpad(20).encode()[:-7] + content):
            tree.say(address, text)
            with contextlib.suppress(TemporaryError):
                assert -270 <= device.read("temperature") <= 1372


def test_what_counts_as_just_powered_can_be_said(tree: OneWireTree) -> None:
    tree.plug(ONE, 85)
    assert thermometer(tree, hexadd_0=ONE, temperature_power_on="").read("temperature") == 85


def test_a_thermocouple(tree: OneWireTree) -> None:
    tree.plug(HOT, 20)
    device = thermometer(tree, hexadd_0=HOT)
    for celsius in (1300.25, -200.5):
        tree.say(HOT, thermocouple(celsius).encode())
        assert device.read("temperature") == celsius
    for faults, said in (
        (1, "is not connected"),
        (6, "ground and is short-circuited to its supply"),
        (8, "has a fault"),
    ):
        tree.say(HOT, thermocouple(0, faults).encode())
        with pytest.raises(TemporaryError, match=f"the thermocouple at {HOT} .*{said}"):
            device.read("temperature")
    tree.say(HOT, thermocouple(1500).encode())
    with pytest.raises(TemporaryError, match="a MAX31850K can measure -270 to 1372"):
        device.read("temperature")


def test_a_sensor_that_may_not_be_read(tree: OneWireTree) -> None:
    tree.plug(ONE, 20)
    file = tree.folder / ONE / "w1_slave"
    file.unlink()
    # As one may be that the kernel has just lost.
    file.mkdir()
    with pytest.raises(TemporaryError, match=f"{ONE} cannot be read: Is a directory"):
        thermometer(tree, hexadd_0=ONE).read("temperature")


def test_a_sensor_that_hangs_is_left_alone_until_it_is_back(tree: OneWireTree) -> None:
    tree.plug(ONE, 20)
    tree.plug(TWO, 30)
    device, other = thermometer(tree, hexadd_0=ONE), thermometer(tree, hexadd_0=TWO)
    tree.hang(ONE)
    # Of the next incarnation of the bus, too.
    for each in (device, device, thermometer(tree, hexadd_0=ONE)):
        with pytest.raises(HangingError, match=f"{ONE} hangs: its read has not come back"):
            each.read("temperature")
        assert other.read("temperature") == 30
        assert hanging_threads(ONE) == 1
    tree.release(ONE, scratchpad(21).encode())
    wait_for(lambda: not hanging_threads(ONE), TIMEOUT, "it is back")
    assert device.read("temperature") == 21


def test_the_library_is_imported_when_the_bus_opens_and_loads_no_module(tmp_path: Path) -> None:
    # In a process of its own, where nothing else has imported it.
    program = f"""
import os, sys
os.system = lambda command: sys.exit("it has run " + command)
from drivers.onewire import OneWireBus
assert "w1thermsensor" not in sys.modules
bus = OneWireBus(options={{"rpi1wire_sensors_dir_0": {str(tmp_path)!r}}})
bus.open()
assert "w1thermsensor" in sys.modules
assert os.environ.get("W1THERMSENSOR_NO_KERNEL_MODULE") == (sys.argv[1:] or [None])[0]
"""
    environment = {key: text for key, text in os.environ.items() if key != NO_MODULE}
    for arguments, more in (((), {}), (("0",), {NO_MODULE: "0"})):
        subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=60, env={**environment, **more})


def test_a_sensor_that_is_not_there(tree: OneWireTree) -> None:
    tree.plug(TWO, 20)
    with pytest.raises(TemporaryError, match=f"{ONE} is not on the bus: is it plugged in. There are: {TWO}"):
        thermometer(tree, hexadd_0=ONE).read("temperature")


def test_no_bus(tmp_path: Path) -> None:
    bus = OneWireBus(options={"rpi1wire_sensors_dir_0": str(tmp_path / "none")})
    with pytest.raises(TemporaryError, match=r"there is no 1-Wire bus .*: enable it with dtoverlay=w1-gpio"):
        bus.open()


@pytest.mark.parametrize("address", ["28", "28-xyz", "00000588806a", "28-00000588806a7", "3a-00000588806a", "../28"])
def test_what_is_no_address(address: str) -> None:
    for component, key in ((Ds18b20, "hexadd_0"), (Thermometers, "temperature_config_0")):
        with pytest.raises(OptionsError, match="expected the address of a sensor, as 28-00000588806a: a family"):
            component(options={key: address})


def test_an_address_in_capitals(tree: OneWireTree) -> None:
    tree.plug(ONE, 20)
    assert thermometer(tree, hexadd_0=f" {ONE.upper()} ").read("temperature") == 20


def test_a_second_address_is_refused(tree: OneWireTree) -> None:
    tree.plug(ONE, 20)
    with pytest.raises(ConfigurationError, match=r"expected hexadd_0 alone, .*rpi1wire\.thermometers has several"):
        thermometer(tree, hexadd_0=ONE, hexadd_1=TWO).read("temperature")


# -- all that there are ----------------------------------------------------------------------------------------------


def all_of(tree: OneWireTree, **options: str) -> tuple[Thermometers, ManualRuntime]:
    bus = OneWireBus("rpi1wire", {"rpi1wire_sensors_dir_0": str(tree.folder)})
    bus.open()
    named = Ds18b20("rpi1wire__named", {"hexadd_0": TWO})
    device = Thermometers("rpi1wire__all", options)
    runtime = ManualRuntime()
    for each in (device, named):
        each.bus = bus
        each.runtime = runtime
        each.open()
    return device, runtime


def configured(runtime: ManualRuntime) -> list[str]:
    kept = runtime.kept.get("rpi1wire__all", {})
    assert list(kept) == [f"temperature_config_{index}" for index in range(len(kept))]
    return list(kept.values())


def test_new_sensors_get_the_next_index(tree: OneWireTree) -> None:
    # That of another component, and what is no thermometer.
    tree.plug(TWO, 20)
    tree.plug("3a-00000588806a", 20)
    device, runtime = all_of(tree)
    runtime.advance(1)
    assert configured(runtime) == []
    assert device.read("temperature") is None
    tree.plug(OLD, 19)
    runtime.advance(10)
    assert configured(runtime) == [OLD]
    # Before the bus has been restarted.
    tree.plug(HOT, 20)
    tree.plug(ONE, 21)
    runtime.advance(10)
    assert configured(runtime) == [OLD, ONE, HOT]
    runtime.kept.clear()
    runtime.advance(100)
    assert runtime.kept == {}
    device.close()


def test_the_bus_tells_at_once_which_sensors_there_are(tree: OneWireTree) -> None:
    device, runtime = all_of(tree)
    device.bus.runtime = runtime
    assert device.bus.read("sensors") == ""
    runtime.advance(30)
    assert runtime.changes == []
    tree.plug(ONE, 21)
    runtime.advance(10)
    assert runtime.changes == [("rpi1wire", "sensors")]
    assert device.bus.read("sensors") == ONE


def test_those_of_the_file_stay_where_they_are(tree: OneWireTree) -> None:
    tree.plug(ONE, 21)
    tree.plug(OLD, 19)
    config = {"temperature_config_0": HOT, "temperature_config_1": "", "temperature_config_2": ONE}
    device, runtime = all_of(tree, **config)
    runtime.advance(1)
    # The empty place is the first that is free.
    assert configured(runtime) == [HOT, OLD, ONE]
    assert device.read("temperature", 2) == 21
    with pytest.raises(TemporaryError, match=f"{HOT} is not on the bus: is it plugged in. There are: {OLD}, {ONE}"):
        device.read("temperature", 0)


def test_only_those_of_the_file(tree: OneWireTree) -> None:
    tree.plug(ONE, 21)
    _, runtime = all_of(tree, search="0")
    runtime.advance(100)
    assert runtime.kept == {}


def test_what_is_found_cannot_be_entered(tree: OneWireTree) -> None:
    class ReadOnly(ManualRuntime):
        def keep(self, node: str, options: Mapping[str, str]) -> None:
            raise TemporaryError(f"{node} was not written with {len(options)} options: the disk is full")

    tree.plug(ONE, 21)
    device, _ = all_of(tree)
    device.runtime = ReadOnly()
    with pytest.raises(TemporaryError, match="the disk is full"):
        device.look()
    with pytest.raises(TemporaryError, match=f"{ONE} cannot be entered: rpi1wire__all was not written"):
        device.read("temperature")
    tree.unplug(ONE)
    device.look()
    assert device.read("temperature") is None
