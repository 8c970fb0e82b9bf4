"""A real NUT server with a UPS that is a file: `upsd` and `dummy-ups`, as any user, on a free port."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from brokers import free_port
from waiting import wait_for

# Not /sbin/upsd: Debian's is a wrapper that looks at /etc/nut/nut.conf, and ends without a word.
UPSD, DRIVER = Path("/lib/nut/upsd"), Path("/lib/nut/dummy-ups")
TIMEOUT = 30.0

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
    """The server and the driver of one UPS, `ups1`. User `admin`, password `s3cret`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._conf, self._state = folder / "nut", folder / "nut-state"
        self._conf.mkdir()
        self._state.mkdir(mode=0o770)
        self._write("nut.conf", "MODE=none\n")
        self._write(
            "ups.conf",
            f"pollinterval = 1\n[ups1]\ndriver = dummy-ups\nport = {self._conf}/ups1.dev\nmode = dummy-once\n",
        )
        self._write("upsd.conf", f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 3\n")
        self._write("upsd.users", "[admin]\npassword = s3cret\nactions = SET\ninstcmds = ALL\n")
        self.set()
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

    def set(self, **changed: str) -> None:
        """Have the UPS say this, and otherwise what it says by default: `ups_status="OB"`."""
        self._tell({**VARIABLES, **{key.replace("_", ".", 1): text for key, text in changed.items()}})

    def start(self) -> None:
        """Start the server."""
        self._server = self._run(self._server_command)

    def start_driver(self) -> None:
        """Start the driver, and wait until it is there."""
        (self._state / "dummy-ups-ups1").unlink(missing_ok=True)
        self._driver = self._run(self._driver_command)
        wait_for((self._state / "dummy-ups-ups1").exists, TIMEOUT, "the driver of the UPS")

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
        self._write("ups1.dev", "".join(f"{key}: {text}\n" for key, text in variables.items()))

    def _write(self, name: str, text: str) -> None:
        partial = self._conf / f".{name}"
        partial.write_text(text, encoding="ascii")
        partial.chmod(0o640)
        partial.rename(self._conf / name)
