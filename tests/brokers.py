"""Real mosquitto brokers on the loopback interface, for the tests."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from waiting import wait_for

HOST = "127.0.0.1"

# Debian installs mosquitto in /usr/sbin, which is not in an ordinary user's PATH.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))

START_TIMEOUT = 30.0
STOP_TIMEOUT = 30.0

# Everything that a strict client checks (Python 3.13 and later are strict by default), written out
# so that the machine's own openssl.cnf plays no part.
OPENSSL_CONFIG = """\
[req]
distinguished_name = name
prompt = no

[name]
CN = Janitoo tests

[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash

[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, DNS:localhost
"""


def free_port() -> int:
    """Find a TCP port that nothing uses on the loopback interface.

    The port is below the range that systems take clients' ports from. Otherwise a client that keeps
    trying a broker that is down could be given the broker's port as its own, and connect to itself.

    Returns:
        The port's number.

    Raises:
        RuntimeError: No free port was found.
    """
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as attempt:
            try:
                attempt.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free TCP port between 20000 and 32000")


@dataclass
class Mosquitto:
    """A mosquitto broker in a process of its own.

    It keeps its port, its passwords and its certificates from one start to the next.

    Attributes:
        directory: Where its files are written; it is created when needed.
        username: The only user who may connect, or None when anybody may.
        password: That user's password.
        tls: Whether it speaks TLS, with a certificate signed by `ca_file`.
        persistence: Whether a clean stop saves the retained messages for the next start.
        port: Where it listens.
        host: The address it listens on.
    """

    directory: Path
    username: str | None = None
    password: str | None = None
    tls: bool = False
    persistence: bool = False
    port: int = field(default_factory=free_port)
    host: str = field(default=HOST, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that signed the broker's own."""
        return self.directory / "ca.crt"

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self._process is None:
            raise RuntimeError("mosquitto is not started")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the broker logged since its first start."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start the broker and wait until it accepts connections."""
        if self.running:
            raise RuntimeError("mosquitto is already running")
        command = [_executable("mosquitto"), "-c", str(self._write_configuration())]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for(self._accepts, START_TIMEOUT, lambda: f"mosquitto accepts connections\n{self.log}")
        except BaseException:
            # Whatever went wrong, Ctrl+C included, the process must not outlive the test.
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the broker cleanly (SIGTERM); do nothing when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Have the broker stand still (SIGSTOP) in the context: it takes nothing, and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the broker (SIGKILL), as a crash would; do nothing when it does not run."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(STOP_TIMEOUT)
        self._process = None

    def restart(self) -> None:
        """Stop the broker when it runs, and start it again on the same port."""
        self.stop()
        self.start()

    @property
    def _log_file(self) -> Path:
        return self.directory / "mosquitto.log"

    def _accepts(self) -> bool:
        if not self.running:
            raise AssertionError(f"mosquitto ended before it accepted connections\n{self.log}")
        try:
            socket.create_connection((self.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _write_configuration(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [
            f"listener {self.port} {self.host}",
            # Small messages must not wait for the acknowledgement of those before.
            "set_tcp_nodelay true",
            f"allow_anonymous {'true' if self.username is None else 'false'}",
            f"persistence {'true' if self.persistence else 'false'}",
            f"persistence_location {self.directory}/",
            "log_dest stderr",
            "log_type all",
        ]
        if os.geteuid() == 0:
            # Otherwise mosquitto becomes another user, who may not read this directory.
            lines.append("user root")
        if self.username is not None:
            lines.append(f"password_file {self._write_passwords(self.username, self.password or '')}")
        if self.tls:
            self._write_certificates()
            lines += [f"certfile {self.directory}/server.crt", f"keyfile {self.directory}/server.key"]
        path = self.directory / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _write_passwords(self, username: str, password: str) -> Path:
        path = self.directory / "passwords"
        if not path.exists():
            _run([_executable("mosquitto_passwd"), "-b", "-c", str(path), username, password], self.directory)
        return path

    def _write_certificates(self) -> None:
        if self.ca_file.exists():
            return
        openssl = _executable("openssl")
        (self.directory / "openssl.cnf").write_text(OPENSSL_CONFIG, encoding="utf-8")
        request = [openssl, "req", "-config", "openssl.cnf", "-nodes", "-newkey", "ec"]
        request += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        authority = ["-x509", "-extensions", "authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt"]
        server = ["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"]
        sign = [openssl, "x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key"]
        sign += ["-CAcreateserial", "-extfile", "openssl.cnf", "-extensions", "server", "-days", "2"]
        for command in (request + authority, request + server, [*sign, "-out", "server.crt"]):
            _run(command, self.directory)


class BrokerFactory:
    """Starts private brokers for one test, and stops them at its end."""

    def __init__(self, directory: Path) -> None:
        """Make a factory.

        Args:
            directory: Where each broker gets a directory of its own.
        """
        self._directory = directory
        self._brokers: list[Mosquitto] = []

    def __call__(
        self,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: bool = False,
        persistence: bool = False,
    ) -> Mosquitto:
        """Start a broker; the arguments are those of `Mosquitto`.

        Returns:
            The broker, which accepts connections.
        """
        directory = self._directory / f"mosquitto-{len(self._brokers)}"
        broker = Mosquitto(directory, username, password, tls, persistence)
        self._brokers.append(broker)
        broker.start()
        return broker

    def stop(self) -> None:
        """Stop all the brokers that still run."""
        for broker in self._brokers:
            broker.stop()


def _executable(name: str) -> str:
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise RuntimeError(f"{name} is not installed; `make test` installs it")
    return path


def _run(command: list[str], directory: Path) -> None:
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=30, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:2])} failed: {result.stderr.strip()}")
