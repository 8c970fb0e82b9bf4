"""Devices of the machine that several buses, servers and users want."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from brokers import Mosquitto
from claiming_drivers import registry
from faulty_drivers import TIMEOUT, Scripts, gives
from janitoo_actors import locks
from janitoo_actors.api import Bus, DeviceBusyError, Hardware, TemporaryError
from janitoo_actors.claims import BusClaims, ClaimTable, holder, holders
from janitoo_actors.errors import BusLostError
from janitoo_actors.protocol.messages import NodeState
from resilience import events
from running_server import ServerProcess, running, system_section
from tool_runs import ROOT
from waiting import wait_for

I2C = Hardware.i2c(1)
PIN = Hardware.gpio(17)
PROGRAM = (sys.executable, "-m", "claiming_drivers", "run", "--quiet")
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine for each test, on which nothing is claimed."""
    folder = tmp_path / "run"
    monkeypatch.setenv(locks.RUN_DIR, str(folder))
    return folder


def write(folder: Path, broker: Mosquitto, name: str, text: str, **system: Any) -> Path:
    """Write a server's file."""
    path = folder / f"{name}.conf"
    options = (f"{key} = {value}" for key, value in {"read_timeout": 1, "max_backoff": 0.2, **system}.items())
    path.write_text(system_section(broker, f"service = {name}", *options) + text, encoding="utf-8")
    return path


def hat(controller: int, section: str = "hat", pin: int = 17, adapter: int = 1, **own: Any) -> str:
    """The sections of a bus with one component."""
    options = "".join(f"{key} = {value}\n" for key, value in own.items())
    return (
        f"\n[{section}]\noid = hat\nhadd = {controller:04d}/0000\ncomponents.relay = hat.relay\nadapter_0 = {adapter}\n"
        f"{options}\n[{section}__relay]\nhadd = {controller:04d}/0001\npin_0 = {pin}\n"
    )


# -- what may be shared ----------------------------------------------------------------------------------------------


def claims(section: str = "hat", epoch: int = 1, table: ClaimTable | None = None) -> BusClaims:
    return (table or ClaimTable("attic", Path("/etc/attic.conf"))).for_bus(section, epoch)


def test_adapter_is_of_one_bus_and_all_its_components() -> None:
    table = ClaimTable("attic", Path("/etc/attic.conf"))
    first, second = claims("one", 1, table), claims("two", 2, table)
    first.claim(I2C, "one")
    first.claim(I2C, "one__a")
    first.claim(I2C, "one__b")
    with pytest.raises(DeviceBusyError) as failure:
        second.claim(I2C, "two")
    assert str(failure.value) == (
        f"the I2C adapter 1 is taken by [one] of attic (process {os.getpid()}, /etc/attic.conf)"
    )
    assert isinstance(failure.value, TemporaryError)
    second.claim(Hardware.i2c(0), "two")
    first.release()
    second.claim(I2C, "two")


@pytest.mark.parametrize("hardware", [PIN, Hardware.spi(0, 1)], ids=str)
def test_pin_and_chip_select_are_of_one_component(hardware: Hardware) -> None:
    bus = claims()
    bus.claim(hardware, "hat__a")
    bus.claim(hardware, "hat__a")
    with pytest.raises(DeviceBusyError, match=r"is taken by \[hat__a\] of attic"):
        bus.claim(hardware, "hat__b")


def test_different_pins_are_of_whoever_comes() -> None:
    claims("one").claim(Hardware.gpio(17), "one__a")
    claims("two").claim(Hardware.gpio(18), "two__a")
    claims("three").claim(Hardware.gpio(17, chip=1), "three__a")
    claims("four").claim(Hardware.spi(0, 0), "four")
    claims("five").claim(Hardware.spi(0, 1), "five")


def test_tables_of_one_process_see_each_other() -> None:
    """As two servers do; a claim is what the machine knows, not what the process does."""
    first, second = claims("one"), claims("two", table=ClaimTable("cellar", Path("/etc/cellar.conf")))
    first.claim(I2C, "one")
    with pytest.raises(DeviceBusyError, match=r"is taken by \[one\] of attic \(process [0-9]+, /etc/attic.conf\)"):
        second.claim(I2C, "two")
    first.release()
    second.claim(I2C, "two")


def test_who_has_it_is_asked_without_taking_it() -> None:
    assert holder(I2C) is None
    bus = claims()
    bus.claim(I2C, "hat")
    bus.claim(PIN, "hat__relay")
    found = holder(I2C)
    assert found is not None
    assert (found.service, found.file, found.bus, found.device) == ("attic", "/etc/attic.conf", "hat", "hat")
    assert found.pid == os.getpid()
    assert [each.hardware for each in holders()] == ["the GPIO pin 17", "the I2C adapter 1"]
    bus.release()
    assert (holder(I2C), holders()) == (None, [])


@pytest.mark.parametrize(
    ("path", "same"),
    [("/dev/i2c-1", I2C), ("/dev/spidev0.1", Hardware.spi(0, 1)), ("/dev/null", Hardware.serial("/dev/null"))],
)
def test_device_under_its_path(path: str, same: Hardware, tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to(path)
    assert Hardware.path(path) == Hardware.path(link) == same


def test_paths_that_are_no_devices(tmp_path: Path) -> None:
    assert Hardware.path(tmp_path / "a") != Hardware.path(tmp_path / "b")
    assert Hardware.path(tmp_path / "x" / ".." / "a") == Hardware.path(tmp_path / "a")


@pytest.mark.parametrize("make", [lambda: Hardware.i2c(-1), lambda: Hardware.gpio(-1), lambda: Hardware.spi(0, -1)])
def test_numbers_from_0(make: Callable[[], Hardware]) -> None:
    with pytest.raises(ValueError, match="expected a number from 0, not -1"):
        make()


def test_driver_alone_has_all_it_wants() -> None:
    """As in its own tests: no runtime, no claims."""
    Bus("one").claim(I2C)
    Bus("two").claim(I2C)
    assert holder(I2C) is None


# -- incarnations of a bus -------------------------------------------------------------------------------------------


def test_successor_takes_over_what_its_predecessor_holds() -> None:
    table = ClaimTable("attic", Path("/etc/attic.conf"))
    zombie = claims("hat", 1, table)
    zombie.claim(I2C, "hat")
    with zombie:
        zombie.abandon()
        # It hangs: others must not have it, as the thread may be at the device still.
        with pytest.raises(DeviceBusyError):
            claims("other", 2, table).claim(I2C, "other")
        successor = claims("hat", 3, table)
        successor.claim(I2C, "hat")
        with pytest.raises(BusLostError, match=r"the bus \[hat\] has been replaced meanwhile"):
            zombie.claim(PIN, "hat__relay")
    # It is back, and gives up nothing that is its successor's.
    assert holder(I2C) is not None
    zombie.release()
    assert holder(I2C) is not None
    successor.release()
    assert holder(I2C) is None


def test_what_hung_gives_it_up_when_it_is_back() -> None:
    bus = claims()
    bus.claim(I2C, "hat")
    with bus:
        bus.abandon()
        assert holder(I2C) is not None
    assert holder(I2C) is None


def test_end_without_anybody_in_the_driver() -> None:
    bus = claims()
    with bus:
        bus.claim(I2C, "hat")
    bus.abandon()
    assert holder(I2C) is None


def test_many_threads_one_gets_it() -> None:
    tables = [ClaimTable(f"s{number}", Path(f"/etc/{number}.conf")) for number in range(8)]
    got: list[int] = []
    start = threading.Barrier(8)

    def want(number: int) -> None:
        start.wait(TIMEOUT)
        try:
            claims("hat", 1, tables[number]).claim(I2C, "hat")
        except DeviceBusyError:
            return
        got.append(number)

    threads = [threading.Thread(target=want, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert len(got) == 1
    found = holder(I2C)
    assert found is not None
    assert found.service == f"s{got[0]}"


# -- servers ---------------------------------------------------------------------------------------------------------


def test_second_bus_does_not_start_and_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    first = write(tmp_path, broker, "first", hat(801))
    second = write(tmp_path, broker, "second", hat(802, "other", pin=18) + hat(803, "third", pin=19, adapter=2))
    with running(first, registry()) as one, capture_logs() as log, running(second, registry(), online=False) as two:
        two.wait_online("0803/0000", "0803/0001")
        wait_for(lambda: events(log, "start_error"), TIMEOUT, lambda: f"it is told: {log}")
        told = f"the I2C adapter 1 is taken by [hat] of first (process {os.getpid()}, {first})"
        assert told in str(events(log, "start_error")[0])
        two.wait_states(NodeState.OFFLINE, "0802/0001")
        assert one.states()["0801/0001"] == NodeState.ONLINE
        one.stop()
        two.wait_online("0802/0001")
    assert holders() == []


def test_bus_that_hangs_keeps_its_device_for_its_successor(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    path = write(tmp_path, broker, "first", hat(801).replace("pin_0", "temperature_poll_0 = 0.05\npin_0"))
    with running(path, registry()) as server:
        hang = scripts.hang()
        scripts["hat__relay"].read = hang
        hang.wait_reached()
        scripts["hat__relay"].read = gives(20.0)
        wait_for(lambda: scripts["hat"].opened == 2, TIMEOUT, "a successor")
        server.wait_online()
        assert server.server.system.zombies.count("/buses/hat/bus") == 1
        assert len(holders()) == 2
        hang.release()
        wait_for(lambda: server.server.system.zombies.count() == 0, TIMEOUT, "the thread has come back")
        assert len(holders()) == 2
    assert holders() == []


def test_open_that_hangs(broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    """It has claimed, and hangs: its successor opens; then it comes back, and takes nothing away."""
    path = write(tmp_path, broker, "first", hat(801))
    hang = scripts.hang()
    scripts["hat__relay"].open = hang
    with running(path, registry(), online=False) as server:
        hang.wait_reached()
        scripts["hat__relay"].open = gives(None)
        server.wait_online()
        hang.release()
        wait_for(lambda: server.server.system.zombies.count() == 0, TIMEOUT, "the thread has come back")
        assert len(holders()) == 2
    assert holders() == []


@pytest.fixture(name="first_process")
def fixture_first_process(broker: Mosquitto, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server in a process of its own that has the adapter 1 and the pin 17."""
    path = write(tmp_path, broker, "first", hat(801))
    with ServerProcess([*PROGRAM, str(path)], cwd=tmp_path, env=ENVIRONMENT) as process:
        process.wait_err("bus_started")
        yield process


def test_two_processes_and_a_kill(broker: Mosquitto, tmp_path: Path, first_process: ServerProcess) -> None:
    second = write(tmp_path, broker, "second", hat(802, "other", adapter=2))
    with ServerProcess([*PROGRAM, str(second)], cwd=tmp_path, env=ENVIRONMENT) as process:
        who = f"[hat__relay] of first (process {first_process.process.pid}, {tmp_path / 'first.conf'})"
        process.wait_err(f"the GPIO pin 17 is taken by {who}")
        assert "bus_started" not in process.err
        found = holder(PIN)
        assert found is not None
        assert str(found) == who
        # What a bus had claimed before it failed is free: others may have it while it waits.
        first_process.send(signal.SIGKILL)
        process.wait_err("bus_started")
        assert str(holder(PIN)).startswith(f"[other__relay] of second (process {process.process.pid}, ")
        assert process.interrupt() == 0
    assert holders() == []


def test_bus_in_a_process_of_its_own(broker: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, broker, "first", hat(801, isolation="process"))
    with ServerProcess([*PROGRAM, str(path)], cwd=tmp_path, env=ENVIRONMENT) as process:
        process.wait_err("bus_started")
        found = holder(I2C)
        assert found is not None
        assert found.pid != process.process.pid
        assert found.file == str(path)
        os.kill(found.pid, signal.SIGKILL)
        # Its successor has it, at once.
        again = wait_for(
            lambda: now if (now := holder(I2C)) is not None and now.pid != found.pid else None, TIMEOUT, "a successor"
        )
        assert "is taken by" not in process.err
        os.kill(process.process.pid, signal.SIGKILL)
        wait_for(lambda: holder(I2C) is None, TIMEOUT, f"the end of process {again.pid}")


OTHER_USER = """
import os
import sys
from pathlib import Path
from janitoo_actors.api import DeviceBusyError, Hardware
from janitoo_actors.claims import ClaimTable, holder

# Only now: the interpreter of the tests may be somewhere where others may not read.
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.umask(0o077)
bus = ClaimTable("theirs", Path("/etc/theirs.conf")).for_bus("hat", 1)
bus.claim(Hardware.gpio(5), "hat__five")
try:
    bus.claim(Hardware.i2c(1), "hat")
except DeviceBusyError as error:
    print(error, flush=True)
print(holder(Hardware.i2c(1)), flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a process as another user")
def test_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as machine:
        # The temporary folder of the tests is their user's alone.
        Path(machine).chmod(0o755)
        monkeypatch.setenv(locks.RUN_DIR, machine)
        two_users(Path(machine))


def two_users(machine: Path) -> None:
    """Claim devices as this user, and as another."""
    bus = claims()
    bus.claim(I2C, "hat")
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_USER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        assert other.stdout is not None
        said = [other.stdout.readline() for _ in range(2)]
        who = f"[hat] of attic (process {os.getpid()}, /etc/attic.conf)"
        assert said == [f"the I2C adapter 1 is taken by {who}\n", f"{who}\n"]
        with pytest.raises(DeviceBusyError, match=r"the GPIO pin 5 is taken by \[hat__five\] of theirs"):
            bus.claim(Hardware.gpio(5), "hat__five")
    finally:
        other.kill()
        other.communicate()
    # It has left its file, which is not ours, and that stops nobody.
    assert (machine / "lock" / "device-gpio-0-5.lock").stat().st_uid == 65534
    bus.claim(Hardware.gpio(5), "hat__five")
