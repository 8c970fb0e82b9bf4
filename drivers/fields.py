"""A number in the bytes of a chip, by its description in the file: `u16be mask=0xfff0 shift=4 scale=0.0625`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from janitoo_actors.api import OptionType, TemporaryError

_TYPE: Final = re.compile(r"([us])(8|16|24|32|40|48|56|64)(be|le)?")
_BITS: Final = 8
_BYTE: Final = 0xFF
_LONGEST: Final = 64
"""Bytes of an answer before the number, at most."""
_MOST_UNITS: Final = 16


@dataclass(frozen=True, slots=True)
class Field:
    """How some bytes are a number: `(bytes & mask) >> shift`, then times `scale`, plus `offset`.

    Attributes:
        size: bytes.
        is_signed: whether the highest bit that is left by mask and shift is the sign.
        at: how many bytes come before it.
        fault: bits that are never set where the bytes are a reading.
        ones: bits that are set whenever the number is written.
        units: of the number, for people; None where the file does not say.
    """

    size: int
    is_signed: bool
    order: Literal["big", "little"]
    scale: float
    offset: float
    units: str | None
    mask: int
    shift: int
    at: int
    fault: int
    ones: int

    @classmethod
    def parse(cls, text: str) -> Field:
        """Read a description: a type, and what else is to be said of it, in any order.

        Raises:
            ValueError: it is none; the message says what is expected.
        """
        words = text.split()
        kinds = [word for word in words if "=" not in word]
        match = _TYPE.fullmatch(kinds[0]) if len(kinds) == 1 else None
        if match is None or (match[2] != "8" and match[3] is None):
            raise ValueError("expected one type, as u8, s16be, u16le, s24be, u32le")
        size = int(match[2]) // _BITS
        full = (1 << size * _BITS) - 1
        wholes = {"mask": full, "shift": 0, "at": 0, "fault": 0, "ones": 0}
        numbers = {"scale": 1.0, "offset": 0.0}
        units = None
        for key, _, given in (word.partition("=") for word in words if "=" in word):
            if key in wholes:
                wholes[key] = _whole(key, given)
            elif key in numbers:
                numbers[key] = _number(key, given)
            elif key == "units":
                units = _units(given)
            else:
                known = ", ".join(f"{name}=…" for name in (*wholes, *numbers, "units"))
                raise ValueError(f"expected {known} beside the type, not {key}=")
        mask, shift = wholes["mask"], wholes["shift"]
        if not 0 < mask <= full or not 0 <= shift < size * _BITS or not mask >> shift:
            raise ValueError(f"expected a mask and a shift within {size * _BITS} bits, which leave something")
        if not (0 <= wholes["fault"] <= full and 0 <= wholes["ones"] <= full):
            raise ValueError(f"expected fault and ones within {size * _BITS} bits")
        if wholes["ones"] & mask:
            raise ValueError("expected ones outside of the mask")
        if not 0 <= wholes["at"] <= _LONGEST:
            raise ValueError(f"expected at from 0 to {_LONGEST}")
        if numbers["scale"] == 0:
            raise ValueError("expected a scale other than 0")
        order: Literal["big", "little"] = "little" if match[3] == "le" else "big"
        is_signed, scale, offset = match[1] == "s", numbers["scale"], numbers["offset"]
        return cls(size, is_signed, order, scale=scale, offset=offset, units=units, **wholes)

    @property
    def bits(self) -> int:
        """How many bits are left by mask and shift."""
        return (self.mask >> self.shift).bit_length()

    @property
    def end(self) -> int:
        """How many bytes there are up to its last one."""
        return self.at + self.size

    def decode(self, data: bytes) -> float:
        """The number in an answer, of which these are the bytes.

        Raises:
            TemporaryError: by its fault bits, the chip says that it is none.
        """
        whole = int.from_bytes(data[self.at : self.end], self.order)
        if whole & self.fault:
            found = f"{whole:#0{2 + 2 * self.size}x}"
            raise TemporaryError(f"the chip says that this is no reading: {found} has bits of fault={self.fault:#x}")
        raw = (whole & self.mask) >> self.shift
        if self.is_signed and raw >> (self.bits - 1):
            raw -= 1 << self.bits
        return raw * self.scale + self.offset

    def encode(self, number: float, before: bytes) -> bytes:
        """The bytes with this number in them, all others as they were before, but for the `ones`.

        Raises:
            ValueError: it does not fit.
        """
        exact = (number - self.offset) / self.scale
        low = -(1 << self.bits - 1) if self.is_signed else 0
        high = low + (1 << self.bits) - 1
        # Not rounded before: an infinite one cannot be.
        if not low - 0.5 <= exact <= high + 0.5 or not low <= (raw := round(exact)) <= high:
            first, last = sorted((low * self.scale + self.offset, high * self.scale + self.offset))
            raise ValueError(f"expected {first:g} to {last:g}")
        kept = int.from_bytes(before[self.at : self.end], self.order) & ~self.mask | self.ones
        bits = raw & ((1 << self.bits) - 1)
        made = (kept | (bits << self.shift) & self.mask).to_bytes(self.size, self.order)
        return before[: self.at] + made + before[self.end :]


class Steps(OptionType[tuple[bytes, ...]]):
    """Bytes that are sent to a chip, a message after the other: `0x01=0x60 0xa0, 0x02=0`."""

    name = "bytes to send"

    @property
    def allowed(self) -> str:
        """What it may be."""
        return "bytes to send, with a comma between messages, as 0x01=0x60 0xa0, 0x02=0 or 0x10"

    def parse(self, text: str, folder: Path = Path()) -> tuple[bytes, ...]:  # noqa: ARG002 - it has no paths
        """Read them. The register and what is written to it are sent one after the other, and so are other bytes."""
        try:
            return tuple(_message(each) for each in (part.strip() for part in text.split(",")) if each)
        except ValueError:
            raise self.refused() from None

    def text(self, data: Any) -> str:
        """As the file may have it."""
        return ", ".join(" ".join(f"{byte:#04x}" for byte in message) for message in data)


def byte_of(text: str) -> int:
    """A byte, as 0x1c or 28. Raises ValueError with what is expected."""
    try:
        number = int(text.strip(), 0)
    except ValueError:
        number = -1
    if not 0 <= number <= _BYTE:
        raise ValueError("expected a number from 0 to 0xff, as 0x1c")
    return number


def register_of(text: str) -> bytes:
    """The number of a register, of one byte, or of two where it has more than two digits: 0x0130. As `byte_of`."""
    match = re.fullmatch(r"0x([0-9a-f]{3,4})", text.strip().lower())
    return bytes((byte_of(text),)) if match is None else int(match[1], 16).to_bytes(2, "big")


def _message(text: str) -> bytes:
    register, found, data = text.partition("=")
    if found and not data.strip():
        raise ValueError("expected bytes after =")
    return (register_of(register) if found else b"") + bytes(byte_of(each) for each in (data or text).split())


def _whole(key: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError(f"expected a number after {key}=") from None


def _number(key: str, text: str) -> float:
    """A number, or a fraction: 5/4096."""
    above, is_fraction, below = text.partition("/")
    try:
        number = float(above) / (float(below) if is_fraction else 1)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"expected a number after {key}=, or a fraction, as 5/4096") from None
    if not math.isfinite(number):
        raise ValueError(f"expected finite numbers after {key}=")
    return number


def _units(text: str) -> str:
    if not text or len(text) > _MOST_UNITS or not text.isprintable():
        raise ValueError(f"expected units of 1 to {_MOST_UNITS} characters, as units=°C")
    return text
