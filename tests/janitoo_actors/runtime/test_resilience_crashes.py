"""A bus that crashes: it restarts alone, with back-off; the network is told at once; the others miss nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, UnspeakableExit, gives, raises, registry
from janitoo_actors.api import BusLostError, PermanentError, TemporaryError
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime import bus as bus_module
from janitoo_actors.runtime.messages import NodeChanged
from resilience import SENSOR, events, wait_value
from running_server import Requester, RunningServer, running, wait_heartbeats
from waiting import wait_for

ALL = ("0701/0000", SENSOR, "0701/0002")
OTHER_BUS = "0702/0001"
GONE = BusLostError("the adapter is gone")


def restarts(server: RunningServer, path: str) -> int:
    """How often an actor has been restarted."""
    return next(info.restarts for info in server.infos() if info.path == path)


@pytest.mark.parametrize(
    "error",
    [GONE, SystemExit(1), KeyboardInterrupt(), GeneratorExit(), UnspeakableExit()],
    ids=["BusLostError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "unspeakable"],
)
def test_a_bus_that_crashes_in_a_read_restarts_alone(
    error: BaseException, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    configuration = Configuration(tmp_path, broker, max_backoff=0.05)
    configuration.bus("one", ["sensor", "other=sensor"], temperature_poll_0=0.05)
    configuration.bus("two", temperature_poll_0=0.05)
    with running(configuration.write(), registry()) as server:
        since = len(air.probe.messages)
        # It cannot be opened again until the test says so.
        scripts["one"].open = raises(TemporaryError("no adapter is plugged in"))
        scripts["one__sensor"].read = raises(error)
        wait_heartbeats(air.probe, ALL, NodeState.OFFLINE, since=since)

        # It is tried again and again; meanwhile the others go on, and who asks is answered.
        wait_for(lambda: scripts["one"].opened >= 4, TIMEOUT, "further tries to open the bus")
        scripts["two__sensor"].wait_reads(5)
        assert air.read(OTHER_BUS, "temperature", Genre.BASIC, 49)["data"] == 20.0
        nodes = air.discover("nodes", "0701/0000")
        assert {node["state"] for node in nodes.values()} == {"OFFLINE"}
        answer = air.read(SENSOR, "temperature", Genre.BASIC, 49)
        assert answer["error"] == "one is not running: no adapter is plugged in"

        since = len(air.probe.messages)
        scripts["one__sensor"].read = gives(25.0)
        scripts["one"].open = gives(None)
        wait_heartbeats(air.probe, ALL, NodeState.ONLINE, since=since)
        wait_value(air, 25.0, since=since)
        assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["data"] == 25.0
        # The link stayed, and so did the other bus; whatever was opened has been closed.
        assert restarts(server, "/buses/one/link") == 0
        assert restarts(server, "/buses/two/bus") == 0
        assert server.states()[OTHER_BUS] == "ONLINE"
        assert scripts["two"].opened == 1
        assert scripts["one"].closed == scripts["one"].opened - 1
        assert scripts["one__other"].closed >= 1


def test_a_crash_is_logged_with_what_went_wrong(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", temperature_poll_0=0.05).write()
    with capture_logs() as log, running(path, registry()) as server:
        scripts["one"].open = raises(TemporaryError("no adapter is plugged in"))
        scripts["one__sensor"].read = raises(GONE)
        wait_for(lambda: scripts["one"].opened >= 5, TIMEOUT, "further tries to open the bus")
        scripts["one__sensor"].read = gives(25.0)
        scripts["one"].open = gives(None)
        server.wait_online()
        (lost,) = [event for event in events(log, "child_terminated") if event["path"] == "/buses/one/bus"]
        assert lost["error"] == "BusLostError: the adapter is gone"
        assert lost["retry_in"] >= 0
        assert "traceback" not in lost
        failed = [event for event in events(log, "start_error") if event["path"] == "/buses/one/bus"]
        assert [event["error"] for event in failed if "times" not in event] == [
            "TemporaryError: no adapter is plugged in"
        ]
        (again,) = [event for event in events(log, "started_again") if event["path"] == "/buses/one/bus"]
        assert again["failures"] >= 3


def test_a_crash_by_a_bug_is_logged_with_its_traceback(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()
    scripts["one"].open = raises(ZeroDivisionError("a bug"), ZeroDivisionError("a bug"))
    with capture_logs() as log, running(path, registry()):
        (failed,) = events(log, "start_error")
        assert failed["error"] == "ZeroDivisionError: a bug"
        assert "faulty_drivers.py" in failed["traceback"]


@pytest.mark.parametrize("where", ["one", "one__sensor"], ids=["bus", "component"])
@pytest.mark.parametrize("error", [TemporaryError("not there"), PermanentError("no library"), ZeroDivisionError()])
def test_what_cannot_be_opened_at_boot_and_can_later(
    where: str, error: Exception, *, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    scripts[where].open = raises(error)
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").bus("two").write()
    with running(path, registry(), online=False) as server:
        server.wait_online("0702/0000", OTHER_BUS)
        server.wait_states(NodeState.OFFLINE, "0701/0000", SENSOR)
        server.wait_connected()
        assert air.discover("nodes", "0701/0000")["one"]["state"] == "OFFLINE"
        wait_for(lambda: scripts[where].opened >= 3, TIMEOUT, "further tries")
        scripts[where].open = gives(None)
        server.wait_online()
        wait_value(air, 20.0)
        # Each try closes what it has opened, where that failed too.
        assert scripts[where].closed == scripts[where].opened - 1
    assert scripts[where].closed == scripts[where].opened
    assert scripts["one"].closed == scripts["one"].opened


def test_a_close_that_raises_keeps_nothing_from_being_closed(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", ["sensor", "other=sensor"]).write()
    with capture_logs() as log, running(path, registry()) as server:
        for uuid in ("one", "one__sensor", "one__other"):
            scripts[uuid].close = raises(OSError("it does not close"))
        server.stop()
        assert [event["device"] for event in events(log, "close_failed")] == ["one__other", "one__sensor", "one"]
    assert [scripts[uuid].closed for uuid in ("one", "one__sensor", "one__other")] == [1, 1, 1]


@pytest.mark.parametrize("how", ["in a read", "in open"])
def test_a_close_that_hangs_after_a_failure_does_not_keep_the_bus_from_its_restart(
    how: str,
    *,
    broker: Mosquitto,
    air: Requester,
    tmp_path: Path,
    scripts: Scripts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "CLOSE_TIMEOUT", 0.2)
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", temperature_poll_0=0.05).write()
    hang = scripts.hang()
    script = scripts["one__sensor"]
    script.close = hang
    if how == "in open":
        script.open = raises(TemporaryError("not there"))
    with running(path, registry(), online=False) as server:
        if how == "in a read":
            server.wait_online()
            script.read = raises(GONE)
        hang.wait_reached()
        # The network does not wait for it.
        server.wait_states(NodeState.OFFLINE, "0701/0000", SENSOR)
        script.read = gives(25.0)
        script.open = gives(None)
        server.wait_online()
        wait_value(air, 25.0)
        script.close = gives(None)
        hang.release()
        # What was left behind changes nothing when it comes back.
        script.wait_reads(3)
        assert set(server.states().values()) == {"ONLINE"}


def test_who_waits_for_a_bus_that_crashes_is_answered(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()

    def crash() -> None:
        raise GONE

    with running(path, registry()) as server:
        hang = scripts.hang(then=crash)
        scripts["one__sensor"].read = hang
        since = len(air.probe.messages)
        for number in range(3):
            request = air.request(SENSOR, "temperature", Genre.BASIC, 49, number=number)
            air.probe.publish(f"/nodes/{SENSOR}/request", request)
        hang.wait_reached()
        # The node answers this by itself, after it has passed on what came before.
        air.read(SENSOR, "name", Genre.CONFIG)
        scripts["one__sensor"].read = gives(25.0)
        hang.release()
        for number in range(3):
            answer = air.probe.wait_message(
                lambda message, number=number: (
                    message.topic == air.reply_topic  # type: ignore[misc]
                    and message.value.get("number") == number
                ),
                TIMEOUT,
                since=since,
            ).value
            assert answer["error"]
        server.wait_online()


def test_a_last_reading_does_not_bring_the_nodes_of_a_lost_bus_back(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one").write()
    with running(path, registry()) as server:
        script = scripts["one"]
        script.open = raises(TemporaryError("no adapter is plugged in"))
        with server.probe("/dhcp/heartbeat/#") as probe:
            scripts["one__sensor"].read = raises(GONE)
            requester = Requester(server.probe())
            requester.read(SENSOR, "temperature", Genre.BASIC, 49)
            requester.probe.close()
            server.wait_states(NodeState.OFFLINE)
            # What a node does that hears of a good reading from before the crash.
            node = next(node for node in server.nodes if str(node.hadd) == SENSOR)
            since = len(probe.messages)
            changed = NodeChanged(Hadd.parse(SENSOR), NodeState.ONLINE, "")
            assert server.server.system.tell("/buses/one/link", changed)
            # Answered after it.
            requester = Requester(server.probe())
            requester.discover("nodes")
            requester.probe.close()
            assert node.state is NodeState.OFFLINE
            assert b"ONLINE" not in [message.payload for message in probe.messages[since:]]
        script.open = gives(None)
        scripts["one__sensor"].read = gives(25.0)
        server.wait_online()
