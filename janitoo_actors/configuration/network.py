"""The `[network]` section: the role of this server on the network. Source: `protocol.md`, "The network"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import Problem
from janitoo_actors.configuration.options import SectionReader, boolean, duration, optional
from janitoo_actors.configuration.suggest import did_you_mean
from janitoo_actors.protocol.hadd import Hadd

SECTION: Final = "network"

KEYS: Final = (
    "is_primary",
    "is_secondary",
    "hadd",
    "home_id",
    "do_heartbeat_dispatch",
    "broadcast_timeout",
    "resolv_timeout",
    "request_timeout",
    "extensions",
)
"""Every key that is read."""

# Those of the original's programs.
PRIMARY: Final = Hadd(1, 0)
SECONDARY: Final = Hadd(2, 0)

_PACKAGE: Final = re.compile(r"[A-Za-z_][\w.-]*")
_LONGEST: Final = 3600.0


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """`[network]`, of a server that has a role. Times in seconds.

    Attributes:
        is_primary: whether it is a primary; otherwise it is a secondary.
        hadd: the address at which it is answered; each network controller has its own.
        extensions: the packages whose entry points extend the network.
    """

    is_primary: bool
    hadd: Hadd
    home_id: str = ""
    do_heartbeat_dispatch: bool = True
    broadcast_timeout: float = 3.0
    resolv_timeout: float = 5.0
    request_timeout: float = 3.0
    extensions: tuple[str, ...] = ()


def read_network(ini: IniFile, problems: list[Problem], warnings: list[Problem]) -> NetworkConfig | None:
    """Read `[network]`; None where there is no such section, or no role in it. Pure; any thread.

    Args:
        problems: what is wrong is appended here; the result is None then.
        warnings: keys that nothing reads are appended here.
    """
    section = ini.sections.get(SECTION)
    if section is None:
        return None
    found: list[Problem] = []
    reader = SectionReader(ini, SECTION, found)
    for key in section:
        if key not in KEYS:
            warnings.append(ini.problem(SECTION, key, f"nothing reads this key{did_you_mean(key, KEYS)}"))
    is_primary = reader.read("is_primary", False, boolean)
    is_secondary = reader.read("is_secondary", False, boolean)
    if is_primary and is_secondary:
        reader.wrong("is_secondary", "a server is primary or secondary, never both: remove one of the two")
    timeout = duration(_LONGEST, positive=True)
    config = NetworkConfig(
        is_primary=is_primary,
        hadd=reader.read("hadd", PRIMARY if is_primary else SECONDARY, Hadd.parse),
        home_id=reader.read("home_id", None, optional) or "",
        do_heartbeat_dispatch=reader.read("do_heartbeat_dispatch", True, boolean),
        broadcast_timeout=reader.read("broadcast_timeout", 3.0, timeout),
        resolv_timeout=reader.read("resolv_timeout", 5.0, timeout),
        request_timeout=reader.read("request_timeout", 3.0, timeout),
        extensions=reader.read("extensions", (), _packages),
    )
    problems.extend(found)
    return config if not found and (is_primary or is_secondary) else None


def _packages(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.replace("\n", ",").split(",")]
    wrong = [name for name in names if name and _PACKAGE.fullmatch(name) is None]
    if wrong:
        raise ValueError(f"expected the names of packages with commas between them; {wrong[0]!r} is none")
    return tuple(dict.fromkeys(name for name in names if name))
