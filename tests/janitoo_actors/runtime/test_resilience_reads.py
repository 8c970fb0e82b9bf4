"""Reads that fail, seen from the network: the node is OFFLINE, its value null, and it recovers by itself."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, gives, raises, registry
from janitoo_actors.api import PermanentError, TemporaryError
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message
from resilience import SENSOR, events, wait_value
from running_server import Requester, running, wait_heartbeats
from waiting import wait_for

UNPLUGGED = TemporaryError("the sensor is unplugged")


def test_a_read_that_raises_from_the_start_is_tried_again_until_it_works(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    # The next regular poll is 300 s away: whatever is read after the first time is a retry.
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()
    script = scripts["one__sensor"]
    script.read = raises(UNPLUGGED)
    with running(path, registry(), online=False) as server:
        server.wait_connected()
        wait_heartbeats(air.probe, [SENSOR], NodeState.OFFLINE)
        script.wait_reads(3)
        assert air.discover("basics", "0701/0000")[SENSOR]["temperature"]["0"]["data"] is None
        since = len(air.probe.messages)
        script.read = gives(21.5)
        wait_value(air, 21.5, since=since)
        wait_heartbeats(air.probe, [SENSOR], NodeState.ONLINE, since=since)


def test_a_sensor_that_is_unplugged_and_plugged_in_again(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", temperature_poll_0=0.05).write()
    script = scripts["one__sensor"]
    with running(path, registry()) as server:
        wait_value(air, 20.0)
        since = len(air.probe.messages)
        script.read = raises(UNPLUGGED)
        wait_value(air, None, since=since)
        wait_heartbeats(air.probe, [SENSOR], NodeState.OFFLINE, since=since)
        assert air.discover("nodes", "0701/0000")["one__sensor"]["state"] == "OFFLINE"
        assert next(node.reason for node in server.nodes if str(node.hadd) == SENSOR) == (
            "temperature: the sensor is unplugged"
        )
        # Only this node: the bus itself works.
        assert server.states()["0701/0000"] == "ONLINE"

        since = len(air.probe.messages)
        script.read = gives(22.5)
        wait_value(air, 22.5, since=since)
        wait_heartbeats(air.probe, [SENSOR], NodeState.ONLINE, since=since)
        assert scripts["one"].opened == 1


def test_a_reader_who_asks_is_told_why_there_is_no_data(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker).bus("one").write()
    with running(path, registry()):
        scripts["one__sensor"].read = raises(UNPLUGGED)
        answer = air.read(SENSOR, "temperature", Genre.BASIC, 49)
        assert (answer["data"], answer["error"]) == (None, "the sensor is unplugged")
        scripts["one__sensor"].read = gives(23.5)
        answer = air.read(SENSOR, "temperature", Genre.BASIC, 49)
        assert answer["data"] == 23.5
        assert "error" not in answer


def test_an_instance_that_fails_is_null_and_the_others_have_their_data(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", ["pair"]).write()
    script = scripts["one__pair"]

    def right_fails(instance: object) -> float:
        if getattr(instance, "index", None) == 1:
            raise UNPLUGGED
        return 20.0

    script.read = right_fails

    def levels(left: float | None, right: float | None, since: int) -> None:
        def published(message: Message) -> bool:
            if message.topic != f"/values/basic/{SENSOR}/level":
                return False
            return (message.value["0"]["data"], message.value["1"]["data"]) == (left, right)

        air.probe.wait_message(published, TIMEOUT, since=since)

    with running(path, registry(), online=False) as server:
        server.wait_connected()
        server.wait_states(NodeState.OFFLINE, SENSOR)
        levels(20.0, None, since=0)
        since = len(air.probe.messages)
        script.read = gives(30.0)
        levels(30.0, 30.0, since=since)
        server.wait_online()


def test_a_component_that_fails_leaves_the_others_of_its_bus_alone(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    components = ["sensor", "other=sensor"]
    path = Configuration(tmp_path, broker).bus("one", components, temperature_poll_0=0.05).write()
    with running(path, registry()) as server:
        scripts["one__sensor"].read = raises(UNPLUGGED)
        server.wait_states(NodeState.OFFLINE, SENSOR)
        scripts["one__other"].wait_reads(5)
        assert server.states() == {"0701/0000": "ONLINE", SENSOR: "OFFLINE", "0701/0002": "ONLINE"}
        since = len(air.probe.messages)
        scripts["one__other"].read = gives(42.0)
        wait_value(air, 42.0, hadd="0701/0002", since=since)


def test_an_error_that_repeats_is_logged_once_and_counted(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.02).bus("one").write()
    script = scripts["one__sensor"]
    script.read = raises(UNPLUGGED)
    with capture_logs() as log, running(path, registry(), online=False) as server:
        script.wait_reads(6)
        script.read = gives(20.0)
        server.wait_online()
        (failed,) = events(log, "read_failed")
        assert failed["error"] == "the sensor is unplugged"
        assert (failed["hadd"], failed["value"], failed["log_level"]) == (SENSOR, "temperature", "warning")
        assert "traceback" not in failed
        (recovered,) = wait_for(lambda: events(log, "read_recovered"), TIMEOUT, "read_recovered")
        assert recovered["failures"] >= 5
        (offline,) = events(log, "node_offline")
        assert offline["reason"] == "temperature: the sensor is unplugged"


def test_another_error_is_logged_too(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.02).bus("one").write()
    script = scripts["one__sensor"]
    script.read = raises(UNPLUGGED, UNPLUGGED, TemporaryError("the checksum is wrong"), then=20.0)
    with capture_logs() as log, running(path, registry()):
        assert [event["error"] for event in events(log, "read_failed")] == [
            "the sensor is unplugged",
            "the checksum is wrong",
        ]


def test_what_cannot_work_here_is_not_tried_more_often_than_it_is_polled(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=300).bus("one", ["sensor", "other=sensor"]).write()
    scripts["one__sensor"].read = raises(PermanentError("this machine has no such sensor"))
    scripts["one__other"].read = raises(UNPLUGGED)
    with running(path, registry(), online=False) as server:
        server.wait_states(NodeState.OFFLINE, SENSOR, "0701/0002")
        # The first retry of the other one comes after a second.
        scripts["one__other"].wait_reads(1)
        assert scripts["one__sensor"].reads[0] == 1


def test_a_write_that_raises_is_answered_with_an_error(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["switch"]).write()
    script = scripts["one__switch"]
    script.read = gives("off")
    script.write = raises(TemporaryError("the relay does not move"))
    with running(path, registry()) as server:
        answer = air.write(SENSOR, "state", "on", Genre.USER, 1)
        assert answer["error"] == "the relay does not move"
        script.write = raises(ZeroDivisionError("a bug"))
        with capture_logs() as log:
            for _ in range(3):
                answer = air.write(SENSOR, "state", "on", Genre.USER, 1)
                assert answer["error"] == "ZeroDivisionError: a bug"
        (failed,) = events(log, "write_failed")
        assert "ZeroDivisionError: a bug" in failed["traceback"]
        assert failed["hadd"] == SENSOR
        script.write = gives(None)
        assert air.write(SENSOR, "state", "on", Genre.USER, 1)["data"] == "off"
        assert set(server.states().values()) == {"ONLINE"}
