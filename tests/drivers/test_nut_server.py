"""UPSs on a running server: what happens to one, or to its NUT server, is told to the network, and heals."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from brokers import Mosquitto
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from nut_server import PASSWORD, TIMEOUT, USER, Impostor, NutServer, ScriptedDriver
from resilience import events, wait_value
from running_server import Requester, RunningServer, running, system_section, wait_heartbeats
from waiting import wait_for

BUS, FIRST, SECOND = "0741/0000", "0741/0001", "0741/0002"
LIST = b'BEGIN LIST VAR ups1\nVAR ups1 ups.status "OL"\nVAR ups1 ups.load "17"\nEND LIST VAR ups1\n'


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[NutServer, NutServer]]:
    # pytest's own folders have names too long for a socket's.
    with tempfile.TemporaryDirectory(prefix="nut-") as name:
        started = NutServer(Path(name) / "1"), NutServer(Path(name) / "2")
        yield started
        for each in started:
            each.stop()


@pytest.fixture
def nut(servers: tuple[NutServer, NutServer]) -> Iterator[NutServer]:
    """The server of the first UPS, which things happen to."""
    yield servers[0]
    servers[0].mend()


@pytest.fixture
def air(broker: Mosquitto) -> Iterator[Requester]:
    with Probe(broker.host, broker.port) as probe:
        yield Requester(probe, "9993/0001")


@pytest.fixture
def configure(servers: tuple[NutServer, NutServer], broker: Mosquitto, tmp_path: Path) -> Callable[..., Path]:
    """Writes a file with two UPSs of two servers on one bus; the first as the options say."""

    def write(bus: str = "", **options: object) -> Path:
        polls = {f"{uuid}_poll_0": 0.1 for uuid in ("status", "load", "ip_ping", "allowed")}
        common = {"ups": "ups1", "timeout": 0.3, "watch": 0.05}
        first = {"hadd": FIRST, "port": servers[0].port, **common, **polls, **options}
        second = {"hadd": SECOND, "port": servers[1].port, **common, **polls}
        lines = [system_section(broker, "service = nut", "read_timeout = 5", "max_backoff = 0.1")]
        lines += ["[nut]", f"hadd = {BUS}", "components.ups1 = nut.ups", "components.ups2 = nut.ups", bus]
        for number, section in enumerate((first, second), start=1):
            lines += [f"[nut__ups{number}]", *(f"{key} = {text}" for key, text in section.items())]
        path = tmp_path / "server.conf"
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return path

    return write


def wait_reason(server: RunningServer, why: str) -> None:
    """Wait until the first UPS says why it is offline."""

    def reason() -> str:
        return next(node.reason for node in server.nodes if str(node.hadd) == FIRST)

    wait_for(lambda: why in reason(), TIMEOUT, lambda: f"{why!r} in {reason()!r}")


def wait_said_once(server: RunningServer, why: str) -> None:
    """Wait until the reason of the first UPS names all values that fail by it, and is not repeated for each."""

    def is_said_once() -> bool:
        reason = next(node.reason for node in server.nodes if str(node.hadd) == FIRST)
        names = reason.partition(": ")[0].split(", ")
        return {"status", "load", "battery_charge"} <= set(names) and reason.count(why) == 1

    wait_for(is_said_once, TIMEOUT, lambda: f"{[node.reason for node in server.nodes]}")


def wait_first_fails(server: RunningServer, air: Requester, log: list[EventDict], why: str, since: int) -> None:
    """Wait until the first UPS is offline, and its node and the log say why; the second has not noticed."""
    wait_heartbeats(air.probe, [FIRST], NodeState.OFFLINE, since=since)
    wait_reason(server, why)
    wait_for(
        lambda: any(why in each["error"] and each["hadd"] == FIRST for each in events(log, "read_failed")),
        TIMEOUT,
        lambda: f"{why!r} in {log}",
    )
    wait_value(air, None, hadd=FIRST, uuid="status", since=since)
    wait_value(air, 17.0, hadd=SECOND, uuid="load", since=len(air.probe.messages))
    assert server.states() == {BUS: "ONLINE", FIRST: "OFFLINE", SECOND: "ONLINE"}
    assert not [each for each in events(log, "read_failed") if each["hadd"] != FIRST]


FAULTS: dict[str, tuple[Callable[[NutServer], None], Callable[[NutServer], None], str, bool]] = {
    "killed": (NutServer.kill, NutServer.start, "there is no NUT server at", False),
    "hangs": (NutServer.freeze, lambda nut: nut.freeze(frozen=False), "has not answered within 0.3 s", False),
    "stale": (
        NutServer.freeze_driver,
        lambda nut: nut.freeze_driver(frozen=False),
        "the data of ups1 are stale: its driver hears nothing of it",
        True,
    ),
    "driver killed": (NutServer.kill_driver, NutServer.start_driver, "the driver of ups1 is not running", True),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_heals(nut: NutServer, air: Requester, configure: Callable[..., Path], fault: str) -> None:
    begin, end, why, answers = FAULTS[fault]
    with running(configure(), Registry.installed()) as server, capture_logs() as log:
        wait_value(air, "OL", hadd=FIRST, uuid="status")
        incarnations = server.incarnations()
        since = len(air.probe.messages)
        begin(nut)
        wait_first_fails(server, air, log, why, since)
        wait_said_once(server, why)
        wait_value(air, answers, hadd=FIRST, uuid="ip_ping", since=len(air.probe.messages))
        since = len(air.probe.messages)
        end(nut)
        wait_value(air, "OL", hadd=FIRST, uuid="status", since=since)
        wait_value(air, 17.0, hadd=FIRST, uuid="load", since=since)
        wait_value(air, True, hadd=FIRST, uuid="ip_ping", since=since)
        server.wait_online()
        assert events(log, "read_recovered")
        # It was the reading that had failed; nothing was restarted.
        assert server.incarnations() == incarnations


def test_what_is_said_too_late_is_not_believed(air: Requester, configure: Callable[..., Path]) -> None:
    """Each answer comes with the next question, as one that was late; then the server is well again."""
    is_late = threading.Event()
    owed: list[bytes] = []

    def answer(line: bytes) -> bytes | None:
        said = LIST if line.startswith(b"LIST") else b'VAR ups1 ups.status "OL"\n'
        if is_late.is_set():
            owed.append(said.replace(b'"17"', b'"99"'))
            return b"".join(owed[:-1])
        return said

    with Impostor(answer) as impostor:
        path = configure(port=impostor.port, timeout=0.1)
        with running(path, Registry.installed()) as server, capture_logs() as log:
            since = len(air.probe.messages)
            is_late.set()
            wait_first_fails(server, air, log, "has not answered within 0.1 s", since)
            is_late.clear()
            server.wait_online()
        loads = [each.value["data"] for each in air.probe.messages if each.topic == f"/values/basic/{FIRST}/load"]
        assert set(loads) == {17.0, None}


def test_a_change_is_published_at_once_whatever_the_polls_are(
    nut: NutServer, air: Requester, configure: Callable[..., Path]
) -> None:
    with running(configure(status_poll_0=0, load_poll_0=0), Registry.installed()):
        for status in ("OB DISCHRG", "OB DISCHRG LB", "OL CHRG", "OL"):
            since = len(air.probe.messages)
            nut.set(ups_status=status)
            wait_value(air, status, hadd=FIRST, uuid="status", since=since)


@pytest.mark.parametrize("bus", ["", "isolation = process"])
def test_the_node_says_what_the_ups_is(
    nut: NutServer, air: Requester, configure: Callable[..., Path], bus: str
) -> None:
    with running(configure(bus), Registry.installed()) as server:
        node = air.discover("nodes", BUS)["nut__ups1"]
        told = {key: node[key] for key in ("product_name", "product_type", "product_manufacturer")}
        assert told == {
            "product_name": "Ellipse",
            "product_type": "3B1006X72726",
            "product_manufacturer": "Eaton",
        }
        # In the server's process too, where others answer for it.
        wait_for(lambda: server.nodes[1].product.name == "Ellipse", TIMEOUT, "the parent knows it")
        # While its server is away, it is the same UPS.
        nut.kill()
        server.wait_states(NodeState.OFFLINE, FIRST)
        assert air.discover("nodes", BUS)["nut__ups1"]["product_name"] == "Ellipse"
        assert air.discover("nodes", BUS)["nut"]["product_name"] == "UPSs by their NUT servers"


def test_a_server_that_comes_after_ours(nut: NutServer, air: Requester, configure: Callable[..., Path]) -> None:
    nut.kill()
    with running(configure(), Registry.installed(), online=False) as server:
        server.wait_states(NodeState.OFFLINE, FIRST)
        server.wait_online(BUS, SECOND)
        wait_reason(server, "there is no NUT server at")
        nut.start()
        server.wait_online()
        server.wait_connected()
        assert air.discover("nodes", BUS)["nut__ups1"]["product_type"] == "3B1006X72726"


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "ups": ({"ups": "attic"}, "has no UPS 'attic': expected ups1 (ups)"),
    "password": (
        {"user": USER, "password": "wrong", "commands": "beeper"},
        f"does not take the user '{USER}': the user or the password is wrong",
    ),
    "user": ({"commands": "beeper"}, "commands need user and password in [nut__ups1], of the server's upsd.users"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_settings(air: Requester, configure: Callable[..., Path], wrong: str) -> None:
    options, why = WRONG[wrong]
    with capture_logs() as log, running(configure(**options), Registry.installed(), online=False) as server:
        server.wait_states(NodeState.OFFLINE, FIRST)
        wait_reason(server, why)
        server.wait_online(BUS, SECOND)
        wait_for(
            lambda: any(why in each["error"] for each in events(log, "read_failed")), TIMEOUT, lambda: f"{why}: {log}"
        )
        if wrong != "ups":
            # What needs no user is there all the same.
            wait_value(air, "OL", hadd=FIRST, uuid="status")
            node = server.nodes[1]
            wait_for(lambda: node.reason.startswith("allowed: "), TIMEOUT, lambda: node.reason)
            assert not any(f"; {uuid}" in node.reason for uuid in ("status", "load", "battery_charge"))


def test_commands_over_the_air(nut: NutServer, air: Requester, configure: Callable[..., Path]) -> None:
    nut.kill_driver()
    path = configure(user=USER, password=PASSWORD, commands="beeper, test")
    with (
        ScriptedDriver(nut.driver_socket, "beeper.mute", "test.battery.start.quick", "shutdown.return") as driver,
        running(path, Registry.installed()),
    ):
        commands = air.discover("commands", BUS)[FIRST]
        assert set(commands) == {"beeper", "test", "shutdown"}
        classes = {uuid: value["cmd_class"] for uuid, value in commands.items()}
        answer = air.write(FIRST, "test", "quick", Genre.COMMAND, classes["test"])
        assert (answer["data"], "error" in answer) == ("quick", False)
        wait_for(lambda: driver.ran, TIMEOUT, "the UPS has been told")
        answer = air.write(FIRST, "shutdown", "return", Genre.COMMAND, classes["shutdown"])
        assert "shutdown is not allowed here: commands = beeper, test, shutdown in [nut__ups1]" in answer["error"]
        answer = air.write(SECOND, "beeper", "mute", Genre.COMMAND, classes["beeper"])
        assert "beeper is not allowed here" in answer["error"]
        answer = air.write(FIRST, "beeper", "loud", Genre.COMMAND, classes["beeper"])
        assert "expected one of enable, disable, mute" in answer["error"]
        assert driver.ran == ["test.battery.start.quick"]


def test_a_server_that_hangs_keeps_nobody_waiting(
    nut: NutServer, air: Requester, configure: Callable[..., Path]
) -> None:
    """What it has said counts until it has not answered in time, which is later than anybody waits for a read."""
    with running(configure(timeout=10), Registry.installed()):
        nut.freeze()
        for _ in range(10):
            assert air.read(FIRST, "load", Genre.BASIC, 49)["data"] == 17.0
            assert air.read(SECOND, "load", Genre.BASIC, 49)["data"] == 17.0
