"""What a network controller is told of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from janitoo_actors.protocol.hadd import Hadd

SPREAD: Final = 1.0
"""Seconds over which secondaries that lose their primary at one moment spread their questions."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says of it. Times in seconds.

    Attributes:
        primary: whether it is a primary; otherwise a secondary.
        hadd: its address, at which it is answered.
        dispatch: whether a primary tells the others which nodes are late.
        first_answer: how long a secondary waits for the first answer of a primary; None for `resolv_timeout`.
    """

    primary: bool
    hadd: Hadd
    dispatch: bool = True
    broadcast_timeout: float = 3.0
    resolv_timeout: float = 5.0
    request_timeout: float = 3.0
    heartbeat_timeout: float = 5.0
    heartbeat_count: int = 3
    first_answer: float | None = None

    @property
    def spread(self) -> float:
        """Its own share of `SPREAD`: the same each time, and for neighbouring addresses far apart."""
        return SPREAD * ((self.hadd.controller * 0.618 + self.hadd.node * 0.382) % 1.0)
