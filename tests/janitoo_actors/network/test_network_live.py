"""Network controllers in servers, on a real broker, beside a peer that answers as originals did."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from structlog.testing import capture_logs

from brokers import BrokerFactory, Mosquitto
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.errors import TemporaryError
from janitoo_actors.network.client import PrimaryClient
from janitoo_actors.network.events import NetworkChanged, NodeStateChanged, ValueChanged
from janitoo_actors.network.network import Network
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.codes import CommandClass
from janitoo_actors.protocol.hadd import Hadd
from mqtt_probe import Probe
from replayed_peer import ReplayedPeer
from running_server import TIMEOUT, RunningServer, run_command, running, system_section
from simulated_network import value_of
from supervisors import living
from tool_runs import run_program, start_program
from waiting import wait_for

CAPTURE = "primary_discovers_by_broadcast"
NODES = ["0121/0000", "0121/0001", "0121/0002", "0121/0003"]


@pytest.fixture
def broker(private_broker: BrokerFactory) -> Mosquitto:
    """A broker of the test's own: a broadcast is heard by every server."""
    return private_broker()


@pytest.fixture
def peer(broker: Mosquitto) -> Iterator[ReplayedPeer]:
    """An original, with its four nodes."""
    with ReplayedPeer(broker.host, broker.port, CAPTURE) as replayed:
        yield replayed


class Start(Protocol):
    def __call__(self, role: str, *lines: str) -> RunningServer: ...


@pytest.fixture
def start(broker: Mosquitto, tmp_path: Path) -> Iterator[Start]:
    """A function that starts a server with a role and nothing else, and waits for nothing."""
    with contextlib.ExitStack() as stack:

        def begin(role: str, *lines: str) -> RunningServer:
            path = write(tmp_path, broker, role, *lines)
            return stack.enter_context(running(path, Registry({}, {}), online=False))

        yield begin


def write(folder: Path, broker: Mosquitto, role: str, *lines: str) -> Path:
    path = folder / f"{role}.conf"
    section = "\n".join(["[network]", f"is_{role} = True", *lines, ""])
    path.write_text(f"{system_section(broker)}home_dir = home\n{section}", encoding="utf-8")
    return path


def network(server: RunningServer) -> Network:
    assert server.server.network is not None
    return server.server.network


def wait(condition: Callable[[], object], what: str) -> None:
    wait_for(lambda: bool(condition()), TIMEOUT, what)


def wait_map(server: RunningServer, *nodes: str) -> Network:
    """Wait until it has its map, of these nodes."""
    its = network(server)
    wanted = sorted(nodes or NODES)
    wait(lambda: its.state is NetworkState.STARTED and sorted(its.nodes) == wanted, f"a map of {wanted}")
    return its


def all_values(its: Network) -> dict[tuple[str, str, str, int], Any]:
    return {
        (str(hadd), genre.slug, uuid, index): value["data"]
        for hadd, node in its.map.snapshot().items()
        for genre, values in node.values.items()
        for uuid, instances in values.items()
        for index, value in instances.items()
    }


@pytest.mark.usefixtures("peer")
def test_a_primary_and_a_secondary_have_the_whole_map_of_originals(start: Start) -> None:
    primary = wait_map(start("primary", "home_id = Here"))
    secondary = wait_map(start("secondary"))
    assert all_values(secondary) == all_values(primary)
    assert {genre for _, genre, _, _ in all_values(primary)} == {"system", "config", "basic"}
    assert primary.emit_network() == {
        "state": NetworkState.STARTED,
        "state_str": "STARTED",
        "nodes_count": 4,
        "home_id": "Here",
        "is_failed": False,
        "is_secondary": False,
        "is_primary": True,
    }
    assert (secondary.is_primary, secondary.is_secondary, secondary.is_failed) == (False, True, False)
    # The tutorial's shapes.
    assert primary.nodes["0121/0001"]["name"] == "Load"
    assert primary.basics["0121/0001"]["load"][0]["cmd_class"] == CommandClass.SENSOR_MULTILEVEL
    assert primary.configs["0121/0001"]["load_poll"][0]["data"] == 10
    assert primary.systems["0121/0001"]["heartbeat"]["data"] == 60.0
    assert (dict(primary.users), dict(primary.commands)) == ({}, {})
    assert list(primary.controllers()) == ["0121/0000"]
    assert list(primary.neighbours("0121/0001")) == ["0121/0000", "0121/0002", "0121/0003"]
    assert list(primary.nodes_with(49)) == NODES[1:]
    assert primary.network_controllers() == {}
    assert {str(each) for each in primary.addresses()} == set(NODES)
    assert len(primary.values_of("0121/0001")) == len([key for key in all_values(primary) if key[0] == "0121/0001"])
    for absent in ("0121/0009", "nowhere"):
        assert absent not in primary.nodes
        assert absent not in primary.basics


@pytest.mark.usefixtures("peer")
def test_a_primary_that_is_killed_is_missed_and_its_successor_found(
    broker: Mosquitto, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    conf = write(tmp_path / "own", broker, "primary")
    with run_command(conf, "--quiet") as primary:
        primary.wait_err("STARTED")
        secondary = wait_map(start("secondary"))
        known: list[int] = []
        secondary.subscribe(NetworkChanged, lambda _event: known.append(secondary.nodes_count))
        primary.send(signal.SIGKILL)
        # By its will: silence would take resolv_timeout.
        wait(lambda: secondary.is_failed, "fail mode")
    wait_map_of(secondary)
    with run_command(conf, "--quiet"):
        wait(lambda: not secondary.is_failed, "recovery")
        wait_map_of(secondary)
    assert set(known) == {4}


def wait_map_of(its: Network) -> None:
    wait(lambda: its.state is NetworkState.STARTED and its.nodes_count == 4, "the map")


@pytest.mark.usefixtures("peer")
def test_a_primary_that_stops_says_so(broker: Mosquitto, start: Start) -> None:
    server = start("primary")
    wait_map(server)
    with Probe(broker.host, broker.port, subscribe=["/dhcp/resolv/heartbeat"]) as probe:
        server.stop()
        probe.wait_message(lambda message: message.value["state"] == "OFFLINE", TIMEOUT)
    assert network(server).state is NetworkState.STOPPED
    assert network(server).nodes_count == 4


@pytest.mark.usefixtures("peer")
def test_events_come_to_who_subscribes_and_bugs_of_theirs_harm_nobody(broker: Mosquitto, start: Start) -> None:
    its = wait_map(start("primary"))
    states: list[NodeStateChanged] = []
    values: list[Any] = []
    nodes: list[tuple[str, str]] = []

    def broken(_event: object) -> None:
        raise ZeroDivisionError("a bug")

    with capture_logs() as logs, Probe(broker.host, broker.port) as probe:
        its.subscribe(NodeStateChanged, broken)
        end = its.subscribe(NodeStateChanged, states.append)
        its.subscribe(ValueChanged, values.append)

        def emit_node(_network: Network, hadd: str, node: Any) -> None:
            nodes.append((hadd, node["state"]))

        its.add_method(emit_node)
        probe.publish("/dhcp/heartbeat/0121/0001", "OFFLINE")
        wait(lambda: states, "the state")
        probe.publish("/values/basic/0121/0003/uptime", value_of("0121/0003", "uptime", 1, 77, cmd_class=49))
        wait(lambda: values, "the value")
        end()
        probe.publish("/dhcp/heartbeat/0121/0001", "ONLINE")
        wait(lambda: its.nodes["0121/0001"]["state"] == "ONLINE", "the next state")
        wait(lambda: len(nodes) == 2, "the hook")
    assert [(str(event.hadd), event.before, event.state) for event in states] == [("0121/0001", "ONLINE", "OFFLINE")]
    assert (values[0].uuid, values[0].data) == ("uptime", 77)
    assert nodes == [("0121/0001", "OFFLINE"), ("0121/0001", "ONLINE")]
    # Once, and counted from then on.
    failures = [log for log in logs if log["event"] == "network_extension_failed"]
    assert [(log["error"], "broken" in log["extension"]) for log in failures] == [("ZeroDivisionError: a bug", True)]


def test_malformed_messages_are_told_once_for_each_sender_and_dropped(broker: Mosquitto, start: Start) -> None:
    with capture_logs() as logs, Probe(broker.host, broker.port) as probe:
        its = network(start("primary", "broadcast_timeout = 0.2"))
        wait(lambda: its.state is NetworkState.STARTED, "the start")
        for _ in range(5):
            probe.publish("/dhcp/resolv/heartbeat", b"\xff{")
            probe.publish("/dhcp/heartbeat/0121/0001", b"\x00")
            probe.publish("/values/user/0121/0001/x", "nonsense")
            probe.publish("/broadcast/reply/0001/0000", {"uuid": "request_info_nodes"})
        # Whoever can be told is told.
        probe.subscribe("/reply/#")
        probe.publish("/dhcp/resolv/name", {"rep_uuid": "me", "name": 7})
        answer = probe.wait_message(lambda message: message.topic == "/reply/me", TIMEOUT).value
    assert (answer["msg_status"], answer["msg_error"]) == (400, "name = '7': expected a text")
    told = [log["topic"] for log in logs if log["event"] == "message_malformed"]
    assert sorted(told) == [
        *("/broadcast/reply/0001/0000", "/dhcp/heartbeat/0121/0001", "/dhcp/resolv/heartbeat", "/dhcp/resolv/name"),
        "/values/user/0121/0001/x",
    ]


@pytest.mark.usefixtures("peer")
@pytest.mark.parametrize("path", ["/network/link", "/network/map"])
def test_a_bug_in_it_costs_no_node(start: Start, path: str) -> None:
    server = start("primary")
    its = wait_map(server)
    fewest = [its.nodes_count]
    its.subscribe(NetworkChanged, lambda _event: fewest.append(its.nodes_count))
    actor = living(server.server.system.lookup(path) or pytest.fail("nobody is there"))
    assert actor is not None
    actor.kill("a bug")
    wait(lambda: len(fewest) > 5 and its.state is NetworkState.STARTED, "it is there again")
    assert set(fewest) == {4}


@pytest.mark.usefixtures("peer")
def test_a_broker_that_restarts_is_found_again(broker: Mosquitto, start: Start) -> None:
    its = wait_map(start("primary"))
    states: list[NetworkState] = []
    its.subscribe(NetworkChanged, lambda event: states.append(event.state))
    broker.kill()
    wait(lambda: states == [NetworkState.STOPPED], "it is off the air")
    assert its.nodes_count == 4
    broker.start()
    wait(lambda: its.state is NetworkState.STARTED, "it is back")
    assert its.nodes_count == 4


def test_a_primary_gives_an_address_away_keeps_it_and_tells_of_it(broker: Mosquitto, start: Start) -> None:
    server = start("primary", "broadcast_timeout = 0.5")
    with Probe(broker.host, broker.port, subscribe=["/reply/#"]) as probe:
        wait(lambda: server.server.system.lookup("/network/leases"), "who keeps the leases")
        options = {"name": "The attic", "location": "Attic", "uuid": "me"}
        # It waits for the map.
        request = {"rep_uuid": "a", "add_ctrl": -1, "add_node": -1, "options": options}
        answer = probe.request("/dhcp/lease/new", request, "/reply/a", TIMEOUT).value
        assert (answer["msg_status"], answer["add_ctrl"], answer["add_node"]) == (200, 10, 0)
        assert network(server).state is NetworkState.STARTED
        probe.publish("/dhcp/heartbeat/0010/0000", "ONLINE")

        def looked_up() -> Any:
            return probe.request("/dhcp/resolv/name", {"rep_uuid": "b"}, "/reply/b", TIMEOUT).value["0010/0000"]

        wait(lambda: looked_up()["state"] == "ONLINE", "that its heartbeat is heard of")
        assert (looked_up()["leased"], looked_up()["location"]) == (True, "Attic")


def test_one_of_two_primaries_steps_down_and_gives_nothing_away_until_the_other_is_gone(
    broker: Mosquitto, tmp_path: Path
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    lines = ("broadcast_timeout = 0.5", "resolv_timeout = 1")
    request = {"add_ctrl": -1, "add_node": -1, "options": {"name": "x"}}

    def asked(rep_uuid: str) -> str:
        topic = f"/reply/{rep_uuid}"
        message = probe.request("/dhcp/lease/new", {"rep_uuid": rep_uuid, **request}, topic, TIMEOUT)
        return str(message.value["primary"])

    with contextlib.ExitStack() as stack:
        probe = stack.enter_context(Probe(broker.host, broker.port, subscribe=["/reply/#"]))
        both = []
        for folder, hadd in (("second", "0005/0000"), ("first", "0003/0000")):
            path = write(tmp_path / folder, broker, "primary", f"hadd = {hadd}", *lines)
            both.append(stack.enter_context(running(path, Registry({}, {}), online=False)))
        second, first = both
        wait(lambda: network(second).is_secondary, "that the second steps down")
        wait(lambda: network(first).state is NetworkState.STARTED, "the first's map")
        assert asked("a") == "0003/0000"
        first.stop()
        wait(lambda: network(second).is_primary, "that the second takes over")
        assert asked("b") == "0005/0000"


def test_a_server_with_nothing_but_a_role_says_what_it_is(broker: Mosquitto, tmp_path: Path) -> None:
    with run_command(write(tmp_path, broker, "primary")) as server:
        server.wait_summary()
        assert f"no buses; the broker is {broker.host}:{broker.port}\nprimary of the network, with" in server.out
        assert server.interrupt() == 0
    assert "server_stopped" in server.err


# -- extensions ------------------------------------------------------------------------------------------------------


def test_the_extension_of_the_tutorial_finds_web_controllers(broker: Mosquitto, start: Start) -> None:
    web = {"uuid": "web", "hadd": "0130/0001", "cmd_classes": [CommandClass.WEB_CONTROLLER, 112], "name": "Web"}
    page = value_of("0130/0001", "page", 1, "http://here/", cmd_class=int(CommandClass.WEB_CONTROLLER))
    other = value_of("0130/0001", "other", 1, 1, cmd_class=49)

    its: Any = network(start("primary", "broadcast_timeout = 0.2", "extensions = janitoo_actors"))
    wait(lambda: its.state is NetworkState.STARTED, "the start")
    assert its.find_webcontrollers() == {}
    with Probe(broker.host, broker.port) as probe:
        head = {"cmd_class": 20480, "genre": 4, "reply_hadd": "0001/0000"}
        # A stand-alone controller says its inner object alone.
        probe.publish("/broadcast/reply/0001/0000", {**head, "uuid": "request_info_nodes", "data": web})
        data = {"0130/0001": {each["uuid"]: {"0": each} for each in (page, other)}}
        probe.publish("/broadcast/reply/0001/0000", {**head, "uuid": "request_info_basics", "data": data})
        wait(lambda: its.find_webcontrollers().get("0130/0001"), "the web controller")
    assert its.find_webcontrollers() == {
        "0130/0001": {
            "page": {
                0: {
                    "value_uuid": "page",
                    "value_index": 0,
                    "data": "http://here/",
                    "label": "page",
                    "help": "The page",
                }
            }
        }
    }


def test_extensions_of_other_packages_and_what_is_wrong_with_them(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages"
    info = package / "janitoo_tutorial-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: janitoo-tutorial\nVersion: 1\n", encoding="utf-8")
    points = "[janitoo_tutorial.network]\ngood = tutorial_ext:good\nbad = tutorial_ext:bad\nnone = nowhere:x\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    good = "def good(network):\n    network.add_method(lambda self: self.nodes_count, 'count')\n"
    code = f"{good}\n\ndef bad(network):\n    1 / 0\n"
    (package / "tutorial_ext.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(package))
    with capture_logs() as logs:
        its: Any = network(
            start("primary", "broadcast_timeout = 0.2", "extensions = janitoo_tutorial, janitoo_tutorail")
        )
    assert its.count() == 0
    events = {(log["event"], log["extension"]): log.get("error", "") for log in logs if "extension" in log}
    assert events["network_extended", "janitoo_tutorial: tutorial_ext:good"] == ""
    assert events["network_extension_failed", "janitoo_tutorial: tutorial_ext:bad"].startswith("ZeroDivisionError")
    assert "nowhere" in events["network_extension_failed", "janitoo_tutorial: nowhere:x"]
    assert "did you mean 'janitoo_tutorial'?" in events["network_extension_missing", "janitoo_tutorail"]


# -- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("peer")
def test_whoever_is_no_network_controller_asks_the_primary(start: Start) -> None:
    server = start("primary")
    wait_map(server)
    with PrimaryClient(server.server.config.system.broker, timeout=TIMEOUT) as client:
        node = client.node(Hadd(121, 1))
        assert node is not None
        assert (node["name"], node["state"]) == ("Load", "ONLINE")
        assert client.node(Hadd(7, 7)) is None
        assert list(client.with_classes([49, 112])) == NODES[1:]
        assert list(client.named(location="Docker")) == NODES[1:]
        assert client.named(name="nobody") == {}


def test_where_there_is_no_primary_that_is_said(broker: Mosquitto, start: Start) -> None:
    config = start("secondary").server.config.system.broker
    with (
        PrimaryClient(config, timeout=0.3) as client,
        pytest.raises(TemporaryError, match=r"no primary answers \(within 0.3 s\)"),
    ):
        client.node(Hadd(121, 1))
    broker.stop()
    with PrimaryClient(config, timeout=0.3) as client, pytest.raises(TemporaryError, match="no connection"):
        client.node(Hadd(121, 1))


def tool(broker: Mosquitto, *arguments: str) -> tuple[int, str, str]:
    # In a process of its own: here, the servers of the test log to the same output.
    outcome = run_program(*arguments, port=broker.port)
    return outcome.code, outcome.out, outcome.err


@pytest.mark.usefixtures("peer")
def test_jnt_query_resolv(broker: Mosquitto, start: Start) -> None:
    wait_map(start("primary"))
    for arguments in (
        ["--cmdclass", "0x31"],
        ["--location", "Docker"],
        ["--cmdclass", "49", "--cmdclass", "CONFIGURATION"],
    ):
        code, out, _ = tool(broker, "query", "resolv", *arguments)
        assert (code, [line.split()[0] for line in out.splitlines()[3:]]) == (0, NODES[1:])
    code, out, _ = tool(broker, "query", "resolv", "--hadd", "121/1")
    assert (code, out.splitlines()[3].split()) == (0, ["0121/0001", "hostsensor__load", "Load", "Docker", "ONLINE"])
    code, out, _ = tool(broker, "query", "resolv", "--name", "Load", "--output", "json")
    assert list(json.loads(out)["resolv"]) == ["0121/0001"]
    code, out, _ = tool(broker, "query", "resolv", "--cmdclass", "0x1030")
    assert (code, out) == (0, "resolv\n----------\n")
    code, out, err = tool(broker, "query", "resolv", "--hadd", "7/7")
    assert (code, out) == (1, "")
    assert "the primary answers: nobody knows 0007/0007: it has no lease, and is not on the network" in err
    code, _, err = tool(broker, "query", "resolv", "--hadd", "7/7", "--name", "x")
    assert code == 1
    assert "expected one of --hadd, --cmdclass, and --name or --location" in err


def test_jnt_query_resolv_without_a_primary(broker: Mosquitto) -> None:
    code, out, err = tool(broker, "query", "resolv", "--name", "x", "--timeout", "0.2")
    assert (code, out) == (1, "")
    assert err.startswith("no answer from a primary within 0.2 s: is one running, and on this broker")


@pytest.mark.usefixtures("peer")
def test_janitoo_network_shows_the_map(broker: Mosquitto, start: Start) -> None:
    code, out, _ = tool(broker, "network")
    assert code == 0
    assert out.startswith("4 nodes, no primary answers: by broadcast\n")
    wait_map(start("primary"))
    code, out, _ = tool(broker, "network")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "4 nodes, from the primary")
    assert lines[1].split() == ["hadd", "state", "heard", "values", "uuid", "name", "location"]
    assert [line.split()[:2] for line in lines[2:]] == [[hadd, "ONLINE"] for hadd in NODES]
    code, out, _ = tool(broker, "network", "--json")
    found = json.loads(out)
    assert found["has_primary"] is True
    assert {hadd: node["state"] for hadd, node in found["nodes"].items()} == dict.fromkeys(NODES, "ONLINE")
    assert all(node["age"] < 60 and node["values"] >= 5 for node in found["nodes"].values())


def test_janitoo_network_without_anybody(broker: Mosquitto) -> None:
    code, out, err = tool(broker, "network", "--timeout", "0.5")
    assert (code, out) == (1, "")
    assert err.startswith("nobody answers within 0.5 s: is a server running, and on this broker")


@pytest.mark.usefixtures("peer")
def test_janitoo_network_watches(broker: Mosquitto, start: Start) -> None:
    wait_map(start("primary"))
    watching = start_program("network", "--watch", "--json", port=broker.port)
    assert watching.stdout is not None
    lines: list[dict[str, Any]] = []
    stdout = watching.stdout
    reader = threading.Thread(target=lambda: lines.extend(map(json.loads, stdout)), daemon=True)
    reader.start()
    try:
        with Probe(broker.host, broker.port) as probe:
            wait(lambda: lines, "the map")
            probe.publish("/dhcp/heartbeat/0121/0002", "OFFLINE")
            wait(lambda: any(line.get("event") == "node_state" for line in lines), "the change")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(TIMEOUT) == 130
    finally:
        watching.kill()
        watching.wait()
        reader.join(TIMEOUT)
        watching.stdout.close()
        assert watching.stderr is not None
        watching.stderr.close()
    assert len(lines[0]["nodes"]) == 4
    (change,) = [line for line in lines if line.get("event") == "node_state"]
    assert (change["hadd"], change["before"], change["state"]) == ("0121/0002", "ONLINE", "OFFLINE")


# -- the price -------------------------------------------------------------------------------------------------------


def test_a_server_without_a_role_pays_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    bus = "[hostsensor]\nhadd = 0121/0000\ncomponents.load = hostsensor.load\n[network]\nis_primary = False\n"
    path.write_text(system_section(broker) + bus, encoding="utf-8")
    code = f"""
import sys
from pathlib import Path
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.runtime.server import Server
server = Server(load(Path({str(path)!r}), Registry.installed()))
# The log goes to the other stream.
print(server.network, [name for name in sys.modules if name.startswith("janitoo_actors.network")], file=sys.stderr)
print([path for path in server.system.paths() if path.startswith("/network")], file=sys.stderr)
server.stop(5)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ)
    )
    assert {"None []", "[]"} <= set(done.stderr.splitlines())
