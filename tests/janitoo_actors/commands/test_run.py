"""`janitoo run`, as a user runs it: a process, its output, its exit code, and the tools beside it."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers import BrokerFactory, Mosquitto
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Probe
from running_server import (
    PROGRAM,
    TIMEOUT,
    Requester,
    ServerProcess,
    on_topic,
    run_command,
    system_section,
    wait_heartbeats,
)
from tool_runs import Outcome, run_program
from waiting import wait_for

BIN = Path(sys.executable).parent
"""Where the console scripts of the tests' environment are."""

HOST = """
[hostsensor]
auto_start = True
hadd = 0141/0000
name = Computer
location = Here
components.load = hostsensor.load
components.uptime = hostsensor.uptime
[hostsensor__load]
hadd = 0141/0001
[hostsensor__uptime]
hadd = 0141/0002
"""
NODES = ("0141/0000", "0141/0001", "0141/0002")

DRIVERS = """
from janitoo_actors.api import Bus, Component, Value


class Nut(Bus):
    oid = "mains"
    name = "UPS server"


class Ups(Component):
    oid = "mains.ups"
    name = "UPS"
    charge = Value("sensor_percent", help="The charge", poll_delay=30)

    @charge.reader
    def read_charge(self, instance):
        return 97.5


class Stuck(Bus):
    oid = "stuck"

    def close(self):
        import threading

        print("closing", flush=True)
        threading.Event().wait()
"""
ENTRY_POINTS = """
[janitoo_actors.buses]
mains = tests_nut:Nut
stuck = tests_nut:Stuck
[janitoo_actors.components]
mains.ups = tests_nut:Ups
"""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with somebody else's package, as pip would install it: for PYTHONPATH."""
    folder = tmp_path / "site-packages"
    metadata = folder / "tests_nut-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "tests_nut.py").write_text(DRIVERS, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tests-nut\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    return folder


def configured(broker: Mosquitto, folder: Path, sections: str = HOST, *system: str) -> Path:
    path = folder / "server.conf"
    path.write_text(system_section(broker, *system) + sections, encoding="utf-8")
    return path


@contextmanager
def listening(broker: Mosquitto, *topics: str) -> Iterator[Probe]:
    """A probe that hears these topics of a broker."""
    with Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe:
        yield probe


def check(path: Path) -> Outcome:
    """Run a file that is not expected to start."""
    return run_program("run", str(path))


# -- start and stop --------------------------------------------------------------------------------------------------


def test_the_summary_has_the_nodes_their_values_and_what_to_try(network: Mosquitto, tmp_path: Path) -> None:
    path = configured(network, tmp_path)
    with run_command(path) as process:
        process.wait_summary()
        lines = process.out.splitlines()
        where = f"--host {network.host} --port {network.port}"
        assert f"3 of 3 nodes are online on {network.host}:{network.port}" in lines
        assert "  0141/0000  ONLINE   Computer" in lines
        assert "  0141/0001  ONLINE   Load" in lines
        assert re.search(r"^ +load: \S+ \(1 minutes\), \S+ \(5 minutes\), \S+ \(15 minutes?", process.out, re.MULTILINE)
        assert re.search(r"^ +uptime: \d", process.out, re.MULTILINE)
        begin = lines.index("Try, in another terminal (Ctrl+C here stops the server):") + 2
        tries = [line for line in lines[begin:] if line]
        assert [re.sub(r"^ +(\S*/)?", "", each) for each in tries] == [
            f"janitoo console {path} tree",
            f"janitoo top {path}",
            f"jnt_query network {where}",
            f"jnt_query node --hadd 0141/0000 --vuuid=all {where}",
            "jnt_query query --hadd 0141/0000 --genre config --uuid location --cmdclass 112 "
            f'--data "My computer" --writeonly True {where}',
            f"jnt_spy --topic '/values/#' {where}",
        ]
        assert process.interrupt() == 0
        assert "server_stopped" in process.err
        assert "Traceback" not in process.err


def test_quiet_prints_no_summary(network: Mosquitto, tmp_path: Path) -> None:
    path = configured(network, tmp_path)
    with listening(network, "/dhcp/heartbeat/#") as probe, run_command(path, "--quiet") as process:
        wait_heartbeats(probe, NODES, NodeState.ONLINE)
        assert process.interrupt() == 0
        assert process.out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_every_node_says_so(network: Mosquitto, tmp_path: Path, number: signal.Signals) -> None:
    with listening(network, "/dhcp/heartbeat/#") as probe, run_command(configured(network, tmp_path)) as process:
        wait_heartbeats(probe, NODES, NodeState.ONLINE)
        since = len(probe.messages)
        process.send(number)
        assert process.wait_exit() == 0
        wait_heartbeats(probe, NODES, NodeState.OFFLINE, since=since)
        # Its last word, not its will.
        assert not any(message.topic == "/dhcp/heartbeat/" for message in probe.messages)


def test_a_signal_while_it_still_starts(tmp_path: Path) -> None:
    # Whoever reads this file waits until somebody has written it.
    path = tmp_path / "pipe.conf"
    os.mkfifo(path)
    with run_command(path) as process:
        pipe = wait_for(lambda: _open_for_writing(path), TIMEOUT, lambda: f"it reads its file: {process.both}")
        process.send(signal.SIGINT)
        # A signal that comes just before the read does not end it; that there is nothing more to read does.
        os.close(pipe)
        assert process.wait_exit() == 130
        assert process.both == "exit code 130\n-- stdout\n-- stderr\n"


def _open_for_writing(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        # Nobody has opened it for reading.
        return None


STUCK = """
[stuck]
auto_start = True
hadd = 0142/0000
"""


def test_a_second_signal_ends_it_at_once(network: Mosquitto, tmp_path: Path, packages: Path) -> None:
    path = configured(network, tmp_path, STUCK)
    with (
        listening(network, "/dhcp/heartbeat/#") as probe,
        ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path, env={"PYTHONPATH": str(packages)}) as process,
    ):
        process.wait_summary()
        process.send(signal.SIGINT)
        process.wait_out("closing")
        process.send(signal.SIGINT)
        assert process.wait_exit() == 128 + signal.SIGINT
        will = probe.wait_message(on_topic("/dhcp/heartbeat/"), TIMEOUT)
        assert will.value == {"add_ctrl": 142, "add_node": -1, "state": "OFFLINE"}
        assert "server_stopped" not in process.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_thread_gets_ends_it_too(network: Mosquitto, tmp_path: Path, number: int) -> None:
    path = configured(network, tmp_path, HOST)
    with ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path) as process:
        process.wait_summary()
        pid = process.process.pid
        thread = next(int(each.name) for each in Path(f"/proc/{pid}/task").iterdir() if int(each.name) != pid)
        # As the kernel does by itself where the process stood still meanwhile.
        assert ctypes.CDLL(None).tgkill(pid, thread, number) == 0
        assert process.wait_exit() == 0


# -- what is wrong with the file -------------------------------------------------------------------------------------


def test_a_missing_file(tmp_path: Path) -> None:
    outcome = check(tmp_path / "missing.conf")
    assert outcome.code == 78
    assert outcome.out == ""
    expected = "there is no such file: expected the path of a configuration file"
    assert outcome.err == f"janitoo: {tmp_path}/missing.conf: {expected}\n"


def test_every_error_of_the_system_section_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wrong.conf"
    lines = ["[system]", "broker_port = 99999", "broker_password = s3cret", "heartbeat_count = no", "log_format = xml"]
    path.write_text("\n".join(lines) + HOST.replace("hadd = 0141/0001", "hadd = 0150/0001"), encoding="utf-8")
    outcome = check(path)
    assert outcome.code == 78
    found = outcome.err.splitlines()
    assert [line.removeprefix(f"janitoo: {path}:") for line in found] == [
        "2: [system] broker_port = '99999': expected a whole number, 1 to 65535",
        "3: [system] broker_password = '***': expected broker_user beside it: MQTT has no password without a user",
        "4: [system] heartbeat_count = 'no': expected a whole number, 1 to 1000",
        "5: [system] log_format = 'xml': expected console or json",
        "14: [hostsensor__load] hadd = '0150/0001': an address of another controller: "
        "expected 0141/NNNN, as [hostsensor] has 0141/0000",
    ]
    assert "s3cret" not in outcome.err


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        (HOST.replace("auto_start = True", "auto_start = False"), ""),
        (HOST.replace("hadd = 0141/0002", "hadd = 0141/0001"), "[hostsensor__load] has this address already"),
        (HOST.replace("hostsensor.load", "hostsensor.laod"), "did you mean 'hostsensor.load'?"),
        ("", ""),
    ],
    ids=["not to be started", "one address twice", "unknown component", "no bus"],
)
def test_a_file_without_a_bus_to_start(tmp_path: Path, sections: str, why: str) -> None:
    path = tmp_path / "empty.conf"
    path.write_text("[system]\n" + sections, encoding="utf-8")
    outcome = check(path)
    assert outcome.code == 78
    assert why in outcome.err
    assert "there is no bus to start" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_wrong_bus_is_left_out_and_the_others_run(network: Mosquitto, tmp_path: Path) -> None:
    attic = "[attic]\noid = hostsensor\nauto_start = True\nhadd = 0143/0000\nheartbeat = often\n"
    path = configured(network, tmp_path, HOST + attic)
    line = path.read_text(encoding="utf-8").splitlines().index("heartbeat = often") + 1
    with run_command(path) as process:
        process.wait_summary()
        assert "3 of 3 nodes are online" in process.out
        assert "0143" not in process.out
        problem = f"{path}:{line}: [attic] heartbeat = 'often': expected a number of seconds, 0 to 3000"
        assert problem in process.err
        assert "configuration_wrong" in process.err
        assert process.interrupt() == 0


NUT = """
[mains]
auto_start = True
heartbeat = 30
config_timeout = 5
hadd = 1045/0000
components.ups1 = mains.ups
components.ups2 = mains.ups
"""


def test_a_component_without_an_address_gets_the_next_free_one(
    network: Mosquitto, tmp_path: Path, packages: Path
) -> None:
    path = configured(network, tmp_path, NUT + "[mains__ups2]\nhadd = 1045/0001\n")
    before = path.read_text(encoding="utf-8")
    with ServerProcess([*PROGRAM, "run", str(path)], cwd=tmp_path, env={"PYTHONPATH": str(packages)}) as process:
        process.wait_summary()
        assert "  1045/0002  ONLINE   UPS" in process.out.splitlines()
        assert "charge: 97.5 %" in process.out
        (said,) = (line for line in process.err.splitlines() if "address_assigned" in line)
        assert "hadd=1045/0002" in said
        assert "node=mains__ups1" in said
        assert "[mains__ups1] hadd = 1045/0002" in said
        assert process.interrupt() == 0
    assert path.read_text(encoding="utf-8") == before


# -- logs ------------------------------------------------------------------------------------------------------------


def test_logs_as_json(network: Mosquitto, tmp_path: Path) -> None:
    path = configured(network, tmp_path)
    with listening(network, "/dhcp/heartbeat/#") as probe, run_command(path, "--log-format", "json") as process:
        wait_heartbeats(probe, NODES, NodeState.ONLINE)
        assert process.interrupt() == 0
        assert process.out == ""
        events = [json.loads(line) for line in process.err.splitlines()]
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
    online = {event["hadd"]: event["path"] for event in events if event["event"] == "node_online"}
    assert online == {hadd: f"/buses/hostsensor/nodes/{hadd}" for hadd in NODES}
    assert all(re.fullmatch(r"[a-z_]+", event["event"]) for event in events)


LOGGING = """
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = file
[handler_file]
class = FileHandler
formatter = plain
args = ('{file}', 'a', 'utf-8')
[formatter_plain]
format = %(levelname)s|%(name)s|%(message)s
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_logs_as_the_file_says(network: Mosquitto, tmp_path: Path, log_format: str) -> None:
    file = tmp_path / "janitoo.log"
    sections = HOST + LOGGING.format(file=file)
    with run_command(configured(network, tmp_path, sections, f"log_format = {log_format}")) as process:
        wait_for(lambda: file.exists() and "node_online" in file.read_text(encoding="utf-8"), TIMEOUT, "a log")
        assert process.interrupt() == 0
        assert process.err == ""
    lines = file.read_text(encoding="utf-8").splitlines()
    if log_format == "json":
        assert json.loads(lines[-1])["event"] == "server_stopped"
    else:
        assert all(re.match(r"(INFO|WARNING)\|[\w.]*\|[a-z_]+ ", line) for line in lines)
        assert any("mqtt_connected" in line and "bus='hostsensor'" in line for line in lines)


def test_logging_sections_that_cannot_be_used(network: Mosquitto, tmp_path: Path) -> None:
    sections = HOST + LOGGING.format(file=tmp_path / "no" / "such" / "folder.log")
    path = configured(network, tmp_path, sections)
    outcome = check(path)
    assert outcome.code == 78
    assert outcome.err.startswith(f"janitoo: {path}: [loggers], [handlers], [formatters]: ")
    assert len(outcome.err.splitlines()) == 1


# -- brokers ---------------------------------------------------------------------------------------------------------


def test_several_servers_on_one_machine(network: Mosquitto, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    one = configured(network, first)
    two = configured(network, second, HOST.replace("0141", "0144"))
    with run_command(one) as a, run_command(two) as b:
        a.wait_summary()
        b.wait_summary()
        with listening(network) as probe:
            asker = Requester(probe)
            assert asker.write("0141/0000", "location", "First", Genre.CONFIG)["data"] == "First"
            assert asker.write("0144/0000", "location", "Second", Genre.CONFIG)["data"] == "Second"
        outcome = script("jnt_query", "network", port=network.port)
        assert [line.split()[0] for line in outcome.lines if re.match(r"\d{4}/", line)] == [
            *NODES,
            *(hadd.replace("0141", "0144") for hadd in NODES),
        ]
        assert a.interrupt() == 0
        assert b.interrupt() == 0
    assert "location = First" in one.read_text(encoding="utf-8")
    assert "location = Second" in two.read_text(encoding="utf-8")


def test_tls_with_the_file_of_the_authority(private_broker: BrokerFactory, tmp_path: Path) -> None:
    broker = private_broker(tls=True)
    with run_command(configured(broker, tmp_path, HOST, f"broker_ca_file = {broker.ca_file}")) as process:
        process.wait_summary()
        assert "3 of 3 nodes are online" in process.out
        assert f"--ca-file {broker.ca_file}" in process.out
        with Probe(broker.host, broker.port, ca_file=broker.ca_file, timeout=TIMEOUT) as probe:
            assert Requester(probe).read("0141/0000", "name", Genre.CONFIG)["data"] == "Computer"
        assert process.interrupt() == 0


def test_tls_with_the_file_of_another_authority(private_broker: BrokerFactory, tmp_path: Path) -> None:
    broker, other = private_broker(tls=True), private_broker(tls=True)
    with run_command(configured(broker, tmp_path, HOST, f"broker_ca_file = {other.ca_file}")) as process:
        process.wait_err("the TLS handshake failed")
        assert f"is {other.ca_file} the CA of this broker?" in process.err
        assert process.interrupt() == 0


def test_a_missing_file_of_the_authority(network: Mosquitto, tmp_path: Path) -> None:
    outcome = check(configured(network, tmp_path, HOST, "broker_ca_file = missing.crt"))
    assert outcome.code == 78
    assert "[system] broker_ca_file = 'missing.crt': expected a file with the certificate" in outcome.err


def test_user_and_password(private_broker: BrokerFactory, tmp_path: Path) -> None:
    broker = private_broker(username="alice", password="s3cret word")
    system = ("broker_user = alice", "broker_password = s3cret word")
    with run_command(configured(broker, tmp_path, HOST, *system)) as process:
        process.wait_summary()
        assert "3 of 3 nodes are online" in process.out
        assert "--user alice" in process.out
        assert process.interrupt() == 0
        assert "s3cret" not in process.out + process.err


def test_a_wrong_password_is_told_and_tried_again(private_broker: BrokerFactory, tmp_path: Path) -> None:
    broker = private_broker(username="alice", password="right")
    path = configured(broker, tmp_path, HOST, "broker_user = alice", "broker_password = s3cret")
    with run_command(path) as process:
        process.wait_err("check broker_user and broker_password")
        assert "the broker refuses the connection (Not authorized)" in process.err
        # Not once more for each try; but tried it is, and the summary does not say that all is well.
        wait_for(lambda: broker.log.count("not authorised") >= 2, TIMEOUT, lambda: f"a second try\n{broker.log}")
        process.wait_summary()
        assert "nobody hears them: there is no connection to" in process.out
        assert "are online on" not in process.out
        assert process.err.count("mqtt_disconnected") == 1
        assert "s3cret" not in process.out + process.err
        assert process.interrupt() == 0


# -- the tools beside it ---------------------------------------------------------------------------------------------


def script(name: str, *arguments: str, port: int) -> Outcome:
    """Run an installed tool to its end."""
    with ServerProcess([str(BIN / name), *arguments, "--port", str(port)], cwd=Path.cwd()) as process:
        code = process.wait_exit()
        return Outcome(code, process.out, process.err)


def test_the_tools_and_the_server(network: Mosquitto, tmp_path: Path) -> None:
    path = configured(network, tmp_path)
    port = network.port
    with ServerProcess([str(BIN / "janitoo"), "run", str(path)], cwd=tmp_path) as process:
        process.wait_summary()
        nodes = script("jnt_query", "network", port=port)
        assert nodes.code == 0, nodes.err
        rows = [line.split() for line in nodes.lines if line.startswith("0141/")]
        assert [row[:2] for row in rows] == [
            ["0141/0000", "hostsensor"],
            ["0141/0001", "hostsensor__load"],
            ["0141/0002", "hostsensor__uptime"],
        ]
        assert next(line.split() for line in nodes.lines if line.split()[:1] == ["hadd"]) == [
            "hadd",
            "uuid",
            "name",
            "location",
            "product_type",
        ]

        everything = script("jnt_query", "node", "--hadd", "0141/0000", "--vuuid=all", port=port)
        assert everything.code == 0, everything.err
        for uuid in ("load", "load_config", "load_poll", "uptime", "heartbeat", "config_timeout", "hadd", "location"):
            assert re.search(rf"^\S+ +hostsensor\S* +{uuid} ", everything.out, re.MULTILINE), uuid

        location = ("query", "--hadd", "0141/0000", "--genre", "config", "--uuid", "location")
        as_in_the_tutorial = (*location, "--cmdclass", "112", "--type", "8")
        wrote = script("jnt_query", *as_in_the_tutorial, "--data", "My computer", "--writeonly", "True", port=port)
        assert wrote.code == 0, wrote.err
        assert "My computer" in wrote.out
        assert "location = My computer" in path.read_text(encoding="utf-8")
        got = script("jnt_query", *as_in_the_tutorial, "--readonly", "True", port=port)
        assert got.code == 0, got.err
        assert "My computer" in got.out
        assert "My computer" in script("jnt_query", "network", port=port).out

        wrong = script("jnt_query", *location, "--cmdclass", "113", "--data", "x", "--writeonly", "True", port=port)
        assert wrong.code == 1
        assert "expected cmd_class 112" in wrong.err
        nobody = script("jnt_query", "node", "--hadd", "0149/0000", "--vuuid=all", "--timeout", "0.3", port=port)
        assert nobody.code == 1

        spying = [str(BIN / "jnt_spy"), "--topic", "/values/#", "--port", str(port)]
        with ServerProcess(spying, cwd=tmp_path) as spy:
            # Until the spy listens, nothing of it can be seen.
            def seen() -> bool:
                script("jnt_query", *as_in_the_tutorial, "--readonly", "True", port=port)
                return "/values/config/0141/0000/location" in spy.out

            wait_for(seen, TIMEOUT, lambda: f"the spy shows a value: {spy.both}")
            assert "My computer" in spy.out
            assert spy.interrupt() in {0, 130}
        assert process.interrupt() == 0
