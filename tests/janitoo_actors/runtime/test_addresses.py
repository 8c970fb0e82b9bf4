"""A bus without an address asks the network for one, and waits for the answer; nobody else waits."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from brokers import Mosquitto
from faulty_drivers import TIMEOUT, registry
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import BusConfig
from janitoo_actors.protocol.hadd import Hadd
from running_server import Requester, running, system_section
from waiting import wait_for

BUSES = """
[first]
oid = faulty
hadd = 0010/0000
components.sensor = faulty.sensor

[second]
oid = faulty
config_timeout = 7
components.sensor = faulty.sensor
components.pair = faulty.pair
"""


class Primary:
    """Somebody who gives addresses out, when the test lets them."""

    def __init__(self, answer: Hadd | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, float]] = []
        self.go = threading.Event()

    def ask(self, bus: BusConfig, timeout: float) -> Hadd | None:
        """Answer, or not."""
        self.asked.append((bus.section, timeout))
        self.go.wait(TIMEOUT)
        return self.answer


def written(tmp_path: Path, broker: Mosquitto) -> Path:
    path = tmp_path / "my.conf"
    path.write_text(system_section(broker) + BUSES, encoding="utf-8")
    return path


@pytest.mark.parametrize(("answer", "controller"), [(Hadd(744, 0), "0744"), (None, "0011")])
def test_a_bus_without_an_address(
    answer: Hadd | None, controller: str, broker: Mosquitto, air: Requester, tmp_path: Path
) -> None:
    primary = Primary(answer)
    path = written(tmp_path, broker)
    with running(path, registry(), addresses=primary) as server:
        # The other one is up: it did not wait.
        assert set(server.states()) == {"0010/0000", "0010/0001"}
        assert primary.asked == [("second", 7)]
        assert not server.server.settled()
        # What changes meanwhile, it starts with.
        text = server.text.replace("config_timeout = 7", "config_timeout = 7\nname = Renamed")
        path.write_text(text, encoding="utf-8")
        server.server.reload("the test")
        primary.go.set()
        wait_for(server.server.settled, TIMEOUT, lambda: f"it is up: {server.states()}")
        nodes = air.discover("nodes", f"{controller}/0000")
        assert nodes["second"]["name"] == "Renamed"
        assert {node["hadd"] for node in nodes.values()} == {f"{controller}/{number:04d}" for number in range(3)}
        # An address that was given is kept; one that was only free is not.
        kept = f"\nhadd = {controller}/0000" in server.text
        assert kept is (answer is not None)
        assert server.server.plan().is_empty


def test_a_bus_that_is_added_asks_too(broker: Mosquitto, tmp_path: Path) -> None:
    primary = Primary(Hadd(744, 0))
    path = written(tmp_path, broker)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("[second]")], encoding="utf-8")
    with running(path, registry(), addresses=primary) as server:
        assert not primary.asked
        path.write_text(text, encoding="utf-8")
        primary.go.set()
        done = server.server.reload("the test")
        assert done is not None
        assert str(done.outcomes[0]) == "[second] 3 of 3 nodes are online"
        assert primary.asked == [("second", 7)]
        assert "0744/0002" in server.states()
        assert "hadd = 0744/0000" in server.text


@pytest.mark.parametrize("answer", [Hadd(10, 0), Hadd(744, 3)], ids=["of another bus", "of a node"])
def test_an_address_that_it_cannot_have(answer: Hadd, broker: Mosquitto, tmp_path: Path) -> None:
    primary = Primary(answer)
    primary.go.set()
    with running(written(tmp_path, broker), registry(), addresses=primary) as server:
        wait_for(server.server.settled, TIMEOUT, lambda: f"it is up: {server.states()}")
        assert "0011/0000" in server.states()


def test_an_address_that_cannot_be_kept(broker: Mosquitto, tmp_path: Path) -> None:
    primary = Primary(Hadd(744, 0))
    path = written(tmp_path, broker)
    with running(path, registry(), addresses=primary) as server:
        text = server.text
        path.unlink()
        primary.go.set()
        wait_for(server.server.settled, TIMEOUT, lambda: f"it is up: {server.states()}")
        assert "0744/0002" in server.states()
        path.write_text(text, encoding="utf-8")


def test_a_bus_that_is_removed_while_it_asks(broker: Mosquitto, tmp_path: Path) -> None:
    primary = Primary(Hadd(744, 0))
    path = written(tmp_path, broker)
    with running(path, registry(), addresses=primary) as server:
        text = server.text
        path.write_text(text[: text.index("[second]")], encoding="utf-8")
        server.server.reload("the test")
        primary.go.set()
        wait_for(
            lambda: not [each for each in threading.enumerate() if each.name.startswith("address of")],
            TIMEOUT,
            "it has had its answer",
        )
        assert set(server.states()) == {"0010/0000", "0010/0001"}
        assert "0744" not in server.text


def test_one_that_gets_its_address_in_the_file_does_not_wait(broker: Mosquitto, tmp_path: Path) -> None:
    primary = Primary(None)
    path = written(tmp_path, broker)
    with running(path, registry(), addresses=primary) as server:
        path.write_text(server.text.replace("config_timeout = 7", "hadd = 0755/0000"), encoding="utf-8")
        done = server.server.reload("the test")
        assert done is not None
        assert str(done.outcomes[0]) == "[second] 3 of 3 nodes are online"
        primary.go.set()
        server.wait_online()
        assert "0755/0000" in server.states()


def test_nobody_is_waited_for_where_nobody_answers(broker: Mosquitto, tmp_path: Path) -> None:
    with running(written(tmp_path, broker), registry(), online=False) as server:
        wait_for(server.server.settled, TIMEOUT, lambda: f"it is up: {server.states()}")
        assert "0011/0000" in server.states()


def test_numbers_that_are_free(broker: Mosquitto, tmp_path: Path) -> None:
    path = written(tmp_path, broker)
    more = BUSES.replace("[first]", "[third]").replace("[second]", "[fourth]").replace("0010/0000", "0012/0000")
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    config = load(path, registry())
    assert not config.problems
    assert [(bus.section, bus.node.hadd.controller, bus.node.hadd_assigned) for bus in config.buses] == [
        ("first", 10, False),
        ("second", 11, True),
        ("third", 12, False),
        ("fourth", 13, True),
    ]
