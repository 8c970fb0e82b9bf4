"""A real NUT server with a UPS that is a file: `upsd` and `dummy-ups`, as any user, on a free port; and stand-ins."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from brokers import HOST, free_port
from waiting import wait_for

# Not /sbin/upsd: Debian's is a wrapper that looks at /etc/nut/nut.conf, and ends without a word.
UPSD, DRIVER = Path("/lib/nut/upsd"), Path("/lib/nut/dummy-ups")
TIMEOUT = 30.0

USER, PASSWORD = "admin", 's3cret "and" \\ more'
"""Who may set variables and give all commands."""
LIMITED, LIMITED_PASSWORD = "limited", "little"
"""Who may give the commands `load.off` and `beeper.mute`, and no more."""

VARIABLES = {
    "device.mfr": "Eaton",
    "device.model": "Ellipse",
    "ups.mfr": "Eaton",
    "ups.model": "Ellipse",
    "device.serial": "3B1006X72726",
    "battery.charge": "90",
    "battery.voltage": "13.2",
    "battery.runtime": "1290",
    "battery.type": "PbAc",
    "ups.load": "17",
    "ups.status": "OL",
}


class NutServer:
    """The server, and the driver of one UPS, `ups1`.

    Args:
        folder: where its files are made, in folders of their own. Not too long: the names of sockets are.
        without: what the UPS does not say.
        changed: what it says otherwise, as of `set`.
    """

    def __init__(self, folder: Path, without: str = "", **changed: str) -> None:
        self.port = free_port()
        self._told_at = 0
        self._conf, self._state = folder / "nut", folder / "nut-state"
        self._conf.mkdir(parents=True)
        # The server refuses one that others may read.
        self._state.mkdir(mode=0o770)
        self._write("nut.conf", "MODE=none\n")
        self._write(
            "ups.conf",
            f"pollinterval = 1\n[ups1]\ndriver = dummy-ups\nport = {self._conf}/ups1.dev\nmode = dummy-once\n",
        )
        self._write("upsd.conf", f"LISTEN {HOST} {self.port}\nMAXAGE 3\n")
        self.allow()
        self.set(without, **changed)
        user = pwd.getpwuid(os.getuid()).pw_name
        self._env = {
            **os.environ,
            "NUT_CONFPATH": str(self._conf),
            "NUT_STATEPATH": str(self._state),
            "NUT_ALTPIDPATH": str(self._state),
        }
        self._driver_command = [str(DRIVER), "-a", "ups1", "-u", user, "-F"]
        self._server_command = [str(UPSD), "-u", user, "-F"]
        self.start_driver()
        self.start()

    def allow(self, password: str = PASSWORD) -> None:
        """Write who may do what; a server that has answered reads it at `reload`."""
        self._password = password
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        self._write(
            "upsd.users",
            f'[{USER}]\npassword = "{quoted}"\nactions = SET\ninstcmds = ALL\n'
            f"[{LIMITED}]\npassword = {LIMITED_PASSWORD}\ninstcmds = load.off\ninstcmds = beeper.mute\n",
        )

    def reload(self) -> None:
        """Have the server read upsd.users anew."""
        self._server.send_signal(signal.SIGHUP)

    def set(self, without: str = "", **changed: str) -> None:
        """Have the UPS say this, and otherwise what it says by default: `ups_status="OB"`."""
        said = {**VARIABLES, **{key.replace("_", ".", 1): text for key, text in changed.items()}}
        said.pop(without, None)
        self._tell(said)

    def start(self) -> None:
        """Start the server."""
        self._server = self._run(self._server_command)

    def start_driver(self) -> None:
        """Start the driver, and wait until it is there."""
        self.driver_socket.unlink(missing_ok=True)
        self._driver = self._run(self._driver_command)
        wait_for(self.driver_socket.exists, TIMEOUT, "the driver of the UPS")

    @property
    def driver_socket(self) -> Path:
        """Where the server looks for the driver."""
        return self._state / "dummy-ups-ups1"

    def kill(self) -> None:
        """Kill the server."""
        self._server.kill()
        self._server.wait()

    def kill_driver(self) -> None:
        """Kill the driver."""
        self._driver.kill()
        self._driver.wait()

    def freeze(self, *, frozen: bool = True) -> None:
        """Have the server hang, or go on."""
        self._server.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def freeze_driver(self, *, frozen: bool = True) -> None:
        """Have the driver hang: the data become stale; or go on."""
        self._driver.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def mend(self) -> None:
        """Have all be as at the start, for the next test: the start of a server takes three seconds."""
        for process in (self._server, self._driver):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
        self.set()
        if self._password != PASSWORD:
            self.allow()
            self.reload()
        if self._driver.poll() is not None:
            self.start_driver()
        if self._server.poll() is not None:
            self.start()

    def stop(self) -> None:
        """End both."""
        for process in (self._server, self._driver):
            process.kill()
            process.wait()

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        log = (self._state / f"{Path(command[0]).name}.log").open("ab")
        with log:
            return subprocess.Popen(command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _tell(self, variables: Mapping[str, str]) -> None:
        # The driver looks at the second of the last change: two changes in one are two seconds apart all the same.
        self._told_at = max(int(time.time()), self._told_at + 1)
        self._write("ups1.dev", "".join(f"{key}: {text}\n" for key, text in variables.items()), self._told_at)

    def _write(self, name: str, text: str, changed_at: int | None = None) -> None:
        partial = self._conf / f".{name}"
        partial.write_text(text, encoding="ascii")
        partial.chmod(0o640)
        if changed_at is not None:
            os.utime(partial, (changed_at, changed_at))
        partial.rename(self._conf / name)


class ScriptedDriver:
    """A driver in this process, at the socket of one that was killed: it knows commands, as `dummy-ups` does not.

    Attributes:
        ran: the commands that the server has passed on, in order.
    """

    def __init__(self, path: Path, *commands: str) -> None:
        """Listen.

        Args:
            path: `NutServer.driver_socket`.
            commands: what it knows.
        """
        self.ran: list[str] = []
        self._commands = commands
        self._peers: list[socket.socket] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=_serve, args=(self._listener, self._talk), daemon=True)
        self._thread.start()

    def __enter__(self) -> ScriptedDriver:
        return self

    def __exit__(self, *_error: object) -> None:
        _end(self._listener)
        self._thread.join(TIMEOUT)
        for each in self._peers:
            _end(each)

    def _talk(self, server: socket.socket) -> None:
        self._peers.append(server)
        with contextlib.suppress(OSError), server, server.makefile("rw") as stream:
            for line in stream:
                word, _, rest = line.strip().partition(" ")
                if word == "DUMPALL":
                    stream.writelines(f'SETINFO {key} "{text}"\n' for key, text in VARIABLES.items())
                    stream.writelines(f"ADDCMD {command}\n" for command in self._commands)
                    stream.write("DATAOK\nDUMPDONE\n")
                elif word == "PING":
                    stream.write("PONG\n")
                elif word == "INSTCMD":
                    self.ran.append(rest.split()[0])
                stream.flush()


class Impostor:
    """What listens at the port of a server and says what the test wants, as a real one would not.

    Attributes:
        heard: the lines that have come.
    """

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        """Listen.

        Args:
            answer: what to answer to a line; None: close the connection.
        """
        self.heard: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=_serve, args=(self._listener, self._talk), daemon=True).start()

    def __enter__(self) -> Impostor:
        return self

    def __exit__(self, *_error: object) -> None:
        _end(self._listener)

    def _talk(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
            for line in lines:
                self.heard.append(line)
                answer = self._answer(line)
                if answer is None:
                    return
                client.sendall(answer)


def _serve(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=talk, args=(peer,), daemon=True).start()


def _end(each: socket.socket) -> None:
    # Who waits in accept or recv does not notice a close.
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
