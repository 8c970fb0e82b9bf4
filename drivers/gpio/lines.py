"""What the kernel knows of a GPIO pin, whoever has it; asked of the device file of its chip.

The libraries cannot say it: who has a pin that is taken, and which level an output has before it is touched.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# The requests and structures of linux/gpio.h, version 1 of its interface.
_CHIP_INFO, _CHIP_SIZE = 0x8044B401, 68
_LINE_INFO, _LINE_SIZE = 0xC048B402, 72
_LINE_HANDLE = 0xC16CB403
_GET_VALUES, _VALUES = 0xC040B408, 64
_IS_TAKEN, _IS_OUTPUT = 1, 2
_HEADERS: Final = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""The labels of the chips that have the pins of the header: of a Pi 5, a Pi 4, and all before."""


def chip() -> Path:
    """The device file of the chip with the pins of the header; that of another machine's first chip. Blocks shortly."""
    given = os.environ.get("RPI_LGPIO_CHIP", "")
    if given.isdecimal():
        return Path(f"/dev/gpiochip{given}")
    labels = dict(_labels())
    return next((path for path, label in labels.items() if label in _HEADERS), Path("/dev/gpiochip0"))


def holder(pin: int) -> str | None:
    """Who has a pin, by the name that they have given; None where nobody has it, or nobody knows."""
    info = _info(pin)
    if info is None or not info[0] & _IS_TAKEN:
        return None
    return info[1] or "somebody who has given no name"


def level_of_output(pin: int) -> int | None:
    """The level that an output has which nobody has at the moment; None where it is no such one.

    It is left as it is, while the libraries would make an input of it to read it: a relay at it would click.
    """
    info = _info(pin)
    if info is None or info[0] & _IS_TAKEN or not info[0] & _IS_OUTPUT:
        return None
    request = struct.pack("=64II64s32sIi", pin, *[0] * 63, 0, b"", b"janitoo", 1, -1)
    try:
        with _opened(chip()) as file:
            answer = fcntl.ioctl(file, _LINE_HANDLE, request)
        handle: int = struct.unpack("=64II64s32sIi", answer)[-1]
        try:
            return fcntl.ioctl(handle, _GET_VALUES, bytes(_VALUES))[0]
        finally:
            os.close(handle)
    except OSError:
        # Taken just now, or a kernel without this: as if it were not known.
        return None


def _labels() -> Iterator[tuple[Path, str]]:
    for path in sorted(Path("/dev").glob("gpiochip*")):
        try:
            with _opened(path) as file:
                answer = fcntl.ioctl(file, _CHIP_INFO, bytes(_CHIP_SIZE))
        except OSError:
            # Not this user's, or gone.
            continue
        yield path, _text(answer[32:64])


def _info(pin: int) -> tuple[int, str] | None:
    """The flags of a pin, and its holder's name."""
    request = struct.pack("=I", pin).ljust(_LINE_SIZE, b"\0")
    try:
        with _opened(chip()) as file:
            answer = fcntl.ioctl(file, _LINE_INFO, request)
    except OSError:
        return None
    flags: int = struct.unpack_from("=I", answer, 4)[0]
    return flags, _text(answer[40:72])


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)
