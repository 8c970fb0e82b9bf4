"""A broker that is absent, restarted, killed or refuses us: the server runs on, and is back with it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTErrorCode
from structlog.testing import capture_logs

from brokers import BrokerFactory, Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, gives, raises, registry
from janitoo_actors.api import TemporaryError
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime import mqtt
from janitoo_actors.runtime.messages import Publish
from janitoo_actors.runtime.mqtt import Connected, Disconnected, Event, LoopEnded, MqttConnection
from mqtt_probe import Probe
from resilience import SENSOR, events, wait_value
from running_server import Requester, running, wait_heartbeats
from waiting import wait_for

NODES = ("0701/0000", SENSOR)


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries to connect again come sooner than in the field."""
    monkeypatch.setattr(mqtt, "SHORTEST_RETRY", 0.05)
    monkeypatch.setattr(mqtt, "LONGEST_RETRY", 0.2)


def test_a_broker_that_is_absent_at_the_start(private_broker: BrokerFactory, tmp_path: Path, scripts: Scripts) -> None:
    broker = private_broker()
    broker.stop()
    path = Configuration(tmp_path, broker).bus("one").write()
    with capture_logs() as log, running(path, registry(), online=False) as server:
        # The buses do not wait for it. Nobody has made the tries come sooner: the first is after a second.
        server.wait_online()
        wait_for(lambda: events(log, "mqtt_disconnected"), TIMEOUT, "the first try")
        broker.start()
        with Probe(broker.host, broker.port) as probe:
            air = Requester(probe)
            wait_heartbeats(probe, NODES, NodeState.ONLINE)
            wait_value(air, 20.0)
            assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["data"] == 20.0
        (failed,) = events(log, "mqtt_disconnected")
        assert failed["error"] == "Connection refused"
        assert failed["broker"] == f"127.0.0.1:{broker.port}"
        assert scripts["one"].opened == 1


@pytest.mark.usefixtures("retries")
@pytest.mark.parametrize("leave", [Mosquitto.stop, Mosquitto.kill], ids=["stopped", "killed"])
def test_a_broker_that_vanishes_and_comes_back(
    leave: Callable[[Mosquitto], None],
    private_broker: BrokerFactory,
    tmp_path: Path,
    scripts: Scripts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is published once, on the new connection, is for those who are there by then: the probe comes first.
    gate = threading.Event()
    gate.set()
    connect = paho.Client.connect

    def after_the_probe(self: paho.Client, *args: Any, **kwargs: Any) -> MQTTErrorCode:
        if threading.current_thread().name == "mqtt-one":
            assert gate.wait(TIMEOUT)
        return connect(self, *args, **kwargs)

    monkeypatch.setattr(paho.Client, "connect", after_the_probe)
    broker = private_broker()
    configuration = Configuration(tmp_path, broker, max_backoff=0.05)
    configuration.bus("one", ["sensor", "pair", "switch"], temperature_poll_0=0.05)
    scripts["one__switch"].read = gives("off")
    with (
        capture_logs() as log,
        running(configuration.write(), registry()) as server,
        Probe(broker.host, broker.port) as probe,
    ):
        air = Requester(probe)
        assert air.write("0701/0003", "state", "off", Genre.USER, 1)["data"] == "off"
        for _ in range(2):
            gate.clear()
            leave(broker)
            # While it is away polls go on, states change, and values are read that nobody hears of.
            scripts["one__sensor"].wait_reads(5)
            scripts["one__sensor"].read = raises(TemporaryError("the sensor is unplugged"))
            server.wait_states(NodeState.OFFLINE, SENSOR)
            since = len(probe.messages)
            broker.start()
            wait_until_it_hears(probe)
            gate.set()
            wait_heartbeats(probe, [SENSOR], NodeState.OFFLINE, since=since)
            wait_heartbeats(probe, ["0701/0000", "0701/0002", "0701/0003"], NodeState.ONLINE, since=since)
            wait_value(air, None, since=since)
            # What is polled every five minutes, or was written, is not left for so long.
            probe.wait_message(
                lambda message: (
                    message.topic == "/values/basic/0701/0002/level"
                    and [message.value[index]["data"] for index in "01"] == [20.0, 21.0]
                ),
                TIMEOUT,
                since=since,
            )
            probe.wait_message(lambda message: message.topic == "/values/user/0701/0003/state", TIMEOUT, since=since)
            # It hears requests again: to all, to the controller, to a node.
            assert air.discover("nodes")
            assert air.discover("nodes", "0701/0000")
            assert air.read("0701/0002", "location", Genre.CONFIG)["data"] == "Default location"
            scripts["one__sensor"].read = gives(25.0)
            server.wait_online()
            wait_value(air, 25.0, since=since)
        assert len(events(log, "mqtt_reconnected")) == 2
        assert scripts["one"].opened == 1
        assert all(info.restarts == 0 for info in server.infos())


def wait_until_it_hears(probe: Probe) -> None:
    """Wait until a probe has its subscriptions to values again."""
    since = len(probe.messages)

    def heard() -> bool:
        # It cannot publish before it is connected again.
        with contextlib.suppress(ConnectionError):
            probe.publish("/values/are/you/there", "")
        return any(message.topic == "/values/are/you/there" for message in probe.messages[since:])

    wait_for(heard, TIMEOUT, "the probe hears again")


@pytest.mark.usefixtures("retries")
def test_tries_in_vain_are_logged_once_and_counted(
    private_broker: BrokerFactory, tmp_path: Path, scripts: Scripts
) -> None:
    broker = private_broker()
    broker.stop()
    path = Configuration(tmp_path, broker).bus("one").write()
    with capture_logs() as log, running(path, registry(), online=False) as server:
        server.wait_online()

        def ten_times() -> bool:
            return any(event.get("times") == 10 for event in events(log, "mqtt_disconnected"))

        wait_for(ten_times, TIMEOUT, lambda: f"ten tries: {log}")
        assert [event.get("times") for event in events(log, "mqtt_disconnected")] == [None, 10]
        broker.start()
        (back,) = wait_for(lambda: events(log, "mqtt_reconnected"), TIMEOUT, "the connection")
        assert back["failures"] >= 10
    assert scripts["one"].closed == 1


@pytest.mark.usefixtures("retries")
@pytest.mark.parametrize(
    ("credentials", "hint"),
    [({"broker_user": "ada", "broker_password": "wrong"}, ": check broker_user and broker_password"), ({}, "")],
    ids=["wrong password", "no user"],
)
def test_a_broker_that_refuses_us(
    credentials: dict[str, str], hint: str, private_broker: BrokerFactory, tmp_path: Path
) -> None:
    broker = private_broker(username="ada", password="right")
    path = Configuration(tmp_path, broker, **credentials).bus("one").write()
    with capture_logs() as log, running(path, registry(), online=False) as server:
        # It keeps trying: the broker counts.
        wait_for(lambda: broker.log.count("not authorised") >= 4, TIMEOUT, lambda: broker.log)
        server.wait_online()
        (refused,) = events(log, "mqtt_disconnected")
        assert refused["error"] == f"the broker refuses the connection (Not authorized){hint}"
        assert "wrong" not in str(log)
        # No permission does not keep it from its end.
        server.stop()


@pytest.mark.usefixtures("retries")
def test_a_file_without_the_certificate_of_the_broker_s_authority(
    private_broker: BrokerFactory, tmp_path: Path, scripts: Scripts
) -> None:
    broker = private_broker(tls=True)
    certificate = tmp_path / "authority.crt"
    certificate.write_text("to be copied here", encoding="utf-8")
    path = Configuration(tmp_path, broker, broker_ca_file=certificate).bus("one").write()
    with capture_logs() as log, running(path, registry(), online=False) as server:
        server.wait_online()
        (failed,) = wait_for(lambda: events(log, "mqtt_disconnected"), TIMEOUT, "the first try")
        assert failed["error"] == f"cannot use broker_ca_file = {certificate}: there is no certificate in it"
        # Somebody copies it; nothing has to be restarted for that.
        replacement = tmp_path / "replacement.crt"
        shutil.copy(broker.ca_file, replacement)
        replacement.replace(certificate)
        wait_for(lambda: events(log, "mqtt_reconnected"), TIMEOUT, lambda: f"the connection: {log}")
        assert scripts["one"].opened == 1
        assert all(info.restarts == 0 for info in server.infos())


@pytest.mark.usefixtures("retries")
def test_the_connection_s_thread_dies(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").bus("two").write()
    with capture_logs() as log, running(path, registry()) as server:
        # A fault of paho's, or of ours in one of its callbacks, comes out of its loop; none is known, so that the
        # loop itself is made to fail, once.
        loop = paho.Client.loop_read
        failed = threading.Event()

        def failing(self: paho.Client, *args: Any, **kwargs: Any) -> MQTTErrorCode:
            if threading.current_thread().name == "mqtt-one" and not failed.is_set():
                failed.set()
                raise RuntimeError("a bug in the loop")
            return loop(self, *args, **kwargs)

        since = len(air.probe.messages)
        monkeypatch.setattr(paho.Client, "loop_read", failing)
        # Whatever comes from the network wakes the loop.
        air.probe.publish("/broadcast/request", "")
        assert failed.wait(TIMEOUT)
        wait_heartbeats(air.probe, NODES, NodeState.ONLINE, since=since)
        wait_value(air, 20.0, since=since)
        assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["data"] == 20.0
        (ended,) = events(log, "child_terminated")
        assert (ended["path"], ended["error"]) == (
            "/buses/one/link",
            "RuntimeError: the thread of the MQTT connection has ended",
        )
        assert "a bug in the loop" in ended["traceback"]
        # With its bus, in order; and without the other one.
        assert (scripts["one"].opened, scripts["one"].closed) == (2, 1)
        assert scripts["two"].opened == 1
        assert next(info.restarts for info in server.infos() if info.path == "/buses/one/link") == 1


class Waits(threading.Event):
    """An event that does not wait, and remembers for how long it should have; it is set after so many waits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._most = most

    def wait(self, timeout: float | None = None) -> bool:
        """Wait not at all."""
        self.waits.append(timeout)
        if len(self.waits) == self._most:
            self.set()
        return self.is_set()


def connection(broker: BrokerConfig, told: list[Event]) -> MqttConnection:
    """A connection that tells a list."""
    return MqttConnection(broker, "test", ("/will", b""), ["/a"], told.append)


def test_the_delays_between_tries_grow_from_one_second_to_thirty(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Event] = []
    tested = connection(BrokerConfig(port=free_port), told)
    waits = Waits(8)
    # Nobody wants to wait for a minute: the event that its thread waits for is one that does not wait.
    monkeypatch.setattr(tested, "_closing", waits)
    tested.start()
    assert tested.join(TIMEOUT)
    assert waits.waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert told == [Disconnected("Connection refused")] * 8


def test_a_connection_that_is_closed_while_it_is_made_is_closed(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Event] = []
    tested = connection(BrokerConfig(port=broker.port), told)
    connecting, closed = threading.Event(), threading.Event()
    connect = paho.Client.connect

    def slow(self: paho.Client, *args: Any, **kwargs: Any) -> MQTTErrorCode:
        connecting.set()
        assert closed.wait(TIMEOUT)
        return connect(self, *args, **kwargs)

    monkeypatch.setattr(paho.Client, "connect", slow)
    tested.start()
    assert connecting.wait(TIMEOUT)
    tested.close()
    closed.set()
    assert tested.join(TIMEOUT), "its thread goes on"
    assert not any(isinstance(event, LoopEnded) for event in told)


@pytest.mark.usefixtures("scripts")
def test_a_broker_that_takes_nothing_costs_the_oldest_messages_and_no_memory(
    private_broker: BrokerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "MOST_WAITING", 20)
    broker = private_broker()
    path = Configuration(tmp_path, broker).bus("one").write()
    with (
        capture_logs() as log,
        running(path, registry()) as server,
        Probe(broker.host, broker.port, subscribe=["/test"]) as probe,
    ):
        sent = iter(range(1_000_000))

        def is_full() -> bool:
            # More than what the kernel keeps for a socket.
            for _ in range(100):
                server.server.system.tell("/buses/one/link", Publish("/test", b"%d %b" % (next(sent), b"x" * 100_000)))
            return bool(events(log, "mqtt_queue_full"))

        with broker.frozen():
            wait_for(is_full, TIMEOUT, "a full queue")
        # Again where the kernel has taken some more of it meanwhile.
        assert "the oldest are dropped" in events(log, "mqtt_queue_full")[0]["error"]
        air = Requester(probe)

        def moves() -> bool:
            # What is published next finds the queue empty, when that has gone.
            assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["data"] == 20.0
            return bool(events(log, "mqtt_queue_moves"))

        wait_for(moves, TIMEOUT, "the queue moves")
        newest = b"%d " % (next(sent) - 1)
        probe.wait_message(lambda message: message.topic == "/test" and message.payload.startswith(newest), TIMEOUT)


def test_no_keep_alive_is_no_busy_loop(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    wait = MqttConnection._wait_for

    def noted(self: MqttConnection, sock: Any, patience: float, *, to_write: bool) -> bool:
        naps.append(patience)
        return wait(self, sock, patience, to_write=to_write)

    monkeypatch.setattr(MqttConnection, "_wait_for", noted)
    told: list[Event] = []
    tested = connection(BrokerConfig(port=broker.port, keepalive=0), told)
    tested.start()
    wait_for(lambda: Connected() in told, TIMEOUT, "the connection")
    tested.close()
    assert tested.join(TIMEOUT)
    assert min(naps) > 1
