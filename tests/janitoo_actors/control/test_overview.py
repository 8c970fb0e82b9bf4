"""The request `overview`: what a live screen shows, in one answer, also where actors and processes hang."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from brokers import BrokerFactory, Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, raises, registry
from janitoo_actors import log_watching
from janitoo_actors.control.client import Control, NotServedError
from janitoo_actors.control.server import ControlServer
from janitoo_actors.control.standard import standard_requests
from running_server import RunningServer
from supervisors import ExitReason, Report, ReportKind
from waiting import wait_for

SENSOR = "/buses/one/pollers/0701/0001/temperature"
REMOTE = "/buses/far/pollers/0702/0001/temperature"


class Place:
    """A server with a bus in its process, one in a process of its own, and its control socket."""

    def __init__(self, path: Path, broker: Mosquitto) -> None:
        made = Configuration(path, broker, pid_dir=path, read_timeout=30, service="attic")
        made.bus("one", ["sensor", "switch"], temperature_poll_0=0.2)
        made.bus("far", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.2, order_0=path / "order")
        self.server = RunningServer(made.write(), registry())
        self.path = path / "my.sock"
        self.control = ControlServer(self.server.server, self.path, standard_requests())

    def ask(self, **data: Any) -> dict[str, Any]:
        """Ask once."""
        with Control(self.path, "my.conf") as client:
            return dict(client.ask("overview", TIMEOUT, **data))

    def paths(self, **data: Any) -> list[str]:
        """Which actors it shows."""
        return [each["path"] for each in self.ask(**data)["actors"]]

    def actor(self, path: str, **data: Any) -> dict[str, Any]:
        """One of them."""
        return next(each for each in self.ask(**data)["actors"] if each["path"] == path)


@pytest.fixture
def place(tmp_path: Path, broker: Mosquitto) -> Iterator[Place]:
    # As the log of a server is set up: what happens is kept for whoever looks.
    structlog.configure(processors=[log_watching.note, *structlog.get_config()["processors"]])
    made = Place(tmp_path, broker)
    made.server.wait_online()
    # What is in the process of a bus is told a moment later.
    wait_for(lambda: REMOTE in made.paths(find="temperature"), TIMEOUT, "its tree")
    yield made
    SCRIPTS.reset()
    made.control.close()
    made.server.server.stop(TIMEOUT)
    structlog.reset_defaults()


def test_what_is_shut_is_summed_up(place: Place) -> None:
    told = place.ask()
    assert [(each["path"], each["depth"], each["open"]) for each in told["actors"]] == [
        ("/", 0, True),
        ("/absent", 1, False),
        ("/buses", 1, True),
        ("/buses/one", 2, False),
        ("/buses/far", 2, False),
    ]
    assert (told["service"], told["file"], told["silent"], told["left_off"]) == ("attic", str(place.server.path), [], 0)
    infos = [info for info in place.server.infos() if info.path.startswith("/buses/one/")]
    one = told["actors"][3]
    assert one["below"] == len(infos) > 5
    assert one["all_handled"] > one["handled"]
    everything = place.ask(open=[info.path for info in place.server.infos()])
    assert sum(told["states"].values()) == len(everything["actors"])
    own = [each["handled"] for each in everything["actors"] if each["path"].startswith("/buses/one")]
    assert everything["actors"][3]["all_handled"] == sum(own)


def test_what_is_open_is_shown(place: Place) -> None:
    assert place.paths(open=["/buses/one"])[3:] == [
        "/buses/one",
        "/buses/one/link",
        "/buses/one/bus",
        "/buses/one/nodes",
        "/buses/one/pollers",
        "/buses/far",
    ]
    # What is below something that is shut stays there.
    assert SENSOR not in place.paths(open=["/buses/one/pollers", "/nobody"])
    assert SENSOR in place.paths(open=["/buses/one", "/buses/one/pollers"])
    short = place.ask(open=["/buses/one"], limit=3)
    assert (len(short["actors"]), short["left_off"]) == (3, 6)


def test_find(place: Place) -> None:
    assert place.paths(find="0701/0001/TEMP") == ["/", "/buses", "/buses/one", "/buses/one/pollers", SENSOR]
    assert place.paths(find="/buses/one/link") == ["/", "/buses", "/buses/one", "/buses/one/link"]
    assert REMOTE in place.paths(find="poller")
    # A part of a path that is of two places, and what is wanted below what was found.
    pollers = ["/", "/buses", "/buses/one", "/buses/one/pollers"]
    assert place.paths(find="one/pollers") == pollers
    assert SENSOR in place.paths(find="one/pollers", open=["/buses/one/pollers"])
    assert place.paths(find="buses/one") == ["/", "/buses", "/buses/one"]
    assert place.paths(find="nobody has this") == []
    assert place.paths(find="running") == place.paths(open=[info.path for info in place.server.infos()])


def test_latency_is_that_of_the_slowest(place: Place) -> None:
    pollers = ["/buses/one", "/buses/one/pollers", "/buses/far", "/buses/far/pollers"]
    wait_for(lambda: place.actor(REMOTE, open=pollers)["latency"], TIMEOUT, "a poll in the process")
    slow = place.actor("/")["latency"]
    assert slow is not None
    assert place.actor("/buses/one/link", open=pollers)["latency"] is None, "it polls nothing"
    # A driver that hangs: the time that it has been at its message, there and above.
    hang = SCRIPTS.hang()
    SCRIPTS["one__sensor"].read = hang
    hang.wait_reached()
    wait_for(lambda: (place.actor("/buses/one/bus", open=pollers)["latency"] or 0) > 0.3, TIMEOUT, "it hangs")
    assert place.actor("/")["latency"] >= 0.3
    assert place.actor("/buses/one/bus", open=pollers)["current"] == "Read"


def test_a_bus_that_waits_for_an_address_is_told(private_broker: BrokerFactory, tmp_path: Path) -> None:
    path = Configuration(tmp_path, private_broker(), pid_dir=tmp_path).bus("one", ["switch"]).write()
    waits = "[far]\noid = faulty\nauto_start = True\ncomponents.sensor = faulty.sensor\n"
    path.write_text(path.read_text(encoding="utf-8") + waits, encoding="utf-8")
    server = RunningServer(path, registry())
    control = ControlServer(server.server, tmp_path / "my.sock", standard_requests())
    try:
        with Control(tmp_path / "my.sock", "my.conf") as client:
            told = client.ask("overview", TIMEOUT)
        assert (told["waiting"], told["is_failed"]) == (["far"], False)
    finally:
        control.close()
        server.stop()


def test_a_process_that_hangs_keeps_nobody_waiting(place: Place) -> None:
    wait_for(lambda: place.actor("/buses/far")["latency"], TIMEOUT, "a poll in the process")
    pid = place.actor("/buses/far")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        told = place.ask()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told["silent"] == ["far"]
    one, far = told["actors"][3:]
    assert one["latency"] is not None
    assert far["below"] > 0, "what is known of it is shown"


def test_errors_are_counted_up_to_the_root(place: Place) -> None:
    for error in ("burnt", "burnt", "wet"):
        reason = ExitReason.of(OSError(error))
        place.server.server.history.reported(
            Report(ReportKind.CHILD_TERMINATED, "/buses/one/pollers", child="0701/0001/temperature", reason=reason)
        )
    told = place.ask(open=["/buses/one", "/buses/one/pollers"], selected=SENSOR)
    errors = {each["path"]: each["errors"] for each in told["actors"]}
    assert [errors[path] for path in ("/", "/buses", "/buses/one", "/buses/one/pollers", SENSOR)] == [3] * 5
    assert (errors["/buses/far"], errors["/buses/one/link"]) == (0, 0)
    assert told["selected"]["path"] == SENSOR
    assert "wet" in told["selected"]["error"]["error"]
    assert place.ask(selected="/buses/far")["selected"]["error"] is None


def test_reads_that_fail_again_and_again_are_counted(place: Place) -> None:
    SCRIPTS["one__sensor"].read = raises(*[OSError("unplugged")] * 1000)

    def counted() -> bool:
        told = place.ask(open=["/buses/one", "/buses/one/pollers"], selected=SENSOR)
        errors = {each["path"]: each["errors"] for each in told["actors"]}
        # The node that goes down with it is one more.
        return bool(errors[SENSOR] >= 3 and errors["/buses/one"] >= 4 and told["selected"]["error"]["times"] >= 3)

    wait_for(counted, TIMEOUT, lambda: f"three of them: {place.ask(selected=SENSOR)}")


@pytest.mark.parametrize("given", ["/buses", [1], {"/": 1}, 7])
def test_what_is_no_list_of_paths_is_refused(place: Place, given: Any) -> None:
    with pytest.raises(NotServedError, match="'open': expected a list of paths"):
        place.ask(open=given)
