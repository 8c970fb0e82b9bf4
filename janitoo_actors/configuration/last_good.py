"""The last good copies of a configuration file: kept by the server that runs with it, for a start when it is broken.

They are beside the file, as `.my.conf.good-1`, the newest, to `.my.conf.good-3`; where the folder of the file may not
be written, in `janitoo` below `$XDG_STATE_HOME`. Both are found without reading the file, as that is what is broken.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from janitoo_actors import locks
from janitoo_actors.configuration.durable import locked_folder, new_file, remove_leftovers, sync_folder

KEPT: Final = 3
"""How many copies there are at most."""


@dataclass(frozen=True, slots=True)
class GoodCopy:
    """A copy of a configuration file with which a server has run.

    Attributes:
        path: where it is.
        saved: when it was written, as a time of Unix.
    """

    path: Path
    saved: float

    @property
    def date(self) -> str:
        """When it was written, for people."""
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.saved))


def good_copies(path: Path) -> list[GoodCopy]:
    """The copies of a configuration file, the newest first. Any thread; blocks for the disk."""
    found = []
    for place in _places(Path(os.path.realpath(path))):
        for number in range(1, KEPT + 1):
            try:
                found.append(GoodCopy(place.path(number), place.path(number).stat().st_mtime))
            except OSError:
                # There is none, or none that may be seen.
                continue
    # Copies beside the file come first, and 1 before 2, where the clock has not moved.
    return sorted(found, key=lambda copy: -copy.saved)


def keep(real: Path, data: bytes, *, new: bool) -> None:
    """Keep a copy of what a server runs with. For one thread at a time; blocks for the disk.

    Args:
        real: the file itself, and no link to it.
        data: what the server runs with, which need not be what is in the file.
        new: the copies before it are kept, and the oldest goes; otherwise it takes the place of the newest.

    Raises:
        OSError: it could not be kept; the others are there still.
    """
    *_, last = places = list(_places(real))
    place = next((each for each in places if os.access(each.folder, os.W_OK)), last)
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked_folder(place.folder) as folder, real.open("rb") as like:
        remove_leftovers(place.folder, place.name)
        newest = place.path(1)
        if newest.exists() and newest.read_bytes() == data:
            return
        with new_file(place.folder, place.name, data, like.fileno()) as temporary:
            if new:
                for number in range(KEPT, 1, -1):
                    if place.path(number - 1).exists():
                        os.replace(place.path(number - 1), place.path(number))
            os.replace(temporary, newest)
        sync_folder(folder)


@dataclass(frozen=True, slots=True)
class _Place:
    folder: Path
    name: str

    def path(self, number: int) -> Path:
        return self.folder / f".{self.name}.good-{number}"


def _places(real: Path) -> Iterator[_Place]:
    yield _Place(real.parent, real.name)
    state = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))
    # A user without a home has none.
    if state.is_absolute():
        # Other files may have the same name.
        yield _Place(state / "janitoo" / locks.file_name(str(real.parent)), real.name)
