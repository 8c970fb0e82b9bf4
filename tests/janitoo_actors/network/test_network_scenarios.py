"""What a network controller does, in virtual time, with every message on the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from janitoo_actors.network.events import NetworkChanged, PrimariesMet
from janitoo_actors.network.lists import NODES_PER_CHUNK
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.messages import Discovery
from simulated_network import Air, Bus, Controller, Member, value_of

STARTED = NetworkState.STARTED


@pytest.fixture
def air() -> Air:
    return Air()


def bus(air: Air, controller: int = 121, nodes: int = 4, **options: Any) -> Bus:
    started = Bus(air, controller, nodes, **options)
    started.start()
    return started


def controller(air: Air, hadd: str, *, primary: bool, **settings: Any) -> Controller:
    started = Controller(air, hadd, primary=primary, **settings)
    started.start()
    return started


def wait_started(air: Air, *controllers: Controller, limit: float = 60.0) -> float:
    return air.run_until(lambda: all(each.engine.state is STARTED for each in controllers), limit)


def requests(air: Air, prefix: str) -> list[dict[str, Any]]:
    return [json.loads(payload) for _, topic, payload in air.log if topic.startswith(prefix)]


def silence(air: Air, member: Member) -> None:
    """Have somebody fall silent without a will, as an original does."""
    assert member.number is not None
    air.leave(member.number)
    member.number = None


class OriginalPrimary(Member):
    """A primary as the captures have it: it beats every 5 s, and answers for nodes and systems only.

    Attributes:
        answers: Whether it answers at all.
    """

    def __init__(self, air: Air, bus: Bus | Buses, *, answers: bool = True) -> None:
        super().__init__(air, (topics.RESOLV_REQUEST,))
        self._bus = bus
        self.answers = answers

    def start(self) -> None:
        super().start()
        self._beat()

    def hear(self, topic: str, payload: bytes) -> None:  # noqa: ARG002 - it hears one kind of message only
        request = json.loads(payload)
        what = request["uuid"].removeprefix("request_info_")
        if self.answers and what in {"nodes", "systems"}:
            data = self._bus.reply_data(what)
            reply = {**request, "data": {each.get("hadd", key): each for key, each in data.items()}}
            place = f"/dhcp/resolv/reply/{request['reply_hadd']}"
            self.air.at(self.air.now + 0.05, lambda: self.publish(place, reply))

    def _beat(self) -> None:
        if self.number is not None:
            beat = {"add_ctrl": "0001", "add_node": "0000", "state": "ONLINE"}
            self.publish("/dhcp/resolv/heartbeat", beat)
            self.air.at(self.air.now + 5.0 + self.air.random.random() * 0.15, self._beat)


# -- building the map ------------------------------------------------------------------------------------------------


def test_a_primary_has_its_map_when_the_answers_stop_coming(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    assert wait_started(air, primary) < 0.5
    assert len(primary.values()) == 3 * 4
    steps = [event.state.value for _, event in primary.events if isinstance(event, NetworkChanged)]
    assert steps == [
        *("BROADCAST_NODES", "BROADCAST_SYSTEMS", "BROADCAST_COMMANDS", "BROADCAST_CONFIGS", "BROADCAST_BASICS"),
        *("BROADCAST_USERS", "HEARTBEAT_DISCOVER", "HEARTBEAT", "DISPATCH", "STARTED"),
    ]
    # One question at a time, each once.
    assert [each["uuid"] for each in requests(air, "/broadcast/request")] == [
        f"request_info_{each}" for each in ("nodes", "systems", "commands", "configs", "basics", "users")
    ]


def test_a_primary_without_anybody_waits_for_broadcast_timeout_and_is_there(air: Air) -> None:
    primary = controller(air, "0001/0000", primary=True, broadcast_timeout=2.0)
    assert wait_started(air, primary) == pytest.approx(2.0)
    assert len(requests(air, "/broadcast/request")) == 1


def test_who_comes_up_while_a_primary_asks_is_found_at_once(air: Air) -> None:
    primary = controller(air, "0001/0000", primary=True)
    air.run(0.1)
    bus(air)
    assert wait_started(air, primary) < 0.5
    assert len(primary.values()) == 3 * 4


def test_a_slow_controller_is_waited_for_as_long_as_others_answer(air: Air) -> None:
    air.delay = (0.1, 0.14)
    for number in range(5):
        bus(air, 100 + number, 2)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    assert len(primary.states()) == 10
    assert len(primary.values()) == 30


def test_a_new_controller_is_asked_directly_and_told_to_the_secondaries(air: Air) -> None:
    first = bus(air)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, secondary)
    air.log.clear()
    second = bus(air, 122, 12)
    air.run(2)
    assert {topic for _, topic, _ in air.log if topic.endswith("/request")} == {"/nodes/0122/0000/request"}
    assert len(requests(air, "/nodes/0122/0000/request")) == len(Discovery)
    for each in (primary, secondary):
        assert set(each.states()) == {*first.hadds, *second.hadds}
    news = requests(air, "/dhcp/resolv/broadcast/")
    assert max(len(each["data"]) for each in news) <= NODES_PER_CHUNK
    # Whatever came in another order is found by comparing.
    air.run(70)
    assert secondary.values().keys() == primary.values().keys()


def test_a_bus_that_has_been_away_may_have_changed(air: Air) -> None:
    old = bus(air, 121, 4)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    old.stop()
    air.run(1)
    assert set(primary.states().values()) == {"OFFLINE"}
    new = bus(air, 121, 2, values=3)
    air.run(5)
    assert list(primary.states()) == new.hadds
    assert {key[2] for key in primary.values() if key[1] == "basic"} == {"value0", "value1", "value2"}


def test_what_is_missing_is_asked_for_until_it_is_known(air: Air) -> None:
    hosts = bus(air, poll=10_000)
    air.lose = lambda topic, payload: "/reply" in topic and b"request_info_basics" in payload
    primary = controller(air, "0001/0000", primary=True)
    # A list that nobody answers takes its timeout, and the single controllers are asked, in vain.
    assert 3.0 < wait_started(air, primary) < 6.5
    air.run(20)
    assert not [key for key in primary.values() if key[1] == "basic"]
    asked = len(requests(air, "/nodes/0121/0000/request"))
    assert asked <= 4 * len(Discovery)
    air.lose = lambda _topic, _payload: False
    air.run(25)
    assert len([key for key in primary.values() if key[1] == "basic"]) == len(hosts.hadds)
    air.log.clear()
    air.run(600)
    assert requests(air, "/nodes/0121/0000/request") == []


def test_who_was_away_when_it_should_have_been_asked_is_asked_when_it_is_back(air: Air) -> None:
    hosts = bus(air, heartbeat=10.0, poll=10_000)
    air.lose = lambda topic, payload: "/reply" in topic and b"request_info_systems" in payload
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    air.run(100)
    hosts.crash()
    air.lose = lambda _topic, _payload: False
    # All tries that were planned fall into its absence.
    air.run(400)
    hosts.start()
    air.run(301)
    assert len([key for key in primary.values() if key[1] == "system"]) == len(hosts.hadds)


def test_200_controllers_are_no_flood(air: Air) -> None:
    for number in range(200):
        bus(air, 100 + number, 2)
    primary = controller(air, "0001/0000", primary=True)
    assert wait_started(air, primary) < 1.0
    assert len(primary.states()) == 400
    # Six questions, and one answer of each to each.
    assert (air.sent["/broadcast/request"], air.sent["/broadcast/reply"]) == (6, 6 * 200)
    assert air.sent["/nodes/0100"] == 0
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, secondary)
    replies = requests(air, "/dhcp/resolv/reply/")
    chunks = 400 / NODES_PER_CHUNK
    # Of the six lists, two are empty; what has come in another order was asked for once more.
    assert 4 * chunks + 2 <= len(replies) <= 2 * (4 * chunks + 2)
    assert max(len(each["data"]) for each in replies) <= NODES_PER_CHUNK
    assert max(len(payload) for _, topic, payload in air.log if "/resolv/reply/" in topic) < 16_000


def test_single_controllers_are_asked_at_a_pace(air: Air) -> None:
    # An original answers for nodes and systems: the rest is asked of 100 controllers.
    buses = [bus(air, 100 + number, 1) for number in range(100)]
    original = OriginalPrimary(air, Buses(buses))
    original.start()
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, secondary)
    times = [when for when, topic, _ in air.log if topic.startswith("/nodes/") and topic.endswith("/request")]
    assert len(times) == 600
    busiest = max(sum(1 for each in times if start <= each < start + 0.1) for start in times)
    assert busiest <= 35
    assert len(secondary.values()) == 300


class Buses:
    """What an original primary knows of several buses."""

    def __init__(self, buses: Sequence[Bus]) -> None:
        self._buses = buses

    def reply_data(self, what: str) -> dict[str, Any]:
        return {key: each for bus in self._buses for key, each in bus.reply_data(what).items()}


# -- a secondary and its primary -------------------------------------------------------------------------------------


def test_a_secondary_has_the_primarys_whole_map(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    secondary = controller(air, "0002/0000", primary=False)
    assert wait_started(air, secondary) < 0.5
    assert (secondary.values(), secondary.states()) == (primary.values(), primary.states())


def test_a_secondary_without_a_primary_has_its_map_soon_after_resolv_timeout(air: Air) -> None:
    bus(air)
    secondary = controller(air, "0002/0000", primary=False)
    assert 5.0 < wait_started(air, secondary) < 5.5
    assert secondary.engine.is_failed
    assert len(secondary.values()) == 12


def test_a_secondary_without_anybody_is_not_started(air: Air) -> None:
    secondary = controller(air, "0002/0000", primary=False)
    air.run(60)
    assert secondary.engine.state is NetworkState.HEARTBEAT_DISCOVER
    bus(air)
    assert wait_started(air, secondary) < 1
    assert len(secondary.values()) == 12


def test_the_will_of_a_primary_is_heard_at_once(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, primary, secondary)
    primary.crash()
    known: list[int] = []

    def holds(condition: bool) -> bool:
        known.append(len(secondary.states()))
        return condition

    assert air.run_until(lambda: holds(secondary.engine.is_failed), 10) < 1
    wait_started(air, secondary)
    primary.start()
    air.run_until(lambda: holds(primary.engine.state is STARTED), 10)
    recovered = air.run_until(lambda: holds(not secondary.engine.is_failed and secondary.engine.state is STARTED), 10)
    assert recovered < 1
    assert set(known) == {4}


def test_secondaries_that_lose_their_primary_at_one_moment_do_not_ask_at_one_moment(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    secondaries = [controller(air, f"{number:04d}/0000", primary=False) for number in range(10, 20)]
    wait_started(air, primary, *secondaries)
    air.log.clear()
    primary.crash()
    air.run_until(lambda: all(each.engine.is_failed for each in secondaries), 1)
    wait_started(air, *secondaries, limit=5)
    asked = sorted(
        when for when, _, payload in air.log if b"request_info_nodes" in payload and b'"data"' not in payload
    )
    assert len(asked) == 10
    assert asked[-1] - asked[0] > 0.5
    assert max(sum(1 for each in asked if when <= each < when + 0.1) for when in asked) <= 3
    # Whoever has no map is in a hurry.
    late = controller(air, "0030/0000", primary=False)
    assert wait_started(air, late) < 5.5


def test_a_primary_that_falls_silent_is_missed_after_resolv_timeout(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, primary, secondary)
    air.run(30)
    # It hangs: the broker has no reason to say its will.
    silence(air, primary)
    assert air.run_until(lambda: secondary.engine.is_failed, 60) <= 5.1


def test_a_primary_beats_three_times_in_resolv_timeout(air: Air) -> None:
    primary = controller(air, "0001/0000", primary=True, resolv_timeout=6.0, broadcast_timeout=1.0)
    wait_started(air, primary)
    air.log.clear()
    air.run(60)
    beats = requests(air, "/dhcp/resolv/heartbeat")
    assert len(beats) in {29, 30, 31}
    assert beats[0] == {"add_ctrl": "0001", "add_node": "0000", "state": "ONLINE"}


def test_an_original_primary_is_tolerated_and_completed(air: Air) -> None:
    hosts = bus(air)
    original = OriginalPrimary(air, hosts)
    original.start()
    secondary = controller(air, "0002/0000", primary=False)
    assert wait_started(air, secondary) < 0.6
    assert len(secondary.values()) == 12
    air.run(600)
    assert not [e for _, e in secondary.events if isinstance(e, NetworkChanged) and e.is_failed]
    original.crash()
    assert air.run_until(lambda: secondary.engine.is_failed, 60) < 15


def test_a_primary_that_beats_and_does_not_answer_makes_nobody_flap(air: Air) -> None:
    hosts = bus(air)
    original = OriginalPrimary(air, hosts, answers=False)
    original.start()
    secondary = controller(air, "0002/0000", primary=False)
    assert wait_started(air, secondary) < 5.6
    air.run(300)
    modes = [event.is_failed for _, event in secondary.events if isinstance(event, NetworkChanged)]
    assert modes.index(True) == modes.count(False)
    assert secondary.engine.is_failed
    original.answers = True
    air.run(6)
    assert not secondary.engine.is_failed


def test_a_lost_chunk_is_asked_for_again(air: Air) -> None:
    bus(air, 121, 40)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    air.loss = 0.2
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, secondary)
    air.loss = 0.0
    air.run(130)
    assert secondary.values().keys() == primary.values().keys()


def test_a_primary_that_is_replaced_while_it_answers_is_compared_with_its_successor(air: Air) -> None:
    bus(air, 121, 2)
    first = controller(air, "0003/0000", primary=True)
    wait_started(air, first)
    # Of its answers, one list is lost, and then the other primary beats.
    air.lose = lambda topic, payload: "/resolv/reply/" in topic and b"request_info_users" in payload
    secondary = controller(air, "0002/0000", primary=False)
    air.run(0.1)
    assert secondary.engine.state is NetworkState.RESOLV
    silence(air, first)
    second = controller(air, "0001/0000", primary=True)
    wait_started(air, second, secondary)
    air.lose = lambda _topic, _payload: False
    air.run(5)
    air.log.clear()
    air.run(70)
    assert len(requests(air, "/dhcp/resolv/request/")) == len(Discovery)


def test_a_node_that_its_controller_has_not_told_of_is_asked_for(air: Air) -> None:
    hosts = bus(air, 121, 2)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    air.run(10)
    hosts.hadds.append("0121/0002")
    hosts.publish("/dhcp/heartbeat/0121/0002", "ONLINE")
    air.run(5)
    assert list(primary.states()) == hosts.hadds
    assert len(primary.values()) == 9


def test_lists_that_are_the_same_are_not_sent_again(air: Air) -> None:
    bus(air, 121, 40)
    primary = controller(air, "0001/0000", primary=True)
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, primary, secondary)
    air.run(70)
    air.log.clear()
    air.run(130)
    replies = requests(air, "/dhcp/resolv/reply/")
    assert len(replies) == 2 * len(Discovery)
    assert [each for each in replies if each["data"]] == []


def test_a_secondary_that_was_cut_off_forgets_what_the_primary_has_forgotten(air: Air) -> None:
    gone = bus(air, 122, 2)
    bus(air, 121, 2)
    primary = controller(air, "0001/0000", primary=True)
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, primary, secondary)
    secondary.lose_connection()
    gone.crash()
    primary.crash()
    primary.start()
    wait_started(air, primary)
    assert len(primary.states()) == 2
    air.run(60)
    assert len(secondary.states()) == 4
    secondary.start()
    wait_started(air, secondary)
    assert secondary.states() == primary.states()


# -- two primaries ---------------------------------------------------------------------------------------------------


def test_of_two_primaries_the_one_with_the_higher_address_steps_down_until_the_other_is_gone(air: Air) -> None:
    bus(air)
    higher = controller(air, "0003/0000", primary=True)
    wait_started(air, higher)
    lower = controller(air, "0001/0000", primary=True)
    wait_started(air, lower)
    air.run(5)
    assert (lower.engine.is_primary, higher.engine.is_primary) == (True, False)
    assert (higher.engine.is_secondary, higher.engine.is_failed, higher.engine.state) == (True, False, STARTED)
    assert [event for _, event in higher.events if isinstance(event, PrimariesMet)] == [
        PrimariesMet(higher.hadd, lower.hadd, steps_down=True)
    ]
    met = [event for _, event in lower.events if isinstance(event, PrimariesMet)]
    assert met == [PrimariesMet(lower.hadd, higher.hadd, steps_down=False)] * len(met)
    air.log.clear()
    air.run(30)
    assert {each["add_ctrl"] for each in requests(air, "/dhcp/resolv/heartbeat")} == {"0001"}
    lower.crash()
    assert air.run_until(lambda: higher.engine.is_primary and higher.engine.state is STARTED, 30) < 1
    assert len(higher.states()) == 4
    lower.start()
    air.run(10)
    assert (lower.engine.is_primary, higher.engine.is_primary) == (True, False)


def test_two_primaries_with_one_address_are_told(air: Air) -> None:
    primaries = [controller(air, "0001/0000", primary=True) for _ in range(2)]
    air.run(60)
    for each in primaries:
        met = [event for _, event in each.events if isinstance(event, PrimariesMet)]
        assert met
        assert met[0] == PrimariesMet(each.hadd, each.hadd, steps_down=False)


def test_a_primary_alone_hears_itself_and_stays(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    air.run(60)
    assert primary.engine.is_primary
    assert not [event for _, event in primary.events if isinstance(event, PrimariesMet)]


# -- answers ---------------------------------------------------------------------------------------------------------


class Asker(Member):
    """Somebody who hears all answers."""

    def __init__(self, air: Air) -> None:
        super().__init__(air, ("/reply/#", "/dhcp/resolv/reply/#"))
        self.heard: list[dict[str, Any]] = []
        self.start()

    def hear(self, topic: str, payload: bytes) -> None:  # noqa: ARG002 - it hears one kind of message only
        self.heard.append(json.loads(payload))

    def ask(self, topic: str, **payload: Any) -> list[dict[str, Any]]:
        self.heard.clear()
        self.publish(topic, payload)
        self.air.run(0.2)
        return self.heard


def nodes(answer: dict[str, Any]) -> list[str]:
    assert answer["msg_status"] == 200
    return [key for key in answer if "/" in key]


def test_lookups(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    asker = Asker(air)
    # It has no map yet, and answers nobody.
    assert asker.ask(topics.LOOKUP_HADD, rep_uuid="a", add_ctrl=121, add_node=1) == []
    wait_started(air, primary)
    (found,) = asker.ask(topics.LOOKUP_HADD, rep_uuid="a", add_ctrl="0121", add_node="0001")
    assert (found["msg_status"], found["name"], found["state"]) == (200, "Node 0121/0001", "ONLINE")
    assert (found["add_ctrl"], found["add_node"], found["cmd_classes"]) == (121, 1, [112, 49])
    (none,) = asker.ask(topics.LOOKUP_HADD, rep_uuid="b", add_ctrl=7, add_node=7)
    assert (none["rep_uuid"], none["msg_status"]) == ("b", 400)
    (named,) = asker.ask(topics.LOOKUP_NAME, rep_uuid="c", name="Node 0121/0002")
    assert nodes(named) == ["0121/0002"]
    (placed,) = asker.ask(topics.LOOKUP_NAME, rep_uuid="d", location="Nowhere")
    assert len(nodes(placed)) == 4
    (both,) = asker.ask(topics.LOOKUP_NAME, rep_uuid="e", location="Nowhere", name="?")
    assert nodes(both) == []
    (classes,) = asker.ask(topics.LOOKUP_CLASSES, rep_uuid="f", cmd_classes=[49, "0x70"])
    assert len(nodes(classes)) == 4
    (neither,) = asker.ask(topics.LOOKUP_CLASSES, rep_uuid="g", cmd_classes=[0x1030])
    assert nodes(neither) == []
    (everybody,) = asker.ask(topics.LOOKUP_NAME, rep_uuid="h")
    assert len(nodes(everybody)) == 4


@pytest.mark.parametrize("what", list(Discovery))
def test_an_original_secondary_is_answered_as_originals_answer(air: Air, what: Discovery) -> None:
    bus(air, 121, 25)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    asker = Asker(air)
    request = {"cmd_class": 20480, "genre": 4, "uuid": what.value, "reply_hadd": "0009/0000"}
    answers = asker.ask("/dhcp/resolv/request/", **request)
    assert [{key: each[key] for key in request} for each in answers] == [request] * len(answers)
    # Not a word that originals do not know.
    assert {key for each in answers for key in each} == {*request, "data"}
    data = {hadd: each for answer in answers for hadd, each in answer["data"].items()}
    if what in {Discovery.USERS, Discovery.COMMANDS}:
        assert data == {}
        return
    assert len(data) == 25
    assert len(answers) == 3
    first = data["0121/0000"]
    match what:
        case Discovery.NODES:
            assert first["cmd_classes"] == [112, 49]
            assert "age" not in first
        case Discovery.SYSTEMS:
            assert first["heartbeat"]["data"] == 30.0
        case Discovery.BASICS:
            assert first["value0"]["0"]["cmd_class"] == 49
        case Discovery.CONFIGS:
            assert first["name"]["0"]["data"] == "Node 0121/0000"


def test_a_secondary_answers_nobody(air: Air) -> None:
    bus(air)
    secondary = controller(air, "0002/0000", primary=False)
    wait_started(air, secondary)
    asker = Asker(air)
    assert asker.ask(topics.LOOKUP_NAME, rep_uuid="c", location="Nowhere") == []


# -- ageing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dispatch", [True, False])
def test_a_silent_node_is_pending_then_failed_and_the_others_are_told(air: Air, dispatch: bool) -> None:
    hosts = bus(air, 121, 1, heartbeat=20.0)
    primary = controller(air, "0001/0000", primary=True, dispatch=dispatch)
    wait_started(air, primary)
    silence(air, hosts)
    air.run_until(lambda: primary.states()["0121/0000"] == "PENDING", 100)
    last = primary.engine.ageing.last_heard(next(iter(primary.engine.map)))
    assert last is not None
    # Late after 22 s, then counted three times, once a second.
    assert air.now - last == pytest.approx(24, abs=0.2)
    air.run_until(lambda: primary.states()["0121/0000"] == "FAILED", 100)
    assert air.now - last == pytest.approx(27, abs=0.2)
    told = [json.loads(payload) for _, topic, payload in air.log if topic == "/dhcp/heartbeat/"]
    expected = [{"add_ctrl": 121, "add_node": 0, "state": state} for state in ("PENDING", "FAILED")]
    assert told == (expected if dispatch else [])
    hosts.start()
    air.run(1)
    assert primary.states() == {"0121/0000": "ONLINE"}


def test_a_failed_node_is_forgotten_after_a_week(air: Air) -> None:
    hosts = bus(air, 121, 1)
    primary = controller(air, "0001/0000", primary=True, resolv_timeout=3600)
    wait_started(air, primary)
    silence(air, hosts)
    air.run(604_000)
    assert primary.states() == {"0121/0000": "FAILED"}
    air.run(1000)
    assert primary.states() == {}


def test_a_will_takes_all_nodes_of_its_controller_down(air: Air) -> None:
    hosts = bus(air)
    bus(air, 122, 2)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    hosts.crash()
    air.run(1)
    states = primary.states()
    assert [states[hadd] for hadd in hosts.hadds] == ["OFFLINE"] * 4
    assert states["0122/0000"] == "ONLINE"
    # That is no silence: it stays so.
    air.run(600)
    assert [primary.states()[hadd] for hadd in hosts.hadds] == ["OFFLINE"] * 4


def test_nobody_is_late_while_nobody_can_be_heard(air: Air) -> None:
    bus(air)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    primary.lose_connection()
    air.run(600)
    primary.start()
    wait_started(air, primary)
    assert set(primary.states().values()) == {"ONLINE"}
    assert "PENDING" not in {str(getattr(event, "state", "")) for _, event in primary.events}


def test_a_node_that_does_not_beat_is_never_late(air: Air) -> None:
    hosts = bus(air, 121, 1, heartbeat=0.5)
    primary = controller(air, "0001/0000", primary=True)
    wait_started(air, primary)
    still = value_of("0121/0000", "heartbeat", 4, 0)
    hosts.publish("/values/system/0121/0000/heartbeat", still)
    air.run(0.1)
    silence(air, hosts)
    air.run(1000)
    assert primary.states() == {"0121/0000": "ONLINE"}
