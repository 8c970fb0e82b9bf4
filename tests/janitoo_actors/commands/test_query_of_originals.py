"""`jnt_query` against originals, replayed from captures; the tables are the tutorial's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from brokers import HOST, Mosquitto
from replayed_peer import ReplayedPeer
from tool_runs import Tool, run_program

NODES_BY_BROADCAST = """\
request_info_nodes
----------
hadd       uuid                 name                      location                  product_type
0121/0000  hostsensor           Docker sensors            Docker                    Default product type
0121/0001  hostsensor__load     Load                      Docker                    Software component
0121/0002  hostsensor__disks    Disks                     Docker                    Software component
0121/0003  hostsensor__uptime   Uptime                    Docker                    Software component
"""

NODES_OF_A_CONTROLLER = """\
request_info_nodes
----------
hadd       uuid                           name                      location             product_type
0121/0000  hostsensor                     Docker sensors            Docker               Default product type
0121/0001  hostsensor__load               Load                      Docker               Software component
0121/0002  hostsensor__disks              Disks                     Docker               Software component
0121/0003  hostsensor__uptime             Uptime                    Docker               Software component
"""

SYSTEMS_HEADER = (
    "hadd       node_uuid                 uuid                      idx  data                      units      "
    "type  genre cmdclass help"
)
CONFIGS_HEADER = (
    "hadd       node_uuid                 uuid                           idx  data                      units      "
    "type  genre cmdclass help"
)

LOCATION = """\
location
----------
hadd       uuid                      idx  data                      units      type  genre cmdclass help
0121/0000  location                  0    My computer               None       None  3     112      \
The location of the node
"""

LOAD_POLL = """\
load_poll
----------
hadd       uuid                      idx  data                      units      type  genre cmdclass help
0121/0001  load_poll                 0    10                        None       None  3     112      \
The poll delay of the value
"""


@pytest.fixture
def original(network: Mosquitto) -> Iterator[ReplayedPeer]:
    """An original server of the hostsensor bus."""
    with ReplayedPeer(HOST, network.port, "hostsensor_boot_and_queries") as peer:
        yield peer


@pytest.mark.usefixtures("original")
def test_nodes_of_the_network(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "network", port=network.port)

    assert (outcome.code, outcome.out, outcome.err) == (0, NODES_BY_BROADCAST, "")


@pytest.mark.usefixtures("original")
def test_nodes_of_the_network_as_a_user_asks(network: Mosquitto) -> None:
    outcome = run_program("query", "network", f"--host={HOST}", "--vuuid=request_info_nodes", port=network.port)

    assert (outcome.code, outcome.out, outcome.err) == (0, NODES_BY_BROADCAST, "")


@pytest.mark.usefixtures("original")
def test_systems_of_the_network(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "network", "--host", HOST, "--vuuid=request_info_systems", port=network.port)

    assert outcome.code == 0
    assert outcome.lines[:3] == ["request_info_systems", "----------", SYSTEMS_HEADER]
    assert len(outcome.lines) == 3 + 4 * 3
    assert (
        "0121/0000  hostsensor                config_timeout            0    3.0                       seconds    "
        "4     4     112      The config timeout before applying configuration and rebooting"
    ) in outcome.lines
    # Its units are an empty text, as in the tutorial.
    assert (
        "0121/0000  hostsensor                hadd                      0    0121/0000                            "
        "32    4     112      The Janitoo Home address"
    ) in outcome.lines


@pytest.mark.usefixtures("original")
def test_nodes_of_a_controller(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "node", "--hadd", "0121/0000", port=network.port)

    assert (outcome.code, outcome.out, outcome.err) == (0, NODES_OF_A_CONTROLLER, "")


@pytest.mark.usefixtures("original")
def test_all_lists_of_a_controller(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "node", "--hadd", "0121/0000", "--vuuid=all", port=network.port)

    assert outcome.code == 0
    lists = [each.splitlines() for each in outcome.out.split("\n\n")]
    assert [each[0] for each in lists] == [
        "request_info_nodes",
        "request_info_users",
        "request_info_configs",
        "request_info_systems",
        "request_info_basics",
        "request_info_commands",
    ]
    assert all(each[1] == "----------" for each in lists)
    assert lists[1][2:] == lists[5][2:] == []
    assert lists[2][2] == CONFIGS_HEADER
    assert [line.split()[:4] for line in lists[2] if "load_config" in line] == [
        ["0121/0001", "hostsensor__load", "load_config", "0"],
        ["0121/0001", "hostsensor__load", "load_config", "1"],
        ["0121/0001", "hostsensor__load", "load_config", "2"],
    ]
    rows = lists[2][3:]
    assert [row[:10] for row in rows] == sorted(row[:10] for row in rows)


def test_the_payload_of_a_write_is_the_originals(network: Mosquitto, tool: Tool, original: ReplayedPeer) -> None:
    arguments = [
        "query",
        "query",
        "--hadd",
        "0121/0000",
        "--genre",
        "config",
        "--uuid",
        "location",
        "--cmdclass",
        "112",
        "--type",
        "8",
    ]

    outcome = tool(*arguments, "--data", "My computer", "--writeonly", "True", port=network.port)

    assert (outcome.code, outcome.out, outcome.err) == (0, LOCATION, "")
    assert [json.dumps(payload) for _topic, payload in original.requests] == [
        '{"cmd_class": 112, "uuid": "location", "data": "My computer", "reply_hadd": "9999/9990", "genre": 3, '
        '"is_writeonly": true, "is_readonly": true, "hadd": "0121/0000"}'
    ]


@pytest.mark.parametrize("readonly", [["--readonly", "True"], ["--readonly=true"], ["--readonly"], []])
def test_the_payload_of_a_read_is_the_originals(
    network: Mosquitto, tool: Tool, original: ReplayedPeer, readonly: list[str]
) -> None:
    arguments = [
        "query",
        "query",
        "--hadd",
        "0121/0000",
        "--genre",
        "config",
        "--uuid",
        "location",
        "--cmdclass",
        "112",
    ]

    outcome = tool(*arguments, *readonly, port=network.port)

    assert (outcome.code, outcome.out, outcome.err) == (0, LOCATION, "")
    assert [json.dumps(payload) for _topic, payload in original.requests] == [
        '{"cmd_class": 112, "uuid": "location", "data": null, "reply_hadd": "9999/9990", "genre": 3, '
        '"is_writeonly": false, "is_readonly": true, "hadd": "0121/0000"}'
    ]


@pytest.mark.usefixtures("original")
@pytest.mark.parametrize(("genre", "cmdclass"), [("config", "112"), ("3", "0x70"), ("CONFIG", "COMMAND_CONFIGURATION")])
def test_a_poll_delay_is_written(network: Mosquitto, tool: Tool, genre: str, cmdclass: str) -> None:
    arguments = [
        "query",
        "query",
        "--hadd",
        "0121/0001",
        "--uuid",
        "load_poll",
        "--data",
        "10",
        "--type",
        "4",
        "--writeonly",
        "True",
    ]

    outcome = tool(*arguments, f"--genre={genre}", f"--cmdclass={cmdclass}", port=network.port)

    assert (outcome.code, outcome.out, outcome.err) == (0, LOAD_POLL, "")


@pytest.mark.usefixtures("original")
def test_json_has_the_whole_nodes_and_values(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "node", "--hadd", "0121/0000", "--vuuid", "all", "--output", "json", port=network.port)

    document = json.loads(outcome.out)
    assert list(document) == [
        "request_info_nodes",
        "request_info_users",
        "request_info_configs",
        "request_info_systems",
        "request_info_basics",
        "request_info_commands",
    ]
    assert [node["state"] for node in document["request_info_nodes"]] == ["ONLINE"] * 4
    assert document["request_info_users"] == []
    loads = [value for value in document["request_info_basics"] if value["uuid"] == "load"]
    assert [(value["index"], value["label"]) for value in loads] == [
        (0, "Load (1 minutes)"),
        (1, "Load (5 minutes)"),
        (2, "Load (15 minutes)"),
    ]


@pytest.mark.usefixtures("original")
def test_raw_prints_the_answer_as_it_came(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "network", "--output", "raw", "--myhadd", "9999/0001", port=network.port)

    assert len(outcome.lines) == 1
    topic, payload = outcome.lines[0].split(" ", 1)
    assert topic == "/broadcast/reply/9999/0001"
    assert json.loads(payload)["data"].keys() >= {"hostsensor", "hostsensor__load"}


@pytest.mark.usefixtures("original")
def test_an_answered_node_does_not_wait_for_the_timeout(network: Mosquitto, tool: Tool) -> None:
    # Longer than the tool may run here.
    outcome = tool("query", "node", "--hadd", "0121/0000", "--vuuid", "all", "--timeout", "600", port=network.port)

    assert outcome.code == 0


@pytest.mark.usefixtures("original")
def test_an_answered_network_waits_for_its_quiet_time_only(network: Mosquitto, tool: Tool) -> None:
    # Longer than the tool may run here.
    outcome = tool("query", "network", "--vuuid", "all", "--timeout", "600", port=network.port)

    assert outcome.code == 0


@pytest.mark.parametrize("transcript", ["primary_discovers_by_broadcast", "secondary_with_flapping_primary"])
def test_every_capture_is_understood(network: Mosquitto, tool: Tool, transcript: str) -> None:
    with ReplayedPeer(HOST, network.port, transcript):
        outcome = tool("query", "network", "--vuuid", "all", "--output", "json", port=network.port)

    assert outcome.code == 0
    assert {what: len(rows) for what, rows in json.loads(outcome.out).items()} == {
        "request_info_nodes": 4,
        "request_info_users": 0,
        "request_info_configs": 23,
        "request_info_systems": 12,
        "request_info_basics": 9,
        "request_info_commands": 0,
    }
