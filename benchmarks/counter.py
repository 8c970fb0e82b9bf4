"""A subscriber that counts, in a process of its own: python -m benchmarks.counter HOST PORT TOPIC.

It speaks MQTT by itself, as paho-mqtt would need more of the processor for that than who publishes. For each line on
its standard input it prints how many messages have come so far, and when the last one did, in `time.monotonic()`.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Final

from janitoo_actors.configuration.model import BrokerConfig

_PUBLISH: Final = 3
_CONNECT: Final = b"\x10\x16\x00\x04MQTT\x04\x02\x00\x00\x00\x0abenchcount"
_TIMEOUT: Final = 60.0
_SILENCE: Final = 0.3


class Counter:
    """Counts the messages on a topic, for as long as its context lasts."""

    def __init__(self, broker: BrokerConfig, topic: str) -> None:
        command = [sys.executable, "-m", "benchmarks.counter", broker.host, str(broker.port), topic]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # It answers when it is subscribed.
        self.look()

    def __enter__(self) -> Counter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def look(self) -> tuple[int, float]:
        """How many have come so far, and when the last one did."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        count, last = self._process.stdout.readline().split()
        return int(count), float(last)

    def wait_quiet(self) -> tuple[int, float]:
        """Wait until nothing more comes; as `look`."""
        due = time.monotonic() + _TIMEOUT
        while time.monotonic() < due:
            count, last = self.look()
            time.sleep(_SILENCE)
            if self.look()[0] == count:
                return count, last
        raise TimeoutError(f"it is not quiet after {_TIMEOUT:g} s")


class _Count:
    """What has come."""

    def __init__(self, host: str, port: int, topic: str) -> None:
        self.count = 0
        self.last = 0.0
        self._left = b""
        self._socket = socket.create_connection((host, port))
        self._socket.sendall(_CONNECT)
        name = topic.encode()
        body = struct.pack("!HH", 1, len(name)) + name + b"\x00"
        self._socket.sendall(struct.pack("!BB", 0x82, len(body)) + body)
        # CONNACK and SUBACK, of 4 and 5 bytes.
        received = b""
        while len(received) < 9:
            received += self._socket.recv(9 - len(received))

    def run(self) -> None:
        """Count until the connection ends."""
        while data := self._socket.recv(1 << 20):
            self._take(self._left + data)
            self.last = time.monotonic()

    def _take(self, data: bytes) -> None:
        place, end = 0, len(data)
        while place + 2 <= end:
            length = shift = 0
            body = place + 1
            while body < end:
                length |= (data[body] & 0x7F) << shift
                shift += 7
                body += 1
                if data[body - 1] < 0x80:
                    break
            else:
                break
            if body + length > end:
                break
            self.count += data[place] >> 4 == _PUBLISH
            place = body + length
        self._left = data[place:]


def main() -> None:
    """Count, and tell whoever asks."""
    host, port, topic = sys.argv[1:]
    count = _Count(host, int(port), topic)
    threading.Thread(target=count.run, daemon=True).start()
    for _ in sys.stdin:
        print(count.count, count.last, flush=True)


if __name__ == "__main__":
    main()
