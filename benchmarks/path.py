"""Values through the whole path of a server, beside raw paho-mqtt that publishes the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure
from benchmarks.loads import in_a_process, medians

_LOADS: Final = "benchmarks.path_loads"


def path(context: Context) -> Iterator[Figure]:
    """As many values as it can; and 1,000 pollers four times a second."""
    with Broker() as broker:
        where = (broker.config.host, broker.config.port)
        runs = context.pick(5, 1)
        found = medians(runs, _LOADS, "values", *where, 1000, context.pick(150_000, 30_000))
        paced = in_a_process(_LOADS, "polled", *where, 1000, 0.25, context.pick(20.0, 4.0))
    note = f"{found['raw_cpu']:.0f} µs of CPU each"
    yield Figure("raw paho, values", found["raw"], "/s", note=note)
    note = f"{found['path_cpu']:.0f} µs of CPU each; the ticks that it has no time for are in it"
    yield Figure("tick → bus → poller → link → broker", found["path"], "/s", note=note)
    yield Figure("whole path, of raw paho's rate", found["path"] / found["raw"], "x", at_least=0.9)
    yield Figure("1,000 pollers of 0.25 s: delivered", paced["delivered"] * 100, "%", at_least=99.95)
    note = f"of one core; raw paho needs {paced['raw_cpu']:.1f} % to publish as many"
    yield Figure("1,000 pollers of 0.25 s: CPU", paced["cpu"], "%", note=note)
