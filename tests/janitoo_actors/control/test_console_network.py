"""What the console says of the network: of a primary, a secondary, a server without a role, and buses that wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import example_drivers
from asked_server import AskedServer, asked
from brokers import BrokerFactory, Mosquitto
from janitoo_actors.console import pages
from janitoo_actors.console.screen import Screen
from running_server import TIMEOUT, run_command, system_section
from tool_runs import run_program
from waiting import wait_for

BUS = """
[hostsensor]
hadd = 0100/0000
components.uptime = hostsensor.uptime

[hostsensor__uptime]
hadd = 0100/0001
"""
ROLE = """
[network]
is_{role} = True
home_id = Here
resolv_timeout = 2
broadcast_timeout = 0.5
request_timeout = 0.5
"""


@pytest.fixture
def air(private_broker: BrokerFactory) -> Mosquitto:
    """A broker of the test's own: a broadcast is heard by every server."""
    return private_broker()


def write(folder: Path, broker: Mosquitto, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.conf"
    head = system_section(broker, f"service = {name}", f"pid_dir = {folder}", f"home_dir = {folder}")
    path.write_text(f"{head}{text}", encoding="utf-8")
    return path


def wait_network(server: AskedServer, **wanted: Any) -> Any:
    def met() -> Any:
        now = server.ask("network")
        return now if all(now[key] == item for key, item in wanted.items()) else None

    return wait_for(met, TIMEOUT, lambda: f"{wanted} in {server.ask('network')}")


def printed(result: Any, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    pages.network(Screen(), result)
    return capsys.readouterr().out


def test_a_primary_counts_its_map(air: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, air, "primary", BUS + ROLE.format(role="primary"))
    with asked(path, example_drivers.registry()) as server:
        found = wait_network(server, role="primary", state="STARTED", nodes=2, connected=True)
        assert (found["failed"], found["home_id"], found["controllers"], found["waiting"]) == (False, "Here", 1, [])
        assert found["values"] > 2
        assert sum(found["states"].values()) == 2
        text = printed(found, capsys)
        assert "role        primary\n" in text
        assert "2 of 1 controllers: 2 ONLINE" in text
        # Its link is a connection as those of the buses.
        link = server.ask("mqtt")["connections"][-1]
        assert (link["bus"], link["path"], link["connected"]) == ("network", "/network/link", True)
        assert link["will"] == "/dhcp/resolv/heartbeat OFFLINE"
        assert link["published"] > 0
        assert link["received"] > 0
        assert server.ask("health")["status"] == "ok"
        page = server.ask("status", path="/network/link")
        line = server.text.splitlines().index("[network]") + 1
        configured = {"file": str(path), "line": line, "section": "network", "key": None}
        assert page["configured"] == configured
        air.kill()
        wait_network(server, connected=False)
        assert ", off the air\n" in printed(server.ask("network"), capsys)


def test_a_secondary_says_whether_it_has_a_primary(
    air: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = write(tmp_path / "primary", air, "primary", ROLE.format(role="primary"))
    path = write(tmp_path / "secondary", air, "secondary", BUS + ROLE.format(role="secondary"))
    with run_command(main, "--quiet") as primary:
        primary.wait_err("STARTED")
        with asked(path, example_drivers.registry()) as server:
            found = wait_network(server, role="secondary", state="STARTED", failed=False, nodes=2)
            assert "without a primary" not in printed(found, capsys)
            assert server.ask("health")["reasons"] == []
            assert server.ask("mqtt")["connections"][-1]["will"] == ""
            primary.kill()
            found = wait_network(server, failed=True)
            assert "secondary, without a primary: the map is kept up by broadcast" in printed(found, capsys)
            reasons = {each["path"]: each["text"] for each in server.ask("health")["reasons"]}
            assert reasons["/network"] == "no primary answers: the map is kept up by broadcast"
            assert server.ask("health")["code"] == 1


def test_a_bus_that_waits_for_an_address_is_shown(
    air: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = "\n[nut]\nauto_start = True\ncomponents.one = nut.ups\n"
    path = write(tmp_path, air, "lone", BUS + waiting)
    with asked(path, example_drivers.registry(), online=False) as server:
        server.wait_online("0100/0000", "0100/0001")
        found = server.ask("network")
        assert (found["role"], found["waiting"]) == ("none", ["nut"])
        assert "waits       [nut] for an address" in printed(found, capsys)
        reasons = {each["path"]: each["text"] for each in server.ask("health")["reasons"]}
        assert reasons == {"/buses/nut": "it waits for an address from the network"}


def test_health_tells_of_a_bus_that_was_left_out_and_of_a_file_that_is_broken(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = write(tmp_path, broker, "left", BUS + "\n[nut]\nhadd = 0200/0000\nport_0 = none\ncomponents.one = nut.ups\n")
    with asked(path, example_drivers.registry(), online=False) as server:
        server.wait_online("0100/0000", "0100/0001")

        def only() -> dict[str, str] | None:
            # As long as it is not connected, there are more.
            reasons = server.ask("health")["reasons"]
            return reasons[0] if len(reasons) == 1 else None

        reason = wait_for(only, TIMEOUT, lambda: f"{server.ask('health')}")
        assert reason["text"].startswith("not started: ")
        assert "[nut] port_0 = 'none': expected" in reason["text"]
        assert server.ask("health")["code"] == 1


def test_as_a_user_types_it(air: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, air, "primary", ROLE.format(role="primary"))
    with run_command(path, "--quiet") as server:
        server.wait_err("STARTED")
        done = run_program("console", str(path), "network")
        assert (done.code, done.err) == (0, "")
        assert "state       STARTED" in done.out
        done = run_program("console", str(path), "mqtt")
        assert "network  connected" in done.out
        done = run_program("console", str(path), "tree", "/network")
        assert "link" in done.out
