"""UPSs, on the real nut2 and a real upsd, or on what says what a real one would not."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from brokers import HOST
from drivers.nut import NutBus, Ups
from drivers.nut.connection import Connection, Server, ServerLostError
from janitoo_actors.api import (
    BusLostError,
    ConfigurationError,
    ManualRuntime,
    OptionsError,
    PermanentError,
    Product,
    TemporaryError,
)
from nut_server import LIMITED, LIMITED_PASSWORD, PASSWORD, TIMEOUT, USER, Impostor, NutServer, ScriptedDriver
from resilience import events
from waiting import wait_for

READ = [uuid for uuid, value in Ups.values.items() if value.read_by is not None]
LIST = b'BEGIN LIST VAR ups1\nVAR ups1 ups.status "OL"\nVAR ups1 battery.charge "90"\nEND LIST VAR ups1\n'


@pytest.fixture(scope="module")
def shared_server() -> Iterator[NutServer]:
    # pytest's own folders have names too long for a socket's.
    with tempfile.TemporaryDirectory(prefix="nut-") as name:
        started = NutServer(Path(name))
        yield started
        started.stop()


@pytest.fixture
def server(shared_server: NutServer) -> Iterator[NutServer]:
    yield shared_server
    shared_server.mend()


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ups]]:
    """Makes UPSs on a port, opened; they are closed at the end."""
    # What is looked at every few seconds, a test need not wait for.
    monkeypatch.setattr("drivers.nut.watcher.LISTED", 0.2)
    monkeypatch.setattr("drivers.nut.watcher._RECHECKED", 0.2)
    monkeypatch.setattr("drivers.nut.watcher._RETRIED", 0.2)
    made: list[Ups] = []
    bus = NutBus()
    bus.open()

    def make(port: int, **options: str) -> Ups:
        device = Ups("nut__ups1", {"port": str(port), "ups": "ups1", "timeout": "0.5", "watch": "0.05", **options})
        device.bus, device.runtime = bus, ManualRuntime()
        made.append(device)
        device.open()
        return device

    yield make
    for device in made:
        device.close()
    left = [each.name for each in threading.enumerate() if each.name.startswith("nut ")]
    assert not left, "no thread survives its UPS"


def pushed(device: Ups) -> set[str]:
    """What has been pushed since the last time."""
    runtime = device.runtime
    assert isinstance(runtime, ManualRuntime)
    changes, runtime.changes = runtime.changes, []
    return {uuid for _, uuid in changes}


def reads(device: Ups, uuid: str = "status") -> object:
    """What a value is, or why it is not."""
    try:
        return device.read(uuid)
    except (TemporaryError, ConfigurationError) as error:
        return error


def wait_reads(device: Ups, expected: object, uuid: str = "status") -> None:
    """Wait until a value is this: the server asks its driver now and then."""
    wait_for(lambda: reads(device, uuid) == expected, TIMEOUT, lambda: f"{expected!r}: {reads(device, uuid)!r}")


def wait_error(device: Ups, expected: str, kind: type[Exception] = TemporaryError, uuid: str = "status") -> None:
    """Wait until a read fails so."""

    def fails() -> bool:
        error = reads(device, uuid)
        return isinstance(error, kind) and expected in str(error)

    wait_for(fails, TIMEOUT, lambda: f"{expected!r}: {reads(device, uuid)!r}")


# -- the library -----------------------------------------------------------------------------------------------------


def test_the_library_is_imported_when_the_bus_opens_and_leaves_the_log_alone() -> None:
    # In a process of its own, where nothing else has imported it, and where nobody has set the log up.
    program = """
import logging, sys
from drivers.nut import NutBus
assert "nut2" not in sys.modules
NutBus().open()
assert "nut2" in sys.modules
assert logging.getLogger().handlers == []
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=60)


def test_without_the_library_the_bus_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nut2", None)
    with pytest.raises(PermanentError, match=r"nut2 .*: .*pip install 'janitoo-actors\[nut\]'"):
        NutBus().open()


# -- what a UPS says -------------------------------------------------------------------------------------------------


def test_every_value(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port)
    wait_reads(device, "OL")
    assert {uuid: device.read(uuid) for uuid in READ} == {
        "status": "OL",
        "battery_charge": 90,
        "battery_voltage": 13.2,
        "battery_runtime": 1290,
        "battery_chemistry": "PbAc",
        "load": 17,
        "ip_ping": True,
        "allowed": "",
    }
    pushed(device)
    server.set(ups_status="OB LB")
    wait_for(lambda: pushed(device) == {"status"}, TIMEOUT, "the status is pushed")
    assert device.read("status") == "OB LB"
    server.set(ups_load="n/a")
    wait_error(device, "ups.load of ups1 is 'n/a': expected a number", uuid="load")


def test_what_a_ups_does_not_say_is_null_until_it_does(server: NutServer, ups: Callable[..., Ups]) -> None:
    server.kill_driver()
    server.set(without="battery.type")
    server.start_driver()
    with capture_logs() as log:
        device = ups(server.port)
        wait_reads(device, "OL")
        wait_reads(device, None, "battery_chemistry")
        assert [device.read("battery_chemistry") for _ in range(3)] == [None] * 3
    assert [each["variable"] for each in events(log, "ups_does_not_say")] == ["battery.type"]
    assert device.read("load") == 17
    pushed(device)
    server.set()
    wait_reads(device, "PbAc", "battery_chemistry")
    wait_for(lambda: pushed(device) == {"battery_chemistry"}, TIMEOUT, "it is pushed")


def test_the_product_is_what_the_ups_says(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port)
    wait_reads(device, "OL")
    assert isinstance(device.runtime, ManualRuntime)
    assert device.runtime.products == {"nut__ups1": Product("Ellipse", "3B1006X72726", "Eaton")}
    listed = LIST.replace(b"END", b'VAR ups1 ups.model "5E \\"650i\\" \\\\ 19"\nVAR ups1 ups.mfr "M\xfcller"\nEND')
    with Impostor(lambda line: listed if line.startswith(b"LIST") else b'VAR ups1 ups.status "OL"\n') as impostor:
        device = ups(impostor.port)
        # What is quoted; and what is no text, which is no failure.
        wait_reads(device, 90, "battery_charge")
        assert isinstance(device.runtime, ManualRuntime)
        assert device.runtime.products == {"nut__ups1": Product('5E "650i" \\ 19', "", "M\ufffdller")}


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_no_such_ups(server: NutServer, ups: Callable[..., Ups]) -> None:
    wait_error(ups(server.port, ups="attic"), "has no UPS 'attic': expected ups1 (ups)", ConfigurationError)


def test_no_server(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port)
    wait_reads(device, "OL")
    pushed(device)
    server.kill()
    wait_error(device, f"there is no NUT server at 127.0.0.1:{server.port}: Connection refused; is it running?")
    assert device.read("ip_ping") is False
    # What is not known any more; and not what it would say anyway.
    assert pushed(device) == set(READ) - {"allowed"}
    server.start()
    wait_reads(device, "OL")
    assert device.read("ip_ping") is True
    wait_for(lambda: "load" in pushed(device), TIMEOUT, "what can be had again is pushed")


def test_nobody_waits_for_a_server_that_hangs(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port, timeout="5", user=USER, password=PASSWORD, commands="shutdown")
    wait_reads(device, "OL")
    server.freeze()
    # Not a fifth of the time that the server has: what was heard counts until then.
    done = [device.read(uuid) for _ in range(1000) for uuid in ("status", "load")]
    assert done == ["OL", 17] * 1000
    server.freeze(frozen=False)


def test_a_server_that_hangs_and_what_it_says_late(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port, user=USER, password=PASSWORD, commands="shutdown")
    wait_reads(device, "OL")
    server.freeze()
    wait_error(device, "has not answered within 0.5 s", ServerLostError)
    assert device.read("ip_ping") is False
    with pytest.raises(ServerLostError, match=r"has not answered within 0\.5 s"):
        device.write("shutdown", "load_off")
    server.freeze(frozen=False)
    wait_reads(device, "OL")
    # What it answered late, to the question before, is not taken for the answer to this one.
    assert device.read("battery_charge") == 90


def test_stale_data(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port)
    wait_reads(device, "OL")
    server.freeze_driver()
    wait_error(device, "the data of ups1 are stale")
    assert device.read("ip_ping") is True
    server.freeze_driver(frozen=False)
    wait_reads(device, "OL")


def test_a_dead_driver(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port)
    wait_reads(device, "OL")
    server.kill_driver()
    wait_error(device, "the driver of ups1 is not running")
    assert device.read("ip_ping") is True
    server.start_driver()
    wait_reads(device, "OL")


@pytest.mark.parametrize("status", [b"WAIT", b""])
def test_a_ups_that_is_still_starting_is_not_one_that_says_nothing(status: bytes, ups: Callable[..., Ups]) -> None:
    said = [status]

    def answer(line: bytes) -> bytes:
        listed = LIST if line.startswith(b"LIST") else b'VAR ups1 ups.status "OL"\n'
        return listed.replace(b"OL", said[0])

    with capture_logs() as log, Impostor(answer) as impostor:
        device = ups(impostor.port)
        wait_error(device, "ups1 has no status yet: its driver is still starting")
        wait_error(device, "ups1 has no status yet: its driver is still starting", uuid="load")
        assert device.read("battery_charge") == 90
        assert not events(log, "ups_does_not_say")
        pushed(device)
        said[0] = b"OL"
        wait_reads(device, "OL")
        assert device.read("load") is None
        wait_for(lambda: {"status", "load"} <= pushed(device), TIMEOUT, "what is sure now is pushed")


def test_an_open_bus_is_needed() -> None:
    with pytest.raises(TemporaryError, match="the bus is not open"):
        Ups().read("status")


def test_a_bug_in_the_watcher_ends_the_bus(ups: Callable[..., Ups], monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_connection: Connection) -> dict[str, str]:
        raise KeyError("a bug")

    monkeypatch.setattr(Connection, "variables", bug)
    with pytest.raises(BusLostError, match="the thread 'nut ups1' has failed: KeyError: 'a bug'"):
        ups(1).read("status")


# -- a server that says anything -------------------------------------------------------------------------------------


def connection_to(port: int, timeout: float = 0.5, **account: str) -> Connection:
    bus = NutBus()
    bus.open()
    return Connection(bus.library, Server(HOST, port, timeout, **account), "ups1")


@pytest.mark.parametrize("length", range(1, len(LIST), 2))
def test_a_list_that_is_cut_off_is_never_a_number(length: int) -> None:
    """Half of "90" is a number too; the library would give it."""
    with Impostor(lambda _line: LIST[:length]) as impostor:
        connection = connection_to(impostor.port, timeout=0.02)
        with pytest.raises(ServerLostError, match="has not answered within"):
            connection.variables()
        connection.drop()


@pytest.mark.parametrize("length", range(1, len(LIST), 5))
def test_a_server_that_ends_in_its_answer(length: int) -> None:
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(100)
            peer.sendall(LIST[:length])

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        with pytest.raises(ServerLostError, match="has ended the connection"):
            connection_to(listener.getsockname()[1]).variables()
        thread.join()


def test_an_answer_that_comes_too_late_is_given_to_nobody() -> None:
    connections = questions = 0

    def answer(line: bytes) -> bytes:
        nonlocal connections, questions
        if line.startswith(b"USERNAME"):
            connections += 1
            return b"OK\n"
        questions += 1
        if connections > 1:
            return LIST
        # To the first question when the second comes.
        return LIST.replace(b"90", b"1") if questions > 1 else b""

    with Impostor(answer) as impostor:
        connection = connection_to(impostor.port, timeout=0.2, user="u")
        with pytest.raises(ServerLostError, match=r"has not answered within 0\.2 s"):
            connection.variables()
        assert connection.variables()["battery.charge"] == "90"
        connection.drop()


def test_an_answer_without_an_end_takes_no_longer_than_the_timeout() -> None:
    stopped = threading.Event()
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            # Each byte is in time.
            while not stopped.wait(0.02):
                peer.sendall(b"V")

    thread = threading.Thread(target=serve)
    thread.start()
    with listener:
        with pytest.raises(ServerLostError, match=r"has not answered within 0\.3 s"):
            connection_to(listener.getsockname()[1], timeout=0.3).variables()
        stopped.set()
        thread.join()


def test_an_answer_that_is_too_long() -> None:
    expected = "answers what is no answer: 'an answer without an end'"
    with Impostor(lambda _line: b"V" * 3_000_000) as impostor, pytest.raises(ServerLostError, match=expected):
        connection_to(impostor.port, timeout=20).variables()


def test_something_else_listens_there(ups: Callable[..., Ups]) -> None:
    with Impostor(lambda _line: b"SSH-2.0-OpenSSH_9.2\r\n") as impostor:
        wait_error(ups(impostor.port), "answers what is no answer: 'SSH-2.0-OpenSSH_9.2'", ServerLostError)


@given(answers=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_whatever_the_server_says_is_no_crash(answers: list[bytes]) -> None:
    left = iter(answers)
    with Impostor(lambda _line: next(left, None)) as impostor:
        connection = connection_to(impostor.port, timeout=0.01, user="u")
        for question in (connection.variables, connection.status, connection.check_user):
            with pytest.raises((TemporaryError, ConfigurationError)):
                question()
        connection.drop()


def test_a_connection_that_nobody_takes_is_ended_at_once(ups: Callable[..., Ups]) -> None:
    """A host that is switched off; here, a listener whose queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind((HOST, 0))
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        device = ups(listener.getsockname()[1], timeout="10")
        assert device._watcher is not None
        background = device._watcher._background
        wait_for(lambda: device._watcher is not None and device._watcher._connection._line, TIMEOUT, "it connects")
        device.close()
        assert not background.is_alive


# -- commands --------------------------------------------------------------------------------------------------------


def test_commands_are_off_unless_allowed(server: NutServer, ups: Callable[..., Ups]) -> None:
    account = {"user": USER, "password": PASSWORD}
    server.kill_driver()
    with ScriptedDriver(server.driver_socket, "beeper.mute", "test.battery.start.quick", "shutdown.return") as driver:
        device = ups(server.port, commands="beeper, test", **account)
        wait_reads(device, "OL")
        assert device.read("allowed") == "beeper, test"
        device.write("beeper", "mute")
        device.write("test", "quick")
        wait_for(lambda: len(driver.ran) == 2, TIMEOUT, lambda: f"{driver.ran}")
        assert driver.ran == ["beeper.mute", "test.battery.start.quick"]
        with pytest.raises(PermanentError, match=r"the UPS ups1 has no command beeper\.enable"):
            device.write("beeper", "enable")
        # It has a permission of its own.
        needed = r"shutdown is not allowed here: commands = beeper, test, shutdown in \[nut__ups1\] allows it"
        with pytest.raises(ConfigurationError, match=needed):
            device.write("shutdown", "return")
        with pytest.raises(ConfigurationError, match="beeper is not allowed here: commands = beeper in"):
            ups(server.port, **account).write("beeper", "mute")
        with pytest.raises(ValueError, match=r"^expected one of enable, disable, mute, toggle"):
            device.write("beeper", "shutdown.return")
        assert len(driver.ran) == 2
        other = ups(server.port, commands="shutdown", **account)
        wait_reads(other, "OL")
        other.write("shutdown", "return")
        wait_for(lambda: driver.ran[2:] == ["shutdown.return"], TIMEOUT, lambda: f"{driver.ran}")


def test_a_command_that_is_not_answered(ups: Callable[..., Ups]) -> None:
    def answer(line: bytes) -> bytes | None:
        if line.startswith(b"LIST"):
            return LIST
        return b"" if line.startswith(b"INSTCMD") else b'VAR ups1 ups.status "OL"\n'

    with Impostor(answer) as impostor:
        device = ups(impostor.port, commands="beeper", timeout="0.2")
        wait_reads(device, "OL")
        with pytest.raises(ServerLostError, match=r"has not answered within 0\.2 s"):
            device.write("beeper", "mute")
        # It is not given twice.
        wait_reads(device, "OL")
        assert sum(line.startswith(b"INSTCMD") for line in impostor.heard) == 1


WRONG: list[dict[str, str]] = [
    {"user": USER, "password": "wrong"},
    {"user": "nobody", "password": "x"},
    {"user": USER},
]


@pytest.mark.parametrize("account", WRONG)
def test_a_wrong_user_is_told_at_once(server: NutServer, ups: Callable[..., Ups], account: dict[str, str]) -> None:
    device = ups(server.port, commands="shutdown", **account)
    wait_reads(device, "OL")
    expected = f"does not take the user '{account['user']}': the user or the password is wrong"
    wait_error(device, expected, ConfigurationError, "allowed")
    # What is read needs no user.
    assert device.read("load") == 17


@pytest.mark.parametrize("account", WRONG)
def test_a_wrong_user_is_told_by_the_first_command(
    server: NutServer, ups: Callable[..., Ups], account: dict[str, str]
) -> None:
    device = ups(server.port, commands="shutdown", check_user="False", **account)
    wait_reads(device, "OL")
    assert device.read("allowed") == "shutdown"
    expected = f"does not let the user '{account['user']}' give load.off: expected a user of upsd.users"
    with pytest.raises(ConfigurationError, match=expected):
        device.write("shutdown", "load_off")
    wait_for(lambda: "allowed" in pushed(device), TIMEOUT, "it is pushed")
    wait_error(device, expected, ConfigurationError, "allowed")


def test_commands_need_a_user(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port, commands="shutdown")
    with pytest.raises(ConfigurationError, match=r"commands need user and password in \[nut__ups1\]"):
        device.read("allowed")
    wait_reads(device, "OL")
    with pytest.raises(ConfigurationError, match=r"does not let nobody give load\.off"):
        device.write("shutdown", "load_off")


def test_a_user_who_may_give_commands_and_no_more(server: NutServer, ups: Callable[..., Ups]) -> None:
    account = {"user": LIMITED, "password": LIMITED_PASSWORD, "commands": "shutdown, beeper"}
    device = ups(server.port, **account)
    wait_reads(device, "OL")
    wait_error(device, "or the user has no `actions = SET` in upsd.users", ConfigurationError, "allowed")
    trusted = ups(server.port, check_user="False", **account)
    wait_reads(trusted, "OL")
    trusted.write("shutdown", "load_off")
    assert trusted.read("allowed") == "shutdown, beeper"


def test_a_user_who_is_mended_is_taken(server: NutServer, ups: Callable[..., Ups]) -> None:
    device = ups(server.port, commands="shutdown", user=USER, password="new")
    wait_error(device, "does not take", ConfigurationError, "allowed")
    server.allow("new")
    server.reload()
    wait_reads(device, "shutdown", "allowed")


def test_user_and_password_are_quoted_and_in_no_log(ups: Callable[..., Ups], caplog: pytest.LogCaptureFixture) -> None:
    def answer(line: bytes) -> bytes | None:
        if line.startswith(b"LIST"):
            return LIST
        return b'VAR ups1 ups.status "OL"\n' if line.startswith(b"GET") else b"OK\n"

    with caplog.at_level(logging.DEBUG), capture_logs() as log, Impostor(answer) as impostor:
        device = ups(impostor.port, user='the "admin"', password=PASSWORD, commands="beeper")
        wait_reads(device, "OL")
        assert impostor.heard[:2] == [b'USERNAME "the \\"admin\\""\n', b'PASSWORD "s3cret \\"and\\" \\\\ more"\n']
        device.write("beeper", "mute")
    # The library's own lines are there.
    assert "Class initialization" in caplog.text
    assert "s3cret" not in caplog.text + str(log)


# -- what is configured wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "my ups", "ups1@localhost", "ups1\nFSD ups1", '"', "-x"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(OptionsError, match=r"expected the name of a UPS in ups\.conf"):
        Ups(options={"ups": name})


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("commands", "beepr", "expected some of beeper, test, shutdown.*; did you mean 'beeper'"),
        ("timeout", "0", "expected"),
        ("watch", "0", "expected"),
        ("check_user", "perhaps", "expected"),
    ],
)
def test_a_wrong_option_is_refused(key: str, text: str, expected: str) -> None:
    with pytest.raises(OptionsError, match=expected):
        Ups(options={key: text})


def test_what_there_is_to_configure() -> None:
    assert set(Ups.options) == {
        *("host", "port", "ups", "user", "password", "password_file", "password_env"),
        *("timeout", "watch", "commands", "check_user"),
    }
