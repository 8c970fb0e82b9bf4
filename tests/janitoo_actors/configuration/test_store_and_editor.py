"""Any sequence of what a server and an editor do to one file, with power failures in between: nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from janitoo_actors.configuration.ini import ConfigurationFileError, parse, read
from janitoo_actors.configuration.last_good import KEPT, good_copies
from janitoo_actors.configuration.store import ConfigStore, ConflictError, StoreError
from power_cut import power_cut

TEXT = """\
# The file of a person.
[system]
service = x

; about the bus
[nut]
hadd : 1045/0000
components.ups1=nut.ups

[nut__ups1]
name = UPS
# in the attic
location = Attic
"""
Options = dict[str, dict[str, str]]
SECTIONS = st.sampled_from(["nut", "nut__ups1", "nut__ups2"])
KEYS = st.sampled_from(["name", "location", "load_poll_0"])
LETTERS = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
VALUES = st.sampled_from(["", "Attic", "UPS", "10"]) | st.text(LETTERS, max_size=20).map(str.strip)
CHANGES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=3)


def options_of(text: str) -> Options:
    """The options of a file, as any other program reads it."""
    parser = RawConfigParser()
    parser.read_string(text)
    return {section: dict(parser.items(section)) for section in parser.sections()}


def changed(options: Options, section: str, change: dict[str, str]) -> Options:
    return {**options, section: {**options.get(section, {}), **change}}


class ServerAndEditor(RuleBasedStateMachine):
    """What should be in the file, and what the server should have in force."""

    path: ClassVar[Path]

    @initialize()
    def start(self) -> None:
        for left in self.path.parent.iterdir():
            left.unlink()
        self.path.write_text(TEXT, encoding="utf-8")
        self.disk = options_of(TEXT)
        self.comments: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Start a server on the file, which is sound."""
        ini = read(self.path)
        self.store = ConfigStore(self.path, ini)
        self.store.adopt(ini, good=True)
        self.in_force = self.disk

    def conflicts(self, section: str, change: dict[str, str]) -> bool:
        if section in self.in_force and section not in self.disk:
            return True
        mine, theirs = self.in_force.get(section, {}), self.disk.get(section, {})
        return any(theirs.get(key) not in {mine.get(key), text} for key, text in change.items())

    # -- the server ----------------------------------------------------------------------------------------------

    @rule(section=SECTIONS, change=CHANGES)
    def server_writes(self, section: str, change: dict[str, str]) -> None:
        if self.conflicts(section, change):
            before = self.path.read_bytes()
            with pytest.raises(ConflictError):
                self.store.set(section, change)
            assert self.path.read_bytes() == before
        else:
            self.store.set(section, change)
            self.disk = changed(self.disk, section, change)
            self.in_force = changed(self.in_force, section, change)

    @rule(section=SECTIONS, change=CHANGES)
    def server_reloads(self, section: str, change: dict[str, str]) -> None:
        ini = self.store.read()
        conflict = self.conflicts(section, change)
        reloaded = self.disk
        # Over the air, while the reload is at work.
        self.server_writes(section, change)
        self.store.adopt(ini, good=True)
        self.in_force = reloaded if conflict else changed(reloaded, section, change)

    @rule()
    def server_restarts(self) -> None:
        self.restart()

    @rule(section=SECTIONS, change=CHANGES, after=st.integers(0, 20))
    def power_fails_while_the_server_writes(self, section: str, change: dict[str, str], after: int) -> None:
        conflict = self.conflicts(section, change)
        with power_cut(after) as cut:
            try:
                self.store.set(section, change)
            except ConflictError:
                assert conflict
        found = options_of(self.path.read_text(encoding="utf-8"))
        written = self.disk if conflict else changed(self.disk, section, change)
        # When it has been answered, it is there.
        assert found in ([self.disk, written] if cut.is_dead else [written])
        self.disk = found
        self.restart()

    # -- the editor ----------------------------------------------------------------------------------------------

    @contextmanager
    def edited(self, *, in_place: bool) -> Iterator[list[str]]:
        """The lines of the file, to be changed, and how they are saved."""
        lines = self.path.read_text(encoding="utf-8").split("\n")
        yield lines
        # As many editors do: a new file in the place of the old one.
        new = self.path if in_place else self.path.with_suffix(".new")
        new.write_text("\n".join(lines), encoding="utf-8")
        new.replace(self.path)

    @rule(at=st.integers(0, 40), in_place=st.booleans())
    def editor_adds_a_comment(self, at: int, in_place: bool) -> None:
        with self.edited(in_place=in_place) as lines:
            comment = f"# comment {len(self.comments)}"
            lines.insert(min(at, len(lines) - 1), comment)
            self.comments.append(comment)

    @rule(section=SECTIONS, key=KEYS, value=VALUES, in_place=st.booleans())
    def editor_changes_an_option(self, section: str, key: str, value: str, in_place: bool) -> None:
        with self.edited(in_place=in_place) as lines:
            if section not in self.disk:
                lines += [f"[{section}]", ""]
            start = lines.index(f"[{section}]")
            if key in self.disk.get(section, {}):
                at = next(number for number in range(start, len(lines)) if lines[number].startswith(key))
                lines[at] = f"{key} = {value}"
            else:
                lines.insert(start + 1, f"{key} = {value}")
        self.disk = changed(self.disk, section, {key: value})

    @rule(section=SECTIONS, key=KEYS, in_place=st.booleans())
    def editor_removes_an_option(self, section: str, key: str, in_place: bool) -> None:
        if key not in self.disk.get(section, {}):
            return
        with self.edited(in_place=in_place) as lines:
            start = lines.index(f"[{section}]")
            del lines[next(number for number in range(start, len(lines)) if lines[number].startswith(key))]
        own = {name: text for name, text in self.disk[section].items() if name != key}
        self.disk = {**self.disk, section: own}

    @rule(
        wrong=st.sampled_from([b"[nut]\n", b"[system\n", b"\xff\n", b"no option\n", b"hadd = 1\nhadd = 2\n"]),
        section=SECTIONS,
        change=CHANGES,
    )
    def editor_breaks_and_mends_the_file(self, wrong: bytes, section: str, change: dict[str, str]) -> None:
        sound = self.path.read_bytes()
        broken = sound + b"\n" + wrong
        self.path.write_bytes(broken)
        with pytest.raises(StoreError, match="it is broken; mend it first"):
            self.store.set(section, change)
        with pytest.raises(ConfigurationFileError):
            self.store.read()
        assert self.path.read_bytes() == broken
        self.path.write_bytes(sound)

    # -- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def the_file_has_what_both_have_written(self) -> None:
        text = self.path.read_text(encoding="utf-8")
        assert options_of(text) == self.disk
        lines = text.split("\n")
        assert sorted(line for line in lines if line.startswith("# comment")) == sorted(self.comments)
        kept = iter(lines)
        assert all(line in kept for line in TEXT.split("\n") if line.startswith(("#", ";", "[")))

    @invariant()
    def the_last_good_copy_has_what_is_in_force(self) -> None:
        copies = good_copies(self.path)
        assert 1 <= len(copies) <= KEPT
        newest = parse(self.path.with_name(f".{self.path.name}.good-1").read_bytes(), self.path)
        assert newest.sections == self.in_force

    @invariant()
    def nothing_is_left_behind(self) -> None:
        copies = {f".{self.path.name}.good-{number}" for number in range(1, KEPT + 1)}
        assert set(os.listdir(self.path.parent)) <= {self.path.name, *copies}


def test_server_and_editor(tmp_path: Path) -> None:
    class Here(ServerAndEditor):
        path = tmp_path / "x.conf"

    run_state_machine_as_test(Here, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
