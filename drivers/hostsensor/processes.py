"""What single processes use: memory, CPU time, files, connections."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from janitoo_actors.api import Component, Genre, Instance, Instances, TemporaryError, Value

if TYPE_CHECKING:
    # At run time it is imported by the first read.
    import psutil

T = TypeVar("T")

_POLL: Final = 60
# For what needs a walk through all open files of the process.
_SLOW_POLL: Final = 300
# A pid file holds a number, and sometimes a few lines more. What is larger is some other file.
_MAX_PID_FILE: Final = 4096
_MAX_PID_DIGITS: Final = 10
# The kernel counts CPU time in steps of 0.01 s: over a shorter time than this, a percentage is noise.
_CPU_INTERVAL: Final = 0.5


def _pid_file(text: str) -> Path | None:
    """The pid file that a configuration names; None, for this very process, where it is empty."""
    path = text.strip()
    if not path:
        return None
    if not Path(path).is_absolute() or "\0" in path:
        raise ValueError("expected the absolute path of a pid file, as /run/janitoo.pid, or nothing for this process")
    return Path(path)


def _value(entry: str, uuid: str, help: str, *, poll_delay: float = _POLL) -> Value:
    """A value with an instance for each pid file; those of `memory_rss` where it has none of its own."""
    return Value(
        entry,
        help=help,
        genre=Genre.BASIC,
        poll_delay=poll_delay,
        instances=Instances(
            label="pid file",
            help="The file that holds the number of the process; empty for this server",
            parse=_pid_file,
            follows="memory_rss" if uuid != "memory_rss" else None,
        ),
    )


@dataclass(slots=True)
class _Measurement:
    """A reading of cpu_percent.

    Attributes:
        process: psutil keeps in it what the next reading is compared with.
        taken: when, on the monotonic clock, in seconds.
        percent: what came of it; None for the first one of a process.
    """

    process: psutil.Process
    taken: float
    percent: float | None


class Processes(Component):
    """What the processes of the configured pid files use.

    Where no pid file is configured, or its option is empty, it is this very process: the server's own.

    A pid file that a dead process left behind names nobody or, after a while, some other process that got the
    same number. That cannot be told from outside.

    A server that is not root may not count another user's files, I/O and connections. Set the poll delay of
    those values to 0 there.
    """

    oid = "hostsensor.processes"
    name = "Processes"
    product_name = "Processes statistics"

    memory_rss = _value("sensor_memory", "memory_rss", "The memory of the process in RAM")
    memory_vms = _value("sensor_memory", "memory_vms", "The memory of the process, in RAM or only reserved")
    io_counters_read = _value(
        "sensor_memory", "io_counters_read", "What the process has read from disks since its start"
    )
    io_counters_write = _value(
        "sensor_memory", "io_counters_write", "What the process has written to disks since its start"
    )
    connections = _value(
        "sensor_integer", "connections", "The open network sockets of the process", poll_delay=_SLOW_POLL
    )
    num_threads = _value("sensor_integer", "num_threads", "The threads of the process")
    open_files = _value("sensor_integer", "open_files", "The open regular files of the process", poll_delay=_SLOW_POLL)
    num_ctx_switches_voluntary = _value(
        "sensor_integer",
        "num_ctx_switches_voluntary",
        "How often the process gave the CPU away, since its start",
    )
    num_ctx_switches_involuntary = _value(
        "sensor_integer",
        "num_ctx_switches_involuntary",
        "How often the CPU was taken from the process, since its start",
    )
    num_fds = _value(
        "sensor_integer",
        "num_fds",
        "The open file descriptors of the process, of any kind",
        poll_delay=_SLOW_POLL,
    )
    cpu_percent = _value(
        "sensor_percent",
        "cpu_percent",
        "The share of one CPU since the last reading; above 100 on several CPUs",
    )
    memory_percent = _value("sensor_percent", "memory_percent", "The share of the RAM")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As every device."""
        super().__init__(*args, **kwargs)
        self._measured: dict[int, _Measurement] = {}  # by instance

    @memory_rss.reader
    def read_memory_rss(self, instance: Instance) -> int:
        """Bytes. As `ask`."""
        return ask(instance, lambda process: process.memory_info().rss)

    @memory_vms.reader
    def read_memory_vms(self, instance: Instance) -> int:
        """Bytes. As `ask`."""
        return ask(instance, lambda process: process.memory_info().vms)

    @io_counters_read.reader
    def read_io_counters_read(self, instance: Instance) -> int | None:
        """Bytes that had to come from a disk; None where the kernel does not count them. As `ask`."""
        return ask(instance, lambda process: _io(process, "read_bytes"))

    @io_counters_write.reader
    def read_io_counters_write(self, instance: Instance) -> int | None:
        """Bytes that go to a disk; None where the kernel does not count them. As `ask`."""
        return ask(instance, lambda process: _io(process, "write_bytes"))

    @connections.reader
    def read_connections(self, instance: Instance) -> int:
        """TCP and UDP sockets, IPv4 and IPv6, listening ones too. As `ask`."""
        return ask(instance, _connections)

    @num_threads.reader
    def read_num_threads(self, instance: Instance) -> int:
        """As `ask`."""
        return ask(instance, lambda process: process.num_threads())

    @open_files.reader
    def read_open_files(self, instance: Instance) -> int:
        """As `ask`."""
        return ask(instance, lambda process: len(process.open_files()))

    @num_ctx_switches_voluntary.reader
    def read_num_ctx_switches_voluntary(self, instance: Instance) -> int:
        """As `ask`."""
        return ask(instance, lambda process: process.num_ctx_switches().voluntary)

    @num_ctx_switches_involuntary.reader
    def read_num_ctx_switches_involuntary(self, instance: Instance) -> int:
        """As `ask`."""
        return ask(instance, lambda process: process.num_ctx_switches().involuntary)

    @num_fds.reader
    def read_num_fds(self, instance: Instance) -> int:
        """As `ask`."""
        return ask(instance, lambda process: process.num_fds())

    @memory_percent.reader
    def read_memory_percent(self, instance: Instance) -> float:
        """Percent of the machine's RAM. As `ask`."""
        return ask(instance, lambda process: round(process.memory_percent(), 2))

    @cpu_percent.reader
    def read_cpu_percent(self, instance: Instance) -> float | None:
        """Percent of one CPU since the last reading; None at the first reading of a process. As `ask`.

        Never with psutil's `interval`, which sleeps. A reading right after another one gives the same figure.
        """

        def measure(process: psutil.Process) -> float | None:
            now = time.monotonic()
            last = self._measured.get(instance.index)
            # Equal where the number and the time of creation are: a restarted service is measured anew.
            if last is None or last.process != process:
                # psutil's first figure is 0.0 and means nothing.
                process.cpu_percent()
                self._measured[instance.index] = _Measurement(process, now, None)
                return None
            if now - last.taken >= _CPU_INTERVAL:
                last.percent = last.process.cpu_percent()
                last.taken = now
            return last.percent

        return ask(instance, measure)


def ask(instance: Instance, question: Callable[[psutil.Process], T]) -> T:
    """Ask something about the process of an instance. On the bus's thread; blocks for some milliseconds.

    Raises:
        TemporaryError: the pid file is not there or is none, its process is gone, or this user may not ask.
    """
    import psutil

    pid = os.getpid() if instance.config is None else read_pid(instance.config)
    named = f"process {pid} of {instance.config}" if instance.config is not None else f"process {pid}"
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if process.status() == psutil.STATUS_ZOMBIE:
                raise TemporaryError(f"{named} has ended, and its parent has not noticed")
            return question(process)
    except psutil.NoSuchProcess:
        raise TemporaryError(f"{named} does not run") from None
    except psutil.AccessDenied:
        raise TemporaryError(f"{named} may not be asked by the user of this server") from None


def read_pid(file: Path) -> int:
    """The number in a pid file: the first word of it. Blocks as reading a small file does.

    Raises:
        TemporaryError: the file is not there, cannot be read, is empty, or holds no process number.
    """
    try:
        with file.open("rb") as opened:
            words = opened.read(_MAX_PID_FILE).split(maxsplit=1)
    except OSError as error:
        raise TemporaryError(f"cannot read the pid file {file}: {error.strerror or error}") from error
    if not words:
        raise TemporaryError(f"the pid file {file} is empty")
    # bytes.isdigit() knows only the ASCII digits.
    if not words[0].isdigit() or len(words[0]) > _MAX_PID_DIGITS or int(words[0]) == 0:
        raise TemporaryError(f"the pid file {file} holds no process number")
    return int(words[0])


def _io(process: psutil.Process, counter: str) -> int | None:
    # psutil leaves the method out where the kernel does not account for I/O.
    counters = getattr(process, "io_counters", None)
    return getattr(counters(), counter) if counters is not None else None


def _connections(process: psutil.Process) -> int:
    # psutil 5 has the method under its old name only.
    listed = getattr(process, "net_connections", None) or process.connections
    return len(listed(kind="inet"))
