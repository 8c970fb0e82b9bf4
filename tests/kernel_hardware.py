"""The hardware of the User-Mode Linux machine, in which `make test-kernel` runs the tests marked `kernel`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PARAMETERS = Path("/sys/module/fakehw/parameters")
LINES = Path("/sys/devices/platform/gpio-sim.0/gpiochip0")
CHIP = 0x76
"""The address of the chip on /dev/i2c-1."""
ONE, TWO, OLD = "28-00000588806a", "28-0000058bfaaa", "10-000802be73fa"
"""The 1-Wire sensors: two DS18B20 and a DS18S20."""

_ADAPTER = Path("/sys/bus/i2c/devices/i2c-0")
"""That of the LM75."""

# As the module is when it is loaded.
_DEFAULTS = {
    "i2c_absent": "0",
    "i2c_stuck": "0",
    "i2c_err": "0",
    "i2c_delay_ms": "0",
    "adc": "570,1023,0,1,2,3,4,512",
    "spi_err": "0",
    "w1_sixteenths": "370,320,304",
    "w1_bad_crc": "0,0,0",
    "w1_absent": "0,0,0",
    "w1_stuck": "0,0,0",
    "dht_measured": "21500,45000",
    "dht_err": "0",
    "dht_absent": "0",
}


class KernelHardware:
    """What is plugged in, measured and wrong. See `bench/kernel/fakehw.c` for the parameters."""

    def set(self, **parameters: int | Sequence[int]) -> None:
        """Change parameters: `set(i2c_err=errno.ETIMEDOUT, w1_absent=(1, 0))`."""
        for name, value in parameters.items():
            text = ",".join(str(each) for each in value) if isinstance(value, Sequence) else str(value)
            (PARAMETERS / name).write_text(text)

    def registers(self, first: int, data: bytes) -> None:
        """Have this in the chip, from a register on."""
        for at, byte in enumerate(data, start=first):
            (PARAMETERS / "reg").write_text(f"{at:x}={byte:x}")

    def reset(self) -> None:
        """Have everything plugged in and well."""
        for name, text in _DEFAULTS.items():
            (PARAMETERS / name).write_text(text)
        self.plug_thermometer()

    def output(self, line: int) -> int:
        """The level that a program drives a line of GPIO to."""
        return int((LINES / f"sim_gpio{line}/value").read_text())

    def drive(self, line: int, level: int) -> None:
        """Drive an input. A program that asks for a pull-up itself overrides this: have it ask for a pull-down."""
        (LINES / f"sim_gpio{line}/pull").write_text("pull-up" if level else "pull-down")

    def unplug_thermometer(self) -> None:
        """Take the LM75 from hwmon."""
        (_ADAPTER / "delete_device").write_text("0x48")

    def plug_thermometer(self) -> None:
        """Have it again; nothing where it is there."""
        if not (_ADAPTER / "0-0048").exists():
            (_ADAPTER / "new_device").write_text("lm75 0x48")

    def thermometer(self) -> Path:
        """The folder of the LM75 in hwmon."""
        return next(
            each for each in Path("/sys/class/hwmon").iterdir() if (each / "name").read_text().strip() == "lm75"
        )
