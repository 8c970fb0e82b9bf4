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
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from janitoo_actors.configuration.edit import UnstorableError
from janitoo_actors.configuration.ini import ConfigurationFileError, read
from janitoo_actors.configuration.last_good import good_copies
from janitoo_actors.configuration.store import ConfigStore, ConflictError, StoreError
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
    with pytest.raises(StoreError) as failure:
        ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == (
        f"{path} was not written: it is broken; mend it first. "
        f"What is wrong: {path}:18: [nut]: this section is already in line 6: expected it once; keep one of the two"
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


NOT_READ = "and the server has not read that yet: not written; reload the file or restart the server first"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("= Attic", "= Shed", "{path}:14: [nut__ups1] location = 'Shed': it has been changed in the file, "),
        ("location = Attic\n", "", "{path}:11: [nut__ups1] location: it has been removed from the file, "),
        ("[nut__ups1]", "[nut__ups3]", "{path}: [nut__ups1] has been removed from the file, "),
        ("= Attic\n", "= Attic\nLocation_0 = x\n", None),
        ("# in the attic", "# in the shed", None),
    ],
)
def test_option_that_an_editor_has_changed_too(path: Path, old: str, new: str, expected: str | None) -> None:
    store = ConfigStore(path)
    edited = TEXT.replace(old, new)
    path.write_text(edited)
    if expected is None:
        store.set("nut__ups1", {"location": "Cellar"})
        assert path.read_text() == edited.replace("= Attic", "= Cellar")
        return
    for _ in range(2):
        with pytest.raises(ConflictError) as failure:
            store.set("nut__ups1", {"name": "New", "Location": "Cellar"})
        assert str(failure.value) == expected.format(path=path) + NOT_READ
        # Neither of the two is lost, and none of ours is half there.
        assert path.read_text() == edited
    store.adopt(read(path), good=True)
    store.set("nut__ups1", {"name": "New", "location": "Cellar"})
    assert option(path, "nut__ups1", "location") == "Cellar"


def test_editor_and_server_that_agree(path: Path) -> None:
    store = ConfigStore(path)
    path.write_text(TEXT.replace("= Attic", "= Cellar"))
    store.set("nut__ups1", {"location": "Cellar"})
    path.write_text(TEXT.replace("= Attic", "= Roof"))
    # It is the server's own change that the editor has changed now.
    with pytest.raises(ConflictError):
        store.set("nut__ups1", {"location": "Attic"})


def test_what_is_set_while_a_reload_is_at_work(path: Path) -> None:
    store = ConfigStore(path)
    path.write_text(TEXT.replace("name = UPS", "name = of the editor"))
    ini = store.read()
    store.set("nut__ups1", {"Location": "Cellar"})
    store.set("nut__ups2", {"name": "Second"})
    in_force = store.adopt(ini, good=True)
    assert in_force.sections == read(path).sections
    assert good_copies(path)[0].path.read_text() == path.read_text()
    # All of it is known: nothing of it is an editor's.
    store.set("nut__ups1", {"name": "New", "location": "Roof"})
    store.set("nut__ups2", {"name": "Third"})
    assert option(path, "nut__ups1", "location") == "Roof"


def test_reload_of_a_broken_file(path: Path) -> None:
    store = ConfigStore(path)
    path.write_text("[")
    with pytest.raises(ConfigurationFileError):
        store.read()
    path.write_text(TEXT)
    store.set("nut__ups1", {"location": "Cellar"})
    assert option(path, "nut__ups1", "location") == "Cellar"


def test_password_is_not_in_a_conflict(path: Path) -> None:
    store = ConfigStore(path)
    path.write_text(TEXT + "\n[nut__ups2]\npassword_0 = secret\n")
    with pytest.raises(ConflictError) as failure:
        store.set("nut__ups2", {"password_0": "other"})
    assert "secret" not in str(failure.value)
    assert "password_0 = '***'" in str(failure.value)


def test_what_is_in_force_need_not_be_what_is_in_the_file_at_the_start(path: Path) -> None:
    ini = read(path)
    path.write_text(TEXT.replace("= Attic", "= Shed"))
    with pytest.raises(ConflictError):
        ConfigStore(path, ini).set("nut__ups1", {"location": "Cellar"})


def test_store_that_refuses(path: Path) -> None:
    store = ConfigStore(path, read(path), refuses="it is broken")
    with pytest.raises(StoreError) as failure:
        store.set("nut__ups1", {"location": "Cellar"})
    assert str(failure.value) == f"{path} was not written: it is broken"
    assert path.read_text() == TEXT
    store.adopt(read(path), good=True)
    store.set("nut__ups1", {"location": "Cellar"})
    assert option(path, "nut__ups1", "location") == "Cellar"


def test_extended_attributes_stay(path: Path) -> None:
    try:
        os.setxattr(path, "user.janitoo", b"x")
    except OSError as error:
        pytest.skip(f"this file system has none: {error}")
    ConfigStore(path).set("nut__ups1", {"location": "Cellar"})
    assert os.getxattr(path, "user.janitoo") == b"x"


def test_failure_is_logged_once_and_its_end_too(path: Path) -> None:
    store = ConfigStore(path)
    with structlog.testing.capture_logs() as events:
        path.write_text("")
        for _ in range(3):
            with pytest.raises(StoreError):
                store.set("nut__ups1", {"location": "Cellar"})
        path.write_text(TEXT)
        store.set("nut__ups1", {"location": "Cellar"})
    assert [each["event"] for each in events] == ["configuration_not_written", "configuration_written"]


# -- the last good copies --------------------------------------------------------------------------------------------


def kept(path: Path) -> list[str]:
    """The texts of the copies, the newest first."""
    return [copy.path.read_text() for copy in good_copies(path)]


def test_copies_are_of_what_servers_have_run_with(path: Path) -> None:
    texts = [TEXT.replace("Attic", place) for place in ("One", "Two", "Three", "Four")]
    store = ConfigStore(path)
    for number, text in enumerate(texts):
        path.write_text(text)
        assert kept(path) == texts[max(number - 3, 0) : number][::-1]
        store.adopt(read(path), good=True)
        # Again, as a server that is started again.
        store.adopt(read(path), good=True)
    assert kept(path) == texts[:0:-1]
    store.set("nut__ups1", {"location": "Five"})
    # Not one more for each change over the air: soon no other would be left.
    assert kept(path) == [path.read_text(), *texts[2:0:-1]]


def test_copy_has_nothing_that_an_editor_has_saved_meanwhile(path: Path) -> None:
    store = ConfigStore(path)
    store.adopt(read(path), good=True)
    path.write_text(TEXT.replace("name = UPS", "name = of the editor"))
    store.set("nut__ups1", {"location": "Cellar"})
    assert kept(path) == [TEXT.replace("= Attic", "= Cellar")]


def test_file_with_mistakes_is_no_good_copy(path: Path) -> None:
    store = ConfigStore(path)
    store.adopt(read(path), good=False)
    store.set("nut__ups1", {"location": "Cellar"})
    assert kept(path) == []


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_copy_is_as_private_as_the_file(path: Path, mode: int) -> None:
    path.chmod(mode)
    ConfigStore(path).adopt(read(path), good=True)
    assert [copy.path.stat().st_mode & 0o7777 for copy in good_copies(path)] == [mode]


def test_copies_are_beside_the_file_that_a_link_leads_to(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "y.conf"
    link.parent.mkdir()
    link.symlink_to(path)
    ConfigStore(link).adopt(read(link), good=True)
    assert kept(link) == kept(path) == [TEXT]
    assert os.listdir(link.parent) == ["y.conf"]


def test_copies_of_a_file_whose_folder_may_not_be_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(path.parent / "state"))
    real = os.access
    # The tests may run as root, who may write everywhere.
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != path.parent and real(place, mode))
    ConfigStore(path).adopt(read(path), good=True)
    assert kept(path) == [TEXT]
    assert good_copies(path)[0].path.is_relative_to(path.parent / "state" / "janitoo")
    assert sorted(os.listdir(path.parent)) == ["state", "x.conf"]


def test_user_without_a_home(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda text: text)
    monkeypatch.chdir(path.parent)
    ConfigStore(path).adopt(read(path), good=True)
    assert kept(path) == [TEXT]
    assert sorted(os.listdir(path.parent)) == [".x.conf.good-1", "x.conf"]


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
        path.write_text(f"{TEXT}[new]\nx = {10 ** next(numbers)}\n")

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
            good = path.with_name(f".{path.name}.good-1")
            if len(names) == 1:
                # The copy is written after the file.
                assert option(good, f"nut__{name}", "load_poll_0") in {str(number), str(number - 1)}
    ConfigStore(path)
    assert set(os.listdir(path.parent)) <= {"x.conf", *(f".x.conf.good-{number}" for number in (1, 2, 3))}
    assert path.read_text().startswith(TEXT)
    assert acknowledged >= 20 * len(names)
