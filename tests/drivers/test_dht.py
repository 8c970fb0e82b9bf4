"""DHT sensors, by the files of the kernel's IIO devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.dht import BasicBus, Dht
from janitoo_actors.api import ConfigurationError, OptionsError, TemporaryError


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
        (device / "name").write_text("dht11@0\n")
        (device / "in_temp_input").write_text(f"{celsius * 1000:.0f}\n")
        (device / "in_humidityrelative_input").write_text(f"{percent * 1000:.0f}\n")
        if pin is not None and not (device / "of_node").exists():
            node = self._tree / f"dht11@{pin:x}"
            node.mkdir(parents=True, exist_ok=True)
            (device / "of_node").symlink_to(node)
        return device


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


@pytest.mark.parametrize(("sensor", "celsius"), [("DHT11", 61), ("DHT11", -25), ("DHT22", 81), ("AM2302", -41)])
def test_what_no_such_sensor_can_measure(iio: Iio, sensor: str, celsius: float) -> None:
    iio.sensor(1, 4, celsius)
    with pytest.raises(TemporaryError, match=f"{celsius} is nothing that a {sensor} can measure"):
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
