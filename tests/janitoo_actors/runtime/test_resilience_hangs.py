"""A bus whose driver does not come back: its nodes are OFFLINE, who asks is answered, and nobody else notices."""

from __future__ import annotations

import threading
from pathlib import Path

from structlog.testing import capture_logs

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, gives, registry
from janitoo_actors.api import Instance
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message
from resilience import SENSOR, events, wait_value
from running_server import Requester, RunningServer, running, wait_heartbeats
from waiting import wait_for

OTHER_BUS = "0702/0001"


def mailbox(server: RunningServer, path: str) -> int:
    """How many messages wait for an actor."""
    return next(info.mailbox for info in server.infos() if info.path == path)


def flat(air: Requester, uuid: str = "temperature", hadd: str = SENSOR) -> list[object]:
    """The data of a flat basic value, as they have been published so far."""
    topic = f"/values/basic/{hadd}/{uuid}"
    return [message.value["data"] for message in air.probe.messages if message.topic == topic]


def test_a_read_that_hangs(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    configuration = Configuration(tmp_path, broker, read_timeout=1.0)
    configuration.bus("one", ["sensor", "other=sensor"], temperature_poll_0=0.05)
    configuration.bus("two", temperature_poll_0=0.05)
    with running(configuration.write(), registry()) as server, capture_logs() as log:
        hang = scripts.hang(then=lambda: 33.0)
        script = scripts["one__sensor"]
        since = len(air.probe.messages)
        script.read = hang
        hang.wait_reached()
        script.read = gives(34.0)

        # What needs no driver is answered meanwhile; what has waited for it is told that it was in vain.
        assert air.discover("nodes")
        assert air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Default location"
        answer = air.write(SENSOR, "location", "Attic", Genre.CONFIG)
        # The node's own deadline and the watchdog's are the same: whichever comes first answers.
        assert answer["error"] in {"the bus is stopping or being restarted", "the bus has not answered within 1 s"}

        # The network is told, and a new bus takes over, at once and without the one that hangs.
        wait_heartbeats(air.probe, [SENSOR, "0701/0002"], NodeState.OFFLINE, since=since)
        wait_value(air, 34.0, since=since)
        wait_heartbeats(air.probe, [SENSOR, "0701/0002"], NodeState.ONLINE, since=since)
        assert (scripts["one"].opened, scripts["one"].closed) == (2, 0)
        assert server.server.system.zombies.count("/buses/one/bus") == 1
        (hung,) = events(log, "hung")
        assert (hung["path"], hung["at"][:8]) == ("/buses/one/bus", "Read for")
        assert "faulty_drivers.py" in hung["traceback"]

        # The other bus goes on, as if there were nothing.
        scripts["two__sensor"].wait_reads(10)
        assert scripts["two"].opened == 1
        assert None not in flat(air, hadd=OTHER_BUS)
        assert server.states()[OTHER_BUS] == "ONLINE"

        # The late reading reaches nobody, and its thread is free again.
        since = len(air.probe.messages)
        hang.release()
        wait_for(lambda: server.server.system.zombies.count() == 0, TIMEOUT, "the thread has come back")
        script.wait_reads(10)
        air.settle("0701/0000")
        assert 33.0 not in flat(air)
        assert hang.calls == 1
        assert (scripts["one"].opened, scripts["one"].closed) == (2, 0)
        assert air.read(SENSOR, "location", Genre.CONFIG)["data"] == "Default location"
        assert "Attic" not in server.text


def test_each_instance_has_read_timeout_and_others_are_read_in_between(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    configuration = Configuration(tmp_path, broker, read_timeout=1.0)
    path = configuration.bus("one", ["sensor", "pair"], temperature_poll_0=0.05, level_poll_0=0.05).write()
    sensor, pair = scripts["one__sensor"], scripts["one__pair"]
    order: list[str] = []

    def slow(instance: Instance) -> float:
        # Both together take longer than a read may.
        threading.Event().wait(0.7)
        order.append(f"pair {instance.index}")
        return 20.0 + instance.index

    def quick(_instance: Instance) -> float:
        order.append("sensor")
        return 30.0

    with running(path, registry()) as server:
        before = server.incarnations()
        since = len(air.probe.messages)
        sensor.read, pair.read = quick, slow
        pair.wait_reads(3, index=1)
        assert server.incarnations() == before
        assert set(server.states().values()) == {"ONLINE"}
        topic = "/values/basic/0701/0002/level"
        levels = [message.value for message in air.probe.messages[since:] if message.topic == topic]
        assert levels
        assert all(level["0"]["data"] is not None for level in levels)
        first = order.index("pair 0")
        assert order[first : first + 3] == ["pair 0", "sensor", "pair 1"]


def test_a_write_that_hangs_reaches_the_file_no_more(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, read_timeout=0.5).bus("one", ["settable"]).write()
    with running(path, registry()) as server:
        before = server.text
        hang = scripts.hang()
        scripts["one__settable"].write = hang
        assert "error" in air.write(SENSOR, "mode", "fast", Genre.CONFIG)
        hang.wait_reached()
        wait_for(lambda: scripts["one"].opened == 2, TIMEOUT, "the bus is replaced")
        hang.release()
        wait_for(lambda: server.server.system.zombies.count() == 0, TIMEOUT, "the thread has come back")
        server.wait_online()
        assert air.read(SENSOR, "mode", Genre.CONFIG)["data"] == "slow"
        assert server.text == before


def test_a_bus_that_hangs_for_ever_is_replaced_until_there_are_too_many_threads(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, read_timeout=0.1, max_backoff=0.05).bus("one").write()
    with running(path, registry()) as server:
        scripts["one__sensor"].read = scripts.hang()
        with server.probe() as probe:
            Requester(probe).read(SENSOR, "temperature", Genre.BASIC, 49)
        # Whoever started this process is to start another one: nothing else ends the threads.
        assert server.server.wait_ended(60)
        assert "only a new process frees them" in str(server.server.reason)
        assert server.server.system.zombies.count() > 100


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
