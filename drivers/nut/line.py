"""The TCP connection to a server of lines, in the place of the one that nut2 makes for itself."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Final

_MOST: Final = 1 << 20
"""Bytes of one answer, at most: no UPS has so many variables."""
_CHUNK: Final = 4096

# In the answers that nut2 takes apart at each quote, that of an escaped one, and of an escaped backslash.
_QUOTE, _BACKSLASH = "\ue022", "\ue05c"


def plain(text: str) -> str:
    """A text of an answer, with the characters that were escaped."""
    return text.replace(_QUOTE, '"').replace(_BACKSLASH, "\\")


class Line:
    """A connection that gives a whole answer, or none.

    nut2's own gives what there is when the time is over: half of a list, whose last number may be half a number. It
    gives what comes too late to the next question; after an exception a line is not to be used again. And it reads byte
    by byte. One thread at a time; only `abort` is for another one.

    Args:
        timeout: seconds to connect, for each address that the host has, and for each answer.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._aborted = False
        self._buffer = bytearray()

    def connect(self, host: str, port: int) -> None:
        """Connect. Blocks; where a name server does not answer, longer than the timeout.

        Raises:
            OSError: nobody is there.
        """
        last: OSError | None = None
        for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            candidate = socket.socket(family, kind, protocol)
            candidate.settimeout(self._timeout)
            self._take(candidate)
            try:
                candidate.connect(address)
            except OSError as error:
                last = error
                candidate.close()
            else:
                return
        raise last if last is not None else OSError(f"{host} has no address")

    def _take(self, candidate: socket.socket) -> None:
        # First this, then the look; `abort` has it the other way round: one of the two sees the other.
        self._socket = candidate
        if self._aborted:
            candidate.close()
            raise ConnectionAbortedError("the connection is not wanted any more")

    def sendall(self, data: bytes) -> None:
        """Send a question. Blocks for the timeout at most. OSError where it cannot be sent."""
        assert self._socket is not None
        self._socket.settimeout(self._timeout)
        self._socket.sendall(data)

    write = sendall
    """As nut2 calls it; nut2-notl calls the other."""

    def read_until(self, end: bytes, _timeout: float | None = None) -> bytes:
        """What comes up to this end, in UTF-8, whatever the server says. Blocks for the timeout at most, in all.

        Raises:
            TimeoutError: it has not come.
            EOFError: it will not come.
            OSError: the connection is lost.
            ValueError: it is too long for an answer.
        """
        assert self._socket is not None
        due = time.monotonic() + self._timeout
        searched = 0
        while (found := self._buffer.find(end, searched)) < 0:
            searched = max(len(self._buffer) - len(end) + 1, 0)
            left = due - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            if len(self._buffer) > _MOST:
                raise ValueError("an answer without an end")
            self._socket.settimeout(left)
            data = self._socket.recv(_CHUNK)
            if not data:
                raise EOFError("the server has ended the connection")
            self._buffer += data
        length = found + len(end)
        answer = bytes(self._buffer[:length]).decode("utf-8", "replace")
        del self._buffer[:length]
        return answer.replace("\\\\", _BACKSLASH).replace('\\"', _QUOTE).encode()

    def close(self) -> None:
        """Close it. Does not wait, and says no goodbye: the server may hang."""
        found, self._socket = self._socket, None
        if found is not None:
            found.close()

    def abort(self) -> None:
        """Have whatever another thread does with it fail, now and from now on. Any thread; never blocks."""
        self._aborted = True
        found = self._socket
        if found is not None:
            # Not connected yet, or not any more.
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)
