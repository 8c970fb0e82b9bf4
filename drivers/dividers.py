"""What is before the inputs of a converter, as a voltage divider."""

from __future__ import annotations

from typing import Final

from janitoo_actors.api import Number, Option

_MOST: Final = 1e6


def divider(uuid: str) -> tuple[Option[float], Option[float]]:
    """The options `scale` and `scale_<index>` of a converter, whose inputs are instances of a value."""
    factor = Number(-_MOST, _MOST)
    text = "What is measured is multiplied with this: 11 behind a divider of 100 and 10 kΩ"
    return (
        Option(factor, default=1.0, help=text, key="scale"),
        Option(
            factor,
            help="scale of one instance alone",
            default_text="that of scale",
            key="scale",
            of=uuid,
            example="1.0",
        ),
    )
