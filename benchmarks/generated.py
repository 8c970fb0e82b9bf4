"""A server of generated nodes: python -m benchmarks.generated FILE. Its drivers touch nothing."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue

import benchmarks.without_rich  # noqa: F401 - for its effect: structlog must not find it
from janitoo_actors import logs
from janitoo_actors.api import Bus, BusLostError, Component, Genre, Instance, Setting, Value
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.runtime.server import Server


class BenchBus(Bus):
    """A bus that holds nothing."""

    oid = "bench"


class BenchNode(Component):
    """A component with one polled value, as most have."""

    oid = "bench.node"
    name = "Node"

    time = Value("sensor_float", genre=Genre.BASIC, help="The time", poll_delay=30)

    @time.reader
    def read_time(self, _instance: Instance) -> float:
        """The time of the machine's clock."""
        return time.monotonic()


class FaultyNode(Component):
    """A component that crashes or hangs once, when a file says so, and notes when it did."""

    oid = "bench.faulty"
    name = "Faulty"

    fault: Setting[str] = Setting("config_string", default="", help="The file that says `crash` or `hang`")
    time = Value("sensor_float", genre=Genre.BASIC, help="The time", poll_delay=0.02)

    @time.reader
    def read_time(self, _instance: Instance) -> float:
        """The time of the machine's clock."""
        now = time.monotonic()
        file = Path(self.setting("fault"))
        what = file.read_text(encoding="ascii") if file.exists() else ""
        if what:
            file.unlink()
            file.with_suffix(".at").write_text(str(now), encoding="ascii")
        if what == "crash":
            raise BusLostError("as it was told to")
        if what == "hang":
            threading.Event().wait()
        return now


REGISTRY = Registry({BenchBus.oid: BenchBus}, {BenchNode.oid: BenchNode, FaultyNode.oid: FaultyNode})


def main() -> int:
    """Run the server until a signal ends it."""
    config = load(Path(sys.argv[1]), REGISTRY)
    logs.configure(config)
    wakeups: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: wakeups.put(None))
    server = Server(config, on_ended=lambda: wakeups.put(None))
    wakeups.get()
    return 0 if server.stop(10.0) else 1


if __name__ == "__main__":
    sys.exit(main())
