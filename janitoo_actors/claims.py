"""Who has which device of the machine, across buses, processes and users.

A bus claims a device for as long as it is open. The claim is a lock of the machine (`locks`): it goes with the process.
Within a process it belongs to one incarnation of a bus. One that hangs, and is replaced, leaves its claims to its
successor, which is the only one that may take them: the thread that hangs may still be at the device.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from janitoo_actors import locks
from janitoo_actors.api.claims import DeviceBusyError, Hardware
from janitoo_actors.errors import BusLostError

_PREFIX: Final = "device-"
_TRIES: Final = 6
_PAUSE: Final = 0.01
"""Seconds between two tries: who only looks who has a device has its lock for a moment."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a device.

    Attributes:
        hardware: what it is, for people.
        service, file: the server, and its configuration file.
        bus, device: the section of the bus, and that of the component that has claimed it (or of the bus itself).
        pid, host: its process, and the machine or container that this number is of.
    """

    hardware: str
    service: str
    file: str
    bus: str
    device: str
    pid: int
    host: str

    def __str__(self) -> str:
        """Who, in words: `[hats__relay] of jnt_attic (process 812, /opt/janitoo/etc/attic.conf)`."""
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"[{self.device or self.bus}] of {self.service} (process {self.pid}{where}, {self.file})"


def holder(hardware: Hardware) -> Holder | None:
    """Who has a device; None where nobody does, or nobody that can be seen. Any thread; blocks for the disk."""
    note = locks.holder(_PREFIX + hardware.key)
    return None if note is None else _holder(note, hardware.text)


def holders() -> list[Holder]:
    """Every device of the machine that somebody has. Any thread; blocks for the disk."""
    return [_holder(note, "") for note in locks.holders(_PREFIX)]


@dataclass(slots=True, eq=False)
class _Held:
    lock: locks.Lock
    owner: BusClaims
    devices: set[str] = field(default_factory=set)


class ClaimTable:
    """What the buses of this process have claimed. One for each server of a process; any thread."""

    def __init__(self, service: str, file: Path) -> None:
        """Make an empty one.

        Args:
            service, file: who this server is, for those who find a device taken.
        """
        self._service = service
        self._file = file.absolute()
        self._lock = threading.Lock()
        self._held: dict[Hardware, _Held] = {}
        self._latest: dict[str, int] = {}
        self._log = structlog.get_logger()

    def for_bus(self, section: str, epoch: int) -> BusClaims:
        """The claims of a new incarnation of a bus; those before it can claim nothing more."""
        with self._lock:
            self._latest[section] = max(epoch, self._latest.get(section, epoch))
        return BusClaims(self, section, epoch)

    def claim(self, owner: BusClaims, hardware: Hardware, device: str) -> None:
        """See `BusClaims.claim`."""
        note: locks.Note = {}
        for number in range(_TRIES):
            if number:
                # Without the table's lock: the end of an actor waits for it.
                time.sleep(_PAUSE)
            try:
                self._try(owner, hardware, device)
            except locks.LockedError as error:
                note = error.note
            else:
                return
        raise _busy(hardware, _holder(note, hardware.text))

    def release(self, owner: BusClaims) -> None:
        """Give back what this incarnation has."""
        with self._lock:
            for hardware, held in list(self._held.items()):
                if held.owner is owner:
                    del self._held[hardware]
                    held.lock.release()

    def _try(self, owner: BusClaims, hardware: Hardware, device: str) -> None:
        with self._lock:
            if owner.epoch < self._latest[owner.section]:
                raise BusLostError(f"the bus [{owner.section}] has been replaced meanwhile")
            held = self._held.get(hardware)
            if held is not None:
                self._share(held, owner, hardware, device)
                return
            lock = locks.take(_PREFIX + hardware.key, self._note(owner, hardware, device), tries=1)
            self._held[hardware] = _Held(lock, owner, {device})
        if not lock.is_seen:
            self._log.warning(
                "claim_not_seen",
                bus=owner.section,
                device=hardware.text,
                detail="no folder for locks can be written: other servers do not see that the device is taken",
            )

    def _share(self, held: _Held, owner: BusClaims, hardware: Hardware, device: str) -> None:
        """Take what a bus of this process has: this one, or the one before it. The lock is held."""
        if held.owner is owner:
            if not hardware.is_shared and device not in held.devices:
                raise _busy(hardware, self._holder(owner, hardware, min(held.devices)))
            held.devices.add(device)
            return
        if held.owner.section != owner.section:
            raise _busy(hardware, self._holder(held.owner, hardware, min(held.devices)))
        # The one before it hangs: it has been replaced, and has not come back to give it up.
        held.owner = owner
        held.devices = {device}
        with contextlib.suppress(OSError):
            held.lock.write(self._note(owner, hardware, device))

    def _note(self, owner: BusClaims, hardware: Hardware, device: str) -> locks.Note:
        found = self._holder(owner, hardware, device)
        return {name: getattr(found, name) for name in Holder.__slots__}

    def _holder(self, owner: BusClaims, hardware: Hardware, device: str) -> Holder:
        return Holder(
            hardware=hardware.text,
            service=self._service,
            file=str(self._file),
            bus=owner.section,
            device=device,
            pid=os.getpid(),
            host=socket.gethostname(),
        )


class BusClaims:
    """The claims of one incarnation of a bus, from its start to its end. A context while a thread is in the driver.

    Attributes:
        section, epoch: the bus, and which of its incarnations.
    """

    def __init__(self, table: ClaimTable, section: str, epoch: int) -> None:
        self.section = section
        self.epoch = epoch
        self._table = table
        self._lock = threading.Lock()
        self._at_work = 0
        self._abandoned = False

    def claim(self, hardware: Hardware, device: str) -> None:
        """Take a device of the machine, until `release`. Claiming it twice is claiming it once.

        The bus's thread; blocks for some hundredths of a second where it is taken.

        Raises:
            DeviceBusyError: somebody else has it: another bus or server, or, unless it is shared, another component.
            BusLostError: the bus has been replaced meanwhile.
        """
        if hardware.key:
            self._table.claim(self, hardware, device)

    def __enter__(self) -> BusClaims:
        """A thread enters the driver, and may be at its devices, whatever becomes of the bus meanwhile."""
        with self._lock:
            self._at_work += 1
        return self

    def __exit__(self, *_error: object) -> None:
        """It is back."""
        with self._lock:
            self._at_work -= 1
            is_over = self._abandoned and not self._at_work
        if is_over:
            self.release()

    def abandon(self) -> None:
        """The bus has ended: give everything back, or when the thread that hangs in its driver is back. Any thread."""
        with self._lock:
            self._abandoned = True
            is_over = not self._at_work
        if is_over:
            self.release()

    def release(self) -> None:
        """Give everything back that its successor has not taken over. Any thread."""
        self._table.release(self)


def _busy(hardware: Hardware, found: Holder) -> DeviceBusyError:
    if not found.pid:
        return DeviceBusyError(f"{hardware} is taken by another program, which does not say who it is")
    return DeviceBusyError(f"{hardware} is taken by {found}")


def _holder(note: locks.Note, hardware: str) -> Holder:
    """The holder of a note, which anybody may have written."""
    what, service, file, bus, device, host = locks.texts(note, "hardware", "service", "file", "bus", "device", "host")
    pid = note.get("pid")
    return Holder(what or hardware, service, file, bus, device, pid if isinstance(pid, int) else 0, host)
