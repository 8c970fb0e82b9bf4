"""DHT sensors, by the files of the kernel's IIO devices."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from drivers.dht import BasicBus, Dht
from janitoo_actors.api import ConfigurationError, OptionsError, TemporaryError
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from resilience import events, wait_value
from running_server import TIMEOUT, Requester, running, system_section, wait_heartbeats
from waiting import wait_for


class Iio:
    """IIO devices, as the kernel shows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "iio"
        self.folder.mkdir()
        self._tree = folder / "devicetree"

    def sensor(self, number: int, pin: int | None, celsius: float = 21.5, percent: float = 45.0) -> Path:
        """Have a sensor, at a pin that the device tree says, or does not."""
        device = self.folder / f"iio:device{number}"
        device.mkdir(exist_ok=True)
        if not (device / "name").exists():
            (device / "name").write_text("dht11@0\n")
        self.say("in_temp_input", f"{celsius * 1000:.0f}\n", number)
        self.say("in_humidityrelative_input", f"{percent * 1000:.0f}\n", number)
        if pin is not None and not (device / "of_node").exists():
            node = self._tree / f"dht11@{pin:x}"
            node.mkdir(parents=True, exist_ok=True)
            (device / "of_node").symlink_to(node)
        return device

    def say(self, file: str, text: str, number: int = 1) -> None:
        """Have it say something. At once, as somebody may be reading it."""
        partial = self.folder / ".new"
        partial.write_text(text)
        partial.rename(self.folder / f"iio:device{number}" / file)

    def checksum(self, number: int = 1) -> None:
        """Have its reads fail with EIO, as after a wrong checksum: with what is not there of this process's memory."""
        (self.folder / ".new").symlink_to("/proc/self/mem")
        (self.folder / ".new").rename(self.folder / f"iio:device{number}" / "in_temp_input")

    def hang(self, number: int = 1) -> None:
        """Have whoever reads its temperature hang, until `release`."""
        os.mkfifo(self.folder / ".new")
        (self.folder / ".new").rename(self.folder / f"iio:device{number}" / "in_temp_input")

    def release(self, number: int = 1) -> None:
        """Let go who hangs."""
        with (self.folder / f"iio:device{number}" / "in_temp_input").open("r+b", buffering=0) as fifo:
            self.say("in_temp_input", "22000\n", number)
            fifo.write(b"22000\n")

    def unplug(self, number: int = 1) -> None:
        """Take it from the device tree."""
        shutil.rmtree(self.folder / f"iio:device{number}")


@pytest.fixture
def iio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iio:
    made = Iio(tmp_path)
    monkeypatch.setattr(Dht, "iio", made.folder)
    # Another kind of device, which is there on many machines.
    (made.folder / "iio:device0").mkdir()
    (made.folder / "iio:device0" / "name").write_text("adc\n")
    return made


def dht(**options: str) -> Dht:
    device = Dht("rpibasic__x", options)
    device.bus = BasicBus()
    return device


def test_temperature_and_humidity(iio: Iio) -> None:
    iio.sensor(1, 17, -3.2, 80.1)
    iio.sensor(2, 4)
    device = dht(pin_0="17", sensor_0="AM2302")
    assert (device.read("temperature"), device.read("humidity")) == (-3.2, 80.1)
    assert dht().read("temperature") == 21.5


def test_the_only_one_whose_pin_the_kernel_does_not_say(iio: Iio) -> None:
    iio.sensor(1, None)
    assert dht(pin_0="22").read("humidity") == 45


def test_the_folder_may_be_said(iio: Iio) -> None:
    iio.sensor(1, 17)
    other = iio.sensor(2, 18, 30)
    assert dht(pin_0="4", device=str(other)).read("temperature") == 30


def test_no_sensor_and_another_pin(iio: Iio) -> None:
    with pytest.raises(TemporaryError, match=r"no DHT: enable it with dtoverlay=dht11,gpiopin=4 in /boot"):
        dht().read("temperature")
    iio.sensor(1, 17)
    with pytest.raises(ConfigurationError, match=r"no DHT at pin 4; there are: iio:device1 at pin 17 \("):
        dht().read("temperature")
    # It comes without a restart.
    iio.sensor(2, 4)
    assert dht().read("temperature") == 21.5


def test_it_does_not_answer(iio: Iio) -> None:
    device = iio.sensor(1, 4)
    (device / "in_temp_input").unlink()
    with pytest.raises(TemporaryError, match=r"the DHT22 at pin 4 does not answer \(No such file or dir"):
        dht().read("temperature")
    (device / "in_temp_input").write_text("x")
    with pytest.raises(TemporaryError, match="what it says is no number"):
        dht().read("temperature")


def test_its_checksum_is_wrong(iio: Iio) -> None:
    iio.sensor(1, 4)
    iio.checksum()
    with pytest.raises(TemporaryError, match="the AM2302 at pin 4 answers with a wrong checksum: check its wires"):
        dht(sensor_0="AM2302").read("temperature")
    assert dht().read("humidity") == 45


def test_the_kernel_has_waited_for_it(iio: Iio, monkeypatch: pytest.MonkeyPatch) -> None:
    def times_out(_path: Path) -> str:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    # No file gives this; tests/kernel has it from a kernel.
    iio.sensor(1, 4)
    monkeypatch.setattr("drivers.dht._text", times_out)
    with pytest.raises(TemporaryError, match="the DHT11 at pin 4 does not answer: is it powered, wired to this pin"):
        dht(sensor_0="DHT11").read("humidity")


def test_a_folder_that_is_not_there(iio: Iio) -> None:
    with pytest.raises(TemporaryError, match=r"there is no /.*/iio/none: enable it with dtoverlay=dht11,gpiopin=17 in"):
        dht(device=str(iio.folder / "none"), pin_0="17").read("temperature")


@pytest.mark.parametrize(("sensor", "celsius"), [("DHT11", 61), ("DHT11", -25), ("DHT22", 81), ("AM2302", -41)])
def test_what_no_such_sensor_can_measure(iio: Iio, sensor: str, celsius: float) -> None:
    iio.sensor(1, 4, celsius)
    with pytest.raises(TemporaryError, match=f"the {sensor} at pin 4 gives {celsius}, and a {sensor} can measure"):
        dht(sensor_0=sensor).read("temperature")


def test_an_absurd_value_with_a_good_checksum(iio: Iio) -> None:
    device = dht()
    iio.sensor(1, 4, 21.5)
    assert device.read("temperature") == 21.5
    iio.sensor(1, 4, 54.0)
    with pytest.raises(TemporaryError, match=r"54 is further than temperature_step = 10 from 21\.5"):
        device.read("temperature")
    iio.sensor(1, 4, 21.6)
    assert device.read("temperature") == 21.6


def test_what_is_refused() -> None:
    with pytest.raises(OptionsError, match="sensor_0 = DHT33: expected one of DHT11, DHT22, AM2302"):
        dht(sensor_0="DHT33")


# -- a server --------------------------------------------------------------------------------------------------------

FIRST, SECOND = "0165/0001", "0165/0002"
FAULTS: dict[str, tuple[Callable[[Iio], None], str]] = {
    "checksum": (Iio.checksum, "the DHT22 at pin 4 answers with a wrong checksum"),
    "silent": (
        lambda iio: (iio.folder / "iio:device1/in_temp_input").unlink(),
        "the DHT22 at pin 4 does not answer (No",
    ),
    "garbage": (
        lambda iio: iio.say("in_temp_input", "x"),
        "the DHT22 at pin 4 does not answer (what it says is no num",
    ),
    "absurd": (lambda iio: iio.say("in_temp_input", "99000"), "gives 99, and a DHT22 can measure -40 to 80"),
    "hangs": (Iio.hang, "the DHT22 at pin 4 hangs: its read has not come back"),
    "unplugged": (Iio.unplug, "the kernel has no DHT at pin 4; there are: iio:device2 at pin 17"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_without_a_hand(
    iio: Iio, broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    begin, why = FAULTS[fault]
    monkeypatch.setattr("drivers.dht._TIMEOUT", 0.3)
    iio.sensor(1, 4, 21)
    iio.sensor(2, 17, 30)
    path = tmp_path / "my.conf"
    path.write_text(
        f"""{system_section(broker, "read_timeout = 2", "max_backoff = 0.2")}
[rpibasic]
hadd = 0165/0000
components.first = rpibasic.dht
components.second = rpibasic.dht
[rpibasic__first]
hadd = {FIRST}
pin_0 = 4
sensor_0 = DHT22
temperature_poll_0 = 0.05
humidity_poll_0 = 0.05
[rpibasic__second]
hadd = {SECOND}
pin_0 = 17
sensor_0 = AM2302
temperature_poll_0 = 0.05
humidity_poll_0 = 0.05
"""
    )
    with (
        Probe(broker.host, broker.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe,
        running(path, Registry.installed()) as server,
        capture_logs() as log,
    ):
        air = Requester(probe)
        before = server.incarnations()
        since = len(probe.messages)
        begin(iio)
        wait_heartbeats(probe, [FIRST], NodeState.OFFLINE, since=since)
        wait_for(lambda: events(log, "node_offline"), TIMEOUT, "the log says it")
        assert [why in each["reason"] for each in events(log, "node_offline")] == [True], log
        for celsius in (31, 32, 33):
            since = len(probe.messages)
            iio.sensor(2, 17, celsius)
            wait_value(air, celsius, hadd=SECOND, since=since)
        if fault != "unplugged":
            # Its other value too.
            iio.say("in_humidityrelative_input", "55000")
            wait_value(air, 55, hadd=FIRST, uuid="humidity", since=since)
        assert server.states() == {"0165/0000": "ONLINE", FIRST: "OFFLINE", SECOND: "ONLINE"}
        since = len(probe.messages)
        if fault == "hangs":
            iio.release()
        else:
            iio.sensor(1, 4, 22)
        wait_value(air, 22, hadd=FIRST, since=since)
        server.wait_online()
        assert server.incarnations() == before
    wait_for(lambda: not any(each.name.startswith("reads ") for each in threading.enumerate()), TIMEOUT, "no thread")
