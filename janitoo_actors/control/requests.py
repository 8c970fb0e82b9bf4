"""The registry of the requests that the control socket serves, and who may ask.

A further request is a dataclass with its keys, a function that serves it, and `Requests.add`; `standard` has them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.runtime.server import Server
from janitoo_actors.suggest import did_you_mean

R = TypeVar("R")


class Access(Enum):
    """Who may ask."""

    READ = "read"
    """The owner of the server, root, and the group of the socket."""
    ACT = "act"
    """The owner and root; each is logged."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says."""

    pid: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Served(Generic[R]):
    """How one request is served.

    Attributes:
        kind: the dataclass of its keys.
        serve: called with the server, the request and who asks, on a thread of the client; gives a dataclass. It may
            block, and must not wait for an actor without a deadline. It raises RequestError where it cannot serve.
            A stream is a generator: it gives what it has, or None where there is nothing for a moment; is sent whether
            it is to end; and returns the last reply. It is begun after all that may be refused.
    """

    kind: type[R]
    access: Access
    serve: Callable[[Server, R, Peer], Any]


class Requests:
    """The requests by name. Filled before the socket is opened, and only read from then on."""

    def __init__(self) -> None:
        self._served: dict[str, Served[Any]] = {}

    def add(self, name: str, kind: type[R], access: Access, serve: Callable[[Server, R, Peer], Any]) -> None:
        """Have a request served."""
        self._served[name] = Served(kind, access, serve)

    def find(self, name: str) -> Served[Any]:
        """How a request is served. Raises RequestError where there is none of this name."""
        try:
            return self._served[name]
        except KeyError:
            hint = did_you_mean(name[:80], self._served) or f"; there are: {', '.join(sorted(self._served))}"
            raise RequestError(ErrorCode.UNKNOWN, f"there is no request {name[:80]!r}{hint}") from None
