"""`jnt_query` where the answers are other than an original's: errors, garbage, strangers, nobody."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from brokers import HOST, BrokerFactory, Mosquitto
from mqtt_probe import Probe
from replayed_peer import Peer, Sent
from tool_runs import Outcome, Tool, run_program, start_program
from waiting import wait_for

SOON = ("--timeout", "0.3")
READ_POWER = ["query", "query", "--hadd", "0130/0001", "--genre", "user", "--uuid", "power", "--cmdclass", "0x25"]
READ_NAME = ["query", "query", "--hadd", "0130/0001", "--genre", "config", "--uuid", "name", "--cmdclass", "112"]


def peer(network: Mosquitto, answer: Callable[[str, dict[str, Any]], Iterable[Sent]]) -> Peer:
    return Peer(HOST, network.port, answer)


def node(hadd: str, **more: Any) -> dict[str, Any]:
    uuid = f"node_{hadd[-1]}"
    return {"uuid": uuid, "name": "N", "location": "L", "product_type": "P", "hadd": hadd, **more}


def answer_with(data: Any) -> Callable[[str, dict[str, Any]], Iterable[Sent]]:
    """The answer of a server that has these data in every list."""

    def answer(topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        where = "/broadcast/reply/" if topic.startswith("/broadcast") else "/nodes/"
        end = "" if topic.startswith("/broadcast") else "/reply"
        yield f"{where}{payload['reply_hadd']}{end}", {**payload, "data": data}

    return answer


def test_nobody_answers_a_broadcast(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "network", *SOON, port=network.port)

    assert outcome == Outcome(
        1,
        "",
        f"no answer from any server within 0.3 s: is one running, and on this broker (127.0.0.1:{network.port})?\n",
    )


def test_nobody_answers_for_a_node(network: Mosquitto) -> None:
    outcome = run_program("query", "node", "--hadd", "0121/0000", *SOON, port=network.port)

    assert outcome == Outcome(
        1,
        "",
        "no answer from 0121/0000 within 0.3 s: is the server running, and on this broker "
        f"(127.0.0.1:{network.port})?\n",
    )


def test_nobody_answers_about_a_value(network: Mosquitto, tool: Tool) -> None:
    outcome = tool(*READ_POWER, *SOON, port=network.port)

    assert outcome.code == 1
    assert outcome.err.startswith("no answer from 0130/0001 about power within 0.3 s: is the server running")


def test_a_list_that_nobody_answers_is_named(network: Mosquitto, tool: Tool) -> None:
    def only_nodes(topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        if payload["uuid"] == "request_info_nodes":
            yield from answer_with({"n": node("0130/0000")})(topic, payload)

    with peer(network, only_nodes):
        outcome = tool("query", "node", "--hadd", "0130/0000", "--vuuid", "all", *SOON, port=network.port)

    assert outcome.code == 1
    assert outcome.lines[0] == "request_info_nodes"
    assert len(outcome.lines) == 4
    assert "about request_info_users, request_info_configs" in outcome.err


def test_no_broker(free_port: int) -> None:
    outcome = run_program("query", "network", port=free_port)

    assert outcome == Outcome(
        1,
        "",
        f"janitoo query: no broker at 127.0.0.1:{free_port} (Connection refused): is it running, "
        "and are --host and --port right?\n",
    )


def test_no_such_host(tool: Tool) -> None:
    outcome = tool("query", "network", "--host", "no-such-host.invalid")

    assert outcome == Outcome(1, "", "janitoo query: there is no host 'no-such-host.invalid': check --host\n")


def test_a_wrong_password(private_broker: BrokerFactory, tool: Tool) -> None:
    broker = private_broker(username="me", password="right")

    wrong = tool("query", "network", "--user", "me", "--password", "wrong", port=broker.port)
    nobody = tool("query", "network", port=broker.port)
    right = tool("query", "network", "--user", "me", "--password", "right", *SOON, port=broker.port)

    assert (wrong.code, nobody.code) == (1, 1)
    assert "refuses the user 'me' or the password" in wrong.err
    assert "refuses a connection without a user" in nobody.err
    assert wrong.err.count("\n") == nobody.err.count("\n") == 1
    assert "wrong'" not in wrong.err
    assert right.err.startswith("no answer from any server")


def test_a_password_without_a_user(tool: Tool) -> None:
    outcome = tool("query", "network", "--password", "secret")

    assert outcome == Outcome(1, "", "janitoo query: MQTT has no password without a user: add --user\n")


def test_tls(private_broker: BrokerFactory, tool: Tool) -> None:
    broker = private_broker(tls=True)

    with_authority = tool("query", "network", "--ca-file", str(broker.ca_file), *SOON, port=broker.port)
    without = tool("query", "network", *SOON, port=broker.port)

    assert with_authority.err.startswith("no answer from any server")
    assert without.code == 1
    assert "without TLS (--ca-file)" in without.err


def test_tls_where_there_is_none(network: Mosquitto, private_broker: BrokerFactory, tool: Tool) -> None:
    authority = str(private_broker(tls=True).ca_file)

    outcome = tool("query", "network", "--ca-file", authority, *SOON, port=network.port)

    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err


def test_a_ca_file_that_is_not_there(network: Mosquitto, tool: Tool) -> None:
    outcome = tool("query", "network", "--ca-file", "/no/such.crt", port=network.port)

    assert outcome == Outcome(1, "", "janitoo query: cannot read --ca-file /no/such.crt: No such file or directory\n")


def test_garbage_at_the_address_of_the_answers(network: Mosquitto, tool: Tool) -> None:
    def garbage(topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        where = f"/broadcast/reply/{payload['reply_hadd']}"
        yield where, b"\xff\xfe"
        yield where, "no JSON"
        yield where, "[" * 5000
        yield where, '{"uuid": "request_info_nodes"}'
        strange: list[Any] = [None, 7, [], {}, {"uuid": 5, "data": {}}, {"uuid": "request_info_users", "data": {}}]
        yield from ((where, odd) for odd in strange)
        yield from answer_with({"n": node("0130/0000"), "m": 5, "k": {"hadd": 5}})(topic, payload)

    with peer(network, garbage):
        outcome = tool("query", "network", port=network.port)

    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.lines[3:]] == ["0130/0000"]


def test_nothing_but_garbage_is_no_answer(network: Mosquitto, tool: Tool) -> None:
    with peer(network, lambda _topic, payload: [(f"/broadcast/reply/{payload['reply_hadd']}", "no JSON")]):
        outcome = tool("query", "network", *SOON, port=network.port)

    assert outcome.code == 1
    assert outcome.err.endswith("(1 other messages came at the same address)\n")


@pytest.mark.parametrize("data", [None, [], 5, "text", {"a": {"b": {"c": {"d": 1}}}}])
def test_an_answer_with_nothing_in_it_is_an_empty_list(network: Mosquitto, tool: Tool, data: Any) -> None:
    with peer(network, answer_with(data)):
        outcome = tool("query", "network", "--vuuid=request_info_users", port=network.port)

    assert outcome == Outcome(0, "request_info_users\n----------\n", "")


def test_rows_of_several_servers_are_sorted_together(network: Mosquitto, tool: Tool) -> None:
    with (
        peer(network, answer_with({"b": node("0130/0002"), "a": node("0130/0000")})),
        # A stand-alone controller sends the inner object alone.
        peer(network, answer_with(node("0009/0000"))),
        # A primary answers with its map, by address.
        peer(network, answer_with({"0130/0000": node("0130/0000"), "1000/0000": node("1000/0000")})),
    ):
        outcome = tool("query", "network", port=network.port)

    assert [line.split()[0] for line in outcome.lines[3:]] == [
        "0009/0000",
        "0130/0000",
        "0130/0002",
        "1000/0000",
    ]


@pytest.mark.parametrize(
    "shape",
    [
        lambda value: value,
        lambda value: {"power": value},
        lambda value: {"0130/0001": {"power": value}},
        lambda value: {"0130/0001": {"power": {"0": value}}},
    ],
)
def test_every_shape_of_a_list_of_values(
    network: Mosquitto, tool: Tool, shape: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    value = {"uuid": "power", "hadd": "0130/0001", "cmd_classes": 37, "genre": 2, "data": "on", "type": 5}

    with peer(network, answer_with(shape(value))):
        outcome = tool("query", "network", "--vuuid", "request_info_users", port=network.port)

    assert outcome.lines[3].split() == ["0130/0001", "None", "power", "0", "on", "None", "5", "2", "37", "None"]


def test_a_value_gets_its_address_and_index_from_the_levels_above(network: Mosquitto, tool: Tool) -> None:
    data = {"0130/0001": {"power": {"3": {"uuid": "power", "genre": 2, "data": 1}}}}

    with peer(network, answer_with(data)):
        outcome = tool("query", "network", "--vuuid", "request_info_users", port=network.port)

    assert outcome.lines[3].split()[:4] == ["0130/0001", "None", "power", "3"]


def test_another_controllers_answer_to_another_requester_is_not_ours(network: Mosquitto, tool: Tool) -> None:
    def strangers_first(topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        yield from answer_with({"x": node("0999/0000")})(topic, payload)
        yield from answer_with({"n": node("0130/0000")})(topic, payload)

    with peer(network, strangers_first):
        outcome = tool("query", "node", "--hadd", "0130/0000", port=network.port)

    assert [line.split()[0] for line in outcome.lines[3:]] == ["0130/0000"]


def test_other_traffic_on_the_values_topic_is_no_answer(network: Mosquitto, tool: Tool) -> None:
    def polled_first(_topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        where = "/values/config/0130/0001/name"
        for other in ({"reply_hadd": None}, {"reply_hadd": "9999/0001"}, {"uuid": "other"}, {"hadd": "0130/0002"}):
            yield where, {**payload, "data": "wrong", **other}
        yield where, {**payload, "data": "right", "help": "The name"}

    with peer(network, polled_first):
        outcome = tool(*READ_NAME, port=network.port)

    assert outcome.lines[3].split() == ["0130/0001", "name", "0", "right", "None", "None", "3", "112", "The", "name"]


def test_a_retained_answer_is_older_than_the_question(network: Mosquitto, tool: Tool) -> None:
    topic = "/values/config/0130/0001/name"
    old = {"uuid": "name", "genre": 3, "cmd_class": 112, "reply_hadd": "9999/9990", "data": "old"}
    with Probe(HOST, network.port) as probe:
        probe.publish(topic, {**old, "hadd": "0130/0001"}, qos=1, retain=True)
        outcome = tool(*READ_NAME, *SOON, port=network.port)
        probe.publish(topic, "", qos=1, retain=True)

    assert outcome.code == 1
    assert outcome.out == ""


def test_a_user_value_is_answered_at_the_requesters_address(network: Mosquitto, tool: Tool) -> None:
    def answer(_topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        yield "/values/user/0130/0001/power", {**payload, "data": "on the air"}
        yield "/nodes/9999/0002/reply", {**payload, "data": "on", "type": 5, "units": None, "index": 1}

    with peer(network, answer) as asked:
        outcome = tool(*READ_POWER, "--index", "1", "--myhadd", "9999/0002", port=network.port)

    assert outcome.lines[3].split() == ["0130/0001", "power", "1", "on", "None", "5", "2", "37", "None"]
    assert asked.requests[0][0] == "/nodes/0130/0001/request"
    assert asked.requests[0][1]["index"] == 1


@pytest.mark.parametrize("output", ["txt", "raw", "json"])
def test_an_error_is_a_sentence_and_exit_code_1(network: Mosquitto, tool: Tool, output: str) -> None:
    def refuse(_topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        yield "/nodes/9999/9990/reply", {**payload, "error": "power is\x1b[2J read-only"}

    with peer(network, refuse):
        outcome = tool(*READ_POWER, "--output", output, port=network.port)

    assert outcome.code == 1
    assert outcome.err == "0130/0001 answers: power is\\x1b[2J read-only\n"
    if output == "txt":
        assert outcome.out == ""
    elif output == "json":
        assert json.loads(outcome.out)["power"][0]["error"] == "power is\x1b[2J read-only"


@pytest.mark.parametrize("output", ["txt", "raw", "json"])
def test_control_characters_of_others_do_not_reach_the_terminal(network: Mosquitto, tool: Tool, output: str) -> None:
    nasty = node("0130/0000", name="\x1b]0;mine\x07\r\n\u202e\x9b2J\ud800", location="°C ok")

    with peer(network, answer_with({"n": nasty})):
        outcome = tool("query", "network", "--output", output, port=network.port)

    assert outcome.code == 0
    assert all(each.isprintable() for each in outcome.out.split("\n"))
    if output == "json":
        assert json.loads(outcome.out)["request_info_nodes"] == [nasty]


def test_numbers_that_json_does_not_have(network: Mosquitto, tool: Tool) -> None:
    def answer(_topic: str, payload: dict[str, Any]) -> Iterable[Sent]:
        text = json.dumps({**payload, "data": {"uuid": "load", "hadd": "0130/0001", "genre": 1, "data": 0}})
        yield "/broadcast/reply/9999/9990", text.replace('"data": 0', '"data": NaN, "max": 1e999')

    with peer(network, answer):
        outcome = tool("query", "network", "--vuuid", "request_info_basics", "--output", "json", port=network.port)

    value = json.loads(outcome.out)["request_info_basics"][0]
    assert (value["data"], value["max"]) == (None, None)


def test_ctrl_c_while_waiting(network: Mosquitto) -> None:
    with Peer(HOST, network.port, lambda _topic, _payload: []) as silent:
        process = start_program("query", "network", "--timeout", "60", port=network.port)
        wait_for(lambda: silent.requests, 20, "the tool has asked")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_leaves(network: Mosquitto) -> None:
    with peer(network, answer_with({f"n{each}": node(f"0130/{each:04d}") for each in range(3000)})):
        process = start_program("query", "network", port=network.port)
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.stderr.close()
        code = process.wait(20)

    assert first == "request_info_nodes\n"
    assert err == ""
    assert code == 141


def test_the_broker_goes_while_waiting(private_broker: BrokerFactory) -> None:
    broker = private_broker()
    with Peer(HOST, broker.port, lambda _topic, _payload: []) as silent:
        # Longer than the test may run.
        process = start_program("query", "network", "--timeout", "600", port=broker.port)
        wait_for(lambda: silent.requests, 20, "the tool has asked")
        broker.stop()
        out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (1, "")
    assert "the connection to the broker is lost" in err
    assert err.count("\n") == 1


def test_a_port_that_speaks_no_mqtt(tmp_path: Any) -> None:
    server = subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "0", "--bind", HOST, "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        outcome = run_program("query", "network", "--timeout", "2", "--port", port)
    finally:
        server.kill()
        server.communicate()

    assert outcome.code == 1
    assert "is that an MQTT broker" in outcome.err
    assert outcome.err.count("\n") == 1
