"""What a running server is made of at a moment, from the console, its figures, and /proc. It blocks."""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from janitoo_actors.control.client import NoServerError, NotServedError, connect
from running_server import ServerProcess
from waiting import wait_for

PATIENCE: Final = 90.0
"""Seconds for a house to be well again, on a machine that has other work too."""
ASK: Final = 60.0
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_COUNTED: Final = re.compile(r"^janitoo_(\w+)_total(\{.*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """A server at rest.

    Attributes:
        figures: what must not grow: memory in KiB, blocks of Python's allocator, threads, open files, …
        types: how many objects of each type there are.
        names: how many threads of each name, without their numbers.
    """

    figures: Mapping[str, float]
    types: Mapping[str, int]
    names: Mapping[str, int]


@dataclass
class Watched:
    """A server of the soak.

    Attributes:
        file: its configuration.
        process: `janitoo run`.
        counts: where it writes its counts.
        apart: the buses in processes of their own.
        spared: those of them that nobody hits, and that are looked into as well.
        whole: the paths of all of its actors, as it was in the beginning.
    """

    file: Path
    process: ServerProcess
    counts: Path
    apart: tuple[str, ...]
    spared: tuple[str, ...] = ()
    whole: frozenset[str] = frozenset()
    samples: list[Sample] = field(default_factory=list)
    _used: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), 0.0))

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.process.pid

    def ask(self, request: str, **data: Any) -> Mapping[str, Any]:
        """Ask it, on a connection of its own."""
        with connect(self.file) as control:
            return control.ask(request, ASK, **data)

    def wait_well(self) -> None:
        """Wait until `health` says ok."""
        said: list[Any] = [None]

        def well() -> bool:
            assert self.process.process.poll() is None, f"{self.file} has ended: {self.process.both}"
            try:
                said[0] = self.ask("health")
            except (NoServerError, NotServedError) as error:
                said[0] = error
                return False
            return bool(said[0]["status"] == "ok")

        wait_for(well, PATIENCE, lambda: f"{self.file.name} is well: {said[0]}", interval=0.1)

    def wait_whole(self) -> None:
        """Wait until the same actors are there as in the beginning, those in the processes of buses too."""
        if not self.whole:
            # What is in a process is told once a second.
            inner = {f"/buses/{section}/bus" for section in self.apart}
            wait_for(lambda: inner <= self.paths(), PATIENCE, f"{self.file.name} knows {inner}", interval=0.2)
            self.whole = self.paths()
        others: list[frozenset[str]] = [frozenset()]

        def same() -> bool:
            others[0] = self.paths() ^ self.whole
            return not others[0]

        wait_for(same, PATIENCE, lambda: f"{self.file.name} is not as before: {sorted(others[0])}", interval=0.2)

    def paths(self) -> frozenset[str]:
        """The paths of all of its actors."""
        return frozenset(each["path"] for each in self.actors())

    def actors(self) -> list[Mapping[str, Any]]:
        """All of its actors."""
        return list(self.ask("tree")["actors"])

    def sample(self) -> Sample:
        """Look at it, now that it is at rest, and keep what is seen."""
        # What has happened is kept until there is enough of it, which takes an hour; this empties it.
        self.ask("clear")
        overview = self.ask("overview")
        counts = self._count()
        figures = {
            **held(self.pid),
            "blocks": counts["blocks"],
            "processes": len(descendants(self.pid)),
            "timers": counts["timers"],
            "zombies": overview["zombies"],
            "backlog": overview["backlog"],
        }
        pids = {each["path"]: each["pid"] for each in self.actors()}
        for section in self.spared:
            figures |= {f"{key} of {section}": figure for key, figure in held(pids[f"/buses/{section}"]).items()}
        figures["cpu"] = self._cpu()
        found = Sample(figures, counts["types"], counts["threads"])
        self.samples.append(found)
        return found

    def _cpu(self) -> float:
        """Milliseconds of a core that it has used in each second since this was asked last."""
        at, used = time.monotonic(), cpu(self.pid)
        before_at, before = self._used
        self._used = (at, used)
        return 1000 * (used - before) / (at - before_at)

    def _count(self) -> Mapping[str, Any]:
        self.counts.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR2)
        wait_for(self.counts.exists, ASK, f"the counts of {self.file.name}")
        counts: Mapping[str, Any] = json.loads(self.counts.read_text("utf-8"))
        return counts


class Tally:
    """What the counters of a server come to, though some begin anew when their bus does."""

    def __init__(self, port: int) -> None:
        self.totals: Counter[str] = Counter()
        self._port = port
        self._last: dict[tuple[str, str], float] = {}

    def scrape(self) -> None:
        """Ask for the figures, as Prometheus does."""
        now = {}
        for name, labels, figure in _COUNTED.findall(scrape(self._port)):
            now[name, labels] = float(figure)
        for key, figure in now.items():
            before = self._last.get(key, 0.0)
            self.totals[key[0]] += int(figure - before if figure >= before else figure)
        self._last = now


def scrape(port: int) -> str:
    """The figures of a server, as text."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=ASK) as answer:
        return str(answer.read().decode("utf-8"))


def held(pid: int) -> dict[str, float]:
    """What a process holds: memory in KiB, threads, open files."""
    proc = Path(f"/proc/{pid}")
    return {
        "rss": int((proc / "statm").read_text("ascii").split()[1]) * _PAGE / 1024,
        "threads": len(os.listdir(proc / "task")),
        "files": len(os.listdir(proc / "fd")),
    }


def cpu(pid: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def descendants(pid: int) -> set[int]:
    """The processes that descend from one."""
    parents = {}
    for each in os.listdir("/proc"):
        if each.isdigit():
            try:
                parents[int(each)] = int(Path(f"/proc/{each}/stat").read_text("ascii").rpartition(")")[2].split()[1])
            except OSError:
                continue
    family, before = {pid}, 0
    while before != len(family):
        before = len(family)
        family |= {each for each, parent in parents.items() if parent in family}
    return family - {pid}
