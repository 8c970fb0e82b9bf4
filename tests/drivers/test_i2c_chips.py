"""Chips on an I2C bus, on the real smbus2 and the ioctls of i2c-dev."""

from __future__ import annotations

import errno
import struct
from pathlib import Path
from typing import Any

import pytest

from drivers.i2c import Ads1115, Bme280, Pca9685
from drivers.i2c.bosch import Calibration180, Trimming
from fake_buses import PRESSURE, TEMPERATURE, TRIMMING, FakeBuses, bmp280
from janitoo_actors.api import OptionsError

PROGRAM = """
import json
from drivers.i2c import *
from janitoo_actors.errors import said
from janitoo_actors.api import Instance

bus = I2cBus()
bus.open()

def made(kind, **options):
    device = kind("rpii2c__x", {key: str(value) for key, value in options.items()})
    device.bus = bus
    return device

def tried(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = []
"""
CHIP = "the chip at 0x76 of the I2C adapter 1"
# That of BMP180, figure 4.
CALIBRATION = struct.pack(">hhhHHHhhhhh", 408, -72, -14383, 32741, 32757, 23153, 6190, 4, -32768, -8711, 2868)


def run(buses: FakeBuses, script: str) -> Any:
    return buses.run(f"{PROGRAM}{script}\nprint(json.dumps(found))")


def test_the_data_sheet_of_bmp280() -> None:
    trimming = Trimming.read(TRIMMING)
    fine = trimming.fine(TEMPERATURE)
    assert fine / 5120 == pytest.approx(25.08, abs=0.005)
    assert trimming.pressure(PRESSURE, fine) == pytest.approx(100653.27, abs=0.5)


def test_the_humidity_of_bme280() -> None:
    # H1 to H6 of a chip: 75, 362, 0, 321, 50, 30. H4 and H5 share a byte: 0x14, 0x21, 0x03.
    humid = struct.pack("<hBbBbb", 362, 0, 321 >> 4, 321 & 0x0F | (50 & 0x0F) << 4, 50 >> 4, 30)
    trimming = Trimming.read(TRIMMING, humid)
    assert trimming.h == (75, 362, 0, 321, 50, 30)
    fine = trimming.fine(TEMPERATURE)
    # More of it is more, and it stays within what can be.
    found = [trimming.humidity(raw, fine) for raw in (0, 20_000, 25_000, 30_000, 35_000, 65_535)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 100)
    assert 20 < found[3] < 80


def test_negative_h4_and_h5_keep_their_signs() -> None:
    humid = struct.pack("<hBbBbb", 362, 0, -321 >> 4, -321 & 0x0F | (-50 & 0x0F) << 4, -50 >> 4, -30)
    assert Trimming.read(TRIMMING, humid).h[3:] == (-321, -50, -30)


def test_what_is_refused_is_measured_again(buses: FakeBuses) -> None:
    bmp280(buses)
    (count,) = run(
        buses,
        """
one = made(Bmp280, temperature_max=20, temperature_retries=2)
measure, times = one._measure, []
one._measure = lambda: (times.append(1), measure())[1]
tried(one.read, "temperature")
found.append(len(times))
""",
    )
    assert count == 3


@pytest.mark.parametrize("skipped", ["pressure", "humidity"])
def test_what_has_not_been_measured_is_no_reading(buses: FakeBuses, skipped: str) -> None:
    pressure = 0x80000 if skipped == "pressure" else PRESSURE
    humidity = b"\x80\x00" if skipped == "humidity" else b"\x75\x30"
    data = bytes((pressure >> 12, pressure >> 4 & 0xFF, (pressure & 0xF) << 4, 0x7E, 0xED, 0x00)) + humidity
    buses.chip(0x76, {0xD0: b"\x60", 0x88: TRIMMING, 0xE1: b"\x6a\x01\x00\x14\x21\x03\x1e", 0xF7: data})
    (said,) = run(buses, f'found.append(tried(made(Bme280).read, "{skipped}"))')
    assert said == "TemporaryError: the chip has not measured: it may have lost its power for a moment"


def test_the_data_sheet_of_bmp180() -> None:
    calibration = Calibration180.read(CALIBRATION)
    b5 = calibration.b5(27898)
    assert (b5 + 8 >> 4) / 10 == 15.0
    assert calibration.pressure(23843, b5, 0) == 69964


def test_bmp280_and_bmp180(buses: FakeBuses) -> None:
    bmp280(buses)
    # Both measurements are read from the same place: what is there is the temperature.
    buses.chip(0x77, {0xD0: b"\x55", 0xAA: CALIBRATION, 0xF6: (27898).to_bytes(2, "big") + b"\0"})
    found = run(
        buses,
        """
one, two = made(Bmp280), made(Bmp180)
found += [one.read("temperature"), one.read("pressure"), two.read("temperature")]
""",
    )
    assert found == [pytest.approx(25.08, abs=0.01), pytest.approx(100653, abs=1), 15.0]
    # In forced mode it has been asked to measure.
    assert buses.registers(0x76, 0xF4, 1) == b"\x25"


def test_another_chip_than_configured_is_named(buses: FakeBuses) -> None:
    bmp280(buses)
    (said,) = run(buses, 'found.append(tried(made(Bme280).read, "humidity"))')
    assert said == "ConfigurationError: there is a BMP280 at 0x76, and no BME280: configure that one"


def test_a_chip_without_power_for_a_moment_is_set_up_again(buses: FakeBuses) -> None:
    bmp280(buses)
    found = run(
        buses,
        """
import os
one = made(Bmp280)
found.append(one.read("temperature"))
file = os.path.join(os.environ["FAKEBUS_DIR"], "i2c-1-76.reg")
data = open(file, "rb").read()
os.unlink(file)
one._sample = None
found.append(tried(one.read, "temperature"))
open(file, "wb").write(data)
found.append(one.read("temperature"))
""",
    )
    assert found[0] == found[2]
    assert found[1] == f"TemporaryError: {CHIP} does not answer: is it wired, powered, and at this address?"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.ETIMEDOUT, f"TemporaryError: {CHIP} holds the bus for too long (timeout)"),
        (errno.EBUSY, f"TemporaryError: {CHIP} is busy: a driver of the kernel has it"),
        (errno.EIO, f"TemporaryError: {CHIP}: Input/output error"),
        (errno.ENODEV, "BusLostError: the I2C adapter 1 is gone: No such device"),
    ],
)
def test_what_an_error_means(buses: FakeBuses, error: int, said: str) -> None:
    bmp280(buses)
    buses.fail("i2c-1-76", error)
    assert run(buses, 'found.append(tried(made(Bmp280).read, "temperature"))') == [said]


def test_the_adapter_is_opened_anew_where_chips_are_silent(buses: FakeBuses) -> None:
    buses.adapter()
    found = run(
        buses,
        """
one = made(AnyChip, address=0x20, value_retries=0)
for _ in range(4):
    before = bus._adapter
    tried(one.read, "value")
    found.append(bus._adapter is before)
""",
    )
    assert found == [True, True, False, False]


def test_a_silent_chip_has_the_adapter_opened_beside_a_sound_one(buses: FakeBuses) -> None:
    buses.words(0x48, {0: 0x4000})
    found = run(
        buses,
        """
one, two = made(AnyChip, address=0x20, value_retries=0), made(Ads1115)
before = bus._adapter
for _ in range(3):
    tried(one.read, "value")
    found.append(two.read("voltage"))
found.append(bus._adapter is before)
""",
    )
    assert found == [2.048, 2.048, 2.048, False]


def test_no_adapter(buses: FakeBuses) -> None:
    buses.adapter(0)
    said = buses.run(
        """
import json
from drivers.i2c import I2cBus
from janitoo_actors.errors import said
try:
    I2cBus().open()
except Exception as error:
    print(json.dumps(f"{type(error).__name__}: {said(error)}"))
"""
    )
    assert said.startswith("TemporaryError: there is no /dev/i2c-1: enable it with dtparam=i2c_arm=on")


def test_a_chip_that_the_kernel_has(buses: FakeBuses, tmp_path: Path) -> None:
    bmp280(buses)
    device = tmp_path / "1-0076"
    device.mkdir()
    (tmp_path / "drivers" / "bmp280").mkdir(parents=True)
    (device / "driver").symlink_to(tmp_path / "drivers" / "bmp280")
    (said,) = run(
        buses,
        f"""
from pathlib import Path
I2cBus.sysfs = Path({str(tmp_path)!r})
found.append(tried(made(Bmp280).read, "temperature"))
""",
    )
    assert said == (
        "ConfigurationError: the kernel's driver bmp280 has the chip at 0x76 of the I2C adapter 1: "
        "take it from there: echo 1-0076 > /sys/bus/i2c/drivers/bmp280/unbind"
    )


def test_ads1115(buses: FakeBuses) -> None:
    # Half of the range; the chip says at once that it is done.
    buses.words(0x48, {0: 0x4000})
    assert run(buses, 'found.append(made(Ads1115, range="2.048", voltage_config_0="2-3").read("voltage"))') == [1.024]
    assert buses.word(0x48, 1) == 0b1_011_010_1_100_00011


@pytest.mark.parametrize("raw", [0x7FFF, -0x8000])
def test_ads1115_out_of_its_range(buses: FakeBuses, raw: int) -> None:
    buses.words(0x48, {0: raw})
    (said,) = run(buses, 'found.append(tried(made(Ads1115, range="0.256", voltage_config_0=0).read, "voltage"))')
    assert said == "TemporaryError: the voltage is out of the range of 0.256 V: choose a larger range"


@pytest.mark.parametrize(("shunt", "amperes"), [(2000, 0.2), (-1000, -0.1)])
def test_ina219(buses: FakeBuses, shunt: int, amperes: float) -> None:
    # 12 V; and 20 mV or -10 mV at 0.1 ohms.
    buses.words(0x40, {1: shunt, 2: 3000 << 3 | 2})
    found = run(buses, 'one = made(Ina219); found += [one.read("voltage"), one.read("current"), one.read("power")]')
    assert found == pytest.approx([12, amperes, 12 * amperes])
    assert buses.word(0x40, 0) == 0x399F


@pytest.mark.parametrize(
    ("words", "value", "expected"),
    [
        ({2: 3}, "voltage", "out of its range"),
        ({2: 0}, "voltage", "has not measured yet"),
        ({1: 0x7FFF, 2: 10}, "current", "choose a smaller shunt"),
    ],
)
def test_ina219_out_of_its_range(buses: FakeBuses, words: dict[int, int], value: str, expected: str) -> None:
    buses.words(0x40, words)
    (said,) = run(buses, f'found.append(tried(made(Ina219).read, "{value}"))')
    assert said.startswith("TemporaryError: ")
    assert expected in said


def test_pca9685_keeps_its_outputs_or_puts_them_off(buses: FakeBuses) -> None:
    buses.chip(0x41, {0x00: b"\x11"})
    found = run(
        buses,
        """
one = made(Pca9685, address=0x41, frequency=50, duty_config_0=3, duty_config_1=15)
one.write("duty", 25)
one.write("duty", 100, 1)
found += [one.read("duty"), one.read("duty", 1)]
one.close()
found += [one.read("duty"), one.read("duty", 1)]
one.write("duty", 0)
found.append(one.read("duty"))
off = made(Pca9685, address=0x41, frequency=50, on_exit="off")
off.ready()
off.close()
found += [list(bus.read_register(0x41, 0xFA, 4)), bus.read_register(0x41, 0xFE, 1)[0]]
""",
    )
    assert found == [25, 100, 25, 100, 0, [0, 0, 0, 0x10], 121]


def test_pca9685_that_has_lost_its_power_is_set_up_again(buses: FakeBuses) -> None:
    buses.chip(0x40, {0x00: b"\x11", 0xFE: b"\x1e"})
    found = run(
        buses,
        """
one = made(Pca9685, frequency=50)
one.write("duty", 25)
# As after its reset: asleep, its frequency and its outputs gone.
bus.write_register(0x40, 0x00, [0x11])
bus.write_register(0x40, 0xFE, [0x1E])
bus.write_register(0x40, 0x06, [0, 0, 0, 0x10])
found.append(one.read("duty"))
one.write("duty", 50)
found += [one.read("duty"), bus.read_register(0x40, 0x00, 1)[0] & 0x10, bus.read_register(0x40, 0xFE, 1)[0]]
""",
    )
    assert found == [0, 50, 0, 121]


def test_any_chip_by_its_description(buses: FakeBuses) -> None:
    buses.chip(0x20, {0x05: b"\x19\x00", 0x10: b"\xf3"})
    found = run(
        buses,
        """
one = made(AnyChip, address=0x20, setup="0x01=0x60 0xa0, 0x03=7", writable="True",
           value_config_0="0x05 s16be mask=0xfff0 shift=4 scale=0.0625", value_config_1="0x10 u8 mask=0x0f")
found += [one.read("value"), one.read("value", 1)]
one.write("level", "9", 1)
found += [one.read("level", 1), tried(one.write, "level", "16", 1), tried(one.write, "level", "inf", 1)]
found.append(tried(made(AnyChip, address=0x20).write, "level", "1"))
""",
    )
    assert found[:3] == [25.0, 3, "9"]
    assert found[3:] == [
        "ValueError: expected 0 to 15",
        "ValueError: expected a number",
        "PermanentError: [rpii2c__x] says writable = False: this chip is only read",
    ]
    # The setup, and the other half of the byte as it was.
    assert buses.registers(0x20, 0x01, 3) == b"\x60\xa0\x07"
    assert buses.registers(0x20, 0x10, 1) == b"\xf9"


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (Bme280, {"address": "0x80"}, "expected an address from 0x03 to 0x77, as 0x76"),
        (Ads1115, {"voltage_config_0": "4"}, "expected a channel: one of 0-1, 0-3, 1-3, 2-3, 0, 1, 2, 3"),
        (Pca9685, {"duty_config_0": "16"}, "expected an output from 0 to 15"),
    ],
)
def test_what_is_refused(kind: Any, options: dict[str, str], expected: str) -> None:
    with pytest.raises(OptionsError, match=expected):
        kind(options=options)
