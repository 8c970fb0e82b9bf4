"""I2C adapters and SPI devices without hardware: real smbus2 and spidev on an LD_PRELOAD library. See tests/bench."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from running_server import PROGRAM, ServerProcess

SOURCE = Path(__file__).parent / "bench" / "fakebus.c"
TIMEOUT = 60.0


def built(folder: Path) -> Path:
    """The library, compiled where that has not been done in this folder."""
    library = folder / "fakebus.so"
    if not library.exists():
        # Built beside and moved: another worker of the tests may be at it too.
        partial = folder / f"fakebus-{os.getpid()}.so"
        command = ["gcc", "-O1", "-Wall", "-shared", "-fPIC", "-o", str(partial), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT)
        partial.rename(library)
    return library


class FakeBuses:
    """A folder with devices, which programs that are started by it have."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {"LD_PRELOAD": str(library), "FAKEBUS_DIR": str(folder)}

    def run(self, script: str) -> Any:
        """Run a program of Python that prints JSON; what it has printed. One that fails is shown."""
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            cwd=Path(__file__).parent.parent,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def serve(self, path: Path) -> ServerProcess:
        """Start `janitoo run` with them."""
        return ServerProcess([*PROGRAM, "run", str(path)], cwd=path.parent, env=self.env)

    # -- I2C -----------------------------------------------------------------------------------------------------

    def adapter(self, number: int = 1) -> None:
        """Have an I2C adapter."""
        self._write(f"i2c-{number}", b"")

    def words(self, address: int, registers: Mapping[int, int], number: int = 1) -> None:
        """Have a chip whose registers have 16 bits each."""
        self.adapter(number)
        data = bytearray(512)
        for register, word in registers.items():
            data[2 * register : 2 * register + 2] = (word & 0xFFFF).to_bytes(2, "big")
        self._write(f"i2c-{number}-{address:02x}.words", data)

    def word(self, address: int, register: int, number: int = 1) -> int:
        """What is in a register of 16 bits."""
        data = (self._folder / f"i2c-{number}-{address:02x}.words").read_bytes()
        return int.from_bytes(data[2 * register : 2 * register + 2], "big")

    def chip(self, address: int, registers: Mapping[int, Sequence[int]], number: int = 1) -> None:
        """Have a chip, with bytes from some registers on."""
        self.adapter(number)
        file = self._folder / f"i2c-{number}-{address:02x}.reg"
        data = bytearray(file.read_bytes() if file.exists() else bytes(256))
        for register, values in registers.items():
            data[register : register + len(values)] = bytes(values)
        if file.exists():
            # In its place: a program may have it mapped.
            with file.open("r+b") as open_file:
                open_file.write(data)
        else:
            self._write(file.name, data)

    def plain(self, address: int, answer: bytes, number: int = 1) -> None:
        """Have a chip without registers, which says the same whatever is written to it."""
        self.adapter(number)
        self._write(f"i2c-{number}-{address:02x}.answer", answer)

    def port(self, address: int, outside: int = 0xFF, number: int = 1) -> None:
        """Have eight lines with weak outputs, which start high, and what is outside may pull low."""
        self.adapter(number)
        self._write(f"i2c-{number}-{address:02x}.port", bytes((0xFF, outside)))

    def sent(self, name: str) -> list[str]:
        """What has been sent to such a chip (`i2c-1-20`), or to an SPI device that echoes, in hexadecimal."""
        file = self._folder / f"{name}.sent"
        return file.read_text().splitlines() if file.exists() else []

    def registers(self, address: int, register: int, count: int, number: int = 1) -> bytes:
        """What is in a chip."""
        return (self._folder / f"i2c-{number}-{address:02x}.reg").read_bytes()[register : register + count]

    def unplug(self, address: int, number: int = 1) -> None:
        """Take a chip away."""
        (self._folder / f"i2c-{number}-{address:02x}.reg").unlink()

    def bind(self, device: str, driver: str | None) -> None:
        """Have a driver of the kernel have a device (`i2c/devices/1-0076`, `spi/devices/spi0.0`), or let it go."""
        link = self._folder / "sys/bus" / device / "driver"
        if driver is None:
            link.unlink()
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../drivers/{driver}")
        (link.parent / f"../../drivers/{driver}").resolve().mkdir(parents=True, exist_ok=True)

    def fail(self, name: str, error: int | None) -> None:
        """Have a chip (`i2c-1-76`) or a device (`spi0.0`) fail with an errno; with None it works again."""
        self._set(f"{name}.err", None if error is None else str(error))

    def delay(self, name: str, seconds: float) -> None:
        """Have a chip or a device answer late; with 0 at once again."""
        self._set(f"{name}.delay", str(round(1000 * seconds)) if seconds else None)

    def stick(self, number: int = 1, *, stuck: bool = True) -> None:
        """Have a bus stuck: whoever uses it hangs."""
        self._set(f"i2c-{number}.stuck", "1" if stuck else None)

    def remove(self, name: str) -> None:
        """Take an adapter or a device away: `i2c-1`, `spi0.0`."""
        (self._folder / name).unlink()

    # -- SPI -----------------------------------------------------------------------------------------------------

    def spi(self, name: str = "spi0.0", *, inputs: Sequence[int] = (), bits: int = 10, echo: bytes = b"") -> None:
        """Have an SPI device: a converter with eight inputs, or one that says the same whatever it is sent."""
        if inputs:
            self._write(f"{name}.mcp3{'0' if bits == 10 else '2'}08", struct.pack("<8H", *inputs))
        if echo:
            self._write(f"{name}.echo", echo)
        self._write(name, b"")

    def _set(self, name: str, text: str | None) -> None:
        if text is None:
            (self._folder / name).unlink(missing_ok=True)
        else:
            self._write(name, text.encode())

    def _write(self, name: str, data: bytes | bytearray) -> None:
        # At once, as somebody may be reading it.
        partial = self._folder / f".{name}"
        partial.write_bytes(data)
        partial.rename(self._folder / name)


# The example of the data sheet of BMP280, section 3.12.
TRIMMING = struct.pack(
    "<HhhHhhhhhhhh", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000
) + bytes((0, 75))
TEMPERATURE, PRESSURE = 519888, 415148
"""The raw readings of that example: 25.08 °C, 100653 Pa."""


def _of_20_bits(number: int) -> bytes:
    return bytes((number >> 12, number >> 4 & 0xFF, (number & 0x0F) << 4))


BMP280 = {0xD0: b"\x58", 0x88: TRIMMING, 0xF7: _of_20_bits(PRESSURE) + _of_20_bits(TEMPERATURE)}
"""Its registers: the chip's number, and these."""


def bmp280(buses: FakeBuses, address: int = 0x76) -> None:
    """Have a BMP280 that measures what the example does."""
    buses.chip(address, BMP280)
