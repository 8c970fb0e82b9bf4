"""Writing to the configuration file on disks that are full, read-only or failing."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janitoo_actors.configuration.ini import read
from janitoo_actors.configuration.last_good import good_copies
from janitoo_actors.configuration.store import ConfigStore, StoreError
from running_server import obey_permissions

TEXT = "[nut]\nhadd = 1045/0000\n\n[nut__ups1]\nlocation = Attic\n"
CELLAR = TEXT.replace("Attic", "Cellar")


def mount(folder: Path, *options: str) -> None:
    """Mount a small disk in memory, or change how it is mounted."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(("size=256k", *options)), "janitoo", folder],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        pytest.skip(f"only root may mount a disk, and only where it is no container: {done.stderr.strip()}")


@pytest.fixture(name="disk")
def fixture_disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own, with a configuration file."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    mount(folder)
    try:
        (folder / "x.conf").write_text(TEXT)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path) -> Path:
    """Fill a disk to its last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(folder).f_bavail == 0
    return filler


def test_full_disk(disk: Path) -> None:
    path = disk / "x.conf"
    store = ConfigStore(path)
    filler = fill(disk)
    expected = f"{path} was not written, and is as it was: No space left on device"
    for _ in range(3):
        with pytest.raises(StoreError, match=re.escape(expected)):
            store.set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == TEXT
    assert sorted(os.listdir(disk)) == ["filler", "x.conf"]
    filler.unlink()
    store.set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == CELLAR


def test_disk_that_is_too_full_for_the_copy(disk: Path) -> None:
    """The copy is for bad times; without it the file is written all the same, and the older copy stays whole."""
    path = disk / "x.conf"
    store = ConfigStore(path)
    store.adopt(read(path), good=True)
    filler = fill(disk)
    # One file more finds room: that of the file itself takes the place of the old one.
    with filler.open("rb+") as file:
        file.truncate(filler.stat().st_size - 4096)
    held = path.open("rb")
    store.set("nut__ups1", {"location": "Cellar"})
    held.close()
    assert path.read_text() == CELLAR
    assert good_copies(path)[0].path.read_text() == TEXT
    filler.unlink()
    store.set("nut__ups1", {"location": "Roof"})
    assert good_copies(path)[0].path.read_text() == path.read_text()


def test_read_only_disk(disk: Path) -> None:
    path = disk / "x.conf"
    store = ConfigStore(path)
    mount(disk, "remount", "ro")
    with pytest.raises(StoreError) as failure:
        store.set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == f"{path} was not written, and is as it was: Read-only file system"
    # A start writes too, and says nothing of it: nobody has asked for anything.
    ConfigStore(path).adopt(read(path), good=True)
    mount(disk, "remount", "rw")
    store.set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == CELLAR


CHILD = """
import sys
from pathlib import Path
from janitoo_actors.configuration.store import ConfigStore, StoreError

try:
    ConfigStore(Path(sys.argv[1])).set("nut__ups1", {"location": "Cellar"})
except StoreError as error:
    print(error)
"""


def test_file_that_may_not_grow(tmp_path: Path) -> None:
    """Half of it is written, and then no more: what a quota does."""
    path = tmp_path / "x.conf"
    path.write_text(TEXT)
    size = len(TEXT) // 2
    said = set_in_a_child(path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert f"{path} was not written, and is as it was: File too large" in said
    assert path.read_text() == TEXT
    assert os.listdir(tmp_path) == ["x.conf"]


def set_in_a_child(path: Path, prepare: Callable[[], None]) -> str:
    """Set an option in a process that has less rights than this one; what it says."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, path],
        capture_output=True,
        encoding="utf-8",
        check=True,
        # It only gives rights up: it takes no lock.
        preexec_fn=prepare,
    )
    return done.stdout


def test_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = folder / "x.conf"
    path.write_text(TEXT)
    folder.chmod(0o555)
    said = set_in_a_child(path, obey_permissions)
    folder.chmod(0o755)
    advice = "give the user that runs the server write permission for the file and its folder"
    assert f"{path} was not written, and is as it was: Permission denied; {advice}" in said
    assert path.read_text() == TEXT
    assert os.listdir(folder) == ["x.conf"]


def failing_fsync(monkeypatch: pytest.MonkeyPatch, *fails: int) -> None:
    """Have some of the next syncs fail, by their numbers: a disk that breaks is the edge."""
    real, numbers = os.fsync, iter(range(1000))

    def fsync(descriptor: int) -> None:
        if next(numbers) in fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_new_name_that_the_disk_does_not_confirm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the folder already; the server goes on with the old value, and so must the file."""
    path = tmp_path / "x.conf"
    path.write_text(TEXT)
    store = ConfigStore(path)
    with monkeypatch.context() as patched:
        failing_fsync(patched, 1)
        with pytest.raises(StoreError) as failure:
            store.set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == f"{path} was not written, and is as it was: Input/output error"
    assert path.read_text() == TEXT
    assert os.listdir(tmp_path) == ["x.conf"]
    store.set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == CELLAR


def test_new_name_that_cannot_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text(TEXT)
    store = ConfigStore(path)
    with monkeypatch.context() as patched:
        failing_fsync(patched, 1, 2)
        with pytest.raises(StoreError) as failure:
            store.set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == (
        f"{path} was written, but the disk does not confirm it (Input/output error), and it cannot be put back "
        "(Input/output error): the file has the new value, and the server the old one"
    )
    assert path.read_text() == CELLAR
    # Set once more, it is in force and in the file.
    store.set("nut__ups1", {"location": "Cellar"})


def test_folder_that_cannot_be_synced_by_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.conf"
    path.write_text(TEXT)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == CELLAR
