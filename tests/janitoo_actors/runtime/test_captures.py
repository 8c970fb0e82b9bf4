"""The captures of original Janitoo, replayed: the same requests to our server, the same answers.

The server has the configuration of the captured original, made from what the original said of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from brokers import Mosquitto
from drivers.hostsensor import Disks, HostsensorBus, Load, Uptime
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from replayed_peer import messages
from running_server import TIMEOUT, RunningServer, on_topic, running, system_section, wait_heartbeats

TRANSCRIPTS = (
    "hostsensor_boot_and_queries",
    "primary_discovers_by_broadcast",
    "secondary_with_flapping_primary",
    "secondary_without_primary",
)
HEARD = ("/values/#", "/nodes/+/+/reply", "/broadcast/reply/#", "/dhcp/heartbeat/#")
REGISTRY = Registry({"hostsensor": HostsensorBus}, {each.oid: each for each in (Load, Uptime, Disks)})

# What is measured; everything else has to be as it was.
MEASURED = {"load", "uptime", "total", "used", "free", "percent_use"}


@dataclass(frozen=True)
class Exchange:
    """A request of a capture, and its answer."""

    topic: str
    request: dict[str, Any]
    answer_topic: str
    answer: dict[str, Any]


class Capture:
    """A capture, by what it holds.

    Attributes:
        exchanges: Its requests to the captured controller, with their answers, in their order.
        nodes: The nodes as they are first described, by uuid.
        configs: The config values as they are first described, by address and uuid.
    """

    def __init__(self, name: str) -> None:
        self._messages = list(messages(name))
        self.exchanges = list(self._exchanges())
        self.nodes = self._first("request_info_nodes")
        self.configs = self._first("request_info_configs")
        self._systems = self._first("request_info_systems")

    def heartbeat(self, hadd: str) -> float:
        """The heartbeat in a node's section.

        The original described its nodes with its default, 30 s, until somebody asked for the system values.
        """
        return float(self._systems[hadd]["heartbeat"]["data"])

    def configuration(self) -> Iterator[str]:
        """The lines of the sections of the captured bus."""
        (controller, *components) = self.nodes
        yield f"[{controller}]"
        yield "auto_start = True"
        for uuid in components:
            yield f"components.{uuid.removeprefix(f'{controller}__')} = {self.nodes[uuid]['oid']}"
        for uuid, node in self.nodes.items():
            if uuid != controller:
                yield f"[{uuid}]"
            for key in ("hadd", "name", "location", "config_timeout"):
                yield f"{key} = {node[key]}"
            yield f"heartbeat = {self.heartbeat(node['hadd'])}"
            for key, instances in self.configs[node["hadd"]].items():
                if key not in {"name", "location"}:
                    yield from (f"{key}_{index} = {value['data']}" for index, value in instances.items())

    def on_air(self) -> dict[str, Any]:
        """The values as the original first published them, by topic."""
        found: dict[str, Any] = {}
        for topic, payload in self._messages:
            if topic.startswith("/values/basic/"):
                found.setdefault(topic, payload)
        return found

    def beats(self) -> set[tuple[str, str]]:
        """Every node that beats, and with what."""
        return {(topic, payload) for topic, payload in self._messages if topic.startswith("/dhcp/heartbeat/")}

    def _first(self, uuid: str) -> dict[str, Any]:
        answers = (each.answer["data"] for each in self.exchanges if each.request["uuid"] == uuid)
        data: dict[str, Any] = next(answers)
        return data

    def _exchanges(self) -> Iterator[Exchange]:
        for number, (topic, request) in enumerate(self._messages):
            # Those by resolv are asked of the primary, which is another program.
            if topic != "/broadcast/request" and not (topic.startswith("/nodes/0121/") and topic.endswith("/request")):
                continue
            later = (each for each in self._messages[number + 1 :] if _answers(each[1], request))
            answer_topic, answer = next(later)
            yield Exchange(topic, request, answer_topic, answer)


def _answers(payload: Any, request: Mapping[str, Any]) -> bool:
    keys = ("uuid", "cmd_class", "reply_hadd", "genre")
    return isinstance(payload, dict) and all(payload.get(key) == request[key] for key in keys)


def differences(original: Any, ours: Any, place: str = "", *, measured: bool = False) -> Iterator[str]:
    """What is not the same: keys or their order, rows, types, or data that are not measured."""
    if isinstance(original, dict) and isinstance(ours, dict):
        if list(original) != list(ours):
            yield f"{place}: keys {list(ours)}, originally {list(original)}"
        data = original.get("genre") == Genre.BASIC and original.get("uuid") in MEASURED
        for key in original.keys() & ours.keys():
            yield from differences(original[key], ours[key], f"{place}/{key}", measured=data and key == "data")
    elif kind(original) != kind(ours) or (not measured and original != ours):
        yield f"{place}: {ours!r}, originally {original!r}"


def kind(data: Any) -> str:
    """The JSON type; the originals themselves write 30 here and 30.0 there."""
    return "number" if isinstance(data, int | float) and not isinstance(data, bool) else type(data).__name__


def test_what_counts_as_a_difference() -> None:
    value = {"uuid": "load", "genre": 1, "poll_delay": 60, "data": 0.5}
    same = {"uuid": "load", "genre": 1, "poll_delay": 60.0, "data": 7}
    assert list(differences({"0": value}, {"0": same})) == []
    for other in (
        {**value, "data": "0.5"},
        {**value, "data": None},
        {**value, "poll_delay": 61},
        {**value, "genre": True},
        {**value, "index": 0},
        dict(reversed(value.items())),
    ):
        assert list(differences({"0": value}, {"0": other}))
    assert list(differences({"0": value}, {"1": value}))
    # The path of a partition is not measured.
    assert list(differences({**value, "uuid": "partition", "data": "/"}, {**value, "uuid": "partition", "data": "/x"}))


def play(capture: Capture, broker: Mosquitto, tmp_path: Path) -> Path:
    path = tmp_path / "captured.conf"
    path.write_text(system_section(broker) + "\n".join(capture.configuration()) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker where nobody else answers broadcasts."""
    with Mosquitto(tmp_path_factory.mktemp("network")) as mosquitto:
        yield mosquitto


@pytest.fixture(params=TRANSCRIPTS)
def capture(request: pytest.FixtureRequest) -> Capture:
    return Capture(request.param)


def test_the_configuration_is_that_of_the_captured_original() -> None:
    capture = Capture("hostsensor_boot_and_queries")
    assert list(capture.nodes) == ["hostsensor", "hostsensor__load", "hostsensor__uptime", "hostsensor__disks"]
    lines = list(capture.configuration())
    assert "hadd = 0121/0000" in lines
    assert "load_poll_0 = 60" in lines
    assert "load_config_2 = 15 minutes" in lines
    assert lines.count("heartbeat = 60.0") == 4


def test_every_request_is_answered_as_by_the_original(capture: Capture, network: Mosquitto, tmp_path: Path) -> None:
    path = play(capture, network, tmp_path)
    found: list[str] = []
    with running(path, REGISTRY) as server, server.probe(*HEARD) as probe:
        for number, each in enumerate(capture.exchanges):
            answer = probe.request(each.topic, each.request, each.answer_topic, TIMEOUT)
            expected = _settled(each, capture)
            place = f"{number} {each.topic} {each.request['uuid']}"
            found += differences(expected, answer.value, place)
            assert not answer.retain
        # Nothing is answered twice, or anywhere else.
        answers = [message.topic for message in probe.messages if not _is_own(message.topic)]
        assert answers == [each.answer_topic for each in capture.exchanges]
    assert found == []


def _settled(each: Exchange, capture: Capture) -> Any:
    """The original's answer, with the heartbeats that its file has; see `Capture.heartbeat`."""
    if each.request["uuid"] != "request_info_nodes":
        return each.answer
    nodes = {uuid: {**node, "heartbeat": capture.heartbeat(node["hadd"])} for uuid, node in each.answer["data"].items()}
    return {**each.answer, "data": nodes}


def _is_own(topic: str) -> bool:
    return topic.startswith(("/values/basic/", "/dhcp/heartbeat/"))


def test_the_capture_asks_for_everything() -> None:
    asked = [(each.topic, each.request["uuid"]) for name in TRANSCRIPTS for each in Capture(name).exchanges]
    six = {f"request_info_{what}" for what in ("nodes", "users", "configs", "systems", "basics", "commands")}
    assert {uuid for topic, uuid in asked if topic == "/broadcast/request"} == six
    assert {uuid for topic, uuid in asked if topic != "/broadcast/request"} == six | {"location", "load_poll"}
    reply_hadds = {each.request["reply_hadd"] for name in TRANSCRIPTS for each in Capture(name).exchanges}
    assert reply_hadds == {"9999/9990", "0001/0000", "0002/0000"}


def test_the_values_on_the_air_are_those_of_the_original(capture: Capture, network: Mosquitto, tmp_path: Path) -> None:
    path = play(capture, network, tmp_path)
    with Probe(network.host, network.port, subscribe=HEARD, timeout=TIMEOUT) as probe, running(path, REGISTRY):
        found: list[str] = []
        for topic, original in capture.on_air().items():
            message = probe.wait_message(on_topic(topic), TIMEOUT)
            # In the first capture, load_poll is 60 when the original starts, as its first configs reply says.
            found += differences(original, message.value, topic)
            assert not message.retain
        assert found == []


def test_the_nodes_beat_as_those_of_the_original(capture: Capture, network: Mosquitto, tmp_path: Path) -> None:
    path = play(capture, network, tmp_path)
    with Probe(network.host, network.port, subscribe=HEARD, timeout=TIMEOUT) as probe:
        with running(path, REGISTRY) as server:
            beats = capture.beats()
            assert len(beats) == len(server.nodes) or not beats
            wait_heartbeats(probe, [topic.removeprefix("/dhcp/heartbeat/") for topic, _ in beats], NodeState.ONLINE)
        heard = [each for each in probe.messages if each.topic.startswith("/dhcp/heartbeat/")]
        # In plain text; and before ONLINE comes only what the original's bus says until it is up.
        assert {each.payload for each in heard} <= {b"BOOT", b"ONLINE", b"OFFLINE"}
        for _, payload in beats:
            assert payload == "ONLINE"


def test_a_written_poll_delay_is_on_the_air(network: Mosquitto, tmp_path: Path) -> None:
    capture = Capture("hostsensor_boot_and_queries")
    path = play(capture, network, tmp_path)
    with running(path, REGISTRY) as server, server.probe(*HEARD) as probe:
        (write,) = (each for each in capture.exchanges[:8] if each.request["uuid"] == "load_poll")
        # The original's next value came after 10 s; we need not wait for that.
        request = {**write.request, "data": "0.05"}
        probe.request(write.topic, request, write.answer_topic, TIMEOUT)
        load = probe.wait_message(on_topic("/values/basic/0121/0001/load"), TIMEOUT)
        assert {value["poll_delay"] for value in load.value.values()} == {0.05}
        expected = {**capture.on_air()[load.topic]}
        changed = {index: {**value, "poll_delay": 0.05} for index, value in expected.items()}
        assert list(differences(changed, load.value)) == []
        _check_file(server)


def _check_file(server: RunningServer) -> None:
    assert "load_poll_0 = 0.05" in server.text.splitlines()
