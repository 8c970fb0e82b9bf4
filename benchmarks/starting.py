"""From the process's start, and from the broker's CONNACK, to the first value and to every node's ONLINE."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.air import Air, Online
from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure, median_of
from benchmarks.servers import (
    HOSTSENSOR_BUS,
    HOSTSENSOR_NODES,
    JANITOO_RUN,
    WITHOUT_RICH,
    ServerProcess,
    hostsensor_conf,
)

_IMPORTS: Final = "janitoo_actors.commands.main, janitoo_actors.commands.run, drivers.hostsensor, psutil"
_IMPORT_TIME: Final = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s+(\S+)")
_WITHOUT: Final = "import sys; sys.modules['rich'] = None; "
_OFFENDERS: Final = 8


@dataclass(frozen=True, slots=True)
class _Start:
    """One start of a server; seconds from the start of its process."""

    connected: float
    first_value: float
    online: float
    stopped: float


def server(context: Context) -> Iterator[Figure]:
    """From the broker's CONNACK to the first value, and to every node's ONLINE."""
    starts = _starts(context, JANITOO_RUN, context.pick(15, 3))
    values = [start.first_value - start.connected for start in starts]
    online = [start.online - start.connected for start in starts]
    nodes = f"{HOSTSENSOR_NODES} nodes of conf/hostsensor.conf"
    yield median_of("CONNACK to first value", values, "s", original=21, goal=0.5, note=nodes)
    yield median_of("CONNACK to every node ONLINE", online, "s", original=53, goal=0.5, note=nodes)
    yield Figure("CONNACK to first value, slowest", max(values), "s", note=f"of {len(starts)} starts")
    yield Figure("CONNACK to every node ONLINE, slowest", max(online), "s", note=f"of {len(starts)} starts")
    stops = [start.stopped for start in starts]
    yield median_of("SIGTERM to the process's end", stops, "s", goal=5, note="every node OFFLINE before")


def start(context: Context) -> Iterator[Figure]:
    """From exec to the first value, and what that consists of."""
    runs = context.pick(11, 2)
    _one_start(context, WITHOUT_RICH)
    plain, with_rich, nothing, paho, ours = [], [], [], [], []
    for _ in range(runs):
        # In turn, so that whatever else the machine is at slows all of them down.
        plain.append(_one_start(context, WITHOUT_RICH))
        nothing.append(_imported("sys"))
        paho.append(_imported("paho.mqtt.client"))
        ours.append(_imported(_IMPORTS))
        with_rich.append(_one_start(context, JANITOO_RUN))
    total = median_of("exec to first value", [each.first_value for each in plain], "s", note="without rich")
    yield total
    yield median_of("  interpreter", [begun for begun, _ in ours], "s", note="exec to the first line of Python")
    yield median_of("  imports", [done - begun for begun, done in ours], "s", note="psutil too")
    rest = [each.connected - done for each, (_, done) in zip(plain, ours, strict=True)]
    yield median_of("  configuration, actors, connection", rest, "s", note="what is left until CONNACK")
    yield median_of("  CONNACK to first value", [each.first_value - each.connected for each in plain], "s")
    bare = median_of("", [done for _, done in nothing], "s").value
    ratios = [each.first_value / done for each, (_, done) in zip(plain, nothing, strict=True)]
    note = f"exec to a line of Python that imports nothing: {bare:.3f} s"
    yield median_of("exec to first value, of a bare interpreter's start", ratios, "x", note=note)
    reference = median_of("", [done - begun for begun, done in paho], "s").value
    ratios = [(d - b) / (paho_d - paho_b) for (b, d), (paho_b, paho_d) in zip(ours, paho, strict=True)]
    yield median_of("imports, of paho-mqtt's", ratios, "x", note=f"importing paho-mqtt alone: {reference:.3f} s")
    note = "structlog imports rich where an extra has brought it, as [console]"
    yield median_of("exec to first value, with rich", [each.first_value for each in with_rich], "s", note=note)
    for name, seconds in _offenders():
        yield Figure(f"  importing {name}", seconds, "s", note="its own modules; -X importtime, which adds to it")


def _starts(context: Context, program: Sequence[str], runs: int) -> list[_Start]:
    # The first one reads from the disk what the others find in memory.
    return [_one_start(context, program) for _ in range(runs + 1)][1:]


def _one_start(context: Context, program: Sequence[str]) -> _Start:
    with Broker() as broker, Air(broker.config, "/values/#", "/dhcp/heartbeat/#") as air:
        conf = hostsensor_conf(context.folder, broker.config)
        with ServerProcess(program, conf) as process:
            value = air.wait_message("/values/")
            online = air.wait_for(Online(HOSTSENSOR_NODES), "every node is ONLINE")
            connected = broker.wait_connected(f"janitoo-{HOSTSENSOR_BUS}")
            stopped = process.stop()
        began = process.began
        return _Start(connected - began, value.time - began, online - began, stopped)


def _imported(modules: str) -> tuple[float, float]:
    """Seconds from exec to the first line of Python, and until it has imported modules."""
    code = f"import time; begun = time.monotonic(); {_WITHOUT}import {modules}; print(begun, time.monotonic())"
    began = time.monotonic()
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    begun, done = map(float, output.split())
    return begun - began, done - began


def _offenders() -> list[tuple[str, float]]:
    """The dearest packages, each with the time of its own modules alone; Python's own library is one of them."""
    command = [sys.executable, "-X", "importtime", "-c", f"{_WITHOUT}import {_IMPORTS}"]
    runs = []
    for _ in range(3):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        found: Counter[str] = Counter()
        for own, name in _IMPORT_TIME.findall(output):
            package = name.partition(".")[0]
            found["Python's library" if package in sys.stdlib_module_names else package] += int(own)
        runs.append(found)
    # The one that was disturbed least.
    return [(name, own / 1e6) for name, own in min(runs, key=Counter.total).most_common(_OFFENDERS)]
