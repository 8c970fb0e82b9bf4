"""What a driver takes of the machine: an I2C adapter, an SPI chip select, a GPIO pin, a serial port, any path."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from janitoo_actors.errors import TemporaryError

_I2C: Final = re.compile(r"/dev/i2c-([0-9]+)")
_SPI: Final = re.compile(r"/dev/spidev([0-9]+)\.([0-9]+)")


class DeviceBusyError(TemporaryError):
    """Somebody else has the device; the message says who. A later try may find it free."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """One thing of the machine that a driver needs. Make it with one of the functions.

    Attributes:
        key: what it is, for all processes alike, where it can be had once: `i2c-1`. Empty for what everybody may have.
        text: what it is, for people; `the I2C adapter 1`.
        is_shared: whether the components of a bus share it. Otherwise one component, or the bus itself, has it alone.
        file: the device or file that is opened for it, for `janitoo check`; None where there is none.
        writes: whether it is opened for writing too.
        opens: whether `janitoo check` may open it to see whether that works. False where that would do something, as to
            a serial port, whose device may restart then.
        advice: what to do where it is missing: "enable it with dtparam=i2c_arm=on".
    """

    key: str
    text: str = field(compare=False)
    is_shared: bool = field(default=False, compare=False)
    file: Path | None = field(default=None, compare=False)
    writes: bool = field(default=True, compare=False)
    opens: bool = field(default=True, compare=False)
    advice: str = field(default="", compare=False)

    def __str__(self) -> str:
        """What it is, for people."""
        return self.text

    @classmethod
    def i2c(cls, adapter: int) -> Hardware:
        """An I2C adapter, `/dev/i2c-1`; a bus has it, and its components share it."""
        key, text = f"i2c-{_number(adapter)}", f"the I2C adapter {adapter}"
        file = Path(f"/dev/i2c-{adapter}")
        return cls(key, text, is_shared=True, file=file, advice=_enable("i2c_arm"))

    @classmethod
    def spi(cls, bus: int, chip_select: int) -> Hardware:
        """A chip select of an SPI bus, `/dev/spidev0.1`."""
        key, text = f"spi-{_number(bus)}.{_number(chip_select)}", f"the SPI chip select {bus}.{chip_select}"
        return cls(key, text, file=Path(f"/dev/spidev{bus}.{chip_select}"), advice=_enable("spi"))

    @classmethod
    def gpio(cls, pin: int, chip: int = 0) -> Hardware:
        """A GPIO pin, by its number on its chip; on a Raspberry Pi, its BCM number."""
        where = f" of gpiochip{chip}" if chip else ""
        # Whoever may use other pins of the chip has it open.
        file = Path(f"/dev/gpiochip{chip}")
        key, advice = f"gpio-{_number(chip)}-{_number(pin)}", "the kernel of this machine has no GPIO"
        return cls(key, f"the GPIO pin {pin}{where}", file=file, advice=advice)

    @classmethod
    def serial(cls, port: str | Path, advice: str = "") -> Hardware:
        """A serial port, under any of its names, as those in `/dev/serial/by-id`; components of the bus share it."""
        found = cls._at(Path(port), "the serial port")
        return replace(found, opens=False, advice=advice)

    @classmethod
    def path(cls, path: str | Path, advice: str = "") -> Hardware:
        """Anything else that has a path, and that one bus uses at a time; its components share it."""
        found = cls._at(Path(path), "the path")
        return replace(found, advice=advice) if advice else found

    @classmethod
    def reads(cls, path: str | Path, advice: str = "") -> Hardware:
        """A file or folder that it reads, as others may at the same time: nothing is claimed."""
        return cls("", f"the path {path}", is_shared=True, file=Path(path), writes=False, advice=advice)

    @classmethod
    def _at(cls, path: Path, what: str) -> Hardware:
        real = os.path.realpath(path)
        if match := _I2C.fullmatch(real):
            return cls.i2c(int(match[1]))
        if match := _SPI.fullmatch(real):
            return cls.spi(int(match[1]), int(match[2]))
        key = f"path-{real}"
        try:
            status = os.stat(real)
        except OSError:
            # Unplugged, perhaps; whoever opens it will say so.
            pass
        else:
            if stat.S_ISCHR(status.st_mode):
                # One device, whatever its nodes are called: in a container they have names of their own.
                key = f"char-{os.major(status.st_rdev)}.{os.minor(status.st_rdev)}"
        return cls(key, f"{what} {path}", is_shared=True, file=path)


class Claims(Protocol):
    """Where a device claims what it takes; the runtime gives it."""

    def claim(self, hardware: Hardware, device: str) -> None:
        """Take it for a device of the bus, by its uuid. Raises DeviceBusyError where somebody else has it."""


def _enable(overlay: str) -> str:
    return f"enable it with dtparam={overlay}=on in /boot/firmware/config.txt, and start the machine anew"


def _number(number: int) -> int:
    if number < 0:
        raise ValueError(f"expected a number from 0, not {number}")
    return int(number)
