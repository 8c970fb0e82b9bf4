"""Numbers in the bytes of a chip, by their description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.fields import Field


@pytest.mark.parametrize(
    ("text", "data", "number"),
    [
        ("u8", b"\xff", 255),
        ("s8", b"\xff", -1),
        ("u16be", b"\x01\x02", 258),
        ("u16le", b"\x01\x02", 513),
        ("s24be", b"\xff\xff\xfe", -2),
        ("u32le", b"\x01\x00\x00\x80", 0x80000001),
        # An LM75: nine bits, half degrees. A TMP102: twelve, sixteenths.
        ("s16be shift=7 scale=0.5", b"\xe7\x00", -25),
        ("s16be mask=0xfff0 shift=4 scale=0.0625", b"\x19\x0f", 25.0625 - 0.0625),
        ("u8 mask=0x0f scale=2 offset=-3", b"\xf4", 5),
    ],
)
def test_decoding(text: str, data: bytes, number: float) -> None:
    assert Field.parse(text).decode(data) == pytest.approx(number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u12be", "expected a type as"),
        ("u16", "expected a type as"),
        ("u8 mask=0x100", "within 8 bits"),
        ("u8 mask=0x0f shift=4", "leave something"),
        ("u8 shift=8", "within 8 bits"),
        ("u8 scale=0", "other than 0"),
        ("u8 scale=inf", "finite numbers"),
        ("u8 offset=nan", "finite numbers"),
        ("u8 scale=x", "expected a number after scale="),
        ("u8 factor=2", "expected mask=…, shift=…, scale=…, offset=… after the type"),
    ],
)
def test_what_is_no_description(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Field.parse(text)


@given(
    st.sampled_from(["u8", "s8", "u16be", "s16le", "u24be", "s32be"]),
    st.integers(1, 0xFF),
    st.integers(0, 7),
    st.binary(min_size=4, max_size=4),
    st.integers(),
)
def test_what_is_encoded_is_decoded(kind: str, mask: int, shift: int, before: bytes, raw: int) -> None:
    if not mask >> shift:
        shift = 0
    field = Field.parse(f"{kind} mask={mask} shift={shift} scale=0.5 offset=1")
    low = -(1 << field.bits - 1) if field.is_signed else 0
    raw = low + raw % (1 << field.bits)
    # Bits that the mask has holes for cannot be written.
    raw &= mask >> shift
    if field.is_signed and raw >> (field.bits - 1):
        raw -= 1 << field.bits
    data = field.encode(raw * 0.5 + 1, before)
    assert field.decode(data) == raw * 0.5 + 1
    for old, new, bits in zip(before, data, field.mask.to_bytes(field.size, field.order), strict=False):
        assert old & ~bits == new & ~bits


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected -128 to 127"):
        Field.parse("s8").encode(128, b"\0")
