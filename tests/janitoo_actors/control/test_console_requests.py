"""What the console asks of a server: in this process, to wedge it and to look inside."""

from __future__ import annotations

import contextlib
import json
import linecache
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers import BrokerFactory, Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, raises, registry
from janitoo_actors.commands.main import main
from janitoo_actors.control import server as control_server
from janitoo_actors.control.client import Control, NotServedError
from janitoo_actors.control.requests import Access
from janitoo_actors.control.server import MOST_STREAMS, ControlServer
from janitoo_actors.control.standard import standard_requests
from janitoo_actors.runtime import administration
from running_server import RunningServer
from supervisors.dispatcher import MAX_EXTRA, WORKERS
from waiting import wait_for

SENSOR = "/buses/one/pollers/0701/0001/temperature"
LOOKING = ("tree", "errors", "events", "threads", "values", "mqtt", "network", "health", "machine", "ping", "config")


class Place:
    """A server with its control socket."""

    def __init__(self, path: Path, broker: Mosquitto, *, poll: float = 300, **options: Any) -> None:
        made = Configuration(path, broker, pid_dir=path, read_timeout=2, max_backoff=30)
        made.bus("one", ["sensor", "switch"], temperature_poll_0=poll).bus("two", ["pair"], **options)
        self.server = RunningServer(made.write(), registry())
        self.path = path / "my.sock"
        self.control = ControlServer(self.server.server, self.path, standard_requests())
        self.broker = broker

    def client(self) -> Control:
        """A client."""
        return Control(self.path, "my.conf")

    def ask(self, request: str, **data: Any) -> Any:
        """Ask once."""
        with self.client() as client:
            return client.ask(request, TIMEOUT, **data)

    def actor(self, path: str) -> Any:
        """One actor of the tree."""
        (actor,) = self.ask("tree", path=path, depth=0)["actors"]
        return actor

    def close(self) -> None:
        """End it."""
        SCRIPTS.reset()
        self.control.close()
        self.server.server.stop(TIMEOUT)


@pytest.fixture
def place(tmp_path: Path, broker: Mosquitto) -> Iterator[Place]:
    made = Place(tmp_path, broker)
    made.server.wait_online()
    yield made
    made.close()


def test_the_tree(place: Place) -> None:
    result = place.ask("tree")
    paths = [each["path"] for each in result["actors"]]
    assert paths[:5] == ["/", "/buses", "/buses/one", "/buses/one/link", "/buses/one/bus"]
    assert SENSOR in paths
    assert {each["state"] for each in result["actors"]} == {"running"}
    assert [each["path"] for each in place.ask("tree", path="one", depth=1)["actors"]] == [
        "/buses/one",
        "/buses/one/link",
        "/buses/one/bus",
        "/buses/one/nodes",
        "/buses/one/pollers",
    ]
    short = place.ask("tree", limit=2)
    assert (len(short["actors"]), short["left_off"]) == (2, len(paths) - 2)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("one", "/buses/one"),
        ("/buses/one/", "/buses/one"),
        ("buses/one/bus", "/buses/one/bus"),
        ("0701/0001", "/buses/one/nodes/0701/0001"),
        ("one__sensor", "/buses/one/nodes/0701/0001"),
        ("0701/0001/temperature", SENSOR),
        ("one__sensor/temperature", SENSOR),
    ],
)
def test_what_people_call_an_actor(name: str, path: str, place: Place) -> None:
    assert place.actor(name)["path"] == path


def test_a_name_that_nobody_has(place: Place) -> None:
    for request, name, hint in (
        ("status", "/buses/one/buss", "did you mean '/buses/one/bus'?"),
        ("restart", "nobody", "the buses are: one, two"),
        ("values", "0701/0001/temperatur", "did you mean '0701/0001/temperature'?"),
    ):
        with pytest.raises(NotServedError, match=hint.replace("?", r"\?")):
            place.ask(request, path=name)


def test_a_page_on_a_poller(place: Place) -> None:
    page = place.ask("status", path="0701/0001/temperature")
    line = place.server.text.splitlines().index("temperature_poll_0 = 300") + 1
    configured = {"section": "one__sensor", "key": "temperature_poll_0", "line": line, "file": str(place.server.path)}
    assert page["configured"] == configured
    assert page["node"]["hadd"] == "0701/0001"
    assert page["node"]["heartbeat_age"] >= 0
    (value,) = page["values"]
    assert (value["data"], value["reads"], value["failures"]) == ([20.0], 1, 0)
    assert value["age"] >= 0
    assert value["took"] >= 0


def test_a_page_on_a_bus_that_hangs_shows_where(place: Place) -> None:
    hang = SCRIPTS.hang()
    SCRIPTS["one__sensor"].read = hang
    asking = threading.Thread(target=lambda: place.ask("poll", path="0701/0001/temperature"))
    asking.start()
    hang.wait_reached()
    page = wait_for(lambda: (now := place.ask("status", path="/buses/one/bus"))["stack"] and now, TIMEOUT, "a stack")
    assert "read_temperature" in page["stack"]
    assert page["actor"]["current"] == "Read"
    # The node says that it takes too long; the watchdog replaces the bus.
    asking.join(TIMEOUT)
    assert not asking.is_alive()
    wait_for(lambda: place.actor("/buses/one/bus")["restarts"], TIMEOUT, "it is replaced")
    errors = place.ask("errors", path="one")["errors"]
    hung = next(each for each in errors if each["event"] == "hung")
    assert "read_temperature" in hung["traceback"]


def test_what_fails_again_is_counted_and_outlives_the_actor(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    SCRIPTS["one"].open = raises(OSError("no such device"))
    assert place.ask("restart", path="/buses/one/bus")["works"] is False
    # For scripts: it was done, and has not worked.
    assert main(["console", "--socket", str(place.path), "retry", "/buses/one/bus"]) == 1
    assert "it did not start: OSError: no such device; the next try is in" in capsys.readouterr().out

    def counted() -> Any:
        errors = place.ask("errors", path="/buses/one/bus")["errors"]
        return next((each for each in errors if "no such device" in each["error"] and each["times"] >= 2), None)

    error = wait_for(counted, TIMEOUT, lambda: str(place.ask("errors")))
    assert "OSError" in error["traceback"]
    assert error["first"] <= error["last"]
    actor = place.actor("/buses/one/bus")
    assert actor["error"] == "OSError: no such device"
    assert any("no such device" in each["text"] for each in place.ask("health")["reasons"])
    SCRIPTS["one"].open = lambda: None
    assert main(["console", "--socket", str(place.path), "retry", "/buses/one/bus"]) == 0
    place.server.wait_online()
    count = len(place.ask("errors", path="one")["errors"])
    assert count >= 1
    assert place.ask("clear", path="one")["done"].startswith(f"{count} error")
    assert place.ask("errors", path="one")["errors"] == []


def test_reads_that_fail_are_counted(place: Place) -> None:
    SCRIPTS["one__sensor"].read = raises(OSError("unplugged"))
    for count in (1, 2, 3):
        place.server.server.system.tell(SENSOR, _poll_now())
        wait_for(lambda: _value(place)["failures"] == count, TIMEOUT, "it has failed")  # noqa: B023 - called in here
    value = _value(place)
    assert (value["data"], value["error"], value["failures_in_row"]) == ([None], "unplugged", 3)


def _poll_now() -> Any:
    from janitoo_actors.runtime.messages import PollNow

    return PollNow()


def _value(place: Place, name: str = "0701/0001/temperature") -> Any:
    (value,) = place.ask("values", path=name)["values"]
    return value


# -- acts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [SENSOR, "/buses/one/nodes/0701/0001", "/buses/one/bus", "/buses/one/link", "/buses/one"]
)
def test_restart_just_that(path: str, place: Place) -> None:
    others = place.server.incarnations("two")
    before = place.server.incarnations("one")
    place.ask("restart", path=path)
    place.server.wait_online()
    assert place.server.incarnations("two") == others
    after = place.server.incarnations("one")
    assert after[path] != before[path]
    assert place.actor(path)["state"] == "running"
    assert place.actor(path)["error"] is None


def test_stop_and_start(place: Place) -> None:
    assert place.ask("stop", path="one")["actor"]["state"] == "stopped"
    place.server.wait_states(_offline(), "0701/0000")
    for request, said in (("stop", "it is stopped already"), ("retry", "it is stopped: `start` starts it")):
        with pytest.raises(NotServedError, match=said):
            place.ask(request, path="one")
    place.ask("start", path="one")
    place.server.wait_online()
    with pytest.raises(NotServedError, match="it runs already"):
        place.ask("start", path="one")
    for path in ("/", "/buses"):
        with pytest.raises(NotServedError, match=f"{path} is "):
            place.ask("stop", path=path)


def _offline() -> Any:
    from janitoo_actors.protocol.messages import NodeState

    return NodeState.OFFLINE


def test_a_bus_whose_driver_hangs_is_restarted_by_force(place: Place) -> None:
    hang = SCRIPTS.hang()
    SCRIPTS["one__sensor"].read = hang
    place.server.server.system.tell(SENSOR, _poll_now())
    hang.wait_reached()
    SCRIPTS["one__sensor"].read = lambda _instance: 1.0
    done = place.ask("restart", path="/buses/one/bus")
    assert done["actor"]["state"] == "running"
    place.server.wait_online()


def test_suspend_holds_polls_back_over_a_restart_until_resume(place: Place) -> None:
    script = SCRIPTS["one__sensor"]
    assert place.ask("suspend", path="one__sensor")["actor"]["suspended"]
    assert place.actor(SENSOR)["suspended"]
    reads = script.reads[0]
    place.ask("restart", path="one")
    wait_for(lambda: place.actor(SENSOR)["state"] == "running", TIMEOUT, "it runs again")
    place.server.server.system.tell(SENSOR, _poll_now())
    # Whoever asks is answered all the same.
    (reading,) = place.ask("poll", path="0701/0001/temperature")["readings"]
    assert reading["data"] == [20.0]
    assert script.reads[0] == reads + 1
    assert _value(place)["suspended"]
    assert "held back" in str(place.ask("health")["reasons"])
    place.ask("resume", path="one")
    wait_for(lambda: script.reads[0] > reads + 1, TIMEOUT, "it polls again")
    with pytest.raises(NotServedError, match="nothing of it is held back"):
        place.ask("resume", path="one")
    with pytest.raises(NotServedError, match="nothing of it is polled"):
        place.ask("suspend", path="/buses/one/link")


def test_suspend_holds_over_a_reload(place: Place) -> None:
    place.ask("suspend", path="two")
    text = place.server.text
    place.server.path.write_text(text.replace("broker_ip", "broker_keepalive = 50\nbroker_ip"), encoding="utf-8")
    assert "two" in place.ask("reload")["restarted"]
    assert all(each["suspended"] for each in place.ask("values", path="two")["values"] if each["poll_delay"])


def test_set_writes_as_over_the_air(place: Place) -> None:
    written: list[Any] = []
    SCRIPTS["one__switch"].write = lambda _instance, data: written.append(data)
    place.ask("set", path="one__switch/state", value="on")
    assert written == ["on"]
    assert place.ask("set", path="0701/0001/name", value="Attic")["data"] == ["Attic"]
    assert "name = Attic" in place.server.text
    place.ask("set", path="0701/0001/temperature_poll", value=60)
    assert _value(place)["poll_delay"] == 60
    for path, value, said in (
        ("0701/0001/temperature", 3, "temperature is read-only"),
        ("0701/0001/heartbeat", "often", "heartbeat = 'often': "),
        ("0701/0001", 3, "is 7 values: choose one"),
    ):
        with pytest.raises(NotServedError, match=said):
            place.ask("set", path=path, value=value)


def test_poll_of_a_bus(place: Place) -> None:
    SCRIPTS["one__sensor"].read = raises(OSError("unplugged"))
    SCRIPTS["one__switch"].read = lambda _instance: "on"
    readings = {each["path"]: (each["data"], each["error"]) for each in place.ask("poll", path="one")["readings"]}
    assert readings == {
        "0701/0001/temperature": ([None], "unplugged"),
        "0701/0002/state": (["on"], None),
    }
    with pytest.raises(NotServedError, match="there is nothing to read"):
        place.ask("poll", path="0701/0001/name")


# -- streams ---------------------------------------------------------------------------------------------------------


def drained(stream: Any) -> tuple[list[Any], Any]:
    """All of a stream, and its last reply."""
    items = []
    while True:
        try:
            items.append(next(stream))
        except StopIteration as end:
            return items, end.value


def test_trace_is_bounded_and_leaves_nothing_behind(place: Place) -> None:
    with place.client() as client:
        stream = client.stream("trace", TIMEOUT, path="one", type="PollNow", max=3, rate=200)
        shown: list[Any] = []
        done = threading.Thread(target=lambda: shown.extend(drained(stream)))
        done.start()
        while done.is_alive():
            place.server.server.system.tell(SENSOR, _poll_now())
            done.join(0.02)
        items, end = shown
        assert [each["type"] for each in items] == ["PollNow"] * 3
        assert {each["path"] for each in items} == {SENSOR}
        assert (end["ended"], end["shown"]) == ("max", 3)
        items, end = drained(client.stream("trace", TIMEOUT, path="two", seconds=0.3))
        assert end["ended"] == "time"
    actor = place.server.server.system.lookup(SENSOR)
    assert actor is not None
    wait_for(lambda: "on_receive" not in actor._actor_weakref().__dict__, TIMEOUT, "it is as before")
    for wrong in ({"max": 0}, {"rate": 1e9}, {"seconds": -1}, {"seconds": float("nan")}):
        with pytest.raises(NotServedError, match="expected"):
            place.ask("trace", **wrong)


def test_the_next_request_ends_a_stream(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(place.path))
        raw.settimeout(TIMEOUT)
        raw.sendall(b'{"version": 1, "id": 1, "request": "logs", "follow": true}\n')
        raw.sendall(b'{"version": 1, "id": 2, "request": "ping"}\n')
        with raw.makefile("rb") as file:
            replies = [json.loads(line) for line in (file.readline(), file.readline())]
    assert [(each["id"], each["ok"]) for each in replies] == [(1, True), (2, True)]
    assert replies[0]["result"]["ended"] == "asked"


def test_there_are_so_many_streams_and_no_more(place: Place) -> None:
    clients = []
    try:
        for _ in range(MOST_STREAMS):
            raw = socket.socket(socket.AF_UNIX)
            raw.connect(str(place.path))
            raw.sendall(b'{"version": 1, "request": "logs", "follow": true, "lines": 0}\n')
            clients.append(raw)
        wait_for(lambda: place.control._streams._value == 0, TIMEOUT, "all are served")
        with pytest.raises(NotServedError, match=f"{MOST_STREAMS} streams are served"):
            place.ask("logs")
        assert place.ask("ping")
    finally:
        for raw in clients:
            raw.close()
    wait_for(lambda: place.control._streams._value == MOST_STREAMS, TIMEOUT, "all are gone")


# -- wedged ----------------------------------------------------------------------------------------------------------


def test_it_answers_when_everything_hangs(
    tmp_path: Path, private_broker: BrokerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("_ANSWER", "_STOP"):
        monkeypatch.setattr(administration, limit, 0.2)
    broker = private_broker()
    place = Place(tmp_path, broker)
    try:
        place.server.wait_online()
        hang = SCRIPTS.hang()
        SCRIPTS["one__sensor"].read = SCRIPTS["one"].close = hang
        place.server.server.system.tell(SENSOR, _poll_now())
        hang.wait_reached()
        broker.kill()
        for _ in range(WORKERS + MAX_EXTRA + 8):
            place.server.server.system.dispatcher.submit(hang)
        wait_for(lambda: hang.calls > WORKERS + MAX_EXTRA, TIMEOUT, "every worker is blocked")
        with place.client() as client:
            for request in LOOKING:
                client.ask(request, TIMEOUT)
            for path in ("/", "/buses", "one", "/buses/one/bus", SENSOR, "0701/0001"):
                client.ask("status", TIMEOUT, path=path)
            for request in ("restart", "stop"):
                with pytest.raises(NotServedError) as error:
                    client.ask(request, TIMEOUT, path="/buses/two/nodes/0702/0001")
                assert error.value.code == "busy"
            client.ask("suspend", TIMEOUT, path="two")
            health = client.ask("health", TIMEOUT)
            assert health["code"] > 0
            assert any("broker" in each["text"] for each in health["reasons"])
            assert any(each["name"] == "/buses/one/bus" for each in client.ask("threads", TIMEOUT)["threads"])
    finally:
        place.close()


def test_the_sources_that_stacks_are_shown_with_are_not_kept(place: Place) -> None:
    with place.client() as client:
        assert any(each["stack"] for each in client.ask("threads", TIMEOUT)["threads"])
    assert linecache.cache == {}


def test_ten_thousand_actors_are_listed(tmp_path: Path, broker: Mosquitto) -> None:
    made = Configuration(tmp_path, broker, pid_dir=tmp_path)
    for number in range(10):
        made.bus(f"bus{number}", [f"s{each}=station" for each in range(167)])
    server = RunningServer(made.write(), registry())
    path = tmp_path / "my.sock"
    control = ControlServer(server.server, path, standard_requests())
    try:
        with Control(path, "my.conf") as client:

            def all_of_them() -> Any:
                actors = client.ask("tree", TIMEOUT)["actors"]
                return actors if len(actors) > 10_000 else None

            actors = wait_for(all_of_them, TIMEOUT * 2, "all are there")
            assert {"/", "/buses/bus9/pollers/0710/0167/centre"} <= {each["path"] for each in actors}
    finally:
        control.close()
        server.server.stop(TIMEOUT)


# -- hostile ---------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    sorted({*LOOKING, "status", "trace", "logs", "log", "suspend", "resume", "clear", "set", "poll"})
)
PATHS = st.sampled_from(["/", "one", SENSOR, "/buses/two/bus", "0701/0001/temperature", "..", "", "\x1b[2J", "/" * 999])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
REQUESTS = st.fixed_dictionaries(
    {"request": NAMES, "version": st.just(1) | ANYTHING},
    optional={
        "path": PATHS | ANYTHING,
        "limit": ANYTHING,
        "depth": st.integers() | ANYTHING,
        "value": ANYTHING,
        "max": ANYTHING,
        "seconds": ANYTHING,
        "follow": st.booleans(),
        "level": ANYTHING,
        "since": ANYTHING,
        "id": ANYTHING,
    },
).map(lambda made: json.dumps(made).encode())
LINES = REQUESTS | st.binary(max_size=300).map(lambda line: line.replace(b"\n", b" "))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("target"), broker)
    made.server.wait_online()
    yield made
    made.close()


@settings(max_examples=1000, suppress_health_check=list(HealthCheck), deadline=None)
@given(line=LINES)
def test_a_thousand_hostile_requests_do_no_harm(target: Place, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(target.path))
        raw.settimeout(TIMEOUT)
        raw.sendall(line + b"\n" + b'{"version": 1, "id": "after", "request": "ping"}\n')
        with raw.makefile("rb") as file:
            for reply in map(json.loads, file):
                if not reply["ok"]:
                    assert reply["error"]["code"] != "failed", reply
                if reply["id"] == "after":
                    break
            else:
                pytest.fail("it was sent away")


def test_too_large_and_half_sent(target: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "LINE_TIMEOUT", 0.05)
    for begun in (b'{"version": 1, "request": "set", "value": "', b"x" * 70_000, b"\x00" * 10):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(target.path))
            raw.settimeout(TIMEOUT)
            raw.sendall(begun)
            assert json.loads(raw.makefile("rb").readline())["error"]["code"] == "malformed"
    assert target.ask("ping")
    assert target.server.server.reason is None


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"version": 1, "request": "set", "path": "one__switch/state", "value": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"version": 1, "request": "set", "path": "0701/0001/name", "value": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"version": 1, "request": "set", "path": "0701/0001/name", "value": "' + b"x" * 60_000 + b'"}',
        b'{"version": 1, "request": "set", "path": "0701/0001/heartbeat", "value": 1' + b"0" * 4000 + b"}",
        b'{"version": 1, "request": "set", "path": "0701/0001/heartbeat", "value": NaN, "index": 1' + b"0" * 30 + b"}",
        b'{"version": 1, "request": "tree", "depth": 1' + b"0" * 4000 + b"}",
        b'{"version": 1, "request": "trace", "seconds": 1' + b"0" * 400 + b"}",
        b'{"version": 1, "request": "status", "path": "' + b"/x" * 30_000 + b'"}',
        b'{"version": 1, "request": "status", "path": "\\ud800\\u0000", "id": "\\udfff"}',
        b'{"version": 1, "request": "ping", "id": ' + b"9" * 5000 + b"}",
        b"\xff\xfe" * 1000,
        b"\xef\xbb\xbf{}",
        b"\x00" * 1000,
    ],
    ids=lambda line: line[:60].decode("latin-1"),
)
def test_what_is_hostile_on_purpose(line: bytes, target: Place) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(target.path))
        raw.settimeout(TIMEOUT)
        raw.sendall(line + b"\n" + b'{"version": 1, "id": "after", "request": "ping"}\n')
        with raw.makefile("rb") as file:
            first, after = json.loads(file.readline()), json.loads(file.readline())
    assert first["ok"] or first["error"]["code"] in {"malformed", "version", "refused", "busy"}, first
    assert after["id"] == "after"
    states = {each["path"]: each["state"] for each in target.ask("tree")["actors"]}
    assert set(states.values()) == {"running"}


@pytest.fixture
def many_files() -> Iterator[None]:
    """More open files than an ordinary user's process may have at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard < 4096 else max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_connections_and_those_who_type_slowly(target: Place) -> None:
    threads = threading.active_count()
    connections = []
    try:
        for number in range(1000):
            raw = socket.socket(socket.AF_UNIX)
            connections.append(raw)
            raw.connect(str(target.path))
            # Some begin a request, and never end it.
            if number % 2:
                with contextlib.suppress(BrokenPipeError):
                    raw.sendall(b'{"version": 1, ')
        # Whoever really asks is served all the same.
        assert target.ask("ping")
        assert target.ask("tree")["actors"]
        # The threads of those that have been sent away end in a moment.
        most = threads + control_server.MOST_CLIENTS + 1
        wait_for(lambda: threading.active_count() <= most, TIMEOUT, "there is a thread for each that is served only")
    finally:
        for raw in connections:
            raw.close()
    wait_for(lambda: not target.control._clients, TIMEOUT, "all are gone")
    wait_for(lambda: threading.active_count() <= threads, TIMEOUT, "and so are their threads")


# -- who may ---------------------------------------------------------------------------------------------------------

AS_ANOTHER = """
import json, os, socket, sys
path, gid = sys.argv[1], int(sys.argv[2])
connection = socket.socket(socket.AF_UNIX)
os.chdir(os.path.dirname(path))
os.setgroups([])
os.setgid(gid)
os.setuid(65534)
connection.connect(os.path.basename(path))
file = connection.makefile()
for request in sys.argv[3:]:
    connection.sendall(json.dumps({"version": 1, **json.loads(request)}).encode() + b"\\n")
    print(file.readline().strip())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(place: Place) -> None:
    group = 54321
    place.path.parent.chmod(0o755)
    os.chown(place.path, -1, group)
    place.path.chmod(0o666)
    place.control._group = group
    requests = {
        "tree": {},
        "health": {},
        "restart": {"path": "one"},
        "set": {"path": "0701/0001/name", "value": "mine"},
        "trace": {},
        "suspend": {"path": "one"},
    }
    asked = [json.dumps({"request": name, **data}) for name, data in requests.items()]

    def codes(gid: int) -> list[str]:
        command = [sys.executable, "-c", AS_ANOTHER, str(place.path), str(gid), *asked]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=True)
        return [json.loads(line).get("error", {}).get("code", "ok") for line in done.stdout.splitlines()]

    assert codes(group) == ["ok", "ok", "denied", "denied", "denied", "denied"]
    assert codes(65534) == ["denied"] * 6
    assert "name = mine" not in place.server.text


def test_what_acts_needs_the_owner() -> None:
    served = standard_requests()
    acts = {"restart", "stop", "start", "retry", "suspend", "resume", "clear", "poll", "set", "trace", "log", "reload"}
    assert {name for name, each in served._served.items() if each.access is Access.ACT} == acts


# -- processes -------------------------------------------------------------------------------------------------------


def test_a_bus_in_a_process_of_its_own(tmp_path: Path, broker: Mosquitto) -> None:
    made = Configuration(tmp_path, broker, pid_dir=tmp_path)
    made.bus("far", ["remote"], own={"isolation": "process"}, temperature_poll_0=0.1)
    server = RunningServer(made.write(), registry())
    path = tmp_path / "my.sock"
    control = ControlServer(server.server, path, standard_requests())
    poller = "/buses/far/pollers/0701/0001/temperature"
    try:
        server.wait_online()
        with Control(path, "my.conf") as client:

            def ask(request: str, **data: Any) -> Any:
                return client.ask(request, TIMEOUT, **data)

            (far,) = ask("tree", path="far", depth=0)["actors"]
            assert far["isolation"] == "process"
            assert far["pid"] != os.getpid()
            wait_for(lambda: poller in {each["path"] for each in ask("tree")["actors"]}, TIMEOUT, "it is shown")
            (value,) = ask("status", path=poller)["values"]
            assert value["reads"] >= 1
            assert ask("poll", path="0701/0001/temperature")["readings"][0]["data"] == [20.0]
            assert ask("set", path="0701/0001/state", value="on")["data"] == ["on"]
            assert ask("set", path="0701/0001/name", value="Far")["data"] == ["Far"]
            assert "name = Far" in server.text
            assert {each["process"] for each in ask("threads")["threads"]} == {"server", "far"}
            assert ask("mqtt")["connections"][0]["published"] > 0
            items, end = drained(client.stream("trace", TIMEOUT, path=poller, max=2))
            assert [each["path"] for each in items] == [poller] * 2
            assert end["ended"] == "max"
            with pytest.raises(NotServedError, match="it runs already"):
                ask("start", path="/buses/far/bus")
            assert "it runs" in ask("restart", path="/buses/far/bus")["done"]
            server.wait_online()
            ask("suspend", path="far")
            reads = wait_for(lambda: _settled(ask), TIMEOUT, "it polls no more")
            ask("restart", path="far")
            wait_for(lambda: ask("tree", path="far", depth=0)["actors"][0]["state"] == "running", TIMEOUT, "it runs")
            assert ask("values", path="0701/0001/temperature")["values"][0]["suspended"]
            assert reads >= 1
            assert wait_for(lambda: _reads(ask) == 0 or None, TIMEOUT, "the new process does not poll either")
            ask("resume", path="far")
            wait_for(lambda: _reads(ask), TIMEOUT, "it polls again")
    finally:
        control.close()
        server.server.stop(TIMEOUT)


def _reads(ask: Any) -> int | None:
    reads: int | None = ask("values", path="0701/0001/temperature")["values"][0]["reads"]
    return reads


def _settled(ask: Any) -> int | None:
    """How many polls there were, where none comes any more."""
    before = _reads(ask)
    # The next poll would have come: each request of these takes longer than that.
    for _ in range(3):
        ask("poll", path="0701/0001/temperature")
        threading.Event().wait(0.1)
    return before if before == _reads(ask) else None
