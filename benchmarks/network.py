"""A network controller: how soon it has its map, how soon it notices and recovers, and what all that sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.fake_buses import FakeBuses
from benchmarks.figures import Figure
from benchmarks.loads import in_a_process, medians

_LOADS: Final = "benchmarks.network_loads"
_RESOLV_TIMEOUT: Final = 5.0


def network(context: Context) -> Iterator[Figure]:
    """Small and large networks, a primary that is killed, and 200 controllers."""
    runs = context.pick(5, 1)
    with Broker() as broker:
        where = (broker.config.host, broker.config.port)
        with FakeBuses(broker.config, 1, 4, 2):
            small = medians(runs, _LOADS, "maps", *where, 4, 4 * 4)
            alone = in_a_process(_LOADS, "alone", *where, 4, 4 * 4)
            killed = medians(runs, _LOADS, "killed", *where, 4)
        with FakeBuses(broker.config, 100, 10, 10):
            large = medians(runs, _LOADS, "maps", *where, 1000, 12_000)
        with FakeBuses(broker.config, 200, 2, 2):
            flood = in_a_process(_LOADS, "flood", *where, 400, 400 * 4)
    yield Figure("primary, 4 nodes: whole map", small["primary"], "s", original=18, goal=0.5)
    yield Figure("secondary, 4 nodes: whole map", small["secondary"], "s", goal=0.5, note="by resolv")
    note = f"after resolv_timeout, {_RESOLV_TIMEOUT:g} s"
    yield Figure("secondary without a primary", alone["alone"] - _RESOLV_TIMEOUT, "s", original=23, goal=0.5, note=note)
    yield Figure("SIGKILL of the primary to fail mode", killed["failed"], "s", goal=1.0)
    yield Figure("first beat to recovery, with its whole map", killed["recovered"], "s", goal=1.0)
    yield Figure("nodes known while that went on", killed["nodes"], "", at_least=4, note="of 4, the fewest")
    note = "1,000 nodes, 12,000 values, of which 10,000 basic"
    yield Figure("primary, 1,000 nodes: whole map", large["primary"], "s", goal=5.0, note=note)
    yield Figure("secondary, 1,000 nodes: whole map", large["secondary"], "s", goal=5.0, note=note)
    yield Figure("memory of one such map", large["memory"], "MB", note="RSS of the process with both, a half")
    yield Figure("200 controllers, 400 nodes: whole map", flood["seconds"], "s")
    yield Figure("messages sent by the primary", flood["requests"], "", goal=20, note="beats among them")
    yield Figure("messages that answer it", flood["replies"], "", note=f"{flood['reply_bytes'] / 1e6:.1f} MB")
    note = f"{flood['resolv_bytes'] / 1e6:.1f} MB; the longest {flood['longest'] / 1000:.0f} KB; at most 10 nodes each"
    yield Figure("messages for a secondary's whole map", flood["resolv"], "", note=note)
    yield Figure(
        "messages for a secondary that compares", flood["compared"], "", note=f"{flood['compared_bytes']} bytes"
    )
