"""The MQTT topics of the protocol. Source: `protocol.md`, "Topics"."""

from __future__ import annotations

from typing import Final

from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd

BROADCAST_REQUEST: Final = "/broadcast/request"
HEARTBEAT_JSON: Final = "/dhcp/heartbeat/"


def broadcast_reply(reply_hadd: Hadd) -> str:
    """Where answers to a broadcast request go."""
    return f"/broadcast/reply/{reply_hadd}"


def node_request(hadd: Hadd) -> str:
    """Where a node is asked, and a controller about all of its nodes."""
    return f"/nodes/{hadd}/request"


def controller_requests(controller: int) -> str:
    """The subscription that covers the requests to every node of a controller."""
    return f"/nodes/{controller:04d}/+/request"


def node_reply(reply_hadd: Hadd) -> str:
    """Where answers to a request to one node go."""
    return f"/nodes/{reply_hadd}/reply"


def value(genre: Genre, hadd: Hadd, uuid: str) -> str:
    """Where a value is published."""
    return f"/values/{genre.slug}/{hadd}/{uuid}"


def heartbeat(hadd: Hadd) -> str:
    """Where a node beats, in plain text."""
    return f"/dhcp/heartbeat/{hadd}"


def requested_node(topic: str) -> Hadd | None:
    """The node that a `/nodes/<hadd>/request` topic speaks of; None where it is no such topic."""
    if not (topic.startswith("/nodes/") and topic.endswith("/request")):
        return None
    try:
        return Hadd.parse(topic[len("/nodes/") : -len("/request")])
    except ValueError:
        return None
