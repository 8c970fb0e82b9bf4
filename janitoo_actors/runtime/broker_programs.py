"""The brokers that can be embedded: which one there is, and how it is started."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from janitoo_actors.configuration.extras import install
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.errors import ConfigurationError, PermanentError

MOSQUITTO: Final = "mosquitto"
AMQTT: Final = "amqtt"

# Debian installs mosquitto in /usr/sbin, which is not in an ordinary user's PATH.
_MORE_FOLDERS: Final = ("/usr/sbin", "/usr/local/sbin")

_HASH_ROUNDS: Final = 101
_SALT_SIZE: Final = 12


@dataclass(frozen=True, slots=True)
class Program:
    """A broker that is ready to be started.

    Attributes:
        name: for people.
        command: the program and its arguments; never a password, which everybody on the machine could read.
        is_warning: whether a line of its stderr is worth one.
        last_words: seconds that it is given to pass on what it has taken, before it is ended.
        input: its stdin; None for nothing.
    """

    name: str
    command: Sequence[str]
    is_warning: Callable[[str], bool]
    last_words: float
    input: bytes | None = None


def embedded_program(broker: BrokerConfig) -> AbstractContextManager[Program]:
    """The broker to start, mosquitto where it is installed. Its files are there until the context ends.

    Reads and writes small files; any thread.

    Raises:
        PermanentError: no broker is installed; it says what to install.
        ConfigurationError: from entering the context, where the user cannot be one of this broker.
    """
    executable = find_mosquitto()
    if executable is not None:
        return _mosquitto(executable, broker)
    if has_amqtt():
        return _amqtt(broker)
    raise PermanentError(
        "broker = embedded needs a broker on this machine: "
        f"apt install mosquitto or, for trying out, {install('broker')}"
    )


def find_mosquitto() -> str | None:
    """The path of mosquitto; None where it is not installed."""
    folders = (os.environ.get("PATH", os.defpath), *_MORE_FOLDERS)
    return shutil.which("mosquitto", path=os.pathsep.join(folders))


def has_amqtt() -> bool:
    """Whether the extra `[broker]` is installed."""
    return importlib.util.find_spec("amqtt") is not None


@contextmanager
def _mosquitto(executable: str, broker: BrokerConfig) -> Iterator[Program]:
    """Mosquitto reads its files once, at its start: afterwards they can go."""
    with tempfile.TemporaryDirectory(prefix="janitoo-broker-") as name:
        folder = Path(name)
        lines = [
            f"listener {broker.port} {broker.host}",
            f"allow_anonymous {'true' if broker.user is None else 'false'}",
            # Small messages must not wait for the acknowledgement of those before.
            "set_tcp_nodelay true",
            "persistence false",
            "log_dest stderr",
            "log_timestamp false",
            "log_type error",
            "log_type warning",
            "log_type notice",
        ]
        if os.geteuid() == 0:
            # Otherwise it becomes another user, who may not read this folder, and the kernel forgets with such a
            # change that it is to die with us.
            lines.append("user root")
        if broker.user is not None:
            passwords = folder / "passwords"
            _write(passwords, f"{_mosquitto_user(broker.user, broker.password or '')}\n")
            lines.append(f"password_file {passwords}")
        configuration = folder / "mosquitto.conf"
        _write(configuration, "\n".join(lines) + "\n")
        yield Program(MOSQUITTO, (executable, "-c", str(configuration)), _is_mosquitto_warning, last_words=0.1)


def _mosquitto_user(user: str, password: str) -> str:
    """A line of mosquitto's password file, as mosquitto_passwd (2.0 or newer) would write it.

    Written here because mosquitto_passwd takes a password only from its command line, which everybody on the machine
    can read, from a terminal, or from a file in which no password may have a colon.
    """
    if ":" in user or user.startswith("#"):
        raise ConfigurationError(f"broker_user = {user!r}: mosquitto has no users with ':' or with '#' at the start")
    salt = os.urandom(_SALT_SIZE)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _HASH_ROUNDS)
    return f"{user}:$7${_HASH_ROUNDS}${_base64(salt)}${_base64(digest)}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _is_mosquitto_warning(line: str) -> bool:
    # That it runs as root is our doing, where we are root ourselves.
    return line.startswith(("Error", "Warning")) and "should not be run as root" not in line


@contextmanager
def _amqtt(broker: BrokerConfig) -> Iterator[Program]:
    # -P: whatever lies in the working directory must not be imported in place of a library.
    command = (sys.executable, "-P", "-m", "janitoo_actors.runtime.amqtt_broker")
    settings = {"host": broker.host, "port": broker.port, "user": broker.user, "password": broker.password}
    # It writes nothing but warnings, and takes its time.
    yield Program(AMQTT, command, lambda _: True, last_words=0.3, input=json.dumps(settings).encode())


def _write(path: Path, text: str) -> None:
    """Write a file that only we may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
