"""Finding out whether an MQTT broker answers at an address."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
from typing import Final

from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.errors import TemporaryError

_CONNECT: Final = 0x10
_CONNACK: Final = 0x20
_DISCONNECT: Final = b"\xe0\x00"
_CLEAN_SESSION: Final = 0x02
_WITH_PASSWORD: Final = 0x40
_WITH_USER: Final = 0x80
_CONNACK_SIZE: Final = 4
_MOST_READS: Final = 64
_READ_SIZE: Final = 65536


class NoBrokerError(TemporaryError):
    """Something listens at the address, and it does not speak MQTT."""


class Greeting:
    """A connection to a broker that has answered our CONNECT. It subscribes to nothing, and needs no keep-alive.

    Any thread may close it; one thread at a time does the rest.

    Attributes:
        code: the answer: 0 for a connection that is accepted, otherwise why it is not (4 and 5: user or password).
    """

    def __init__(self, connection: socket.socket, code: int) -> None:
        # From here on nothing waits for the broker.
        connection.setblocking(False)
        self._connection = connection
        self.code = code

    def is_open(self) -> bool:
        """Whether the broker still holds the connection. Does not block."""
        try:
            # amqtt hands retained messages to those who did not ask: they must not pile up.
            for _ in range(_MOST_READS):
                if not self._connection.recv(_READ_SIZE):
                    return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Say goodbye and close; idempotent. Does not block."""
        with contextlib.suppress(OSError):
            # Otherwise the broker logs a client that was lost.
            self._connection.send(_DISCONNECT)
        self._connection.close()


def greet(broker: BrokerConfig, timeout: float) -> Greeting | None:
    """Connect to whoever listens at the broker's address, as the buses will. Blocks, up to `timeout` seconds a step.

    Returns:
        The connection, to be closed by the caller; None where nobody listens.

    Raises:
        NoBrokerError: what listens there gave no answer, or one that is not MQTT's.
    """
    where = f"{broker.host}:{broker.port}"
    try:
        connection = socket.create_connection((broker.host, broker.port), timeout)
    except TimeoutError as error:
        raise NoBrokerError(f"{where} accepts no connection") from error
    except OSError:
        return None
    try:
        if connection.getsockname() == connection.getpeername():
            # A free port from which the system takes clients' ports: it has connected us with ourselves.
            connection.close()
            return None
        connection.sendall(_connect_packet(broker.user, broker.password))
        answer = _receive(connection, _CONNACK_SIZE)
    except OSError as error:
        connection.close()
        raise NoBrokerError(f"{where} does not answer as an MQTT broker does: {error}") from error
    if len(answer) < _CONNACK_SIZE or answer[:2] != bytes((_CONNACK, 2)):
        connection.close()
        raise NoBrokerError(f"{where} does not answer as an MQTT broker does")
    return Greeting(connection, answer[3])


def _receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes; fewer where the connection ends before. Raises OSError."""
    received = b""
    while len(received) < size:
        part = connection.recv(size - len(received))
        if not part:
            break
        received += part
    return received


def _connect_packet(user: str | None, password: str | None) -> bytes:
    """CONNECT of MQTT 3.1.1, with an id of its own: brokers end an older connection of the same id."""
    flags = _CLEAN_SESSION
    payload = _text(f"janitoo-{secrets.token_hex(4)}")
    if user is not None:
        flags |= _WITH_USER
        payload += _text(user)
        if password is not None:
            flags |= _WITH_PASSWORD
            payload += _text(password)
    body = _text("MQTT") + struct.pack("!BBH", 4, flags, 0) + payload
    return bytes((_CONNECT,)) + _length(len(body)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _length(length: int) -> bytes:
    """A length as MQTT writes it: seven bits a byte, the lowest first."""
    written = bytearray()
    while True:
        length, low = divmod(length, 128)
        written.append(low | (0x80 if length else 0))
        if not length:
            return bytes(written)
