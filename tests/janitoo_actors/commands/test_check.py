"""`janitoo check`: what is wrong with a file, before anything is started."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import example_drivers
from brokers import BrokerFactory, Mosquitto
from janitoo_actors.api import Bus, Component, DevicePath, Hardware, Option
from janitoo_actors.configuration.registry import Registry
from tool_runs import ROOT, Tool, run_program

CONFS = sorted((ROOT / "conf").glob("*.conf"))
BUS = "[nut]\nhadd = 1/0\ncomponents.ups = nut.ups\n"


class Board(Bus):
    """A bus on a device."""

    oid = "board"
    device = Option(DevicePath(), default=Path("/dev/no-such-board"), help="The board")

    def takes(self) -> Iterable[Hardware]:
        """The device."""
        return [Hardware.path(self.device, advice="enable it with dtparam=board=on")]


class Buggy(Component):
    """A component that fails to say what it takes."""

    oid = "board.buggy"

    def takes(self) -> Iterable[Hardware]:
        """Fail as a driver with a bug does."""
        raise KeyError("what")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, and drivers for it."""
    monkeypatch.chdir(tmp_path)
    buses: dict[str, Any] = {"nut": example_drivers.NutBus, "board": Board}
    registry = Registry(buses, {"nut.ups": example_drivers.Ups, "board.buggy": Buggy})
    monkeypatch.setattr(Registry, "installed", lambda: registry)
    return Path("my.conf")


def findings(tool: Tool, path: Path) -> tuple[int, list[tuple[str, str | None, str]]]:
    """The exit code, and of each finding how bad it is, its section, and what it says."""
    outcome = tool("check", str(path), "--json")
    document = json.loads(outcome.out)
    assert document["exit_code"] == outcome.code
    return outcome.code, [(each["severity"], each["section"], each["message"]) for each in document["findings"]]


@pytest.mark.parametrize("conf", CONFS, ids=lambda conf: conf.name)
def test_every_file_in_conf_is_right(conf: Path, tool: Tool) -> None:
    outcome = tool("check", str(conf), "--json")
    document = json.loads(outcome.out)
    assert (outcome.code, document["findings"]) == (0, [])
    assert document["buses"]


def test_right_file(path: Path, tool: Tool) -> None:
    path.write_text(BUS)
    outcome = tool("check", str(path))
    assert (outcome.code, outcome.out, outcome.err) == (0, "0 errors, 0 warnings: nut would work\n", "")


def test_warnings_are_no_failure(path: Path, tool: Tool) -> None:
    path.write_text(f"[system]\nbroker_prot = 1884\n{BUS}")
    outcome = tool("check", str(path))
    assert outcome.code == 0
    assert outcome.lines == [
        "warning: my.conf:2: [system] broker_prot: nothing reads this key; did you mean 'broker_port'?",
        "0 errors, 1 warning: nut would work",
    ]


def test_bus_that_is_left_out(path: Path, tool: Tool) -> None:
    path.write_text(f"{BUS}[attic]\noid = nut\nhadd = 2/0\nheartbeat = often\n")
    outcome = tool("check", str(path))
    assert outcome.code == 1
    assert outcome.lines == [
        "error: my.conf:7: [attic] heartbeat = 'often': expected a number of seconds, 0 to 3000",
        "1 error, 0 warnings: nut would work",
    ]


def test_server_that_would_not_start_is_told_everything(path: Path, tool: Tool) -> None:
    path.write_text(f"[system]\nbroker_port = x\nbroker_prot = 1\n{BUS}heartbeat = often\n")
    outcome = tool("check", str(path))
    assert outcome.code == 78
    assert [line.partition(": [")[0] for line in outcome.lines] == [
        "error: my.conf:2",
        "warning: my.conf:3",
        "error: my.conf:7",
        "2 errors, 1 warning: the server would not start",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[system]\n", "there is no bus to start"),
        ("[nut]\nhadd = x\n", "there is no bus to start"),
        ("nonsense\n", "no section before it"),
        ("", "neither [system] nor a bus in it"),
    ],
)
def test_nothing_to_start(path: Path, tool: Tool, text: str, said: str) -> None:
    path.write_text(text)
    outcome = tool("check", str(path))
    assert outcome.code == 78
    assert said in outcome.out


def test_file_that_is_not_there(tool: Tool) -> None:
    outcome = tool("check", "no/such.conf")
    assert outcome.code == 78
    assert "error: no/such.conf: there is no such file" in outcome.out


def test_check_as_a_program_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_text("[hostsensor]\nhadd = 121/0\ncomponents.x = rpigpio.leds\n")
    outcome = run_program("check", str(path))
    assert (outcome.code, outcome.err) == (78, "")
    assert "no component 'rpigpio.leds' is installed; did you mean 'rpigpio.led'?" in outcome.out


def test_password_is_not_shown(path: Path, tool: Tool) -> None:
    path.write_text(f"[system]\nbroker_password = s3cret\nbroker_pasword = s3cret\n{BUS}key_0 = s3\x07cret\n")
    for arguments in ((), ("--json",)):
        outcome = tool("check", str(path), *arguments)
        assert outcome.code == 78
        assert "cret" not in outcome.out + outcome.err


# -- the machine -----------------------------------------------------------------------------------------------------


def board(path: Path, device: Path) -> None:
    path.write_text(f"{BUS}[board]\nhadd = 2/0\ndevice = {device}\n")


def test_device_that_is_missing(path: Path, tool: Tool) -> None:
    path.write_text(f"{BUS}[board]\nhadd = 2/0\n")
    assert findings(tool, path) == (
        1, [("error", "board", "/dev/no-such-board is not there: enable it with dtparam=board=on")]
    )  # fmt: skip


def test_device_that_is_there(path: Path, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    board(path, tmp_path / "device")
    assert findings(tool, path) == (0, [])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may everything")
def test_device_that_may_not_be_opened(path: Path, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "device").touch(0o400)
    board(path, tmp_path / "device")
    code, [(_, _, said)] = findings(tool, path)
    assert code == 1
    assert "may not be read and written by this user: it belongs to the group" in said


def test_device_that_cannot_be_opened(path: Path, tool: Tool, tmp_path: Path) -> None:
    # What a device of the kernel answers that nobody serves: ENXIO.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "device"))
        assert stat.S_ISSOCK((tmp_path / "device").stat().st_mode)
        board(path, tmp_path / "device")
        code, [(_, section, said)] = findings(tool, path)
    assert (code, section) == (1, "board")
    assert said == f"{tmp_path / 'device'} cannot be opened: No such device or address"


def test_device_that_is_busy(path: Path, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "device"
    opened = os.open

    def open_busy(file: Any, *arguments: Any, **options: Any) -> int:
        if file == device:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return opened(file, *arguments, **options)

    with device.open("w"):
        # No file of an ordinary user is ever busy in this way: only devices of the kernel are.
        monkeypatch.setattr(os, "open", open_busy)
        board(path, device)
        code, found = findings(tool, path)
    assert (code, found) == (1, [("error", "board", f"{device} is busy: process {os.getpid()} has it open")])


def test_driver_that_fails_to_say_what_it_takes(path: Path, tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    board(path, tmp_path / "device")
    with path.open("a") as file:
        file.write("components.x = board.buggy\n")
    assert findings(tool, path) == (
        1, [("error", "board__x", "the driver Buggy failed to say what it takes: KeyError: 'what'")]
    )  # fmt: skip


# -- the broker ------------------------------------------------------------------------------------------------------


def broker_lines(port: int, *lines: str) -> str:
    return "\n".join(["[system]", f"broker_port = {port}", *lines, BUS])


def test_broker_that_answers(path: Path, tool: Tool, network: Mosquitto) -> None:
    path.write_text(broker_lines(network.port))
    outcome = tool("check", str(path), "--connect")
    assert outcome.code == 0
    assert outcome.lines[0] == f"the broker at 127.0.0.1:{network.port} lets the server in"
    document = json.loads(tool("check", str(path), "--connect", "--json").out)
    assert document["broker"]["answers"]
    assert json.loads(tool("check", str(path), "--json").out)["broker"] is None


def test_broker_that_is_not_there(path: Path, tool: Tool, free_port: int) -> None:
    path.write_text(broker_lines(free_port))
    outcome = tool("check", str(path), "--connect")
    assert outcome.code == 1
    assert outcome.lines[0] == (
        f"error: my.conf: no broker at 127.0.0.1:{free_port} (Connection refused): is it running, "
        "and are broker_ip and broker_port right?"
    )


def test_broker_that_refuses_the_password(path: Path, tool: Tool, private_broker: BrokerFactory) -> None:
    broker = private_broker(username="me", password="right")
    path.write_text(broker_lines(broker.port, "broker_user = me", "broker_password = wrong"))
    outcome = tool("check", str(path), "--connect")
    assert outcome.code == 1
    assert "refuses the user 'me' or the password" in outcome.out
    assert "check broker_user and broker_password" in outcome.out
    assert "wrong" not in outcome.out


def test_embedded_broker_is_not_asked(path: Path, tool: Tool, free_port: int) -> None:
    path.write_text(broker_lines(free_port, "broker = embedded"))
    outcome = tool("check", str(path), "--connect")
    assert outcome.code == 0
    assert "is started with the server" in outcome.out
