"""Calls that may hang in the kernel, with a limit: a device that hangs keeps no other one from being read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from janitoo_actors.errors import TemporaryError

T = TypeVar("T")

_under_way: Final[dict[Hashable, _Call]] = {}
"""The calls that have not come back yet. They outlive their bus: the bus after it must not hang at the same device."""
_lock: Final = threading.Lock()


class HangingError(TemporaryError):
    """A call has not come back in time, or one before it has not yet."""


def within(seconds: float, key: Hashable, what: str, call: Callable[[], T]) -> T:
    """What a call returns, where that comes in time. On the bus's thread; blocks for `seconds` at most.

    Nothing ends a call that hangs in the kernel. So each is made on a thread of its own, which is left behind where it
    does not come back. It is the only one of its key: until it is back, further calls of that key fail at once, also
    those of the next incarnation of the bus. When it is back, what it returns is dropped, and the next call is made.

    Args:
        key: the device, in this process: `("w1", path)`.
        what: the device, for people: "28-00000588806a".
        call: what may hang. It must do no harm when it ends after its bus.

    Raises:
        HangingError: it has not come back.
        Exception: whatever the call raises.
    """
    made = _Call(key, what, call)
    with _lock:
        if key in _under_way:
            raise HangingError(_hangs(what))
        _under_way[key] = made
    try:
        made.start()
    except RuntimeError as error:
        with _lock:
            del _under_way[key]
        raise TemporaryError(f"{what} cannot be read: {error}") from error
    made.back.wait(seconds)
    if not made.back.is_set():
        raise HangingError(_hangs(what))
    if made.error is not None:
        raise made.error
    result: T = made.result
    return result


def hanging(key: Hashable) -> bool:
    """Whether a call of this key has not come back yet. Any thread."""
    with _lock:
        return key in _under_way


class _Call(threading.Thread):
    """One call, on its own thread, which keeps no process from ending."""

    def __init__(self, key: Hashable, what: str, call: Callable[[], Any]) -> None:
        super().__init__(name=f"reads {what}", daemon=True)
        self.back = threading.Event()
        self.result: Any = None
        self.error: BaseException | None = None
        self._key = key
        self._call = call

    def run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits raises it
            self.error = error
        with _lock:
            del _under_way[self._key]
        self.back.set()


def _hangs(what: str) -> str:
    # The same each time, so that it is logged once.
    return f"{what} hangs: its read has not come back from the kernel; it is read again when it has"
