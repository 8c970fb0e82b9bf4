"""The sensors of a main board that umockdev shows, on the real PySensors and libsensors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from brokers import Mosquitto
from drivers.hostsensor.lmsensor import LmSensor
from hwmon_board import Board
from janitoo_actors.protocol.messages import NodeState
from mqtt_probe import Message, Probe
from running_server import PROGRAM as COMMAND
from running_server import ServerProcess, system_section, wait_heartbeats
from waiting import wait_for

DEVICES = Path(__file__).parent.parent / "bench" / "hwmon.umockdev"
TIMEOUT = 60
PROGRAM = """
import json
import os
import sys
import threading
from pathlib import Path
sys.path.insert(0, "tests")
from drivers.hostsensor import lmsensor
from drivers.hostsensor.libsensors import LIBRARY
from drivers.hostsensor.lmsensor import LmSensor
from hwmon_board import Board

HWMON = Path("/sys/devices/platform/fakechip.0/hwmon/hwmon0")
board = Board(Path(os.environ["UMOCKDEV_DIR"]))

def made(**options):
    return LmSensor("hostsensor__lmsensor", options)

def tried(call, *arguments):
    try:
        return call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

found = []
"""


def run(script: str) -> Any:
    """Run a program on that board; what it has found."""
    command = ["umockdev-run", "-d", str(DEVICES), "--", sys.executable, "-c"]
    done = subprocess.run(
        [*command, f"{PROGRAM}{script}\nprint(json.dumps(found))"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd=DEVICES.parent.parent.parent,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_first_of_each_kind() -> None:
    assert run('one = made()\nfound += [one.read(each) for each in ("temperature", "voltage", "fan")]') == [
        42.5,
        3.312,
        1200,
    ]


def test_by_name_label_and_chip() -> None:
    found = run(
        """
one = made(temperature_config_0="temp1", temperature_config_1="CPU", temperature_config_2="fakechip-isa-0000/temp1")
found += [one.read("temperature", index) for index in range(3)]
one.close()
one.close()
"""
    )
    assert found == [42.5, 42.5, 42.5]


def test_a_name_that_is_not_there() -> None:
    (said,) = run('found.append(tried(made(temperature_config_0="temp9").read, "temperature"))')
    names = "fakechip-isa-0000/temp1, otherchip-isa-0000/temp1"
    assert said == f"ConfigurationError: lm-sensors has no 'temp9': expected one of {names}"


def test_another_reading_and_none_at_all() -> None:
    found = run(
        """
one = made(temperature_config_0="temp1")
found.append(one.read("temperature"))
(HWMON / "temp1_input").write_text("51000")
found.append(one.read("temperature"))
(HWMON / "temp1_input").write_text("")
found.append(tried(one.read, "temperature"))
(HWMON / "temp1_input").write_text("51000")
found.append(one.read("temperature"))
"""
    )
    assert (found[0], found[1], found[3]) == (42.5, 51.0, 51.0)
    assert found[2].startswith("TemporaryError: fakechip-isa-0000/temp1 cannot be read: ")


def test_two_components_do_not_double_the_chips() -> None:
    found = run(
        """
one, two = made(), made()
found += [one.read("temperature"), two.read("temperature"), len(LIBRARY.features())]
one.close()
found += [two.read("temperature"), len(LIBRARY.features())]
two.close()
found += [len(LIBRARY.features()), one.read("temperature"), len(LIBRARY.features())]
"""
    )
    assert found == [42.5, 42.5, 4, 42.5, 4, 0, 42.5, 4]


def test_a_chip_that_goes_and_comes_back_under_another_number() -> None:
    found = run(
        """
one, other = made(), made(temperature_config_0="otherchip-isa-0000/temp1", temperature_config_1="temp7")
found += [one.read("temperature"), other.read("temperature"), tried(other.read, "temperature", 1)]
board.unplug()
found += [tried(one.read, "temperature"), tried(one.read, "fan"), other.read("temperature")]
board.plug(7)
found += [one.read("temperature"), one.read("fan"), other.read("temperature"), len(LIBRARY.features())]
"""
    )
    assert found[:2] == [42.5, 30]
    assert found[2].startswith("ConfigurationError: lm-sensors has no 'temp7'")
    # Not what is the first one now.
    assert found[3] == (
        "TemporaryError: fakechip-isa-0000/temp1 has gone: is its chip there, and its driver loaded? There are: "
        "otherchip-isa-0000/temp1"
    )
    # It has never been there: no failure.
    assert found[4:] == [None, 30, 42.5, 1200, 30, 4]


def test_one_that_hangs_keeps_no_other_from_being_read() -> None:
    found = run(
        """
lmsensor._TIMEOUT = 0.2
one, two = made(), made(temperature_config_0="otherchip-isa-0000/temp1")
found += [one.read("temperature"), one.read("fan"), two.read("temperature")]
board.hang("temp1_input")
found += [tried(one.read, "temperature"), tried(one.read, "temperature"), one.read("fan"), two.read("temperature")]
# What it is at must stay.
board.unplug("otherchip.0", 1)
found.append(tried(two.read, "temperature"))
for each in (one, two):
    each.close()
found.append([each.name for each in threading.enumerate()].count("reads fakechip-isa-0000/temp1"))
three = made(config_filename_0=__import__("tempfile").mkstemp()[1])
found += [one.read("fan"), tried(three.read, "fan")]
one.close()
found.append(tried(three.read, "fan"))
board.release("temp1_input", "43000")
for each in threading.enumerate():
    if each.name.startswith("reads"):
        each.join(10)
found += [one.read("temperature"), len(LIBRARY.features())]
"""
    )
    hangs = "HangingError: fakechip-isa-0000/temp1 hangs: its read has not come back from the kernel; it is read again "
    assert found[:3] == [42.5, 1200, 30]
    assert [each.startswith(hangs) for each in found[3:5]] == [True, True]
    assert found[5:7] == [1200, 30]
    assert found[7].startswith("TemporaryError: otherchip-isa-0000/temp1 cannot be read: ")
    assert found[8:10] == [1, 1200]
    assert "lm-sensors has one such file in a process, and that is /etc/sensors3.conf already" in found[10]
    assert found[11].startswith("TemporaryError: a read of lm-sensors hangs: /")
    assert found[12:] == [43, 3]


def test_a_file_that_is_not_there() -> None:
    (said,) = run('found.append(tried(made(config_filename_0="/nowhere.conf").read, "fan"))')
    assert said == "ConfigurationError: config_filename_0 = /nowhere.conf: there is no such file"


def test_a_machine_without_such_sensors() -> None:
    # This one, whatever it has: what is not configured is no failure.
    device = LmSensor()
    for uuid in ("temperature", "voltage", "fan"):
        reading = device.read(uuid)
        assert reading is None or isinstance(reading, float)
    device.close()


def test_what_is_no_file(tmp_path: Path) -> None:
    # The library itself ends the process then.
    (said,) = run(f'found.append(tried(made(config_filename_0="{tmp_path}").read, "fan"))')
    assert said == f"ConfigurationError: config_filename_0 = {tmp_path}: expected a file"


# -- a server --------------------------------------------------------------------------------------------------------

ONE, OTHER = "0166/0001", "0166/0002"


@contextmanager
def served(broker: Mosquitto, folder: Path) -> Iterator[tuple[ServerProcess, Board]]:
    """A server on that board, and what one can do to the board."""
    path, started = folder / "my.conf", folder / "started"
    path.write_text(
        f"""{system_section(broker, "read_timeout = 5", "max_backoff = 0.2")}
[hostsensor]
hadd = 0166/0000
components.one = hostsensor.lmsensor
components.other = hostsensor.lmsensor
[hostsensor__one]
hadd = {ONE}
temperature_config_0 = CPU
temperature_poll_0 = 0.05
voltage_poll_0 = 0.05
fan_poll_0 = 0.05
[hostsensor__other]
hadd = {OTHER}
temperature_config_0 = otherchip-isa-0000/temp1
temperature_poll_0 = 0.05
voltage_poll_0 = 0
fan_poll_0 = 0
"""
    )
    # umockdev-run does not end what it has started when it is killed.
    shell = f'echo "$UMOCKDEV_DIR" $$ > {started}.new; mv {started}.new {started}; exec "$@"'
    command = ["umockdev-run", "-d", str(DEVICES), "--", "sh", "-c", shell, "sh", *COMMAND, "run", str(path)]
    with ServerProcess(command, cwd=folder) as server:
        wait_for(started.exists, TIMEOUT, "it has started")
        root, pid = started.read_text().split()
        try:
            yield server, Board(Path(root))
        finally:
            if server.process.poll() is None:
                os.kill(int(pid), signal.SIGINT)
                # umockdev-run takes its files away.
                server.wait_exit()


FAULTS: dict[str, tuple[Callable[[Board], None], Callable[[Board], None], str]] = {
    "gone": (Board.unplug, lambda board: board.plug(0), "fakechip-isa-0000/temp1 has gone: is its chip there"),
    "gone, and another number": (Board.unplug, lambda board: board.plug(7), "fakechip-isa-0000/temp1 has gone"),
    "a feature fails": (
        lambda board: board.say("temp1_input", ""),
        lambda board: board.say("temp1_input", "42500"),
        "fakechip-isa-0000/temp1 cannot be read: ",
    ),
    "a feature hangs": (
        lambda board: board.hang("temp1_input"),
        lambda board: board.release("temp1_input", "42500"),
        "fakechip-isa-0000/temp1 hangs: its read has not come back",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_without_a_hand(broker: Mosquitto, tmp_path: Path, fault: str) -> None:
    begin, end, why = FAULTS[fault]
    topics = ["/dhcp/heartbeat/#", "/values/#"]
    with (
        Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT) as probe,
        served(broker, tmp_path) as (server, board),
    ):
        wait_heartbeats(probe, [ONE, OTHER], NodeState.ONLINE)
        since = len(probe.messages)
        begin(board)
        wait_heartbeats(probe, [ONE], NodeState.OFFLINE, since=since)
        server.wait_err(why)
        for number in range(2):
            since = len(probe.messages)
            board.say("temp1_input", f"{31 + number}000", "otherchip.0", 1)
            wait_data(probe, OTHER, "temperature", 31 + number, since)
        if "feature" in fault:
            board.say("fan1_input", "900")
            wait_data(probe, ONE, "fan", 900, since)
        since = len(probe.messages)
        end(board)
        wait_data(probe, ONE, "temperature", 42.5, since)
        wait_heartbeats(probe, [ONE], NodeState.ONLINE, since=since)
        assert "child_terminated" not in server.err, server.both


def wait_data(probe: Probe, hadd: str, uuid: str, data: float, since: int) -> None:
    """Wait until the first instance of a value has been published with these data."""

    def published(message: Message) -> bool:
        return message.topic == f"/values/user/{hadd}/{uuid}" and message.value["0"]["data"] == data

    probe.wait_message(published, TIMEOUT, since=since)
