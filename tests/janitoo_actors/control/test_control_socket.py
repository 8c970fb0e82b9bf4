"""The control socket, as a client of any kind meets it."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import Mosquitto
from faulty_drivers import SCRIPTS, TIMEOUT, Configuration, registry
from janitoo_actors.control import server as control_server
from janitoo_actors.control.client import Control, NoServerError, NotServedError
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.server import MOST_CLIENTS, ControlServer, ControlTakenError
from janitoo_actors.control.standard import standard_requests
from janitoo_actors.control.wire import MOST_REQUEST, RequestError, decode, encode_error, parse_envelope
from janitoo_actors.runtime.server import Server
from running_server import RunningServer
from waiting import wait_for


@dataclass(frozen=True)
class Echo:
    """Say it again."""

    text: str
    times: int = 1
    loud: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Echoed:
    """It has been said."""

    text: str


def echo(_server: Server, request: Echo, _peer: Peer) -> Echoed:
    """Say it."""
    return Echoed(request.text * request.times)


class Place:
    """A server with its control socket."""

    def __init__(self, path: Path, broker: Mosquitto) -> None:
        made = Configuration(path, broker, pid_dir=path, broker_user="me", broker_password="secret1")
        self.server = RunningServer(made.bus("one", ["sensor"], own={"name": "First"}).write(), registry())
        self.requests = standard_requests()
        self.requests.add("echo", Echo, Access.READ, echo)
        self.requests.add("shout", Echo, Access.ACT, echo)
        self.requests.add("break", Echo, Access.READ, lambda *_args: 1 / 0)
        self.hang = SCRIPTS.hang()
        self.requests.add("wait", Echo, Access.READ, lambda *_args: self.hang())
        self.path = path / "one.sock"
        self.control = ControlServer(self.server.server, self.path, self.requests)

    def client(self) -> Control:
        """A client of ours."""
        return Control(self.path, "my.conf")

    def raw(self) -> socket.socket:
        """A client that sends what it likes."""
        made = socket.socket(socket.AF_UNIX)
        # With a timeout it would not wait for its turn.
        made.connect(str(self.path))
        made.settimeout(TIMEOUT)
        return made


@pytest.fixture
def place(tmp_path: Path, broker: Mosquitto) -> Iterator[Place]:
    made = Place(tmp_path, broker)
    yield made
    SCRIPTS.reset()
    made.control.close()
    made.server.stop()


def lines(connection: socket.socket, count: int) -> list[Any]:
    """So many replies."""
    with connection.makefile("rb") as file:
        return [json.loads(file.readline()) for _ in range(count)]


def send(connection: socket.socket, **request: Any) -> Any:
    """Send a request, and give the reply."""
    connection.sendall(json.dumps({"version": 1, **request}).encode() + b"\n")
    return lines(connection, 1)[0]


def test_ping(place: Place) -> None:
    with place.client() as client:
        for _ in range(3):
            pong = client.ask("ping", TIMEOUT)
            assert (pong["protocol"], pong["pid"], pong["service"]) == (1, os.getpid(), "test")
            assert pong["file"] == str(place.server.path)


def test_replies_have_the_id_and_come_in_order(place: Place) -> None:
    with place.raw() as connection:
        requests = [{"version": 1, "id": number, "request": "echo", "text": str(number)} for number in range(50)]
        connection.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in requests))
        assert [(each["id"], each["result"]["text"]) for each in lines(connection, 50)] == [
            (number, str(number)) for number in range(50)
        ]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        (b"hello", "malformed", "expected one JSON object on a line"),
        (b"", "malformed", "expected one JSON object on a line"),
        (b"[]", "malformed", "expected one JSON object on a line"),
        (b"\xff\xfe", "malformed", "expected one JSON object on a line"),
        (b"[" * 60000, "malformed", "expected one JSON object on a line"),
        (b'{"version": 1, "request": "ping", "id": [1]}', "malformed", '"id": expected a text'),
        (b'{"request": "ping"}', "version", 'expected "version": 1'),
        (b'{"version": 2, "request": "ping"}', "version", 'expected "version": 1'),
        (b'{"version": 1}', "malformed", 'expected "request"'),
        (b'{"version": 1, "request": "pong"}', "unknown", "did you mean 'ping'?"),
        (b'{"version": 1, "request": "qqqqq"}', "unknown", "there are: break, check, clear, config, "),
        (b'{"version": 1, "request": "echo"}', "malformed", "'text' is missing"),
        (b'{"version": 1, "request": "echo", "text": 3}', "malformed", "'text': expected a text"),
        (b'{"version": 1, "request": "echo", "text": "", "times": true}', "malformed", "expected a whole number"),
        (b'{"version": 1, "request": "echo", "text": "", "loud": 1}', "malformed", "expected true or false"),
        (b'{"version": 1, "request": "echo", "text": "", "seconds": "1"}', "malformed", "a number or null"),
        (b'{"version": 1, "request": "echo", "txt": ""}', "malformed", "'txt' is no key of this request; there are: "),
        (b'{"version": 1, "request": "break", "text": ""}', "failed", "ZeroDivisionError: division by zero"),
        (b'{"version": 1, "request": "echo", "text": "abcdefgh", "times": 9999999}', "refused", "ask for less"),
    ],
)
def test_what_is_not_served(line: bytes, code: str, said: str, place: Place) -> None:
    with place.raw() as connection:
        connection.sendall(line + b"\n")
        (reply,) = lines(connection, 1)
        assert reply["ok"] is False
        assert reply["error"]["code"] == code
        assert said in reply["error"]["message"]
        # The connection is as good as before.
        assert send(connection, request="ping", id="x")["id"] == "x"


def test_a_line_that_is_too_long(place: Place) -> None:
    with place.raw() as connection:
        connection.sendall(b"x" * (MOST_REQUEST + 10))
        (reply,) = lines(connection, 1)
        assert reply["error"]["code"] == "malformed"
    with place.client() as client:
        client.ask("ping", TIMEOUT)


def test_half_a_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "LINE_TIMEOUT", 0.1)
    with place.raw() as connection:
        connection.sendall(b'{"version": 1,')
        (reply,) = lines(connection, 1)
        assert "expected the whole line within" in reply["error"]["message"]
        assert connection.recv(1) == b"", "it is sent away"
    for half in (b"", b'{"version": 1,', b'{"version": 1}\n{'):
        # And those that leave in the middle.
        with place.raw() as connection:
            connection.sendall(half)
    with place.client() as client:
        client.ask("ping", TIMEOUT)


def test_who_takes_no_reply_is_sent_away(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "LINE_TIMEOUT", 0.1)
    with place.raw() as connection:
        request = json.dumps({"version": 1, "request": "echo", "text": "x" * 50000, "times": 100}).encode() + b"\n"
        wait_for(lambda: place.control._clients, TIMEOUT, "it is in")
        connection.sendall(request)
        wait_for(lambda: not place.control._clients, TIMEOUT, "it is sent away")
    with place.client() as client:
        client.ask("ping", TIMEOUT)


def test_there_is_always_room_for_one_more(place: Place) -> None:
    silent = [place.raw() for _ in range(MOST_CLIENTS * 2)]
    try:
        with place.client() as client:
            client.ask("ping", TIMEOUT)
        assert len(place.control._clients) <= MOST_CLIENTS
        # The one that has been silent for longest has been sent away.
        assert silent[0].recv(1) == b""
        assert send(silent[-1], request="ping")["ok"]
    finally:
        for each in silent:
            each.close()
    wait_for(lambda: not place.control._clients, TIMEOUT, "all are gone")


def test_when_all_are_at_work_it_says_so(place: Place) -> None:
    busy = [place.raw() for _ in range(MOST_CLIENTS)]
    for each in busy:
        each.sendall(b'{"version": 1, "request": "wait", "text": ""}\n')
    wait_for(lambda: place.hang.calls == MOST_CLIENTS, TIMEOUT, "all are at work")
    with place.raw() as connection:
        (reply,) = lines(connection, 1)
        assert reply["error"]["code"] == "busy"
    place.hang.release()
    assert all(lines(each, 1)[0]["ok"] for each in busy)
    for each in busy:
        each.close()


def test_it_answers_when_drivers_and_actors_hang(place: Place) -> None:
    SCRIPTS["one__sensor"].read = SCRIPTS["one__sensor"].close = place.hang
    system = place.server.server.system
    for _ in range(20):
        system.dispatcher.submit(place.hang)
    place.hang.wait_reached()
    with place.client() as client:
        assert client.ask("ping", TIMEOUT)["pid"] == os.getpid()
        assert client.ask("config", TIMEOUT)["sections"]["one"]["name"] == "First"


def test_random_requests_do_no_harm(place: Place) -> None:
    chance = random.Random(4)
    words = [
        b'{"version": 1',
        b'"request":',
        b'"ping"',
        b'"reload"',
        b"}",
        b"{",
        b"\n",
        b"\x00",
        b",",
        b"\xff",
        b"1e999",
    ]
    for _ in range(60):
        with place.raw() as connection:
            connection.sendall(b"".join(chance.choices(words, k=chance.randint(1, 60))))
            if chance.random() < 0.5:
                connection.sendall(b"\n")
    with place.client() as client:
        client.ask("ping", TIMEOUT)
    wait_for(lambda: not place.control._clients, TIMEOUT, "all are gone")
    assert place.server.server.reason is None


KEYS = st.sampled_from(["version", "request", "id", "text", "times"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(st.binary(max_size=200) | DOCUMENTS.map(lambda made: json.dumps(made).encode()))
def test_whatever_comes_is_read_or_refused(line: bytes) -> None:
    try:
        made = decode(Echo, parse_envelope(line).data)
    except RequestError as error:
        reply = json.loads(encode_error(None, error))
        assert reply["error"]["message"]
    else:
        assert isinstance(made.text, str)


# -- the requests ----------------------------------------------------------------------------------------------------


def test_the_configuration_that_runs(place: Place) -> None:
    with place.client() as client:
        sections = client.ask("config", TIMEOUT)["sections"]
    assert sections["system"]["broker_user"] == "me"
    assert sections["system"]["broker_password"] == "***"
    assert sections["one"]["oid"] == "faulty"
    assert sections["one__sensor"]["temperature_poll_0"] == "300"


def test_diff_and_reload(place: Place) -> None:
    text = place.server.text
    place.server.path.write_text(
        text.replace("name = First", "name = Second").replace("secret1", "secret2"), encoding="utf-8"
    )
    with place.client() as client:
        diff = client.ask("diff", TIMEOUT)
        assert diff["restarted"] == ["one"]
        assert {each["key"]: (each["old"], each["new"], each["applied"]) for each in diff["changes"]} == {
            "broker_password": ("***", "***", "restart_bus"),
            "name": ("First", "Second", "in_place"),
        }
        done = client.ask("reload", TIMEOUT)
        assert done["lines"] == diff["lines"]
        assert done["outcomes"][0]["bus"] == "one"
        assert client.ask("diff", TIMEOUT)["lines"] == []
        place.server.path.write_text(text.replace("hadd = 0701/0001", "hadd = 1"), encoding="utf-8")
        for request in ("diff", "reload"):
            with pytest.raises(NotServedError) as refused:
                client.ask(request, TIMEOUT)
            assert refused.value.code == "refused"
            assert "hadd = '1'" in refused.value.details[0]
            assert str(refused.value) == "the file has 1 mistake, and nothing is changed"


# -- who may ---------------------------------------------------------------------------------------------------------

AS_ANOTHER = """
import json, os, socket, sys
path, gid, request = sys.argv[1], int(sys.argv[2]), sys.argv[3]
connection = socket.socket(socket.AF_UNIX)
os.chdir(os.path.dirname(path))
os.setgroups([])
os.setgid(gid)
os.setuid(65534)
try:
    connection.connect(os.path.basename(path))
except PermissionError:
    print("no")
    sys.exit()
connection.sendall(json.dumps({"version": 1, "request": request, "text": ""}).encode() + b"\\n")
print(connection.makefile().readline())
"""


def as_another(path: Path, group: int, request: str) -> Any:
    """Ask as the user nobody, in a group."""
    command = [sys.executable, "-c", AS_ANOTHER, str(path), str(group), request]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=True)
    return None if done.stdout.strip() == "no" else json.loads(done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user(place: Place) -> None:
    assert place.path.stat().st_mode & 0o777 == 0o660
    group = 54321
    place.path.parent.chmod(0o755)
    os.chown(place.path, -1, group)
    place.control._group = group
    # Not even let in; in the group: they may look, and not act.
    assert as_another(place.path, 65534, "echo") is None
    assert as_another(place.path, group, "echo")["ok"]
    assert as_another(place.path, group, "shout")["error"]["code"] == "denied"
    # What the kernel says counts, and not how they came in.
    place.path.chmod(0o666)
    assert as_another(place.path, 65534, "echo")["error"]["code"] == "denied"
    assert as_another(place.path, 65534, "shout")["error"]["code"] == "denied"


# -- the socket itself -----------------------------------------------------------------------------------------------


def test_it_takes_over_what_a_killed_server_has_left(place: Place) -> None:
    place.control.close()
    assert not place.path.exists()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(place.path))
    stale.close()
    again = ControlServer(place.server.server, place.path, Requests())
    with place.client() as client, pytest.raises(NotServedError):
        client.ask("ping", TIMEOUT)
    again.close()
    with pytest.raises(NoServerError):
        place.client()


def test_it_takes_nothing_from_a_living_one(place: Place) -> None:
    with pytest.raises(ControlTakenError, match="another server answers at"):
        ControlServer(place.server.server, place.path, Requests())
    with place.client() as client:
        client.ask("ping", TIMEOUT)


def test_it_leaves_another_ones_socket(place: Place) -> None:
    place.path.unlink()
    second = ControlServer(place.server.server, place.path, standard_requests())
    place.control.close()
    with place.client() as client:
        client.ask("ping", TIMEOUT)
    second.close()
    assert not place.path.exists()


def test_a_file_is_in_the_way(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "file.sock"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OSError, match="in use"):
        ControlServer(place.server.server, path, Requests())
    assert path.read_text(encoding="utf-8") == "mine"


def test_closing_ends_its_thread_and_its_clients(place: Place) -> None:
    with place.raw() as connection:
        assert send(connection, request="ping")["ok"]
        place.control.close()
        assert connection.recv(1) == b""
    names = ("control", "control client")

    def left() -> list[str]:
        frames = sys._current_frames()
        return [
            "".join(traceback.format_stack(frames[each.ident]))
            for each in threading.enumerate()
            if each.name in names and each.ident in frames
        ]

    wait_for(lambda: not left(), TIMEOUT, lambda: f"no thread is left: {left()}")


def test_a_long_path(tmp_path: Path, place: Place) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = folder / "a.sock"
    control = ControlServer(place.server.server, path, standard_requests())
    with Control(path, "my.conf") as client:
        client.ask("ping", TIMEOUT)
    control.close()
    assert not path.exists()
