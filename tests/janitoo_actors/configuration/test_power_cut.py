"""Power failures at every single step of everything that writes, and what is found at the next start."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from janitoo_actors.configuration.ini import IniFile, parse, read
from janitoo_actors.configuration.last_good import KEPT, good_copies
from janitoo_actors.configuration.store import ConfigStore
from power_cut import power_cut

TEXT = """\
# A comment.
[system]
service = x

[nut]
hadd = 1045/0000
components.ups1 = nut.ups

[nut__ups1]
name = UPS
location = Attic
"""
OLDER = [TEXT.replace("Attic", place) for place in ("Garage", "Shed", "Roof")]
EDITED = TEXT.replace("# A comment.", "# Another comment.")


class Run:
    """A server with its store, on a file with three copies of earlier ones, and what may be found after its end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "x.conf"
        for text in OLDER:
            self.path.write_text(text)
            ConfigStore(self.path).adopt(self.ini(text), good=True)
        self.path.write_text(TEXT)
        self.store = ConfigStore(self.path)
        self.store.adopt(self.ini(TEXT), good=True)

    def ini(self, text: str) -> IniFile:
        return parse(text.encode(), self.path)

    def set_option(self) -> None:
        self.store.set("nut__ups1", {"location": "Cellar"})

    def add_option(self) -> None:
        self.store.set("nut__ups1", {"load_poll_0": "10", "load_config_0": "5"})

    def add_section(self) -> None:
        self.store.set("nut__ups2", {"name": "Second"})

    def set_over_an_editor(self) -> None:
        self.path.write_text(EDITED)
        self.store.set("nut__ups1", {"location": "Cellar"})

    def adopt(self) -> None:
        self.store.adopt(self.ini(EDITED), good=True)

    def start(self) -> None:
        # What somebody has left, too, is removed step by step.
        self.path.with_name(".x.conf.0123abcd.tmp").write_text("half of")
        ConfigStore(self.path).adopt(self.ini(EDITED), good=True)


CELLAR = TEXT.replace("Attic", "Cellar")
WRITERS: dict[str, tuple[Callable[[Run], None], set[str], set[str]]] = {
    # What writes; what the file may have; what the newest copy may have.
    "set": (Run.set_option, {TEXT, CELLAR}, {TEXT, CELLAR}),
    "add": (
        Run.add_option,
        {TEXT, TEXT + "load_poll_0 = 10\nload_config_0 = 5\n"},
        {TEXT, TEXT + "load_poll_0 = 10\nload_config_0 = 5\n"},
    ),
    "section": (
        Run.add_section,
        {TEXT, TEXT + "\n[nut__ups2]\nname = Second\n"},
        {TEXT, TEXT + "\n[nut__ups2]\nname = Second\n"},
    ),
    # The comment of the editor is not what the server runs with.
    "editor": (Run.set_over_an_editor, {EDITED, EDITED.replace("Attic", "Cellar")}, {TEXT, CELLAR}),
    "adopt": (Run.adopt, {TEXT}, {TEXT, EDITED}),
    "start": (Run.start, {TEXT}, {TEXT, EDITED}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_step(name: str, tmp_path: Path) -> None:
    write, files, newest = WRITERS[name]
    counting = tmp_path / "counting"
    counting.mkdir()
    first = Run(counting)
    with power_cut() as counted:
        write(first)
    assert len(counted.names) >= 6
    assert {"open", "write", "fsync", "replace"} <= set(counted.names)
    for number in range(len(counted.names)):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = Run(folder)
        with power_cut(number) as cut:
            write(run)
        assert cut.is_dead
        assert cut.names == counted.names[:number]
        found_after_a_cut(run, files, newest)
        shutil.rmtree(folder)
    # Without a cut, it is all there.
    assert first.path.read_text() in files
    assert found_after_a_cut(first, files, newest)[0] in newest - {TEXT}


def found_after_a_cut(run: Run, files: set[str], newest: set[str]) -> list[str]:
    """The next start finds the file as it was or as it should be, good copies only, and leaves nothing behind."""
    text = run.path.read_text()
    assert text in files
    copies = [copy.path.read_text() for copy in good_copies(run.path)]
    # In the middle of the rotation the newest of them is the one before.
    assert copies[0] in newest
    assert set(copies) <= {*newest, *OLDER}
    assert len(copies) >= KEPT - 1
    again = ConfigStore(run.path)
    again.adopt(read(run.path), good=True)
    again.set("nut__ups1", {"name": "Written again"})
    names = {"x.conf", *(f".x.conf.good-{number}" for number in range(1, KEPT + 1))}
    assert set(os.listdir(run.path.parent)) <= names
    assert good_copies(run.path)[0].path.read_text() == run.path.read_text()
    return copies


@pytest.mark.parametrize("name", WRITERS)
def test_nothing_takes_a_place_before_it_is_on_the_disk(name: str, tmp_path: Path) -> None:
    """What the kernel has not written when the power fails is lost, in any order: a cut alone does not show that."""
    write, *_ = WRITERS[name]
    run = Run(tmp_path)
    with power_cut() as steps:
        write(run)
    files: dict[str, int] = {}
    unsynced: set[int] = set()
    renamed = False
    for step, args in steps.done:
        match step:
            case "open":
                files[str(args[0])] = args[-1]
            case "write" | "fchmod" | "fchown" | "setxattr":
                unsynced.add(args[0])
            case "fsync":
                unsynced.discard(args[0])
                if args[0] not in files.values():
                    renamed = False
            case "replace":
                renamed = True
                if str(args[0]) in files:
                    # A new file, and no copy that becomes the one before.
                    assert files[str(args[0])] not in unsynced
    assert not unsynced
    assert not renamed, "the folder was not synced after the last new name"
