"""A bus whose driver does not come back: its nodes are OFFLINE, who asks is answered, and nobody else notices."""

from __future__ import annotations

from pathlib import Path

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, gives, registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message
from resilience import SENSOR, wait_value
from running_server import Requester, RunningServer, running, wait_heartbeats
from waiting import wait_for

OTHER_BUS = "0702/0001"


def mailbox(server: RunningServer, path: str) -> int:
    """How many messages wait for an actor."""
    return next(info.mailbox for info in server.infos() if info.path == path)


def test_a_read_that_hangs(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    configuration = Configuration(tmp_path, broker, read_timeout=0.2)
    configuration.bus("one", ["sensor", "other=sensor"], temperature_poll_0=0.05)
    configuration.bus("two", temperature_poll_0=0.05)
    with running(configuration.write(), registry()) as server:
        hang = scripts.hang(then=lambda: 33.0)
        since = len(air.probe.messages)
        scripts["one__sensor"].read = hang
        hang.wait_reached()
        wait_value(air, None, since=since)
        # The whole bus waits for it: the other component has no readings either.
        wait_value(air, None, hadd="0701/0002", since=since)
        wait_heartbeats(air.probe, [SENSOR, "0701/0002"], NodeState.OFFLINE, since=since)

        # The other bus goes on.
        scripts["two__sensor"].wait_reads(10)
        assert air.read(OTHER_BUS, "temperature", Genre.BASIC, 49)["data"] == 20.0
        assert server.states()[OTHER_BUS] == "ONLINE"

        # Who asks the bus that hangs is answered: what needs no driver at once, the rest when the time is over.
        assert air.discover("nodes")
        assert air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Default location"
        for answer in (
            air.read(SENSOR, "temperature", Genre.BASIC, 49),
            air.read("0701/0002", "temperature", Genre.BASIC, 49),
            air.write(SENSOR, "location", "Attic", Genre.CONFIG),
        ):
            assert answer["error"] == "the bus has not answered within 0.2 s"
        assert air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Default location"

        # However often their polls were due: one read of the other poller waits, and the three requests.
        scripts["two__sensor"].wait_reads(10)
        assert mailbox(server, "/buses/one/bus") == 4
        assert hang.calls == 1

        # The late reading counts, and what was written late is in force.
        since = len(air.probe.messages)
        scripts["one__sensor"].read = gives(34.0)
        hang.release()
        wait_value(air, 33.0, since=since)
        wait_heartbeats(air.probe, [SENSOR, "0701/0002"], NodeState.ONLINE, since=since)
        wait_value(air, 34.0, since=since)
        wait_for(
            lambda: air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Attic", TIMEOUT, "the write has been done"
        )
        assert "location = Attic" in server.text
        assert scripts["one"].opened == 1


def test_a_reading_that_comes_late_each_time_is_taken_each_time(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, read_timeout=0.05, max_backoff=0.05)
    script = scripts["one__sensor"]
    with running(path.bus("one", temperature_poll_0=0.05).write(), registry()) as server:
        since = len(air.probe.messages)
        hang = scripts.hang(then=lambda: 1.0)
        script.read = hang
        for temperature in (1.0, 2.0, 3.0):
            wait_value(air, None, since=since)
            wait_heartbeats(air.probe, [SENSOR], NodeState.OFFLINE, since=since)
            following = scripts.hang(then=lambda data=temperature + 1: data)  # type: ignore[misc]
            script.read = following
            since = len(air.probe.messages)
            hang.release()
            wait_value(air, temperature, since=since)
            wait_heartbeats(air.probe, [SENSOR], NodeState.ONLINE, since=since)
            assert hang.calls == 1
            hang = following
        script.read = gives(20.0)
        hang.release()
        server.wait_online()


def test_requests_to_a_bus_that_hangs_do_not_pile_up(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, read_timeout=60).bus("one").write()
    with running(path, registry()) as server:
        hang = scripts.hang(then=lambda: 33.0)
        scripts["one__sensor"].read = hang
        since = len(air.probe.messages)
        request = air.request(SENSOR, "temperature", Genre.BASIC, 49)
        for number in range(150):
            air.probe.publish(f"/nodes/{SENSOR}/request", {**request, "number": number})

        def refused() -> list[Message]:
            return [
                message
                for message in air.probe.messages[since:]
                if message.topic == air.reply_topic and "requests wait for the bus" in message.value.get("error", "")
            ]

        wait_for(lambda: len(refused()) >= 50, TIMEOUT, lambda: f"refusals: {refused()}")
        assert [message.value["number"] for message in refused()] == list(range(100, 150))
        # What the node knows itself it says nevertheless.
        assert air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Default location"
        since = len(air.probe.messages)
        hang.release()

        def served() -> bool:
            answers = [each.value for each in air.probe.messages[since:] if each.topic == air.reply_topic]
            return [answer["number"] for answer in answers if "error" not in answer] == list(range(100))

        wait_for(served, TIMEOUT, "the hundred that waited are answered, in their order")
        assert mailbox(server, "/buses/one/bus") == 0


def test_an_open_that_hangs_holds_up_only_its_own_bus(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    hang = scripts.hang()
    scripts["one"].open = hang
    path = Configuration(tmp_path, broker).bus("one").bus("two").write()
    with running(path, registry(), online=False) as server:
        server.wait_online("0702/0000", OTHER_BUS)
        server.wait_connected()
        assert server.states()[SENSOR] == "BOOT"
        answer = air.read(SENSOR, "temperature", Genre.BASIC, 49)
        assert answer["error"] == "one is not running: it is starting"
        assert air.discover("nodes", "0701/0000")["one__sensor"]["state"] == "BOOT"
        hang.release()
        server.wait_online()
