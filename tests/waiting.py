"""The one place where the tests wait for something to happen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T | None],
    timeout: float,
    what: str | Callable[[], str],
    *,
    interval: float = 0.005,
) -> T:
    """Wait until a condition holds.

    The condition is always tried at least once, and once more at the deadline.

    Args:
        condition: Called again and again until it returns something true.
        timeout: For how long to wait, in seconds.
        what: What is waited for, for the failure's message. Use a function when the message
            depends on what happened meanwhile.
        interval: The pause between two tries, in seconds.

    Returns:
        What the condition returned.

    Raises:
        AssertionError: The condition did not hold before the deadline.
    """
    never = threading.Event()
    deadline = time.monotonic() + timeout
    while True:
        expired = time.monotonic() >= deadline
        if result := condition():
            return result
        if expired:
            reason = what() if callable(what) else what
            raise AssertionError(f"not within {timeout:g} s: {reason}")
        never.wait(interval)
