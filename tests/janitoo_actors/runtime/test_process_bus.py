"""Buses in processes of their own: on the wire like any other, and whatever happens to one of them stays there."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, registry
from janitoo_actors import logs
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import LogFormat
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message
from resilience import SENSOR, wait_value
from running_server import Requester, RunningServer, ServerProcess, running, wait_heartbeats
from supervisors import ActorInfo
from tool_runs import ROOT
from waiting import wait_for

NODES = ("0701/0000", "0701/0001")
OTHER = "0702/0001"
PERIOD = 0.2
"""Seconds between two polls."""


def configuration(tmp_path: Path, broker: Mosquitto, isolation: str = "process", **system: Any) -> Configuration:
    """A bus `one` with this isolation and a bus `two` in the server's process."""
    made = Configuration(tmp_path, broker, **{"max_backoff": 0.2, **system})
    made.bus("one", ["remote"], own={"isolation": isolation}, temperature_poll_0=PERIOD, order_0=tmp_path / "order")
    return made.bus("two", ["remote"], temperature_poll_0=PERIOD, order_0=tmp_path / "order two")


def bus(server: RunningServer) -> ActorInfo:
    """The place of the bus `one`."""
    return next(info for info in server.infos() if info.path == "/buses/one")


def pid(server: RunningServer, *, other_than: int | None = None) -> int:
    """The process of the bus `one`, as soon as it runs and is not this one."""

    def found() -> int | None:
        info = bus(server)
        return info.pid if info.state == "running" and info.pid != other_than else None

    return wait_for(found, TIMEOUT, lambda: f"it runs: {bus(server)}")


def give(tmp_path: Path, order: str) -> None:
    """Have the next read of the bus `one` do this."""
    written = tmp_path / "order.new"
    written.write_text(order, encoding="ascii")
    written.rename(tmp_path / "order")


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_on_the_wire(isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    path = configuration(tmp_path, broker, isolation).write()
    with running(path, registry()) as server:
        wait_heartbeats(air.probe, NODES, NodeState.ONLINE)
        nodes = air.discover("nodes", "0701/0000")
        assert {uuid: (node["hadd"], node["state"]) for uuid, node in nodes.items()} == {
            "one": ("0701/0000", "ONLINE"),
            "one__remote": (SENSOR, "ONLINE"),
        }
        assert set(air.discover("configs", "0701/0000")[SENSOR]) >= {"order", "mode", "location", "temperature_poll"}
        since = len(air.probe.messages)
        for _ in range(3):
            wait_value(air, 20.0, since=since)
            since = len(air.probe.messages)
        assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["data"] == 20.0
        state = server.nodes[1].values["state"]
        kind = (state.genre, state.cmd_class)
        assert air.read(SENSOR, "state", *kind)["data"] == "off"
        assert air.write(SENSOR, "state", "on", *kind)["data"] == "on"
        assert air.read(SENSOR, "state", *kind)["data"] == "on"
        assert air.read(SENSOR, "nothing", Genre.USER)["error"] == "0701/0001 has no value 'nothing'"

        # It is in the file before it is answered, and there is one file.
        assert air.write(SENSOR, "mode", "fast", Genre.CONFIG)["data"] == "fast"
        assert "mode_0 = fast" in server.text or "mode = fast" in server.text
        assert air.write(SENSOR, "location", "Attic", Genre.CONFIG)["data"] == "Attic"
        assert "location = Attic" in server.text
        assert air.write(OTHER, "location", "Cellar", Genre.CONFIG)["data"] == "Cellar"
        since = len(air.probe.messages)
    wait_heartbeats(air.probe, [*NODES, OTHER], NodeState.OFFLINE, since=since)
    assert not [each for each in air.probe.messages[since:] if each.topic == "/dhcp/heartbeat/"], "in order: no will"
    assert all(text in path.read_text(encoding="utf-8") for text in ("= fast", "= Attic", "= Cellar"))


def test_the_snapshot_shows_process_and_tree(broker: Mosquitto, tmp_path: Path) -> None:
    with running(configuration(tmp_path, broker).write(), registry()) as server:
        wait_for(lambda: bus(server).children, TIMEOUT, "its tree")
        info = bus(server)
        assert (info.isolation, info.state, info.actor) == ("process", "running", "ProcessActor")
        assert info.pid not in {None, os.getpid()}
        paths = {each.path for each in info.walk()}
        assert {"/buses/one/link", "/buses/one/bus", f"/buses/one/nodes/{SENSOR}"} <= paths
        (other,) = (each for each in server.infos() if each.path == "/buses/two/bus")
        assert (other.isolation, other.pid) == ("thread", None)


def test_what_was_written_is_in_force_after_a_restart(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configuration(tmp_path, broker).write(), registry()) as server:
        air.write(SENSOR, "mode", "fast", Genre.CONFIG)
        air.write(SENSOR, "location", "Attic", Genre.CONFIG)
        assert air.write(SENSOR, "heartbeat", 250, Genre.SYSTEM)["data"] == 250
        first = pid(server)
        since = len(air.probe.messages)
        os.kill(first, signal.SIGKILL)
        # The broker tells of the end, and the new process of the beginning.
        will = air.probe.wait_message(lambda message: message.topic == "/dhcp/heartbeat/", TIMEOUT, since=since)
        assert will.value == {"add_ctrl": 701, "add_node": -1, "state": "OFFLINE"}
        pid(server, other_than=first)
        wait_heartbeats(air.probe, NODES, NodeState.ONLINE, since=since)
        assert air.read(SENSOR, "mode", Genre.CONFIG)["data"] == "fast"
        assert air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Attic"
        assert air.discover("nodes", "0701/0000")["one__remote"]["heartbeat"] == 250
        wait_value(air, 20.0, since=since)


def test_a_write_that_the_parent_cannot_store_is_refused(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    path = configuration(tmp_path, broker).write()
    with running(path, registry()):
        path.unlink()
        path.mkdir()
        assert air.write(SENSOR, "mode", "fast", Genre.CONFIG)["error"]
        assert air.read(SENSOR, "mode", Genre.CONFIG)["data"] == "slow"


def test_its_log_is_written_by_the_parent(broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = configuration(tmp_path, broker).write()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    with caplog.at_level(logging.INFO), running(path, registry()) as server:
        logs.configure(server.server.config, None)
        keep = Keep()
        keep.setFormatter(logs._formatter(LogFormat.JSON, colours=False))
        root.addHandler(keep)
        try:
            first = pid(server)
            os.kill(first, signal.SIGKILL)
            pid(server, other_than=first)

            def started() -> list[dict[str, Any]]:
                events = [json.loads(line) for line in list(lines)]
                return [each for each in events if each["event"] == "bus_started" and each["bus"] == "one"]

            (event,) = wait_for(started, TIMEOUT, lambda: f"its event: {lines}")
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
    assert event["path"] == "/buses/one/bus"
    assert event["level"] == "info"


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("segfault", "the process was killed by SIGSEGV"),
        ("exit", ""),
        ("lost", ""),
        ("hang", "it hangs, and is killed; it stood at:\n/buses/one/bus"),
        ("stuck", "the process has not answered for "),
        ("burn", "it hangs, and is killed; it stood at:\n/buses/one/bus"),
        ("leak", "more than its limit of 96 MiB, and is killed"),
    ],
)
def test_a_driver_that_harms_its_process(
    order: str, reason: str, broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    timeout = 30 if order == "leak" else 1.5
    path = configuration(tmp_path, broker, read_timeout=timeout).write()
    if order == "leak":
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("isolation = process", "isolation = process\nmemory_max = 96M"), encoding="utf-8")
    with running(path, registry()) as server:
        first = pid(server)
        wait_heartbeats(air.probe, [*NODES, OTHER], NodeState.ONLINE)
        since = len(air.probe.messages)
        give(tmp_path, order)
        wait_for(lambda: not (tmp_path / "order").exists(), TIMEOUT, "it is at it")
        taken = len(air.probe.messages)
        if reason:
            second = pid(server, other_than=first)
            last_exit = bus(server).last_exit
            assert last_exit is not None
            assert reason in str(last_exit)
            assert second != first
            wait_for(lambda: not Path(f"/proc/{first}").exists(), TIMEOUT, "the process is gone")
        if reason:
            will = air.probe.wait_message(lambda message: message.topic == "/dhcp/heartbeat/", TIMEOUT, since=since)
            if order in {"hang", "stuck", "burn"}:
                meanwhile = air.probe.messages[taken : air.probe.messages.index(will)]
                assert readings(meanwhile, OTHER), "the other goes on while it hangs"
        else:
            wait_heartbeats(air.probe, [SENSOR], NodeState.OFFLINE, since=since)
            assert pid(server) == first, "a driver that raises harms its bus alone"
        wait_heartbeats(air.probe, NODES, NodeState.ONLINE, since=since)
        end = len(air.probe.messages)
        wait_value(air, 20.0, since=end)
        server.wait_online()
        wait_for(lambda: len(readings(air.probe.messages[since:], OTHER)) > 10, TIMEOUT, "the other goes on")
        assert not [
            each
            for each in air.probe.messages[since:]
            if each.topic == f"/dhcp/heartbeat/{OTHER}" and each.payload == NodeState.OFFLINE.encode()
        ]


def readings(messages: list[Message], hadd: str) -> list[Message]:
    """The readings of a node."""
    return [message for message in messages if message.topic == f"/values/basic/{hadd}/temperature"]


def test_while_it_is_away_its_nodes_are_offline_here_too(broker: Mosquitto, tmp_path: Path) -> None:
    with running(configuration(tmp_path, broker, max_backoff=60).write(), registry()) as server:
        first = pid(server)
        # The first restart comes at once, the second waits.
        os.kill(first, signal.SIGKILL)
        os.kill(pid(server, other_than=first), signal.SIGKILL)
        server.wait_states(NodeState.OFFLINE, *NODES)
        board = server.server.boards[0]
        assert not board.on_air
        assert board.nodes[server.nodes[0].hadd].reason == "the process of the bus has ended"
        assert server.states()[OTHER] == "ONLINE"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ({"isolation": "fibre"}, "isolation = 'fibre': expected thread or process"),
        ({"isolation": "proces"}, "did you mean"),
        ({"isolation": "process", "memory_max": "lots"}, "memory_max = 'lots': expected a number of bytes of memory"),
        ({"isolation": "process", "memory_max": "1M"}, "memory_max = '1M': expected "),
        ({"memory_max": "64M"}, "memory_max = '64M': expected isolation = process beside it"),
    ],
)
def test_mistakes_in_the_file(lines: dict[str, str], expected: str, broker: Mosquitto, tmp_path: Path) -> None:
    config = load(Configuration(tmp_path, broker).bus("one", own=lines).bus("two").write(), registry())
    assert [each.section for each in config.buses] == ["two"]
    (problem,) = config.problems
    assert expected in str(problem)


def start(path: Path) -> ServerProcess:
    """`janitoo run` with the drivers for these tests, in a group of its own."""
    folders = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    command = [sys.executable, "-m", "faulty_drivers", "run", str(path)]
    return ServerProcess(command, cwd=path.parent, env=folders, prepare=os.setpgrp)


def test_the_command_waits_for_it_and_stops_it(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    path = configuration(tmp_path, broker).write()
    with start(path) as server:
        server.wait_summary()
        assert SENSOR in server.out
        assert OTHER in server.out
        wait_heartbeats(air.probe, [*NODES, OTHER], NodeState.ONLINE)
        since = len(air.probe.messages)
        # Ctrl+C, to the whole group, as a terminal sends it.
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.wait_exit() == 0, server.both
        wait_heartbeats(air.probe, [*NODES, OTHER], NodeState.OFFLINE, since=since)
        assert not [each for each in air.probe.messages[since:] if each.topic == "/dhcp/heartbeat/"], server.both


def test_while_it_is_away_the_server_answers_for_it(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    # So that it is away for long, once it has been killed twice.
    path = configuration(tmp_path, broker, max_backoff=60).write()
    with running(path, registry()) as server:
        wait_heartbeats(air.probe, NODES, NodeState.ONLINE)
        first = pid(server)
        os.kill(first, signal.SIGKILL)
        second = pid(server, other_than=first)
        os.kill(second, signal.SIGKILL)
        wait_for(lambda: bus(server).state != "running", TIMEOUT, lambda: f"it is away: {bus(server)}")
        nodes = air.discover("nodes", "0701/0000")
        assert {uuid: node["state"] for uuid, node in nodes.items()} == {"one": "OFFLINE", "one__remote": "OFFLINE"}
        assert SENSOR in air.discover("configs", "0701/0000")
        answer = air.write(SENSOR, "mode", "fast", Genre.CONFIG)
        assert answer["data"] == "slow"
        assert answer["error"].startswith("one is not running: its process has ended")
        # Nobody else is answered for.
        assert air.discover("nodes", "0702/0000")["two"]["state"] == "ONLINE"
