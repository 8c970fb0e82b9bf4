"""What waits to be sent on a connection to the broker: publications, which are written many at a time.

paho-mqtt makes each publication an object with a lock and a condition, and writes it by a system call of its own. All
of ours are of QoS 0 and not retained: nobody waits for them. So they are put together into large writes between paho's
own packets, and paho does the rest of the protocol. By its own way they take longer than all the rest of a value's.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections import deque
from typing import Final, Protocol

MOST_WAITING: Final = 20_000
"""Publications that may wait; some 10 MB. A broker that takes none is noticed by the keep-alive only."""
_MOST_AT_ONCE: Final = 128
"""Publications in one write."""
_PUBLISH: Final = 0x30
_LONGEST_NAME: Final = 65_535
_LONGEST_REST: Final = 268_435_455
_DIGIT: Final = 0x7F
_MORE: Final = 0x80


class Writable(Protocol):
    """A socket, with TLS or without."""

    def send(self, data: bytes, /) -> int:
        """Write some of the data."""


def publication(topic: str, payload: bytes) -> bytes:
    """A publication of QoS 0, not retained, as a packet. Source: MQTT 3.1.1, 2.2.3 and 3.3. Pure.

    Raises:
        ValueError: where the topic or the payload is longer than MQTT can carry.
    """
    name = topic.encode()
    length = 2 + len(name) + len(payload)
    if len(name) > _LONGEST_NAME or length > _LONGEST_REST:
        raise ValueError(f"{len(name)} bytes of topic, {len(payload)} of payload: expected what one packet can carry")
    packet = bytearray((_PUBLISH,))
    left = length
    while left > _DIGIT:
        packet.append(left & _DIGIT | _MORE)
        left >>= 7
    packet.append(left)
    packet += len(name).to_bytes(2)
    packet += name
    packet += payload
    return bytes(packet)


class Outbox:
    """A queue of packets, and a way to wake the one thread that writes them.

    Any thread may put and wake; the connection's thread does the rest. Nothing blocks.
    """

    def __init__(self, most: int) -> None:
        # Bounded: the oldest goes, which has been overtaken by newer values.
        self._waiting: deque[bytes] = deque(maxlen=most)
        self._most = most
        self._rest = b""
        self._asleep = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """What is readable when the thread is to wake."""
        return self._reader.fileno()

    def put(self, packet: bytes) -> bool:
        """Add a packet; False where the oldest one had to go for it."""
        had_room = len(self._waiting) < self._most
        self._waiting.append(packet)
        if self._asleep:
            self.wake()
        return had_room

    def wake(self) -> None:
        """Have the thread look at what there is to do."""
        self._asleep = False
        # Full: it has been woken already. Closed: there is nobody to wake.
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def fall_asleep(self) -> bool:
        """Called before the thread waits; whether it may: otherwise something has come just now."""
        self._asleep = True
        # After that, and not before: whoever puts something in between wakes the thread.
        if self._waiting and not self._rest:
            self._asleep = False
            return False
        return True

    def woken(self) -> None:
        """Called when the thread has waited."""
        self._asleep = False
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def __len__(self) -> int:
        """How many packets wait, about."""
        return len(self._waiting) + bool(self._rest)

    @property
    def is_torn(self) -> bool:
        """Whether a packet has been written in part: nothing else may be written before the rest of it."""
        return bool(self._rest)

    def write(self, to: Writable) -> bool:
        """Write what waits, as far as it is taken without waiting; whether all of it was.

        Raises:
            OSError: the connection is lost.
        """
        waiting = self._waiting
        while self._rest or waiting:
            data = self._rest
            if not data:
                # Each of them at once: another thread may put one, and so drop one, at any time.
                with contextlib.suppress(IndexError):
                    data = b"".join([waiting.popleft() for _ in range(min(len(waiting), _MOST_AT_ONCE))])
            self._rest = data
            try:
                sent = to.send(data)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            self._rest = data[sent:]
        return True

    def clear(self) -> None:
        """Forget what waits: the connection that it was meant for is gone."""
        self._waiting.clear()
        self._rest = b""

    def close(self) -> None:
        """Give back the means to wake; nothing may be put any more that counts."""
        self._reader.close()
        self._writer.close()
