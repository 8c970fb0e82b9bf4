"""Which controllers are asked directly, because something of them is not known. Pure: times are given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from janitoo_actors.network.asking import Direct
from janitoo_actors.network.keeping import GONE
from janitoo_actors.network.nodemap import NetworkMap
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery

CHECK_DELAY: Final = 0.05
"""Seconds that what a moment brings is collected before a look at what is missing."""


class Completing:
    """The controllers to look at, and what is asked of them.

    Args:
        timeout: seconds that an answer may take, `request_timeout`.
    """

    def __init__(self, network_map: NetworkMap, timeout: float) -> None:
        self._map = network_map
        self._direct = Direct(timeout)
        self._looks: dict[int, float] = {}
        self._unknown: dict[int, set[Hadd]] = {}
        self._back: set[int] = set()

    @property
    def idle(self) -> bool:
        """Whether all that was asked is answered."""
        return self._direct.idle

    def look_soon(self, controller: int, now: float, delay: float = CHECK_DELAY) -> None:
        """Look whether all is known of a controller, but not before it may be asked again."""
        may_ask = self._direct.may_ask(controller)
        due = now + delay if may_ask is None else max(now + delay, may_ask)
        self._looks[controller] = min(self._looks.get(controller, due), due)

    def heard_of(self, hadd: Hadd, now: float) -> None:
        """A node is heard of that is not on the map."""
        self._unknown.setdefault(hadd.controller, set()).add(hadd)
        self.look_soon(hadd.controller, now)

    def came_back(self, hadd: Hadd, now: float) -> None:
        """A node is there again. Where it is a controller, it may have another configuration now."""
        if hadd.is_controller:
            self._back.add(hadd.controller)
        self.look_soon(hadd.controller, now)

    def look_at_all(self, now: float) -> None:
        """Look at every controller on the map."""
        for controller in self._map.controllers:
            self.look_soon(controller, now, 0.0)

    def _ask(self, controller: int, now: float) -> None:
        self._direct.ask(controller, Discovery, now)

    def look(self, now: float, *, building: bool) -> bool:
        """Ask those that are due and of whom something is missing; whether one is not on the map at all.

        Args:
            building: whether everybody is being asked anyhow; then only for those who have come too late for that.
        """
        is_new = False
        for controller in [each for each, due in self._looks.items() if due <= now]:
            del self._looks[controller]
            nodes = self._map.of_controller(controller)
            unknown = self._unknown.pop(controller, set())
            is_back = controller in self._back and not building
            self._back.discard(controller)
            if not nodes or is_back or any(hadd not in self._map for hadd in unknown):
                # Should that be in vain, then when it is heard of again.
                self._ask(controller, now)
                is_new = True
            elif building:
                continue
            elif not any(node.has_gaps() for node in nodes):
                self._direct.settled(controller)
            elif any(node.state not in GONE for node in nodes):
                self._ask(controller, now)
                self.look_soon(controller, now)
        return is_new

    def answered(self, now: float) -> None:
        """One answer has come."""
        self._direct.answered(now)

    def requests(self, now: float) -> Iterator[tuple[int, Discovery]]:
        """The requests to send now: controller and list."""
        yield from self._direct.due_requests(now)

    def next_due(self) -> float | None:
        """When there is something to do; None for never."""
        dues = (self._direct.next_due(), min(self._looks.values(), default=None))
        return min((due for due in dues if due is not None), default=None)

    def forget_looks(self) -> None:
        """Look at nobody any more."""
        self._looks.clear()
        self._unknown.clear()
        self._back.clear()

    def clear(self) -> None:
        """Nothing is asked any more."""
        self.forget_looks()
        self._direct.clear()
