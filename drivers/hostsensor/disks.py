"""How full the disks are."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final, NamedTuple

from janitoo_actors.api import Component, Genre, Instance, Instances, TemporaryError, Value

_SIZES_POLL: Final = 900
_PARTITION_POLL: Final = 1800


def _absolute(text: str) -> str:
    """The path that a configuration names. Relative ones would depend on where the server was started."""
    path = text.strip()
    if not PurePosixPath(path).is_absolute():
        raise ValueError("expected an absolute path, as /home")
    if "\0" in path:
        raise ValueError("expected a path without a null character")
    return path


def _paths(follows: str | None = "partition") -> Instances:
    """An instance for each path; those of `partition` where a value has none of its own."""
    return Instances(label="partition", help="The partition path", defaults=("/",), parse=_absolute, follows=follows)


class Disks(Component):
    """The size of the file system that each configured path is on.

    **A path on a network mount whose server is gone can block a read for minutes**: the system call has no
    time limit. The driver does not guard against it: the runtime's watchdog fences the bus off after
    `read_timeout`. Give such a path a bus of its own.

    A path where nothing is mounted at the moment is on the file system below it, whose size it then shows.
    """

    oid = "hostsensor.disks"
    name = "Disks"
    product_name = "Disks statistics"

    partition = Value(
        "sensor_string",
        help="The partition list",
        genre=Genre.BASIC,
        poll_delay=_PARTITION_POLL,
        instances=_paths(follows=None),
    )
    total = Value(
        "sensor_memory",
        help="The total size of partitions",
        genre=Genre.BASIC,
        poll_delay=_SIZES_POLL,
        instances=_paths(),
    )
    used = Value(
        "sensor_memory",
        help="The used size of partitions",
        genre=Genre.BASIC,
        poll_delay=_SIZES_POLL,
        instances=_paths(),
    )
    free = Value(
        "sensor_memory",
        help="The free size of partitions",
        genre=Genre.BASIC,
        poll_delay=_SIZES_POLL,
        instances=_paths(),
    )
    percent_use = Value(
        "sensor_percent",
        help="The percent_use of partitions",
        genre=Genre.BASIC,
        poll_delay=_SIZES_POLL,
        instances=_paths(),
    )

    @partition.reader
    def read_partition(self, instance: Instance) -> str:
        """The path, where there is something. Errors and blocking as `usage`."""
        usage(instance.config)
        return str(instance.config)

    @total.reader
    def read_total(self, instance: Instance) -> int:
        """The size of the file system, in bytes. Errors and blocking as `usage`."""
        return usage(instance.config).total

    @used.reader
    def read_used(self, instance: Instance) -> int:
        """The bytes that are used. Errors and blocking as `usage`."""
        return usage(instance.config).used

    @free.reader
    def read_free(self, instance: Instance) -> int:
        """The bytes that an ordinary user can still fill. Errors and blocking as `usage`."""
        return usage(instance.config).free

    @percent_use.reader
    def read_percent_use(self, instance: Instance) -> float:
        """How full it is for an ordinary user, from 0 to 100. Errors and blocking as `usage`."""
        return usage(instance.config).percent


class Usage(NamedTuple):
    """What a file system holds: bytes, and how full it is for an ordinary user, from 0 to 100."""

    total: int
    used: int
    free: int
    percent: float


def usage(path: str) -> Usage:
    """What the file system of a path holds. On the bus's thread; **blocks while a dead network mount does**.

    Raises:
        TemporaryError: there is nothing at the path, or its disk does not answer; the message names the path.
    """
    import psutil

    try:
        return Usage(*psutil.disk_usage(path))
    except OSError as error:
        raise TemporaryError(f"cannot read the size of {path}: {error.strerror or error}") from error
