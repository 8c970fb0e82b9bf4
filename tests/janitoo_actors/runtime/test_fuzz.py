"""Whatever is sent to a server, on every topic that it listens to: it goes on as if nothing had been."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from brokers import Mosquitto
from janitoo_actors.api.types import to_text
from janitoo_actors.configuration.ini import read
from janitoo_actors.configuration.loader import load
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.runtime.board import Node
from mqtt_probe import Message, Probe
from panel_drivers import World, registry
from running_server import TIMEOUT, Requester, RunningServer, running, system_section
from waiting import wait_for

TOTAL: Final = 10_000
BATCH: Final = 20
BUS, DOOR, LAMP = "0130/0000", "0130/0001", "0130/0002"

SECTIONS = """
[panel]
auto_start = True
hadd = 0130/0000
components.door = panel.panel
components.lamp = panel.panel
# The door.
[panel__door]
hadd = 0130/0001
texts_0 = one
texts_1 = two
"""

# -- what is sent ----------------------------------------------------------------------------------------------------

# Every level that the subscription to the nodes of a controller covers, real addresses more often than others.
LEVELS = ["0000", "0001", "0002"] * 4 + ["0003", "9999", "1", "-1", "00001", "x", "", " ", "\uff11", "0001 ", "é" * 99]
TOPICS = ["/broadcast/request"] * 6 + [f"/nodes/0130/{level}/request" for level in LEVELS]

UUIDS = ["switch", "dim", "level", "lamps", "ring", "order", "pin", "mode", "inverted", "factor", "texts", "name"]
UUIDS += ["location", "heartbeat", "config_timeout", "hadd", "lamps_config", "level_poll", "lamps_poll", "speed"]
UUIDS += [f"request_info_{what}" for what in ("nodes", "users", "configs", "systems", "basics", "commands", "all")]

WILD: list[Any] = [
    *(None, True, False, 0, 1, 2, 255, 256, -1, 112, 37, 38, 49, 12288, 20480, 2**31, 2**63, 2**64, -(2**63), 10**400),
    *(0.5, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf")),
    *("", " ", "0", "1", "-1", "1e999", "nan", "True", "false", "None", "null", "9" * 5000, "0x10", "\uff11\uff12"),
    *(BUS, DOOR, LAMP, "0130/0003", "0130/9999", "0130/10000", "0131/0001", "130/1", "/", "0130/", "9999/9990", "+/#"),
    *("\ud800", "\udcff\ud83d", "\0", "\n", "a\nb = c", "[panel]", "a = b", "# x", "; x", "\ufeff", "\u2028", "\x85"),
    *("%(x)s", "${x}", "../../etc/passwd", "+", "#", "$SYS", "a/b", "é" * 300, "😀" * 200, "x" * 200, "x" * 3000),
    *([], {}, [[]], [None], {"": None}, {"0": {"0": 0}}, [1, "a", {"b": [None]}]),
]

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WILD)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)

# What at least one of the values takes.
FITTING: list[Any] = [0, 1, "2", 0.02, 0.5, 60, "on", "off", "fast", "long", "blue", "red", "True", False, "a text"]
FITTING += ["0130/0003", "0130/0004", "130/5"]

# Requests that are right, or nearly: each value with its genre and class more often than not.
KINDS = {"switch": (2, 37), "dim": (2, 38), "level": (1, 49), "lamps": (1, 1), "ring": (2, 12288), "order": (5, 1)}
KINDS |= dict.fromkeys(["heartbeat", "config_timeout", "hadd"], (4, 112))
KEYS = ["cmd_class", "uuid", "data", "reply_hadd", "genre", "is_readonly", "is_writeonly", "hadd", "index"]
PLACES: list[dict[str, Any]] = [
    {"is_writeonly": write, "hadd": hadd, "index": index}
    for write in (True, False)
    for hadd in (BUS, DOOR, LAMP)
    for index in (0, 0, 0, 1, 2)
]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    uuid = draw(st.sampled_from(UUIDS))
    genre, cmd_class = (4, 20480) if uuid.startswith("request_info") else KINDS.get(uuid, (3, 112))
    request: dict[str, Any] = {
        "cmd_class": cmd_class,
        "uuid": uuid,
        "data": draw(st.sampled_from(FITTING) | SCALARS),
        "reply_hadd": "9997/0001",
        "genre": genre,
        "is_readonly": False,
        **draw(st.sampled_from(PLACES)),
    }
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        key = draw(st.sampled_from(KEYS))
        match draw(st.integers(0, 3)):
            case 0:
                request.pop(key, None)
            case 1:
                request[key] = draw(JSON)
            case _:
                request[key] = draw(st.sampled_from(WILD))
    return request


def encoded(data: Any) -> bytes:
    """As a careless sender writes it: NaN, infinities and halves of characters included."""
    return json.dumps(data).encode("ascii")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A request that has lost, got, or changed some bytes."""
    data = bytearray(encoded(draw(requests())))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                del data[at : at + draw(st.integers(1, 10))]
            case 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=4))
            case 2:
                data[at : at + 1] = draw(st.sampled_from([b'"', b"{", b"}", b"[", b",", b":", b"\\", b"\xff", b"\0"]))
            case _:
                del data[at:]
    return bytes(data)


def nested(depth: int, brackets: tuple[str, str]) -> bytes:
    """A request with something that is nested so deep, which its answer repeats."""
    opening, closing = brackets
    deep = opening * depth + "1" + closing * depth
    return f'{{"cmd_class": 112, "uuid": "name", "genre": 3, "deep": {deep}}}'.encode()


ODD = [
    b"",
    b"\0",
    b"{",
    b"}",
    b'"',
    b"{}",
    b"[]",
    b"null",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"\xff\xfe{\0}\0",
    b"\xef\xbb\xbf{}",
    b"\x80\x81",
    '{"uuid": "location"}'.encode("utf-16"),
    '{"uuid": "location"}'.encode("utf-32"),
    b'{"cmd_class": 112, "uuid": "location", "genre": 3, "data": 1e999, "is_writeonly": true}',
    b'{"cmd_class": 112, "uuid": "factor", "genre": 3, "data": NaN, "is_writeonly": true}',
    b'{"cmd_class": 112, "cmd_class": 1, "cmd_class": 112, "uuid": 1, "uuid": "name", "genre": 9, "genre": 3}',
    b'{"cmd_class": 20480, "uuid": "request_info_nodes", "reply_hadd": "9997/0001", "data": {"a": 1, "a": 2}}',
    b'{"cmd_class": 112, "uuid": "\\ud800", "genre": 3}',
    b'{"cmd_class": 112, "uuid": "location", "genre": 3, "\\ud800": "\\udfff", "reply_hadd": "9997/0001"}',
    b'{"cmd_class": 112, "uuid": "location", "genre": 3, "data": "\xed\xa0\x80", "is_writeonly": true}',
    b'{"cmd_class": ' + b"1" * 5000 + b', "uuid": "location", "genre": 3}',
    b'{"cmd_class": 112, "uuid": "location", "genre": 3, "index": ' + b"9" * 4000 + b"}",
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b"x" * 70_000,
    b'{"cmd_class": 112, "uuid": "name", "genre": 3, "is_writeonly": true, "data": "' + b"n" * 65_000 + b'"}',
    b'{"cmd_class": 112, "uuid": "name", "genre": 3, "data": "' + b"n" * 1_000_000 + b'"}',
]

# Those that are large are sent once, on every topic: thousands of them would test the broker's patience.
SMALL_ODD = [payload for payload in ODD if len(payload) < 10_000]

OTHERS = [
    damaged(),
    damaged(),
    st.binary(max_size=60),
    st.sampled_from(SMALL_ODD),
    JSON.map(encoded),
    st.builds(nested, st.integers(1, 1500), st.sampled_from([("[", "]"), ('{"a":', "}")])),
]


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """More of those that come far than of those that are refused at the door."""
    which = draw(st.integers(0, 3 * len(OTHERS)))
    return draw(OTHERS[which]) if which < len(OTHERS) else encoded(draw(requests()))


# To make a message takes longer than to send it: each goes to two topics, where it means two things.
BATCHES = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.sampled_from(TOPICS), payloads()), min_size=BATCH // 2, max_size=BATCH // 2
)

# -- what is to be as before -----------------------------------------------------------------------------------------


class Fuzzed:
    """A running server that is sent whatever, and what has to hold of it."""

    def __init__(self, server: RunningServer, probe: Probe) -> None:
        self.sent = 0
        self._server = server
        self._probe = probe
        for topic in ("/nodes/9997/0001/reply", "/broadcast/reply/#"):
            probe.subscribe(topic)
        self._asker = Requester(probe, "9995/0001")
        self._initial = read(server.path)
        self._threads = self._count_threads()

    def send(self, batch: list[tuple[str, bytes]]) -> None:
        """Send some messages; the next good requests are answered, and so on."""
        self._probe.clear()
        for topic, payload in batch:
            self._probe.publish(topic, payload)
        self.sent += len(batch)
        self.check_answers()
        for message in self._probe.messages:
            _check_message(message)

    def check_answers(self) -> None:
        """Good requests to the controller, to its nodes, and to the driver are answered."""
        nodes = self._asker.discover("nodes", BUS)
        assert list(nodes) == ["panel", "panel__door", "panel__lamp"]
        # What was sent before is served before.
        for hadd in (BUS, DOOR, LAMP):
            self._read(hadd, "config_timeout", Genre.SYSTEM, 112)
        for hadd in (DOOR, LAMP):
            assert self._read(hadd, "level", Genre.BASIC, 49)["data"] == 1.5

    def _read(self, hadd: str, uuid: str, genre: Genre, cmd_class: int) -> dict[str, Any]:
        request = self._asker.request(hadd, uuid, genre, cmd_class)
        topic = self._asker.answer_topic(request)
        since = len(self._probe.messages)
        self._probe.publish(f"/nodes/{hadd}/request", request)

        def is_ours(message: Message) -> bool:
            # What was sent before is answered on the same topics.
            return message.topic == topic and message.value.get("reply_hadd") == self._asker.reply_hadd

        answer: dict[str, Any] = self._probe.wait_message(is_ours, TIMEOUT, since=since).value
        assert "error" not in answer
        return answer

    def check_file(self) -> None:
        """The file has what the nodes say, and nothing else has changed; the next start finds nothing wrong in it."""
        config = load(self._server.path, registry(World()))
        assert config.problems == ()
        assert len(config.buses) == 1
        ini = read(self._server.path)
        known = {node.uuid: _stored(node) for node in self._server.nodes}
        for section, options in ini.sections.items():
            before = self._initial.sections.get(section, {})
            for key, text in options.items():
                if before.get(key) != text:
                    assert known[section][key] == text, f"[{section}] {key}"
        assert all(set(options) <= set(ini.sections[section]) for section, options in self._initial.sections.items())
        assert [line for line in ini.lines if line.startswith("#")] == ["# The door.\n"]

    def check_leaks(self) -> None:
        """No actor has died, and nothing is left of all the messages: no thread, no timer, no message."""
        infos = self._server.infos()
        assert {info.path: info.restarts for info in infos if info.restarts} == {}
        assert {info.state for info in infos} == {"running"}
        wait_for(lambda: not any(info.mailbox for info in self._server.infos()), TIMEOUT, "empty mailboxes")
        assert self._count_threads() == self._threads
        nodes = self._server.nodes
        polled = [
            value
            for node in nodes
            for value in node.values.values()
            if value.is_driver and value.declared is not None and value.declared.is_polled
        ]
        timers = sum(node.heartbeat > 0 for node in nodes) + sum(value.poll_delay > 0 for value in polled)
        # The watchdog's, one for each bus.
        timers += len(self._server.server.boards)
        wheel = self._server.server.system.wheel
        # A poll that is under way has a second timer, which stays where the next poll comes before it is due.
        patience = self._server.server.config.system.read_timeout
        quick = sum(0 < value.poll_delay < patience * len(value.data) for value in polled)
        wait_for(
            lambda: timers <= len(wheel) <= timers + quick,
            TIMEOUT,
            lambda: f"{len(wheel)} timers, expected {timers} to {timers + quick}",
        )

    @staticmethod
    def _count_threads() -> Counter[str]:
        return Counter(thread.name for thread in threading.enumerate())


def _stored(node: Node) -> dict[str, str]:
    """What a node's values are in its section."""
    return {
        value.key(index): to_text(data)
        for value in node.values.values()
        if not value.is_driver
        for index, data in enumerate(value.data)
    }


def _check_message(message: Message) -> None:
    """Whatever the server says is JSON, and nothing else than what JSON has; or the plain text of a heartbeat."""
    if message.topic.startswith("/dhcp/heartbeat/"):
        assert message.payload == b"ONLINE"
        return
    payload = json.loads(message.payload, parse_constant=_no_json)
    assert isinstance(payload, dict)


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker where nobody else answers broadcasts."""
    with Mosquitto(tmp_path_factory.mktemp("network")) as mosquitto:
        yield mosquitto


@pytest.fixture
def fuzzed(network: Mosquitto, tmp_path: Path) -> Iterator[Fuzzed]:
    path = tmp_path / "panel.conf"
    path.write_text(system_section(network) + SECTIONS, encoding="utf-8")
    with running(path, registry(World())) as server, server.probe() as probe:
        yield Fuzzed(server, probe)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_thousand_messages(fuzzed: Fuzzed) -> None:
    # A failing batch is shown as it was sent: to shrink it, with a server that remembers, would take minutes.
    @settings(
        max_examples=TOTAL // BATCH,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(BATCHES)
    def send(batch: list[tuple[str, str, bytes]]) -> None:
        fuzzed.send([(topic, payload) for *topics, payload in batch for topic in topics])
        if fuzzed.sent % (10 * BATCH) == 0:
            fuzzed.check_file()

    send()
    assert fuzzed.sent >= TOTAL
    fuzzed.check_file()
    fuzzed.check_leaks()


def test_every_depth(fuzzed: Fuzzed) -> None:
    """What can just be read must be possible to answer, too."""
    topic = f"/nodes/{DOOR}/request"
    for depths in (range(start, start + 100) for start in range(1, 1100, 100)):
        fuzzed.send([(topic, nested(depth, ("[", "]"))) for depth in depths])
        fuzzed.send([(topic, nested(depth, ('{"a":', "}"))) for depth in depths])
    fuzzed.check_leaks()


def test_every_odd_message_on_every_topic(fuzzed: Fuzzed) -> None:
    for payload in ODD:
        topics = ["/broadcast/request", *(f"/nodes/0130/{level}/request" for level in sorted(set(LEVELS)))]
        fuzzed.send([(topic, payload) for topic in topics])
        fuzzed.check_file()
    fuzzed.check_leaks()
