"""The embedded broker, with real mosquitto and real amqtt."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from brokers import HOST, BrokerFactory
from brokers import free_port as find_free_port
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.errors import ConfigurationError, PermanentError, TemporaryError
from janitoo_actors.runtime import broker as broker_module
from janitoo_actors.runtime import broker_greeting, broker_programs
from janitoo_actors.runtime.broker import Broker
from janitoo_actors.runtime.broker_greeting import greet
from mqtt_probe import Probe
from supervisors import (
    ActorState,
    Backoff,
    ChildSpec,
    ExitReason,
    Report,
    ReportKind,
    Root,
    SupervisorFlags,
    System,
    living,
)
from waiting import wait_for

TIMEOUT = 20.0

Events = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def events() -> Iterator[Events]:
    """The log events of the test."""
    with capture_logs() as captured:
        yield captured


class BrokerTree:
    """A root with an embedded broker, which is restarted quickly."""

    def __init__(self, config: BrokerConfig) -> None:
        self.reports: list[Report] = []
        self.config = config
        self.system = System(self.reports.append)
        self._specs = [ChildSpec("broker", Broker, (config,), backoff=Backoff(0.05, 0.1), shutdown=3.0)]
        self._root = Root(self.system, SupervisorFlags(), self._specs)

    def wait_started(self) -> None:
        """Wait until the first start has succeeded or failed."""
        assert self._root.wait_ready(TIMEOUT)

    def actor(self) -> Broker:
        """The broker's present incarnation."""
        ref = self.system.lookup("/broker")
        actor = None if ref is None else living(ref)
        assert isinstance(actor, Broker)
        return actor

    def pid(self) -> int | None:
        """The broker's process; None as long as there is none."""
        ref = self.system.lookup("/broker")
        actor = None if ref is None else living(ref)
        return actor.pid if isinstance(actor, Broker) else None

    def wait_error(self) -> ExitReason:
        """The reason of the first end or failed start."""
        kinds = {ReportKind.CHILD_TERMINATED, ReportKind.START_ERROR}

        def first() -> ExitReason | None:
            return next((report.reason for report in list(self.reports) if report.kind in kinds), None)

        return wait_for(first, TIMEOUT, lambda: f"the broker's end: {self.reports}")

    def errors(self) -> list[Report]:
        """All reports of things that went wrong."""
        return [report for report in self.reports if report.kind is not ReportKind.PROGRESS]

    def stop(self) -> None:
        """End the tree in order."""
        self._root.request_shutdown()
        assert self._root.wait_ended(TIMEOUT)
        self.system.stop()

    def kill(self) -> None:
        """End the broker's actor from outside."""
        self.actor().kill("a test")


Grow = Callable[..., BrokerTree]


@pytest.fixture
def grow() -> Iterator[Grow]:
    """A function that starts an embedded broker; its arguments are those of `BrokerConfig`. Does not wait."""
    trees: list[BrokerTree] = []

    def start(**settings: Any) -> BrokerTree:
        settings.setdefault("port", find_free_port())
        tree = BrokerTree(BrokerConfig(**settings))
        trees.append(tree)
        return tree

    yield start
    for tree in trees:
        tree.stop()


@pytest.fixture(params=["mosquitto", "amqtt"])
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the two brokers."""
    if request.param == "amqtt":
        # The tests' machine has mosquitto, which would be taken.
        monkeypatch.setattr(broker_programs, "find_mosquitto", lambda: None)
    return str(request.param)


def probe(config: BrokerConfig, **settings: Any) -> Probe:
    return Probe(config.host, config.port, **settings)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaps has too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(pid: int) -> None:
    wait_for(lambda: is_gone(pid), TIMEOUT, f"the end of process {pid}")


def named(events: Events, name: str) -> Events:
    return [event for event in list(events) if event["event"] == name]


def test_when_it_has_started_it_answers_at_once_and_when_it_has_stopped_nothing_is_left(
    program: str, grow: Grow, events: Events, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tree = grow()
    tree.wait_started()
    pid = tree.pid()
    assert pid is not None
    assert not list(tmp_path.iterdir())
    with probe(tree.config, subscribe=["greetings"]) as client:
        client.publish("greetings", "hello")
        client.wait_message(lambda message: message.value == "hello")
    tree.stop()
    assert is_gone(pid)
    assert greet(tree.config, 1) is None
    assert not tree.errors()
    (started,) = named(events, "broker_started")
    assert (started["path"], started["program"], started["pid"]) == ("/broker", program, pid)
    assert bool(named(events, "broker_for_trying_out")) == (program == "amqtt")


def test_a_broker_without_trouble_logs_no_warning(program: str, grow: Grow, events: Events) -> None:
    tree = grow()
    tree.wait_started()
    probe(tree.config).close()
    tree.stop()
    warnings = {event["event"] for event in events if event["log_level"] in {"warning", "error"}}
    assert warnings == ({"broker_for_trying_out"} if program == "amqtt" else set())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.7", "::1"])
def test_it_listens_on_any_loopback_address(program: str, grow: Grow, host: str) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback")
    tree = grow(host=host)
    tree.wait_started()
    assert not tree.errors()
    assert tree.pid() is not None, program
    probe(tree.config).close()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as attempt:
            attempt.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("program")
def test_killed_it_ends_with_what_happened_and_comes_back_on_the_same_port(grow: Grow) -> None:
    tree = grow()
    tree.wait_started()
    pid = tree.pid()
    assert pid is not None
    with probe(tree.config, subscribe=["greetings"]) as client:
        os.kill(pid, signal.SIGKILL)
        reason = tree.wait_error()
        assert isinstance(reason.error, TemporaryError)
        assert "was ended by SIGKILL" in str(reason.error)
        wait_for(lambda: tree.pid() not in {None, pid}, TIMEOUT, "a new process")
        wait_for(lambda: client.connected, TIMEOUT, "the client's new connection")
        client.request("greetings", "again", "greetings")
    assert len(tree.errors()) == 1


@pytest.mark.usefixtures("program")
def test_what_is_published_just_before_it_stops_arrives(grow: Grow) -> None:
    tree = grow()
    tree.wait_started()
    with probe(tree.config, subscribe=["state"]) as listener:
        with probe(tree.config, subscribe=["state"]) as node:
            for number in range(50):
                node.publish("state", number)
            # As a link waits until the broker has taken its last words.
            node.wait_message(lambda message: message.value == 49)
        tree.stop()
        listener.wait_message(lambda message: message.value == 49)
        assert [message.value for message in listener.messages] == list(range(50))


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("password", ["secret", "with:colon $6$ 'quote' é"])
def test_only_its_user_may_connect(grow: Grow, password: str) -> None:
    tree = grow(user="janitoo", password=password)
    tree.wait_started()
    assert not tree.errors()
    probe(tree.config, username="janitoo", password=password).close()
    for wrong in ({"username": "janitoo", "password": "wrong"}, {"username": "other", "password": password}, {}):
        with pytest.raises(ConnectionRefusedError):
            probe(tree.config, **wrong)


@pytest.mark.usefixtures("program")
def test_no_password_is_on_a_command_line(grow: Grow) -> None:
    tree = grow(user="janitoo", password="very-secret")
    tree.wait_started()
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert lines
    assert not any("very-secret" in line for line in lines)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"host": "192.0.2.1"}, "loopback only"),
        ({"host": "0.0.0.0"}, "loopback only"),
        ({"host": "broker.example"}, "loopback only"),
        ({"ca_file": Path("ca.crt")}, "broker_ca_file"),
        ({"user": "janitoo"}, "broker_password"),
        ({"user": "a:b", "password": "secret"}, "broker_user"),
        ({"user": "#a", "password": "secret"}, "broker_user"),
    ],
)
def test_a_setting_that_it_cannot_have_is_refused_with_what_to_do(
    grow: Grow, settings: dict[str, Any], expected: str
) -> None:
    reason = grow(**settings).wait_error()
    assert isinstance(reason.error, ConfigurationError)
    assert expected in str(reason.error)


def test_without_any_broker_it_says_what_to_install(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests' machine has both.
    monkeypatch.setattr(broker_programs, "find_mosquitto", lambda: None)
    monkeypatch.setattr(broker_programs, "has_amqtt", lambda: False)
    reason = grow().wait_error()
    assert isinstance(reason.error, PermanentError)
    assert "apt install mosquitto" in str(reason.error)
    assert "pip install 'janitoo-actors[broker]'" in str(reason.error)


def test_a_broker_that_does_not_start_is_told_with_its_last_words(
    grow: Grow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "mosquitto"
    broken.write_text("#!/bin/sh\necho 'Error: out of order' >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o700)
    monkeypatch.setattr(broker_programs, "find_mosquitto", lambda: str(broken))
    reason = grow().wait_error()
    assert isinstance(reason.error, TemporaryError)
    assert str(reason.error) == "mosquitto ended with status 3: Error: out of order"


def test_a_broker_that_never_answers_is_ended(
    grow: Grow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, events: Events
) -> None:
    pid_file = tmp_path / "pid"
    silent = tmp_path / "mosquitto"
    silent.write_text(f"#!/bin/sh\necho $$ > {pid_file}\necho Error: $$ >&2\nexec sleep 1000\n", encoding="utf-8")
    silent.chmod(0o700)
    monkeypatch.setattr(broker_programs, "find_mosquitto", lambda: str(silent))
    # Instead of ten seconds.
    monkeypatch.setattr(broker_module, "START_TIMEOUT", 0.3)
    reason = grow().wait_error()
    assert isinstance(reason.error, TemporaryError)
    assert "does not answer" in str(reason.error)
    wait_gone(int(pid_file.read_text(encoding="utf-8")))
    wait_for(lambda: named(events, "broker_warning"), TIMEOUT, "the broker's own words")


@pytest.mark.usefixtures("program")
def test_an_actor_that_is_killed_leaves_no_process(grow: Grow) -> None:
    tree = grow()
    tree.wait_started()
    pid = tree.pid()
    assert pid is not None
    tree.kill()
    wait_gone(pid)
    wait_for(lambda: tree.pid() not in {None, pid}, TIMEOUT, "a new process")


def test_an_actor_that_is_killed_while_it_starts_leaves_no_process(
    grow: Grow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    silent = tmp_path / "mosquitto"
    silent.write_text(f"#!/bin/sh\necho $$ > {pid_file}.new\nmv {pid_file}.new {pid_file}\nexec sleep 1000\n")
    silent.chmod(0o700)
    monkeypatch.setattr(broker_programs, "find_mosquitto", lambda: str(silent))
    tree = grow()
    wait_for(pid_file.exists, TIMEOUT, "the process")
    pid = int(pid_file.read_text(encoding="utf-8"))
    tree.kill()
    wait_gone(pid)


PARENT = r"""
import os, sys, threading
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.runtime import broker_programs
from janitoo_actors.runtime.broker import Broker
if sys.argv[1] == "amqtt":
    broker_programs.find_mosquitto = lambda: None
actor = Broker.start(BrokerConfig(port=int(sys.argv[2]))).proxy()
os.write(2, f"{actor.pid.get()}\n".encode())
threading.Event().wait()
"""


def test_it_dies_with_its_parent_even_by_sigkill(program: str, free_port: int) -> None:
    command = [sys.executable, "-c", PARENT, program, str(free_port)]
    # Its log goes to its stdout; the pid comes alone on the other.
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stderr is not None
            said = parent.stderr.readline()
            assert said.strip().isdigit(), said + parent.stderr.read()
            pid = int(said)
            assert not is_gone(pid)
        finally:
            parent.kill()
        wait_gone(pid)
    assert greet(BrokerConfig(port=free_port), 1) is None


@pytest.mark.usefixtures("program")
def test_ctrl_c_in_the_terminal_is_not_for_it(grow: Grow) -> None:
    tree = grow()
    tree.wait_started()
    pid = tree.pid()
    assert pid is not None
    # The terminal sends its signals to a process group of its own session.
    assert os.getpgid(pid) != os.getpgid(0)
    assert os.getsid(pid) != os.getsid(0)


class Stranger:
    """Listens on a port and is no MQTT broker: it answers whoever says something with `answer`, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(self._answer)

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b" "])
def test_a_port_that_is_taken_by_something_else_is_told_with_what_to_do(grow: Grow, answer: bytes) -> None:
    stranger = Stranger(answer)
    try:
        tree = grow(port=stranger.port)
        reason = tree.wait_error()
        assert isinstance(reason.error, TemporaryError)
        assert f"port {stranger.port}" in str(reason.error)
        assert "broker_port" in str(reason.error)
    finally:
        stranger.close()
    wait_for(lambda: tree.pid() is not None, TIMEOUT, "our own broker, once the port is free")


def test_a_listener_that_says_nothing_is_no_broker(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    # Instead of two seconds.
    monkeypatch.setattr(broker_module, "_GREETING_TIMEOUT", 0.2)
    with socket.create_server((HOST, 0)) as listener:
        reason = grow(port=listener.getsockname()[1]).wait_error()
    assert isinstance(reason.error, TemporaryError)
    assert "no MQTT broker" in str(reason.error)


def test_a_broker_that_is_there_already_is_used_and_replaced_when_it_has_gone(
    grow: Grow, private_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    monkeypatch.setattr(broker_module, "LOOK_EVERY", 0.02)
    other = private_broker()
    tree = grow(port=other.port)
    tree.wait_started()
    assert tree.pid() is None
    (known,) = named(events, "broker_already_running")
    assert (known["log_level"], known["port"]) == ("info", other.port)
    looks = tree.actor().vitals
    wait_for(lambda: looks.handled > 3, TIMEOUT, "some looks at the other broker")
    assert not tree.errors()
    # It has held its one connection, and not made another for each look.
    assert other.log.count("New client connected") == 1
    other.kill()
    assert "is gone" in str(tree.wait_error().error)
    wait_for(lambda: tree.pid() is not None, TIMEOUT, "our own broker")
    wait_for(lambda: greet(tree.config, 1), TIMEOUT, "an answer of it")
    probe(tree.config).close()


def test_a_broker_that_is_there_already_and_restarts_is_kept(
    grow: Grow, private_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = private_broker()
    # Looked at by hand: between two looks it is away.
    monkeypatch.setattr(broker_module, "LOOK_EVERY", 1000.0)
    tree = grow(port=other.port)
    tree.wait_started()
    other.restart()
    before = other.log.count("New client connected")
    actor = tree.actor()
    actor.tell_self(broker_module._Look())
    wait_for(lambda: other.log.count("New client connected") > before, TIMEOUT, "a new connection")
    assert not tree.errors()
    assert tree.actor() is actor


def test_a_broker_that_is_there_already_and_refuses_us_is_used_with_a_warning(
    grow: Grow, private_broker: BrokerFactory, events: Events
) -> None:
    other = private_broker(username="someone", password="else")
    tree = grow(port=other.port)
    tree.wait_started()
    assert tree.pid() is None
    assert not tree.errors()
    (known,) = named(events, "broker_already_running")
    assert known["log_level"] == "warning"
    assert "refuses" in known["detail"]


def test_of_two_servers_with_one_port_the_second_takes_over(grow: Grow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "LOOK_EVERY", 0.02)
    first = grow()
    first.wait_started()
    second = grow(port=first.config.port)
    second.wait_started()
    assert second.pid() is None
    first.stop()
    wait_for(lambda: second.pid() is not None, TIMEOUT, "the second's own broker")


def test_two_servers_that_start_at_once_with_one_port_share_one_broker(grow: Grow, free_port: int) -> None:
    trees = [grow(port=free_port) for _ in range(2)]

    def settled() -> bool:
        actors = [living(ref) for tree in trees if (ref := tree.system.lookup("/broker")) is not None]
        running = [actor.vitals.state is ActorState.RUNNING for actor in actors if actor is not None]
        return running == [True, True] and sum(tree.pid() is not None for tree in trees) == 1

    wait_for(settled, TIMEOUT, "one broker of one of them")
    probe(trees[0].config).close()


def test_a_long_password_is_a_long_packet(grow: Grow) -> None:
    tree = grow(user="janitoo", password="x" * 300)
    tree.wait_started()
    assert not tree.errors()
    found = greet(tree.config, 1)
    assert isinstance(found, broker_greeting.Greeting)
    assert found.code == 0
    assert found.is_open()
    found.close()
    assert not found.is_open()
