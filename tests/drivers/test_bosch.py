"""Bosch's sensors of pressure, temperature and humidity: their data sheets, and what is no measurement."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chip_programs import run
from drivers.i2c.bosch import Calibration180, Trimming
from fake_buses import PRESSURE, TEMPERATURE, TRIMMING, FakeBuses, bmp280
from janitoo_actors.api import TemporaryError

# That of BMP180, figure 4.
CALIBRATION = struct.pack(">hhhHHHhhhhh", 408, -72, -14383, 32741, 32757, 23153, 6190, 4, -32768, -8711, 2868)


def test_the_data_sheet_of_bmp280() -> None:
    trimming = Trimming.read(TRIMMING)
    fine = trimming.fine(TEMPERATURE)
    assert fine / 5120 == pytest.approx(25.08, abs=0.005)
    assert trimming.pressure(PRESSURE, fine) == pytest.approx(100653.27, abs=0.5)


# What three BME280 have measured: their coefficients T, P, H, the raw numbers, and what came of them in °C, Pa, %.
# Published with the tests of the packages bme280-python by Pimoroni (the first; MIT) and bmp280 of Elixir (Apache).
MEASURED: list[tuple[tuple[Sequence[int], ...], tuple[int, int, int], tuple[float, ...]]] = [
    (
        ((28009, 25654, 50), (39145, -10750, 3024, 5667, -120, -7, 15500, -14600, 6000), (75, 376, 0, 286, 50, 30)),
        (529191, 326816, 30281),
        (24.7894877676, 100661.517564, 68.66996648709039),
    ),
    (
        ((28189, 26285, 50), (36635, -10696, 3024, 11092, -241, -7, 12300, -12000, 5000), (75, 338, 0, 370, 60, 30)),
        (536368, 284052, 35181),
        (26.7460, 100391.49, 59.2),
    ),
    (
        ((28297, 26729, 50), (37189, -10580, 3024, 8137, -87, -7, 9900, -10230, 4285), (75, 394, 0, 242, 56, 30)),
        (516344, 316593, 26270),
        (20.2649, 100278.40, 64.4),
    ),
]


def in_the_chip(t: Sequence[int], p: Sequence[int], h: Sequence[int]) -> tuple[bytes, bytes]:
    """Coefficients as they are at 0x88 and 0xE1. H4 and H5 share a byte."""
    h1, h2, h3, h4, h5, h6 = h
    shared = h4 & 0x0F | (h5 & 0x0F) << 4
    return struct.pack("<HhhHhhhhhhhhBB", *t, *p, 0, h1), struct.pack("<hBbBbb", h2, h3, h4 >> 4, shared, h5 >> 4, h6)


@pytest.mark.parametrize(("coefficients", "raw", "expected"), MEASURED)
def test_what_bme280s_have_measured(
    buses: FakeBuses,
    coefficients: tuple[Sequence[int], ...],
    raw: tuple[int, int, int],
    expected: tuple[float, ...],
) -> None:
    first, humid = in_the_chip(*coefficients)
    temperature, pressure, humidity = raw
    data = (pressure << 28 | temperature << 4).to_bytes(6, "big") + humidity.to_bytes(2, "big")
    buses.chip(0x76, {0xD0: b"\x60", 0x88: first, 0xE1: humid, 0xF7: data})
    read = 'one = made(Bme280); found += [one.read(each) for each in ("temperature", "pressure", "humidity")]'
    assert run(buses, read) == [
        pytest.approx(expected[0], abs=0.0001),
        pytest.approx(expected[1], abs=0.01),
        pytest.approx(expected[2], abs=0.1),
    ]
    # The first is known to more places than the others.
    if raw == MEASURED[0][1]:
        trimming = Trimming.read(first, humid)
        assert trimming.humidity(humidity, trimming.fine(temperature)) == pytest.approx(expected[2], abs=1e-9)


def whole_humidity(h: Sequence[int], raw: int, fine: int) -> Fraction:
    """By the other formula of the data sheet, 4.2.3: in whole numbers, where this has fractions that lose nothing.

    Its shifts to the right are divisions, and what it adds to have them round is left out.
    """
    h1, h2, h3, h4, h5, h6 = h
    v = Fraction(fine - 76800)
    slope = ((v * h6 / 2**10 * (v * h3 / 2**11 + 32768)) / 2**10 + 2097152) * h2 / 2**14
    v = ((raw * 2**14 - h4 * 2**20 - h5 * v) / 2**15) * slope
    v -= (v / 2**15) ** 2 / 2**7 * h1 / 2**4
    return min(max(v, Fraction(0)), Fraction(419430400)) / 2**12 / 1024


@given(
    h=st.tuples(
        st.integers(0, 0xFF),
        st.integers(1, 0x7FFF),
        st.integers(0, 0xFF),
        st.integers(-0x800, 0x7FF),
        st.integers(-0x800, 0x7FF),
        st.integers(-0x80, 0x7F),
    ),
    raw=st.integers(1, 0xFFFE),
    # -40 to 85 °C.
    fine=st.integers(-40 * 5120, 85 * 5120),
)
def test_both_formulas_of_the_data_sheet_give_the_same_humidity(
    h: tuple[int, int, int, int, int, int], raw: int, fine: int
) -> None:
    trimming = Trimming.read(*in_the_chip((27504, 26435, -1000), (36477, *[0] * 8), h))
    assert trimming.h == h
    assert trimming.humidity(raw, fine) == pytest.approx(float(whole_humidity(h, raw, fine)), abs=1e-6)


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
    assert found[1] == (
        "TemporaryError: the chip at 0x76 of the I2C adapter 1 does not answer: "
        "is it wired, powered, and at this address?"
    )


@pytest.mark.parametrize("byte", ["0x00", "0xff"])
@pytest.mark.parametrize("kind", ["Bme280", "Bmp180"])
def test_what_says_nothing_of_itself_is_not_another_chip(buses: FakeBuses, kind: str, byte: str) -> None:
    # A line that is held low, or that nobody drives: it may be over in a moment, and is nobody's configuration.
    buses.chip(0x76, {0xD0: bytes([int(byte, 0)])})
    (said,) = run(buses, f'found.append(tried(made({kind}, address=0x76).read, "temperature"))')
    assert said == f"TemporaryError: what is at 0x76 says {byte} and not which chip it is: check its wires"


@pytest.mark.parametrize("byte", [0x00, 0xFF])
@pytest.mark.parametrize(
    ("kind", "registers"),
    [
        ("Bmp280", {0xD0: b"\x58", 0x88: 26}),
        ("Bme280", {0xD0: b"\x60", 0x88: TRIMMING, 0xE1: 7}),
        ("Bmp180", {0xD0: b"\x55", 0xAA: 22}),
    ],
)
def test_a_calibration_that_is_none(buses: FakeBuses, kind: str, registers: dict[int, Any], byte: int) -> None:
    buses.chip(0x77, {at: bytes([byte]) * it if isinstance(it, int) else it for at, it in registers.items()})
    (said,) = run(buses, f'found.append(tried(made({kind}, address=0x77).read, "temperature"))')
    assert said == "TemporaryError: the calibration of the chip is not readable: check its wires"


@pytest.mark.parametrize("byte", [b"\x00", b"\xff"])
@pytest.mark.parametrize("value", ["temperature", "pressure", "humidity"])
def test_data_that_are_none(buses: FakeBuses, value: str, byte: bytes) -> None:
    # The chip's number and its calibration are right. All ones would be a humidity of 100 %.
    first, humid = in_the_chip(*MEASURED[0][0])
    buses.chip(0x76, {0xD0: b"\x60", 0x88: first, 0xE1: humid, 0xF7: 8 * byte})
    (said,) = run(buses, f'found.append(tried(made(Bme280).read, "{value}"))')
    assert said == "TemporaryError: the chip has not measured: it may have lost its power for a moment"


def test_a_chip_that_is_still_getting_its_calibration(buses: FakeBuses) -> None:
    bmp280(buses)
    buses.chip(0x76, {0xF3: b"\x01"})
    (said,) = run(buses, 'found.append(tried(made(Bmp280, temperature_retries=0).read, "temperature"))')
    assert said == "TemporaryError: it does not get its calibration ready: more than 0.1 s"


@given(data=st.binary(min_size=22, max_size=22), temperature=st.integers(0, 0xFFFF), pressure=st.integers(0, 0x7FFFF))
def test_whatever_a_bmp180_says_is_a_number_or_a_failure(data: bytes, temperature: int, pressure: int) -> None:
    with contextlib.suppress(TemporaryError):
        calibration = Calibration180.read(data)
        assert isinstance(calibration.pressure(pressure, calibration.b5(temperature), 3), int)


def test_a_bmp180_that_would_have_it_divided_by_nothing() -> None:
    calibration = Calibration180((408, -72, -14383, 32741, 32768, 1000), (6190, 4), -8711, 2868)
    with pytest.raises(TemporaryError, match="numbers that cannot be"):
        calibration.b5(1000 - 2868)
