"""Servers whose buses have their addresses from a primary: their files, and what they say on a real broker."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import example_drivers
from brokers import BrokerFactory, Mosquitto
from janitoo_actors.configuration.ini import parse
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.mqtt import LoopEnded
from lease_station import station
from mqtt_probe import Probe
from running_server import (
    TIMEOUT,
    RunningServer,
    obey_permissions,
    run_command,
    running,
    system_section,
    wait_heartbeats,
)
from waiting import wait_for

BUS = """
# The UPS in the cupboard.
[nut]
auto_start = True
location = Cupboard
components.one = nut.ups
components.two = nut.ups

[nut__two]
name = The second
"""


@pytest.fixture
def quiet(private_broker: BrokerFactory) -> Mosquitto:
    """A broker of the test's own: leases are the network's."""
    return private_broker()


@pytest.fixture
def air(quiet: Mosquitto) -> Iterator[Probe]:
    """Who hears all leases and heartbeats."""
    with Probe(quiet.host, quiet.port, subscribe=["/dhcp/#", "/reply/+"], timeout=TIMEOUT) as probe:
        yield probe


def write(path: Path, broker: Mosquitto, text: str = BUS) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(system_section(broker) + text, encoding="utf-8")
    return path


def options(path: Path, section: str) -> dict[str, str]:
    return dict(parse(path.read_bytes(), path).options(section))


def asked(air: Probe, since: int = 0) -> list[str]:
    """The lease requests on the air."""
    topics = [message.topic for message in air.messages[since:]]
    return [topic.removeprefix("/dhcp/lease/") for topic in topics if topic.startswith("/dhcp/lease/")]


def wait_running(server: RunningServer, *hadds: str) -> None:
    wait_for(lambda: sorted(server.states()) == sorted(hadds), TIMEOUT, lambda: f"{hadds}: {server.states()}")
    server.wait_online()


def test_a_bus_without_an_address_gets_one_keeps_it_and_gives_it_back(
    quiet: Mosquitto, air: Probe, tmp_path: Path
) -> None:
    path = write(tmp_path / "my.conf", quiet)
    with station(quiet, tmp_path / "leases.sqlite") as primary:
        with running(path, example_drivers.registry(), online=False) as server:
            wait_running(server, "0010/0000", "0010/0001", "0010/0002")
            wait_heartbeats(air, ["0010/0000", "0010/0001", "0010/0002"], NodeState.ONLINE)
            assert primary.leases() == {"0010/0000": "UPS server", "0010/0001": "UPS", "0010/0002": "The second"}
            lease = primary.shelf.leases()[Hadd(10, 1)]
            assert (lease.location, lease.params["oid"], 49 in lease.cmd_classes) == ("Cupboard", "nut.ups", True)
            snapshot = server.server.snapshot()
            assert snapshot is not None
            assert [child.path for child in snapshot.children] == ["/addresses", "/buses"]
        assert "# The UPS in the cupboard.\n[nut]\n" in path.read_text(encoding="utf-8")
        own = options(path, "nut")
        assert (own["hadd"], own["lease"]) == ("0010/0000", "True")
        assert re.fullmatch(r"[0-9a-f-]{36}", own["uuid"])
        assert options(path, "nut__one")["hadd"] == "0010/0001"
        assert options(path, "nut__two") == {"hadd": "0010/0002", "name": "The second"}
        wait_for(lambda: "release" in asked(air), TIMEOUT, "the release")
        assert asked(air) == ["new", "new", "new", "release"]
        # The last word of its nodes comes before that.
        topics = [message.topic for message in air.messages]
        offline = [
            n for n, each in enumerate(air.messages) if each.payload == b"OFFLINE" and "heartbeat/0" in each.topic
        ]
        # Their link says it when the bus ends, and again when it does so itself.
        assert len({topics[number] for number in offline}) == 3
        assert max(offline) < topics.index("/dhcp/lease/release")
        wait_for(
            lambda: {each.state for each in primary.shelf.leases().values()} == {NodeState.OFFLINE}, TIMEOUT, "released"
        )

        # The next start asks for nothing: it runs at once, and takes back what it has.
        before, since = path.read_bytes(), len(air.messages)
        with running(path, example_drivers.registry()) as server:
            assert sorted(server.states()) == ["0010/0000", "0010/0001", "0010/0002"]
            wait_for(lambda: asked(air, since), TIMEOUT, "a request")
            wait_for(
                lambda: {each.state for each in primary.shelf.leases().values()} == {NodeState.ONLINE},
                TIMEOUT,
                "online",
            )
        wait_for(lambda: "release" in asked(air, since), TIMEOUT, "the release")
        assert asked(air, since)[0] == "lock"
        assert set(asked(air, since)) == {"lock", "release"}
        assert path.read_bytes() == before


def test_two_servers_that_start_at_once_get_different_addresses(quiet: Mosquitto, tmp_path: Path) -> None:
    with station(quiet, tmp_path / "leases.sqlite") as primary:
        paths = [write(tmp_path / f"{number}" / "my.conf", quiet) for number in range(3)]
        servers = [RunningServer(path, example_drivers.registry()) for path in paths]
        try:
            for server in servers:
                wait_for(server.states, TIMEOUT, "its nodes")
                server.wait_online()
            nodes = [hadd for server in servers for hadd in server.states()]
            assert len(nodes) == len(set(nodes)) == 9
            assert set(nodes) == set(primary.leases())
            assert {options(path, "nut")["hadd"] for path in paths} == {"0010/0000", "0011/0000", "0012/0000"}
        finally:
            for server in servers:
                server.stop()


def test_without_a_primary_it_waits_and_the_others_run_until_one_comes(quiet: Mosquitto, tmp_path: Path) -> None:
    others = "\n[hostsensor]\nhadd = 0010/0000\ncomponents.uptime = hostsensor.uptime\n"
    path = write(tmp_path / "my.conf", quiet, BUS.replace("Cupboard", "Cupboard\nconfig_timeout = 0.1") + others)
    with capture_logs() as log, running(path, example_drivers.registry()) as server:
        assert sorted(server.states()) == ["0010/0000", "0010/0001"]

        def waits() -> list[str]:
            return [event["error"] for event in log if event["event"] == "address_awaited"]

        wait_for(waits, TIMEOUT, "that it is said")
        assert waits()[0] == (
            "no primary has given [nut] an address within 0.1 s: it starts when one does; or write hadd = CCCC/0000 "
            "into [nut], as 0121/0000"
        )
        assert server.server.waiting == ["nut"]
        assert not server.server.settled()
        # A primary comes, and knows what is on the air.
        with station(quiet, tmp_path / "leases.sqlite", addresses=[Hadd(10, 0), Hadd(10, 1)]):
            wait_running(server, "0010/0000", "0010/0001", "0011/0000", "0011/0001", "0011/0002")
            assert server.server.waiting == []


def test_a_component_without_an_address_does_not_keep_its_bus_from_running(quiet: Mosquitto, tmp_path: Path) -> None:
    text = BUS.replace("[nut]", "[nut]\nhadd = 0042/0000\nlease = True\nconfig_timeout = 0.1")
    path = write(tmp_path / "my.conf", quiet, f"{text}hadd = 0042/0001\n")
    with running(path, example_drivers.registry(), online=False) as server:
        # After config_timeout, with what is free.
        wait_running(server, "0042/0000", "0042/0001", "0042/0002")
        assert "hadd" not in options(path, "nut__one")
        with station(quiet, tmp_path / "leases.sqlite") as primary:
            wait_for(lambda: len(primary.leases()) == 3, TIMEOUT, lambda: f"{primary.leases()}")
            wait_for(lambda: options(path, "nut__one").get("hadd") == "0042/0002", TIMEOUT, "that it is kept")
            assert server.server.boards[0].settled


def test_a_primary_that_has_lost_its_database_is_told_by_those_who_run(quiet: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet)
    database = tmp_path / "leases.sqlite"
    with station(quiet, database) as primary, running(path, example_drivers.registry(), online=False) as server:
        wait_running(server, "0010/0000", "0010/0001", "0010/0002")
        before = primary.leases()
        primary.stop()
        database.unlink()
        with station(quiet, database) as successor:
            wait_for(lambda: successor.leases() == before, TIMEOUT, lambda: f"{successor.leases()}")


def test_an_address_that_has_become_anothers_is_replaced(quiet: Mosquitto, air: Probe, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet)
    database = tmp_path / "leases.sqlite"
    with station(quiet, database), running(path, example_drivers.registry(), online=False) as server:
        wait_running(server, "0010/0000", "0010/0001", "0010/0002")
    database.unlink()
    with station(quiet, database) as primary, capture_logs() as log:
        lease = {"rep_uuid": "x", "add_ctrl": 10, "add_node": 0, "options": {"uuid": "x", "name": "Another"}}
        air.request("/dhcp/lease/repair", lease, "/reply/x", TIMEOUT)
        with running(path, example_drivers.registry(), online=False) as server:
            wait_running(server, "0011/0000", "0011/0001", "0011/0002")
            assert options(path, "nut")["hadd"] == "0011/0000"
            assert options(path, "nut__two")["hadd"] == "0011/0002"
            # The old ones say that they are gone.
            wait_heartbeats(air, ["0010/0000", "0010/0001", "0010/0002"], NodeState.OFFLINE)
            assert sorted(primary.leases()) == ["0010/0000", "0011/0000", "0011/0001", "0011/0002"]
    (lost,) = [event for event in log if event["event"] == "address_lost"]
    assert (lost["log_level"], lost["bus"], lost["hadd"]) == ("error", "nut", "0010/0000")
    assert "'Another'" in lost["error"]


def test_nonsense_on_the_air_changes_nothing(quiet: Mosquitto, air: Probe, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet)
    with capture_logs() as log, running(path, example_drivers.registry(), online=False) as server:
        asked_for = air.wait_message(lambda message: message.topic == "/dhcp/lease/new", TIMEOUT).value["rep_uuid"]
        for payload in (
            b"",
            b"\xff",
            b"[]",
            b"{}",
            b'{"add_ctrl": "x", "add_node": -5, "state": 7}',
            b'{"msg_status": 200}',
        ):
            for topic in ("/dhcp/resolv/heartbeat", "/reply/x", f"/reply/{asked_for}"):
                air.publish(topic, payload)
        with station(quiet, tmp_path / "leases.sqlite"):
            wait_running(server, "0010/0000", "0010/0001", "0010/0002")
        assert [event for event in log if event["log_level"] in {"error", "critical"}] == []


def test_a_keeper_that_crashes_takes_nothing_down_and_goes_on(quiet: Mosquitto, air: Probe, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet)
    with station(quiet, tmp_path / "leases.sqlite"), running(path, example_drivers.registry(), online=False) as server:
        wait_running(server, "0010/0000", "0010/0001", "0010/0002")
        system = server.server.system
        before = {each: system.lookup(each) for each in ("/addresses", "/buses/nut/link")}
        system.tell("/addresses", LoopEnded(None))
        wait_for(lambda: system.lookup("/addresses") not in {None, before["/addresses"]}, TIMEOUT, "another one")
        wait_for(lambda: "lock" in asked(air), TIMEOUT, "that it takes the lease back")
        assert system.lookup("/buses/nut/link") == before["/buses/nut/link"]
        assert sorted(server.states()) == ["0010/0000", "0010/0001", "0010/0002"]


def test_the_broker_may_come_later_than_the_server(private_broker: BrokerFactory, tmp_path: Path) -> None:
    broker = private_broker()
    path = write(tmp_path / "my.conf", broker)
    broker.stop()
    with running(path, example_drivers.registry(), online=False) as server:
        broker.start()
        with station(broker, tmp_path / "leases.sqlite"):
            wait_running(server, "0010/0000", "0010/0001", "0010/0002")


def test_a_file_that_cannot_be_written_is_said_and_nothing_is_leased(
    quiet: Mosquitto, air: Probe, tmp_path: Path
) -> None:
    text = "\n[hostsensor]\ncomponents.load = hostsensor.load\nconfig_timeout = 0.1\n"
    path = write(tmp_path / "my.conf", quiet, text)
    path.chmod(0o444)
    with station(quiet, tmp_path / "leases.sqlite") as primary:
        with run_command(path, "--log-format", "console", prepare=obey_permissions) as process:
            process.wait_err("address_not_stored")
            assert "the file is read-only" in process.err
            assert primary.leases() == {}
            path.chmod(0o644)
            process.wait_err("address_leased")
            process.wait_err("node_online")
            assert process.interrupt() == 0, process.both
        assert options(path, "hostsensor")["hadd"] == "0010/0000"
        wait_for(lambda: "release" in asked(air), TIMEOUT, "the release")
        assert asked(air) == ["new", "new", "release"]


def test_a_server_that_only_waits_says_so_and_stops_at_once(quiet: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet, "\n[hostsensor]\ncomponents.load = hostsensor.load\n")
    with run_command(path) as process:
        process.wait_summary()
        assert "[hostsensor] waits for an address: no primary has given it one yet" in process.out
        assert process.interrupt() == 0, process.both
        assert "Traceback" not in process.both


def test_a_bus_in_a_process_of_its_own_gets_an_address_too(quiet: Mosquitto, tmp_path: Path) -> None:
    text = "\n[hostsensor]\nisolation = process\ncomponents.load = hostsensor.load\n"
    path = write(tmp_path / "my.conf", quiet, text)
    with station(quiet, tmp_path / "leases.sqlite") as primary, run_command(path) as process:
        process.wait_err("node_online")
        wait_for(lambda: sorted(primary.leases()) == ["0010/0000", "0010/0001"], TIMEOUT, "the leases")
        assert process.interrupt() == 0, process.both
    assert os.path.getsize(path) > 0


# -- changing the file while the server runs -------------------------------------------------------------------------

OTHER = "\n[hostsensor]\nhadd = 0100/0000\ncomponents.uptime = hostsensor.uptime\n"


def reload(server: RunningServer) -> list[str]:
    done = server.server.reload("test")
    assert done is not None
    return [line.strip() for line in done.plan.lines()]


def test_a_reload_that_adds_a_bus_without_an_address_has_it_ask(quiet: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet, OTHER)
    with (
        station(quiet, tmp_path / "leases.sqlite") as primary,
        running(path, example_drivers.registry(), online=False) as server,
    ):
        wait_running(server, "0100/0000", "0100/0001")
        assert server.server.system.lookup("/addresses") is None
        write(path, quiet, OTHER + BUS)
        assert reload(server) == ["[nut] asks the network for an address"]
        wait_running(server, "0010/0000", "0010/0001", "0010/0002", "0100/0000", "0100/0001")
        assert options(path, "nut")["hadd"] == "0010/0000"
        # What was written by the server is nothing new.
        assert reload(server) == []
        assert len(primary.leases()) == 3
        # And back: it stops, and its lease is released.
        write(path, quiet, OTHER)
        assert reload(server) == ["[nut] stops"]
        wait_running(server, "0100/0000", "0100/0001")
        wait_for(
            lambda: {each.state for each in primary.shelf.leases().values()} == {NodeState.OFFLINE}, TIMEOUT, "released"
        )


def test_a_reload_counts_for_a_bus_that_waits(quiet: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path / "my.conf", quiet, OTHER + BUS)
    with running(path, example_drivers.registry(), online=False) as server:
        wait_running(server, "0100/0000", "0100/0001")
        assert server.server.waiting == ["nut"]
        write(path, quiet, OTHER + BUS.replace("Cupboard", "Attic"))
        assert reload(server) == ["[nut] location: 'Cupboard' → 'Attic'"] + [
            f"[nut__{key}] location: 'Cupboard' → 'Attic'" for key in ("one", "two")
        ]
        write(path, quiet, OTHER)
        assert reload(server) == ["[nut] does not ask for an address any more"]
        assert server.server.waiting == []
        write(path, quiet, OTHER + BUS)
        assert reload(server) == ["[nut] asks the network for an address"]
        # Somebody writes it down.
        write(path, quiet, OTHER + BUS.replace("[nut]", "[nut]\nhadd = 0050/0000"))
        assert reload(server) == ["[nut] starts: 0050/0000, 2 components"]
        wait_running(server, "0050/0000", "0050/0001", "0050/0002", "0100/0000", "0100/0001")
        assert server.server.waiting == []
        with station(quiet, tmp_path / "leases.sqlite") as primary:
            # It is nobody's lease.
            assert primary.leases() == {}


def test_a_component_that_is_added_to_a_leased_bus_gets_an_address_of_the_primary(
    quiet: Mosquitto, tmp_path: Path
) -> None:
    path = write(tmp_path / "my.conf", quiet)
    with (
        station(quiet, tmp_path / "leases.sqlite") as primary,
        running(path, example_drivers.registry(), online=False) as server,
    ):
        wait_running(server, "0010/0000", "0010/0001", "0010/0002")
        text = path.read_text(encoding="utf-8").replace("components.two", "components.three = nut.ups\ncomponents.two")
        path.write_text(text, encoding="utf-8")
        # It runs on at once, at the next free address.
        assert reload(server) == ["[nut] restarts:", "[nut] components.three: nothing → 'nut.ups'"]
        wait_running(server, "0010/0000", "0010/0001", "0010/0002", "0010/0003")
        wait_for(lambda: len(primary.leases()) == 4, TIMEOUT, lambda: f"{primary.leases()}")
        wait_for(lambda: options(path, "nut__three").get("hadd") == "0010/0003", TIMEOUT, "that it is kept")
        assert reload(server) == []
