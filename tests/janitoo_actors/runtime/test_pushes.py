"""What a driver pushes by itself: changes, other poll delays, timers; seen from the network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, FaultyBus, Scripts, Sensor, gives, raises, registry
from janitoo_actors.api import Bus, BusLostError, Component, TemporaryError
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message
from resilience import SENSOR, events, wait_value
from running_server import Requester, running, wait_heartbeats
from stage import in_threads
from waiting import wait_for


def of_sensor(message: Message) -> bool:
    return message.topic == f"/values/basic/{SENSOR}/temperature"


def test_a_change_is_published_at_once(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    # The next poll is 300 s away.
    with running(Configuration(tmp_path, broker).bus("one").write(), registry()):
        script = scripts["one__sensor"]
        wait_value(air, 20.0)
        for data in (21.0, 22.0):
            since = len(air.probe.messages)
            script.read = gives(data)
            in_threads(2, lambda _: script.device.changed("temperature"))
            wait_value(air, data, since=since)


def test_a_value_that_is_not_polled_by_time_is_pushed(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    with running(Configuration(tmp_path, broker).bus("one", temperature_poll_0=0).write(), registry()):
        scripts["one__sensor"].device.changed("temperature")
        wait_value(air, 20.0)


def test_a_change_during_a_read_is_read_after_it(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    with running(Configuration(tmp_path, broker).bus("one").write(), registry()):
        script = scripts["one__sensor"]
        wait_value(air, 20.0)
        hang = scripts.hang(then=lambda: 21.0)
        script.read = hang
        script.device.changed("temperature")
        hang.wait_reached()
        script.read = gives(22.0)
        script.device.changed("temperature")
        since = len(air.probe.messages)
        hang.release()
        # What had begun is published, and then what is.
        wait_value(air, 21.0, since=since)
        wait_value(air, 22.0, since=since)


def test_a_flood_of_changes_is_read_now_and_then_and_the_last_one_counts(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    with running(Configuration(tmp_path, broker).bus("one").write(), registry()):
        script = scripts["one__sensor"]
        wait_value(air, 20.0)
        before = script.reads[0]
        level = 0.0
        script.read = lambda _instance: level
        for number in range(20_000):
            level = float(number)
            script.device.changed("temperature")
        wait_value(air, 19_999.0)
        assert script.reads[0] - before < 2_000


def test_a_failed_read_after_a_change(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()
    with running(path, registry()):
        script = scripts["one__sensor"]
        script.read = raises(TemporaryError("the sensor is unplugged"))
        since = len(air.probe.messages)
        script.device.changed("temperature")
        wait_value(air, None, since=since)
        wait_heartbeats(air.probe, [SENSOR], NodeState.OFFLINE, since=since)
        script.read = gives(21.0)
        wait_value(air, 21.0, since=since)
        wait_heartbeats(air.probe, [SENSOR], NodeState.ONLINE, since=since)


def test_what_a_device_says_after_its_bus_has_ended_goes_nowhere(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()
    with running(path, registry()) as server:
        script = scripts["one__sensor"]
        old = script.device
        script.read = raises(BusLostError("the adapter is gone"), BusLostError("the adapter is gone"), then=20.5)
        old.changed("temperature")
        wait_for(lambda: script.opened >= 3, TIMEOUT, "the bus is restarted twice")
        server.wait_online(SENSOR)
        wait_value(air, 20.5)
        reads = script.reads[0]
        old.changed("temperature")
        # One who is asked later has answered: had the first come through, it would have been before.
        air.settle("0701/0000")
        assert script.device is not old
        assert script.reads[0] == reads
        script.device.changed("temperature")
        script.wait_reads(0)
        wait_for(lambda: script.reads[0] == reads + 1, TIMEOUT, "the new one is read")
    old.changed("temperature")
    script.device.changed("temperature")


def test_a_fenced_bus_is_not_heard(broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, read_timeout=0.3).bus("one").write()
    with running(path, registry()) as server:
        script = scripts["one__sensor"]
        old = script.device
        hang = scripts.hang()
        script.read = hang
        old.changed("temperature")
        hang.wait_reached()
        wait_for(lambda: script.opened >= 2 and script.device is not old, TIMEOUT, "it is replaced")
        script.read = gives(23.0)
        script.device.changed("temperature")
        wait_value(air, 23.0)
        server.wait_online(SENSOR)
        reads = script.reads[0]
        old.changed("temperature")
        old.every(0.01, lambda: old.changed("temperature"))
        air.settle("0701/0000")
        assert script.reads[0] == reads


class Listener(FaultyBus):
    """A bus that notes what it hears, and fails then where the test says so."""

    heard_of: ClassVar[list[tuple[Bus, Any]]] = []
    fail: ClassVar[Callable[[], Any]] = lambda: None

    def heard(self, component: Component, uuid: str, data: Sequence[Any]) -> None:  # noqa: ARG002 - there is one
        """Note it."""
        self.heard_of.append((self, data[0]))
        type(self).fail()


@pytest.fixture
def listeners() -> Iterator[Registry]:
    yield Registry({"faulty": Listener}, {Sensor.oid: Sensor})
    Listener.heard_of.clear()
    Listener.fail = lambda: None


def test_a_fenced_bus_hears_of_no_more_reads(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts, listeners: Registry
) -> None:
    # What it would do then, as to write to a component, it would do to the devices of its successor.
    path = Configuration(tmp_path, broker, read_timeout=0.3).bus("one").write()
    with running(path, listeners) as server:
        wait_value(air, 20.0)
        script = scripts["one__sensor"]
        old = script.device
        hang = scripts.hang(then=lambda: 99.0)
        script.read = hang
        old.changed("temperature")
        hang.wait_reached()
        wait_for(lambda: script.opened >= 2 and script.device is not old, TIMEOUT, "it is replaced")
        script.read = gives(23.0)
        script.device.changed("temperature")
        wait_value(air, 23.0)
        hang.release()
        wait_for(lambda: server.server.system.zombies.count() == 0, TIMEOUT, "it comes back")
        assert [data for bus, data in Listener.heard_of if bus is old.bus] == [20.0]


def test_a_bus_that_fails_whenever_it_hears_is_told_of_once(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts, listeners: Registry
) -> None:
    data = iter(range(1000))
    scripts["one__sensor"].read = lambda _instance: float(next(data))
    Listener.fail = raises(LookupError("a bug"))
    path = Configuration(tmp_path, broker).bus("one", temperature_poll_0=0.02).write()
    with capture_logs() as log, running(path, listeners):
        wait_for(lambda: len(Listener.heard_of) > 5, TIMEOUT, "it hears")
        (event,) = events(log, "driver_call_failed")
        assert (event["call"], event["error"]) == ("heard one__sensor temperature", "LookupError: a bug")
        assert "raise errors[0]" in event["traceback"]
        Listener.fail = lambda: None
        wait_for(lambda: events(log, "driver_call_recovered"), TIMEOUT, "it is told that it works")


def test_a_thread_of_a_library_has_something_called_on_the_thread_of_the_bus(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    with running(Configuration(tmp_path, broker).bus("one").write(), registry()):
        wait_value(air, 20.0)
        script = scripts["one__sensor"]
        device = script.device
        called: list[str] = []
        hang = scripts.hang()
        script.read = hang
        device.changed("temperature")
        hang.wait_reached()
        # As long as the bus is at something else, a flood makes one call.

        def flood(_number: int) -> None:
            for _ in range(1000):
                device.soon(lambda: called.append(threading.current_thread().name), key="edge")

        in_threads(4, flood)
        device.soon(lambda: called.append("another"), key="other")
        hang.release()
        wait_for(lambda: len(called) >= 2, TIMEOUT, "they are called")
        assert called == ["/buses/one/bus", "another"]
        device.soon(lambda: called.append("again"), key="edge")
        wait_for(lambda: called[2:] == ["again"], TIMEOUT, "and again")
    device.soon(lambda: called.append("after its end"))
    assert called[3:] == []


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_thread_of_a_library_pushes(broker: Mosquitto, air: Requester, tmp_path: Path, isolation: str) -> None:
    file = tmp_path / "level"
    file.write_text("1", encoding="ascii")
    made = Configuration(tmp_path, broker).bus("one", ["pusher"], own={"isolation": isolation}, file_0=file)
    with running(made.write(), registry()):
        wait_value(air, 1.0, uuid="level")
        (tmp_path / "new").write_text("2.5", encoding="ascii")
        (tmp_path / "new").rename(file)
        wait_value(air, 2.5, uuid="level")


def test_a_driver_changes_how_often_it_is_polled(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    with running(Configuration(tmp_path, broker).bus("one", temperature_poll_0=0.02).write(), registry()) as server:
        script = scripts["one__sensor"]
        script.wait_reads(2)
        device = script.device
        device.poll_every("temperature", 0)
        server.wait_online(SENSOR)
        wait_for(lambda: _is_quiet(air, scripts), TIMEOUT, "no more polls")
        # What is written over the air counts when the driver lets it.
        air.write(SENSOR, "temperature_poll", 0.03, Genre.CONFIG)
        assert _is_quiet(air, scripts)
        since = len(air.probe.messages)
        script.read = gives(25.0)
        device.poll_every("temperature", 300)
        # At once, as the last poll is long ago.
        wait_value(air, 25.0, since=since)
        assert _is_quiet(air, scripts)
        device.poll_every("temperature", None)
        script.wait_reads(3)


def _is_quiet(air: Requester, scripts: Scripts) -> bool:
    """Whether nothing is read in the time of several questions and answers, each of them longer than the delay."""
    reads = scripts["one__sensor"].reads[0]
    for _ in range(5):
        air.settle("0701/0000")
        threading.Event().wait(0.02)
    return scripts["one__sensor"].reads[0] == reads


def test_timers_run_on_the_thread_of_the_bus(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    threads: list[str] = []
    script = scripts["one__sensor"]

    def begin() -> None:
        script.device.every(0.01, lambda: threads.append(threading.current_thread().name), key="every")
        script.device.after(0.01, lambda: threads.append("never"), key="once")
        script.device.after(0.02, lambda: threads.append("once"), key="once")

    script.open = begin
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()
    with capture_logs() as log, running(path, registry()):
        wait_for(lambda: threads.count("/buses/one/bus") > 2 and "once" in threads, TIMEOUT, lambda: f"{threads}")
        assert "never" not in threads
        script.device.after(0, raises(TemporaryError("the relay sticks")))
        wait_for(lambda: events(log, "driver_call_failed"), TIMEOUT, "the log has it")
        assert events(log, "driver_call_failed")[0]["error"] == "the relay sticks"
        # The bus has not noticed; but for this one it is the end.
        assert script.opened == 1
        script.device.after(0, raises(BusLostError("the adapter is gone")), key="lost")
        wait_for(lambda: script.opened == 2, TIMEOUT, "the bus is restarted")
