"""From 10 to 1,000 nodes: memory, start, discovery, processor time with heartbeats and polls."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.air import Air, Online
from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure
from benchmarks.servers import GENERATED, ServerProcess, generated_conf
from benchmarks.vitals import MB, vitals
from janitoo_actors.protocol.codes import CommandClass, Genre

_SIZES: Final = ((1, 10), (1, 100), (1, 1000), (10, 100))
_QUICK_SIZES: Final = ((1, 10), (1, 1000))
_ME: Final = "9999/0000"
_KB: Final = 1024
_SETTLE: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Grown:
    """A server of some size. Bytes and seconds; medians of several starts where it is about the start."""

    rss: int
    pss: int
    first_value: float
    online: float
    answered: float
    answer: int
    cpu: float
    wakeups: float
    threads: int
    stopped: float


def growth(context: Context) -> Iterator[Figure]:
    """Servers of generated nodes, each with a value and a heartbeat every 30 s."""
    found: dict[tuple[int, int], _Grown] = {}
    for buses, nodes in context.pick(_SIZES, _QUICK_SIZES):
        starts = [_start(context, buses, nodes) for _ in range(context.pick(2, 0))]
        grown = found[buses, nodes] = _measure(context, buses, nodes, starts)
        size = f"{buses} bus{'es' if buses > 1 else ''} of {nodes:,} nodes"
        note = f"first value after {grown.first_value:.2f} s"
        yield Figure(f"{size}: exec to every node ONLINE", grown.online, "s", note=note)
        yield Figure(f"{size}: RSS", grown.rss / MB, "MB", note=f"PSS {grown.pss / MB:.1f} MB, {grown.threads} threads")
        note = f"of one bus; {grown.answer / _KB:,.1f} KB"
        yield Figure(f"{size}: discovery reply", grown.answered * 1000, "ms", note=note)
        note = f"of one core; every 30 s a value and a heartbeat of each; {grown.wakeups:.1f} wake-ups/s"
        yield Figure(f"{size}: CPU with heartbeats and polls", grown.cpu * 100, "%", note=note)
        yield Figure(f"{size}: SIGTERM to the process's end", grown.stopped, "s", goal=5)
    small, large = found[1, 10], found[1, 1000]
    note = "PSS, from 10 to 1,000 nodes of one bus"
    yield Figure("memory per node", (large.pss - small.pss) / 990 / _KB, "KB", note=note)
    yield Figure("start per node", (large.online - small.online) / 990 * 1000, "ms", note="to its ONLINE")
    yield Figure("discovery per node", (large.answered - small.answered) / 990 * 1e6, "µs", note="in one reply")


def _start(context: Context, buses: int, nodes: int) -> tuple[float, float]:
    """Seconds from exec to the first value, and to every node's ONLINE."""
    with Broker() as broker, Air(broker.config, "/dhcp/heartbeat/#", "/values/#") as air:
        conf = generated_conf(context.folder, broker.config, buses, nodes)
        with ServerProcess(GENERATED, conf) as server:
            online = air.wait_for(Online(buses * (nodes + 1)), "every node is ONLINE")
            return air.wait_message("/values/").time - server.began, online - server.began


def _measure(context: Context, buses: int, nodes: int, starts: Sequence[tuple[float, float]]) -> _Grown:
    with Broker() as broker, Air(broker.config, "/dhcp/heartbeat/#", "/values/#", f"/nodes/{_ME}/reply") as air:
        conf = generated_conf(context.folder, broker.config, buses, nodes)
        with ServerProcess(GENERATED, conf) as server:
            online = air.wait_for(Online(buses * (nodes + 1)), "every node is ONLINE")
            first_value = air.wait_message("/values/").time
            times, size = _discover(air, context.pick(21, 5))
            time.sleep(_SETTLE)
            seconds = context.pick(30.0, 2.0)
            before = vitals(server.pid)
            time.sleep(seconds)
            after = vitals(server.pid)
            stopped = server.stop()
        return _Grown(
            rss=after.rss,
            pss=after.pss,
            first_value=statistics.median([first_value - server.began, *(value for value, _ in starts)]),
            online=statistics.median([online - server.began, *(all_online for _, all_online in starts)]),
            answered=statistics.median(times),
            answer=size,
            cpu=(after.cpu - before.cpu) / seconds,
            wakeups=(after.wakeups - before.wakeups) / seconds,
            threads=after.threads,
            stopped=stopped,
        )


def _discover(air: Air, times: int) -> tuple[list[float], int]:
    """How long a reply about all nodes of the first bus takes, and how many bytes it has."""
    request = {
        "uuid": "request_info_nodes",
        "cmd_class": int(CommandClass.DISCOVERY),
        "genre": int(Genre.BASIC),
        "reply_hadd": _ME,
    }
    taken, size = [], 0
    for _ in range(times):
        air.clear()
        began = time.monotonic()
        air.publish("/nodes/0200/0000/request", json.dumps(request).encode())
        reply = air.wait_message(f"/nodes/{_ME}/reply")
        taken.append(reply.time - began)
        size = len(reply.payload)
    return taken, size
