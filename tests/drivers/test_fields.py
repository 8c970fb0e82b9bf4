"""Numbers in the bytes of a chip, by their description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.fields import Field, Steps
from janitoo_actors.api import TemporaryError


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
        ("at=1 u16be scale=5/4096", b"\xff\x08\x00", 2.5),
        ("mask=0xfffff units=% u48be scale=100/1048576", b"\xff\xff\xff\xf8\x00\x00", 50),
    ],
)
def test_decoding(text: str, data: bytes, number: float) -> None:
    assert Field.parse(text).decode(data) == pytest.approx(number)


def test_a_fault_is_no_number() -> None:
    field = Field.parse("u16be shift=3 fault=0x0004")
    assert field.decode(b"\x00\x08") == 1
    with pytest.raises(TemporaryError, match="no reading: 0x000c has bits of fault=0x4"):
        field.decode(b"\x00\x0c")


@pytest.mark.parametrize(
    ("text", "messages", "again"),
    [
        ("0x01=0x60 0xa0, 0x02=0", (b"\x01\x60\xa0", b"\x02\x00"), "0x01 0x60 0xa0, 0x02 0x00"),
        ("0x10", (b"\x10",), "0x10"),
        ("0x0130=1", (b"\x01\x30\x01",), "0x01 0x30 0x01"),
        ("", (), ""),
    ],
)
def test_bytes_to_send(text: str, messages: tuple[bytes, ...], again: str) -> None:
    assert Steps().parse(text) == messages
    assert Steps().text(messages) == again
    assert Steps().parse(again) == messages


@pytest.mark.parametrize("text", ["0x100", "1=", "=1", "x", "0x12345=1", "1=0x100"])
def test_what_are_no_bytes_to_send(text: str) -> None:
    with pytest.raises(ValueError, match="expected bytes to send, with a comma between messages, as"):
        Steps().parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("u12be", "expected one type, as"),
        ("u16", "expected one type, as"),
        ("u8 mask=0x100", "within 8 bits"),
        ("u8 mask=0x0f shift=4", "leave something"),
        ("u8 shift=8", "within 8 bits"),
        ("u8 scale=0", "other than 0"),
        ("u8 scale=inf", "finite numbers"),
        ("u8 offset=nan", "finite numbers"),
        ("u8 scale=x", "expected a number after scale="),
        ("u8 u8", "expected one type, as"),
        ("mask=1", "expected one type, as"),
        ("u8 scale=1/0", "expected a number after scale=, or a fraction, as 5/4096"),
        ("u8 shift=x", "expected a number after shift="),
        ("u8 fault=0x100", "expected fault and ones within 8 bits"),
        ("u8 mask=0x0f ones=0x08", "expected ones outside of the mask"),
        ("u8 at=65", "expected at from 0 to 64"),
        ("u8 at=-1", "expected at from 0 to 64"),
        ("u8 units=", "expected units of 1 to 16 characters"),
        ("u8 units=" + 17 * "x", "expected units of 1 to 16 characters"),
        (
            "u8 factor=2",
            "expected mask=…, shift=…, at=…, fault=…, ones=…, scale=…, offset=…, units=… beside the type, not factor=",
        ),
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


def test_what_is_around_it_stays() -> None:
    field = Field.parse("at=1 u8 mask=0x0f ones=0x80")
    assert field.encode(5, b"\x11\x22\x33") == b"\x11\xa5\x33"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected -128 to 127"):
        Field.parse("s8").encode(128, b"\0")
    with pytest.raises(ValueError, match=r"expected 0 to 2.55e-298"):
        Field.parse("u8 scale=1e-300").encode(1e300, b"\0")
