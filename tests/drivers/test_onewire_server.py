"""1-Wire thermometers on a running server: each fault is told, the others go on, and no hand is needed afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message, Probe
from onewire_tree import OneWireTree, scratchpad
from resilience import events, wait_value
from running_server import PROGRAM, TIMEOUT, Requester, ServerProcess, running, system_section, wait_heartbeats
from waiting import wait_for

ONE, TWO, OLD = "28-00000588806a", "28-0000058bfaaa", "10-000802be73fa"
BUS, FIRST, SECOND, ALL = "0163/0000", "0163/0001", "0163/0002", "0163/0003"


@pytest.fixture
def tree(tmp_path: Path) -> OneWireTree:
    tree = OneWireTree(tmp_path / "w1")
    tree.plug(ONE, 20)
    tree.plug(TWO, 30)
    return tree


def written(
    tree: OneWireTree, broker: Mosquitto, folder: Path, *, isolation: str = "thread", timeout: float = 0.3
) -> Path:
    path = folder / "my.conf"
    path.write_text(
        f"""{system_section(broker, "read_timeout = 1.5", "max_backoff = 0.2")}
[rpi1wire]
hadd = {BUS}
isolation = {isolation}
rpi1wire_sensors_dir_0 = {tree.folder}
timeout = {timeout:g}
sensors_poll_0 = 0.05
components.first = rpi1wire.ds18b20
components.second = rpi1wire.ds18b20

[rpi1wire__first]
hadd = {FIRST}
hexadd_0 = {ONE}
temperature_poll_0 = 0.05

[rpi1wire__second]
hadd = {SECOND}
hexadd_0 = {TWO}
temperature_poll_0 = 0.05
"""
    )
    return path


FAULTS: dict[str, tuple[Callable[[OneWireTree], None], str]] = {
    "unplugged": (lambda tree: tree.unplug(ONE), f"{ONE} is not on the bus: is it plugged in? There are: {TWO}"),
    "checksum": (lambda tree: tree.say(ONE, scratchpad(20, is_sound=False).encode()), "with a wrong checksum"),
    "silent": (lambda tree: tree.say(ONE, b""), f"{ONE} does not answer"),
    "garbage": (lambda tree: tree.say(ONE, b"garbage YES\nzz zz\n"), f"{ONE} answers with what is no reading"),
    "power-on": (lambda tree: tree.say(ONE, scratchpad(85).encode()), f"{ONE}: 85 is what the sensor gives when its"),
    "hangs": (lambda tree: tree.hang(ONE), f"{ONE} hangs: its read has not come back"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_without_a_hand(tree: OneWireTree, broker: Mosquitto, tmp_path: Path, fault: str) -> None:
    begin, why = FAULTS[fault]
    path = written(tree, broker, tmp_path)
    with (
        Probe(broker.host, broker.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe,
        running(path, Registry.installed()) as server,
        capture_logs() as log,
    ):
        air = Requester(probe)
        before = server.incarnations()
        since = len(probe.messages)
        begin(tree)
        wait_heartbeats(probe, [FIRST], NodeState.OFFLINE, since=since)
        wait_for(lambda: events(log, "node_offline"), TIMEOUT, "the log says it")
        assert [why in each["reason"] for each in events(log, "node_offline")] == [True]
        assert why in next(node.reason for node in server.nodes if str(node.hadd) == FIRST)
        # The other one is published, again and again.
        for celsius in (31, 32, 33):
            since = len(probe.messages)
            tree.plug(TWO, celsius)
            wait_value(air, celsius, hadd=SECOND, since=since)
        assert server.states() == {BUS: "ONLINE", FIRST: "OFFLINE", SECOND: "ONLINE"}
        since = len(probe.messages)
        if fault == "hangs":
            assert [each.name for each in threading.enumerate()].count(f"reads {ONE}") == 1
            tree.release(ONE, scratchpad(22).encode())
        else:
            tree.plug(ONE, 22)
        wait_value(air, 22, hadd=FIRST, since=since)
        server.wait_online()
        # The bus has not been replaced for it, and nothing but what was measured has been told.
        assert server.incarnations() == before
        told = {message.value["data"] for message in probe.messages if message.topic.endswith(f"{FIRST}/temperature")}
        assert told - {20} == {None, 22}
    wait_for(lambda: not any(each.name.startswith("reads ") for each in threading.enumerate()), TIMEOUT, "no thread")


def test_a_sensor_that_hangs_in_a_process(tree: OneWireTree, broker: Mosquitto, tmp_path: Path) -> None:
    # Longer than a process may hang.
    path = written(tree, broker, tmp_path, isolation="process", timeout=10)
    with Probe(broker.host, broker.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe:
        air = Requester(probe)
        with ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path) as server:
            wait_heartbeats(probe, [FIRST, SECOND], NodeState.ONLINE)
            since = len(probe.messages)
            tree.hang(ONE)
            wait_heartbeats(probe, [FIRST], NodeState.OFFLINE, since=since)
            server.wait_err(f"{ONE} hangs: its read has not come back")
            for celsius in (31, 32, 33):
                since = len(probe.messages)
                tree.plug(TWO, celsius)
                wait_value(air, celsius, hadd=SECOND, since=since)
            since = len(probe.messages)
            tree.release(ONE, scratchpad(22).encode())
            wait_value(air, 22, hadd=FIRST, since=since)
            wait_heartbeats(probe, [FIRST], NodeState.ONLINE, since=since)
            tree.hang(ONE)
            # One that hangs keeps no server from ending, and none of it is left.
            assert server.interrupt() == 0, server.both
        assert "child_terminated" not in server.both


def test_a_bus_that_goes_and_comes_back(tree: OneWireTree, broker: Mosquitto, tmp_path: Path) -> None:
    tree.vanish()
    with (
        Probe(broker.host, broker.port, subscribe=["/dhcp/heartbeat/#"], timeout=TIMEOUT) as probe,
        running(written(tree, broker, tmp_path), Registry.installed(), online=False) as server,
    ):
        # Not there at the start, and later gone for a while.
        for _ in range(2):
            server.wait_states(NodeState.OFFLINE)
            wait_for(lambda: "enable it with dtoverlay=w1-gpio" in server.nodes[1].reason, TIMEOUT, "why")
            since = len(probe.messages)
            tree.come_back()
            wait_heartbeats(probe, [BUS, FIRST, SECOND], NodeState.ONLINE, since=since)
            server.wait_online()
            tree.vanish()


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_all_that_the_bus_finds(tree: OneWireTree, broker: Mosquitto, tmp_path: Path, isolation: str) -> None:
    path = written(tree, broker, tmp_path, isolation=isolation)
    path.write_text(
        path.read_text().replace("components.first = rpi1wire.ds18b20", "components.all = rpi1wire.thermometers")
        + f"[rpi1wire__all]\nhadd = {ALL}\nsearch = 0.05\ntemperature_poll_0 = 0.05\nconfig_timeout = 0\n"
    )
    found: list[float | None] = []

    def shows(temperatures: list[float | None]) -> Callable[[Message], bool]:
        def is_it(message: Message) -> bool:
            if message.topic != f"/values/basic/{ALL}/temperature" or "0" not in message.value:
                return False
            found[:] = [value["data"] for value in message.value.values()]
            return found == temperatures

        return is_it

    with (
        Probe(broker.host, broker.port, subscribe=["/dhcp/heartbeat/#", "/values/#"], timeout=TIMEOUT) as probe,
        ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path) as server,
    ):
        # The one that no other component has.
        probe.wait_message(shows([20]), TIMEOUT)
        assert f"temperature_config_0 = {ONE}\n" in path.read_text()
        # A new one, before the other one by its address, gets the next index.
        tree.plug(OLD, 19)
        probe.wait_message(shows([20, 19]), TIMEOUT)
        assert f"temperature_config_0 = {ONE}\ntemperature_config_1 = {OLD}\n" in path.read_text()
        server.wait_err("sensors_found")
        # One that goes is told, and has its place when it comes back.
        since = len(probe.messages)
        tree.unplug(ONE)
        wait_heartbeats(probe, [ALL], NodeState.OFFLINE, since=since)
        server.wait_err(f"{ONE} is not on the bus")
        probe.wait_message(shows([None, 19]), TIMEOUT, since=since)
        since = len(probe.messages)
        tree.plug(ONE, 21)
        probe.wait_message(shows([21, 19]), TIMEOUT, since=since)
        wait_heartbeats(probe, [ALL], NodeState.ONLINE, since=since)
        assert server.interrupt() == 0, server.both
    # They are the same at the next start, whoever comes first.
    with (
        Probe(broker.host, broker.port, subscribe=["/values/#"], timeout=TIMEOUT) as probe,
        ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path),
    ):
        probe.wait_message(shows([21, 19]), TIMEOUT)
