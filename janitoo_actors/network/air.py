"""From the air to the engine: topics and payloads, read. Pure functions; any thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from janitoo_actors.network.lists import Malformed, read_list
from janitoo_actors.network.messages import BeatHeard, Input, ListAsked, LookedUp, PrimaryHeard, ValueHeard, Via
from janitoo_actors.network.reading import read_value
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import DiscoveryRequest, MalformedRequestError, parse_request
from janitoo_actors.protocol.reading import iter_values, read_json
from janitoo_actors.protocol.resolv import Heartbeat, parse_heartbeat, parse_lookup, parse_state

LOOKUPS: Final = frozenset({topics.LOOKUP_HADD, topics.LOOKUP_NAME, topics.LOOKUP_CLASSES})
"""Where look-ups are asked."""
_LONGEST_STATE: Final = 64


def subscriptions(own: Hadd, *, primary: bool) -> tuple[str, ...]:
    """What a network controller listens to."""
    everybody = (
        topics.HEARTBEATS,
        topics.VALUES,
        topics.RESOLV_HEARTBEAT,
        topics.broadcast_reply(own),
        topics.node_reply(own),
        topics.resolv_reply(own),
        topics.RESOLV_NEWS,
    )
    return (*everybody, topics.RESOLV_REQUEST, *sorted(LOOKUPS)) if primary else everybody


def read_message(topic: str, payload: bytes, own: Hadd, malformed: Malformed) -> Iterator[Input]:
    """What a message says to a network controller; nothing for a topic that is none of its own.

    Args:
        own: its address.
        malformed: called with what is wrong about a part, which is left out.

    Raises:
        MalformedRequestError: where all of it is wrong.
    """
    place = topics.published_value(topic)
    if place is not None:
        yield from _read_value(place[0], place[1], payload, malformed)
        return
    beats = topics.heartbeat_of(topic)
    if beats is not None:
        # In text: who beats is in the topic.
        state = parse_state(payload[:_LONGEST_STATE].decode("utf-8", "replace").strip())
        yield BeatHeard(Heartbeat(beats.controller, beats.node, state))
    elif topic == topics.HEARTBEAT_JSON:
        yield BeatHeard(parse_heartbeat(payload))
    elif topic == topics.RESOLV_HEARTBEAT:
        beat = parse_heartbeat(payload)
        yield PrimaryHeard(beat.hadd, beat.state)
    elif topic == topics.RESOLV_REQUEST:
        request = parse_request(payload)
        if isinstance(request, DiscoveryRequest):
            yield ListAsked(request)
    elif topic in LOOKUPS:
        yield LookedUp(parse_lookup(topic, payload))
    else:
        via = _replies(own).get(topic)
        if via is not None:
            yield from read_list(payload, via, malformed)


def _replies(own: Hadd) -> dict[str, Via]:
    return {
        topics.broadcast_reply(own): Via.BROADCAST,
        topics.node_reply(own): Via.NODE,
        topics.resolv_reply(own): Via.RESOLV,
        topics.RESOLV_NEWS: Via.NEWS,
    }


def _read_value(genre: Genre, hadd: Hadd, payload: bytes, malformed: Malformed) -> Iterator[Input]:
    try:
        raw = read_json(payload)
    except ValueError as error:
        raise MalformedRequestError(f"no JSON: {error}") from None
    values = []
    for each in iter_values(raw):
        if each.get("error") is not None:
            # Somebody has asked for what cannot be: the value is as it was.
            continue
        try:
            value = read_value({**each, "hadd": each.get("hadd") or str(hadd)}, genre)
        except MalformedRequestError as error:
            malformed(error)
            continue
        if value.hadd == hadd:
            values.append(value)
    if values:
        yield ValueHeard(hadd, genre, tuple(values))
    elif not isinstance(raw, dict):
        raise MalformedRequestError("expected a value")
