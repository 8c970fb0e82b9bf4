"""Several servers on one machine: pid files, a second start of the same file, and two of one name."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from brokers import Mosquitto
from janitoo_actors import locks
from janitoo_actors import runtime_dir as directories
from janitoo_actors.configuration.ini import parse
from janitoo_actors.configuration.system import read_system
from janitoo_actors.runtime_dir import AlreadyRunningError, ServerLock, running_server, running_servers, runtime_dir
from running_server import PROGRAM, ServerProcess, obey_permissions, run_command, system_section
from tool_runs import run_program
from waiting import wait_for

HOST = """
[hostsensor]
hadd = {controller}/0000
components.load = hostsensor.load
"""
ALREADY_RUNNING = 75


@pytest.fixture(autouse=True, name="machine")
def fixture_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine for each test, on which nothing runs."""
    folder = tmp_path / "run"
    monkeypatch.setenv(locks.RUN_DIR, str(folder))
    return folder


def write(folder: Path, broker: Mosquitto, name: str = "my", controller: str = "0151", *system: str) -> Path:
    """Write a server's file."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.conf"
    path.write_text(system_section(broker, *system) + HOST.format(controller=controller), encoding="utf-8")
    return path


def started(process: ServerProcess) -> ServerProcess:
    process.wait_err("bus_started")
    return process


# -- the same file twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["path", "symlink", "other path", "bind mount", "other service"])
def test_second_start_is_refused(network: Mosquitto, tmp_path: Path, way: str) -> None:
    path = write(tmp_path / "etc", network)
    again = path
    with run_command(path, "--quiet") as first:
        started(first)
        match way:
            case "symlink":
                again = tmp_path / "link.conf"
                again.symlink_to(path)
            case "other path":
                (tmp_path / "link").symlink_to(path.parent)
                again = tmp_path / "link" / ".." / "link" / path.name
            case "bind mount":
                again = mounted(path.parent, tmp_path / "mount") / path.name
            case "other service":
                text = path.read_text(encoding="utf-8")
                # As an editor saves it: it is another file under the same name.
                new = path.with_suffix(".new")
                new.write_text(text.replace("[system]", "[system]\nservice = other"), encoding="utf-8")
                new.replace(path)
        before = path.read_bytes()
        try:
            second = run_program("run", str(again))
        finally:
            if way == "bind mount":
                subprocess.run(["umount", again.parent], check=True)
        assert second.code == ALREADY_RUNNING
        assert second.out == ""
        said, since = second.err.rsplit(", since ", 1)
        assert said == f"janitoo: {again}: this file is run already, by my (process {first.process.pid}, {path}"
        assert since.endswith("): expected one server for each file; stop that one first\n")
        assert path.read_bytes() == before
        assert first.interrupt() == 0
    assert running_server(path) is None


def mounted(folder: Path, place: Path) -> Path:
    """The same folder at another place."""
    place.mkdir()
    done = subprocess.run(["mount", "--bind", folder, place], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        pytest.skip(f"only root may mount, and only where it is no container: {done.stderr.strip()}")
    return place


def test_killed_server_stops_no_start(network: Mosquitto, tmp_path: Path, machine: Path) -> None:
    path = write(tmp_path, network)
    with run_command(path, "--quiet") as first:
        started(first).send(signal.SIGKILL)
        first.wait_exit()
        pid = first.process.pid
    # What it has left.
    assert (machine / "my.pid").read_text() == f"{pid}\n"
    assert running_server(path) is None
    with run_command(path, "--quiet") as second:
        started(second)
        assert (machine / "my.pid").read_text() == f"{second.process.pid}\n"
        assert "service_name_taken" not in second.err
        assert second.interrupt() == 0
    assert os.listdir(machine) == ["lock"]
    assert os.listdir(machine / "lock") == []


def test_many_starts_at_once(network: Mosquitto, tmp_path: Path) -> None:
    path = write(tmp_path, network)
    servers = [run_command(path, "--quiet") for _ in range(3)]
    try:
        wait_for(
            lambda: [server.process.poll() for server in servers].count(ALREADY_RUNNING) == 2,
            30,
            lambda: "\n".join(server.both for server in servers),
        )
        (one,) = (server for server in servers if server.process.poll() is None)
        started(one)
        assert one.interrupt() == 0
    finally:
        for server in servers:
            server.kill()


# -- different files -------------------------------------------------------------------------------------------------


def test_two_files_two_servers(network: Mosquitto, tmp_path: Path, machine: Path) -> None:
    paths = [write(tmp_path, network, name, number) for name, number in (("one", "0152"), ("two", "0153"))]
    with run_command(paths[0], "--quiet") as one, run_command(paths[1], "--quiet") as two:
        started(one)
        started(two)
        assert [(machine / f"{name}.pid").read_text() for name in ("one", "two")] == [
            f"{each.process.pid}\n" for each in (one, two)
        ]
        found = running_server(paths[1])
        assert found is not None
        assert (found.service, found.file, found.pid) == ("two", paths[1], two.process.pid)
        assert (found.host, found.folder, found.path("sock")) == (socket.gethostname(), machine, machine / "two.sock")
        assert abs(found.since - time.time()) < 3600
        assert sorted(each.service for each in running_servers()) == ["one", "two"]
        assert "service_name_taken" not in one.err + two.err
        assert (one.interrupt(), two.interrupt()) == (0, 0)
    assert running_servers() == []


def test_two_servers_of_one_name(network: Mosquitto, tmp_path: Path, machine: Path) -> None:
    paths = [write(tmp_path / name, network, "my", number) for name, number in (("a", "0154"), ("b", "0155"))]
    with run_command(paths[0], "--quiet") as one:
        started(one)
        with run_command(paths[1], "--quiet") as two:
            started(two)
            (said,) = (line for line in two.err.splitlines() if "service_name_taken" in line)
            assert f"my (process {one.process.pid}, {paths[0]}, since" in said
            assert "write another service = … in [system] of one of the two" in said
            # It runs all the same, and takes nothing from the first.
            assert (machine / "my.pid").read_text() == f"{one.process.pid}\n"
            assert (machine / f"my.{two.process.pid}.pid").read_text() == f"{two.process.pid}\n"
            found = running_server(paths[1])
            assert found is not None
            assert found.path("sock") == machine / f"my.{two.process.pid}.sock"
            assert two.interrupt() == 0
        assert one.interrupt() == 0


# -- where the pid file is -------------------------------------------------------------------------------------------


def folder_of(pid_dir: Path | str) -> Path:
    return runtime_dir(read_system(parse(f"[system]\npid_dir = {pid_dir}\n".encode(), Path("my.conf")), [], []))


def test_variable_comes_first(tmp_path: Path, machine: Path) -> None:
    assert folder_of(tmp_path / "else") == machine
    assert not (tmp_path / "else").exists()


def test_pid_dir_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locks.RUN_DIR)
    assert folder_of(tmp_path / "some" / "where") == tmp_path / "some" / "where"
    assert (tmp_path / "some" / "where").is_dir()


def test_where_pid_dir_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    wrong = tmp_path / "file" / "run"
    monkeypatch.setenv(locks.RUN_DIR, str(wrong))
    monkeypatch.setattr(directories, "_SYSTEM", tmp_path / "system")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(wrong))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / f"janitoo-{os.geteuid()}"
    assert folder_of(wrong) == own
    assert own.stat().st_mode & 0o777 == 0o700
    # What somebody else has put there is not taken.
    own.rmdir()
    own.symlink_to(tmp_path)
    found = folder_of(wrong)
    assert found.parent == tmp_path
    assert found != own
    assert found.stat().st_mode & 0o777 == 0o700

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert folder_of(wrong) == tmp_path / "janitoo"
    assert (tmp_path / "janitoo").stat().st_mode & 0o777 == 0o700
    (tmp_path / "system").mkdir()
    assert folder_of(wrong) == tmp_path / "system"


def test_folders_of_the_original_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(locks.RUN_DIR)
    monkeypatch.setattr(directories, "_ORIGINAL", tmp_path / "janitoo")
    monkeypatch.setattr(directories, "_SYSTEM", tmp_path)
    assert folder_of(tmp_path / "janitoo" / "run") == tmp_path
    assert not (tmp_path / "janitoo").exists()
    (tmp_path / "janitoo").mkdir()
    assert folder_of(tmp_path / "janitoo" / "run") == tmp_path / "janitoo" / "run"


def test_start_without_any_folder(network: Mosquitto, tmp_path: Path) -> None:
    """Never fail to start only for this: say so, and run."""
    path = write(tmp_path, network, "my", "0156", "pid_dir = /proc/none")
    with ServerProcess(
        [*PROGRAM, "run", "--quiet", str(path)],
        cwd=tmp_path,
        # The last resort is always there; here, where it is taken away with the rest.
        env={locks.RUN_DIR: "/proc/none", "TMPDIR": str(tmp_path)},
        prepare=obey_permissions,
    ) as process:
        started(process)
        (said,) = (line for line in process.err.splitlines() if "server_not_seen" in line)
        assert "no folder for locks can be written" in said or "pid file" in said
        assert process.interrupt() == 0


def test_who_is_being_started_is_never_taken_for_its_namesake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / "one.conf", tmp_path / "two.conf"]
    systems = [read_system(parse(b"[system]\nservice = same\n", path), [], []) for path in files]
    first = ServerLock(files[0], systems[0])
    seen: list[Path] = []
    lock_file = locks.lock_file

    def look(path: Path, text: bytes) -> int:
        # Between its lock, by which it is found, and its pid file.
        second = running_server(files[1])
        assert second is not None
        seen.append(second.path("sock"))
        return lock_file(path, text)

    monkeypatch.setattr(locks, "lock_file", look)
    second = ServerLock(files[1], systems[1])
    own = second.server.path("sock")
    assert own != first.server.path("sock")
    assert seen == [own, own]
    second.release()
    first.release()


def test_lock_in_this_process(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.touch()
    system = read_system(parse(b"", path), [], [])
    lock = ServerLock(path, system)
    with pytest.raises(AlreadyRunningError) as failure:
        ServerLock(path, system)
    assert failure.value.server == lock.server == running_server(path)
    lock.release()
    lock.release()
    assert running_server(path) is None
    # A file that is gone with its folder is run on a copy of it, and by one server too.
    gone = ServerLock(tmp_path / "none" / "my.conf", system)
    assert running_server(tmp_path / "none" / "my.conf") == gone.server
    gone.release()
    assert running_server(tmp_path / "none" / "my.conf") is None
    ServerLock(path, system).release()
