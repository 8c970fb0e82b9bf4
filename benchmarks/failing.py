"""From a failure to the first value of the replacement: of a bus on a thread, and of one in a process."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import psutil

from benchmarks.air import Air, Heard
from benchmarks.broker import Broker
from benchmarks.context import Context
from benchmarks.figures import Figure, median_of
from benchmarks.servers import GENERATED, ServerProcess
from benchmarks.vitals import MB, vitals
from janitoo_actors.configuration.model import BrokerConfig

_READ_TIMEOUT: Final = 0.5
_VALUES: Final = "/values/#"
_PREFIX: Final = "/values/basic/"
_RESET: Final = 0.2
"""Seconds between two failures, in which the bus works."""


def failing(context: Context) -> Iterator[Figure]:
    """Crashes, hangs and SIGKILLs, each the first one of a server; and what a process of its own costs."""
    runs = context.pick(9, 2)
    with Broker() as broker:

        def failures(isolation: str, fail: Callable[[_Server], float], deadline: float = 0.0) -> list[float]:
            found = []
            for _ in range(runs):
                with _Server(context.folder, broker.config, isolation) as server:
                    found.append((fail(server) - deadline) * 1000)
            return found

        def crash(server: _Server) -> float:
            return server.fail("crash")

        def hang(server: _Server) -> float:
            return server.fail("hang")

        note = "BusLostError in a read; on the air"
        yield median_of("thread: crash to first value", failures("thread", crash), "ms", note=note)
        hangs = failures("thread", hang, _READ_TIMEOUT)
        note = f"after the deadline, read_timeout = {_READ_TIMEOUT:g} s; on the air"
        yield median_of("thread: hang to first value", hangs, "ms", goal=5, note=note)
        note = "the bus restarts in its process"
        yield median_of("process: crash to first value", failures("process", crash), "ms", note=note)
        note = "of another process"
        yield median_of("process: SIGKILL to first value", failures("process", _Server.kill), "ms", goal=200, note=note)
        hangs = failures("process", hang, _READ_TIMEOUT)
        note = "after the deadline, that of the watchdog in the process"
        yield median_of("process: hang to first value", hangs, "ms", goal=200, note=note)
        with _Server(context.folder, broker.config, "process") as server:
            child = vitals(server.child())
        yield Figure("process: memory of its own", child.uss / MB, "MB", note=f"USS; RSS {child.rss / MB:.1f} MB")


class _Server:
    """A server with one bus of one component, which fails on demand."""

    def __init__(self, folder: Path, broker: BrokerConfig, isolation: str) -> None:
        self._fault = folder / f"{isolation}.fault"
        lines = ["[system]", f"broker_ip = {broker.host}", f"broker_port = {broker.port}"]
        lines += [f"read_timeout = {_READ_TIMEOUT}"]
        lines += ["[bench0]", "oid = bench", "hadd = 0200/0000", f"isolation = {isolation}"]
        lines += ["components.node1 = bench.faulty", "[bench0__node1]", f"fault_0 = {self._fault}"]
        conf = folder / f"failing-{isolation}.conf"
        conf.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._stack = ExitStack()
        self._air = self._stack.enter_context(Air(broker, _VALUES))
        self._process = self._stack.enter_context(ServerProcess(GENERATED, conf))

    def __enter__(self) -> _Server:
        self._air.wait_message(_PREFIX)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def fail(self, how: str) -> float:
        """Have a read fail; seconds from its begin until the next value is on the air."""
        self._settle()
        at = self._fault.with_suffix(".at")
        at.unlink(missing_ok=True)
        partial = self._fault.with_suffix(".new")
        partial.write_text(how, encoding="ascii")
        partial.rename(self._fault)
        self._air.wait_for(lambda _: at.exists() and at.read_text(encoding="ascii"), "the failure")
        began = float(at.read_text(encoding="ascii"))
        return self._first_after(lambda data: data > began) - began

    def kill(self) -> float:
        """Kill the process of the bus; seconds until the next value is on the air."""
        self._settle()
        child = self.child()
        began = time.monotonic()
        os.kill(child, signal.SIGKILL)
        return self._first_after(lambda data: data > began) - began

    def child(self) -> int:
        """The process of the bus: the one that the server of forks has made, and that is no such server."""
        everybody = psutil.Process(self._process.pid).children(recursive=True)
        return next(each.pid for each in everybody if each.ppid() != self._process.pid)

    def _first_after(self, fits: Callable[[float], bool]) -> float:
        """When the first value came that was read after something."""

        def found(heard: Sequence[Heard]) -> float | None:
            for each in heard:
                data = json.loads(each.payload)["data"] if each.topic.startswith(_PREFIX) else None
                if data is not None and fits(data):
                    return each.time
            return None

        when: float = self._air.wait_for(found, "a value of the replacement")
        return when

    def _settle(self) -> None:
        """Let it work for a moment, and forget what was heard."""
        time.sleep(_RESET)
        self._air.clear()
        self._air.wait_message(_PREFIX)
