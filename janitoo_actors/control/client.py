"""The commands' side of the control socket. Plain threads; blocks."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final

from janitoo_actors.control.wire import MOST_REPLY, SOCKET, ErrorCode, encode_request, socket_address
from janitoo_actors.errors import JanitooError, TemporaryError, said
from janitoo_actors.runtime_dir import running_server, running_servers

_CONNECT_TIMEOUT: Final = 5
_PING_TIMEOUT: Final = 3.0


class NoServerError(TemporaryError):
    """Nobody answers for a configuration file."""


class NotServedError(JanitooError):
    """The server does not do what it was asked.

    Attributes:
        code: why, for programs.
        details: each thing that is wrong, a sentence each.
    """

    def __init__(self, code: str, message: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Control:
    """A connection to a running server. For one thread, in a `with`."""

    def __init__(self, path: Path, of: str) -> None:
        """Connect.

        Args:
            path: the socket.
            of: whose it is, for the errors.

        Raises:
            NoServerError: nobody listens there.
        """
        self.path = path
        self.of = self._of = of
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with socket_address(path) as address:
                # Without a timeout of Python's, which would not wait for its turn.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _CONNECT_TIMEOUT, 0))
                self._socket.connect(address)
        except PermissionError:
            self._socket.close()
            raise NoServerError(
                f"{path}: you may not talk to the server of {of}: be root, its user, or of its group"
            ) from None
        except OSError as error:
            self._socket.close()
            raise NoServerError(f"no server of {of} is running ({path}: {said(error)})") from error

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the server. Any thread; who waits for an answer on another one is told that the server has gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def ask(self, request: str, timeout: float, **data: Any) -> Mapping[str, Any]:
        """Ask, and wait for the answer.

        Raises:
            NoServerError: the server has gone, or does not answer in time.
            NotServedError: it says no.
        """
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(encode_request(request, data))
        except OSError as error:
            raise NoServerError(f"the server of {self._of} has gone: {said(error)}") from error
        result, _ = self._reply(timeout)
        return result

    def stream(
        self, request: str, timeout: float, **data: Any
    ) -> Generator[Mapping[str, Any], None, Mapping[str, Any]]:
        """Ask for a stream: gives what comes, and returns the last reply. Who ends it early has to connect anew.

        Args:
            timeout: for how long nothing may come.

        Raises:
            as `ask`.
        """
        try:
            self._socket.sendall(encode_request(request, data))
        except OSError as error:
            raise NoServerError(f"the server of {self._of} has gone: {said(error)}") from error
        while True:
            result, more = self._reply(timeout)
            if not more:
                return result
            yield result

    def _reply(self, timeout: float) -> tuple[Mapping[str, Any], bool]:
        """The next reply, and whether more of the same request come."""
        try:
            self._socket.settimeout(timeout)
            reply = json.loads(self._line())
        except TimeoutError:
            raise NoServerError(f"the server of {self._of} has not answered within {timeout:g} s") from None
        except (OSError, ValueError) as error:
            raise NoServerError(f"the server of {self._of} has gone: {said(error)}") from error
        if reply.get("ok") is True:
            return reply["result"], reply.get("more") is True
        why = reply.get("error", {})
        code, message = why.get("code", ErrorCode.FAILED.value), why.get("message", "no word of why")
        raise NotServedError(code, message, tuple(why.get("details", ())))

    def _line(self) -> bytes:
        read = self._rest
        while b"\n" not in read:
            chunk = self._socket.recv(1 << 16)
            if not chunk:
                raise ConnectionResetError("the connection was closed")
            read += chunk
            if len(read) > MOST_REPLY:
                raise ValueError("the answer is too long")
        line, _, self._rest = read.partition(b"\n")
        return line


def connect(file: Path, at: Path | None = None) -> Control:
    """Connect to the running server of a configuration file.

    Args:
        at: the socket, where it is not to be looked for.

    Raises:
        NoServerError: there is none.
    """
    if at is None:
        server = running_server(file)
        if server is None:
            advice = f"start it with: janitoo run {file}" if file.exists() else "there is no such file: check its path"
            raise NoServerError(f"no server of {file} is running; {advice}")
        at = server.path(SOCKET)
    return Control(at, str(file))


def connect_only() -> Control:
    """Connect to the one server that runs on this machine.

    Raises:
        NoServerError: there is none, or there are several.
    """
    servers = running_servers()
    if not servers:
        raise NoServerError("no server is running: start one with janitoo run, or name its file")
    if len(servers) > 1:
        files = ", ".join(str(each.file) for each in servers)
        raise NoServerError(f"{len(servers)} servers are running: say which by its file: {files}")
    return Control(servers[0].path(SOCKET), str(servers[0].file))
