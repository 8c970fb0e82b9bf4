"""Which extra of the package brings what a driver needs: `pip install 'janitoo-actors[nut]'`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = "janitoo-actors"

EXTRAS: Final = {
    "hostsensor.lmsensor": "lmsensor",
    "nut": "nut",
    "rpi1wire": "rpi1wire",
    "rpigpio": "rpigpio",
    "rpii2c": "rpii2c",
    "rpispi": "rpispi",
}
"""By the oid of a bus, for all of its components too, or by that of one component."""


def extra_of(oid: str) -> str | None:
    """The extra for a bus or a component; None where it needs none, or is not ours."""
    return EXTRAS.get(oid) or EXTRAS.get(oid.partition(".")[0])


def how_to_install(oid: str) -> str:
    """The command that installs what a bus or a component needs; empty where nothing is known of it."""
    extra = extra_of(oid)
    return "" if extra is None else install(extra)


def install(extra: str) -> str:
    """The command that installs an extra where this Python looks for it."""
    return f"{pip()} install '{PACKAGE}[{extra}]'"


def pip() -> str:
    """The pip of this Python as one types it: with its folder, where it is that of a virtual environment which the
    shell does not know of. The system's own pip would install elsewhere, or refuse to."""
    if sys.prefix == sys.base_prefix or os.environ.get("VIRTUAL_ENV") == sys.prefix:
        return "pip"
    return str(Path(sys.prefix, "bin", "pip"))
