"""What drivers need of this machine, looked at without starting anything: libraries, devices. Blocks for the disk."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from janitoo_actors.api.bus import Bus
from janitoo_actors.api.claims import Hardware
from janitoo_actors.api.device import Device
from janitoo_actors.claims import holder
from janitoo_actors.configuration.extras import how_to_install
from janitoo_actors.errors import said


def missing_libraries(device_class: type[Device], oid: str) -> Iterator[str]:
    """A sentence for each library that a driver needs and that is not installed. Imports none of them."""
    for module in device_class.requires:
        package = module.partition(".")[0]
        if find_spec(package) is None:
            command = how_to_install(_whose(module, device_class, oid)) or f"install the package that brings {package}"
            yield f"{oid} needs the library {module}, which is not installed: {command}"


def _whose(module: str, device_class: type[Device], oid: str) -> str:
    """The oid of the bus or component that imports a library: of an aggregate, that of one of its parts."""
    parts = device_class.parts if issubclass(device_class, Bus) else ()
    return next((_whose(module, part, part.oid) for part in parts if module in part.requires), oid)


def missing_devices(device: Device, file: Path) -> Iterator[str]:
    """A sentence for each device or file that a driver needs and would not get.

    Args:
        file: the configuration file: what its own running server has is no trouble.
    """
    try:
        needs = list(device.takes_all() if isinstance(device, Bus) else device.takes())
    except Exception as error:  # noqa: BLE001 - it is the driver's, and a bug there is its bus's
        yield f"the driver {type(device).__name__} failed to say what it takes: {said(error)}"
        return
    for need in needs:
        problem = _trouble_with(need, str(file.absolute()))
        if problem is not None:
            yield problem


def _trouble_with(need: Hardware, file: str) -> str | None:
    """Why a driver would not get a device; None where it would."""
    problem = _inaccessible(need)
    if problem is not None:
        return problem
    # That of another bus or server; one that this user may see.
    taken = holder(need) if need.key else None
    if taken is None:
        return _unopenable(need)
    return None if taken.file == file else f"{need} is taken by {taken}"


def _inaccessible(need: Hardware) -> str | None:
    path = need.file
    if path is None:
        return None
    if not path.exists():
        return f"{path} is not there" + (f": {need.advice}" if need.advice else ": is it plugged in?")
    if not os.access(path, os.R_OK | (os.W_OK if need.writes else 0)):
        return f"{path} may not be {'read and written' if need.writes else 'read'}{_who_may(path)}"
    return None


def _unopenable(need: Hardware) -> str | None:
    path = need.file
    if path is None or not need.opens or path.is_dir():
        return None
    try:
        # At once, whatever it is; and a terminal that it may be does not become this process's.
        flags = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (os.O_RDWR if need.writes else os.O_RDONLY)
        os.close(os.open(path, flags))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return f"{path} is busy: {_holder(path)}"
        return f"{path} cannot be opened: {error.strerror or error}"
    return None


def _holder(path: Path) -> str:
    """Who has a busy device open, as far as this user may see it."""
    holders = sorted(_processes_with(path))
    if not holders:
        return "another program, or a driver of the kernel, has it"
    return f"{', '.join(f'process {pid}' for pid in holders)} has it open"


def _processes_with(path: Path) -> Iterator[int]:
    real = os.path.realpath(path)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and real in _open_files(entry / "fd"):
            yield int(entry.name)


def _open_files(folder: Path) -> Iterator[str]:
    # A process that has ended, one of somebody else, and a file that has been closed meanwhile.
    with contextlib.suppress(OSError):
        for descriptor in folder.iterdir():
            with contextlib.suppress(OSError):
                yield os.readlink(descriptor)


def _who_may(path: Path) -> str:
    """The group that a user needs."""
    import grp

    try:
        group = grp.getgrgid(path.stat().st_gid).gr_name
    except (OSError, KeyError):
        return " by this user"
    return f" by this user: it belongs to the group {group}; usermod -aG {group} <user> adds the server's user"
