"""Servers in processes of their own, to be measured from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from janitoo_actors.configuration.model import BrokerConfig

STOP_TIMEOUT: Final = 15.0

HOSTSENSOR: Final = Path(__file__).resolve().parent.parent / "conf" / "hostsensor.conf"
HOSTSENSOR_NODES: Final = 6
HOSTSENSOR_BUS: Final = "hostsensor"

JANITOO_RUN: Final = ("-m", "janitoo_actors.commands.main", "run", "--quiet")
"""What `janitoo run` is, for an interpreter."""
WITHOUT_RICH: Final = ("-m", "benchmarks.without_rich", "run", "--quiet")
"""The same where `rich` is not installed, as after `make run`: structlog imports it where it finds it."""
GENERATED: Final = ("-m", "benchmarks.generated")
"""A server of generated nodes, with a driver of its own."""


class ServerProcess:
    """A server that runs, and is stopped at the end of the context.

    Attributes:
        began: when its process was started, in `time.monotonic()`.
        pid: its process.
    """

    def __init__(self, program: Sequence[str], conf: Path) -> None:
        self._log = conf.with_suffix(".log")
        with self._log.open("wb") as log:
            self.began = time.monotonic()
            self._process = subprocess.Popen(
                [sys.executable, *program, str(conf)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = self._process.pid

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._log.exists():
            print(self._log.read_text(encoding="utf-8", errors="replace")[-3000:], file=sys.stderr)
        self.stop()

    def stop(self) -> float:
        """Stop it in order; how long that took, in seconds. Kills it where it takes too long."""
        began = time.monotonic()
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        return time.monotonic() - began


def hostsensor_conf(folder: Path, broker: BrokerConfig) -> Path:
    """A copy of conf/hostsensor.conf for a broker that runs already."""
    lines = []
    for line in HOSTSENSOR.read_text(encoding="utf-8").splitlines():
        key = line.partition("=")[0].strip()
        if key == "broker":
            continue
        lines.append(f"broker_port = {broker.port}" if key == "broker_port" else line)
    path = folder / "hostsensor.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def generated_conf(folder: Path, broker: BrokerConfig, buses: int, nodes: int) -> Path:
    """The configuration of a server of so many buses, each with so many nodes besides its controller."""
    lines = ["[system]", f"broker_ip = {broker.host}", f"broker_port = {broker.port}"]
    for bus in range(buses):
        section = f"bench{bus}"
        hadd = f"{200 + bus:04d}"
        lines += [f"[{section}]", "auto_start = True", "oid = bench", f"hadd = {hadd}/0000", "heartbeat = 30"]
        lines += [f"components.node{node} = bench.node" for node in range(1, nodes + 1)]
        for node in range(1, nodes + 1):
            lines += [f"[{section}__node{node}]", f"hadd = {hadd}/{node:04d}", "heartbeat = 30"]
            lines += [f"name = Node {node}", "location = Here"]
    path = folder / f"generated-{buses}x{nodes}.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
