"""Drivers with bugs: whatever they return or raise, it is a failure of that read, and of nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, Configuration, Scripts, Unspeakable, gives, raises, registry
from janitoo_actors.configuration.loader import load
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from resilience import SENSOR, events, wait_value
from running_server import Requester, RunningServer, running

OTHER = "0701/0002"


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    data: list[Any] = []
    for _ in range(depth):
        data = [data]
    return data


def endless() -> list[Any]:
    """A list that holds itself."""
    data: list[Any] = []
    data.append(data)
    return data


def nothing_has_restarted(server: RunningServer) -> bool:
    """Whether every actor of the tree is the first of its path."""
    return all(info.restarts == 0 for info in server.infos())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (object(), "TypeError: Object of type object is not JSON serializable"),
        ({1, 2}, "TypeError: Object of type set is not JSON serializable"),
        (b"bytes", "TypeError: Object of type bytes is not JSON serializable"),
        (1j, "TypeError: Object of type complex is not JSON serializable"),
        ([math.nan], "ValueError: Out of range float values are not JSON compliant"),
        ({"a": {"b": math.inf}}, "ValueError: Out of range float values are not JSON compliant"),
        ({(1, 2): 3}, "TypeError: keys must be str, int, float, bool or None, not tuple"),
        (10**5000, "ValueError: Exceeds the limit"),
        (nested(100_000), "RecursionError: maximum recursion depth exceeded"),
        (endless(), "ValueError: Circular reference detected"),
    ],
    ids=["object", "set", "bytes", "complex", "NaN inside", "infinity inside", "key", "digits", "nested", "endless"],
)
def test_data_that_json_cannot_carry_are_a_failed_read(
    data: Any, said: str, *, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    components = ["sensor", "other=sensor"]
    path = Configuration(tmp_path, broker, max_backoff=0.05)
    scripts["one__sensor"].read = gives(data)
    with running(path.bus("one", components, temperature_poll_0=0.05).write(), registry(), online=False) as server:
        server.wait_connected()
        server.wait_states(NodeState.OFFLINE, SENSOR)
        reason = next(node.reason for node in server.nodes if str(node.hadd) == SENSOR)
        assert reason.startswith(f"temperature: {said}")
        assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["error"].startswith(said)
        assert air.discover("basics", "0701/0000")[SENSOR]["temperature"]["0"]["data"] is None
        scripts["one__other"].wait_reads(3)
        server.wait_online("0701/0000", OTHER)
        scripts["one__sensor"].read = gives(21.5)
        server.wait_online()
        assert nothing_has_restarted(server)
        assert scripts["one"].opened == 1


@pytest.mark.parametrize("data", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_null(
    data: float, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    scripts["one__sensor"].read = gives(data)
    path = Configuration(tmp_path, broker).bus("one").write()
    with running(path, registry()) as server:
        wait_value(air, None)
        answer = air.read(SENSOR, "temperature", Genre.BASIC, 49)
        assert answer["data"] is None
        assert "error" not in answer
        assert nothing_has_restarted(server)


@pytest.mark.parametrize(
    "data",
    ["", "a text", "кошка ☃ \x00 \udcff", True, {"a": [1, None]}, list(range(200_000)), "x" * 1_000_000],
    ids=["empty", "text", "odd letters", "bool", "object", "huge list", "huge text"],
)
def test_whatever_json_can_carry_is_published(
    data: Any, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    scripts["one__sensor"].read = gives(data)
    path = Configuration(tmp_path, broker).bus("one").write()
    with running(path, registry()) as server:
        wait_value(air, data)
        assert air.discover("basics", "0701/0000")[SENSOR]["temperature"]["0"]["data"] == data
        assert nothing_has_restarted(server)


def test_data_that_the_driver_changes_afterwards_are_as_they_were_read(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    data: dict[str, Any] = {"a": 1}
    scripts["one__sensor"].read = gives(data)
    path = Configuration(tmp_path, broker).bus("one").write()
    with running(path, registry()) as server:
        wait_value(air, {"a": 1})
        # It was the driver's own, and holds now what nothing can send.
        data["b"] = {1, 2}
        assert air.discover("basics", "0701/0000")[SENSOR]["temperature"]["0"]["data"] == {"a": 1}
        assert nothing_has_restarted(server)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(), "ValueError: without a word"),
        (OSError(), "OSError: without a word"),
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error"),
        (ValueError("кошка ☃ \udcff"), "ValueError: кошка ☃ \udcff"),
        (ValueError("x" * 100_000), "ValueError: " + "x" * 100_000),
        (Unspeakable(), "Unspeakable: it fails to say what is wrong"),
        (StopIteration(3), "StopIteration: 3"),
        (MemoryError(), "MemoryError: without a word"),
        (ExceptionGroup("both", [ValueError("one"), OSError("two")]), "ExceptionGroup: both (2 sub-exceptions)"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_whatever_a_read_raises_is_a_failed_read(
    error: Exception, said: str, *, broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    scripts["one__sensor"].read = raises(error)
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", ["sensor", "other=sensor"]).write()
    with running(path, registry(), online=False) as server:
        server.wait_connected()
        server.wait_states(NodeState.OFFLINE, SENSOR)
        server.wait_online("0701/0000", OTHER)
        assert air.read(SENSOR, "temperature", Genre.BASIC, 49)["error"] == said
        scripts["one__sensor"].read = gives(21.5)
        server.wait_online()
        assert nothing_has_restarted(server)


def test_a_reader_with_the_wrong_signature(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = Configuration(tmp_path, broker, max_backoff=0.02).bus("one", ["sensor", "wrong_reader"]).write()
    with capture_logs() as log, running(path, registry(), online=False) as server:
        server.wait_states(NodeState.OFFLINE, OTHER)
        server.wait_online("0701/0000", SENSOR)
        (failed,) = events(log, "read_failed")
        assert "takes 1 positional argument but 2 were given" in failed["error"]
        # A bug: where it is says the traceback.
        assert "Traceback" in failed["traceback"]
        assert scripts["one"].opened == 1


def test_a_bug_in_the_check_of_what_is_written(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    scripts["one__switch"].read = gives("off")
    path = Configuration(tmp_path, broker).bus("one", ["switch"]).write()
    with running(path, registry()) as server:
        answer = air.write(SENSOR, "mode", "odd", Genre.CONFIG)
        assert answer["error"] == "mode = 'odd': KeyError: 'odd'"
        assert answer["data"] == "good"
        assert "mode" not in server.text
        assert set(server.states().values()) == {"ONLINE"}
        assert nothing_has_restarted(server)
        assert "error" not in air.write(SENSOR, "mode", "good", Genre.CONFIG)


def test_a_driver_that_cannot_be_made_leaves_out_its_bus_alone(
    broker: Mosquitto, tmp_path: Path, scripts: Scripts
) -> None:
    path = Configuration(tmp_path, broker).bus("one", ["sensor", "broken_init"]).bus("two").write()
    (problem,) = load(path, registry()).problems
    assert "[one__broken_init]" in str(problem)
    assert "LookupError: a bug in __init__" in str(problem)
    with running(path, registry()) as server:
        assert server.states() == {"0702/0000": "ONLINE", "0702/0001": "ONLINE"}
        assert scripts["one"].opened == 0


def test_a_write_that_crashes_the_bus_is_answered(
    broker: Mosquitto, air: Requester, tmp_path: Path, scripts: Scripts
) -> None:
    scripts["one__switch"].write = raises(SystemExit(3))
    path = Configuration(tmp_path, broker, max_backoff=0.05).bus("one", ["switch"]).write()
    with running(path, registry()) as server:
        request = air.request(SENSOR, "state", Genre.USER, 1, data="on", is_writeonly=True)
        air.probe.publish(f"/nodes/{SENSOR}/request", request)
        answer = air.probe.wait_message(lambda message: message.topic == air.reply_topic, TIMEOUT)
        assert answer.value["error"]
        scripts["one__switch"].write = gives(None)
        server.wait_online()
        assert "error" not in air.write(SENSOR, "state", "on", Genre.USER, 1)
