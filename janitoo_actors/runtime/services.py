"""What the runtime does for the devices of one bus while they run: pushes, poll delays, timers, products."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from janitoo_actors.api.runtime import Product
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.messages import Changed, DelayChanged
from janitoo_actors.runtime.poller import Places
from supervisors import Actor

_RETOLD: Final = 5.0
"""Seconds after which a change is told again that nobody has read: its poller may have been restarted meanwhile."""


class Store(Protocol):
    """Where options are kept: the file, or the way to it."""

    def set(self, section: str, options: Mapping[str, str], *, held: bool = False) -> None:
        """Keep options of a section, for good when it returns. Blocks. Raises what says why not.

        Args:
            held: they are not in force before the bus is restarted, which is done when no more come for a while.
        """


@dataclass(frozen=True, slots=True)
class Due:
    """Something is to be called for a driver: a timer has fired, or it has asked so.

    Attributes:
        key: which, for the log.
    """

    key: str
    call: Callable[[], None]


class Services:
    """A `Runtime` for the devices of one incarnation of a bus. What comes after its end goes nowhere.

    A value that changes again before it is read is told of once: a flood of edges makes no queue.
    """

    def __init__(self, actor: Actor, places: Places, board: Board, store: Store, read_timeout: float) -> None:
        """Serve the devices of a bus.

        Args:
            actor: the bus's actor; what it says goes nowhere once it is fenced off.
            read_timeout: seconds after which a call of the driver is taken for hung.
        """
        self.read_timeout = read_timeout
        self._actor = actor
        self._store = store
        self._places = places
        self._nodes = {node.uuid: node for node in board.nodes.values()}
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], float] = {}
        self._soon: set[str] = set()
        self._closed = False
        for node in board.nodes.values():
            for value in node.values.values():
                # What the last incarnation wanted is over with it.
                value.paced = None

    def changed(self, node: str, uuid: str) -> None:
        """Have a value read and published at once. Any thread; never blocks."""
        now = time.monotonic()
        with self._lock:
            told = self._told.get((node, uuid))
            if self._closed or (told is not None and now - told < _RETOLD):
                return
            self._told[node, uuid] = now
        if not self._actor.tell_path(self._places.poller(self._nodes[node], uuid), Changed()):
            # Nobody polls it yet: whoever will, does so when it starts.
            self.begins(node, uuid)

    def begins(self, node: str, uuid: str) -> None:
        """A read of a value begins: what changes from now on is told anew."""
        if self._told:
            with self._lock:
                self._told.pop((node, uuid), None)

    def soon(self, key: str, call: Callable[[], None]) -> None:
        """Have `call` called on the bus's thread, once for all that is said until then. Any thread; never blocks."""
        with self._lock:
            if self._closed or key in self._soon:
                return
            self._soon.add(key)
        self._actor.tell_self(Due(key, partial(self._now, key, call)))

    def _now(self, key: str, call: Callable[[], None]) -> None:
        with self._lock:
            self._soon.discard(key)
        call()

    def poll_every(self, node: str, uuid: str, delay: float | None) -> None:
        """Have a value polled with this delay; None: as it is configured. On the bus's thread."""
        found = self._nodes[node]
        value = found.values[uuid]
        if value.paced != delay and not self._actor.fenced:
            # On the board: a poller that starts later finds it there.
            value.paced = delay
            self._actor.tell_path(self._places.poller(found, uuid), DelayChanged())

    def identified(self, node: str, product: Product) -> None:
        """Have a node say what its device is. On the bus's thread."""
        if not self._actor.fenced:
            self._nodes[node].product = product

    def after(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called once on the bus's thread. On the bus's thread."""
        self._actor.timers.once(("driver", key), seconds, Due(key, call))

    def every(self, key: str, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called again and again on the bus's thread. On the bus's thread."""
        self._actor.timers.every(("driver", key), seconds, Due(key, call))

    def cancel(self, key: str) -> None:
        """End a timer; nothing where there is none. On the bus's thread."""
        self._actor.timers.cancel(("driver", key))

    def keep(self, node: str, options: Mapping[str, str]) -> None:
        """Have options in the file, and the bus restarted with them. On the bus's thread; blocks for the disk.

        Raises:
            TemporaryError: the file was not written.
        """
        if not self._actor.fenced:
            self._store.set(node, options, held=True)

    def close(self) -> None:
        """Tell nobody anything from now on."""
        with self._lock:
            self._closed = True
            self._told.clear()
