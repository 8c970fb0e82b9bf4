"""Light actors beside Pykka's own ThreadingActor, and publishing through actors beside raw paho-mqtt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure
from benchmarks.loads import Found, medians
from benchmarks.vitals import MB

_LOADS: Final = "benchmarks.actor_loads"
_KB: Final = 1024
_ACTORS: Final = 10_000
_THREADING: Final = 1_000
"""10,000 threads are more than most machines want: what one of 1,000 needs is compared with what one of 10,000 does."""


def actors(context: Context) -> Iterator[Figure]:
    """Starts, memory, tell, ask, publish, and the timers of 10,000 pollers."""
    runs = context.pick(5, 1)
    yield from _starts(runs)
    yield from _supervised(runs)
    yield from _tells(context, runs)
    yield from _asks(context, runs)
    yield from _publishes(context, runs)
    yield from _pollers(context)


def _starts(runs: int) -> Iterator[Figure]:
    light = _medians(runs, "start", "light", _ACTORS)
    threading = _medians(runs, "start", "threading", _THREADING)
    note = f"{_ACTORS:,} at once; ThreadingActor {threading['start']:.0f} µs with {_THREADING:,}"
    yield Figure("start of a light actor", light["start"], "µs", note=note)
    yield Figure("start, of a ThreadingActor's", light["start"] / threading["start"], "x")
    note = f"ThreadingActor {threading['memory'] / _KB:.1f} KB"
    yield Figure("memory of a light actor", light["memory"] / _KB, "KB", note=note)
    yield Figure("memory, of a ThreadingActor's", light["memory"] / threading["memory"], "x")
    note = f"ThreadingActor {threading['stop']:.0f} µs with {_THREADING:,}"
    yield Figure("stop of a light actor", light["stop"], "µs", note=note)


def _supervised(runs: int) -> Iterator[Figure]:
    """All of them: what 1,000 and 10,000 need."""
    for count, goal in ((1_000, None), (_ACTORS, 30.0)):
        bare = _medians(runs, "start", "light", count)
        below = _medians(runs, "supervised", count)
        note = f"under one supervisor {below['start'] * count / 1e6:.2f} s"
        yield Figure(f"{count:,} light actors: start", bare["start"] * count / 1e6, "s", note=note)
        yield Figure(f"{count:,} light actors: memory", bare["memory"] * count / MB, "MB", goal=goal)
        note = "their specifications too"
        yield Figure(f"{count:,} under a supervisor: memory", below["memory"] * count / MB, "MB", goal=goal, note=note)
        yield Figure(f"{count:,} under a supervisor: stop", below["stop"] * count / 1e6, "s", note="the last one first")


def _tells(context: Context, runs: int) -> Iterator[Figure]:
    light = _medians(runs, "tell", "light", 1000, context.pick(200_000, 20_000))
    threading = _medians(runs, "tell", "threading", 1000, context.pick(20_000, 3_000))
    note = f"to 1,000 actors in turn; ThreadingActor {threading['rate']:,.0f}/s"
    yield Figure("tell, light actors", light["rate"], "/s", note=note)
    yield Figure("tell, of ThreadingActor's rate", light["rate"] / threading["rate"], "x")


def _asks(context: Context, runs: int) -> Iterator[Figure]:
    count = context.pick(10_000, 1_000)
    light, pinned, threading = (_medians(runs, "ask", kind, count) for kind in ("light", "pinned", "threading"))
    note = f"p99 {light['p99']:.0f} µs; ThreadingActor {threading['p50']:.0f} µs, p99 {threading['p99']:.0f} µs"
    yield Figure("ask a light actor, p50", light["p50"], "µs", note=note)
    yield Figure("ask, of a ThreadingActor's p50", light["p50"] / threading["p50"], "x")
    yield Figure("ask a pinned actor, p50", pinned["p50"], "µs", note=f"p99 {pinned['p99']:.0f} µs")


def _publishes(context: Context, runs: int) -> Iterator[Figure]:
    messages = context.pick(30_000, 5_000)
    with Broker() as broker:
        found = _medians(runs, "publish", broker.config.host, broker.config.port, messages, 100)
    note = f"{messages:,} of 300 bytes until the broker has all"
    yield Figure("publish, raw paho", found["raw"], "/s", note=note)
    note = "light actor → link → paho, 100 actors"
    yield Figure("publish through actors", found["actors"], "/s", note=note)
    yield Figure("publish, of raw paho's rate", found["actors"] / found["raw"], "x")


def _pollers(context: Context) -> Iterator[Figure]:
    seconds, runs = context.pick((10.0, 5), (3.0, 1))
    # A machine that stands still for a moment spoils the tail of one run.
    found = _medians(runs, "pollers", _ACTORS, 1.0, seconds)
    name = f"{_ACTORS:,} timers of 1 s:"
    note = f"over {seconds:g} s, {runs} times"
    yield Figure(f"{name} delivered", found["delivered"] * 100, "%", at_least=99.95, note=note)
    note = f"p50 {found['jitter_p50']:.2f} ms; by how much a tick is not 1 s after the last"
    yield Figure(f"{name} jitter, p99", found["jitter_p99"], "ms", goal=10, note=note)
    note = f"p50 {found['late_p50']:.1f} ms; up to a slot of the wheel is meant"
    yield Figure(f"{name} late, p99", found["late_p99"], "ms", note=note)
    note = f"of one core; {found['wakeups']:.0f} wake-ups/s"
    yield Figure(f"{name} CPU", found["cpu"], "%", goal=15, note=note)


def _medians(runs: int, load: str, *arguments: Any) -> Found:
    return medians(runs, _LOADS, load, *arguments)
