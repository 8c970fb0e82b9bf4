"""Writing to the configuration file."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
from configparser import RawConfigParser
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from janitoo_actors.configuration.edit import UnstorableError
from janitoo_actors.configuration.ini import ConfigurationFileError
from janitoo_actors.configuration.store import ConfigStore, StoreError
from janitoo_actors.errors import ConfigurationError, TemporaryError

TEXT = """\
# The file of a person, with comments.
[system]
service = x

; about the bus
[nut]
auto_start = True
hadd : 1045/0000
components.ups1=nut.ups

[nut__ups1]
name = UPS
# in the attic
location = Attic

[formatter_generic]
format = %(asctime)s %(message)s
"""


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    """A configuration file."""
    path = tmp_path / "x.conf"
    path.write_text(TEXT, encoding="utf-8")
    return path


def option(path: Path, section: str, key: str) -> str:
    """An option, as any other program reads it."""
    parser = RawConfigParser()
    parser.read(path, encoding="utf-8")
    return parser.get(section, key)


def refuse(*_: object, **__: object) -> NoReturn:
    """Stand for a call of the system that fails."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_changes_one_line(path: Path) -> None:
    ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == TEXT.replace("= Attic", "= Cellar")


def test_adds_options(path: Path) -> None:
    ConfigStore(path).set("nut__ups1", {"load_poll_0": "10", "load_config_0": "5"})
    assert path.read_text() == TEXT.replace("= Attic\n", "= Attic\nload_poll_0 = 10\nload_config_0 = 5\n")


def test_appends_a_section(path: Path) -> None:
    ConfigStore(path).set("nut__ups2", {"name": "Second"})
    assert path.read_text() == TEXT + "\n[nut__ups2]\nname = Second\n"


def test_changes_of_an_editor_are_kept(path: Path) -> None:
    store = ConfigStore(path)
    store.set("nut__ups1", {"location": "Cellar"})
    path.write_text(path.read_text().replace("# in the attic", "# in the cellar, says the editor"))
    store.set("nut__ups1", {"name": "New"})
    expected = TEXT.replace("# in the attic", "# in the cellar, says the editor").replace("= Attic", "= Cellar")
    assert path.read_text() == expected.replace("name = UPS", "name = New")


def test_same_value_again_leaves_the_file_alone(path: Path) -> None:
    before = path.stat()
    ConfigStore(path).set("nut__ups1", {"location": "Attic"})
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize("mode", [0o640, 0o600, 0o664])
def test_permissions_stay(path: Path, mode: int) -> None:
    path.chmod(mode)
    ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert path.stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_stays(path: Path) -> None:
    os.chown(path, 12345, 23456)
    ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_link_stays_a_link(path: Path) -> None:
    folder = path.parent / "links"
    folder.mkdir()
    link = folder / "y.conf"
    link.symlink_to(Path("..") / path.name)
    ConfigStore(link).set("nut__ups1", {"location": "Cellar"})
    assert link.is_symlink()
    assert path.read_text() == TEXT.replace("= Attic", "= Cellar")
    assert os.listdir(folder) == ["y.conf"]


def test_relative_path(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    ConfigStore(Path(path.name)).set("nut__ups1", {"location": "Cellar"})
    assert option(path, "nut__ups1", "location") == "Cellar"


def test_file_is_complete_at_every_moment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append(path.read_text())
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    # Once for the new file, before it takes the place of the old one; once for the folder, after that.
    assert seen == [TEXT, TEXT.replace("= Attic", "= Cellar")]


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod", "open"])
def test_full_disk_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store = ConfigStore(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        with pytest.raises(StoreError) as failure:
            store.set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == f"{path} was not written, and is as it was: No space left on device"
    assert isinstance(failure.value, TemporaryError)
    assert path.read_text() == TEXT
    assert os.listdir(path.parent) == ["x.conf"]
    store.set("nut__ups1", {"location": "Cellar"})
    assert option(path, "nut__ups1", "location") == "Cellar"


def test_read_only_file_is_not_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests may run as root, who may write everything.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError) as failure:
        ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == (
        f"{path} was not written, and is as it was: the file is read-only; "
        "give the user that runs the server write permission for the file and its folder"
    )
    assert path.read_text() == TEXT


def test_file_that_is_gone(path: Path) -> None:
    store = ConfigStore(path)
    path.unlink()
    with pytest.raises(StoreError, match="was not written, and is as it was: No such file or directory"):
        store.set("nut__ups1", {"location": "Cellar"})
    assert not path.exists()


def test_folder_that_is_gone(path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        ConfigStore(path.parent / "none" / "x.conf").set("nut", {"name": "x"})


@pytest.mark.parametrize("text", ["", "\n"])
def test_empty_file_is_not_written(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(StoreError, match="it is empty now; try again when it is complete"):
        ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == text


def test_file_with_a_mistake_is_not_written(path: Path) -> None:
    text = TEXT + "[nut]\n"
    path.write_text(text)
    with pytest.raises(ConfigurationFileError) as failure:
        ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == (
        f"{path}:18: [nut]: this section is already in line 6: expected it once; keep one of the two"
    )
    assert path.read_text() == text


@pytest.mark.parametrize("options", [{"location": "a\nb"}, {"location": " a"}, {"a=b": "c"}, {"name": "x", "#": "y"}])
def test_what_the_file_cannot_hold_is_refused(path: Path, options: dict[str, str]) -> None:
    with pytest.raises(UnstorableError) as failure:
        ConfigStore(path).set("nut__ups1", options)
    assert isinstance(failure.value, ConfigurationError)
    assert path.read_text() == TEXT
    assert os.listdir(path.parent) == ["x.conf"]


def test_leftovers_of_a_killed_process_are_removed(path: Path) -> None:
    leftover = path.with_name(".x.conf.0123abcd.tmp")
    others = [".x.conf.swp", ".x.conf.backup.tmp", ".y.conf.0123abcd.tmp", "x.conf.0123abcd.tmp"]
    for name in others:
        path.with_name(name).touch()
    leftover.touch()
    store = ConfigStore(path)
    assert not leftover.exists()
    leftover.touch()
    store.set("nut__ups1", {"location": "Cellar"})
    assert sorted(os.listdir(path.parent)) == sorted([*others, "x.conf"])


def test_editor_that_saves_during_a_write_is_not_overwritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConfigStore(path)
    real_fsync = os.fsync
    saves = iter([True])

    def fsync(descriptor: int) -> None:
        if next(saves, False):
            path.write_text(TEXT + "\n[editor]\nx = 1\n")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    store.set("nut__ups1", {"location": "Cellar"})
    assert path.read_text() == TEXT.replace("= Attic", "= Cellar") + "\n[editor]\nx = 1\n"
    assert os.listdir(path.parent) == ["x.conf"]


def test_program_that_saves_all_the_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConfigStore(path)
    numbers = iter(range(1000))

    def fsync(_: int) -> None:
        path.write_text(f"[nut]\nx = {10 ** next(numbers)}\n")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match="another program is writing it all the time; try again"):
        store.set("nut__ups1", {"location": "Cellar"})
    assert os.listdir(path.parent) == ["x.conf"]


def test_threads_lose_nothing(path: Path) -> None:
    store = ConfigStore(path)

    def write(name: int) -> None:
        for number in range(20):
            store.set(f"nut__t{name}", {f"x_{number}": str(number)})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    parser = RawConfigParser()
    parser.read(path)
    for name in range(4):
        assert dict(parser.items(f"nut__t{name}")) == {f"x_{number}": str(number) for number in range(20)}


VALUES = st.text(max_size=30).map(str.strip).filter(str.isprintable)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(VALUES, st.sampled_from(["location", "Name", "load_config_0", "x-y.z"]))
def test_any_text_of_one_line_is_read_back(path: Path, value: str, key: str) -> None:
    path.write_text(TEXT, encoding="utf-8")
    ConfigStore(path).set("nut__ups1", {key: value})
    assert option(path, "nut__ups1", key) == value
    assert option(path, "formatter_generic", "format") == "%(asctime)s %(message)s"


class Writers(RuleBasedStateMachine):
    """The server and an editor take turns on one file; nothing of either is lost."""

    path: Path

    @initialize()
    def start(self) -> None:
        self.path.write_text(TEXT, encoding="utf-8")
        self.store = ConfigStore(self.path)
        self.comments: list[str] = []
        self.expected: dict[tuple[str, str], str] = {("nut__ups1", "location"): "Attic"}

    @rule(
        section=st.sampled_from(["nut", "nut__ups1", "nut__ups2", "new"]),
        options=st.dictionaries(st.sampled_from(["name", "location", "load_poll_0"]), VALUES, min_size=1),
    )
    def server_writes(self, section: str, options: dict[str, str]) -> None:
        self.store.set(section, options)
        self.expected.update({(section, key): value for key, value in options.items()})

    @rule(at=st.integers(0, 40))
    def editor_adds_a_comment(self, at: int) -> None:
        comment = f"# comment {len(self.comments)}"
        lines = self.path.read_text(encoding="utf-8").split("\n")
        lines.insert(min(at, len(lines) - 1), comment)
        self.path.write_text("\n".join(lines), encoding="utf-8")
        self.comments.append(comment)

    @rule(value=st.integers())
    def editor_changes_a_value(self, value: int) -> None:
        assume(("nut__ups1", "location") in self.expected)
        lines = self.path.read_text(encoding="utf-8").split("\n")
        start = lines.index("[nut__ups1]")
        at = next(number for number in range(start, len(lines)) if lines[number].startswith("location"))
        lines[at] = f"location = {value}"
        # As many editors do: a new file in the place of the old one.
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(lines), encoding="utf-8")
        new.replace(self.path)
        self.expected["nut__ups1", "location"] = str(value)

    @rule()
    def server_restarts(self) -> None:
        self.store = ConfigStore(self.path)

    @invariant()
    def nothing_is_lost(self) -> None:
        for (section, key), value in self.expected.items():
            assert option(self.path, section, key) == value
        lines = self.path.read_text(encoding="utf-8").split("\n")
        assert sorted(line for line in lines if line.startswith("# comment")) == sorted(self.comments)
        kept = iter(lines)
        assert all(line in kept for line in TEXT.split("\n") if line.startswith(("#", ";", "[", "hadd", "format")))


def test_server_and_editor_take_turns(path: Path) -> None:
    class WritersHere(Writers):
        pass

    WritersHere.path = path
    run_state_machine_as_test(WritersHere, settings=settings(max_examples=40, stateful_step_count=20, deadline=None))


@pytest.mark.parametrize("names", [("a",), ("a", "b")])
def test_killed_at_any_moment(path: Path, names: tuple[str, ...]) -> None:
    """One process, then two at once, killed again and again while they write."""
    chance = random.Random(1)
    script = Path(__file__).with_name("writing_process.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    acknowledged = 0
    for _ in range(10):
        writers = {
            name: subprocess.Popen(
                [sys.executable, script, path, name], stdout=subprocess.PIPE, text=True, env=environment
            )
            for name in names
        }
        started = [writer.stdout.readline() for writer in writers.values() if writer.stdout is not None]
        assert started == [f"{name} 1\n" for name in names]
        deadline = time.monotonic() + chance.random() / 4
        while time.monotonic() < deadline:
            # A reader at any moment finds a complete file.
            assert option(path, "formatter_generic", "format") == "%(asctime)s %(message)s"
        for writer in writers.values():
            writer.kill()
        for name, writer in writers.items():
            output, _ = writer.communicate()
            # The kill may have cut the last line short.
            lines = [f"{name} 1", *output.split("\n")[:-1]]
            last = int(lines[-1].split()[1])
            acknowledged += last
            # What was being written when it was killed may be there or not.
            number = int(option(path, f"nut__{name}", "load_poll_0"))
            assert number in {last, last + 1}
            assert option(path, f"nut__{name}", "location") == f"Attic {number}"
    ConfigStore(path)
    assert os.listdir(path.parent) == ["x.conf"]
    assert path.read_text().startswith(TEXT)
    assert acknowledged >= 100
