"""Locks between the processes of a machine, each with a note that says who holds it.

A lock is a file that is locked with `flock` for as long as it is held: it goes with its process, however that ends,
and what a killed one leaves behind stops nobody. It is held in every folder of the machine that this user may write, so
that two processes need only one of them in common; and a process that may write none of them has no locks, and goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

RUN_DIR: Final = "JANITOO_RUN_DIR"
"""The variable of the environment that names one folder instead of all those of the machine."""
_MACHINE: Final = (Path("/run/lock/janitoo"), Path("/run/janitoo/lock"), Path("/dev/shm/janitoo"))
"""The last one is there on any Linux, for all users, and under systemd's `ProtectSystem=strict` too."""
_SUFFIX: Final = ".lock"
_TRIES: Final = 6
_PAUSE: Final = 0.01
"""Seconds between two tries: who only looks who holds a lock has it for a moment."""
_LONGEST: Final = 120
"""How long a file's name may be before it is shortened; the file systems take 255 bytes."""
_LONGEST_NOTE: Final = 65536

Note = Mapping[str, Any]
"""Who holds a lock; whatever JSON can carry."""


class LockedError(Exception):
    """Another one holds the lock.

    Attributes:
        note: who; empty where it has not said so.
    """

    def __init__(self, name: str, note: Note) -> None:
        super().__init__(f"{name} is locked by {dict(note)}")
        self.note = note


def file_name(text: str) -> str:
    """A name of a file for any text, different for different texts."""
    name = quote(text, safe=" +@=,()", errors="surrogatepass") or "%"
    if name in {".", ".."} or len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}~{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    return name


def lock_folders() -> tuple[Path, ...]:
    """The folders for locks that this process can use; made where they are not there. Any thread; blocks for the disk.

    None where there is none: then there are no locks.
    """
    given = os.environ.get(RUN_DIR)
    candidates = (Path(given) / "lock",) if given else _MACHINE
    return tuple(folder for folder in candidates if _usable(folder, make_parents=bool(given)))


class Lock:
    """A lock that is held. Made by `take`; any thread may release it."""

    def __init__(self, files: tuple[tuple[Path, int], ...]) -> None:
        self._files = files

    @property
    def is_seen(self) -> bool:
        """Whether there is a folder where others see it."""
        return bool(self._files)

    def write(self, note: Note) -> None:
        """Say who holds it."""
        for _, descriptor in self._files:
            _write_note(descriptor, note)

    def release(self) -> None:
        """Give it back; nothing where it has been."""
        files, self._files = self._files, ()
        for path, descriptor in files:
            # Before it is unlocked: whoever opens it now finds that it is not the file of that name any more.
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)


def take(name: str, note: Note, *, tries: int = _TRIES) -> Lock:
    """Take a lock. Blocks for some hundredths of a second where it is held.

    Args:
        note: who takes it, for those who come later.
        tries: how often, until it is taken for held.

    Raises:
        LockedError: somebody holds it, perhaps in this process.
    """
    taken: list[tuple[Path, int]] = []
    try:
        for folder in lock_folders():
            path = folder / f"{file_name(name)}{_SUFFIX}"
            # A folder where this user may not do it (somebody else's file, a full disk) is none for this lock.
            with contextlib.suppress(OSError):
                taken.append((path, _take(path, name, note, tries)))
    except BaseException:
        Lock(tuple(taken)).release()
        raise
    return Lock(tuple(taken))


def holder(name: str) -> Note | None:
    """Who holds a lock; None where nobody does. Takes nothing; any thread; blocks for the disk."""
    for folder in lock_folders():
        note = _look(folder / f"{file_name(name)}{_SUFFIX}")
        if note is not None:
            return note
    return None


def holders(prefix: str) -> list[Note]:
    """The notes of all locks that are held and whose names begin so. Takes nothing; any thread; blocks for the disk."""
    found: dict[str, Note] = {}
    for folder in lock_folders():
        # A folder that cannot be listed has nothing to tell.
        with contextlib.suppress(OSError):
            for entry in sorted(os.listdir(folder)):
                if entry.startswith(prefix) and entry.endswith(_SUFFIX) and entry not in found:
                    note = _look(folder / entry)
                    if note is not None:
                        found[entry] = note
    return list(found.values())


def lock_file(path: Path, text: bytes) -> int:
    """Write and lock a file that others read, as a pid file; its descriptor.

    Raises:
        LockedError: another process has it; the note is empty.
        OSError: it cannot be written.
    """
    while True:
        descriptor = _open(path, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, text, 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise LockedError(str(path), {}) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _usable(folder: Path, *, make_parents: bool) -> bool:
    try:
        folder.mkdir(parents=make_parents)
        # For all users, whatever the umask; each may remove its own files only.
        folder.chmod(0o1777)
    except FileExistsError:
        pass
    except OSError:
        return False
    try:
        # A link is not followed: in a folder that all may write, anybody can have put it there.
        is_folder = stat.S_ISDIR(os.lstat(folder).st_mode)
    except OSError:
        return False
    return is_folder and os.access(folder, os.W_OK | os.X_OK)


def _take(path: Path, name: str, note: Note, tries: int) -> int:
    found: Note = {}
    for number in range(tries):
        descriptor = _open(path, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(descriptor, path):
                _write_note(descriptor, note)
                return descriptor
            # Its last holder has removed it since it was opened.
        except BlockingIOError:
            found = _read_note(descriptor)
            if number < tries - 1:
                time.sleep(_PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise LockedError(name, found)


def _open(path: Path, mode: int) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        # Not with O_CREAT alone: the kernel refuses that for a file of another user in a folder for all.
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, flags)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, mode)
            return descriptor


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _look(path: Path) -> Note | None:
    """The note of a file where it is locked."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # Together with others who look; who takes it tries more than once.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_note(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _write_note(descriptor: int, note: Note) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(dict(note)).encode(), 0)


def _read_note(descriptor: int) -> Note:
    try:
        note = json.loads(os.pread(descriptor, _LONGEST_NOTE, 0))
    except (OSError, ValueError):
        # Just being written, or by somebody else.
        return {}
    return note if isinstance(note, dict) else {}


def texts(note: Note, *keys: str) -> Iterator[str]:
    """Texts of a note, which anybody may have written; empty where there are none."""
    for key in keys:
        text = note.get(key)
        yield text if isinstance(text, str) else ""
