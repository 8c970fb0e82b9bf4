"""`auto_reload`: a file that somebody has saved, in whatever way, is taken over once it is complete."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from example_drivers import registry
from faulty_drivers import TIMEOUT
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.store import ConfigStore
from janitoo_actors.errors import TemporaryError
from janitoo_actors.runtime.reload import ReloadRefusedError
from janitoo_actors.runtime.running import RunningConfig
from janitoo_actors.runtime.watching import FileWatch
from waiting import wait_for

TEXT = "[system]\nauto_reload = True\n[hostsensor]\nhadd = 0121/0000\ncomponents.up = hostsensor.uptime\n"
EVERY = 0.03


def overwrite(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def rename_over(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


def keep_a_backup(path: Path, text: str) -> None:
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text, encoding="utf-8")


def in_halves(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        for letter in text:
            file.write(letter)
            file.flush()


def same_length_and_time(path: Path, text: str) -> None:
    before = path.stat()
    rename_over(path, text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class Taken:
    """What is taken over, and how."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: list[str] = []
        self.then: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self.texts.append(self.path.read_text(encoding="utf-8"))
        self.then()

    def wait(self, text: str) -> None:
        wait_for(lambda: text in self.texts, TIMEOUT, lambda: f"{text!r} is taken over: {self.texts}")


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Taken]:
    path = tmp_path / "my.conf"
    path.write_text(TEXT, encoding="utf-8")
    config = load(path, registry())
    assert config.system.auto_reload
    running = RunningConfig(config, ConfigStore(path))
    made = Taken(path)
    watch = FileWatch(running, made, EVERY)
    watch.start()
    yield made
    watch.stop()
    wait_for(lambda: not looking(), TIMEOUT, "it looks no more")


@pytest.mark.parametrize("save", [overwrite, rename_over, keep_a_backup, in_halves, same_length_and_time])
def test_every_way_of_saving(taken: Taken, save: Callable[[Path, str], None]) -> None:
    # The first look, for what has been changed since the start.
    taken.wait(TEXT)
    for number in (1, 2, 3):
        save(taken.path, f"{TEXT}# {number}\n")
        taken.wait(f"{TEXT}# {number}\n")


def test_what_is_saved_all_the_time_waits_until_it_is_quiet(taken: Taken) -> None:
    taken.wait(TEXT)
    stop = threading.Event()
    number = 0
    while number < 200:
        number += 1
        overwrite(taken.path, f"{TEXT}# {number}\n")
        stop.wait(EVERY / 10)
    taken.wait(f"{TEXT}# 200\n")
    # Far less often than it was saved; how often says how busy the machine is.
    assert len(taken.texts) < 100


def test_a_file_that_is_away_is_waited_for(taken: Taken) -> None:
    taken.wait(TEXT)
    taken.path.unlink()
    threading.Event().wait(EVERY * 4)
    overwrite(taken.path, f"{TEXT}# back\n")
    taken.wait(f"{TEXT}# back\n")


@pytest.mark.parametrize("error", [ReloadRefusedError(["a mistake"]), TemporaryError("busy")])
def test_a_mistake_is_no_end(taken: Taken, error: Exception) -> None:
    def fail() -> None:
        raise error

    taken.then = fail
    taken.wait(TEXT)
    overwrite(taken.path, f"{TEXT}# mended\n")
    taken.wait(f"{TEXT}# mended\n")


def test_it_is_switched_on_and_off(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_text(TEXT, encoding="utf-8")
    on = load(path, registry())
    off = replace(on, system=replace(on.system, auto_reload=False))
    running = RunningConfig(off, ConfigStore(path))
    taken = Taken(path)
    watch = FileWatch(running, taken, EVERY)
    watch.start()
    assert not looking()
    running.adopt(on)
    watch.start()
    watch.start()
    taken.wait(TEXT)
    assert len(looking()) == 1
    running.adopt(off)
    wait_for(lambda: not looking(), TIMEOUT, "it looks no more")
    watch.stop()


def looking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "auto_reload"]
