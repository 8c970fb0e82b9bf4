"""The actor that serves leases, on a real broker and a real disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from brokers import BrokerFactory, Mosquitto
from janitoo_actors.network.leases.server import OtherPrimary, Serve
from janitoo_actors.network.leases.store import LeaseStore
from janitoo_actors.protocol.hadd import Hadd
from lease_station import Station, station
from mqtt_probe import Probe
from running_server import TIMEOUT
from stage import in_threads
from waiting import wait_for

_numbers = itertools.count()


@pytest.fixture
def quiet(private_broker: BrokerFactory) -> Mosquitto:
    """A broker of the test's own: leases are the network's, and other tests' would be answered too."""
    return private_broker()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "leases.sqlite"


@pytest.fixture
def asker(quiet: Mosquitto) -> Iterator[Probe]:
    with Probe(quiet.host, quiet.port, subscribe=["/reply/+"], timeout=TIMEOUT) as probe:
        yield probe


def ask(probe: Probe, action: str, add_ctrl: int = -1, add_node: int = -1, **options: Any) -> dict[str, Any]:
    rep_uuid = f"ask{next(_numbers)}"
    payload = {"rep_uuid": rep_uuid, "add_ctrl": add_ctrl, "add_node": add_node, "options": options}
    answer: dict[str, Any] = probe.request(f"/dhcp/lease/{action}", payload, f"/reply/{rep_uuid}", TIMEOUT).value
    assert answer["rep_uuid"] == rep_uuid
    return answer


def test_a_request_is_answered_at_its_rep_uuid_and_survives_a_restart(
    quiet: Mosquitto, path: Path, asker: Probe
) -> None:
    with station(quiet, path):
        answer = ask(asker, "new", name="Pi", location="Attic", cmd_classes=[49], port="ttyS0")
        assert (answer["msg_status"], answer["add_ctrl"], answer["add_node"]) == (200, 10, 0)
        assert (answer["name"], answer["location"], answer["cmd_classes"], answer["port"]) == (
            "Pi",
            "Attic",
            [49],
            "ttyS0",
        )
        assert ask(asker, "new", 10, name="Load")["add_node"] == 1
    with station(quiet, path):
        assert ask(asker, "lock", 10, 0)["name"] == "Pi"
        assert ask(asker, "new", name="Other")["add_ctrl"] == 11


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"add_ctrl": "x"}, "add_ctrl = 'x': expected a number, 0 to 9999, or -1"),
        ({"add_ctrl": 10_000}, "add_ctrl = '10000': expected a number, 0 to 9999, or -1"),
        ({"add_ctrl": 10, "options": [1]}, "options: expected an object, found list"),
        ({"add_ctrl": -1, "options": {"name": 5}}, "name = '5': expected a text of one line, up to 200 characters"),
        ({"add_ctrl": -1, "options": {"cmd_classes": "many"}}, "cmd_classes: 'many': expected a whole number"),
        ({"add_ctrl": -1, "options": {"rep_uuid": "x"}}, "options: 'rep_uuid' cannot be the name of an option"),
    ],
)
def test_a_wrong_request_is_told_what_was_expected(
    quiet: Mosquitto, path: Path, asker: Probe, payload: dict[str, Any], expected: str
) -> None:
    with station(quiet, path) as primary:
        answer = asker.request("/dhcp/lease/new", {"rep_uuid": "w", **payload}, "/reply/w", TIMEOUT).value
        assert answer == {"rep_uuid": "w", "msg_status": 400, "msg_error": expected, "primary": "0001/0000"}
        assert primary.leases() == {}


def test_what_is_no_request_changes_nothing(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    with station(quiet, path) as primary:
        for payload in (b"", b"\xff\xfe", b"[]", b"{}", b'{"rep_uuid": "a/b"}', b'{"rep_uuid": 5}', b"{" * 100_000):
            for action in ("new", "remove", "steal"):
                asker.publish(f"/dhcp/lease/{action}", payload)
        assert ask(asker, "new", name="Pi")["msg_status"] == 200
        assert primary.leases() == {"0010/0000": "Pi"}
        assert [message.topic for message in asker.messages] == [f"/reply/{asker.messages[0].value['rep_uuid']}"]


def test_numbers_may_come_as_text(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    with station(quiet, path):
        payload = {"rep_uuid": "t", "add_ctrl": "-1", "add_node": "-1", "options": {"cmd_classes": ["49", 112]}}
        answer = asker.request("/dhcp/lease/new", payload, "/reply/t", TIMEOUT).value
        assert (answer["msg_status"], answer["add_ctrl"], answer["cmd_classes"]) == (200, 10, [49, 112])


def test_many_who_ask_at_once_never_get_the_same_address(quiet: Mosquitto, path: Path) -> None:
    askers, rounds = 4, 25
    given: list[list[Hadd]] = [[] for _ in range(askers)]

    with station(quiet, path) as primary, ExitStack() as stack:
        probes = [
            stack.enter_context(Probe(quiet.host, quiet.port, subscribe=[f"/reply/at{number}x"], timeout=TIMEOUT))
            for number in range(askers)
        ]

        def work(number: int) -> None:
            probe = probes[number]
            controller = -1
            for turn in range(rounds):
                # Each second round a new controller, and then a node of it; each request twice, as on a bad network.
                payload = {
                    "rep_uuid": f"at{number}x",
                    "add_ctrl": -1 if turn % 2 == 0 else controller,
                    "add_node": -1,
                    "options": {"name": f"{number}/{turn}"},
                }
                since = len(probe.messages)
                for _ in range(2):
                    probe.publish("/dhcp/lease/new", payload)
                wait_for(lambda: len(probe.messages) >= since + 2, TIMEOUT, "two answers")  # noqa: B023 - used at once
                first, second = (message.value for message in probe.messages[since:])
                assert first == second
                controller = first["add_ctrl"]
                given[number].append(Hadd(controller, first["add_node"]))

        in_threads(askers, work)
        everything = [hadd for each in given for hadd in each]
        assert len(everything) == len(set(everything)) == askers * rounds
        assert set(map(str, everything)) == set(primary.leases())


def test_nobody_gets_an_address_before_the_network_is_known(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    with station(quiet, path) as primary:
        primary.known = False
        asker.publish("/dhcp/lease/new", {"rep_uuid": "early", "add_ctrl": -1, "add_node": -1, "options": {}})
        # Others are answered meanwhile.
        assert ask(asker, "lock", 10, 0)["msg_status"] == 400
        assert [message.topic for message in asker.messages if message.topic == "/reply/early"] == []
        primary.addresses.add(Hadd(10, 3))
        primary.known = True
        answer = asker.wait_message(lambda message: message.topic == "/reply/early", TIMEOUT).value
        assert (answer["add_ctrl"], answer["add_node"]) == (11, 0)


def test_who_beats_without_a_lease_keeps_its_address_and_who_beats_with_one_is_seen(
    quiet: Mosquitto, path: Path, asker: Probe
) -> None:
    with station(quiet, path) as primary:
        asker.publish("/dhcp/heartbeat/0010/0000", "ONLINE")
        wait_for(lambda: Hadd(10, 0) in primary.addresses, TIMEOUT, "the heartbeat")
        assert ask(asker, "new", name="Pi")["add_ctrl"] == 11
        asker.publish("/dhcp/heartbeat/0011/0000", "ONLINE")
        wait_for(lambda: primary.shelf.leases()[Hadd(11, 0)].state.value == "ONLINE", TIMEOUT, "the state of the lease")
    # Written at the end, not at each heartbeat.
    store = LeaseStore(path)
    book = store.load()
    store.close()
    assert book.seen == {Hadd(10, 0)}
    assert book.snapshot()[Hadd(11, 0)].state.value == "ONLINE"


def commits(path: Path) -> int:
    """How much has been written: the log grows with each commit."""
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_heartbeats_write_nothing(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    with station(quiet, path) as primary:
        ask(asker, "new", name="Pi")
        before = commits(path)
        seen = primary.shelf.leases()[Hadd(10, 0)].last_seen
        for _ in range(50):
            asker.publish("/dhcp/heartbeat/0010/0000", "ONLINE")
            ask(asker, "lock", 10, 0)
        assert primary.shelf.leases()[Hadd(10, 0)].last_seen > seen
        assert commits(path) == before


def test_they_are_written_after_a_while(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    with station(quiet, path, flush_every=0.1):
        ask(asker, "new", name="Pi")
        before = commits(path)
        asker.publish("/dhcp/heartbeat/0010/0000", "ONLINE")
        wait_for(lambda: commits(path) > before, TIMEOUT, "a write")


def test_a_database_that_breaks_is_moved_aside_and_what_is_known_is_kept(
    quiet: Mosquitto, path: Path, asker: Probe
) -> None:
    with station(quiet, path) as primary:
        ask(asker, "new", name="Pi")
    path.write_bytes(b"this is no database any more, says the SD card")
    with capture_logs() as log, station(quiet, path) as primary:
        assert primary.leases() == {}
        assert "repair it" in ask(asker, "lock", 10, 0)["msg_error"]
        assert ask(asker, "repair", 10, 0, name="Pi")["msg_status"] == 200
        assert primary.leases() == {"0010/0000": "Pi"}
    (aside,) = path.parent.glob("leases.sqlite.broken-*")
    assert aside.read_bytes() == b"this is no database any more, says the SD card"
    (said,) = [event for event in log if event["event"] == "lease_database_broken"]
    assert (said["log_level"], said["error"], said["moved_to"]) == ("error", "file is not a database", str(aside))


def test_a_server_that_crashes_starts_again_with_its_leases(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    with station(quiet, path) as primary:
        ask(asker, "new", name="Pi")
        # A message that nobody sends: as a bug does, it ends the actor.
        before = primary.system.lookup("/leases")
        primary.tell(OtherPrimary("no address"))  # type: ignore[arg-type]
        wait_for(lambda: primary.system.lookup("/leases") not in {None, before}, TIMEOUT, lambda: f"{primary.reports}")
        wait_for(lambda: ask_soon(asker, "lock", 10, 0), TIMEOUT, "an answer")
        assert ask(asker, "new", name="Other")["add_ctrl"] == 11


def ask_soon(probe: Probe, action: str, add_ctrl: int, add_node: int) -> bool:
    rep_uuid = f"soon{next(_numbers)}"
    payload = {"rep_uuid": rep_uuid, "add_ctrl": add_ctrl, "add_node": add_node}
    probe.publish(f"/dhcp/lease/{action}", payload)
    try:
        probe.wait_message(lambda message: message.topic == f"/reply/{rep_uuid}", 0.2)
    except AssertionError:
        return False
    return True


def test_two_primaries_that_have_met_hand_out_different_numbers_also_after_a_restart(
    private_broker: BrokerFactory, tmp_path: Path
) -> None:
    # Two brokers: the network has fallen apart, and each has a primary.
    brokers = [private_broker(), private_broker()]
    given: list[int] = []
    for life in range(2):
        with ExitStack() as stack:
            for number, broker in enumerate(brokers):
                own, other = Hadd(number + 1, 0), Hadd(2 - number, 0)
                primary = stack.enter_context(station(broker, tmp_path / f"{number}.sqlite", own))
                if life == 0:
                    primary.tell(OtherPrimary(other))
                probe = stack.enter_context(Probe(broker.host, broker.port, subscribe=["/reply/+"]))
                given += [ask(probe, "new", name=f"{life} {number} {turn}")["add_ctrl"] for turn in range(3)]
    assert given == [10, 12, 14, 11, 13, 15, 16, 18, 20, 17, 19, 21]


def test_one_that_steps_down_hands_its_leases_over_and_learns_which_are_anothers(
    quiet: Mosquitto, tmp_path: Path, asker: Probe
) -> None:
    def serves(primary: Station, **leases: str) -> None:
        for number, (owner, name) in enumerate(leases.items()):
            ask(asker, "repair", 10, number, uuid=owner, name=name)
        wait_for(lambda: len(primary.leases()) == len(leases), TIMEOUT, "the leases")

    # One after the other, as if each had been on a broker of its own.
    with station(quiet, tmp_path / "first.sqlite", Hadd(1, 0)) as first:
        serves(first, a="Kitchen", b="Load")
    with capture_logs() as log, station(quiet, tmp_path / "second.sqlite", Hadd(2, 0)) as second:
        serves(second, a="Kitchen", c="Disks", d="Uptime")
        second.tell(Serve(False))
        with station(quiet, tmp_path / "first.sqlite", Hadd(1, 0)) as first:
            merged = {"0010/0000": "Kitchen", "0010/0001": "Load", "0010/0002": "Uptime"}
            # The first batch may have been sent before the first one listened; it is sent again.
            wait_for(lambda: first.leases() == merged, TIMEOUT, lambda: f"{first.leases()}")
            wait_for(lambda: second.leases() == merged, TIMEOUT, lambda: f"{second.leases()}")
            (lost,) = [event for event in log if event["event"] == "lease_lost"]
            assert (lost["log_level"], lost["hadd"], lost["name"]) == ("error", "0010/0001", "Disks")
            assert "0010/0001 is leased to 'Load', uuid b" in lost["error"]
            # And only one of the two answers, also when the other has crashed meanwhile.
            before = second.system.lookup("/leases")
            second.tell(OtherPrimary("no address"))  # type: ignore[arg-type]
            wait_for(lambda: second.system.lookup("/leases") not in {None, before}, TIMEOUT, "a restart")
            since = len(asker.messages)
            ask(asker, "lock", 10, 0)
            ask(asker, "lock", 10, 1)
            assert len([each for each in asker.messages[since:] if each.value["rep_uuid"].startswith("ask")]) == 2


def test_requests_of_many_controllers_at_once_are_all_served(quiet: Mosquitto, path: Path, asker: Probe) -> None:
    count = 200
    with station(quiet, path) as primary:
        for number in range(count):
            options = {"name": f"n{number}", "uuid": f"u{number}"}
            asker.publish(
                "/dhcp/lease/new", {"rep_uuid": f"m{number}", "add_ctrl": -1, "add_node": -1, "options": options}
            )
        for number in range(count):
            asker.wait_message(partial(lambda topic, message: message.topic == topic, f"/reply/m{number}"), TIMEOUT)
        assert list(primary.leases()) == [f"{number:04d}/0000" for number in range(10, 10 + count)]
