"""What happens again and again leaves nothing behind; and a server stops in time, whatever it is at."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from brokers import Mosquitto
from brokers import free_port as find_free_port
from faulty_drivers import Configuration, Scripts, gives, raises, registry
from janitoo_actors.api import BusLostError, TemporaryError
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from resilience import SENSOR
from running_server import Requester, RunningServer, running
from waiting import wait_for

PATIENCE = 60.0
"""Seconds for what takes some seconds on a machine that has nothing else to do."""


def threads() -> Counter[str]:
    """The names of all threads but those of pools that grow when they are needed."""
    return Counter(thread.name for thread in threading.enumerate() if not thread.name.startswith("Thread-"))


def timers(server: RunningServer) -> int:
    """How many timers are set."""
    return len(server.server.system.wheel)


def test_three_hundred_crashes_leave_no_thread_and_no_timer(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.001).bus("one", ["sensor", "pair"]).bus("two").write()
    with running(path, registry()) as server:
        server_threads, server_timers, actors = threads(), timers(server), len(server.infos())
        other = scripts["two"].opened
        scripts["one__sensor"].read = raises(BusLostError("the adapter is gone"))
        # It is polled again when it has been restarted, and so goes down again at once; this is the first time.
        with server.probe() as probe:
            Requester(probe).read(SENSOR, "temperature", Genre.BASIC, 49)
        wait_for(lambda: scripts["one"].opened > 300, PATIENCE, lambda: f"300 restarts: {scripts['one'].opened}")
        scripts["one__sensor"].read = gives(20.0)
        wait_for(lambda: set(server.states().values()) == {"ONLINE"}, PATIENCE, lambda: str(server.states()))
        wait_for(lambda: threads() == server_threads, PATIENCE, lambda: f"{threads()}, before: {server_threads}")
        wait_for(lambda: timers(server) == server_timers, PATIENCE, lambda: f"{timers(server)} timers")
        assert len(server.infos()) == actors
        assert scripts["one"].closed == scripts["one"].opened - 1
        assert scripts["two"].opened == other


def test_two_thousand_failed_reads_leave_no_timer(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    keys = [f"s{number}" for number in range(20)]
    path = Configuration(tmp_path, broker, max_backoff=0.02).bus("one", [f"{key}=sensor" for key in keys]).write()
    all_of_them = [scripts[f"one__{key}"] for key in keys]
    for script in all_of_them:
        script.read = raises(TemporaryError("unplugged"))
    with running(path, registry(), online=False) as server:
        wait_for(lambda: sum(script.reads[0] for script in all_of_them) > 2000, PATIENCE, "2,000 failed reads")
        for script in all_of_them:
            script.read = gives(20.0)
        wait_for(lambda: set(server.states().values()) == {"ONLINE"}, PATIENCE, lambda: str(server.states()))
        # One for the heartbeats of each node, the bus's own among them, one for each poll, and the watchdog's.
        wait_for(lambda: timers(server) == 21 + 20 + 1, PATIENCE, lambda: f"{timers(server)} timers")


def test_two_thousand_failed_requests_leave_no_timer(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["switch"]).write()
    with running(path, registry()) as server:
        before = timers(server)
        scripts["one__switch"].read = raises(TemporaryError("unplugged"))
        request = air.request(SENSOR, "state", Genre.USER, 1)
        for number in range(2000):
            since = len(air.probe.messages)
            air.probe.publish(f"/nodes/{SENSOR}/request", {**request, "number": number})
            if number % 50 == 49:
                # No more than may wait for a bus.
                air.probe.wait_message(
                    lambda message, number=number: (
                        message.topic == air.reply_topic  # type: ignore[misc]
                        and message.value["number"] == number
                    ),
                    PATIENCE,
                    since=since,
                )
        answers = [each.value["error"] for each in air.probe.messages if each.topic == air.reply_topic]
        assert answers == ["unplugged"] * 2000
        assert timers(server) == before


def test_servers_that_have_ended_leave_no_thread(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker).bus("one").bus("two").write()
    before = threads()
    for _ in range(5):
        with running(path, registry()):
            pass
    wait_for(lambda: threads() <= before, PATIENCE, lambda: f"{threads()}, before: {before}")
    assert scripts["one"].opened == scripts["one"].closed == 5


@pytest.mark.parametrize("moment", ["at once", "open hangs", "open fails", "read hangs", "close hangs", "no broker"])
def test_a_server_stops_in_time(moment: str, broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    absent = Mosquitto(tmp_path, port=find_free_port())
    path = Configuration(tmp_path, absent if moment == "no broker" else broker).bus("one").bus("two").write()
    hang = scripts.hang()
    script = scripts["one__sensor"]
    match moment:
        case "open hangs":
            script.open = hang
        case "open fails":
            script.open = raises(TemporaryError("not there"))
        case "read hangs":
            script.read = hang
        case "close hangs":
            script.close = hang
        case _:
            pass
    with running(path, registry(), online=False) as server:
        match moment:
            case "open hangs" | "read hangs":
                hang.wait_reached()
            case "open fails":
                # It waits for its back-off, the first of which takes a second.
                server.wait_states(NodeState.OFFLINE, SENSOR)
            case "close hangs" | "no broker":
                server.wait_online()
            case _:
                pass
        assert server.server.stop(PATIENCE)
        assert set(server.states().values()) == {"OFFLINE"} or moment == "at once"
        assert server.server.snapshot() is None
        assert server.server.system.paths() == []
        assert scripts["two"].opened == scripts["two"].closed


def test_stopping_twice_is_no_error(broker: Mosquitto, tmp_path: Path) -> None:
    path = Configuration(tmp_path, broker).bus("one").write()
    with running(path, registry()) as server:
        server.stop()
        server.stop()
