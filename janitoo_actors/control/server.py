"""The server's side of the control socket: plain threads, which answer when every actor hangs."""

from __future__ import annotations

import contextlib
import functools
import grp
import os
import pwd
import select
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import structlog

from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import (
    MOST_REQUEST,
    ErrorCode,
    RequestError,
    decode,
    encode_error,
    encode_reply,
    parse_envelope,
    socket_address,
)
from janitoo_actors.errors import TemporaryError, said
from janitoo_actors.runtime.repeats import Repeats
from janitoo_actors.runtime.server import Server

MOST_CLIENTS: Final = 16
MOST_STREAMS: Final = 8
LINE_TIMEOUT: Final = 5.0
"""Seconds in which a request that has begun must be complete, and a reply be taken."""
IDLE_TIMEOUT: Final = 3600.0
"""Seconds that a client may be silent between two requests."""
_CREDENTIALS: Final = struct.Struct("3i")
_MODE: Final = 0o660
_BACKLOG: Final = 128


class ControlTakenError(TemporaryError):
    """Another server answers on this socket."""


class ControlServer:
    """A Unix socket, and a thread that waits for clients; each of them has a thread as long as it is there.

    Any thread may start and stop it.
    """

    def __init__(self, server: Server, path: Path, requests: Requests) -> None:
        """Open the socket. Blocks for a moment where one is there already.

        Raises:
            ControlTakenError: another server answers there.
            OSError: why it cannot be opened.
        """
        self.path = path
        self._server = server
        self._requests = requests
        self._log = structlog.get_logger().bind(path="/control")
        self._repeats = Repeats(self._log)
        self._log_lock = threading.Lock()
        self._lock = threading.Lock()
        self._clients: list[_Client] = []
        self._streams = threading.BoundedSemaphore(MOST_STREAMS)
        self._closing = threading.Event()
        with socket_address(path) as address:
            self._socket, self._inode = _listen(path, address)
        self._group = os.stat(path).st_gid
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Take the socket away, and leave the clients. Does not wait for them."""
        with self._lock:
            self._closing.set()
            clients = list(self._clients)
        with contextlib.suppress(OSError):
            # Where it is still ours: another server may have taken the place over.
            if os.stat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        # Only its own thread closes a socket: its number may belong to another one the moment after.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for client in clients:
            if not client.at_work:
                client.send_away()

    @property
    def is_closing(self) -> bool:
        """Whether the socket is being taken away."""
        return self._closing.is_set()

    def _accept(self) -> None:
        with self._socket:
            self._accept_all()

    def _accept_all(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                # Closed; or out of descriptors, most likely: that passes.
                if not self._closing.wait(0.1):
                    self._failed("accept", "control_failed", said(error))
                continue
            client = _Client(self, connection)
            if not self._admit(client):
                client.send(encode_error(None, RequestError(ErrorCode.BUSY, f"{MOST_CLIENTS} clients are served")))
                client.close()
                continue
            try:
                threading.Thread(target=client.run, name="control client", daemon=True).start()
            except RuntimeError as error:
                # The system has no more threads.
                self._failed("accept", "control_failed", said(error))
                self.leave(client)
                client.close()

    def _admit(self, client: _Client) -> bool:
        """Make room for a client, by sending away the one that has been silent for longest."""
        with self._lock:
            if self._closing.is_set():
                return False
            if len(self._clients) >= MOST_CLIENTS:
                silent = [each for each in self._clients if not each.at_work]
                if not silent:
                    return False
                longest = min(silent, key=lambda each: each.since)
                self._clients.remove(longest)
                longest.send_away()
            self._clients.append(client)
            return True

    def leave(self, client: _Client) -> None:
        """A client is gone."""
        with self._lock, contextlib.suppress(ValueError):
            self._clients.remove(client)

    def serve(self, line: bytes, peer: Peer, asks_more: Callable[[], bool]) -> Generator[bytes, None, None]:
        """The replies to one request, whatever it is: one, or those of a stream.

        Args:
            asks_more: whether the client has gone or asks for something else already, which ends a stream.
        """
        identity: Any = None
        try:
            envelope = parse_envelope(line)
            identity = envelope.id
            served = self._requests.find(envelope.request)
            self._check(served.access, peer, envelope.request)
            request = decode(served.kind, envelope.data)
            if served.access is Access.ACT:
                about = _words_of(request)
                self._log.info("control_act", request=envelope.request, uid=peer.uid, pid=peer.pid, **about)
            reply = served.serve(self._server, request, peer)
            if isinstance(reply, Generator):
                yield from self._stream(identity, reply, asks_more)
            else:
                yield encode_reply(identity, reply)
        except RequestError as error:
            yield encode_error(identity, error)
        except Exception as error:  # noqa: BLE001 - a bug in one request must not end the client, nor this thread
            bug = "".join(traceback.format_exception(error))
            self._failed("serve", "control_failed", said(error), traceback=bug)
            yield encode_error(identity, RequestError(ErrorCode.FAILED, said(error)))

    def _stream(
        self, identity: Any, stream: Generator[Any, bool, Any], asks_more: Callable[[], bool]
    ) -> Generator[bytes, None, None]:
        if not self._streams.acquire(blocking=False):
            raise RequestError(ErrorCode.BUSY, f"{MOST_STREAMS} streams are served")
        try:
            # Its `finally` runs however this ends.
            with contextlib.closing(stream):
                item = next(stream)
                while not self.is_closing:
                    if item is not None:
                        yield encode_reply(identity, item, more=True)
                    item = stream.send(asks_more())
            raise RequestError(ErrorCode.BUSY, "the server is stopping")
        except StopIteration as end:
            yield encode_reply(identity, end.value)
        finally:
            self._streams.release()

    def _failed(self, key: str, event: str, error: str, **about: Any) -> None:
        """Log it, once for many: somebody may do it all day."""
        with self._log_lock:
            self._repeats.failed(key, event, error, **about)

    def _check(self, access: Access, peer: Peer, request: str) -> None:
        if peer.uid in {0, os.geteuid()}:
            return
        if access is Access.ACT:
            self._failed(f"denied {peer.uid}", "control_denied", request, uid=peer.uid, pid=peer.pid)
            raise RequestError(ErrorCode.DENIED, f"only root and {_user(os.geteuid())} may do that")
        if not _is_in_group(peer, self._group):
            self._failed(f"denied {peer.uid}", "control_denied", request, uid=peer.uid, pid=peer.pid)
            raise RequestError(ErrorCode.DENIED, "only the group of the socket may look")


class _Client:
    """One connection, on a thread of its own.

    Attributes:
        at_work: whether a request of it is being served.
        since: when it came, or was served last, in `time.monotonic()`.
    """

    def __init__(self, control: ControlServer, connection: socket.socket) -> None:
        self._control = control
        self._connection = connection
        self.at_work = False
        self.since = time.monotonic()

    def run(self) -> None:
        """Serve it until it goes, or does what nobody should."""
        try:
            credentials = self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            peer = Peer(*_CREDENTIALS.unpack(credentials))
            rest = b""
            # Looked at when nothing is at work any more: who closes leaves those alone that are.
            while not self._control.is_closing:
                line, rest = self._line(rest)
                if not line:
                    return
                self.at_work = True
                asks_more = functools.partial(self._asks_more, rest)
                with contextlib.closing(self._control.serve(line, peer, asks_more)) as replies:
                    for reply in replies:
                        self._send(reply)
                self.at_work = False
                self.since = time.monotonic()
        except RequestError as error:
            self.send(encode_error(None, error))
        except OSError:
            # It has gone, or takes no replies.
            pass
        finally:
            self._control.leave(self)
            self.close()

    def _asks_more(self, rest: bytes) -> bool:
        """Whether the client has sent its next request, or has gone."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(rest or poll.poll(0))

    def send(self, line: bytes) -> None:
        """Send the last reply; nothing where the client has gone."""
        with contextlib.suppress(OSError):
            self._send(line)

    def send_away(self) -> None:
        """Have its thread end, which may wait for a request. Any thread."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection. The thread that runs it, or where there is none."""
        self.send_away()
        self._connection.close()

    def _send(self, line: bytes) -> None:
        self._connection.settimeout(LINE_TIMEOUT)
        self._connection.sendall(line)

    def _line(self, begun: bytes) -> tuple[bytes, bytes]:
        """The next line and what came after it; an empty one at the end. Raises RequestError, OSError."""
        self._connection.settimeout(IDLE_TIMEOUT)
        read = begun
        due: float | None = None
        while b"\n" not in read:
            if len(read) >= MOST_REQUEST:
                raise RequestError(ErrorCode.MALFORMED, f"expected a line of at most {MOST_REQUEST} bytes")
            if read:
                due = due if due is not None else time.monotonic() + LINE_TIMEOUT
                left = due - time.monotonic()
                if left <= 0:
                    raise RequestError(ErrorCode.MALFORMED, f"expected the whole line within {LINE_TIMEOUT:g} s")
                self._connection.settimeout(left)
            try:
                chunk = self._connection.recv(MOST_REQUEST)
            except TimeoutError:
                if not read:
                    return b"", b""
                continue
            if not chunk:
                return b"", b""
            read += chunk
        line, _, rest = read.partition(b"\n")
        if len(line) >= MOST_REQUEST:
            raise RequestError(ErrorCode.MALFORMED, f"expected a line of at most {MOST_REQUEST} bytes")
        # An empty line is no end.
        return line or b" ", rest


def _listen(path: Path, address: str) -> tuple[socket.socket, int]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listener.bind(address)
        except OSError:
            if not path.is_socket():
                raise
            _remove_stale(path, address)
            listener.bind(address)
        # Between the two nobody is served: it does not listen yet.
        os.chmod(path, _MODE)
        inode = os.stat(path).st_ino
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener, inode


def _remove_stale(path: Path, address: str) -> None:
    """Remove the socket of a server that is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise ControlTakenError(f"{path} is in use: {said(error)}") from error
    raise ControlTakenError(f"another server answers at {path}: is this file running already?")


def _words_of(request: Any) -> dict[str, Any]:
    """What an act is about, for the log: not what is written, which may be a password."""
    # Not under the names that the log has for things of its own.
    names = {"path": "about", "level": "to_level"}
    keys = [each.name for each in fields(request) if each.name != "value"]
    return {names.get(key, key): getattr(request, key) for key in keys}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


def _is_in_group(peer: Peer, group: int) -> bool:
    if peer.gid == group:
        return True
    try:
        name = pwd.getpwuid(peer.uid).pw_name
        return name in grp.getgrgid(group).gr_mem
    except KeyError:
        # A user or a group without a name.
        return False
