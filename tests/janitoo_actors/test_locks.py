"""Locks between processes, and the notes in them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors import locks
from tool_runs import ROOT

HOLD = """
import sys
from janitoo_actors import locks

lock = locks.take(sys.argv[1], {"pid": "child"})
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(autouse=True, name="folder")
def fixture_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the locks."""
    monkeypatch.setenv(locks.RUN_DIR, str(tmp_path / "run"))
    return tmp_path / "run" / "lock"


@contextmanager
def held_by_another(name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, name], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_held_by_one(folder: Path) -> None:
    lock = locks.take("x", {"who": "me"})
    assert lock.is_seen
    with pytest.raises(locks.LockedError) as failure:
        locks.take("x", {"who": "you"})
    assert failure.value.note == {"who": "me"}
    other = locks.take("y", {"who": "you"})
    assert (locks.holder("x"), locks.holder("y")) == ({"who": "me"}, {"who": "you"})
    lock.write({"who": "still me"})
    assert locks.holder("x") == {"who": "still me"}
    lock.release()
    lock.release()
    assert locks.holder("x") is None
    assert os.listdir(folder) == ["y.lock"]
    other.release()
    locks.take("x", {}).release()


def test_killed_holder_stops_nobody(folder: Path) -> None:
    with held_by_another("x") as process:
        with pytest.raises(locks.LockedError) as failure:
            locks.take("x", {})
        assert failure.value.note == {"pid": "child"}
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Its file is there still, with its note.
        assert os.listdir(folder) == ["x.lock"]
        assert locks.holder("x") is None
        lock = locks.take("x", {"pid": "mine"})
        assert locks.holder("x") == {"pid": "mine"}
        lock.release()


def test_looking_disturbs_nobody() -> None:
    """Who looks has the lock for a moment; who takes it meanwhile gets it."""
    for _ in range(5):
        with held_by_another("x"):
            pass
        looker = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from janitoo_actors import locks\nprint(flush=True)\nwhile True: locks.holder('x')",
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        try:
            assert looker.stdout is not None
            looker.stdout.readline()
            for _ in range(50):
                locks.take("x", {}).release()
        finally:
            looker.kill()
            looker.communicate()


def test_holders(folder: Path) -> None:
    for name in ("a-1", "a-2", "b-1"):
        locks.take(name, {"name": name})
    # What is left of killed ones, and what is none of ours.
    (folder / "a-3.lock").write_text('{"name": "a-3"}')
    (folder / "a-4").write_text("x")
    assert [note["name"] for note in locks.holders("a-")] == ["a-1", "a-2"]


@pytest.mark.parametrize("note", [b"", b"\xff", b"[1]", b"{", b'{"a": 1}' * 10_000])
def test_note_that_cannot_be_read(folder: Path, note: bytes) -> None:
    lock = locks.take("x", {})
    (folder / "x.lock").write_bytes(note)
    assert locks.holder("x") == {}
    with pytest.raises(locks.LockedError):
        locks.take("x", {})
    lock.release()


@pytest.mark.parametrize("what", ["link", "file", "missing", "read-only"])
def test_folder_that_cannot_be_used(what: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.parent.mkdir()
    match what:
        case "link":
            # In a folder that all may write, anybody can have put it there.
            (tmp_path / "elsewhere").mkdir()
            folder.symlink_to(tmp_path / "elsewhere")
        case "file":
            folder.touch()
        case "missing":
            folder.parent.rmdir()
            folder.parent.touch()
        case "read-only":
            folder.mkdir()
            monkeypatch.setattr(os, "access", lambda *_: False)
    assert locks.lock_folders() == ()
    lock = locks.take("x", {})
    assert not lock.is_seen
    assert locks.holder("x") is None
    lock.release()


def test_file_that_is_a_link_is_not_written(tmp_path: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    target = tmp_path / "important"
    target.write_text("text")
    (folder / "x.lock").symlink_to(target)
    assert not locks.take("x", {"a": 1}).is_seen
    assert target.read_text() == "text"


def test_one_common_folder_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Users and services may write different folders."""
    monkeypatch.delenv(locks.RUN_DIR)
    folders = tuple(tmp_path / name for name in ("a", "b", "c"))
    monkeypatch.setattr(locks, "_MACHINE", folders)
    lock = locks.take("x", {"who": "me"})
    assert [os.listdir(folder) for folder in folders] == [["x.lock"]] * 3
    for usable in folders:
        monkeypatch.setattr(locks, "_MACHINE", (tmp_path / "mine", usable))
        assert locks.holder("x") == {"who": "me"}
        with pytest.raises(locks.LockedError):
            locks.take("x", {})
        # What it had taken in its own folder before it found that out is free again.
        assert os.listdir(tmp_path / "mine") == []
    lock.release()


@given(st.text(), st.text())
def test_names_of_files(one: str, other: str) -> None:
    names = locks.file_name(one), locks.file_name(other)
    assert (names[0] == names[1]) == (one == other)
    for name in names:
        assert name == os.path.basename(name)
        assert name not in {"", ".", ".."}
        assert len(os.fsencode(name)) <= 200
        assert name.isprintable()


@pytest.mark.parametrize("text", ["../etc/passwd", ".", "..", "", "x" * 5000, "a b", "\udcff"])
def test_names_of_files_of_odd_texts(text: str, tmp_path: Path) -> None:
    path = tmp_path / locks.file_name(text)
    path.touch()
    assert list(tmp_path.iterdir()) == [path]
