"""Writing to the configuration file: what is set over the air is in the file before it is answered."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from janitoo_actors.configuration.edit import edited
from janitoo_actors.configuration.ini import IniFile, parse
from janitoo_actors.errors import TemporaryError

_TRIES: Final = 5
"""How often to start again because somebody else has saved the file in the meantime."""


class StoreError(TemporaryError):
    """The file could not be written this time; it is as it was."""


class ConfigStore:
    """The configuration file of a server, for writing. One for all of its buses; any thread.

    The file is replaced as a whole: whoever reads it, after a crash too, finds the old text or the new one.
    What an editor saved is kept: each write starts from the file as it is on disk.
    """

    def __init__(self, path: Path) -> None:
        """Get ready to write; removes what a killed process may have left beside the file. Blocks for the disk.

        Args:
            path: the file. Where it is a link, the file that it leads to is written.
        """
        self._path = path
        self._lock = threading.Lock()
        # The file as it was written last, and how it reads: to read one of a thousand nodes takes a tenth of a second.
        self._written: tuple[bytes, IniFile] | None = None
        # What cannot be removed now does no harm, and what is wrong with the folder is said by the first write.
        with contextlib.suppress(OSError), _locked_folder(self._real_path().parent):
            self._remove_leftovers(self._real_path())

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path

    def set(self, section: str, options: Mapping[str, str]) -> None:
        """Set options of a section; when this returns, they are on the disk. Blocks for the disk.

        Args:
            section: it is appended to the file where it is not there.
            options: texts by key; they are all set, or none.

        Raises:
            ConfigurationFileError: where the file is no INI file any more.
            UnstorableError: where an INI file cannot hold such a key or text.
            StoreError: where the disk is full, the file may not be written, and the like.
            All of them leave the file as it was.
        """
        with self._lock:
            try:
                real = self._real_path()
                with _locked_folder(real.parent) as folder:
                    self._remove_leftovers(real)
                    for _ in range(_TRIES):
                        if self._replace(real, folder, section, options):
                            return
            except StoreError:
                raise
            except OSError as error:
                raise StoreError(self._sentence(error)) from error
        raise StoreError(f"{self._path} was not written: another program is writing it all the time; try again")

    def _replace(self, real: Path, folder: int, section: str, options: Mapping[str, str]) -> bool:
        """Write the file once; False where somebody else has saved it meanwhile."""
        with real.open("rb") as file:
            data = file.read()
            before = os.fstat(file.fileno())
        if not data.strip():
            # An editor that empties the file before it writes it; to append to that would be to lose everything.
            raise StoreError(f"{self._path} was not written: it is empty now; try again when it is complete")
        ini = self._written[1] if self._written is not None and self._written[0] == data else parse(data, self._path)
        changed, reads = edited(ini, section, options)
        if changed == data:
            return True
        if not os.access(real, os.W_OK):
            # Replacing needs the permission for the folder only, but a file that is protected is meant to be.
            raise PermissionError("the file is read-only")
        temporary = real.with_name(f".{real.name}.{os.urandom(4).hex()}.tmp")
        try:
            _write_beside(temporary, changed, before)
            now = os.stat(real)
            if (now.st_ino, now.st_mtime_ns, now.st_size) != (before.st_ino, before.st_mtime_ns, before.st_size):
                return False
            os.replace(temporary, real)
        finally:
            # Gone where it has become the file.
            with contextlib.suppress(OSError):
                temporary.unlink()
        self._written = changed, reads
        # The new name, too, must survive a power failure.
        os.fsync(folder)
        return True

    def _real_path(self) -> Path:
        return Path(os.path.realpath(self._path))

    @staticmethod
    def _remove_leftovers(real: Path) -> None:
        leftover = re.compile(rf"\.{re.escape(real.name)}\.[0-9a-f]{{8}}\.tmp")
        for name in os.listdir(real.parent):
            if leftover.fullmatch(name) is not None:
                with contextlib.suppress(OSError):
                    (real.parent / name).unlink()

    def _sentence(self, error: OSError) -> str:
        reason = error.strerror or str(error)
        advice = ""
        if isinstance(error, PermissionError):
            advice = "; give the user that runs the server write permission for the file and its folder"
        return f"{self._path} was not written, and is as it was: {reason}{advice}"


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[int]:
    """Open a folder, and keep other processes with a store in it from writing at the same time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some network file systems cannot lock a folder; one process at a time is what they get.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write_beside(temporary: Path, data: bytes, like: os.stat_result) -> None:
    """Write a new file to the disk, with the owner and the permissions of another."""
    # Nobody else may read it before it has the permissions of the original: there are passwords in it.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        # Only root may give a file away; for others it is theirs already, or becomes theirs.
        owner = like.st_uid if os.geteuid() == 0 else -1
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, owner, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        os.fsync(descriptor)
