"""`janitoo reload`, `janitoo config diff`, SIGHUP and `auto_reload`, as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokers import Mosquitto
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from running_server import PROGRAM, TIMEOUT, Requester, ServerProcess, run_command, system_section, wait_heartbeats
from tool_runs import ROOT, Outcome
from waiting import wait_for

NODES = ("0141/0000", "0141/0001")
NEW = ("0142/0000", "0142/0001")
HOST = """
[hostsensor]
hadd = 0141/0000
name = Computer
components.load = hostsensor.load

[hostsensor__load]
hadd = 0141/0001
load_poll_0 = 3600
"""
SECOND = """
[second]
oid = hostsensor
hadd = 0142/0000
isolation = {}
components.uptime = hostsensor.uptime
"""


class Place:
    """A file, its server, and somebody who listens."""

    def __init__(self, path: Path, process: ServerProcess, probe: Probe) -> None:
        self.path = path
        self.process = process
        self.probe = probe

    def write(self, text: str) -> None:
        """Save the file, under the same `[system]`."""
        system = self.path.read_text(encoding="utf-8").split("[hostsensor]", maxsplit=1)[0]
        self.path.write_text(system + text.lstrip(), encoding="utf-8")

    def nodes(self, reply: str = "9996/0001") -> dict[str, Any]:
        """What the bus says of its nodes."""
        request = {"cmd_class": 20480, "genre": 4, "uuid": "request_info_nodes", "reply_hadd": reply}
        self.probe.subscribe(f"/nodes/{reply}/reply")
        answer = self.probe.request("/nodes/0141/0000/request", request, f"/nodes/{reply}/reply", TIMEOUT)
        data: dict[str, Any] = answer.value["data"]
        return data


@pytest.fixture
def place(network: Mosquitto, tmp_path: Path) -> Iterator[Place]:
    path = tmp_path / "my.conf"
    system = system_section(network, f"pid_dir = {tmp_path}", "auto_reload = False")
    path.write_text(system + HOST, encoding="utf-8")
    with (
        Probe(network.host, network.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe,
        run_command(path, "--quiet") as process,
    ):
        wait_heartbeats(probe, NODES, NodeState.ONLINE)
        yield Place(path, process, probe)


def janitoo(*arguments: str, cwd: Path = ROOT) -> Outcome:
    """Run a command to its end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_bus_is_added_to_a_running_server(place: Place, isolation: str) -> None:
    place.write(HOST + SECOND.format(isolation))
    diff = janitoo("config", "diff", str(place.path))
    assert (diff.code, diff.lines, diff.err) == (0, ["[second] starts: 0142/0000, 1 component"], "")
    # From its folder, and by its name alone.
    done = janitoo("reload", place.path.name, cwd=place.path.parent)
    assert (done.code, done.err) == (0, "")
    assert done.lines == ["[second] starts: 0142/0000, 1 component", "[second] 2 of 2 nodes are online"]
    wait_heartbeats(place.probe, NEW, NodeState.ONLINE)

    assert janitoo("reload", str(place.path)).lines == ["nothing has changed"]
    assert janitoo("config", "diff", str(place.path)).lines == ["no difference: the server runs what is in the file"]
    since = len(place.probe.messages)
    place.write(HOST)
    assert janitoo("reload", str(place.path)).lines == ["[second] stops"]
    wait_heartbeats(place.probe, NEW, NodeState.OFFLINE, since=since)
    assert f"uid={os.geteuid()}" in place.process.err
    assert place.process.interrupt() == 0


def test_as_a_document(place: Place) -> None:
    place.write(HOST.replace("Computer", "Renamed"))
    for command in (("config", "diff"), ("reload",)):
        done = janitoo(*command, "--json", str(place.path))
        document = json.loads(done.out)
        assert (done.code, document["restarted"]) == (0, [])
        (change,) = document["changes"]
        assert (change["section"], change["key"]) == ("hostsensor", "name")
        assert (change["old"], change["new"], change["applied"]) == ("Computer", "Renamed", "in_place")
    assert place.nodes()["hostsensor"]["name"] == "Renamed"


@pytest.mark.parametrize("command", [("config", "diff"), ("reload",)], ids=" ".join)
def test_mistakes(place: Place, command: tuple[str, ...]) -> None:
    place.write(HOST.replace("Computer", "Renamed").replace("3600", "often") + "[attic]\nauto_start = True\n")
    done = janitoo(*command, str(place.path))
    assert (done.code, done.out) == (78, "")
    said = done.err.splitlines()
    assert "load_poll_0 = 'often': expected a number of seconds, 0 or more" in done.err
    assert any("[attic]" in line for line in said)
    assert said[-1].endswith("mistakes, and nothing is changed")
    assert all(line.startswith(f"janitoo {' '.join(command)}: ") for line in said)
    document = json.loads(janitoo(*command, str(place.path), "--json").out)
    assert document["error"]["code"] == "refused"
    assert len(document["error"]["details"]) == len(said) - 1
    assert place.nodes()["hostsensor"]["name"] == "Computer"


def test_no_server(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_text(f"[system]\npid_dir = {tmp_path}\n{HOST}", encoding="utf-8")
    done = janitoo("reload", str(path))
    assert (done.code, done.out) == (1, "")
    expected = f"janitoo reload: no server of {path} is running; start it with: janitoo run {path}\n"
    assert done.err == expected
    assert janitoo("config", "diff", str(path), "--socket", str(tmp_path / "no.sock")).code == 1
    assert json.loads(janitoo("reload", "--json", str(path)).out)["error"]["code"] == "no_server"


def test_no_server_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    expected = f"janitoo reload: no server of {path} is running; there is no such file: check its path\n"
    assert janitoo("reload", str(path)) == Outcome(1, "", expected)
    assert janitoo("reload").code == 2
    assert janitoo("config").code == 2
    assert janitoo("config", "dif", str(path)).code == 2
    # A file that is not there, or cannot be read as one.
    assert janitoo("reload", str(tmp_path / "other.conf")).code == 1
    path.write_text("[system", encoding="utf-8")
    assert janitoo("reload", str(path)).code == 1


def test_hangup(place: Place) -> None:
    place.write(HOST.replace("Computer", "Renamed"))
    place.process.send(signal.SIGHUP)
    place.process.wait_err("reloaded ")
    assert "source=SIGHUP" in place.process.err
    assert place.nodes()["hostsensor"]["name"] == "Renamed"
    place.write(HOST.replace("3600", "often"))
    place.process.send(signal.SIGHUP)
    place.process.wait_err("reload_refused")
    assert "configuration_wrong" in place.process.err
    assert place.process.process.poll() is None
    assert place.process.interrupt() == 0


def test_auto_reload_is_switched_on_and_takes_over_what_is_saved(place: Place) -> None:
    place.path.write_text(
        place.path.read_text(encoding="utf-8").replace("auto_reload = False", "auto_reload = True"), encoding="utf-8"
    )
    assert janitoo("reload", str(place.path)).lines == ["[system] auto_reload: 'False' → 'True'"]
    place.write(HOST + SECOND.format("thread"))
    wait_heartbeats(place.probe, NEW, NodeState.ONLINE)
    place.process.wait_err("source=auto_reload")


def test_a_server_that_is_killed_in_the_middle(place: Place) -> None:
    second = SECOND.format("process")
    more = [second.replace("second", f"s{number}").replace("0142", f"01{number}") for number in (50, 51, 52)]
    place.write(HOST + "".join(more))
    before = place.path.read_bytes()
    command = [*PROGRAM, "reload", str(place.path)]
    asking = ServerProcess(command, cwd=ROOT)
    with asking:
        place.process.wait_err("control_act")
        place.process.kill()
        assert asking.wait_exit() == 1
        assert "has gone" in asking.err
        assert "Traceback" not in asking.err
    assert place.path.read_bytes() == before
    # What it has left does not keep the next one from anything.
    with run_command(place.path, "--quiet") as again:
        wait_for(lambda: janitoo("reload", str(place.path)).code == 0, TIMEOUT, lambda: again.both)
        assert again.interrupt() == 0
    assert not list(place.path.parent.glob("*.sock"))


def test_the_log_is_changed_too(place: Place) -> None:
    log = place.path.parent / "my.log"
    sections = f"""
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys =
[logger_root]
level = {{}}
handlers = file
[handler_file]
class = FileHandler
args = ({str(log)!r}, 'a', 'utf-8')
"""
    place.write(HOST.replace("Computer", "One") + sections.format("INFO"))
    assert "the log: its sections are read again" in janitoo("reload", str(place.path)).lines
    wait_for(lambda: log.exists() and "reloaded" in log.read_text(encoding="utf-8"), TIMEOUT, "the new file")
    # What cannot be used changes nothing, the log included.
    place.write(HOST.replace("Computer", "Two") + sections.format("INFO").replace("FileHandler", "NoHandler"))
    done = janitoo("reload", str(place.path))
    assert done.code == 78
    assert "Python's logging cannot use them" in done.err
    assert place.nodes()["hostsensor"]["name"] == "One"
    wait_for(lambda: "reload_refused" in log.read_text(encoding="utf-8"), TIMEOUT, "it still logs there")
    # And back to stderr.
    place.write(HOST)
    assert janitoo("reload", str(place.path)).code == 0
    place.process.wait_err("reloaded ")


def test_the_level_of_the_log_reaches_processes(place: Place) -> None:
    log = place.path.parent / "my.log"
    sections = f"""
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys =
[logger_root]
level = {{}}
handlers = file
[handler_file]
class = FileHandler
args = ({str(log)!r}, 'a', 'utf-8')
"""
    place.write(HOST + SECOND.format("process") + sections.format("WARNING"))
    assert janitoo("reload", str(place.path)).code == 0
    wait_heartbeats(place.probe, NEW, NodeState.ONLINE)
    place.path.write_text(
        place.path.read_text(encoding="utf-8").replace("level = WARNING", "level = INFO"), encoding="utf-8"
    )
    assert janitoo("reload", str(place.path)).lines == ["the log: its sections are read again"]
    asker = Requester(place.probe)

    def told() -> bool:
        # It is told at any time after the reload; until then its events stay away.
        asker.write("0142/0000", "name", "Renamed", Genre.CONFIG)
        lines = log.read_text(encoding="utf-8").splitlines()
        return any("value_written" in line and "/buses/second/nodes/0142/0000" in line for line in lines)

    wait_for(told, TIMEOUT, "its process tells what it logs")


def test_a_closed_terminal_ends_it(network: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_text(system_section(network, f"pid_dir = {tmp_path}") + HOST, encoding="utf-8")
    program = (
        "import os, pty, sys\npid, fd = pty.fork()\nif not pid: os.execv(sys.argv[1], sys.argv[1:])\nsys.stdin.read()\n"
    )
    with Probe(network.host, network.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe:
        terminal = subprocess.Popen(
            [sys.executable, "-c", program, *PROGRAM, "run", "--quiet", str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_heartbeats(probe, NODES, NodeState.ONLINE)
            since = len(probe.messages)
        finally:
            # With the terminal's end, its processes get SIGHUP.
            terminal.kill()
            terminal.wait(TIMEOUT)
            if terminal.stdin is not None:
                terminal.stdin.close()
        wait_heartbeats(probe, NODES, NodeState.OFFLINE, since=since)
