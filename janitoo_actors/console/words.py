"""Times and numbers as people read them. Pure functions."""

from __future__ import annotations

import json
import time
from typing import Any, Final

_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def age(seconds: float | None) -> str:
    """`5s`, `12m`, `3h`, `4d`; a dash where it is not known."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < _MINUTE:
        return f"{seconds:.0f}s"
    if seconds < _HOUR:
        return f"{seconds // 60:.0f}m"
    return f"{seconds // _HOUR:.0f}h" if seconds < _DAY else f"{seconds // _DAY:.0f}d"


def clock(seconds: float) -> str:
    """A time of day; with the date where it was not within a day."""
    then = time.localtime(seconds)
    return time.strftime("%H:%M:%S" if time.time() - seconds < _DAY else "%Y-%m-%d %H:%M:%S", then)


def count(number: float | None) -> str:
    """`950`, `12k`, `3.4M`; a dash where it is not known."""
    if number is None:
        return "-"
    if number < 10_000:  # noqa: PLR2004 - five figures fit no column
        return f"{number:.0f}"
    return f"{number / 1000:.0f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"  # noqa: PLR2004 - a million


def rate(handled: int, seconds: float) -> str:
    """`0.3/s`."""
    each = handled / seconds if seconds > 0 else 0.0
    return f"{each:.1f}" if each < 100 else f"{each:.0f}"  # noqa: PLR2004 - three figures


def data(items: list[Any], units: str | None) -> str:
    """The data of a value: its instances, and their units."""
    texts = [json.dumps(each, ensure_ascii=False) if isinstance(each, dict | list) else _item(each) for each in items]
    return ", ".join(texts) + (f" {units}" if units and any(each is not None for each in items) else "")


def _item(each: Any) -> str:
    if each is None:
        return "-"
    return f"{each:g}" if isinstance(each, float) else str(each)


def seconds_of(text: str) -> float:
    """Read `90`, `90s`, `10m`, `2h`, `1d`, for argparse. Raises ValueError."""
    unit = _UNITS.get(text[-1:].lower())
    number = float(text[:-1] if unit is not None else text)
    if not 0 < number < 1e9:  # noqa: PLR2004 - more than anybody waits, and neither NaN
        raise ValueError(text)
    return number * (unit or 1.0)


def json_or_text(text: str) -> Any:
    """What JSON has, where it is that; otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
