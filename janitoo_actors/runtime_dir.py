"""Where a running server has its pid file and its socket, and which servers run on this machine.

A server holds a lock of the machine for its configuration file (`locks`), with a note of who it is and where its things
are: whoever knows the file finds the server, whatever user and environment either of them has.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from janitoo_actors import locks
from janitoo_actors.configuration.model import SystemConfig
from janitoo_actors.errors import TemporaryError

_PREFIX: Final = "server-"
_ORIGINAL: Final = Path("/opt/janitoo")
_SYSTEM: Final = Path("/run/janitoo")


class AlreadyRunningError(TemporaryError):
    """Another server runs this configuration file.

    Attributes:
        server: which one; None where it does not say so.
    """

    def __init__(self, path: Path, server: RunningServer | None) -> None:
        who = "another program, which does not say who it is" if server is None else f"{server}"
        super().__init__(
            f"{path}: this file is run already, by {who}: expected one server for each file; stop that one first"
        )
        self.server = server


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that runs.

    Attributes:
        service: its name.
        file: its configuration file, as an absolute path.
        pid, host: its process, and the machine or container that this number is of.
        since: when it was started, as a time of Unix.
        folder: its runtime folder; see `runtime_dir`.
        stem: how the names of its files there begin.
    """

    service: str
    file: Path
    pid: int
    host: str
    since: float
    folder: Path
    stem: str

    def path(self, suffix: str) -> Path:
        """A file of it in its runtime folder, as `path("sock")`."""
        return self.folder / f"{self.stem}.{suffix}"

    def __str__(self) -> str:
        """Who it is, in words: `jnt_attic (process 812, attic.conf, since 2026-11-24 08:15:00)`."""
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"{self.service} (process {self.pid}{where}, {self.file}, since {since})"


def runtime_dir(system: SystemConfig) -> Path:
    """The folder for what a server has only while it runs: its pid file, its socket.

    The first of these where this process may write: `$JANITOO_RUN_DIR`; `pid_dir`; `/run/janitoo`, which systemd makes;
    `janitoo` in `$XDG_RUNTIME_DIR`; `/tmp/janitoo-<uid>`; and a new one in `/tmp`. Made where it is not there. Blocks
    for the disk. For the server itself: others ask `running_server`, as they may be of another user.

    Raises:
        OSError: there is none at all.
    """
    given = os.environ.get(locks.RUN_DIR)
    if given and _made(Path(given), 0o755, parents=True):
        return Path(given)
    # On a machine that has nothing of the original, nobody wants its folders.
    wanted = _ORIGINAL not in system.pid_dir.parents or _ORIGINAL.is_dir()
    if wanted and _made(system.pid_dir, 0o755, parents=True):
        return system.pid_dir
    if os.access(_SYSTEM, os.W_OK | os.X_OK):
        return _SYSTEM
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and _made(Path(session) / "janitoo", 0o700):
        return Path(session) / "janitoo"
    temporary = Path(tempfile.gettempdir())
    own = temporary / f"janitoo-{os.geteuid()}"
    # Anybody may have made it, to have our files.
    if _made(own, 0o700) and not own.is_symlink() and own.stat().st_uid == os.geteuid():
        return own
    return Path(tempfile.mkdtemp(prefix="janitoo-", dir=temporary))


def running_server(path: Path) -> RunningServer | None:
    """The server that runs a configuration file, by whatever name the file is given. Any thread; blocks for the disk.

    None where none does, or none that can be seen from here.
    """
    note = locks.holder(_lock_name(path))
    return None if note is None else _server(note)


def running_servers() -> list[RunningServer]:
    """All servers of this machine that can be seen from here. Any thread; blocks for the disk."""
    return [found for note in locks.holders(_PREFIX) if (found := _server(note)) is not None]


class ServerLock:
    """What makes a server the only one of its configuration file, for as long as its process lives.

    Attributes:
        server: who this is, as others see it.
        namesake: another server with the same service name and another file; None where there is none.
        problem: what is wrong with the pid file or with the lock; empty where nothing is.
    """

    def __init__(self, path: Path, system: SystemConfig) -> None:
        """Take the lock, and write the pid file. Blocks for the disk.

        Raises:
            AlreadyRunningError: another server runs this file.
        """
        self.problem = ""
        try:
            folder = runtime_dir(system)
        except OSError as error:
            # A server that runs without a pid file is better than none.
            folder = system.pid_dir
            self.problem = f"there is no folder for the pid file: {error}"
        stem = locks.file_name(system.service)
        self._folder = -1
        with contextlib.suppress(OSError):
            # As long as it is open, its number, which is in the lock's name, is not given to another folder.
            real = os.path.realpath(path)
            self._folder = os.open(os.path.dirname(real), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._pid_file: tuple[Path, int] | None = None
        self.server = RunningServer(
            service=system.service,
            file=path.absolute(),
            pid=os.getpid(),
            host=socket.gethostname(),
            since=time.time(),
            folder=folder,
            # Until the pid file says whose the plain name is: another server may listen by that.
            stem=f"{stem}.{os.getpid()}",
        )
        others = [each for each in running_servers() if each.service == system.service]
        try:
            self._lock = locks.take(_lock_name(path), self._note())
        except locks.LockedError as error:
            self._close_folder()
            raise AlreadyRunningError(path, _server(error.note)) from None
        self.namesake = next((each for each in others if each.file != self.server.file), None)
        if not self._lock.is_seen:
            self.problem = "no folder for locks can be written: a second start of this file would not be noticed"
        if folder.is_dir():
            self._write_pid(stem)
        self._lock.write(self._note())

    def release(self) -> None:
        """Give it back, and remove the pid file."""
        if self._pid_file is not None:
            path, descriptor = self._pid_file
            self._pid_file = None
            with contextlib.suppress(OSError):
                path.unlink()
            os.close(descriptor)
        self._lock.release()
        self._close_folder()

    def _close_folder(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _write_pid(self, stem: str) -> None:
        # Another server's, where that one has the same name: nobody takes its file from it.
        for name in (stem, f"{stem}.{os.getpid()}"):
            self.server = replace(self.server, stem=name)
            path = self.server.path("pid")
            try:
                self._pid_file = path, locks.lock_file(path, f"{os.getpid()}\n".encode())
            except locks.LockedError:
                continue
            except OSError as error:
                self.problem = f"the pid file {path} cannot be written: {error.strerror or error}"
            return

    def _note(self) -> locks.Note:
        server = self.server
        texts = {"service": server.service, "file": str(server.file), "host": server.host, "stem": server.stem}
        return {**texts, "folder": str(server.folder), "pid": server.pid, "since": server.since}


def _lock_name(path: Path) -> str:
    """The name of a file's lock: the same for all its paths, links and mounts, and whenever it is replaced."""
    real = Path(os.path.realpath(path))
    try:
        folder = os.stat(real.parent)
    except OSError:
        # It is not there, and the file neither; or others may not look for it.
        return f"{_PREFIX}{real}"
    return f"{_PREFIX}{folder.st_dev:x}-{folder.st_ino:x}-{real.name}"


def _made(folder: Path, mode: int, *, parents: bool = False) -> bool:
    """Whether there is such a folder that this process may write, now at least."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode, parents=parents, exist_ok=True)
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _server(note: locks.Note) -> RunningServer | None:
    """The server of a note, which anybody may have written."""
    service, file, host, folder, stem = locks.texts(note, "service", "file", "host", "folder", "stem")
    pid, since = note.get("pid"), note.get("since")
    if not (isinstance(pid, int) and isinstance(since, int | float) and file):
        return None
    return RunningServer(service, Path(file), pid, host, since, Path(folder), stem)
