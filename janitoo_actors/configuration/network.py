"""The `[network]` section: the role of this server on the network. Source: `protocol.md`, "The network"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from janitoo_actors.api.options import Address, Bool, Duration, Line, Names
from janitoo_actors.api.schema import Applies, Option, Section
from janitoo_actors.protocol.hadd import Hadd

# Those of the original's programs.
PRIMARY: Final = Hadd(1, 0)
SECONDARY: Final = Hadd(2, 0)

_LONGEST: Final = 3600


class _AnyAddress(Address):
    """That of a controller or of a node: both may be network controllers."""

    @property
    def allowed(self) -> str:
        return f"an address, CCCC/NNNN, as {PRIMARY}"

    def parse(self, text: str, folder: Path = Path()) -> Hadd:  # noqa: ARG002 - it has no paths
        try:
            return Hadd.parse(text)
        except ValueError:
            raise self.refused() from None


def _timeout(default: float, text: str) -> Option[float]:
    return Option(Duration(_LONGEST, positive=True), help=text, default=default, applies=Applies.RESTART_SERVER)


class NetworkSection(Section):
    """What `[network]` may hold."""

    section = "network"
    help = "The role of this server on the network, if it has one: see [network.md](network.md)"

    is_primary = Option(
        Bool(),
        help="Whether it keeps the map of the network, and answers for it: one in a network",
        default=False,
        applies=Applies.RESTART_SERVER,
    )
    is_secondary = Option(
        Bool(),
        help="Whether it has the map too, from the primary; never both",
        default=False,
        applies=Applies.RESTART_SERVER,
    )
    hadd = Option[Hadd | None](
        _AnyAddress(),
        help="Where it is answered: each network controller needs an address of its own",
        default=None,
        default_text=f"{PRIMARY}, of a secondary {SECONDARY}",
        applies=Applies.RESTART_SERVER,
        example="0005/0000",
    )
    home_id = Option(
        Line(), help="What the network is called, for extensions", default="", applies=Applies.RESTART_SERVER
    )
    do_heartbeat_dispatch = Option(
        Bool(),
        help="Whether a primary tells the others which nodes are late",
        default=True,
        applies=Applies.RESTART_SERVER,
    )
    broadcast_timeout = _timeout(3, "The longest wait for an answer of anybody")
    resolv_timeout = _timeout(5, "The longest silence of a primary")
    request_timeout = _timeout(3, "The longest wait for the answer of one controller")
    extensions = Option[tuple[str, ...]](
        Names(),
        help="Packages that extend the network",
        default=(),
        applies=Applies.RESTART_SERVER,
        example="janitoo_actors",
    )

    @property
    def has_role(self) -> bool:
        """Whether there is anything to do."""
        return self.is_primary or self.is_secondary

    @property
    def address(self) -> Hadd:
        """Where it is answered."""
        if self.hadd is not None:
            return self.hadd
        return PRIMARY if self.is_primary else SECONDARY

    def check(self) -> Iterator[tuple[str, str]]:
        """One role at most."""
        if self.is_primary and self.is_secondary:
            yield "is_secondary", "a server is primary or secondary, never both: remove one of the two"
