"""A 1-Wire bus as the kernel shows it: a folder for each sensor, with its scratchpad in `w1_slave`."""

from __future__ import annotations

from pathlib import Path

_POLYNOMIAL = 0x8C


def scratchpad(celsius: float, *, is_sound: bool = True) -> str:
    """What the kernel gives for a DS18B20 of 12 bits. Source: its data sheet, and the kernel's `w1_therm`."""
    raw = round(celsius * 16) & 0xFFFF
    data = [raw & 0xFF, raw >> 8, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10]
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
        self.say(address, scratchpad(celsius).encode())

    def say(self, address: str, data: bytes) -> None:
        """Have a sensor say this, whatever it is. At once, as somebody may be reading it."""
        partial = self.folder / address / ".new"
        partial.write_bytes(data)
        partial.rename(self.folder / address / "w1_slave")

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
