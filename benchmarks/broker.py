"""A mosquitto for the benchmarks, and when it took which connection."""

from __future__ import annotations

import random
import re
import socket
import subprocess
import threading
import time
from types import TracebackType
from typing import Final

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.runtime.broker_programs import MOSQUITTO, embedded_program

_TIMEOUT: Final = 10.0
_CONNECTED: Final = re.compile(r"New client connected from \S+ as (\S+)")


class Broker:
    """A mosquitto in a process of its own, on a free port of the loopback interface, as `broker = embedded` starts it.

    Attributes:
        config: how to reach it.
        connected: when it took the connection of a client, by the client's id, in `time.monotonic()`.
    """

    def __init__(self) -> None:
        self.config = BrokerConfig(port=_free_port())
        self.connected: dict[str, float] = {}
        self._condition = threading.Condition()
        with embedded_program(self.config) as program:
            if program.name != MOSQUITTO:
                raise SystemExit("the benchmarks need mosquitto: apt install mosquitto")
            self._process = subprocess.Popen(
                program.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
            )
            threading.Thread(target=self._read, name="mosquitto-log", daemon=True).start()
            self._wait_until_it_answers()

    def __enter__(self) -> Broker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(_TIMEOUT)

    def wait_connected(self, prefix: str) -> float:
        """Wait for a client whose id begins so; when the broker took its connection."""
        with self._condition:
            found = self._condition.wait_for(lambda: [k for k in self.connected if k.startswith(prefix)], _TIMEOUT)
            if not found:
                raise TimeoutError(f"no client {prefix}… has connected within {_TIMEOUT:g} s")
            return min(self.connected[key] for key in found)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            now = time.monotonic()
            match = _CONNECTED.search(line)
            if match is not None:
                with self._condition:
                    self.connected[match[1]] = now
                    self._condition.notify_all()

    def _wait_until_it_answers(self) -> None:
        due = time.monotonic() + _TIMEOUT
        while True:
            try:
                socket.create_connection((self.config.host, self.config.port), timeout=1).close()
            except OSError:
                if time.monotonic() > due or self._process.poll() is not None:
                    raise
                time.sleep(0.01)
            else:
                return


def _free_port() -> int:
    """A port below those that the system gives to clients."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free TCP port between 20000 and 32000")
