"""A house that is lived in for minutes that stand for weeks: nothing grows, nothing stays broken.

`make soak MINUTES=5`. It goes in rounds: all kinds of mischief for a while, then the faults are switched off, all must
be well again, and a sample is taken at rest. So each sample is of the same house, and one thing more in each round is
a leak.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from brokers import BrokerFactory, free_port
from janitoo_actors.commands.run import STOP_TIMEOUT
from janitoo_actors.runtime.history import MOST_ERRORS, Failure
from running_server import ServerProcess
from soak import counted_run
from soak.growth import FEWEST, growth
from soak.house import APART, LOG_BACKUPS, LOG_SIZE, SPARED, House, annex_text
from soak.living import Home
from soak.looking import Watched
from tool_runs import run_program

MINUTES: Final = float(os.environ.get("MINUTES", "5"))
MISCHIEF: Final = 12.0
"""Seconds of mischief in a round."""
SLACK: Final = 2.0
"""Seconds by which a busy machine may delay an end besides."""

TOLERANCES: Final = {
    "rss": (4096, 0.05),
    "blocks": (8000, 0.0),
    "threads": (2, 0.0),
    "files": (2, 0.0),
    "processes": (0, 0.0),
    "timers": (5, 0.0),
    "zombies": (0, 0.0),
    "backlog": (10, 0.0),
    "cpu": (100, 0.5),
}
"""By how much each figure may grow, and by which part of itself."""
OF_A_TYPE: Final = (40, 0.1)
BOUNDED: Final = {f"{Failure.__module__}.{Failure.__qualname__}": MOST_ERRORS}
"""Objects of which there may be so many, and which come to it slowly."""


def start(file: Path, apart: tuple[str, ...], spared: tuple[str, ...] = ()) -> Watched:
    """Start a server that can be counted."""
    counts = file.with_suffix(".json")
    command = [sys.executable, str(Path(counted_run.__file__)), str(counts), str(file)]
    return Watched(file, ServerProcess(command, cwd=file.parent), counts, apart, spared)


@pytest.mark.soak
@pytest.mark.timeout(MINUTES * 60 + 900)
def test_soak(private_broker: BrokerFactory, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    broker = private_broker(persistence=True)
    house = House(tmp_path / "house.conf", broker, free_port())
    house.path.write_text(house.text(), "utf-8")
    annex_file = tmp_path / "annex.conf"
    annex_file.write_text(annex_text(annex_file, broker), "utf-8")
    server, annex = start(house.path, APART, SPARED), start(annex_file, ("stable",))
    with server.process, annex.process:
        for each in (server, annex):
            each.wait_well()
            each.wait_whole()
        home = Home(broker, house, server, annex, seed)
        begin = time.monotonic()
        while time.monotonic() < begin + MINUTES * 60 or len(server.samples) < FEWEST + 2:
            home.live(MISCHIEF)
            home.tidy()
            home.tally.scrape()
            for each in (server, annex):
                tell(each, time.monotonic() - begin)
            assert not home.wrong, home.wrong
        elapsed = time.monotonic() - begin
        said = run_program("console", str(house.path), "health")
        assert said.code == 0, said
        print(f"{elapsed:.0f} s; {dict(home.did)}; {dict(home.tally.totals)}; {home.away}")
        check_growth(server)
        check_growth(annex)
        check_files(house, annex_file)
        for each in (server, annex):
            asked = time.monotonic()
            code = each.process.interrupt()
            took = time.monotonic() - asked
            assert code == 0, each.process.both
            assert took < STOP_TIMEOUT + SLACK, f"{each.file.name} took {took:.1f} s to end"


def tell(server: Watched, at: float) -> None:
    """Take a sample as soon as all is well, and print it."""
    server.wait_well()
    server.wait_whole()
    sample = server.sample()
    figures = " ".join(f"{key} {figure:.0f}" for key, figure in sample.figures.items())
    print(f"{at:5.0f} s {server.file.stem}: {figures}", flush=True)


def check_growth(server: Watched) -> None:
    """Nothing of a server grows."""
    grown = []
    for key in server.samples[0].figures:
        found = growth([each.figures[key] for each in server.samples], *TOLERANCES[key.partition(" of ")[0]])
        print(f"{server.file.stem} {key}: {found}")
        if found.is_too_much:
            grown.append(f"{key}: {found}")
    print(f"{server.file.stem} threads: {server.samples[0].names} → {server.samples[-1].names}")
    types = {name for each in server.samples for name in each.types}
    found_types = {name: growth([each.types.get(name, 0) for each in server.samples], *of_type(name)) for name in types}
    for name in sorted(types, key=lambda each: found_types[each].trend)[:-6:-1]:
        print(f"{server.file.stem} objects of {name}: {found_types[name]}")
    grown += [f"objects of {name}: {found}" for name, found in sorted(found_types.items()) if found.is_too_much]
    assert not grown, f"{server.file.stem} grows: {grown}"


def of_type(name: str) -> tuple[float, float]:
    """By how much objects of a type may grow."""
    return (BOUNDED[name], 0.0) if name in BOUNDED else OF_A_TYPE


def check_files(house: House, annex: Path) -> None:
    """The files are whole, nothing lies beside them, and the log was kept short."""
    for file in (house.path, annex):
        said = run_program("check", str(file))
        assert said.code == 0, said
    text = house.path.read_text("utf-8")
    for section, options in house.written.items():
        for uuid, written in options.items():
            assert f"{uuid} = {written}\n" in text, f"{section} {uuid} = {written} is not in the file"
    logs = list(house.log.parent.glob(f"{house.log.name}*"))
    assert 1 < len(logs) <= LOG_BACKUPS + 1
    assert all(each.stat().st_size <= LOG_SIZE for each in logs)
