"""Buses in processes of their own, as the console has them: like any other, and when their process does not answer."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asked_server import AskedServer, asked
from brokers import Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, registry
from janitoo_actors.control import places
from janitoo_actors.control.client import NotServedError
from janitoo_actors.runtime.wishes import Wishes
from waiting import wait_for

FAR = "/buses/far/pollers/0702/0001/temperature"
NEAR = "/buses/near/pollers/0701/0001/temperature"


@pytest.fixture
def server(tmp_path: Path, broker: Mosquitto) -> Iterator[AskedServer]:
    """A server with a bus of each kind; it has patience with a process that does not answer."""
    made = Configuration(tmp_path, broker, pid_dir=tmp_path, read_timeout=120)
    made.bus("near", ["sensor"])
    made.bus("far", ["remote"], own={"isolation": "process"})
    made.bus("near2", ["sensor"])
    with asked(made.write(), registry()) as running:
        wait_for(lambda: FAR in paths(running), TIMEOUT, "what is in the process is shown")
        yield running
        SCRIPTS.reset()


def paths(server: AskedServer) -> set[str]:
    return {each["path"] for each in server.ask("tree")["actors"]}


def pid_of(server: AskedServer) -> int:
    (far,) = server.ask("tree", path="far", depth=0)["actors"]
    pid: int = far["pid"]
    return pid


def test_the_page_says_which_process_it_is(server: AskedServer) -> None:
    pid = pid_of(server)
    assert server.ask("status", path=FAR)["process"] == server.ask("status", path="far")["process"] == pid
    assert server.ask("status", path=NEAR)["process"] == server.ask("status", path="/")["process"] == os.getpid()


def test_a_trace_of_all_has_those_of_all_processes(server: AskedServer) -> None:
    shown: list[Any] = []

    def trace() -> None:
        with server.client() as client:
            stream = client.stream("trace", TIMEOUT, type="Requested", max=1000, rate=200, seconds=60)
            while True:
                try:
                    shown.append(next(stream))
                except StopIteration as end:
                    shown.append(end.value)
                    return
                if {"0701", "0702"} <= {each["path"].split("/")[-2] for each in shown}:
                    return

    tracing = threading.Thread(target=trace)
    tracing.start()
    while tracing.is_alive():
        # Until both are tapped.
        server.ask("poll", path="near")
        server.ask("poll", path="far")
        tracing.join(0.05)
    assert {each["path"] for each in shown} == {"/buses/near/nodes/0701/0001", "/buses/far/nodes/0702/0001"}
    wait_for(lambda: _tapped(server) == [], TIMEOUT, "nobody is looked at any more")


def _tapped(server: AskedServer) -> list[str]:
    found = []
    for path in server.server.system.paths():
        ref = server.server.system.lookup(path)
        actor = ref._actor_weakref() if ref is not None else None
        if actor is not None and "on_receive" in actor.__dict__:
            found.append(path)
    return found


def drained(stream: Any) -> Any:
    """The last reply of a stream."""
    while True:
        try:
            next(stream)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("path", ["/", "far"])
def test_a_trace_ends_by_its_limits_whatever_the_processes_do(path: str, server: AskedServer) -> None:
    os.kill(pid_of(server), signal.SIGSTOP)
    with server.client() as client:
        stream = client.stream("trace", TIMEOUT, path=path, seconds=0.5)
        assert drained(stream)["ended"] == "time"
    os.kill(pid_of(server), signal.SIGCONT)


def test_a_process_that_is_stopped_keeps_nobody_waiting(server: AskedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = pid_of(server)
    remote = next(board.remote for board in server.server.boards if board.section == "far")
    assert remote is not None
    os.kill(pid, signal.SIGSTOP)
    # Nobody who asks may wait for as long as that again.
    monkeypatch.setattr(places, "REMOTE_PATIENCE", 0.5)
    for request in ("values", "mqtt", "tree", "errors", "health", "network", "threads", "machine", "ping"):
        server.ask(request)
    assert remote.is_silent
    assert remote.patience(2.0) < 0.1
    shown = [server.ask("status", path=path) for path in ("far", "/buses/far/bus", FAR)]
    assert {page["process"] for page in shown} == {pid}
    assert "has not answered" in shown[-1]["stack"]
    # What is told of others is told.
    by_path = {each["path"]: each for each in server.ask("values")["values"]}
    assert by_path["0701/0001/temperature"]["reads"] == 1
    assert by_path["0702/0001/temperature"]["reads"] is None
    far = next(each for each in server.ask("threads")["threads"] if each["process"] == "far")
    assert far["stack"] == "its process does not answer\n"
    server.ask("suspend", path="far")
    server.ask("resume", path="far")
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not remote.is_silent, TIMEOUT, "it has answered what it was asked")
    assert server.ask("values", path="0702/0001/temperature")["values"][0]["reads"] >= 1
    assert server.ask("status", path=FAR)["stack"] == ""


def test_who_asks_a_process_that_dies_is_told_at_once(server: AskedServer) -> None:
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    told: list[Any] = []

    def restart() -> None:
        with pytest.raises(NotServedError) as error:
            server.ask("restart", path="/buses/far/bus")
        told.append(str(error.value))

    remote = next(board.remote for board in server.server.boards if board.section == "far")
    assert remote is not None
    asking = threading.Thread(target=restart)
    asking.start()
    wait_for(lambda: remote._waiting, TIMEOUT, "it waits")
    os.kill(pid, signal.SIGKILL)
    asking.join(TIMEOUT)
    assert told == ["its process has ended"]
    server.wait_online()
    assert pid_of(server) != pid


def test_a_stopped_process_is_restarted_from_outside(server: AskedServer) -> None:
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    assert "it runs" in server.ask("restart", path="far")["done"]
    assert pid_of(server) != pid
    server.wait_online()


def test_a_poll_does_not_ask_a_bus_again_that_hangs(tmp_path: Path, broker: Mosquitto) -> None:
    made = Configuration(tmp_path, broker, pid_dir=tmp_path, read_timeout=1)
    made.bus("one", ["sensor", "switch"]).bus("two", ["sensor"])
    with asked(made.write(), registry()) as server:
        hang = SCRIPTS.hang()
        SCRIPTS["one__sensor"].read = hang
        SCRIPTS["one__switch"].read = lambda _instance: "on"
        readings = {each["path"]: each["error"] for each in server.ask("poll", path="/")["readings"]}
        assert readings["0702/0001/temperature"] is None
        assert readings["0701/0001/temperature"] is not None
        assert readings["0701/0002/state"].startswith("not asked: the read of 0701/0001/temperature has not come to")
        SCRIPTS.reset()


def test_threads_of_one_bus_are_not_those_of_another_with_a_longer_name(server: AskedServer) -> None:
    names = {each["name"] for each in server.ask("threads", path="near")["threads"]}
    assert "/buses/near/bus" in names
    assert not any(name.startswith("/buses/near2") for name in names)


@pytest.mark.parametrize("key", ["seconds", "rate", "max"])
def test_a_number_that_no_float_holds(key: str, server: AskedServer) -> None:
    with pytest.raises(NotServedError) as error:
        server.ask("trace", **{key: 10**400})
    assert error.value.code == "refused"
    assert len(str(error.value)) < 200


# -- what is held back, of many --------------------------------------------------------------------------------------


class _Many(frozenset[str]):
    """Paths that nobody looks through one by one."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("thousands of them, for each of thousands")


def test_whether_one_is_held_back_is_no_search() -> None:
    wishes = Wishes(suspended=_Many([f"/buses/x/pollers/0001/{number:04d}/level" for number in range(100)]))
    assert wishes.holds_back("/buses/x/pollers/0001/0042/level")
    assert wishes.holds_back("/buses/x/pollers/0001/0042/level/below")
    assert not wishes.holds_back("/buses/x/pollers/0001/0042")
    assert not wishes.holds_back("/buses/x/pollers/0001/0100/level")
    assert Wishes(suspended=frozenset(["/"])).holds_back("/buses")
    assert not Wishes().holds_back("/buses")
