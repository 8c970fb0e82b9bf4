"""hostsensor.processes, on real child processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from drivers.hostsensor import Processes
from janitoo_actors.api import OptionsError, TemporaryError
from waiting import wait_for

VALUES = tuple(Processes.values)
# As the kernel calls them in /proc/<pid>/status.
MEMORIES = {"memory_rss": "VmRSS", "memory_vms": "VmSize"}
SWITCHES = {
    "num_ctx_switches_voluntary": "voluntary_ctxt_switches",
    "num_ctx_switches_involuntary": "nonvoluntary_ctxt_switches",
}

# Two threads, one regular file, one listening and one UDP socket; then it waits for its input to end.
BUSY_WITH_FILES = """
import socket, sys, threading
file = open(sys.argv[1], "w")
listening = socket.create_server(("127.0.0.1", 0))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", 0))
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
BURNING = "print('ready', flush=True)\nwhile True: pass"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that runs a Python program and returns when it has said that it is ready."""
    started: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "service.pid"


def of(pid_file: Path) -> Processes:
    return Processes(options={"memory_rss_config_0": str(pid_file)})


def status_of(pid: int) -> dict[str, str]:
    """What the kernel says of a process, without psutil."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(re.split(r":\s*", line, maxsplit=1) for line in lines)


def test_without_configuration_it_is_this_process() -> None:
    processes = Processes()
    for value in VALUES:
        assert [it.text for it in processes.instances(value)] == [""]
    assert processes.read("num_threads") == len(os.listdir("/proc/self/task"))
    assert processes.read("memory_rss") > 2**20
    assert processes.read("num_fds") > 2


def test_the_figures_are_the_kernels_own(start: Start, pid_file: Path, tmp_path: Path) -> None:
    child = start(BUSY_WITH_FILES, str(tmp_path / "open"))
    pid_file.write_text(f"{child.pid}\n")
    processes = of(pid_file)
    assert processes.read("num_threads") == 2
    assert processes.read("open_files") == 1
    assert processes.read("connections") == 2
    assert processes.read("num_fds") == len(os.listdir(f"/proc/{child.pid}/fd"))
    # The child may still be busy with going to sleep: what it had before or has after is right.
    before = status_of(child.pid)
    read = {value: processes.read(value) for value in (*MEMORIES, *SWITCHES)}
    after = status_of(child.pid)
    for value, key in SWITCHES.items():
        assert int(before[key]) <= read[value] <= int(after[key])
    for value, key in MEMORIES.items():
        bytes_before, bytes_after = (int(status[key].split()[0]) * 1024 for status in (before, after))
        # The kernel counts the pages of each CPU in batches, and its two files differ by some of them.
        assert bytes_before - 2**20 <= read[value] <= bytes_after + 2**20
    share = 100 * read["memory_rss"] / psutil.virtual_memory().total
    assert processes.read("memory_percent") == pytest.approx(share, abs=0.05)


def test_io_is_in_bytes_of_the_disk(start: Start, pid_file: Path, tmp_path: Path) -> None:
    child = start(BUSY_WITH_FILES, str(tmp_path / "open"))
    pid_file.write_text(str(child.pid))
    counted = Path(f"/proc/{child.pid}/io")
    if not counted.exists():
        assert of(pid_file).read("io_counters_read") is None
        return
    io = dict(line.split(": ") for line in counted.read_text().splitlines())
    assert of(pid_file).read("io_counters_read") == int(io["read_bytes"])
    assert of(pid_file).read("io_counters_write") == int(io["write_bytes"])


def test_io_is_none_where_the_kernel_does_not_count_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "io_counters", raising=False)
    assert Processes().read("io_counters_read") is None
    assert Processes().read("io_counters_write") is None


def test_an_old_psutil_knows_connections_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "net_connections", raising=False)
    monkeypatch.setattr(psutil.Process, "connections", lambda _self, kind: [kind, kind], raising=False)
    assert Processes().read("connections") == 2


def test_the_share_of_the_cpu_is_measured_without_waiting(
    start: Start, pid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(BURNING)
    pid_file.write_text(str(child.pid))
    processes = of(pid_file)

    def cpu_time() -> float:
        times = psutil.Process(child.pid).cpu_times()
        return times.user + times.system

    begun = time.monotonic()
    assert processes.read("cpu_percent") is None
    already = cpu_time()
    wait_for(lambda: cpu_time() > already + 1, 60, "the child to burn a second of CPU time")
    burnt = cpu_time() - already
    # psutil waits so where it is told to measure for some time.
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("it waits"))
    percent = processes.read("cpu_percent")
    ended = time.monotonic()
    assert isinstance(percent, float)
    # However busy this machine is: at least what it burnt, in at most the whole time; and it has one thread.
    assert 100 * burnt / (ended - begun) - 5 <= percent <= 105
    # Another reading at once has nothing new to say.
    assert processes.read("cpu_percent") == percent


def test_a_restarted_service_is_measured_anew(start: Start, pid_file: Path) -> None:
    processes = of(pid_file)
    for _ in range(2):
        pid_file.write_text(str(start(BURNING).pid))
        assert processes.read("cpu_percent") is None


def test_a_service_with_the_number_of_another_one_is_measured_anew(
    start: Start, pid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start(BURNING)
    pid_file.write_text(str(child.pid))
    processes = of(pid_file)
    assert processes.read("cpu_percent") is None
    # psutil compares when two processes with one number were created. As if the kernel had given it twice:
    monkeypatch.setattr(psutil.Process, "__eq__", lambda _self, _other: False)
    monkeypatch.setattr("drivers.hostsensor.processes._CPU_INTERVAL", 0)
    assert processes.read("cpu_percent") is None
    monkeypatch.undo()
    monkeypatch.setattr("drivers.hostsensor.processes._CPU_INTERVAL", 0)
    assert processes.read("cpu_percent") is not None


def test_each_instance_has_a_share_of_its_own(start: Start, tmp_path: Path) -> None:
    files = [tmp_path / "one.pid", tmp_path / "two.pid"]
    options = {}
    for index, file in enumerate(files):
        file.write_text(str(start(BURNING).pid))
        options[f"cpu_percent_config_{index}"] = str(file)
    processes = Processes(options=options)
    assert [processes.read("cpu_percent", index) for index in range(2)] == [None, None]
    assert processes.instances("cpu_percent")[1].config == files[1]
    # Its own configuration is for no other value.
    assert [it.config for it in processes.instances("memory_rss")] == [None]


@pytest.mark.parametrize("value", VALUES)
def test_a_process_that_ended_is_a_temporary_error(value: str, start: Start, pid_file: Path) -> None:
    child = start(BURNING)
    pid_file.write_text(str(child.pid))
    processes = of(pid_file)
    processes.read(value)
    child.send_signal(signal.SIGKILL)
    # Not waited for yet, so that it is a zombie; it looks as if it ran, with a memory of 0.
    wait_for(lambda: status_of(child.pid)["State"].startswith("Z"), 10, "the child to be a zombie")
    with pytest.raises(TemporaryError, match=rf"^process {child.pid} of {pid_file} has ended, and its parent"):
        processes.read(value)
    child.wait()
    with pytest.raises(TemporaryError, match=rf"^process {child.pid} of {pid_file} does not run$"):
        processes.read(value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read the pid file .*: No such file or directory"),
        (b"", "the pid file .* is empty"),
        (b" \n", "the pid file .* is empty"),
        (b"garbage\n", "holds no process number"),
        (b"\xff\xfe\x00", "holds no process number"),
        (b"0\n", "holds no process number"),
        (b"-1\n", "holds no process number"),
        (b"1.5\n", "holds no process number"),
        (b"9" * 5000, "holds no process number"),
        (b"9999999999\n", "process 9999999999 of .* does not run"),
        (b"4194305\n", "process 4194305 of .* does not run"),
    ],
)
def test_a_bad_pid_file_is_a_temporary_error(content: bytes | None, said: str, pid_file: Path) -> None:
    if content is not None:
        pid_file.write_bytes(content)
    processes = of(pid_file)
    with pytest.raises(TemporaryError, match=said):
        processes.read("memory_rss")
    # It works as soon as the service has written it.
    pid_file.write_text(f"{os.getpid()}\n/some/more/lines\n")
    assert processes.read("memory_rss") > 0


def test_a_directory_is_no_pid_file(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="Is a directory"):
        of(tmp_path).read("num_threads")


def test_a_process_that_may_not_be_asked_is_a_temporary_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: psutil.Process) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "open_files", refuse)
    with pytest.raises(TemporaryError, match=rf"^process {os.getpid()} may not be asked by the user of this"):
        Processes().read("open_files")


@pytest.mark.parametrize("text", ["service.pid", "./run/service.pid", "/run/\0.pid"])
def test_the_path_of_a_pid_file_must_be_absolute(text: str) -> None:
    with pytest.raises(OptionsError, match="expected the absolute path of a pid file") as raised:
        Processes(options={"memory_rss_config_0": text})
    assert len(raised.value.problems) == 1


def test_each_value_may_have_pid_files_of_its_own() -> None:
    files = [f"/opt/janitoo/run/jnt_{name}.pid" for name in ("hostsensor", "nut", "dhcp")]
    options = {f"{value}_config_{index}": file for value in VALUES for index, file in enumerate(files)}
    processes = Processes(options=options)
    assert all([str(it.config) for it in processes.instances(value)] == files for value in VALUES)
