"""The MQTT topics of the protocol. Source: `protocol.md`, "Topics"."""

from __future__ import annotations

from typing import Final

from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.hadd import Hadd

BROADCAST_REQUEST: Final = "/broadcast/request"
HEARTBEAT_JSON: Final = "/dhcp/heartbeat/"
HEARTBEATS: Final = "/dhcp/heartbeat/#"
"""The subscription that covers every heartbeat, in text and in JSON."""
VALUES: Final = "/values/#"
"""The subscription that covers every value."""
RESOLV_REQUEST: Final = "/dhcp/resolv/request/"
RESOLV_NEWS: Final = "/dhcp/resolv/broadcast/"
RESOLV_HEARTBEAT: Final = "/dhcp/resolv/heartbeat"
LEASES: Final = "/dhcp/lease/"
LEASE_REQUESTS: Final = "/dhcp/lease/+"
"""The subscription that covers every request for a lease."""
_REPLY: Final = "/reply/"
REPLIES: Final = f"{_REPLY}+"
"""The subscription of whoever looks something up, or asks for leases with many `rep_uuid`s."""
LOOKUP_HADD: Final = "/dhcp/resolv/hadd"
LOOKUP_NAME: Final = "/dhcp/resolv/name"
LOOKUP_CLASSES: Final = "/dhcp/resolv/cmd_classes"

_VALUE_PARTS: Final = 6


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


def resolv_reply(reply_hadd: Hadd) -> str:
    """Where a primary answers about the whole network."""
    return f"/dhcp/resolv/reply/{reply_hadd}"


def reply(rep_uuid: str) -> str:
    """Where a primary answers a look-up, and requests for leases."""
    return f"{_REPLY}{rep_uuid}"


def reply_uuid(topic: str) -> str | None:
    """The `rep_uuid` of such an answer's topic; None where it is no such topic."""
    return topic.removeprefix(_REPLY) if topic.startswith(_REPLY) else None


def heartbeat_of(topic: str) -> Hadd | None:
    """The node that beats on a topic; None where it is no topic of a heartbeat in plain text."""
    if not topic.startswith(HEARTBEAT_JSON):
        return None
    try:
        return Hadd.parse(topic[len(HEARTBEAT_JSON) :])
    except ValueError:
        return None


def published_value(topic: str) -> tuple[Genre, Hadd, str] | None:
    """The genre, the node and the value of a `/values/<genre>/<hadd>/<uuid>` topic; None where it is no such topic."""
    parts = topic.split("/")
    if len(parts) != _VALUE_PARTS or parts[:2] != ["", "values"]:
        return None
    try:
        return Genre[parts[2].upper()], Hadd.parse(f"{parts[3]}/{parts[4]}"), parts[5]
    except (KeyError, ValueError):
        return None


def requested_node(topic: str) -> Hadd | None:
    """The node that a `/nodes/<hadd>/request` topic speaks of; None where it is no such topic."""
    if not (topic.startswith("/nodes/") and topic.endswith("/request")):
        return None
    try:
        return Hadd.parse(topic[len("/nodes/") : -len("/request")])
    except ValueError:
        return None
