"""What a running server says on the wire, and has in its file: requests, answers, errors, beats, farewells."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from brokers import BrokerFactory, Mosquitto
from janitoo_actors.configuration.ini import read
from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message, Probe
from panel_drivers import World, registry
from running_server import (
    TIMEOUT,
    Requester,
    RunningServer,
    ask_until_answered,
    obey_permissions,
    on_topic,
    run_command,
    running,
    system_section,
    wait_heartbeats,
)
from supervisors import LightActor, PinnedActor, living
from waiting import wait_for

BUS, DOOR, LAMP = "0130/0000", "0130/0001", "0130/0002"

SECTIONS = """
# The panel in the hall.
[panel]
auto_start = True
hadd = 0130/0000
heartbeat = 3000
speed_0 = 3
# Both are of one kind.
components.door = panel.panel
components.lamp = panel.panel

[panel__door]
hadd = 0130/0001
name = Door
location = Hall
heartbeat = 3000
; two texts
texts_0 = one
  # an odd place for a comment
texts_1 = two

[panel__lamp]
hadd = 0130/0002
"""

SWITCH, DIM, SENSOR, BYTE, BELL, TEXT = 37, 38, 49, 1, 12288, 1


@dataclass
class Hall:
    """A running server with two panels, and somebody who asks it."""

    world: World
    server: RunningServer
    asker: Requester

    def options(self, section: str) -> dict[str, str]:
        """A section of the file as it is now."""
        return read(self.server.path).options(section)


def configured(broker: Mosquitto, folder: Path, sections: str = SECTIONS) -> Path:
    path = folder / "panel.conf"
    path.write_text(system_section(broker) + sections, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker where nobody else answers broadcasts."""
    with Mosquitto(tmp_path_factory.mktemp("network")) as mosquitto:
        yield mosquitto


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.release()


@pytest.fixture
def hall(network: Mosquitto, tmp_path: Path, world: World) -> Iterator[Hall]:
    path = configured(network, tmp_path)
    with running(path, registry(world)) as server, server.probe() as probe:
        yield Hall(world, server, Requester(probe))


# -- reads and writes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        ("level", Genre.BASIC, SENSOR, 0, 1.5),
        ("lamps", Genre.BASIC, BYTE, 1, 7),
        ("switch", Genre.USER, SWITCH, 0, "off"),
        ("ring", Genre.USER, BELL, 0, None),
        ("order", Genre.COMMAND, TEXT, 0, None),
        ("name", Genre.CONFIG, 112, 0, "Door"),
        ("texts", Genre.CONFIG, 112, 1, "two"),
        ("lamps_config", Genre.CONFIG, 112, 1, "green"),
        ("level_poll", Genre.CONFIG, 112, 0, 3600),
        ("heartbeat", Genre.SYSTEM, 112, 0, 3000),
        ("hadd", Genre.SYSTEM, 112, 0, DOOR),
    ],
    ids=str,
)
def test_a_value_is_read(hall: Hall, case: tuple[str, Genre, int, int, Any]) -> None:
    uuid, genre, cmd_class, index, data = case
    hall.world.data["lamps", 1] = 7
    answer = hall.asker.read(DOOR, uuid, genre, cmd_class, index=index)
    assert "error" not in answer
    assert answer["data"] == data
    assert (answer["uuid"], answer["hadd"], answer["index"]) == (uuid, DOOR, index)
    if genre in {Genre.CONFIG, Genre.SYSTEM}:
        # The request's own keys, and these.
        request = hall.asker.request(DOOR, uuid, genre, cmd_class, index=index)
        assert list(answer) == [*request, "label", "help"]
        assert (answer["is_writeonly"], answer["is_readonly"]) == (False, True)
    else:
        assert answer["node_uuid"] == "panel__door"
        assert answer["entry_name"]
        # And again where values are published.
        on_air = hall.asker.probe.wait_message(on_topic(f"/values/{genre.slug}/{DOOR}/{uuid}"), TIMEOUT)
        assert on_air.value.get("uuid", on_air.value.get("0", {}).get("uuid")) == uuid


@pytest.mark.parametrize(
    "case",
    [
        ("switch", Genre.USER, SWITCH, 0, "on", "on"),
        ("dim", Genre.USER, DIM, 0, "55", 55),
        ("lamps", Genre.BASIC, BYTE, 1, 200, 200),
        ("ring", Genre.USER, BELL, 0, "long", "long"),
        ("order", Genre.COMMAND, TEXT, 0, "up, and away", "up, and away"),
    ],
    ids=str,
)
def test_a_drivers_value_is_written(hall: Hall, case: tuple[str, Genre, int, int, Any, Any]) -> None:
    uuid, genre, cmd_class, index, sent, data = case
    before = hall.server.text
    since = len(hall.asker.probe.messages)
    answer = hall.asker.write(DOOR, uuid, sent, genre, cmd_class, index=index)
    assert "error" not in answer
    assert (answer["data"], answer["index"]) == (data, index)
    assert hall.world.written == [(uuid, index, data)]
    topic = f"/values/{genre.slug}/{DOOR}/{uuid}"
    on_air = hall.asker.probe.wait_message(on_topic(topic), TIMEOUT, since=since)
    assert on_air.value == answer
    assert hall.asker.read(DOOR, uuid, genre, cmd_class, index=index)["data"] == data
    # The other panel has values of its own, and none of these belongs in the file.
    assert hall.server.text == before


@dataclass(frozen=True)
class Stored:
    """A config value that is written: where, what, what becomes of it, and what the file has then."""

    hadd: str
    uuid: str
    sent: Any
    data: Any
    key: str
    text: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.hadd} {self.key} {self.sent}"

    @property
    def section(self) -> str:
        return {BUS: "panel", DOOR: "panel__door", LAMP: "panel__lamp"}[self.hadd]


ODD = "Küche; 100 % #1 = 雪"


@pytest.mark.parametrize(
    "case",
    [
        Stored(DOOR, "name", "  Back door ", "Back door", "name", "Back door"),
        Stored(DOOR, "location", ODD, ODD, "location", ODD),
        Stored(DOOR, "location", "", "", "location", ""),
        Stored(BUS, "location", "Attic", "Attic", "location", "Attic"),
        Stored(BUS, "speed", "7", 7, "speed_0", "7"),
        Stored(DOOR, "pin", 255, 255, "pin_0", "255"),
        Stored(DOOR, "mode", "fast", "fast", "mode_0", "fast"),
        Stored(DOOR, "inverted", "true", True, "inverted_0", "True"),
        Stored(DOOR, "factor", "-2.5", -2.5, "factor_0", "-2.5"),
        Stored(DOOR, "texts", "zwei", "zwei", "texts_1", "zwei", index=1),
        Stored(LAMP, "pin", 7, 7, "pin_0", "7"),
        Stored(DOOR, "lamps_config", "blue", "blue", "lamps_config_1", "blue", index=1),
        Stored(DOOR, "level_poll", "60.0", 60, "level_poll_0", "60"),
    ],
    ids=str,
)
def test_a_config_value_is_written_and_kept(hall: Hall, case: Stored) -> None:
    hadd, uuid, data, index = case.hadd, case.uuid, case.data, case.index
    answer = hall.asker.write(hadd, uuid, case.sent, Genre.CONFIG, index=index)
    assert "error" not in answer
    assert answer["data"] == data
    assert hall.options(case.section)[case.key] == case.text
    assert hall.asker.read(hadd, uuid, Genre.CONFIG, index=index)["data"] == data
    listed = hall.asker.discover("configs", BUS)[hadd][uuid]
    assert listed[str(index)]["data"] == data
    # And it is so after a restart.
    hall.server.stop()
    with running(hall.server.path, registry(World())) as again, again.probe() as probe:
        assert Requester(probe).read(hadd, uuid, Genre.CONFIG, index=index)["data"] == data


def test_what_else_is_in_the_file_stays_as_it_is(hall: Hall) -> None:
    before = hall.server.text
    for data in ("First", "Second"):
        hall.asker.write(DOOR, "location", data, Genre.CONFIG)
    hall.asker.write(DOOR, "texts", "zwei", Genre.CONFIG, index=1)
    assert hall.server.text == before.replace("= Hall", "= Second").replace("= two", "= zwei")


@pytest.mark.parametrize(("uuid", "sent", "data"), [("heartbeat", "60.0", 60), ("config_timeout", 7, 7)])
def test_a_system_value_is_written_and_kept(hall: Hall, uuid: str, sent: Any, data: Any) -> None:
    answer = hall.asker.write(DOOR, uuid, sent, Genre.SYSTEM)
    assert "error" not in answer
    assert answer["data"] == data
    assert hall.options("panel__door")[uuid] == str(data)
    assert hall.asker.discover("nodes", BUS)["panel__door"][uuid] == data
    assert hall.asker.discover("systems", BUS)[DOOR][uuid]["data"] == data


class Witness(Probe):
    """Looks at a file at the moment when a message comes."""

    def __init__(self, path: Path, *args: Any, **more: Any) -> None:
        self.seen: list[tuple[str, str]] = []
        self._path = path
        super().__init__(*args, **more)

    def _on_message(self, client: Any, userdata: Any, received: Any) -> None:
        self.seen.append((received.topic, self._path.read_text(encoding="utf-8")))
        super()._on_message(client, userdata, received)


def test_a_written_value_is_in_the_file_when_its_answer_comes(hall: Hall, network: Mosquitto) -> None:
    topic = f"/values/config/{DOOR}/location"
    witness = Witness(hall.server.path, network.host, network.port, subscribe=(topic,), timeout=TIMEOUT)
    with witness:
        for number in range(20):
            since = len(witness.messages)
            request = hall.asker.request(DOOR, "location", Genre.CONFIG, 112, data=f"Place {number}", is_writeonly=True)
            witness.publish(f"/nodes/{DOOR}/request", request)
            answer = witness.wait_message(on_topic(topic), TIMEOUT, since=since)
            assert answer.value["data"] == f"Place {number}"
        assert [re.findall(r"location = (Place \d+)", text) for _, text in witness.seen] == [
            [f"Place {number}"] for number in range(20)
        ]


def test_booleans_may_be_texts(hall: Hall) -> None:
    for true in (True, 1, "True", "true", "1"):
        answer = hall.asker.write(DOOR, "location", f"{true!r}", Genre.CONFIG, is_writeonly=true)
        assert answer["data"] == f"{true!r}"
    for false in (False, 0, "False", "false", "0", None):
        answer = hall.asker.write(DOOR, "location", "No", Genre.CONFIG, is_writeonly=false)
        assert answer["data"] == "'1'"


def test_numbers_may_be_texts(hall: Hall) -> None:
    request = hall.asker.request(DOOR, "texts", Genre.CONFIG, 112)
    since = len(hall.asker.probe.messages)
    texts = {**request, "genre": "3", "cmd_class": "112", "index": "1"}
    hall.asker.probe.publish(f"/nodes/{DOOR}/request", texts)
    answer = hall.asker.probe.wait_message(on_topic(hall.asker.answer_topic(request)), TIMEOUT, since=since)
    assert answer.value["data"] == "two"


def test_the_payload_names_the_node_where_the_topic_is_the_controllers(hall: Hall) -> None:
    request = hall.asker.request(DOOR, "name", Genre.CONFIG, 112)
    assert hall.asker.send(request, topic=f"/nodes/{BUS}/request").value["data"] == "Door"


def test_a_request_without_an_address_to_answer_at_is_answered_on_the_values_topic(hall: Hall) -> None:
    topic = f"/values/user/{DOOR}/switch"
    since = len(hall.asker.probe.messages)
    request = hall.asker.request(DOOR, "switch", Genre.USER, SWITCH, data="on", is_writeonly=True)
    del request["reply_hadd"]
    hall.asker.probe.publish(f"/nodes/{DOOR}/request", request)
    answer = hall.asker.probe.wait_message(on_topic(topic), TIMEOUT, since=since)
    assert answer.value["data"] == "on"


# -- errors ----------------------------------------------------------------------------------------------------------


def written(uuid: str, data: Any, genre: Genre, cmd_class: int = 112, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "data": data, "genre": int(genre), "cmd_class": cmd_class, "is_writeonly": True, **more}


def asked(uuid: str, genre: Genre, cmd_class: int = 112, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "genre": int(genre), "cmd_class": cmd_class, **more}


WRONG: dict[str, tuple[dict[str, Any], str, Any]] = {
    "unknown node": (asked("name", Genre.CONFIG, hadd="0130/0077"), "panel has no node 0130/0077", None),
    "unknown node, user": (asked("switch", Genre.USER, SWITCH, hadd="0130/0077"), "no node 0130/0077", None),
    "unknown value": (asked("colour", Genre.CONFIG), "no value 'colour'", None),
    "unknown value, basic": (asked("colour", Genre.BASIC, SENSOR), "no value 'colour'", None),
    "unknown value, written": (written("colour", "red", Genre.CONFIG), "no value 'colour'", None),
    "wrong class": (written("location", "x", Genre.CONFIG, 113), "expected cmd_class 112", "Hall"),
    "wrong class, read": (asked("switch", Genre.USER, SENSOR), "expected cmd_class 37", "off"),
    "wrong genre": (written("location", "x", Genre.SYSTEM), "expected genre 3", "Hall"),
    "wrong genre, user": (written("switch", "on", Genre.BASIC, SWITCH), "expected genre 2", "off"),
    "read-only": (written("level", 3, Genre.BASIC, SENSOR), "read-only", 1.5),
    "too large": (written("dim", 101, Genre.USER, DIM), "dim = 101: expected 100 or less", 0),
    "too small": (written("factor", "-10.5", Genre.CONFIG), "expected -10 or more", 1.0),
    "no byte": (written("pin", 256, Genre.CONFIG), "expected a whole number from 0 to 255", 4),
    "a text": (written("pin", "four", Genre.CONFIG), "expected a whole number from 0 to 255", 4),
    "null": (written("speed", None, Genre.CONFIG, hadd=BUS), "expected a whole number", 3),
    "a list": (written("location", ["a"], Genre.CONFIG), "expected a text", "Hall"),
    "an object": (written("switch", {"on": 1}, Genre.USER, SWITCH), "expected a text", "off"),
    "no item": (written("switch", "maybe", Genre.USER, SWITCH), "expected one of on, off", "off"),
    "no item, config": (written("mode", "medium", Genre.CONFIG), "expected one of slow, fast", "slow"),
    "no boolean": (written("inverted", "perhaps", Genre.CONFIG), "expected True or False", False),
    "two lines": (written("location", "a\nb = c", Genre.CONFIG), "expected a text of one line", "Hall"),
    "no instance": (written("lamps", 1, Genre.BASIC, BYTE, index=2), "expected an index below that", None),
    "no instance, read": (asked("texts", Genre.CONFIG, index=2), "expected an index below that", None),
    "no instance config": (written("lamps_config", "pink", Genre.CONFIG), "expected red, green, blue or white", "red"),
    "negative delay": (written("level_poll", -1, Genre.CONFIG), "expected a number of seconds", 3600),
    "endless delay": (written("level_poll", 1e308, Genre.CONFIG), "expected a number of seconds", 3600),
    "long heartbeat": (written("heartbeat", 3001, Genre.SYSTEM), "expected a number of seconds, 0 to 3000", 3000),
    "no address": (written("hadd", "door", Genre.SYSTEM), "expected an address CCCC/NNNN", DOOR),
    "another controller's": (written("hadd", "0131/0001", Genre.SYSTEM), "expected 0130/0001 to 0130/9999", DOOR),
    "the controller's": (written("hadd", BUS, Genre.SYSTEM), "expected 0130/0001 to 0130/9999", DOOR),
    "taken": (written("hadd", LAMP, Genre.SYSTEM), "expected an address that is free", DOOR),
    "of the bus": (written("hadd", "0131/0000", Genre.SYSTEM, hadd=BUS), "expected no change", BUS),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_request_that_cannot_be_served_is_answered_with_an_error(hall: Hall, case: str) -> None:
    more, error, data = WRONG[case]
    before = hall.server.text
    request = {**hall.asker.request(DOOR, "", Genre.CONFIG, 0), **more}
    answer = hall.asker.send(request).value
    assert error in answer["error"]
    assert answer["data"] == data
    assert answer["is_writeonly"] is False
    # Nothing has changed: the world, the file, what is answered from now on.
    assert hall.world.written == []
    assert hall.server.text == before
    assert hall.asker.discover("configs", BUS)[DOOR]["location"]["0"]["data"] == "Hall"
    assert all(info.restarts == 0 for info in hall.server.infos())


def test_a_genre_that_does_not_exist_is_an_error(hall: Hall) -> None:
    request = {**hall.asker.request(DOOR, "location", Genre.CONFIG, 112), "genre": 77}
    since = len(hall.asker.probe.messages)
    hall.asker.probe.publish(f"/nodes/{DOOR}/request", request)
    answer = hall.asker.probe.wait_message(on_topic(hall.asker.reply_topic), TIMEOUT, since=since)
    assert "expected genre 3" in answer.value["error"]


def test_a_failing_write_is_answered_with_its_error(hall: Hall) -> None:
    hall.world.errors["write switch"] = TemporaryError("the relay is stuck")
    answer = hall.asker.write(DOOR, "switch", "on", Genre.USER, SWITCH)
    assert answer["error"] == "the relay is stuck"
    assert answer["data"] == "off"
    hall.world.errors.clear()
    assert hall.asker.write(DOOR, "switch", "on", Genre.USER, SWITCH)["data"] == "on"


def test_a_failing_read_is_answered_with_its_error(hall: Hall) -> None:
    hall.world.errors["read level"] = TemporaryError("the sensor is gone")
    answer = hall.asker.read(DOOR, "level", Genre.BASIC, SENSOR)
    assert answer["error"] == "the sensor is gone"
    hall.world.errors.clear()
    assert hall.asker.read(DOOR, "level", Genre.BASIC, SENSOR)["data"] == 1.5


def test_an_error_is_not_published_as_a_value(hall: Hall) -> None:
    since = len(hall.asker.probe.messages)
    hall.asker.write(DOOR, "switch", "maybe", Genre.USER, SWITCH)
    hall.asker.settle(BUS)
    assert [each for each in hall.asker.probe.messages[since:] if each.topic.startswith("/values/")] == []


@pytest.mark.parametrize(
    "payload",
    [b"", b"no JSON", b"[]", b"null", b"\xff\xfe", b'{"uuid": "location"}', b'{"cmd_class": 20480, "uuid": "all"}'],
)
def test_what_is_no_request_is_dropped(hall: Hall, payload: bytes) -> None:
    since = len(hall.asker.probe.messages)
    for topic in ("/broadcast/request", f"/nodes/{BUS}/request", f"/nodes/{DOOR}/request", "/nodes/0130/abc/request"):
        hall.asker.probe.publish(topic, payload)
    hall.asker.settle(BUS)
    assert len(hall.asker.probe.messages) == since + 1


@pytest.mark.parametrize("make", ["chmod", "gone"])
def test_what_cannot_be_stored_is_refused(network: Mosquitto, tmp_path: Path, make: str) -> None:
    """A folder that may not be written, or that is not there any more."""
    folder = tmp_path / "etc"
    folder.mkdir()
    path = folder / "host.conf"
    path.write_text(system_section(network) + HOST, encoding="utf-8")
    # Root may write everywhere; a process can give that up for itself.
    with run_command(path, prepare=obey_permissions) as process, probe_of(network) as probe:
        asker = Requester(probe)
        ask_until_answered(probe, "0131/0000")
        process.wait_summary()
        assert asker.write("0131/0000", "location", "Here", Genre.CONFIG)["data"] == "Here"
        before = path.read_text(encoding="utf-8")
        away = tmp_path / "away"
        if make == "chmod":
            folder.chmod(0o555)
        else:
            folder.rename(away)
        answer = asker.write("0131/0000", "location", "There", Genre.CONFIG)
        assert f"{path} was not written, and is as it was" in answer["error"]
        assert answer["data"] == "Here"
        assert asker.read("0131/0000", "location", Genre.CONFIG)["data"] == "Here"
        assert asker.discover("nodes", "0131/0000")["hostsensor"]["location"] == "Here"
        if make == "chmod":
            folder.chmod(0o755)
        else:
            away.rename(folder)
        assert path.read_text(encoding="utf-8") == before
        assert sorted(each.name for each in folder.iterdir()) == [".host.conf.good-1", "host.conf"]
        assert asker.write("0131/0000", "location", "There", Genre.CONFIG)["data"] == "There"
        assert process.interrupt() == 0


# -- polls and beats -------------------------------------------------------------------------------------------------


def poller_due(hall: Hall) -> float | None:
    ref = hall.server.server.system.lookup(f"/buses/panel/pollers/{DOOR}/level")
    actor = living(ref) if ref is not None else None
    assert isinstance(actor, LightActor)
    return actor.timers.due("tick")


def test_a_poll_delay_is_changed_over_the_air(hall: Hall) -> None:
    topic = f"/values/basic/{DOOR}/level"
    probe = hall.asker.probe
    assert hall.asker.write(DOOR, "level_poll", "0.02", Genre.CONFIG)["data"] == 0.02
    since = len(probe.messages)
    hall.world.data["level", 0] = 2.5

    def polled(message: Message) -> bool:
        return message.topic == topic and message.value["data"] == hall.world.data["level", 0]

    assert probe.wait_message(polled, TIMEOUT, since=since).value["poll_delay"] == 0.02
    hall.world.data["level", 0] = 3.5
    probe.wait_message(polled, TIMEOUT, since=since)
    # 0 stops it, and the node is as well as it was.
    assert hall.asker.write(DOOR, "level_poll", 0, Genre.CONFIG)["data"] == 0
    wait_for(lambda: poller_due(hall) is None, TIMEOUT, "the poller has no next poll")
    assert hall.asker.read(DOOR, "level", Genre.BASIC, SENSOR)["poll_delay"] == 0
    assert hall.asker.discover("nodes", BUS)["panel__door"]["state"] == "ONLINE"
    # And it starts again.
    since = len(probe.messages)
    hall.world.data["level", 0] = 4.5
    hall.asker.write(DOOR, "level_poll", 0.05, Genre.CONFIG)
    probe.wait_message(polled, TIMEOUT, since=since)
    assert hall.options("panel__door")["level_poll_0"] == "0.05"


def test_a_changed_instance_is_read_and_labelled_anew(hall: Hall) -> None:
    topic = f"/values/basic/{DOOR}/lamps"
    since = len(hall.asker.probe.messages)
    hall.asker.write(DOOR, "lamps_config", "white", Genre.CONFIG, index=1)
    on_air = hall.asker.probe.wait_message(on_topic(topic), TIMEOUT, since=since)
    assert [each["label"] for each in on_air.value.values()] == ["Lamps (red)", "Lamps (white)"]
    options = hall.options("panel__door")
    # Alone, the second would be read as the only one.
    assert (options["lamps_config_0"], options["lamps_config_1"]) == ("red", "white")


def test_a_heartbeat_is_changed_over_the_air(hall: Hall) -> None:
    topic = f"/dhcp/heartbeat/{DOOR}"
    probe = hall.asker.probe
    hall.asker.write(DOOR, "heartbeat", 0.05, Genre.SYSTEM)
    since = len(probe.messages)
    wait_for(
        lambda: sum(each.topic == topic for each in probe.messages[since:]) >= 5, TIMEOUT, "five beats in a new rhythm"
    )
    assert {each.payload for each in probe.messages[since:] if each.topic == topic} == {b"ONLINE"}
    # 0: it beats at a change only.
    hall.asker.write(DOOR, "heartbeat", 0, Genre.SYSTEM)
    ref = hall.server.server.system.lookup("/buses/panel/link")
    link = living(ref) if ref is not None else None
    assert isinstance(link, PinnedActor)
    (door,) = (node.hadd for node in hall.server.nodes if str(node.hadd) == DOOR)
    wait_for(lambda: link.timers.due(door) is None, TIMEOUT, "no next beat")


def test_no_period_is_too_short(hall: Hall) -> None:
    hall.asker.write(DOOR, "heartbeat", 5e-324, Genre.SYSTEM)
    hall.asker.write(DOOR, "level_poll", 5e-324, Genre.CONFIG)
    since = len(hall.asker.probe.messages)
    for topic in (f"/dhcp/heartbeat/{DOOR}", f"/values/basic/{DOOR}/level"):
        wait_for(partial(_heard, hall, topic, since), TIMEOUT, f"three messages on {topic}")
    assert all(info.restarts == 0 for info in hall.server.infos())


def _heard(hall: Hall, topic: str, since: int) -> bool:
    return sum(each.topic == topic for each in hall.asker.probe.messages[since:]) >= 3


# -- addresses -------------------------------------------------------------------------------------------------------


def test_a_new_address_counts_from_the_next_start(hall: Hall) -> None:
    answer = hall.asker.write(DOOR, "hadd", "130/9", Genre.SYSTEM)
    assert "error" not in answer
    assert answer["data"] == "0130/0009"
    assert hall.options("panel__door")["hadd"] == "0130/0009"
    # Until then it is where it was.
    assert hall.asker.read(DOOR, "name", Genre.CONFIG)["data"] == "Door"
    assert hall.asker.discover("nodes", BUS)["panel__door"]["hadd"] == DOOR
    # The other node can have neither, and it can go back.
    for hadd in (DOOR, "0130/0009"):
        assert "free" in hall.asker.write(LAMP, "hadd", hadd, Genre.SYSTEM)["error"]
    assert hall.asker.write(DOOR, "hadd", DOOR, Genre.SYSTEM)["data"] == DOOR
    for _ in range(2):
        assert hall.asker.write(DOOR, "hadd", "0130/0009", Genre.SYSTEM)["data"] == "0130/0009"
    hall.server.stop()
    with running(hall.server.path, registry(World())) as again, again.probe() as probe:
        assert Requester(probe).read("0130/0009", "name", Genre.CONFIG)["data"] == "Door"


def test_two_nodes_cannot_take_one_address_at_the_same_time(hall: Hall) -> None:
    with busy(hall, 2) as since:
        for hadd in (DOOR, LAMP):
            request = hall.asker.request(hadd, "hadd", Genre.SYSTEM, 112, data="0130/0009", is_writeonly=True)
            hall.asker.probe.publish(f"/nodes/{hadd}/request", request)
    answers = [
        hall.asker.probe.wait_message(on_topic(f"/values/system/{hadd}/hadd"), TIMEOUT, since=since).value
        for hadd in (DOOR, LAMP)
    ]
    assert ["error" in each for each in answers] == [False, True]
    assert answers[1]["error"] == "expected an address that is free"
    assert hall.options("panel__door")["hadd"] == "0130/0009"
    assert hall.options("panel__lamp")["hadd"] == LAMP


@pytest.mark.parametrize(("uuid", "data"), [("texts", ("eins", "zwei")), ("lamps_config", ("blue", "white"))])
def test_instances_that_are_written_at_the_same_time_are_all_kept(hall: Hall, uuid: str, data: tuple[str, str]) -> None:
    topic = f"/values/config/{DOOR}/{uuid}"
    with busy(hall, 2) as since:
        for index, each in enumerate(data):
            request = hall.asker.request(DOOR, uuid, Genre.CONFIG, 112, data=each, index=index, is_writeonly=True)
            hall.asker.probe.publish(f"/nodes/{DOOR}/request", request)
    wait_for(
        lambda: sum(each.topic == topic for each in hall.asker.probe.messages[since:]) == 2, TIMEOUT, "both answers"
    )
    options = hall.options("panel__door")
    assert (options[f"{uuid}_0"], options[f"{uuid}_1"]) == data
    assert tuple(each["data"] for each in hall.asker.discover("configs", BUS)[DOOR][uuid].values()) == data


@contextmanager
def busy(hall: Hall, requests: int) -> Iterator[int]:
    """Keep the bus at work until so many requests have passed their nodes; gives where their answers begin."""
    gate = hall.world.hold("read level")
    hall.asker.probe.publish(f"/nodes/{DOOR}/request", hall.asker.request(DOOR, "level", Genre.BASIC, SENSOR))
    wait_for(lambda: hall.world.reads["level"] > 2, TIMEOUT, "the bus is at work")
    yield len(hall.asker.probe.messages)
    wait_for(lambda: _waiting(hall) == requests, TIMEOUT, lambda: f"all wait for the bus: {_waiting(hall)}")
    gate.set()


def _waiting(hall: Hall) -> int:
    return next(info.mailbox for info in hall.server.infos() if info.path == "/buses/panel/bus")


# -- the bus is down -------------------------------------------------------------------------------------------------


def test_a_bus_that_is_down_answers_and_comes_back(network: Mosquitto, tmp_path: Path, world: World) -> None:
    world.errors["open"] = TemporaryError("the adapter is gone")
    path = configured(network, tmp_path)
    with running(path, registry(world), online=False) as server, server.probe() as probe:
        asker = Requester(probe)
        server.wait_states(NodeState.OFFLINE)
        server.wait_connected()
        for controller in (BUS, None):
            nodes = asker.discover("nodes", controller)
            assert {uuid: node["state"] for uuid, node in nodes.items()} == dict.fromkeys(nodes, "OFFLINE")
            assert list(nodes) == ["panel", "panel__door", "panel__lamp"]
        assert asker.discover("configs", BUS)[DOOR]["location"]["0"]["data"] == "Hall"
        before = server.text
        for answer in (
            asker.read(DOOR, "level", Genre.BASIC, SENSOR),
            asker.write(DOOR, "switch", "on", Genre.USER, SWITCH),
            asker.write(DOOR, "location", "There", Genre.CONFIG),
        ):
            assert "the adapter is gone" in answer["error"] or "starting" in answer["error"]
        assert server.text == before
        since = len(probe.messages)
        world.errors.clear()
        wait_heartbeats(probe, (BUS, DOOR, LAMP), NodeState.ONLINE, since=since)
        assert asker.write(DOOR, "location", "There", Genre.CONFIG)["data"] == "There"


def test_a_failing_read_takes_its_node_off_line_and_publishes_null(hall: Hall) -> None:
    probe = hall.asker.probe
    hall.world.errors["read level"] = TemporaryError("the sensor is gone")
    since = len(probe.messages)
    hall.asker.write(DOOR, "level_poll", 0.05, Genre.CONFIG)
    wait_heartbeats(probe, (DOOR,), NodeState.OFFLINE, since=since)
    null = probe.wait_message(on_topic(f"/values/basic/{DOOR}/level"), TIMEOUT, since=since)
    assert null.value["data"] is None
    # The other panel reads the same world, but not yet.
    states = {uuid: node["state"] for uuid, node in hall.asker.discover("nodes", BUS).items()}
    assert states == {"panel": "ONLINE", "panel__door": "OFFLINE", "panel__lamp": "ONLINE"}
    since = len(probe.messages)
    hall.world.errors.clear()
    wait_heartbeats(probe, (DOOR,), NodeState.ONLINE, since=since)


# -- several buses ---------------------------------------------------------------------------------------------------


TWO = """
[panel]
auto_start = True
hadd = 0130/0000
components.door = panel.panel

[other]
auto_start = True
hadd = 0132/0000
components.door = panel.panel
[other__door]
name = Other door
"""


def test_buses_run_side_by_side(network: Mosquitto, tmp_path: Path, world: World) -> None:
    other = World()
    path = configured(network, tmp_path, TWO)
    with running(path, registry(world, other=other)) as server, server.probe() as probe:
        asker = Requester(probe)
        since = len(probe.messages)
        asker.discover("nodes")
        wait_for(
            lambda: sum(each.topic.startswith("/broadcast/reply/") for each in probe.messages[since:]) == 2,
            TIMEOUT,
            "an answer of each bus",
        )
        replies = [each.value["data"] for each in probe.messages[since:] if each.topic.startswith("/broadcast/reply/")]
        assert {tuple(reply) for reply in replies} == {("panel", "panel__door"), ("other", "other__door")}
        # Directly, only the one that is asked answers.
        since = len(probe.messages)
        assert list(asker.discover("nodes", "0132/0000")) == ["other", "other__door"]
        asker.settle("0130/0000")
        assert sum(each.topic == asker.reply_topic for each in probe.messages[since:]) == 2
        asker.write("0132/0001", "switch", "on", Genre.USER, SWITCH)
        assert (world.written, other.written) == ([], [("switch", 0, "on")])
        # Both write to one file.
        asker.write("0130/0001", "location", "Here", Genre.CONFIG)
        asker.write("0132/0001", "location", "There", Genre.CONFIG)
        sections = read(path).sections
        assert sections["panel__door"]["location"] == "Here"
        assert sections["other__door"]["location"] == "There"


# -- the manners of the wire -----------------------------------------------------------------------------------------


def test_retained_requests_are_ignored(private_broker: BrokerFactory, tmp_path: Path, world: World) -> None:
    broker = private_broker()
    path = configured(broker, tmp_path)
    with probe_of(broker) as early:
        asker = Requester(early, "9996/0001")
        discovery = {"cmd_class": 20480, "genre": 4, "uuid": "request_info_nodes", "reply_hadd": "9996/0001"}
        write = asker.request(DOOR, "location", Genre.CONFIG, 112, data="Retained", is_writeonly=True)
        early.publish("/broadcast/request", discovery, qos=1, retain=True)
        early.publish(f"/nodes/{BUS}/request", discovery, qos=1, retain=True)
        early.publish(f"/nodes/{DOOR}/request", write, qos=1, retain=True)
        since = len(early.messages)
        with running(path, registry(world)) as server:
            # What is retained comes with the subscription, before the answered question of `running`.
            assert "Retained" not in server.text
            asker.settle(BUS)
            answers = [each for each in early.messages[since:] if each.topic == asker.reply_topic]
            assert len(answers) == 1
            assert not any(each.topic.startswith("/values/config") for each in early.messages[since:])
            assert not any(each.topic.startswith("/broadcast/reply") for each in early.messages[since:])


def test_nothing_is_retained_and_everything_is_qos_0(
    private_broker: BrokerFactory, tmp_path: Path, world: World
) -> None:
    broker = private_broker()
    path = configured(broker, tmp_path)
    with running(path, registry(world)) as server, server.probe() as probe:
        asker = Requester(probe)
        for what in ("nodes", "users", "configs", "systems", "basics", "commands"):
            asker.discover(what)
            asker.discover(what, BUS)
        asker.read(DOOR, "level", Genre.BASIC, SENSOR)
        asker.write(DOOR, "switch", "on", Genre.USER, SWITCH)
        asker.write(DOOR, "location", "There", Genre.CONFIG)
        asker.write(DOOR, "location", None, Genre.CONFIG)
    wait_closed(broker, server)
    published = re.findall(r"Received PUBLISH from janitoo-\S+ \(d\d, q(\d), r(\d), m\d+, '(\S+)'", broker.log)
    assert {topic.split("/")[1] for _, _, topic in published} == {"broadcast", "nodes", "values", "dhcp"}
    assert {(qos, retain) for qos, retain, _ in published} == {("0", "0")}
    assert re.findall(r"Will message specified \(\d+ bytes\) \(r(\d), q(\d)\)", broker.log) == [("0", "0")]
    with probe_of(broker, "#") as late:
        late.publish("/barrier", "x")
        late.wait_message(on_topic("/barrier"), TIMEOUT)
        assert [each.topic for each in late.messages] == ["/barrier"]


def test_a_clean_stop_says_so_for_each_node(private_broker: BrokerFactory, tmp_path: Path, world: World) -> None:
    broker = private_broker()
    path = configured(broker, tmp_path)
    with probe_of(broker, "/dhcp/heartbeat/#") as probe:
        with running(path, registry(world)) as server:
            wait_heartbeats(probe, (BUS, DOOR, LAMP), NodeState.ONLINE)
            since = len(probe.messages)
            server.stop()
            wait_heartbeats(probe, (BUS, DOOR, LAMP), NodeState.OFFLINE, since=since)
        wait_closed(broker, server)
        # The broker has seen it leave: a will would have been sent by now.
        probe.publish("/dhcp/heartbeat/barrier", "x")
        probe.wait_message(on_topic("/dhcp/heartbeat/barrier"), TIMEOUT)
        assert {each.payload for each in probe.messages[since:-1]} == {b"OFFLINE"}
        assert not any(each.topic == "/dhcp/heartbeat/" for each in probe.messages)


HOST = """
[hostsensor]
auto_start = True
hadd = 0131/0000
components.uptime = hostsensor.uptime
"""


def test_the_last_will_of_a_killed_server_speaks_for_all_of_its_nodes(network: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "host.conf"
    path.write_text(system_section(network) + HOST, encoding="utf-8")
    with run_command(path) as process, probe_of(network, "/dhcp/heartbeat/#") as probe:
        wait_heartbeats(probe, ("0131/0000", "0131/0001"), NodeState.ONLINE)
        process.send(signal.SIGKILL)
        will = probe.wait_message(on_topic("/dhcp/heartbeat/"), TIMEOUT)
        assert json.loads(will.payload) == {"add_ctrl": 131, "add_node": -1, "state": "OFFLINE"}
        assert not will.retain
        assert process.wait_exit() == -signal.SIGKILL


def probe_of(broker: Mosquitto, *topics: str) -> Probe:
    return Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT)


def wait_closed(broker: Mosquitto, server: RunningServer) -> None:
    """Wait until the broker has seen all of a server's connections end."""

    def closed() -> bool:
        log = broker.log
        opened = set(re.findall(r"New client connected from \S+ as (janitoo-\S+) ", log))
        ended = set(re.findall(r"Client (janitoo-\S+) (?:disconnected|closed its connection)", log))
        return bool(opened) and opened <= ended

    assert server.server.reason is not None
    wait_for(closed, TIMEOUT, lambda: f"the broker sees the server leave\n{broker.log}")
