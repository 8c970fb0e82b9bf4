"""Chips on an I2C bus, on the real smbus2 and the ioctls of i2c-dev."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from chip_programs import I2C, run
from drivers.i2c import Ads1115, Bme280, Pca9685
from fake_buses import FakeBuses, bmp280
from janitoo_actors.api import OptionsError

CHIP = "the chip at 0x76 of the I2C adapter 1"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.ETIMEDOUT, f"TemporaryError: {CHIP} holds the bus for too long (timeout)"),
        (
            errno.EBUSY,
            f"TemporaryError: {CHIP} was not reached: the bus is busy, and no other program is seen that has it open",
        ),
        (
            errno.EAGAIN,
            f"TemporaryError: {CHIP} was not reached: another master has taken the bus meanwhile (arbitration)",
        ),
        (errno.EIO, f"TemporaryError: {CHIP}: Input/output error"),
        (errno.ENODEV, "BusLostError: the I2C adapter 1 is gone: No such device"),
        (errno.EOPNOTSUPP, "PermanentError: the I2C adapter 1 speaks SMBus only: use one that speaks I2C"),
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
one = made(AnyChip, address=0x20, value_config_0="0x00", value_retries=0)
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
one, two = made(AnyChip, address=0x20, value_config_0="0x00", value_retries=0), made(Ads1115)
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


def test_an_adapter_without_a_device_file(buses: FakeBuses) -> None:
    buses.adapter(0)
    buses.bind("i2c/devices/i2c-1", "i2c-bcm2835")
    said = buses.run(f"{I2C.replace('bus.open()', '')}\nprint(json.dumps(tried(bus.open)))")
    assert said.startswith("TemporaryError: there is no /dev/i2c-1: the adapter works")
    assert said.endswith("load a module of the kernel with modprobe i2c-dev")


def test_a_chip_that_the_kernel_has(buses: FakeBuses) -> None:
    bmp280(buses)
    buses.bind("i2c/devices/1-0076", "bmp280")
    (said,) = run(buses, 'found.append(tried(made(Bmp280).read, "temperature"))')
    assert said == (
        "ConfigurationError: the kernel's driver bmp280 has the chip at 0x76 of the I2C adapter 1: "
        "take it from there: echo 1-0076 > /sys/bus/i2c/drivers/bmp280/unbind"
    )


def test_ads1115(buses: FakeBuses) -> None:
    # Half of the range; the chip says at once that it is done.
    buses.words(0x48, {0: 0x4000})
    assert run(buses, 'found.append(made(Ads1115, range="2.048", voltage_config_0="2-3").read("voltage"))') == [1.024]
    assert buses.word(0x48, 1) == 0b1_011_010_1_100_00011


def test_each_input_of_ads1115_has_its_own_range_scale_and_limits(buses: FakeBuses) -> None:
    buses.words(0x48, {0: 0x4000})
    found = run(
        buses,
        """
one = made(Ads1115, voltage_config_0=0, voltage_config_1=1,
           range="2.048", range_1="0.256", scale_0=11, voltage_max_1=0.1)
found += [one.read("voltage"), tried(one.read, "voltage", 1)]
""",
    )
    assert found == [
        pytest.approx(11.264),
        "TemporaryError: 0.128 cannot be: expected 0.1 or less (voltage_min, voltage_max_1)",
    ]
    # The second input, and its gain.
    assert buses.word(0x48, 1) == 0b1_101_101_1_100_00011


@pytest.mark.parametrize("raw", [0x7FFF, -0x8000])
def test_ads1115_out_of_its_range(buses: FakeBuses, raw: int) -> None:
    buses.words(0x48, {0: raw})
    (said,) = run(buses, 'found.append(tried(made(Ads1115, range="0.256", voltage_config_0=0).read, "voltage"))')
    assert said == "TemporaryError: the voltage is out of the range of 0.256 V: choose a larger range"


@pytest.mark.parametrize(
    ("kind", "address", "value", "expected"),
    [
        # All ones would be -0.125 mV, and -0.1 mA.
        ("Ads1115", 0x48, "voltage", "the chip has not kept its settings (0xffff for 0xc383)"),
        ("Ina219", 0x40, "current", "the chip has not kept its settings (0xffff for 0x399f)"),
        ("Ina219", 0x40, "voltage", "the chip has not kept its settings (0xffff for 0x399f)"),
        ("Pca9685", 0x40, "duty", "the chip has not taken its frequency: is it a PCA9685, and well wired?"),
    ],
)
def test_ones_are_no_reading(buses: FakeBuses, kind: str, address: int, value: str, expected: str) -> None:
    # Somebody is there, and only its line for data is not.
    buses.plain(address, b"")
    (said,) = run(buses, f'found.append(tried(made({kind}).read, "{value}"))')
    assert said.startswith(f"TemporaryError: {expected}")


@pytest.mark.parametrize(("shunt", "amperes"), [(2000, 0.2), (-1000, -0.1)])
def test_ina219(buses: FakeBuses, shunt: int, amperes: float) -> None:
    # 12 V; and 20 mV or -10 mV at 0.1 ohms.
    # An overflow of what the chip computes is none of what is measured.
    buses.words(0x40, {1: shunt, 2: 3000 << 3 | 2 | 1})
    found = run(buses, 'one = made(Ina219); found += [one.read("voltage"), one.read("current"), one.read("power")]')
    assert found == pytest.approx([12, amperes, 12 * amperes])
    assert buses.word(0x40, 0) == 0x399F


@pytest.mark.parametrize(
    ("words", "value", "expected"),
    [
        ({2: 0}, "voltage", "has not measured within 0.1 s"),
        ({2: 0}, "current", "has not measured within 0.1 s"),
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


def test_what_no_output_of_pca9685_can_be(buses: FakeBuses) -> None:
    buses.chip(0x40, {0x00: b"\x21", 0xFE: b"\x1e", 0x06: b"\xff\xff\xff\xff"})
    (said,) = run(buses, 'found.append(tried(made(Pca9685).read, "duty"))')
    assert said == "TemporaryError: the chip says ff ff ff ff for output 0, which cannot be: check its wires"


def test_another_chip_in_the_place_of_pca9685(buses: FakeBuses) -> None:
    # An INA219 has the same address.
    buses.plain(0x40, b"\0\0\0\0")
    (said,) = run(buses, 'found.append(tried(made(Pca9685).read, "duty"))')
    assert said == "TemporaryError: the chip has not taken its frequency: is it a PCA9685, and well wired?"


def test_pca9685_turns_servos(buses: FakeBuses) -> None:
    buses.chip(0x40, {0x00: b"\x11"})
    found = run(
        buses,
        """
one = made(Pca9685, frequency=50, angle_config_0=3, angle_config_1=4, pulse_min_1=2, pulse_max_1=1)
found.append(one.read("angle"))
for angle in (0, 1, 90, 179, 180):
    one.write("angle", angle)
    found.append(one.read("angle"))
one.write("angle", 90)
one.write("angle", 180, 1)
found += [one.read("angle", 1), list(bus.read_register(0x40, 0x06 + 4 * 3, 8))]
""",
    )
    # Of a period of 19.99 ms: 1.5 ms, and 1 ms, as it turns the other way.
    assert found == [None, 0, 1, 90, 179, 180, 180, [0, 0, 307 & 0xFF, 307 >> 8, 0, 0, 205, 0]]


def test_pca9685_without_servos_or_with_such_as_cannot_be(buses: FakeBuses) -> None:
    buses.chip(0x40, {0x00: b"\x11", 0x0A: b"\0\0\0\x10"})
    found = run(
        buses,
        """
one = made(Pca9685, frequency=50, angle_config_0=1)
found.append(one.read("angle"))
found += [made(Pca9685).read("angle"), tried(made(Pca9685).write, "angle", "1")]
found.append(tried(made(Pca9685, angle_config_0=1, frequency=400, pulse_max_0=3).write, "angle", "1"))
""",
    )
    assert found == [
        # Loose, and not configured.
        None,
        None,
        "ConfigurationError: [rpii2c__x] has no servo: expected angle_config_0, as 3",
        "ConfigurationError: expected two pulses shorter than 2.46 ms: pulse_min, pulse_max_0, frequency",
    ]


def test_pca9685_that_has_lost_its_power_is_set_up_again(buses: FakeBuses) -> None:
    buses.chip(0x40, {0x00: b"\x11", 0xFE: b"\x1e"})
    found = run(
        buses,
        """
one = made(Pca9685, frequency=50)
one.write("duty", 25)
# As after its reset: asleep, its frequency and its outputs gone.
bus.exchange(0x40, (0x00, 0x11), 0)
bus.exchange(0x40, (0xFE, 0x1E), 0)
bus.exchange(0x40, (0x06, 0, 0, 0, 0x10), 0)
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
