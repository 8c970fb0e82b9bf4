"""What is written over the air and needs a restart of the bus: stored at once, and applied together a while later."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokers import Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from running_server import Requester, RunningServer, running, wait_heartbeats
from waiting import wait_for

ISOLATIONS = pytest.mark.parametrize("isolation", ["thread", "process"])
NODE, OTHER, MOVED = "0701/0001", "0701/0002", "0701/0042"
NEVER = 3000


def configured(tmp_path: Path, broker: Mosquitto, isolation: str, config_timeout: float) -> Path:
    made = Configuration(tmp_path, broker)
    made.bus("one", ["pinned", "other=pinned"], own={"isolation": isolation}, config_timeout=config_timeout)
    return made.bus("two").write()


def epochs(server: RunningServer, section: str = "one") -> set[tuple[int | None, int]]:
    """Which incarnations of the actors of a bus run, as far as its process has told of them."""
    return {each for path, each in server.incarnations(section).items() if path == f"/buses/{section}"}


def wait_restarted(server: RunningServer, before: set[tuple[int | None, int]]) -> None:
    """Wait until all of the bus is new."""
    wait_for(lambda: epochs(server) and not epochs(server) & before, TIMEOUT, "the bus has been restarted")
    server.wait_connected()
    server.wait_online()


def used(air: Requester, hadd: str = NODE) -> object:
    """The pin that a component has been opened with."""
    return air.read(hadd, "used", Genre.BASIC, 49)["data"]


@ISOLATIONS
def test_changes_are_stored_at_once_and_applied_together(
    isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    path = configured(tmp_path, broker, isolation, 1)
    with running(path, registry()) as server:
        before, others = epochs(server), epochs(server, "two")
        since = len(air.probe.messages)
        assert air.write(NODE, "pin", 5, Genre.CONFIG)["data"] == 5
        assert "pin_0 = 5" in server.text
        assert air.write(NODE, "pin", 6, Genre.CONFIG)["data"] == 6
        assert air.write(OTHER, "hadd", MOVED, Genre.SYSTEM)["data"] == MOVED
        assert f"hadd = {MOVED}" in server.text
        assert air.read(NODE, "pin", Genre.CONFIG)["data"] == 6, "what is configured, not what is in force"
        # What a driver takes while it runs is in force at once.
        assert air.write(NODE, "mode", "fast", Genre.CONFIG)["data"] == "fast"
        wait_restarted(server, before)
        assert used(air) == 6
        assert air.read(NODE, "mode", Genre.CONFIG)["data"] == "fast"
        assert air.read(MOVED, "hadd", Genre.SYSTEM)["data"] == MOVED
        wait_heartbeats(air.probe, [OTHER, NODE], NodeState.OFFLINE, since=since)
        wait_heartbeats(air.probe, [MOVED, NODE], NodeState.ONLINE, since=since)
        # Once, for all of it; and that bus alone.
        said = [m for m in air.probe.messages[since:] if m.topic == f"/dhcp/heartbeat/{NODE}"]
        assert [m.payload for m in said].count(NodeState.ONLINE.encode()) == 1
        assert epochs(server, "two") == others
        assert server.server.running.held == ()
        assert server.server.plan().is_empty, "it runs what is in the file"


@ISOLATIONS
def test_the_written_config_timeout_counts(isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configured(tmp_path, broker, isolation, NEVER), registry()) as server:
        before = epochs(server)
        assert air.write(NODE, "config_timeout", 0.2, Genre.SYSTEM)["data"] == 0.2
        air.write(NODE, "pin", 7, Genre.CONFIG)
        wait_restarted(server, before)
        assert used(air) == 7
        assert air.discover("nodes", "0701/0000")["one__pinned"]["config_timeout"] == 0.2


@ISOLATIONS
def test_until_then_nothing_changes(isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configured(tmp_path, broker, isolation, NEVER), registry()) as server:
        before = epochs(server)
        air.write(NODE, "pin", 7, Genre.CONFIG)
        assert used(air) == 4
        assert server.states()[NODE] == "ONLINE", "it works on as it was"
        assert list(server.server.running.held) == ["one"]
        # What we have written ourselves is nothing that somebody has changed.
        assert server.server.reload("auto_reload", others=True) is None
        assert epochs(server) == before
        assert server.server.plan().lines() == ["[one] restarts:", "    [one__pinned] pin_0: '4' → '7'"]

        # A reload need not wait.
        server.server.reload("the test")
        wait_restarted(server, before)
        assert used(air) == 7
        assert not server.server.running.held


@ISOLATIONS
def test_what_an_editor_takes_back(isolation: str, broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    path = configured(tmp_path, broker, isolation, NEVER)
    with running(path, registry()) as server:
        text = server.text
        before = epochs(server)
        air.write(NODE, "pin", 7, Genre.CONFIG)
        path.write_text(text, encoding="utf-8")
        done = server.server.reload("auto_reload", others=True)
        assert done is not None
        assert done.plan.is_empty
        wait_for(lambda: air.read(NODE, "pin", Genre.CONFIG)["data"] == 4, TIMEOUT, "what is in the file")
        assert epochs(server) == before
        assert server.server.running.held == ()


def test_a_crash_meanwhile_takes_nothing_over_early(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configured(tmp_path, broker, "thread", NEVER), registry()) as server:
        air.write(NODE, "pin", 7, Genre.CONFIG)
        opened = SCRIPTS["one__pinned"].opened
        SCRIPTS["one__other"].read = lambda _instance: None
        ref = server.server.system.lookup("/buses/one/bus")
        assert ref is not None
        ref.stop(block=False)
        wait_for(lambda: SCRIPTS["one__pinned"].opened > opened, TIMEOUT, "it is opened anew")
        server.wait_online()
        assert used(air) == 4
        assert server.server.running.held == ("one",)


def test_a_new_address_that_another_one_waits_for(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with running(configured(tmp_path, broker, "thread", NEVER), registry()):
        assert air.write(NODE, "hadd", MOVED, Genre.SYSTEM)["data"] == MOVED
        assert "expected an address that is free" in air.write(OTHER, "hadd", MOVED, Genre.SYSTEM)["error"]
        assert "error" in air.write(OTHER, "hadd", NODE, Genre.SYSTEM), "it is that node's until then"
