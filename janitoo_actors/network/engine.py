"""What a network controller does: role, state, and what is said to whom. Pure: no clock, no thread, no MQTT.

`handle` and `wake` take what comes and the time, and give what is to be done. Source: `protocol.md`, "The network".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from janitoo_actors.network.ageing import Ageing
from janitoo_actors.network.asking import Everybody, Resolving
from janitoo_actors.network.completing import Completing
from janitoo_actors.network.events import Event, NetworkChanged, PrimariesMet
from janitoo_actors.network.keeping import GONE, LATE, Keeper
from janitoo_actors.network.leases.lookups import Leases
from janitoo_actors.network.messages import (
    BeatHeard,
    Effect,
    Happened,
    Input,
    ListAsked,
    ListHeard,
    LookedUp,
    OffAir,
    OnAir,
    PrimaryHeard,
    Send,
    ValueHeard,
    Via,
)
from janitoo_actors.network.nodemap import NetworkMap
from janitoo_actors.network.primaries import Primaries
from janitoo_actors.network.serving import Serving
from janitoo_actors.network.settings import Settings
from janitoo_actors.network.states import LIST_OF, TABLE, Action, NetworkState, Signal
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, NodeState
from janitoo_actors.protocol.resolv import Heartbeat, discovery_request, primary_heartbeat

REFRESH: Final = 60.0
"""Seconds between two comparisons of a secondary's lists with those of a primary of ours: six small messages."""
BEATS_PER_TIMEOUT: Final = 3
"""How often a primary beats in `resolv_timeout`."""
_AGEING_STEP: Final = 0.1
"""Seconds between two looks at who is late, at least."""

_IN_FORCE: Final = frozenset({NetworkState.HEARTBEAT, NetworkState.DISPATCH, NetworkState.STARTED})


class Engine:
    """One network controller. One thread at a time.

    Attributes:
        map: all nodes. Any thread may take its snapshot.
        state: where it is.
        is_primary: its role now: a primary that has met one with a lower address is a secondary.
        is_failed: a secondary without a primary.
    """

    def __init__(
        self, settings: Settings, network_map: NetworkMap | None = None, leases: Callable[[], Leases] = dict
    ) -> None:
        """Make one, that is stopped.

        Args:
            network_map: what another incarnation has known; empty where it is not given.
            leases: gives the leases that a primary keeps, by address.
        """
        self.settings = settings
        self.map = network_map if network_map is not None else NetworkMap()
        self.ageing = Ageing(least=settings.heartbeat_timeout, limit=settings.heartbeat_count)
        self.state = NetworkState.STOPPED
        self.is_primary = settings.primary
        self.is_failed = False
        self._keeper = Keeper(self.map, self.ageing)
        self._serving = Serving(self._keeper, settings.hadd, leases)
        self._primaries = Primaries(settings.resolv_timeout)
        self._completing = Completing(self.map, settings.request_timeout)
        self._everybody = Everybody(settings.broadcast_timeout)
        self._resolving: Resolving | None = None
        self._discover_until = 0.0
        self._beat_at: float | None = None
        self._refresh_at: float | None = None
        self._aged_at = 0.0
        self._effects: list[Effect] = []

    @property
    def is_secondary(self) -> bool:
        """Whether it is a secondary now."""
        return not self.is_primary

    @property
    def has_map(self) -> bool:
        """Whether its map has been built: a primary that has none yet answers nobody."""
        return self.state in _IN_FORCE

    # -- what comes ----------------------------------------------------------------------------------------------

    def handle(self, message: Input, now: float) -> list[Effect]:
        """Take what has come; what is to be done."""
        if self.state is not NetworkState.STOPPED:
            self._heard(message, now)
        elif isinstance(message, OnAir):
            self._on_air(now)
        return self._done(now)

    def wake(self, now: float) -> list[Effect]:
        """Do what is due; what is to be done."""
        return self._done(now)

    def next_due(self) -> float | None:
        """When `wake` is to be called, unless something comes before; None for never."""
        if self.state is NetworkState.STOPPED:
            return None
        late = self.ageing.next_due()
        dues = [
            self._beat_at,
            self._refresh_at if self.state is NetworkState.STARTED else None,
            self._serving.news_at,
            self._completing.next_due(),
            None if late is None else max(late, self._aged_at + _AGEING_STEP),
            self._primaries.due if not self.is_primary else None,
            self._everybody.next_due(),
            self._resolving.due if self._resolving is not None and self.state is NetworkState.RESOLV else None,
            self._discover_until if self.state is NetworkState.HEARTBEAT_DISCOVER and self._may_start else None,
        ]
        return min((due for due in dues if due is not None), default=None)

    def _heard(self, message: Input, now: float) -> None:
        match message:
            case ListHeard():
                self._list_heard(message, now)
            case ValueHeard():
                self._value_heard(message, now)
            case BeatHeard(beat=beat):
                self._beat_heard(beat, now)
            case PrimaryHeard(hadd=hadd, state=state):
                self._primary_heard(hadd, state, now)
            case ListAsked() | LookedUp():
                if self.is_primary and self.has_map:
                    self._effects.append(self._serving.answer(message, now))
            case OffAir():
                self._signal(Signal.STOP, now)
            case OnAir():
                pass

    def _done(self, now: float) -> list[Effect]:
        if self.state is not NetworkState.STOPPED:
            self._look_at_primary(now)
            self._look(now)
            self._step(now)
            question = self._everybody.question(now)
            if question is not None:
                self._send(topics.BROADCAST_REQUEST, discovery_request(question, self.settings.hadd))
            for controller, what in self._completing.requests(now):
                self._send(topics.node_request(Hadd(controller, 0)), discovery_request(what, self.settings.hadd))
            self._step(now)
            self._age(now)
            self._beat(now)
            self._refresh(now)
            if self._serving.news_at is not None and now >= self._serving.news_at:
                self._effects.extend(self._serving.news())
        effects, self._effects = self._effects, []
        return effects

    # -- the state machine ---------------------------------------------------------------------------------------

    def _signal(self, signal: Signal, now: float) -> None:
        line = TABLE.get((self.state, signal))
        if line is None:
            return
        action, state = line
        before = self._described()
        self.state = state
        self._resolving = None
        if state not in LIST_OF:
            self._everybody.end()
        if signal is not Signal.ANSWERED:
            self.is_failed = signal is Signal.PRIMARY_LOST
            self._beat_at = self._refresh_at = None
            self._completing.forget_looks()
            self._serving.clear()
        if signal is Signal.STOP:
            self._completing.clear()
        elif signal in {Signal.STEP_DOWN, Signal.TAKE_OVER}:
            self.is_primary = signal is Signal.TAKE_OVER
        if self._described() != before:
            self._effects.append(Happened(self._described()))
        match action:
            case Action.ASK_ALL:
                # Who has a map is in no hurry.
                delay = self.settings.spread if signal is Signal.PRIMARY_LOST and len(self.map) > 0 else 0.0
                self._everybody.begin(LIST_OF[state], now, delay)
            case Action.ASK_PRIMARY:
                self._ask_primary(now)
            case Action.COMPLETE:
                self._discover_until = now + self.settings.request_timeout
                self._completing.look_at_all(now)
                self._look(now)
            case Action.WATCH:
                self._aged_at = now
            case Action.BEAT:
                self._beat_at = now if self.is_primary else None
                self._refresh_at = now + REFRESH if self._is_kept_by_primary else None
            case Action.NOTHING:
                pass

    def _described(self) -> NetworkChanged:
        return NetworkChanged(self.state, self.is_primary, self.is_secondary, self.is_failed)

    def _step(self, now: float) -> None:
        """Go on, as far as it goes by itself."""
        while self._is_over(now):
            self._signal(Signal.ANSWERED, now)

    def _is_over(self, now: float) -> bool:
        """Whether the step at hand is over."""
        match self.state:
            case NetworkState.STOPPED | NetworkState.STARTED:
                return False
            case NetworkState.RESOLV:
                return self._resolving_is_over(now)
            case NetworkState.HEARTBEAT_DISCOVER:
                return self._may_start and (self._completing.idle or now >= self._discover_until)
            case NetworkState.HEARTBEAT | NetworkState.DISPATCH:
                return True
        return self._everybody.is_over(now)

    @property
    def _may_start(self) -> bool:
        """A primary's map is the map, be it empty; a secondary without one has asked in vain, and waits for a node."""
        return self.is_primary or not self.is_failed or len(self.map) > 0

    def _resolving_is_over(self, now: float) -> bool:
        resolving = self._resolving
        if resolving is None:
            return True
        if resolving.complete:
            lost = resolving.differing(self.map.digest)
        elif now < resolving.due:
            return False
        elif not resolving.answered:
            self._signal(Signal.PRIMARY_LOST, now)
            return False
        else:
            # An original answers for some lists only.
            lost = resolving.missing if resolving.of_ours else []
        if not lost or not resolving.again(lost, now):
            return True
        self._ask_lists(lost, now)
        return False

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask_primary(self, now: float) -> None:
        patience = self.settings.first_answer or self.settings.resolv_timeout
        self._resolving = Resolving(now, patience, self.settings.request_timeout)
        self._ask_lists(Discovery, now)

    def _ask_lists(self, lists: Iterable[Discovery], now: float) -> None:
        """Ask the primary."""
        for what in lists:
            request = discovery_request(what, self.settings.hadd, digest=self.map.digest(what))
            self._send(topics.RESOLV_REQUEST, request)
        self._primaries.asked(now)

    @property
    def _is_kept_by_primary(self) -> bool:
        """Whether a primary of ours keeps the map complete for this one."""
        return not self.is_primary and not self.is_failed and self._primaries.of_ours

    def _look(self, now: float) -> None:
        """Ask single controllers for what is missing, unless a primary has it."""
        if self._is_kept_by_primary or self.state is NetworkState.RESOLV:
            self._completing.forget_looks()
        elif self._completing.look(now, building=self.state in LIST_OF):
            self._discover_until = now + self.settings.request_timeout

    def _unknown(self, hadd: Hadd, now: float) -> None:
        """Somebody is there who is not on the map."""
        if self.is_primary or self.is_failed:
            self._completing.heard_of(hadd, now)
            # It may have come after the question: nobody need be waited for until the timeout.
            self._everybody.somebody(now)

    # -- lists and heartbeats ------------------------------------------------------------------------------------

    def _list_heard(self, reply: ListHeard, now: float) -> None:
        if reply.via in {Via.RESOLV, Via.NEWS} and self.is_primary:
            return
        if reply.via is Via.RESOLV:
            self._primaries.answered(now, of_ours=reply.chunk is not None)
            if self.is_failed:
                self._signal(Signal.PRIMARY_BACK, now)
        self._tell(self._keeper.take_list(reply, now), now)
        if reply.via is Via.BROADCAST:
            self._everybody.heard(reply, now)
        elif reply.via is Via.NODE and reply.last:
            self._completing.answered(now)
        elif reply.via is Via.RESOLV and self._resolving is not None:
            seen = self._resolving.heard(reply, now)
            if seen is not None:
                self._tell(self._keeper.keep_resolved(reply.what, seen, now), now)
        for controller in {hadd.controller for hadd in reply.complete or () if hadd in self.map}:
            self._completing.look_soon(controller, now)

    def _value_heard(self, heard: ValueHeard, now: float) -> None:
        if heard.hadd in self.map:
            self._tell(self._keeper.take_value(heard, now), now)
        else:
            self._unknown(heard.hadd, now)

    def _beat_heard(self, beat: Heartbeat, now: float) -> None:
        if self.is_primary and beat.state in LATE:
            # That is for it to say; it hears itself.
            return
        nodes = self._keeper.nodes_of(beat)
        if not nodes and beat.state not in GONE:
            self._unknown(beat.hadd, now)
        for node in nodes:
            self._tell(self._keeper.take_state(node, beat.state, now), now)
            is_back = node.state in GONE and beat.state not in GONE
            if is_back and not self._is_kept_by_primary:
                self._completing.came_back(node.hadd, now)

    def _age(self, now: float) -> None:
        if now < self._aged_at + _AGEING_STEP:
            return
        self._aged_at = now
        for hadd, state, events in self._keeper.grow_old(now):
            self._tell(events, now)
            if self.is_primary and self.settings.dispatch and self.has_map:
                self._send(topics.HEARTBEAT_JSON, Heartbeat(hadd.controller, hadd.node, state.value).payload())

    # -- primaries -----------------------------------------------------------------------------------------------

    def _on_air(self, now: float) -> None:
        for node in self.map.snapshot().values():
            self.ageing.told(node.hadd, now, node.state, node.heartbeat)
        # Nobody could be heard.
        self.ageing.excuse(now)
        self._primaries.forget(now)
        self.is_primary = self.settings.primary
        self._signal(Signal.START_PRIMARY if self.is_primary else Signal.START_SECONDARY, now)

    def _primary_heard(self, hadd: Hadd, state: str, now: float) -> None:
        primaries = self._primaries
        if hadd == self.settings.hadd:
            if self.is_primary and state != NodeState.OFFLINE and primaries.is_doubled(now):
                self._meet(hadd, now)
            return
        if state == NodeState.OFFLINE:
            primaries.gone(hadd)
            return
        if self.is_primary:
            steps_down = hadd < self.settings.hadd
            self._meet(hadd, now)
            if steps_down and primaries.beats(hadd, now):
                self._signal(Signal.STEP_DOWN, now)
            return
        before = primaries.current
        if not primaries.beats(hadd, now):
            return
        if self.is_failed:
            if primaries.may_ask(now):
                # It is back when it answers: some beat though they do not.
                self._ask_lists([Discovery.NODES], now)
        elif self.state is NetworkState.RESOLV:
            if before is not None and before != hadd:
                # Another one than that which is asked.
                self._ask_primary(now)
            elif self._resolving is not None and not self._resolving.answered and primaries.may_ask(now):
                self._ask_lists(Discovery, now)
        elif before is not None and before != hadd:
            self._signal(Signal.PRIMARY_BACK, now)

    def _meet(self, other: Hadd, now: float) -> None:
        if self._primaries.meet(other, now):
            own = self.settings.hadd
            self._effects.append(Happened(PrimariesMet(own, other, steps_down=other < own)))

    def _look_at_primary(self, now: float) -> None:
        """Whether the primary that this one depends on is gone."""
        if self.is_primary or self._primaries.is_there(now):
            return
        if self.settings.primary:
            self._signal(Signal.TAKE_OVER, now)
        elif not self.is_failed and (self.state is not NetworkState.RESOLV or self._primaries.said_goodbye):
            # Asking has an end of its own; but where the primary says that it goes, there is nothing to wait for.
            self._signal(Signal.PRIMARY_LOST, now)

    def _beat(self, now: float) -> None:
        if self._beat_at is not None and now >= self._beat_at:
            period = self.settings.resolv_timeout / BEATS_PER_TIMEOUT
            self._beat_at = max(self._beat_at + period, now)
            self._send(topics.RESOLV_HEARTBEAT, primary_heartbeat(self.settings.hadd, NodeState.ONLINE))
            self._primaries.beaten()

    def _refresh(self, now: float) -> None:
        if self._refresh_at is not None and now >= self._refresh_at and self.state is NetworkState.STARTED:
            self._refresh_at = now + REFRESH
            self._resolving = Resolving(now, REFRESH, REFRESH)
            self._ask_lists(Discovery, now)

    # -- out -----------------------------------------------------------------------------------------------------

    def _tell(self, events: Iterable[Event], now: float) -> None:
        is_news = self.is_primary and self.state is NetworkState.STARTED
        for event in events:
            self._effects.append(Happened(event))
            if is_news:
                self._serving.note(event, now)

    def _send(self, topic: str, payload: Mapping[str, Any]) -> None:
        self._effects.append(Send(topic, payload))
