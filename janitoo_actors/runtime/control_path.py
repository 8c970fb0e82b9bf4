"""Where the control socket of a server is."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_DEFAULT: Final = Path("/opt/janitoo/run")
"""Where the installation of the original has its `pid_dir`."""


def control_path(config: Path, pid_dir: Path) -> Path:
    """Where the server of a configuration file puts its socket: in the first folder that it may write in.

    Args:
        config: the file; the name of the socket says which it is.
        pid_dir: that of its `[system]`.

    Raises:
        OSError: no folder will do.
    """
    error: OSError | None = None
    for folder in _folders(pid_dir):
        try:
            if folder != pid_dir:
                folder.mkdir(mode=0o700, exist_ok=True)
                _check_ours(folder)
            if os.access(folder, os.W_OK | os.X_OK) and folder.is_dir():
                return folder / _name(config)
        except OSError as this:
            error = this
    raise error or PermissionError(f"no folder for the control socket: {pid_dir} is missing, or cannot be written in")


def find_control(config: Path, pid_dir: Path) -> Path | None:
    """The socket of the server of a configuration file; None where there is none."""
    # The default too: the file may name another folder since the start.
    for folder in (pid_dir, _DEFAULT, *_folders(pid_dir)):
        path = folder / _name(config)
        with contextlib.suppress(OSError):
            if path.is_socket():
                return path
    return None


def find_controls() -> list[Path]:
    """The sockets in the places where servers put them, but for those that have a `pid_dir` of their own."""
    found: dict[Path, None] = {}
    for folder in _folders(_DEFAULT):
        with contextlib.suppress(OSError):
            found |= {path: None for path in sorted(folder.glob("*.sock")) if path.is_socket()}
    return list(found)


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for a socket that is short enough for the kernel, however long its path is; for a moment."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _folders(pid_dir: Path) -> Iterator[Path]:
    yield pid_dir
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime:
        yield Path(runtime) / "janitoo"
    yield Path(f"/tmp/janitoo-{os.geteuid()}")


def _check_ours(folder: Path) -> None:
    """Refuse a folder in a place for everybody that somebody else has made."""
    found = os.lstat(folder)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} belongs to somebody else, or others may write in it")


def _name(config: Path) -> str:
    real = os.path.realpath(config)
    return f"{config.stem[:32]}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}.sock"
