"""What each value type accepts, from the wire (JSON) and from a file (text), and what it becomes.

Pure functions; any thread.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from janitoo_actors.protocol.codes import ValueType
from janitoo_actors.protocol.hadd import Hadd

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_RGB: Final = re.compile(r"#?[0-9a-fA-F]{6}")
_TEN_YEARS: Final = 315_360_000
"""Seconds."""
# What a line of an INI file cannot hold: controls (line ends among them) and Unicode's own line ends.
_NO_LINE_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def coerce(
    type_: ValueType,
    raw: Any,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    items: Sequence[str] | None = None,
) -> Any:
    """The data that `raw` stands for.

    Args:
        type_: the value's type.
        raw: JSON data, or the text of an option.
        minimum, maximum: limits for numbers; equal limits (the original writes 0 and 0) mean none.
        items: what a list value may be; None or empty means anything.

    Raises:
        ValueError: where it is no such data; the message starts with "expected".
    """
    data = _CONVERTERS[type_](raw)
    if items and str(data) not in items:
        raise ValueError(f"expected one of {', '.join(items)}")
    if isinstance(data, int | float) and not isinstance(data, bool) and minimum != maximum:
        if minimum is not None and data < minimum:
            raise ValueError(f"expected {minimum} or more")
        if maximum is not None and data > maximum:
            raise ValueError(f"expected {maximum} or less")
    return data


def seconds(raw: Any, *, maximum: float | None = None) -> int | float:
    """A number of seconds, 0 or more, at most ten years; whole where it is whole (the wire's type for it is Int).

    Raises:
        ValueError: where it is no such number; the message starts with "expected".
    """
    limit = f" to {maximum}" if maximum is not None else " or more"
    try:
        number = _decimal(raw)
    except ValueError:
        raise ValueError(f"expected a number of seconds, 0{limit}") from None
    if number < 0 or (maximum is not None and number > maximum):
        raise ValueError(f"expected a number of seconds, 0{limit}")
    if number > _TEN_YEARS:
        # Clocks and timers take no number of seconds whatever.
        raise ValueError(f"expected a number of seconds, 0 to {_TEN_YEARS}")
    return int(number) if number == int(number) else number


def one_line(raw: Any) -> str:
    """A text that one line of an INI file can hold, without the white space around it.

    Raises:
        ValueError: where it holds a line end or another control character; the message starts with "expected".
    """
    if isinstance(raw, bool | int | float):
        raw = str(raw)
    if not isinstance(raw, str):
        raise ValueError("expected a text")
    if any(unicodedata.category(letter) in _NO_LINE_CATEGORIES for letter in raw):
        raise ValueError("expected a text of one line, without control characters")
    return raw.strip()


def to_text(data: Any) -> str:
    """The data as an option of the file holds it; `coerce` reads it back."""
    if data is None:
        return ""
    if isinstance(data, bool):
        return "True" if data else "False"
    if isinstance(data, dict | list):
        return json.dumps(data)
    return str(data)


def _boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int) and raw in (0, 1):
        return bool(raw)
    if isinstance(raw, str) and raw.strip().lower() in _TRUE:
        return True
    if isinstance(raw, str) and raw.strip().lower() in _FALSE:
        return False
    raise ValueError("expected True or False")


def _integer(raw: Any) -> int:
    try:
        number = _decimal(raw)
    except ValueError:
        raise ValueError("expected a whole number") from None
    if number != int(number):
        raise ValueError("expected a whole number")
    try:
        # Exact for large whole numbers, which a float would round.
        return int(raw)
    except ValueError:
        # A text as "60.0".
        return int(number)


def _between(low: int, high: int) -> Callable[[Any], int]:
    def convert(raw: Any) -> int:
        try:
            number = _integer(raw)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return number

    return convert


def _decimal(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError("expected a number")
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        raise ValueError("expected a number") from None
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def _structure(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        data = json.loads(raw)
        # NaN and infinity, which Python reads and JSON does not have, could not be published.
        json.dumps(data, allow_nan=False)
        return data
    except (ValueError, RecursionError):
        raise ValueError("expected JSON") from None


def _array(raw: Any) -> list[Any]:
    data = _structure(raw)
    if not isinstance(data, list):
        raise ValueError("expected a JSON array")
    return data


def _address(raw: Any) -> str:
    try:
        return str(Hadd.parse(raw if isinstance(raw, str) else ""))
    except ValueError:
        raise ValueError("expected an address CCCC/NNNN, as 0121/0001") from None


def _ip(raw: Any) -> str:
    try:
        return str(ipaddress.ip_address(raw if isinstance(raw, str) else ""))
    except ValueError:
        raise ValueError("expected an IP address") from None


def _rgb(raw: Any) -> str:
    text = one_line(raw)
    if _RGB.fullmatch(text) is None:
        raise ValueError("expected a colour as #rrggbb")
    return text


def _as_is(raw: Any) -> Any:
    return raw


_CONVERTERS: Final[Mapping[ValueType, Callable[[Any], Any]]] = {
    ValueType.BOOL: _boolean,
    ValueType.BYTE: _between(0, 255),
    ValueType.DECIMAL: _decimal,
    ValueType.INT: _integer,
    ValueType.LIST: one_line,
    ValueType.SCHEDULE: one_line,
    ValueType.SHORT: _between(-32768, 32767),
    ValueType.STRING: one_line,
    ValueType.BUTTON: one_line,
    ValueType.RAW: _as_is,
    ValueType.PASSWORD: one_line,
    ValueType.JSON: _structure,
    ValueType.ARRAY: _array,
    ValueType.VAR: _as_is,
    ValueType.HADD: _address,
    ValueType.IP: _ip,
    ValueType.RGB: _rgb,
}
