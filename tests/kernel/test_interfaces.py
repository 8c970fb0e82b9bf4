"""The kernel's interfaces in the User-Mode Linux machine, by the libraries of the drivers."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import pytest

from kernel_hardware import CHIP, OLD, ONE, TWO, KernelHardware
from waiting import wait_for

pytestmark = pytest.mark.kernel
TIMEOUT = 20.0


def errno_of(call: Callable[..., object], *arguments: object) -> int | None:
    """The errno that a call fails with; None where it does not."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return None


# -- GPIO ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gpio() -> Iterator[ModuleType]:
    if sys.version_info >= (3, 13) and find_spec("RPi") is None:
        pytest.skip("lgpio has no wheel for this Python: see setup.py")
    gpio = import_module("RPi.GPIO")
    gpio.setwarnings(False)
    gpio.setmode(gpio.BCM)
    yield gpio
    gpio.cleanup()


def test_an_output(hardware: KernelHardware, gpio: ModuleType) -> None:
    gpio.setup(17, gpio.OUT, initial=gpio.HIGH)
    assert hardware.output(17) == 1
    gpio.output(17, gpio.LOW)
    assert hardware.output(17) == 0


def test_an_input(hardware: KernelHardware, gpio: ModuleType) -> None:
    gpio.setup(22, gpio.IN, pull_up_down=gpio.PUD_DOWN)
    assert gpio.input(22) == 0
    hardware.drive(22, 1)
    assert gpio.input(22) == 1


def test_edges(hardware: KernelHardware, gpio: ModuleType) -> None:
    seen: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []
    hardware.drive(23, 0)
    gpio.setup(23, gpio.IN, pull_up_down=gpio.PUD_DOWN)
    gpio.add_event_detect(23, gpio.BOTH, callback=lambda channel: seen.append((channel, gpio.input(channel))))
    for level in (1, 0, 1):
        expected.append((23, level))
        hardware.drive(23, level)
        wait_for(lambda: seen == expected, TIMEOUT, lambda: f"{expected}, not {seen}")


# -- I2C -------------------------------------------------------------------------------------------------------------


def read_identity() -> int:
    smbus2 = import_module("smbus2")
    with smbus2.SMBus(1) as bus:
        identity: int = bus.read_byte_data(CHIP, 0xD0)
    return identity


def test_registers(hardware: KernelHardware) -> None:
    smbus2 = import_module("smbus2")
    hardware.registers(0x10, bytes((0x12, 0x34)))
    with smbus2.SMBus(1) as bus:
        assert bus.read_i2c_block_data(CHIP, 0x10, 2) == [0x12, 0x34]
        bus.write_byte_data(CHIP, 0x10, 0x56)
        write, read = smbus2.i2c_msg.write(CHIP, [0x10]), smbus2.i2c_msg.read(CHIP, 2)
        bus.i2c_rdwr(write, read)
        assert list(read) == [0x56, 0x34]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"i2c_absent": 1}, errno.EREMOTEIO),
        ({"i2c_err": errno.ETIMEDOUT}, errno.ETIMEDOUT),
        ({"i2c_err": errno.EIO}, errno.EIO),
    ],
)
def test_a_chip_that_does_not_answer(hardware: KernelHardware, fault: dict[str, int], error: int) -> None:
    hardware.set(**fault)
    assert errno_of(read_identity) == error
    hardware.reset()
    assert read_identity() == 0x60


def test_a_chip_of_a_driver_of_the_kernel() -> None:
    smbus2 = import_module("smbus2")
    # The LM75 is on the adapter of i2c-stub, the next free one.
    with smbus2.SMBus(0) as bus:
        assert errno_of(bus.read_byte_data, 0x48, 0) == errno.EBUSY


def test_a_stuck_bus(hardware: KernelHardware) -> None:
    read: list[int] = []
    hardware.set(i2c_stuck=1)
    thread = threading.Thread(target=lambda: read.append(read_identity()))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    hardware.set(i2c_stuck=0)
    thread.join(TIMEOUT)
    assert read == [0x60]


# -- SPI -------------------------------------------------------------------------------------------------------------


def convert(channel: int) -> int:
    """The number of an input of the MCP3008."""
    spidev = import_module("spidev")
    spi = spidev.SpiDev()
    spi.open(0, 0)
    try:
        spi.max_speed_hz = 1_000_000
        _, high, low = spi.xfer2([1, 8 + channel << 4, 0])
    finally:
        spi.close()
    return int(high & 3) << 8 | int(low)


def test_every_input_of_a_converter(hardware: KernelHardware) -> None:
    inputs = [570, 1023, 0, 1, 2, 3, 4, 512]
    hardware.set(adc=inputs)
    assert [convert(channel) for channel in range(8)] == inputs


def test_a_transfer_that_fails(hardware: KernelHardware) -> None:
    hardware.set(spi_err=errno.EIO)
    assert errno_of(convert, 0) == errno.EIO


# -- 1-Wire ----------------------------------------------------------------------------------------------------------


def thermometer(address: str) -> Callable[[], float]:
    w1 = import_module("w1thermsensor")
    family, _, number = address.partition("-")
    sensor = w1.W1ThermSensor(w1.Sensor.from_id_string(family), number)
    return lambda: float(sensor.get_temperature())


def test_thermometers(hardware: KernelHardware) -> None:
    hardware.set(w1_sixteenths=(370, -162))
    wait_for_sensors()
    assert thermometer(ONE)() == 23.125
    assert thermometer(TWO)() == -10.125
    assert thermometer(OLD)() == 19


def test_a_wrong_checksum_of_one(hardware: KernelHardware) -> None:
    w1 = import_module("w1thermsensor")
    wait_for_sensors()
    read_one, read_two = thermometer(ONE), thermometer(TWO)
    hardware.set(w1_bad_crc=(1, 0))
    with pytest.raises(w1.SensorNotReadyError):
        read_one()
    assert read_two() == 20
    hardware.reset()
    assert read_one() == 23.125


def test_what_it_says_after_power_on(hardware: KernelHardware) -> None:
    w1 = import_module("w1thermsensor")
    hardware.set(w1_sixteenths=(85 * 16, 320, 85 * 16))
    wait_for_sensors()
    with pytest.raises(w1.errors.ResetValueError):
        thermometer(ONE)()
    # Of this kind, the library does not notice it.
    assert thermometer(OLD)() == 85


def test_an_unplugged_thermometer(hardware: KernelHardware) -> None:
    w1 = import_module("w1thermsensor")
    wait_for_sensors()
    read = thermometer(ONE)
    hardware.set(w1_absent=(1, 0))
    with pytest.raises(w1.errors.W1ThermSensorError):
        read()
    assert thermometer(TWO)() == 20


def wait_for_sensors() -> None:
    """The kernel looks for sensors every ten seconds, and forgets one that was away for long."""
    w1 = import_module("w1thermsensor")
    wait_for(lambda: len(w1.W1ThermSensor.get_available_sensors()) == 3, TIMEOUT, "all sensors")


# -- hwmon -----------------------------------------------------------------------------------------------------------


def test_hwmon(hardware: KernelHardware) -> None:
    smbus2 = import_module("smbus2")
    with smbus2.SMBus(0) as bus:
        # Nine bits, the highest first: 25.5 degrees. By force, as the kernel has the chip.
        bus.write_word_data(0x48, 0, 0x8019, force=True)
    wait_for(
        lambda: (hardware.thermometer() / "temp1_input").read_text() == "25500\n", TIMEOUT, "25.5 degrees in hwmon"
    )


def test_lm_sensors(hardware: KernelHardware) -> None:
    sensors = import_module("sensors")
    shown = hardware.thermometer().joinpath("temp1_input").read_text()
    sensors.init()
    try:
        (chip,) = [each for each in sensors.iter_detected_chips() if each.prefix == b"lm75"]
        (feature,) = chip
        assert feature.get_value() == int(shown) / 1000
    finally:
        sensors.cleanup()
