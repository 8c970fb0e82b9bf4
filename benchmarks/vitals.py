"""What the kernel knows of a process: memory, processor time, context switches. Linux only."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MB: Final = 1024 * 1024
_CPUCLOCK_SCHED: Final = 2


@dataclass(frozen=True, slots=True)
class Vitals:
    """A process at one moment.

    Attributes:
        rss, pss: bytes in memory; PSS counts what is shared with other processes by its share, and is the RSS where
            the kernel does not tell.
        uss: bytes that would be free without it: what it shares with nobody. As PSS, where the kernel tells.
        cpu: seconds of processor time, of all its threads, user's and system's.
        wakeups: how often one of its threads has slept and been woken (voluntary context switches).
        preemptions: how often one of its threads was interrupted for another.
        threads: how many there are.
    """

    rss: int
    pss: int
    uss: int
    cpu: float
    wakeups: int
    preemptions: int
    threads: int


def vitals(pid: int | None = None) -> Vitals:
    """The vitals of a process (this one where none is given) now. Takes some milliseconds where it has much memory."""
    pid = os.getpid() if pid is None else pid
    proc = Path("/proc") / str(pid)
    wakeups = preemptions = threads = 0
    for task in (proc / "task").iterdir():
        status = _fields(task / "status")
        wakeups += status.get("voluntary_ctxt_switches", 0)
        preemptions += status.get("nonvoluntary_ctxt_switches", 0)
        threads += 1
    rss = _fields(proc / "status")["VmRSS"] * 1024
    try:
        rollup = _fields(proc / "smaps_rollup")
        pss = rollup["Pss"] * 1024
        uss = (rollup["Private_Clean"] + rollup["Private_Dirty"]) * 1024
    except (OSError, KeyError):
        pss = uss = rss
    # The clock of a process, as clock_getcpuclockid(3) makes it; /proc/<pid>/stat counts in steps of 10 ms.
    cpu = time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    return Vitals(rss, pss, uss, cpu, wakeups, preemptions, threads)


def _fields(file: Path) -> dict[str, int]:
    """The lines `key: number …` of a file."""
    found: dict[str, int] = {}
    try:
        lines = file.read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        # A thread that has ended meanwhile.
        return found
    for line in lines:
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[key] = int(words[0])
    return found
