"""Who has a device that is busy, and is none of ours: a driver of the kernel, another program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_MOST: Final = 3


def kernel_driver(device: Path) -> str | None:
    """The name of the kernel's driver that a device in `/sys` is bound to; None where it is to none. Blocks shortly."""
    driver = device / "driver"
    return driver.resolve().name if driver.exists() else None


def programs_with(path: Path) -> str:
    """The other programs that have a file open, in words: `i2cdetect (process 812)`; empty where none can be seen.

    Those of other users are seen by root only. Any thread; blocks for as long as it takes to look at all processes.
    """
    wanted = str(path)
    found = []
    for process in sorted(_PROCESSES.glob("[0-9]*"), key=lambda each: int(each.name)):
        if process.name != str(os.getpid()) and _has_open(process, wanted):
            found.append(f"{_name(process)} (process {process.name})")
    more = len(found) - _MOST
    return ", ".join(found[:_MOST]) + (f" and {more} more" if more > 0 else "")


def _has_open(process: Path, wanted: str) -> bool:
    try:
        return any(os.readlink(each) == wanted for each in (process / "fd").iterdir())
    except OSError:
        # Ended meanwhile, or another user's.
        return False


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a program"
