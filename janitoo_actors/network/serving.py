"""What a primary says of its map: lists, look-ups, news. Pure: times are given. Source: `protocol.md`, "Topics"."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from janitoo_actors.network.events import Event, NodeAdded, ValueChanged
from janitoo_actors.network.keeping import Keeper
from janitoo_actors.network.leases.lookups import Leases, answer_lookup
from janitoo_actors.network.messages import ListAsked, LookedUp, Send, SendList
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, DiscoveryRequest
from janitoo_actors.protocol.resolv import LookUp, discovery_request

NEWS_DELAY: Final = 0.05
"""Seconds that a primary collects what is new before it tells."""

_LIST_OF: Final = {what.genre: what for what in Discovery}


class Serving:
    """A primary's answers.

    Args:
        leases: gives the leases that it keeps, by address.
        wall: the time of the day, in seconds since 1970, for people on other machines.

    Attributes:
        news_at: when to tell what is new; None where nothing is.
    """

    def __init__(
        self, keeper: Keeper, own: Hadd, leases: Callable[[], Leases] = dict, wall: Callable[[], float] = time.time
    ) -> None:
        self._keeper = keeper
        self._leases = leases
        self._wall = wall
        self._own = own
        self._news: dict[Discovery, set[Hadd]] = {}
        self.news_at: float | None = None

    def answer(self, asked: ListAsked | LookedUp, now: float) -> SendList | Send:
        """The answer to who asks."""
        if isinstance(asked, ListAsked):
            return self._list_for(asked.request, now)
        return self._found(asked.lookup, now)

    def _list_for(self, request: DiscoveryRequest, now: float) -> SendList:
        """The answer to a secondary.

        One of ours sends the digest of the list that it has. It is told which part of how many each chunk is; or, where
        its list is ours, only that.
        """
        theirs = request.raw.get("digest")
        nodes = tuple(self._keeper.map.snapshot().values())
        topic = topics.resolv_reply(request.reply_hadd)
        if not isinstance(theirs, str):
            return SendList(topic, request.raw, request.what, nodes)
        digest = self._keeper.map.digest(request.what)
        if theirs == digest:
            return SendList(topic, request.raw, request.what, (), digest, unchanged=True)
        ages = self._keeper.ages(nodes, now) if request.what is Discovery.NODES else {}
        return SendList(topic, request.raw, request.what, nodes, digest, ages=ages)

    def _found(self, lookup: LookUp, now: float) -> Send:
        """The answer to a look-up."""
        network = self._keeper.map.snapshot()
        nodes = tuple(network.values())
        ages = self._keeper.ages(nodes, now)
        wall = self._wall()
        seen = {node.hadd: {**node.info, "last_seen": round(wall - ages.get(node.hadd, 0.0), 1)} for node in nodes}
        answer = replace(answer_lookup(lookup, self._leases(), seen), primary=self._own)
        return Send(answer.topic, answer.wire())

    def note(self, event: Event, now: float) -> None:
        """Take down what is new to others too."""
        match event:
            case NodeAdded(hadd=hadd):
                what = Discovery.NODES
            case ValueChanged(hadd=hadd, genre=genre, is_new=True):
                what = _LIST_OF[genre]
            case _:
                return
        self._news.setdefault(what, set()).add(hadd)
        if self.news_at is None:
            self.news_at = now + NEWS_DELAY

    def news(self) -> Iterator[SendList]:
        """What has been new since the last time."""
        self.news_at = None
        news, self._news = self._news, {}
        for what in sorted(news, key=list(Discovery).index):
            nodes = tuple(node for node in map(self._keeper.map.get, sorted(news[what])) if node is not None)
            yield SendList(topics.RESOLV_NEWS, discovery_request(what, self._own), what, nodes)

    def clear(self) -> None:
        """There is nobody to tell."""
        self._news.clear()
        self.news_at = None
