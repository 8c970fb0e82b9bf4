"""Servers in processes of their own: stopped while something hangs, and killed at any moment."""

from __future__ import annotations

import configparser
import os
import random
import sys
import threading
from pathlib import Path

import pytest

from brokers import HOST, Mosquitto
from brokers import free_port as find_free_port
from faulty_drivers import TIMEOUT, Configuration
from janitoo_actors.configuration.last_good import good_copies
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message
from running_server import Requester, ServerProcess, ask_until_answered, wait_heartbeats
from tool_runs import ROOT

NODE = "0701/0001"


def start(path: Path) -> ServerProcess:
    """A server with the drivers for these tests."""
    # The packages themselves before their tests, whose folders have the same names.
    folders = {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    command = [sys.executable, "-m", "faulty_drivers", "run", str(path), "--quiet"]
    return ServerProcess(command, cwd=path.parent, env=folders)


@pytest.mark.parametrize("fault", ["fault_0", "fault_open_0", "fault_close_0"], ids=["read", "open", "close"])
def test_a_server_stops_in_time_though_its_driver_hangs(
    fault: str, broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    configuration = Configuration(tmp_path, broker, read_timeout=0.2)
    configuration.bus("one", ["by_option"], own={}, **{fault: "hang"}).bus("two", ["by_option"])
    with start(configuration.write()) as server:
        wait_heartbeats(air.probe, ["0702/0000", "0702/0001"], NodeState.ONLINE)
        if fault == "fault_0":
            wait_heartbeats(air.probe, [NODE], NodeState.OFFLINE)
        else:
            ask_until_answered(air.probe, "0701/0000")
        since = len(air.probe.messages)
        server.process.terminate()
        # What hangs does so for ever.
        assert server.wait_exit() == 0, server.both
        assert "server_stopped" in server.err
        nodes = ["0701/0000", NODE, "0702/0000", "0702/0001"]
        wait_heartbeats(air.probe, nodes, NodeState.OFFLINE, since=since)
        # In order: nobody has to be told by the will that a bus is gone.
        assert not [each for each in air.probe.messages[since:] if each.topic == "/dhcp/heartbeat/"]


def test_a_server_stops_in_time_though_there_is_no_broker(tmp_path: Path) -> None:
    absent = Mosquitto(tmp_path, port=find_free_port())
    with start(Configuration(tmp_path, absent).bus("one", ["by_option"]).write()) as server:
        server.wait_err("mqtt_disconnected")
        server.process.terminate()
        assert server.wait_exit() == 0, server.both


def test_the_will_speaks_for_a_server_that_is_killed(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    with start(Configuration(tmp_path, broker).bus("one", ["by_option"]).write()) as server:
        wait_heartbeats(air.probe, [NODE], NodeState.ONLINE)
        since = len(air.probe.messages)
        server.kill()
        will = air.probe.wait_message(lambda message: message.topic == "/dhcp/heartbeat/", TIMEOUT, since=since)
        assert will.value == {"add_ctrl": 701, "add_node": -1, "state": "OFFLINE"}


CONFIGURATION = """\
# Written by hand, and to stay so.
[system]
service = killed
broker_ip = {host}
broker_port = {port}
; Another kind of comment,\twith a tab, and an accent: é

[one]
oid : faulty
auto_start = yes
hadd = 0701/0000
components.by_option = faulty.by_option

[one__by_option]
hadd = 0701/0001
   # The place, as people call it.
location = place 0
name = Sensor

[elsewhere]
location = place 0
"""


def place(message: Message) -> int | None:
    """The number of the place that an answer acknowledges; None where the message is none."""
    if message.topic != f"/values/config/{NODE}/location" or "error" in message.value:
        return None
    return int(message.value["data"].removeprefix("place "))


def test_a_server_that_is_killed_while_it_writes_its_file(broker: Mosquitto, air: Requester, tmp_path: Path) -> None:
    writes, kills = 200, 10
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    fatal = set(chance.sample(range(1, writes + 1), kills))
    path = tmp_path / "killed.conf"
    original = CONFIGURATION.format(host=HOST, port=broker.port).encode()
    path.write_bytes(original)
    acknowledged = 0
    server = start(path)
    try:
        ask_until_online(air)
        for number in range(1, writes + 1):
            since = len(air.probe.messages)
            request = air.request(
                NODE, "location", Genre.CONFIG, 112, data=f"place {number}", is_writeonly=True, is_readonly=False
            )
            air.probe.publish(f"/nodes/{NODE}/request", request)
            if number not in fatal:
                air.probe.wait_message(lambda message, number=number: place(message) == number, TIMEOUT, since=since)  # type: ignore[misc]
                acknowledged = number
                if number - 1 in fatal:
                    assert leftovers(path) == [], f"after the first write of a new process; seed {seed}"
                continue
            # No synchronisation: any moment will do, before, in the middle of and after the write.
            threading.Event().wait(chance.uniform(0, 0.008))
            server.kill()
            # What has been acknowledged is known when the will, which the broker sends after it, has come.
            air.probe.wait_message(lambda message: message.topic == "/dhcp/heartbeat/", TIMEOUT, since=since)
            acknowledged = max([acknowledged, *filter(None, map(place, air.probe.messages[since:]))])
            in_file = check(path, original, seed)
            assert acknowledged <= in_file <= number, f"acknowledged: {acknowledged}, in the file: {in_file}; {seed}"
            since = len(air.probe.messages)
            server = start(path)
            ask_until_online(air, since=since)
            assert air.read(NODE, "location", Genre.CONFIG)["data"] == f"place {in_file}"
    finally:
        server.kill()
    assert check(path, original, seed) >= acknowledged


def ask_until_online(air: Requester, *, since: int = 0) -> None:
    """Wait until a process has come up, its nodes with it: only then does it write."""
    wait_heartbeats(air.probe, [NODE], NodeState.ONLINE, since=since)


def check(path: Path, original: bytes, seed: int) -> int:
    """The number in the file, all of which is otherwise as it was, byte for byte; and so are its copies."""
    number = number_in(path, original, seed)
    copies = good_copies(path)
    assert number_in(copies[0].path, original, seed) in {number - 1, number}, f"the last good copy; seed {seed}"
    for copy in copies[1:]:
        assert number_in(copy.path, original, seed) < number
    return number


def number_in(path: Path, original: bytes, seed: int) -> int:
    data = path.read_bytes()
    assert data, f"{path} is empty; seed {seed}"
    parser = configparser.RawConfigParser()
    parser.read_string(data.decode("utf-8"))
    text = parser["one__by_option"]["location"]
    head, _, rest = original.partition(b"location = place 0")
    assert data == head + f"location = {text}".encode() + rest, f"seed {seed}"
    return int(text.removeprefix("place "))


def leftovers(path: Path) -> list[str]:
    """The files beside the configuration and its copies."""
    copies = {copy.path for copy in good_copies(path)}
    return [each.name for each in path.parent.iterdir() if each != path and each not in copies]
