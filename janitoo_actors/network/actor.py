"""The network actor: the engine, on the dispatcher, with the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import structlog

from janitoo_actors.network.engine import Engine
from janitoo_actors.network.events import Event, NetworkChanged, NodeAdded, NodeStateChanged, PrimariesMet
from janitoo_actors.network.leases.lookups import Leases
from janitoo_actors.network.leases.server import Heard, OtherPrimary, Serve
from janitoo_actors.network.link import Attached
from janitoo_actors.network.messages import (
    BeatHeard,
    Effect,
    Happened,
    ListAsked,
    ListHeard,
    LookedUp,
    OffAir,
    OnAir,
    PrimaryHeard,
    ValueHeard,
)
from janitoo_actors.network.network import Network
from janitoo_actors.network.settings import Settings
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.protocol.resolv import ALL_NODES
from supervisors import LightActor

_WAKE: Final = "wake"
_STATES: Final = frozenset(NodeState)
_TOLD: Final = frozenset({NetworkState.STARTED, NetworkState.STOPPED})
"""The states that are worth a line in the log; those between last for a moment."""


class NetworkActor(LightActor):
    """Keeps the network's map, and says what its role has to say. It blocks for nothing.

    Args:
        settings: what the configuration says.
        network: what it shows; what another incarnation has known is still there.
        leases: gives the leases that a primary keeps, by address.
    """

    def __init__(self, settings: Settings, network: Network, leases: Callable[[], Leases] = dict) -> None:
        super().__init__()
        self._network = network
        self._engine = Engine(settings, network.map, leases)
        self._log = structlog.get_logger().bind(path=self.path)
        self._armed: float | None = None
        self._keeps_leases = settings.primary
        place = self.path.rsplit("/", 1)[0]
        self._link, self._leases = f"{place}/link", f"{place}/leases"

    def on_start(self) -> None:
        """Ask the link whether there is a connection."""
        self.tell_path(self._link, Attached())

    def on_receive(self, message: Any) -> Any:
        """Handle what the link has heard, and the time."""
        now = time.monotonic()
        match message:
            case BeatHeard(beat=beat):
                if beat.node != ALL_NODES:
                    self._tell_state(beat.hadd, beat.state)
                self._do(self._engine.handle(message, now), now)
            case ListHeard() | ValueHeard() | PrimaryHeard() | ListAsked() | LookedUp():
                self._do(self._engine.handle(message, now), now)
            case OnAir() | OffAir():
                self._do(self._engine.handle(message, now), now)
            case _Wake():
                self._armed = None
                self._do(self._engine.wake(now), now)
            case _:
                return super().on_receive(message)
        return None

    def on_stop(self) -> None:
        """The network is stopped, for whoever looks."""
        now = time.monotonic()
        for effect in self._engine.handle(OffAir(), now):
            if isinstance(effect, Happened):
                self._tell(effect.event)

    def _do(self, effects: list[Effect], now: float) -> None:
        for effect in effects:
            if isinstance(effect, Happened):
                self._tell(effect.event)
            else:
                self.tell_path(self._link, effect)
        due = self._engine.next_due()
        if due is not None and (self._armed is None or due < self._armed):
            self._armed = due
            self.timers.once(_WAKE, max(0.0, due - now), _Wake())

    def _tell(self, event: Event) -> None:
        match event:
            case NetworkChanged():
                self._changed(event)
            case NodeAdded(hadd=hadd):
                node = self._network.map.get(hadd)
                if node is not None:
                    self._tell_state(hadd, str(node.info["state"]))
            case NodeStateChanged(hadd=hadd, state=state):
                self._tell_state(hadd, state)
            case PrimariesMet(own=own, other=other, steps_down=steps_down):
                if own != other:
                    self._tell_keeper(OtherPrimary(other))
                if own == other:
                    todo = "they have the same address, so that none can step down: change hadd in one [network]"
                elif steps_down:
                    todo = "this one steps down until the other is gone"
                else:
                    todo = "the other should step down"
                self._log.error(
                    "two_primaries", own=str(own), other=str(other), error=f"there must be one primary only: {todo}"
                )
        self._network.tell(event)

    def _changed(self, event: NetworkChanged) -> None:
        network = self._network
        if event.is_failed and not network.is_failed:
            self._log.warning("primary_lost", error="no primary answers: the map is kept up by broadcast")
        elif network.is_failed and not event.is_failed and event.state is not NetworkState.STOPPED:
            self._log.info("primary_back")
        role = "primary" if event.is_primary else "secondary"
        tell = self._log.info if event.state in _TOLD else self._log.debug
        tell("network_state", state=event.state.value, role=role, nodes=network.nodes_count)
        # Only a primary gives addresses away. Often the same: whoever keeps the leases may have started meanwhile.
        self._tell_keeper(Serve(event.is_primary))

    def _tell_state(self, hadd: Hadd, state: str) -> None:
        """Whoever keeps the leases is told of the states of nodes, as far as they are known words."""
        if self._keeps_leases and state in _STATES:
            self.tell_path(self._leases, Heard(hadd, NodeState(state)))

    def _tell_keeper(self, message: OtherPrimary | Serve) -> None:
        if self._keeps_leases:
            self.tell_path(self._leases, message)


class _Wake:
    """Something is due."""
