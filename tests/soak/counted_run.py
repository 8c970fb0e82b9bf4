"""`janitoo run`, which counts on SIGUSR2 what it is made of: all objects by their type, timers, threads.

    python counted_run.py COUNTS FILE

writes the counts as JSON to COUNTS, and is `janitoo run FILE` in everything else.
"""

from __future__ import annotations

import gc
import json
import linecache
import os
import re
import signal
import sys
import threading
from abc import ABCMeta
from collections import Counter
from pathlib import Path
from typing import Final

from janitoo_actors.commands.main import main
from supervisors.wheel import TimerWheel

_NUMBERS: Final = re.compile(r"[-_ ]?[0-9]+$")


def count(path: Path) -> None:
    """Write down how many objects of each type there are."""
    # What Python keeps of sources and of classes fills up to the number of these, for an hour and more.
    linecache.clearcache()
    for each in gc.get_objects():
        if type(each) is ABCMeta:
            each._abc_caches_clear()  # type: ignore[attr-defined]  # typeshed does not know it
    # Twice: what the first one finds may hold what only then is nobody's.
    gc.collect()
    gc.collect()
    objects = gc.get_objects()
    types = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)
    timers = sum(len(each) for each in objects if type(each) is TimerWheel)
    del objects
    threads = Counter(_NUMBERS.sub("", each.name) for each in threading.enumerate())
    counts = {"types": types, "timers": timers, "threads": threads, "blocks": sys.getallocatedblocks()}
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(counts), encoding="utf-8")
    os.replace(unfinished, path)


if __name__ == "__main__":
    written = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR2, lambda *_: count(written))
    sys.exit(main(["run", *sys.argv[2:]]))
