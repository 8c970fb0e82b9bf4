"""The map: what it takes, and what it gives away."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.network.ageing import Ageing
from janitoo_actors.network.air import read_message, subscriptions
from janitoo_actors.network.events import NodeAdded, NodeChanged, NodeStateChanged, ValueChanged
from janitoo_actors.network.lists import PIECE, payloads, read_list
from janitoo_actors.network.messages import BeatHeard, SendList, ValueHeard, Via
from janitoo_actors.network.nodemap import NetworkMap
from janitoo_actors.network.reading import NodeRead, read_value
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, MalformedRequestError
from simulated_network import Air, Bus, Controller, value_of

OWN = Hadd(1, 0)
NODE = {"uuid": "ups", "hadd": "0120/0001", "cmd_classes": [49, 112], "name": "UPS", "location": "", "state": "ONLINE"}


def heard(what: Discovery, data: Any, complaints: list[str] | None = None, **more: Any) -> NetworkMap:
    """A map that has heard one reply, and knows the node."""
    network = NetworkMap()
    payload = {"cmd_class": 20480, "genre": 4, "uuid": what.value, "reply_hadd": str(OWN), "data": data, **more}
    found: list[str] = [] if complaints is None else complaints
    if what is not Discovery.NODES:
        for node in read_list(reply(Discovery.NODES, {"ups": NODE}), Via.BROADCAST, print):
            list(network.take_nodes(node.nodes, states=True))
    for each in read_list(json.dumps(payload).encode(), Via.BROADCAST, lambda error: found.append(str(error))):
        list(network.take_nodes(each.nodes, states=True))
        list(network.take_values(each.values))
    return network


def reply(what: Discovery, data: Any) -> bytes:
    return json.dumps({"cmd_class": 20480, "genre": 4, "uuid": what.value, "reply_hadd": "x", "data": data}).encode()


# -- every shape -----------------------------------------------------------------------------------------------------

VALUE = value_of("0120/0001", "voltage", 2, 230, cmd_class=49)
SHAPES: Mapping[str, Any] = {
    "bare": VALUE,
    "uuid": {"voltage": VALUE},
    "hadd": {"0120/0001": {"voltage": VALUE}},
    "index": {"0120/0001": {"voltage": {"0": VALUE}}},
}


@pytest.mark.parametrize("what", [each for each in Discovery if each.genre is not None])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_read_for_every_genre(what: Discovery, shape: str) -> None:
    network = heard(what, SHAPES[shape])
    node = network.get(Hadd(120, 1))
    assert node is not None
    assert what.genre is not None
    assert node.of_genre(what.genre)["voltage"][0]["data"] == 230
    assert node.of_genre(what.genre)["voltage"][0]["genre"] == what.genre


@pytest.mark.parametrize("data", [NODE, {"ups": NODE}, {"0120/0001": NODE}], ids=["inner", "uuid", "hadd"])
def test_every_shape_of_a_node_is_read(data: Any) -> None:
    node = heard(Discovery.NODES, data).get(Hadd(120, 1))
    assert node is not None
    assert (node.info["name"], node.state, node.info["cmd_classes"]) == ("UPS", "ONLINE", [49, 112])


def test_what_old_senders_say_is_understood() -> None:
    old: dict[str, Any] = {**VALUE, "cmd_classes": "49", "is_readonly": "True", "is_writeonly": "false", "index": "1"}
    del old["cmd_class"]
    node = heard(Discovery.USERS, {"0120/0001": {"voltage": {"1": old}}}).get(Hadd(120, 1))
    assert node is not None
    value = node.of_genre(Genre.USER)["voltage"][1]
    assert (value["cmd_class"], value["is_readonly"], value["is_writeonly"]) == (49, True, False)
    assert "cmd_classes" not in value


def test_what_is_wrong_is_left_out_and_told() -> None:
    complaints: list[str] = []
    bad = [{**VALUE, "hadd": "nowhere"}, {**VALUE, "index": -1}, {**VALUE, "uuid": "a/b"}]
    data = {str(number): value for number, value in enumerate([*bad, VALUE])}
    node = heard(Discovery.USERS, data, complaints).get(Hadd(120, 1))
    assert node is not None
    assert list(node.of_genre(Genre.USER)) == ["voltage"]
    assert len(complaints) == 3


@pytest.mark.parametrize(
    "payload",
    [
        *(b"", b"{", b"[]", b'{"data": {}}', b'{"uuid": "request_info_nodes", "cmd_class": 1, "data": {}}', b"\xff"),
        *(reply(Discovery.NODES, []), reply(Discovery.USERS, 7)),
    ],
)
def test_what_is_no_reply_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        list(read_list(payload, Via.NODE, print))


TOPICS = [
    *(each.replace("#", "0120/0001").replace("+", "x") for each in subscriptions(OWN, primary=True)),
    *("/values/user/0120/0001/voltage", "/values/user/0120/0001", "/values/no/0120/0001/x", "/dhcp/heartbeat/x"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*VALUE, *NODE, "rep_uuid", "add_ctrl", "add_node", "0120/0001", "0", "chunk", "chunks", "digest"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


MESSAGES = st.tuples(st.sampled_from(TOPICS), JSON.map(lambda data: json.dumps(data).encode()) | st.binary(max_size=40))


@given(primary=st.booleans(), messages=st.lists(MESSAGES, max_size=8))
def test_nothing_on_the_air_is_too_strange(primary: bool, messages: list[tuple[str, bytes]]) -> None:
    air = Air()
    Bus(air, 120, 2).start()
    controller = Controller(air, str(OWN), primary=primary, resolv_timeout=0.1)
    controller.start()
    air.run(1)
    for topic, payload in messages:
        controller.hear(topic, payload)
        air.run(0.5)
    assert controller.engine.state is NetworkState.STARTED
    for what in Discovery:
        controller.engine.map.digest(what)
        sent = SendList("/x", {}, what, tuple(controller.engine.map.snapshot().values()))
        assert all(json.dumps(each) for each in payloads(sent))


@given(st.sampled_from(list(Discovery)), st.integers(0, 25), st.integers(0, 3), st.integers(0, 2**16))
def test_what_is_sent_is_what_is_read(what: Discovery, nodes: int, values: int, seed: int) -> None:
    network = built(nodes, values)
    sent = SendList("/x", {"cmd_class": 20480, "uuid": what.value}, what, tuple(network.snapshot().values()), "d")
    copied = NetworkMap()
    list(copied.take_nodes(read_nodes(network), states=True))
    chunks = list(payloads(sent))
    random.Random(seed).shuffle(chunks)
    for chunk in chunks:
        for each in read_list(json.dumps(chunk).encode(), Via.RESOLV, print):
            assert each.chunk is not None
            assert each.chunk.total == len(chunks)
            list(copied.take_values(each.values))
            assert len(each.nodes) <= 10
    assert copied.digest(what) == network.digest(what)


def built(nodes: int, values: int, controller: int = 121) -> NetworkMap:
    """A map of a bus, of all its lists."""
    network = NetworkMap()
    bus = Bus(Air(), controller, nodes, values=values)
    for what in Discovery:
        for each in read_list(reply(what, bus.reply_data(what.removeprefix("request_info_"))), Via.BROADCAST, print):
            list(network.take_nodes(each.nodes, states=True))
            list(network.take_values(each.values))
    return network


def read_nodes(network: NetworkMap) -> Any:
    nodes = {str(hadd): dict(node.info) for hadd, node in network.snapshot().items()}
    return [node for each in read_list(reply(Discovery.NODES, nodes), Via.BROADCAST, print) for node in each.nodes]


def test_a_long_reply_comes_in_pieces() -> None:
    bus = Bus(Air(), 121, 500)
    pieces = list(read_list(reply(Discovery.NODES, bus.reply_data("nodes")), Via.NODE, print))
    assert [len(each.nodes) for each in pieces] == [PIECE, PIECE, 100]
    assert [each.last for each in pieces] == [False, False, True]
    assert pieces[-1].complete is not None
    assert len(pieces[-1].complete) == 500


# -- snapshots -------------------------------------------------------------------------------------------------------


def test_a_snapshot_never_changes_and_a_change_copies_one_node() -> None:
    network = built(1000, 10)
    before = network.snapshot()
    kept = copy.deepcopy({hadd: dict(node.info) for hadd, node in before.items()})
    assert network.snapshot() is before
    changed = Hadd(121, 7)
    (air,) = read_message(
        "/values/basic/0121/0007/value3",
        json.dumps(value_of("0121/0007", "value3", 1, 5, cmd_class=49)).encode(),
        OWN,
        print,
    )
    assert isinstance(air, ValueHeard)
    events = list(network.take_values(air.values, on_air=True))
    assert events == [ValueChanged(changed, Genre.BASIC, "value3", 0, 5)]
    after = network.snapshot()
    assert {hadd for hadd in after if after[hadd] is not before[hadd]} == {changed}
    assert {hadd: dict(node.info) for hadd, node in before.items()} == kept
    assert before[changed].of_genre(Genre.BASIC)["value3"][0]["data"] == 0
    # And of that node, only what is above the value.
    assert after[changed].of_genre(Genre.BASIC)["value4"] is before[changed].of_genre(Genre.BASIC)["value4"]
    assert after[changed].of_genre(Genre.CONFIG) is before[changed].of_genre(Genre.CONFIG)
    with pytest.raises(TypeError):
        after[changed].info["state"] = "X"  # type: ignore[index]


def test_what_a_node_says_of_itself_follows_its_values() -> None:
    network = built(1, 0)
    answer = {
        "uuid": "name",
        "data": "New",
        "label": "name",
        "help": "h",
        "is_writeonly": False,
        "genre": 3,
        "cmd_class": 112,
    }
    (air,) = read_message("/values/config/0121/0000/name", json.dumps(answer).encode(), OWN, print)
    assert isinstance(air, ValueHeard)
    events = list(network.take_values(air.values, on_air=True))
    assert NodeChanged(Hadd(121, 0)) in events
    node = network.get(Hadd(121, 0))
    assert node is not None
    assert node.info["name"] == "New"
    # The answer to a write is no description of the value.
    assert node.of_genre(Genre.CONFIG)["name"][0]["type"] == 4


def test_an_answer_that_refuses_changes_nothing() -> None:
    answer = json.dumps({"uuid": "name", "data": "?", "error": "no", "genre": 3, "cmd_class": 112}).encode()
    assert list(read_message("/values/config/0121/0000/name", answer, OWN, print)) == []


def test_an_answer_about_a_value_that_nobody_knows_makes_none() -> None:
    network = built(1, 0)
    answer = json.dumps({"uuid": "x", "data": 1, "genre": 3, "cmd_class": 112}).encode()
    (air,) = read_message("/values/config/0121/0000/x", answer, OWN, print)
    assert isinstance(air, ValueHeard)
    assert list(network.take_values(air.values, on_air=True)) == []


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["state", "name", "value", "keep", "remove", "look"]), st.integers(0, 3)
        )
    )
)
def test_a_digest_says_what_is_there_and_not_how_it_came(steps: list[tuple[int, str, int]]) -> None:
    network = built(4, 2)
    for number, what, other in steps:
        hadd = Hadd(121, number)
        match what:
            case "state":
                list(network.set_state(hadd, ["ONLINE", "OFFLINE", "BOOT", "FAILED"][other]))
            case "name" | "value":
                genre, uuid = (3, "name") if what == "name" else (1, f"value{other}")
                value = value_of(str(hadd), uuid, genre, f"Node {other}")
                list(network.take_values([read_value(value, Genre(genre))]))
            case "keep":
                network.keep_values(hadd, Genre.BASIC, {(f"value{other}", 0)})
            case "remove":
                list(network.remove(hadd))
            case "look":
                network.digest(list(Discovery)[other])
    again = NetworkMap()
    list(again.take_nodes([NodeRead(node.hadd, node.info) for node in network.snapshot().values()], states=True))
    for node in network.snapshot().values():
        list(again.take_values([read_value(value, Genre(value["genre"])) for value in node.every_value()]))
    assert [again.digest(what) for what in Discovery] == [network.digest(what) for what in Discovery]
    assert sorted(each.hadd for number in network.controllers for each in network.of_controller(number)) == sorted(
        network
    )


def test_events_of_nodes() -> None:
    network = NetworkMap()
    hadd = Hadd(120, 1)

    def take(**changes: Any) -> list[Any]:
        (each,) = read_list(reply(Discovery.NODES, {"ups": {**NODE, **changes}}), Via.BROADCAST, print)
        return list(network.take_nodes(each.nodes, states=True))

    assert take() == [NodeAdded(hadd)]
    assert take() == []
    assert take(name="Another") == [NodeChanged(hadd)]
    assert take(name="Another", state="OFFLINE") == [NodeStateChanged(hadd, "ONLINE", "OFFLINE")]
    assert list(network.set_state(hadd, "OFFLINE")) == []


@pytest.mark.parametrize("payload", [b"ONLINE", b"ONLINE\n", b"WEIRD"])
def test_heartbeats_in_text(payload: bytes) -> None:
    (beat,) = read_message("/dhcp/heartbeat/0121/0001", payload, OWN, print)
    assert isinstance(beat, BeatHeard)
    assert beat.beat.state == payload.decode().strip()


@pytest.mark.parametrize("payload", [b"", b"online", b"\xff\xfe", b"A B", b"X" * 40])
def test_what_is_no_heartbeat(payload: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        list(read_message("/dhcp/heartbeat/0121/0001", payload, OWN, print))


# -- ageing ----------------------------------------------------------------------------------------------------------


def test_10000_nodes_that_beat_cost_a_look_each_period_and_no_more() -> None:
    ageing = Ageing(least=5.0, limit=3)
    hadds = [Hadd(number // 100, number % 100) for number in range(10_000)]
    for number, hadd in enumerate(hadds):
        ageing.heard(hadd, number / 10_000 * 30, "ONLINE", 30.0)
    wakeups = 0
    for second in range(30, 330):
        # Each beats every 30 s, on time.
        for hadd in hadds[(second % 30) * 334 : (second % 30 + 1) * 334]:
            ageing.heard(hadd, float(second), "ONLINE", 30.0)
        due = ageing.next_due()
        assert due is not None
        if due <= second:
            wakeups += 1
            assert list(ageing.due(float(second))) == []
    assert wakeups
    # Whoever beats is never looked at before it could be late.
    assert (ageing.next_due() or 0) > 329


def test_failed_nodes_leave_nothing_behind_each_time_that_nobody_could_be_heard() -> None:
    """Devices that are gone, and a connection that is lost once a minute: what is due in a week is kept once."""
    ageing = Ageing(least=5.0, limit=3)
    for number in range(200):
        ageing.told(Hadd(121, number), 0.0, "FAILED", 30.0)
    for minute in range(1, 1000):
        ageing.excuse(minute * 60.0)
        ageing.heard(Hadd(122, 0), minute * 60.0, "ONLINE" if minute % 2 else "BOOT", 30.0)
    assert len(ageing._heap) < 1000
    # They are forgotten at their time, and only once.
    dead = [hadd for hadd, state in ageing.due(604_800.0) if state == "DEAD"]
    assert sorted(dead) == [Hadd(121, number) for number in range(200)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["heard", "told", "excuse", "forget", "due"]), st.integers(0, 3), st.floats(0, 50))
    )
)
def test_ageing_never_wakes_for_nothing_twice(steps: list[tuple[str, int, float]]) -> None:
    ageing = Ageing(least=1.0, limit=2)
    now = 0.0
    states = ["ONLINE", "OFFLINE", "PENDING", "FAILED"]
    for what, number, passed in steps:
        now += passed
        hadd = Hadd(1, number)
        match what:
            case "heard":
                ageing.heard(hadd, now, "ONLINE", 10.0)
            case "told":
                ageing.told(hadd, now, states[number], 10.0)
            case "excuse":
                ageing.excuse(now)
            case "forget":
                ageing.forget(hadd)
            case "due":
                changes = list(ageing.due(now))
                assert len({hadd for hadd, _ in changes}) * 2 >= len(changes)
        list(ageing.due(now))
        due = ageing.next_due()
        assert due is None or due > now
