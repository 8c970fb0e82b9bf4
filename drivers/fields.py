"""A number in the bytes of a chip, by its description in the file: `u16be mask=0xfff0 shift=4 scale=0.0625`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

_TYPE: Final = re.compile(r"([us])(8|16|24|32)(be|le)?")
_BYTE: Final = 8


@dataclass(frozen=True, slots=True)
class Field:
    """How some bytes are a number: `(bytes & mask) >> shift`, then times `scale`, plus `offset`.

    Attributes:
        size: bytes.
        is_signed: whether the highest bit that is left by mask and shift is the sign.
    """

    size: int
    is_signed: bool
    order: Literal["big", "little"]
    mask: int
    shift: int
    scale: float
    offset: float

    @classmethod
    def parse(cls, text: str) -> Field:
        """Read a description.

        Raises:
            ValueError: it is none; the message says what is expected.
        """
        kind, *others = text.split()
        match = _TYPE.fullmatch(kind)
        if match is None or (match[2] != "8" and match[3] is None):
            raise ValueError("expected a type as u8, s16be, u16le, s24be, u32le")
        size = int(match[2]) // _BYTE
        full = (1 << size * _BYTE) - 1
        numbers: dict[str, float] = {"mask": full, "shift": 0, "scale": 1.0, "offset": 0.0}
        for each in others:
            key, _, number = each.partition("=")
            if key not in numbers:
                raise ValueError(f"expected {', '.join(f'{name}=…' for name in numbers)} after the type")
            try:
                numbers[key] = int(number, 0) if key in {"mask", "shift"} else float(number)
            except ValueError:
                raise ValueError(f"expected a number after {key}=") from None
        mask, shift = int(numbers["mask"]), int(numbers["shift"])
        if not 0 < mask <= full or not 0 <= shift < size * _BYTE or not mask >> shift:
            raise ValueError(f"expected a mask and a shift within {size * _BYTE} bits, which leave something")
        if numbers["scale"] == 0 or not all(map(math.isfinite, numbers.values())):
            raise ValueError("expected a scale other than 0, and finite numbers")
        order: Literal["big", "little"] = "little" if match[3] == "le" else "big"
        return cls(size, match[1] == "s", order, mask, shift, numbers["scale"], numbers["offset"])

    @property
    def bits(self) -> int:
        """How many bits are left by mask and shift."""
        return (self.mask >> self.shift).bit_length()

    def decode(self, data: bytes) -> float:
        """The number that these bytes are."""
        raw = (
            int.from_bytes(data[: self.size], "little" if self.order == "little" else "big") & self.mask
        ) >> self.shift
        if self.is_signed and raw >> (self.bits - 1):
            raw -= 1 << self.bits
        return raw * self.scale + self.offset

    def encode(self, number: float, before: bytes) -> bytes:
        """The bytes that are this number, the bits outside of the mask as they were.

        Raises:
            ValueError: it does not fit.
        """
        raw = round((number - self.offset) / self.scale)
        low = -(1 << self.bits - 1) if self.is_signed else 0
        high = low + (1 << self.bits) - 1
        if not low <= raw <= high:
            first, last = sorted((low * self.scale + self.offset, high * self.scale + self.offset))
            raise ValueError(f"expected {first:g} to {last:g}")
        kept = int.from_bytes(before[: self.size], self.order) & ~self.mask
        bits = raw & ((1 << self.bits) - 1)
        return (kept | (bits << self.shift) & self.mask).to_bytes(self.size, self.order)
