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
from running_server import ServerProcess
from soak import counted_run
from soak.growth import FEWEST
from soak.house import APART, LOG_BACKUPS, LOG_SIZE, SPARED, House, annex_text
from soak.judging import grown, judged
from soak.living import Home
from soak.looking import Watched
from tool_runs import run_program

MINUTES: Final = float(os.environ.get("MINUTES", "5"))
MISCHIEF: Final = 12.0
"""Seconds of mischief in a round."""
SLACK: Final = 2.0
"""Seconds by which a busy machine may delay an end besides."""


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
    of = server.file.stem
    print(f"{of} threads: {dict(server.samples[0].names)} → {dict(server.samples[-1].names)}")
    for name, found in judged(server.samples).items():
        # Of the types, those that have grown the most.
        if not name.startswith("objects") or found.trend > found.tolerance / 2:
            print(f"{of} {name}: {found}")
    assert not grown(server.samples), f"{of} grows"


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
