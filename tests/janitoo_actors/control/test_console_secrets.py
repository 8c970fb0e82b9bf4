"""Passwords are shown to nobody: not in a trace, nor the log, nor in what is asked, nor in the bundle."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import example_drivers
from asked_server import AskedServer, asked
from brokers import BrokerFactory, Mosquitto
from janitoo_actors.console.bundle import write_bundle
from janitoo_actors.protocol.codes import Genre, ValueType
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import ValueRequest
from janitoo_actors.runtime.masking import in_words
from janitoo_actors.runtime.messages import Configure, Publish, Requested, Write, Written
from janitoo_actors.runtime.mqtt import Arrived
from running_server import TIMEOUT, Requester, system_section
from waiting import wait_for

SECRETS = ("old-s3cret", "told-s3cret", "typed-s3cret", "refused\nS3cret", "broker-s3cret")


def write(folder: Path, broker: Mosquitto, isolation: str) -> Path:
    path = folder / "ups.conf"
    system = system_section(
        broker, f"pid_dir = {folder}", "broker_user = me", "broker_password = broker-s3cret", "read_timeout = 5"
    )
    bus = f"\n[nut]\nhadd = 0701/0000\nkey_0 = old-s3cret\nisolation = {isolation}\ncomponents.one = nut.ups\n"
    path.write_text(f"{system}{bus}\n[nut__one]\nhadd = 0701/0001\ncharge_poll_0 = 0.2\n", encoding="utf-8")
    return path


def drained(server: AskedServer, into: list[Any], ready: threading.Event) -> None:
    with server.client() as client:
        for each in client.stream("trace", TIMEOUT, path="/", max=10_000, rate=200, seconds=60):
            into.append(each)
            ready.set()
            if each["message"].startswith("Requested") and "'heartbeat'" in each["message"]:
                return


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_password_is_shown_nowhere(
    isolation: str,
    private_broker: BrokerFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broker = private_broker(username="me", password="broker-s3cret")
    with asked(write(tmp_path, broker, isolation), example_drivers.registry()) as server:
        traced: list[Any] = []
        ready = threading.Event()
        tracing = threading.Thread(target=drained, args=(server, traced, ready))
        tracing.start()
        assert ready.wait(TIMEOUT)
        server.ask("log", path="/", level="debug")
        key = server.ask("set", path="nut/key", value="typed-s3cret")
        assert key["data"] == ["***"]
        assert "typed-s3cret" in server.text
        answers: list[Any] = []
        with server.client() as client, pytest.raises(Exception, match="key = "):
            client.ask("set", TIMEOUT, path="nut/key", value="refused\nS3cret")
        with probe(server) as heard:
            requester = Requester(heard)
            answer = requester.write("0701/0000", "key", "told-s3cret", Genre.CONFIG, server_class(server))
            # As originals: who may hear the broker may read what is set.
            assert answer["data"] == "told-s3cret"
            server.ask("set", path="nut/heartbeat", value=40)
        tracing.join(TIMEOUT)
        assert not tracing.is_alive()
        kinds = {each["type"] for each in traced}
        assert kinds >= {"Requested", "Configure", "Written", "Arrived", "Publish"}
        server.ask("log", path="/", level=None)
        for request in ("values", "errors", "events", "config", "diff", "check", "tree", "threads", "mqtt"):
            answers.append(server.ask(request))
        # What is in another process is told once a second.
        wait_for(lambda: "/buses/nut/bus" in str(server.ask("tree")), TIMEOUT, "it is shown")
        answers += [server.ask("status", path=path) for path in ("/", "nut", "/buses/nut/bus", "0701/0000")]
        write_bundle(tmp_path / "help.zip", server.ask)
    with zipfile.ZipFile(tmp_path / "help.zip") as bundle:
        bundled = {name: bundle.read(name).decode() for name in bundle.namelist()}
    shown = {"trace": json.dumps(traced), "answers": json.dumps(answers), **bundled}
    for secret in SECRETS:
        found = [name for name, text in shown.items() if secret in text or json.dumps(secret)[1:-1] in text]
        assert found == [], secret
    assert "s3cret" not in capsys.readouterr().out.lower()


def probe(server: AskedServer) -> Any:
    from mqtt_probe import Probe

    broker = server.server.config.system.broker
    return Probe(broker.host, broker.port, username="me", password="broker-s3cret", timeout=TIMEOUT)


def server_class(server: AskedServer) -> int:
    return next(node for node in server.nodes if node.uuid == "nut").values["key"].cmd_class


def test_the_bundle_is_one_or_none(tmp_path: Path) -> None:
    file = tmp_path / "help.zip"
    answers: dict[str, Any] = {"tree": {"actors": []}}

    def ask(request: str, **_data: Any) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = answers.get(request, {"a name": "\udcff\ud800"})
        return answer

    write_bundle(file, ask)
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with zipfile.ZipFile(io.BytesIO(before)) as bundle:
        assert json.loads(bundle.read("about.json")) == {"a name": "\udcff\ud800"}
    # It is not written over by accident, and nothing is left beside it.
    with pytest.raises(Exception, match="there is a file of this name already: choose another one, or use --force"):
        write_bundle(file, ask)
    assert file.read_bytes() == before
    answers["ping"] = {"a set": {1, 2}}
    with pytest.raises(TypeError):
        write_bundle(file, ask, force=True)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    answers["ping"] = {"new": 1}
    write_bundle(file, ask, force=True)
    assert file.read_bytes() != before
    assert list(tmp_path.iterdir()) == [file]


# -- one message -----------------------------------------------------------------------------------------------------

HADD = Hadd(701, 0)
PLACES = st.sampled_from(["data", "is_writeonly", "hadd", "reply_hadd", "x"])


def request(uuid: str, genre: Genre, *, write: bool, data: Any) -> ValueRequest:
    return ValueRequest(uuid, 112, genre, data, write, 0, HADD, None, {"data": data})


@pytest.mark.parametrize(
    ("message", "is_shown"),
    [
        (Requested(request("key", Genre.CONFIG, write=True, data="S3CRET")), False),
        (Requested(request("other", Genre.CONFIG, write=True, data="S3CRET")), False),
        (Requested(request("state", Genre.USER, write=True, data="S3CRET")), True),
        (Requested(request("key", Genre.USER, write=True, data="S3CRET")), False),
        (Configure(HADD, "other", 0, "S3CRET", 1, None), False),  # type: ignore[arg-type]
        (Write(HADD, "state", 0, "S3CRET", 1, None), True),  # type: ignore[arg-type]
        (Write(HADD, "key", 0, "S3CRET", 1, None), False),  # type: ignore[arg-type]
        (Written(1, "S3CRET", None), False),
        (Arrived("/nodes/0701/0000/request", b'{"uuid": "x", "genre": 3, "data": "S3CRET"}'), False),
        (Arrived("/nodes/0701/0000/request", b'{"uuid": "x", "genre": 2, "data": "S3CRET"}'), True),
        (Arrived("/nodes/0701/0000/request", b'{"uuid": "x", "genre": 3, "data": "S3CRET"'), False),
        (Publish("/values/config/0701/0000/key", b'{"0": {"uuid": "x", "type": 20, "data": "S3CRET"}}'), False),
        (Publish("/values/config/0701/0000/name", b'{"uuid": "x", "type": 8, "genre": 3, "data": "S3CRET"}'), True),
        ({"uuid": "key", "data": "S3CRET"}, False),
        ([({"uuid": "other", "data": "S3CRET"},)], True),
    ],
    ids=lambda each: str(each)[:60],
)
def test_a_message(message: Any, is_shown: bool) -> None:
    text = in_words(message, frozenset({"key"}))
    assert ("S3CRET" in text) is is_shown, text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | PLACES, inner, max_size=4),
    max_leaves=12,
)


@given(around=ANYTHING, depth=st.integers(0, 12))
def test_a_password_in_anything(around: Any, depth: int) -> None:
    told: Any = {"type": int(ValueType.PASSWORD), "data": "S3CRET", "around": around}
    for _ in range(depth):
        told = {"0": told, "1": around}
    for message in (told, [told], Publish("/x", json.dumps(told).encode())):
        assert "S3CRET" not in in_words(message, frozenset())
