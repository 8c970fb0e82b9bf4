"""The drivers of I2C and SPI on a real kernel: chips by their description, and who has what is not free."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.i2c import AnyChip, I2cBus
from drivers.spi import AnyTransfer, SpiBus
from janitoo_actors.api import Bus, Component, ConfigurationError, PermanentError, TemporaryError
from kernel_hardware import CHIP, KernelHardware

pytestmark = pytest.mark.kernel

C = TypeVar("C", bound=Component)
LM75 = Path("/sys/bus/i2c/drivers/lm75")
HOLD = "import sys; file = open(sys.argv[1], 'rb', 0); print('open', flush=True); sys.stdin.read()"


@contextmanager
def opened(kind: Callable[..., C], bus: Bus, **options: str) -> Iterator[C]:
    """A component on a bus that is open."""
    device = kind("rpi__x", options)
    device.bus = bus
    try:
        bus.open()
        yield device
    finally:
        device.close()
        bus.close()


def test_registers_are_read_and_written(hardware: KernelHardware) -> None:
    hardware.registers(0x10, b"\x19\x80\xf3")
    options = {
        "writable": "True",
        "value_config_0": "0x10 s16be shift=7 scale=0.5 units=°C",
        # Where the register before it has ended.
        "value_config_1": "plain u8",
        "level_config_0": "0x12 u8 mask=0x0f",
    }
    with opened(AnyChip, I2cBus(), address=f"{CHIP:#x}", **options) as chip:
        assert [chip.read("value"), chip.read("value", 1)] == [25.5, 0xF3]
        chip.write("level", "9")
        assert [chip.read("level"), chip.read("value")] == ["9", 25.5]
        assert chip.bus.read_register(CHIP, 0x12, 1) == b"\xf9"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (errno.EREMOTEIO, "does not answer"),
        (errno.EAGAIN, r"another master has taken the bus meanwhile \(arbitration\)"),
        (errno.ETIMEDOUT, "holds the bus for too long"),
    ],
)
def test_what_a_fault_is_called(hardware: KernelHardware, fault: int, said: str) -> None:
    with opened(AnyChip, I2cBus(), address=f"{CHIP:#x}", value_config_0="0x10 u8") as chip:
        hardware.set(i2c_err=fault)
        with pytest.raises(TemporaryError, match=said):
            chip.read("value")
        hardware.reset()
        chip.read("value")


def test_who_else_has_a_busy_adapter(hardware: KernelHardware) -> None:
    command = [sys.executable, "-c", HOLD, "/dev/i2c-1"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other,
        opened(AnyChip, I2cBus(), address=f"{CHIP:#x}", value_config_0="0x10 u8") as chip,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        hardware.set(i2c_err=errno.EBUSY)
        with pytest.raises(
            TemporaryError, match=rf"the bus is busy: python\S* \(process {other.pid}\) has it open too"
        ):
            chip.read("value")
        other.communicate()


def test_a_chip_of_a_driver_of_the_kernel_until_it_is_taken_from_there() -> None:
    bus = I2cBus("rpii2c", {"busnum": "0"})
    with opened(AnyChip, bus, address="0x48", value_config_0="0x02 u8") as chip:
        with pytest.raises(ConfigurationError, match="the kernel's driver lm75 has the chip at 0x48") as caught:
            chip.read("value")
        # As the message says.
        command = str(caught.value).rpartition("take it from there: ")[2]
        try:
            subprocess.run(command, shell=True, check=True, timeout=10)
            with pytest.raises(PermanentError, match="the I2C adapter 0 speaks SMBus only"):
                chip.read("value")
        finally:
            if not (LM75 / "0-0048").exists():
                (LM75 / "bind").write_text("0-0048")


def test_a_converter_by_its_description(hardware: KernelHardware) -> None:
    hardware.set(adc=[570, 1023, 0, 1, 2, 3, 4, 512])
    options = {"value_config_0": "0x01 0x80 0x00 at=1 u16be mask=0x3ff scale=3.3/1024 units=V"}
    with opened(AnyTransfer, SpiBus(), **options) as chip:
        assert chip.read("value") == pytest.approx(570 * 3.3 / 1024)
        hardware.set(spi_err=errno.EIO)
        with pytest.raises(TemporaryError, match=r"/dev/spidev0\.0: Input/output error"):
            chip.read("value")
        hardware.reset()
        assert chip.read("value") == pytest.approx(570 * 3.3 / 1024)


def test_a_chip_select_that_nobody_is_at() -> None:
    with (
        opened(AnyTransfer, SpiBus(), device="1", value_config_0="0 at=0 u8") as chip,
        pytest.raises(TemporaryError, match=r"there is no /dev/spidev0\.1: enable it with dtparam=spi=on"),
    ):
        chip.read("value")
