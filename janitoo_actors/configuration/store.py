"""Writing to the configuration file: what is set over the air is in the file before it is answered."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from janitoo_actors.configuration import last_good
from janitoo_actors.configuration.durable import locked_folder, new_file, remove_leftovers, sync_folder
from janitoo_actors.configuration.edit import edited
from janitoo_actors.configuration.ini import ConfigurationFileError, IniFile, parse, read
from janitoo_actors.errors import TemporaryError

_TRIES: Final = 5
"""How often to start again because somebody else has saved the file in the meantime."""


class StoreError(TemporaryError):
    """The file could not be written this time; it is as it was."""


class ConflictError(StoreError):
    """Somebody has changed the same option in the file, and the server has not read that yet; both stay as they are."""


class ConfigStore:
    """The configuration file of a server, for writing. One for all of its buses; any thread.

    The file is replaced as a whole: whoever reads it, after a crash too, finds the old text or the new one.
    What an editor saved is kept: each write starts from the file as it is on disk, and changes no option that the
    editor has changed. The store knows what the server has in force: what it was made with, or adopted since, and what
    it has written. That is also what the last good copy has, without anything that an editor has saved meanwhile.
    """

    def __init__(self, path: Path, in_force: IniFile | None = None, *, refuses: str = "") -> None:
        """Get ready to write; removes what a killed process may have left beside the file. Blocks for the disk.

        Args:
            path: the file. Where it is a link, the file that it leads to is written.
            in_force: what the server runs with; None: what is in the file now.
            refuses: why nothing may be written until something is adopted; as when the file is broken, and the server
                runs on a copy of it.
        """
        self._path = path
        self._lock = threading.Lock()
        self._in_force = in_force if in_force is not None else _read_now(path)
        self._is_good = False
        # What has been written since `read`, which a reload will not have seen.
        self._since_read: dict[str, dict[str, str]] = {}
        self._refuses = refuses
        # The file as it was written last, and how it reads: to read one of a thousand nodes takes a tenth of a second.
        self._written: tuple[bytes, IniFile] | None = None
        self._failing = ""
        self._log = structlog.get_logger()
        real = self._real_path()
        # What cannot be removed now does no harm, and what is wrong with the folder is said by the first write.
        with contextlib.suppress(OSError), locked_folder(real.parent):
            remove_leftovers(real.parent, real.name)

    @property
    def path(self) -> Path:
        """The file, as it was named."""
        return self._path

    def read(self) -> IniFile:
        """Read the file anew, for a reload. Blocks for the disk.

        Raises:
            ConfigurationFileError: where it cannot be read, as `ini.read`.
        """
        with self._lock:
            ini = read(self._path)
            self._since_read = {}
            return ini

    def adopt(self, ini: IniFile, *, good: bool) -> IniFile:
        """Take it that the server runs with this from now on, as after a reload. Blocks for the disk.

        Args:
            ini: what `read` has given last, or what the store was made with.
            good: whether nothing is wrong with it: a last good copy of it is kept.

        Returns:
            What is in force now: with what has been set over the air since the file was read.

        Raises:
            UnstorableError: where that cannot be stored in what was read; nothing has changed then.
        """
        with self._lock:
            for section, options in self._since_read.items():
                _, ini = edited(ini, section, options)
            self._since_read = {}
            self._in_force = ini
            self._refuses = ""
            self._is_good = good
            self._keep(new=True)
            return ini

    def set(self, section: str, options: Mapping[str, str]) -> None:
        """Set options of a section; when this returns, they are on the disk. Blocks for the disk.

        Args:
            section: it is appended to the file where it is not there.
            options: texts by key; they are all set, or none.

        Raises:
            UnstorableError: where an INI file cannot hold such a key or text.
            ConflictError: where one of them has been changed in the file to something else.
            StoreError: where the disk is full, the file may not be written or is no INI file any more, and the like.
            All of them leave the file as it was.
        """
        with self._lock:
            try:
                self._set(section, options)
            except StoreError as error:
                # Once: whoever asks again and again is told each time.
                if str(error) != self._failing:
                    self._failing = str(error)
                    conflict = isinstance(error, ConflictError)
                    self._log.error(
                        "configuration_conflict" if conflict else "configuration_not_written", error=str(error)
                    )
                raise
            self._since_read.setdefault(section, {}).update({key.lower(): text for key, text in options.items()})
            if self._failing:
                self._failing = ""
                self._log.info("configuration_written", file=str(self._path))
            self._keep(new=False)

    def _set(self, section: str, options: Mapping[str, str]) -> None:
        if self._refuses:
            raise StoreError(f"{self._path} was not written: {self._refuses}")
        try:
            real = self._real_path()
            with locked_folder(real.parent) as folder:
                remove_leftovers(real.parent, real.name)
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
            known = self._written is not None and self._written[0] == data
            ini = self._written[1] if known and self._written is not None else self._parsed(data)
            self._check_conflict(ini, section, options)
            changed, reads = edited(ini, section, options)
            in_force = self._in_force
            if in_force is not None and in_force.data != data:
                # What an editor has saved is not in force.
                _, in_force = edited(in_force, section, options)
            else:
                in_force = reads
            if changed != data:
                if not os.access(real, os.W_OK):
                    if os.statvfs(real).f_flag & os.ST_RDONLY:
                        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
                    # Replacing needs the permission for the folder only, but a file that is protected is meant to be.
                    raise PermissionError("the file is read-only")
                with new_file(real.parent, real.name, changed, file.fileno()) as temporary:
                    now = os.stat(real)
                    if (now.st_ino, now.st_mtime_ns, now.st_size) != (
                        before.st_ino,
                        before.st_mtime_ns,
                        before.st_size,
                    ):
                        return False
                    os.replace(temporary, real)
                self._confirm(real, folder, data, file.fileno())
        self._written = changed, reads
        self._in_force = in_force
        return True

    def _parsed(self, data: bytes) -> IniFile:
        try:
            return parse(data, self._path)
        except ConfigurationFileError as error:
            first, *more = error.problems
            rest = f", and {len(more)} more" if more else ""
            raise StoreError(
                f"{self._path} was not written: it is broken; mend it first. What is wrong: {first}{rest}"
            ) from error

    def _confirm(self, real: Path, folder: int, data: bytes, like: int) -> None:
        """Have the new file survive a power failure. Where the disk does not confirm that, put the old one back."""
        try:
            sync_folder(folder)
        except OSError as error:
            try:
                with new_file(real.parent, real.name, data, like) as temporary:
                    os.replace(temporary, real)
            except OSError as second:
                raise StoreError(
                    f"{self._path} was written, but the disk does not confirm it ({error.strerror}), and it cannot be "
                    f"put back ({second.strerror}): the file has the new value, and the server the old one"
                ) from error
            raise

    def _check_conflict(self, ini: IniFile, section: str, options: Mapping[str, str]) -> None:
        """Refuse to write over what somebody else has changed in the file since the server has read it."""
        if self._in_force is None:
            return
        mine, theirs = self._in_force.sections.get(section), ini.sections.get(section)
        advice = "and the server has not read that yet: not written; reload the file or restart the server first"
        if mine is not None and theirs is None:
            raise ConflictError(f"{self._path}: [{section}] has been removed from the file, {advice}")
        for name, text in options.items():
            key = name.lower()
            was, now = (mine or {}).get(key), (theirs or {}).get(key)
            if now not in {was, text}:
                what = "has been removed from the file" if now is None else "has been changed in the file"
                raise ConflictError(str(ini.problem(section, key, f"it {what}, {advice}")))

    def _keep(self, *, new: bool) -> None:
        """Keep what is in force as a good copy, where it is one."""
        if not self._is_good or self._in_force is None:
            return
        try:
            last_good.keep(self._real_path(), self._in_force.data, new=new)
        except OSError as error:
            # The file itself is what counts.
            self._log.warning("last_good_not_kept", file=str(self._path), error=error.strerror or str(error))

    def _real_path(self) -> Path:
        return Path(os.path.realpath(self._path))

    def _sentence(self, error: OSError) -> str:
        reason = error.strerror or str(error)
        advice = ""
        if isinstance(error, PermissionError):
            advice = "; give the user that runs the server write permission for the file and its folder"
        return f"{self._path} was not written, and is as it was: {reason}{advice}"


def _read_now(path: Path) -> IniFile | None:
    """What is in the file; None where nothing can be read from it, which the first write will say."""
    try:
        return read(path)
    except ConfigurationFileError:
        return None
