"""UPSs, on the real nut2 and a real upsd."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokers import Mosquitto
from drivers.nut import NutBus, Ups
from janitoo_actors.api import ConfigurationError, PermanentError, TemporaryError
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from nut_server import NutServer
from running_server import TIMEOUT, Requester, running, system_section, wait_heartbeats
from waiting import wait_for


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NutServer]:
    started = NutServer(tmp_path)
    yield started
    started.stop()


def ups(server: NutServer, **options: str) -> Ups:
    bus = NutBus()
    bus.open()
    device = Ups("nut__ups1", {"port": str(server.port), "ups": "ups1", "timeout": "0.5", **options})
    device.bus = bus
    return device


def wait_status(device: Ups, status: str) -> None:
    """Wait until the UPS says this: the server polls its driver, which has just been started."""

    def says() -> bool:
        device._read_at = 0.0
        try:
            return bool(device.read("status") == status)
        except TemporaryError:
            return False

    wait_for(says, TIMEOUT, f"the status {status}")


def wait_error(device: Ups, expected: str, kind: type[Exception] = TemporaryError) -> None:
    """Wait until a read fails so."""
    said = ""

    def fails() -> bool:
        nonlocal said
        device._read_at = 0.0
        try:
            device.read("status")
        except (TemporaryError, ConfigurationError) as error:
            said = str(error)
            return isinstance(error, kind) and expected in said
        return False

    wait_for(fails, TIMEOUT, lambda: f"{expected!r}; the last error was {said!r}")


def test_every_value(server: NutServer) -> None:
    device = ups(server)
    wait_status(device, "OL")
    found = {uuid: device.read(uuid) for uuid, value in device.values.items() if value.read_by is not None}
    assert found == {
        "status": "OL",
        "battery_charge": 90,
        "battery_voltage": 13.2,
        "battery_runtime": 1290,
        "battery_chemistry": "PbAc",
        "load": 17,
        "manufacturer": "Eaton",
        "model": "Ellipse",
        "serial": "3B1006X72726",
        "ip_ping": True,
    }
    server.set(ups_status="OB LB")
    wait_status(device, "OB LB")
    device.close()


def test_no_such_ups(server: NutServer) -> None:
    wait_error(ups(server, ups="none"), "has no UPS 'none': expected one that `upsc -l` lists", ConfigurationError)


@pytest.mark.parametrize("options", [{"user": "admin", "password": "wrong"}, {"user": "nobody", "password": "x"}, {}])
def test_a_wrong_user_is_told_by_the_first_command(server: NutServer, options: dict[str, str]) -> None:
    device = ups(server, commands="load.off", **options)
    wait_status(device, "OL")
    who = f"'{options['user']}'" if options else "nobody"
    with pytest.raises(ConfigurationError, match=f"lets {who} give no commands: expected a user of upsd.users"):
        device.write("command", "load.off")
    # What is read needs no user.
    assert device.read("status") == "OL"


def test_no_server(server: NutServer) -> None:
    device = ups(server)
    wait_status(device, "OL")
    server.kill()
    wait_error(device, "has ended the connection")
    wait_error(device, f"there is no NUT server at 127.0.0.1:{server.port}: is it running?")
    assert device.read("ip_ping") is False
    server.start()
    wait_status(device, "OL")
    assert device.read("ip_ping") is True


def test_a_server_that_hangs_and_what_it_says_late(server: NutServer) -> None:
    device = ups(server)
    wait_status(device, "OL")
    server.freeze()
    wait_error(device, "has not answered within 0.5 s")
    server.freeze(frozen=False)
    wait_status(device, "OL")
    # What it answered late, to the question before, is not taken for the answer to this one.
    assert device.read("battery_charge") == 90


def test_stale_data(server: NutServer) -> None:
    device = ups(server)
    wait_status(device, "OL")
    server.freeze_driver()
    wait_error(device, "the data of ups1 are stale")
    server.freeze_driver(frozen=False)
    wait_status(device, "OL")


def test_a_dead_driver(server: NutServer) -> None:
    device = ups(server)
    wait_status(device, "OL")
    server.kill_driver()
    wait_error(device, "the driver of ups1 is not running")
    server.start_driver()
    wait_status(device, "OL")


def test_commands_are_off_unless_allowed(server: NutServer) -> None:
    device = ups(server, user="admin", password="s3cret", commands="load.off, beeper.mute")
    wait_status(device, "OL")
    device.write("command", "load.off")
    with pytest.raises(PermanentError, match=r"does not allow the command 'shutdown.return'; commands = load"):
        device.write("command", "shutdown.return")
    with pytest.raises(ConfigurationError, match="the UPS ups1 has no such command"):
        device.write("command", "beeper.mute")
    with pytest.raises(PermanentError, match="commands = none"):
        ups(server).write("command", "load.off")


def test_the_password_is_nowhere(server: NutServer, caplog: pytest.LogCaptureFixture) -> None:
    before = list(logging.getLogger().handlers)
    with caplog.at_level(logging.DEBUG):
        device = ups(server, user="admin", password="s3cret", commands="load.off")
        wait_status(device, "OL")
    assert "s3cret" not in caplog.text
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    "answer", [b"BEGIN LIST VAR ups1\nVAR ups1\nEND LIST VAR ups1\n", b"ERR\n", b"\n", b"\xff\xff\n"]
)
def test_any_answer_is_an_error_of_ours(server: NutServer, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    device = ups(server)
    wait_status(device, "OL")

    # No server says such a thing; one that is killed in the middle of its answer does.
    def read_until(*_arguments: Any) -> bytes:
        return answer

    client = device._client
    if hasattr(client, "_read_until"):
        # nut2-notl, on Python 3.13.
        monkeypatch.setattr(client, "_read_until", read_until)
    else:
        monkeypatch.setattr(client._srv_handler, "read_until", read_until)
    device._read_at = 0.0
    with pytest.raises((TemporaryError, PermanentError)):
        device.read("status")


# -- a server --------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[NutServer], None], Callable[[NutServer], None]]] = {
    "killed": (NutServer.kill, NutServer.start),
    "hangs": (NutServer.freeze, lambda server: server.freeze(frozen=False)),
    "stale": (NutServer.freeze_driver, lambda server: server.freeze_driver(frozen=False)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_without_a_hand(server: NutServer, broker: Mosquitto, tmp_path: Path, fault: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    second = NutServer(other)
    lines = ["[nut]", "hadd = 0164/0000", "components.ups1 = nut.ups", "components.ups2 = nut.ups"]
    for number, each in enumerate((server, second), start=1):
        lines += [f"[nut__ups{number}]", f"hadd = 0164/000{number}", f"port = {each.port}", "ups = ups1"]
        lines += ["timeout = 0.3", "status_poll_0 = 0.2"]
        lines += [f"{uuid}_poll_0 = 0" for uuid in Ups.values if uuid not in {"status", "command"}]
    path = tmp_path / "my.conf"
    path.write_text(system_section(broker, "read_timeout = 5", "max_backoff = 0.2") + "\n" + "\n".join(lines) + "\n")
    topics = ["/dhcp/heartbeat/#", "/nodes/9997/0001/reply", "/values/#"]
    try:
        with (
            Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe,
            running(path, Registry.installed()) as runs,
        ):
            since = len(probe.messages)
            begin, end = FAULTS[fault]
            begin(server)
            wait_heartbeats(probe, ["0164/0001"], NodeState.OFFLINE, since=since)
            assert next(node for node in runs.nodes if node.uuid == "nut__ups1").reason
            assert Requester(probe).read("0164/0002", "status", Genre.BASIC, 49)["data"] == "OL"
            since = len(probe.messages)
            end(server)
            wait_heartbeats(probe, ["0164/0001"], NodeState.ONLINE, since=since)
    finally:
        second.stop()
