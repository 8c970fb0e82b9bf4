"""HADD: the address of a node on a Janitoo network, `CCCC/NNNN`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LAST: Final = 9999
_HADD: Final = re.compile(r"([0-9]{1,4})/([0-9]{1,4})")


@dataclass(frozen=True, order=True, slots=True)
class Hadd:
    """An address: the number of the controller (a bus), and of the node on it.

    Orders by controller, then node. Source: `protocol.md`, "Addresses".

    Attributes:
        controller: 0 to 9999.
        node: 0 to 9999; 0 is the controller's own node.
    """

    controller: int
    node: int

    def __post_init__(self) -> None:
        """Refuse numbers that four digits cannot hold."""
        if not (0 <= self.controller <= _LAST and 0 <= self.node <= _LAST):
            raise ValueError(f"{self.controller}/{self.node} is no address: both parts go from 0 to 9999")

    @classmethod
    def parse(cls, text: str) -> Hadd:
        """Read `CCCC/NNNN`; fewer digits are accepted, as people write them.

        Raises:
            ValueError: where the text is no address; the message says what is expected.
        """
        match = _HADD.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no address: expected CCCC/NNNN in decimal digits, as 0121/0001")
        return cls(int(match[1]), int(match[2]))

    @property
    def is_controller(self) -> bool:
        """Whether this is the controller node of a bus."""
        return self.node == 0

    def __str__(self) -> str:
        return f"{self.controller:04d}/{self.node:04d}"
