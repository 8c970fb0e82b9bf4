"""What network controllers say to each other and to others: heartbeats in JSON, resolv, look-ups. Pure functions.

Source: `protocol.md`, "Topics", "The network" and "Leases" (for the look-ups).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from janitoo_actors.protocol import topics
from janitoo_actors.protocol.codes import CommandClass, Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import OK
from janitoo_actors.protocol.messages import Discovery, MalformedRequestError, load_object

ALL_NODES: Final = -1
"""As the node of a heartbeat: every node of the controller."""

_STATE: Final = re.compile(r"[A-Z_]{1,32}")
_REP_UUID: Final = re.compile(r"[^/+#\x00]{1,128}")
_LARGEST: Final = 9999
_CLASS: Final = re.compile(r"0[xX][0-9a-fA-F]{1,6}|[0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat in JSON: of a node, of all nodes of a controller, or of a primary.

    Attributes:
        node: `ALL_NODES` for every node of the controller.
    """

    controller: int
    node: int
    state: str

    @property
    def hadd(self) -> Hadd:
        """Who beats; the controller where it is all of its nodes."""
        return Hadd(self.controller, max(self.node, 0))

    def payload(self) -> dict[str, Any]:
        """As `/dhcp/heartbeat/` has it, with numbers."""
        return {"add_ctrl": self.controller, "add_node": self.node, "state": self.state}


def primary_heartbeat(hadd: Hadd, state: str) -> dict[str, Any]:
    """As `/dhcp/resolv/heartbeat` has it, with text of four digits."""
    return {"add_ctrl": f"{hadd.controller:04d}", "add_node": f"{hadd.node:04d}", "state": state}


def parse_heartbeat(payload: bytes) -> Heartbeat:
    """Read a heartbeat in JSON; numbers may be text.

    Raises:
        MalformedRequestError: for anything that is none.
    """
    raw = load_object(payload)
    controller = _number(raw.get("add_ctrl"), "add_ctrl", 0)
    node = _number(raw.get("add_node"), "add_node", ALL_NODES)
    return Heartbeat(controller, node, parse_state(raw.get("state")))


def parse_state(raw: object) -> str:
    """The state that a heartbeat says; a word in capitals, be it one that we do not know.

    Raises:
        MalformedRequestError: for anything else.
    """
    if not isinstance(raw, str) or _STATE.fullmatch(raw) is None:
        raise MalformedRequestError(f"state = {str(raw)[:64]!r}: expected a word as ONLINE")
    return raw


def discovery_request(what: Discovery, reply_hadd: Hadd, **more: Any) -> dict[str, Any]:
    """A request for one of the six lists, in the order of the original's keys."""
    return {
        "cmd_class": int(CommandClass.DISCOVERY),
        "genre": int(Genre.SYSTEM),
        "uuid": what.value,
        "reply_hadd": str(reply_hadd),
        **more,
    }


@dataclass(frozen=True, slots=True)
class LookUp:
    """A question to the primary about nodes, answered at `/reply/<rep_uuid>`.

    Attributes:
        hadd: the node of this address; alone.
        name, location: the nodes with this name, at this place; with neither, all.
        cmd_classes: the nodes that have all of these; alone.
    """

    rep_uuid: str
    hadd: Hadd | None = None
    name: str | None = None
    location: str | None = None
    cmd_classes: tuple[int, ...] = ()

    @property
    def topic(self) -> str:
        """Where it is asked."""
        if self.hadd is not None:
            return topics.LOOKUP_HADD
        return topics.LOOKUP_CLASSES if self.cmd_classes else topics.LOOKUP_NAME

    def payload(self) -> dict[str, Any]:
        """What is asked there."""
        payload: dict[str, Any] = {"rep_uuid": self.rep_uuid}
        if self.hadd is not None:
            return payload | {"add_ctrl": self.hadd.controller, "add_node": self.hadd.node}
        if self.cmd_classes:
            return payload | {"cmd_classes": list(self.cmd_classes)}
        wanted = {"name": self.name, "location": self.location}
        return payload | {key: text for key, text in wanted.items() if text is not None}


def parse_lookup(topic: str, payload: bytes) -> LookUp:
    """Read a look-up.

    Raises:
        MalformedRequestError: for anything that is none. Its `sender` is the `rep_uuid`, where that could be read:
            whoever asks can be told.
    """
    raw = load_object(payload)
    rep_uuid = raw.get("rep_uuid")
    if not isinstance(rep_uuid, str) or _REP_UUID.fullmatch(rep_uuid) is None or not rep_uuid.isprintable():
        raise MalformedRequestError("no rep_uuid: there is nowhere to answer")
    try:
        if topic == topics.LOOKUP_HADD:
            return LookUp(rep_uuid, hadd=_address(raw))
        if topic == topics.LOOKUP_CLASSES:
            return LookUp(rep_uuid, cmd_classes=_classes(raw.get("cmd_classes")))
        name, location = (_text(raw, key) for key in ("name", "location"))
        return LookUp(rep_uuid, name=name, location=location)
    except MalformedRequestError as error:
        raise MalformedRequestError(str(error), rep_uuid) from None


def found_nodes(lookup: LookUp, answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The nodes that an answer to a look-up has, by their addresses.

    Raises:
        LookupError: where it says that there is none, or that it cannot be served; with what it says.
    """
    if answer.get("msg_status", OK) != OK:
        raise LookupError(str(answer.get("msg_error") or f"status {answer.get('msg_status')}"))
    if lookup.hadd is not None:
        return {str(lookup.hadd): {"hadd": str(lookup.hadd), **answer}}
    found: dict[str, Mapping[str, Any]] = {}
    for key, node in answer.items():
        try:
            hadd = str(Hadd.parse(key))
        except ValueError:
            continue
        if isinstance(node, Mapping):
            found[hadd] = {"hadd": hadd, **node}
    return found


def _address(raw: Mapping[str, Any]) -> Hadd:
    text = raw.get("hadd")
    if isinstance(text, str):
        try:
            return Hadd.parse(text)
        except ValueError as error:
            raise MalformedRequestError(str(error)) from None
    return Hadd(_number(raw.get("add_ctrl"), "add_ctrl", 0), _number(raw.get("add_node"), "add_node", 0))


def _classes(raw: object) -> tuple[int, ...]:
    each = list(raw) if isinstance(raw, Sequence) and not isinstance(raw, str | bytes) else [raw]
    numbers = [number for number in map(_class, each) if isinstance(number, int) and not isinstance(number, bool)]
    if not numbers or len(numbers) < len(each):
        raise MalformedRequestError(f"cmd_classes = {str(raw)[:64]}: expected a list of numbers")
    return tuple(numbers)


def _class(raw: object) -> object:
    if not isinstance(raw, str) or _CLASS.fullmatch(raw) is None:
        return raw
    return int(raw, 16 if raw[:2].lower() == "0x" else 10)


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    text = raw.get(key)
    if text is not None and not isinstance(text, str):
        raise MalformedRequestError(f"{key} = {str(text)[:64]!r}: expected a text")
    return text


def _number(raw: object, key: str, least: int) -> int:
    number = raw
    if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,4}", raw) is not None:
        number = int(raw)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= _LARGEST:
        raise MalformedRequestError(f"{key} = {str(raw)[:64]!r}: expected a number, {least} to {_LARGEST}")
    return number
