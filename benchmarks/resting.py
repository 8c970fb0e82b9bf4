"""What a server costs that has nothing to do but to beat and to poll."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from benchmarks.air import Air, Online
from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure
from benchmarks.servers import HOSTSENSOR_NODES, JANITOO_RUN, WITHOUT_RICH, ServerProcess, hostsensor_conf
from benchmarks.vitals import MB, vitals

_SETTLE: Final = 2.0


def rest(context: Context) -> Iterator[Figure]:
    """Memory, processor time and wake-ups at rest; beside them an idle client of raw paho-mqtt, in the same minute."""
    seconds = context.pick(60.0, 10.0)
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        air = stack.enter_context(Air(broker.config, "/dhcp/heartbeat/#"))
        conf = hostsensor_conf(context.folder, broker.config)
        server = stack.enter_context(ServerProcess(WITHOUT_RICH, conf))
        air.wait_for(Online(HOSTSENSOR_NODES), "every node is ONLINE")
        peer = subprocess.Popen([sys.executable, "-m", "benchmarks.echo", broker.config.host, str(broker.config.port)])
        stack.callback(peer.wait)
        stack.callback(peer.kill)
        broker.wait_connected("bench-echo")
        time.sleep(_SETTLE)
        before, peer_before = vitals(server.pid), vitals(peer.pid)
        time.sleep(seconds)
        after, peer_after = vitals(server.pid), vitals(peer.pid)
    note = "conf/hostsensor.conf, without rich"
    yield Figure("RSS", after.rss / MB, "MB", original=51, note=note)
    yield Figure("PSS", after.pss / MB, "MB", note="what is shared with other processes by its share")
    yield Figure("RSS, of an idle paho client's", after.rss / peer_after.rss, "x", note=f"{peer_after.rss / MB:.1f} MB")
    cpu = (after.cpu - before.cpu) / seconds * 100
    yield Figure("CPU", cpu, "%", original=0.4, note=f"of one core, over {seconds:g} s")
    wakeups = (after.wakeups - before.wakeups) / seconds
    yield Figure("wake-ups", wakeups, "/s", note="voluntary context switches of all threads")
    yield Figure("preemptions", (after.preemptions - before.preemptions) / seconds, "/s", note="others wanted the core")
    idle_cpu = (peer_after.cpu - peer_before.cpu) / seconds * 100
    yield Figure("CPU, of an idle paho client's", cpu / idle_cpu, "x", note=f"{idle_cpu:.3f} %, loop_forever")
    idle = (peer_after.wakeups - peer_before.wakeups) / seconds
    yield Figure("wake-ups of an idle paho client", idle, "/s", note="loop_forever")
    yield Figure("threads", after.threads, "")
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        air = stack.enter_context(Air(broker.config, "/dhcp/heartbeat/#"))
        conf = hostsensor_conf(context.folder, broker.config)
        server = stack.enter_context(ServerProcess(JANITOO_RUN, conf))
        air.wait_for(Online(HOSTSENSOR_NODES), "every node is ONLINE")
        yield Figure("RSS, with rich", vitals(server.pid).rss / MB, "MB", note="where it is installed")
