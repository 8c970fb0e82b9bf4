"""What one does to the main board of `bench/hwmon.umockdev` while programs run on it."""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path

FAKE = "fakechip.0"


class Board:
    """The files of a board.

    Args:
        root: where umockdev has put them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = {FAKE: 0}
        self._fifo: FileIO | None = None

    def unplug(self, chip: str = FAKE, number: int = 0) -> None:
        """Take a chip away."""
        (self._root / f"sys/class/hwmon/hwmon{number}").unlink()
        self._device(chip, number).rename(self._root / chip)

    def plug(self, number: int, chip: str = FAKE) -> None:
        """Have it again, under another number or the same."""
        self._numbers[chip] = number
        device = self._device(chip, number)
        (self._root / chip).rename(device)
        # By its new path, as the kernel makes a new folder each time.
        (self._root / f"sys/class/hwmon/hwmon{number}").symlink_to(f"../../devices/platform/{chip}/hwmon/{device.name}")

    def say(self, file: str, text: str, chip: str = FAKE, number: int | None = None) -> None:
        """Have a chip say something. At once, as somebody may be reading it."""
        folder = self._device(chip, self._numbers.get(chip, 0) if number is None else number)
        (folder / ".new").write_text(text)
        (folder / ".new").rename(folder / file)

    def hang(self, file: str) -> None:
        """Have whoever reads this of the first chip hang, until `release`."""
        partial = self._device(FAKE, 0) / ".new"
        os.mkfifo(partial)
        # Open for writing: umockdev has all of a program wait for one that hangs in opening a file.
        self._fifo = partial.open("r+b", buffering=0)
        partial.rename(self._device(FAKE, 0) / file)

    def release(self, file: str, text: str) -> None:
        """Let go who hangs."""
        assert self._fifo is not None
        with self._fifo as fifo:
            self.say(file, text)
            fifo.write(f"{text}\n".encode())

    def _device(self, chip: str, number: int) -> Path:
        return self._root / f"sys/devices/platform/{chip}/hwmon/hwmon{number}"
