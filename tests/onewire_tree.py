"""A 1-Wire bus as the kernel shows it: a folder for each sensor, with its scratchpad in `w1_slave`."""

from __future__ import annotations

import os
from pathlib import Path

_POLYNOMIAL = 0x8C


def scratchpad(celsius: float, *, is_sound: bool = True) -> str:
    """What the kernel gives for a DS18B20 of 12 bits. Source: its data sheet, and the kernel's `w1_therm`."""
    raw = round(celsius * 16) & 0xFFFF
    return _lines([raw & 0xFF, raw >> 8, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10], celsius, is_sound=is_sound)


def old_scratchpad(celsius: float) -> str:
    """What it gives for a DS18S20, in half degrees with a remainder of sixteenths. Sources as of `scratchpad`."""
    sixteenths = round(celsius * 16)
    # Truncated half degrees less a quarter, and how far the counter was from there.
    whole = (sixteenths + 4) // 16
    raw = whole * 2 & 0xFFFF
    return _lines([raw & 0xFF, raw >> 8, 0x4B, 0x46, 0xFF, 0xFF, 12 - (sixteenths - whole * 16), 16], celsius)


def thermocouple(celsius: float, faults: int = 0) -> str:
    """What it gives for a MAX31850K, in quarters of a degree; faults are bits of the third byte. Sources likewise."""
    raw = (round(celsius * 4) << 2 | bool(faults)) & 0xFFFF
    return _lines([raw & 0xFF, raw >> 8, 0x80 | faults, 0x15, 0xF0, 0xFF, 0xFF, 0xFF], celsius)


def _lines(data: list[int], celsius: float, *, is_sound: bool = True) -> str:
    crc = 0
    for byte in data:
        for bit in range(8):
            mix = (crc ^ byte >> bit) & 1
            crc = crc >> 1 ^ (_POLYNOMIAL if mix else 0)
    text = " ".join(f"{byte:02x}" for byte in (*data, crc))
    return f"{text} : crc={crc:02x} {'YES' if is_sound else 'NO'}\n{text} t={round(celsius * 1000)}\n"


class OneWireTree:
    """The folder of the bus, which programs read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "w1_bus_master1").mkdir(parents=True)

    def plug(self, address: str, celsius: float) -> None:
        """Have a sensor."""
        (self.folder / address).mkdir(exist_ok=True)
        text = old_scratchpad(celsius) if address.startswith("10-") else scratchpad(celsius)
        self.say(address, text.encode())

    def say(self, address: str, data: bytes) -> None:
        """Have a sensor say this, whatever it is. At once, as somebody may be reading it."""
        partial = self.folder / address / ".new"
        partial.write_bytes(data)
        partial.rename(self.folder / address / "w1_slave")

    def hang(self, address: str) -> None:
        """Have whoever reads a sensor hang, until `release`."""
        fifo = self.folder / address / ".new"
        os.mkfifo(fifo)
        fifo.rename(self.folder / address / "w1_slave")

    def release(self, address: str, data: bytes) -> None:
        """Have who hangs at a sensor get this, and those after it too."""
        # Without a writer, a FIFO has whoever opens it wait.
        with (self.folder / address / "w1_slave").open("r+b", buffering=0) as fifo:
            self.say(address, data)
            fifo.write(data)

    def unplug(self, address: str) -> None:
        """Take a sensor away."""
        (self.folder / address / "w1_slave").unlink(missing_ok=True)
        (self.folder / address).rmdir()

    def vanish(self) -> None:
        """Take the bus away."""
        self.folder.rename(self.folder.with_name("gone"))

    def come_back(self) -> None:
        """Have it again."""
        self.folder.with_name("gone").rename(self.folder)
