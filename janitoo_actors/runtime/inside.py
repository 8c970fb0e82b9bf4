"""One process, as the console looks into it: its actors, its threads, its connections. Asks no actor to look.

The server has one for itself, and the process of each bus has one. What they give is plain data, for another process.
"""

from __future__ import annotations

import linecache
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from janitoo_actors.errors import TemporaryError
from janitoo_actors.protocol.codes import ValueType
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.runtime.administration import Administration, Outcome
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.messages import AskedHere, Requested
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.taps import Taps
from supervisors import System, living
from supervisors.watchdog import stack_of

_BLOCKED: Final = 0.5
"""Seconds at one message after which it is shown where the thread stands."""
_MOST_THREADS: Final = 500
_MOST_FRAMES: Final = 40
_MOST_LOOKED_AT: Final = 10_000
"""Messages of a mailbox whose types are counted."""


class Inside:
    """What can be looked at, and done, in one process. Any plain thread; no actor may call it.

    Args:
        boards: gives those of the buses that run in this process.
    """

    def __init__(self, system: System, boards: Callable[[], Sequence[Board]]) -> None:
        self._system = system
        self._boards = boards
        self._administration = Administration(system)
        self._taps = Taps(system, self._secrets)

    def page(self, path: str) -> dict[str, Any]:
        """Of one actor: its `stack` where it is blocked, and what waits in its mailbox."""
        ref = self._system.lookup(path)
        actor = living(ref) if ref is not None else None
        if actor is None:
            return {"stack": "", "mailbox_types": {}}
        vitals = actor.vitals
        blocked = vitals.current is not None and time.monotonic() - vitals.current_since > _BLOCKED
        return {
            "stack": stack_of(vitals.thread) if blocked else "",
            "mailbox_types": dict(Counter(actor.mailbox.waiting_types(_MOST_LOOKED_AT)).most_common(20)),
        }

    def threads(self) -> list[dict[str, Any]]:
        """All threads, and where they stand."""
        frames = sys._current_frames()
        found = []
        for thread in threading.enumerate()[:_MOST_THREADS]:
            frame = frames.get(thread.ident) if thread.ident is not None else None
            lines = traceback.format_stack(frame)[-_MOST_FRAMES:] if frame is not None else []
            found.append({"name": thread.name, "daemon": thread.daemon, "stack": "".join(lines)})
        # Python keeps the source of every file that it has shown a line of: some 3 MB, until somebody looks again.
        linecache.clearcache()
        return found

    def polls(self) -> dict[str, dict[str, Any]]:
        """How the polls of each value go, by `0701/0001/temperature`."""
        now = time.monotonic()
        return {
            f"{node.hadd}/{value.uuid}": {
                "age": round(now - value.polls.at, 3) if value.polls.at else None,
                "took": round(value.polls.took, 6) if value.polls.at else None,
                "reads": value.polls.reads,
                "failures": value.polls.failures,
                "failures_in_row": value.polls.in_row,
                "error": value.polls.error,
            }
            for board in self._boards()
            for node in board.nodes.values()
            for value in node.values.values()
            if value.is_driver
        }

    def beats(self) -> dict[str, float]:
        """For how long each node that has beaten has not, by address."""
        now = time.monotonic()
        nodes = (node for board in self._boards() for node in board.nodes.values())
        return {str(node.hadd): round(now - node.beat_at, 3) for node in nodes if node.beat_at}

    def connections(self) -> dict[str, dict[str, Any]]:
        """The connections to the broker, by bus."""
        return {board.section: board.mqtt.describe() for board in self._boards()}

    def last_reads(self) -> dict[str, tuple[float, int, str | None]]:
        """Of each value that was polled, by `0701/0001/temperature`, what is shown all the time.

        For how long its last poll has taken, how many in a row have failed, and why.
        """
        return {
            f"{node.hadd}/{value.uuid}": (round(value.polls.took, 6), value.polls.in_row, value.polls.error)
            for board in self._boards()
            for node in board.nodes.values()
            for value in node.values.values()
            if value.is_driver and value.polls.at
        }

    def figures(self) -> dict[str, Any]:
        """The figures of this process, all at once: how its polls, nodes and connections do, and what is odd."""
        return {
            "polls": self.polls(),
            "beats": self.beats(),
            "connections": self.connections(),
            "dead_letters": self._system.dead_letters,
            "zombies": self._system.zombies.count(),
            "backlog": self._system.dispatcher.backlog(),
        }

    def act(self, action: str, path: str) -> Outcome:
        """Do something with an actor. Blocks for some seconds at most."""
        return self._administration.act(action, path)

    def request(self, asked: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Have a node serve a request, as one over the air; its answer. Blocks.

        Args:
            asked: `section`, `hadd`, `uuid`, `data`, `write`, `index`.

        Raises:
            TemporaryError: there is no answer.
        """
        board = next((each for each in self._boards() if each.section == asked["section"]), None)
        node = board.nodes.get(Hadd.parse(asked["hadd"])) if board is not None else None
        value = node.values.get(asked["uuid"]) if node is not None else None
        if board is None or node is None or value is None:
            raise TemporaryError(f"{asked['hadd']} has no value {asked['uuid']!r} now")
        answers: SimpleQueue[Mapping[str, Any]] = SimpleQueue()
        raw = {
            "uuid": value.uuid,
            "hadd": str(node.hadd),
            "cmd_class": value.cmd_class,
            "genre": int(value.genre),
            "index": asked["index"],
            "data": asked["data"],
        }
        request = AskedHere(
            uuid=value.uuid,
            cmd_class=value.cmd_class,
            genre=value.genre,
            data=asked["data"],
            write=asked["write"],
            index=asked["index"],
            hadd=node.hadd,
            reply_hadd=None,
            raw=raw,
            answered=answers.put,
        )
        begun = time.monotonic()
        path = Places.of(f"/buses/{board.section}").node(node)
        if not self._system.tell(path, Requested(request)):
            why = node.reason or "its node is not running"
            return {"data": None, "error": why, "took": 0.0}
        try:
            answer = answers.get(timeout=timeout)
        except Empty:
            raise TemporaryError(f"{path} has not answered within {timeout:g} s") from None
        took = round(time.monotonic() - begun, 6)
        return {"data": list(value.data), "error": answer.get("error"), "took": took}

    def trace(self, path: str, kind: str | None, rate: float, seconds: float) -> Iterator[dict[str, Any] | int | None]:
        """Each message that the actors of a place handle, from now on; see `Taps.trace`."""
        return self._taps.trace(path, kind, rate, seconds)

    def _secrets(self) -> frozenset[str]:
        """The uuids of the values that hold passwords."""
        return frozenset(
            value.uuid
            for board in self._boards()
            for node in board.nodes.values()
            for value in node.values.values()
            if value.type is ValueType.PASSWORD
        )

    def set_levels(self, levels: Mapping[str, int]) -> None:
        """Log what the actors of these places handle, where their level is that of debugging."""
        self._taps.set_levels(levels)
