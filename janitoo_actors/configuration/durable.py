"""Replacing a file as a whole: it is the old one or the new one whenever the power fails. Blocks for the disk."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NO_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""What file systems say that cannot sync a folder; they have other means, or none."""


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[int]:
    """Open a folder, and keep others that write in it this way from doing so at the same time; its descriptor."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some network file systems cannot lock a folder; one process at a time is what they get.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folder(descriptor: int) -> None:
    """Have the names in a folder survive a power failure. Raises OSError where the disk does not confirm it."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


@contextlib.contextmanager
def new_file(folder: Path, name: str, data: bytes, like: int) -> Iterator[Path]:
    """Write a file to the disk that is to take the place of another; removed where it does not.

    Args:
        folder, name: of the file whose place it is to take.
        like: a descriptor of the file whose owner, permissions and extended attributes it gets, as far as it may.

    Raises:
        OSError: it could not be written.
    """
    temporary = folder / f".{name}.{os.urandom(4).hex()}.tmp"
    try:
        _write(temporary, data, like)
        yield temporary
    finally:
        # Gone where it has become the file.
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what killed processes have left of `new_file`. For who holds `locked_folder`."""
    leftover = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.tmp")
    for each in os.listdir(folder):
        if leftover.fullmatch(each) is not None:
            with contextlib.suppress(OSError):
                os.unlink(folder / each)


def _write(path: Path, data: bytes, like: int) -> None:
    original = os.fstat(like)
    # Nobody else may read it before it has the permissions of the original: there are passwords in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        # Only root may give a file away; for others it is theirs already, or becomes theirs.
        owner = original.st_uid if os.geteuid() == 0 else -1
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, owner, original.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(original.st_mode))
        _copy_attributes(like, descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_attributes(source: int, target: int) -> None:
    """The extended attributes, access control lists among them: as many as this user and both file systems take."""
    if not hasattr(os, "listxattr"):
        # There is no such thing outside of Linux.
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(source):
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))
