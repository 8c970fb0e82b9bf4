"""The power fails between any two steps that write to the disk, or in the middle of one.

In this process, so that thousands of cuts cost seconds: from the cut on, every step raises `PowerCut`, the cleaning up
of `finally` clauses included, and nothing more reaches the disk. Descriptors are closed, as the kernel would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

STEPS = (
    "write",
    "pwrite",
    "ftruncate",
    "fsync",
    "replace",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "fchmod",
    "fchown",
    "setxattr",
    "open",
)
"""The functions of `os` that change what is on the disk; `open` where it makes a file."""


class PowerCut(BaseException):
    """The machine is dead. No exception of any kind that a program handles."""


@dataclass
class Steps:
    """What has been done.

    Attributes:
        done: each step with its arguments, in order.
        is_dead: whether the power has failed.
    """

    done: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    is_dead: bool = False

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.done]


@contextmanager
def power_cut(after: int | None = None) -> Iterator[Steps]:
    """Let the power fail after so many steps, in the middle of the next one where it can be; None: count the steps."""
    steps = Steps()
    with ExitStack() as stack:
        for name in STEPS:
            step = _step(name, getattr(os, name), steps, after)
            # The steps of the operating system are the edge: what is above it is real, and so is the disk below.
            stack.enter_context(mock.patch.object(os, name, step))
        with suppress(PowerCut):
            yield steps


def _step(name: str, real: Callable[..., Any], steps: Steps, after: int | None) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if name == "open" and not args[1] & os.O_CREAT:
            return real(*args, **kwargs)
        if steps.is_dead:
            raise PowerCut
        if after is not None and len(steps.done) >= after:
            steps.is_dead = True
            if name == "write" and len(args[1]) > 1:
                # Half of it has reached the disk.
                real(args[0], args[1][: len(args[1]) // 2])
            raise PowerCut
        result = real(*args, **kwargs)
        steps.done.append((name, (*args, result) if name == "open" else args))
        return result

    return call
