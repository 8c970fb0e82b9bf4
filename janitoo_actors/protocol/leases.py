"""Leases on the wire: requests for addresses, and their answers. Pure functions; any thread.

Source: `protocol.md`, "Leases".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import MalformedRequestError, NodeState, dump, load_object

OK: Final = 200
REFUSED: Final = 400
ANY: Final = -1
"""As `add_ctrl`: a new controller. As `add_node`: all nodes of the controller."""

_UUID: Final = re.compile(r"[^/+#]{1,128}")
_LAST: Final = 9999
_LONGEST_TEXT: Final = 200
_MOST_CLASSES: Final = 256
_MOST_PARAMS: Final = 64

_OF_ENVELOPE: Final = frozenset({"rep_uuid", "msg_status", "msg_error", "primary"})
_OF_LEASE: Final = frozenset({"add_ctrl", "add_node", "name", "location", "cmd_classes", "state", "last_seen"})


class LeaseAction(StrEnum):
    """What is asked for; the last level of the topic."""

    NEW = "new"
    LOCK = "lock"
    REPAIR = "repair"
    RELEASE = "release"
    REMOVE = "remove"


class RefusedRequestError(MalformedRequestError):
    """A request that is wrong, of somebody who can be told so.

    Attributes:
        rep_uuid: where to answer.
    """

    def __init__(self, reason: str, rep_uuid: str) -> None:
        super().__init__(reason, rep_uuid)
        self.rep_uuid = rep_uuid


@dataclass(frozen=True, slots=True)
class Options:
    """What a request says of its node. None for what it does not say.

    Attributes:
        params: all other options. `uuid`, where it is there, says whose the lease is: see `owner`.
    """

    name: str | None = None
    location: str | None = None
    cmd_classes: tuple[int, ...] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """Who asks: the same for all requests of one node, and of no other. Originals do not say it."""
        return _owner(self.params)

    def wire(self) -> dict[str, Any]:
        """As they stand in a request."""
        own = {"name": self.name, "location": self.location}
        classes = {} if self.cmd_classes is None else {"cmd_classes": list(self.cmd_classes)}
        return {**self.params, **{key: each for key, each in own.items() if each is not None}, **classes}


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """One request.

    Attributes:
        rep_uuid: where to answer, and which request this is: a copy of it has the same.
        add_ctrl: a controller's number, or `ANY`.
        add_node: a node's, or `ANY`.
    """

    action: LeaseAction
    rep_uuid: str
    add_ctrl: int
    add_node: int
    options: Options = field(default_factory=Options)

    @property
    def topic(self) -> str:
        """Where it is sent."""
        return f"{topics.LEASES}{self.action.value}"

    def payload(self) -> bytes:
        """What is sent."""
        return dump(
            {
                "rep_uuid": self.rep_uuid,
                "add_ctrl": self.add_ctrl,
                "add_node": self.add_node,
                "options": self.options.wire(),
            }
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """An address, and what is kept of the node that has it. Immutable.

    Attributes:
        last_seen: seconds since 1970, by the clock of the primary.
        params: all else that the node has told.
    """

    hadd: Hadd
    name: str
    location: str
    cmd_classes: tuple[int, ...]
    state: NodeState
    last_seen: float
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """Whose it is, where that has been told; see `Options.owner`."""
        return _owner(self.params)

    def wire(self) -> dict[str, Any]:
        """As it stands in an answer."""
        return {
            **self.params,
            "add_ctrl": self.hadd.controller,
            "add_node": self.hadd.node,
            "name": self.name,
            "location": self.location,
            "cmd_classes": list(self.cmd_classes),
            "state": self.state.value,
            "last_seen": self.last_seen,
        }


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """One answer.

    Attributes:
        data: the lease, or several by their addresses. In a refusal that of who has the address, where that is why, and
            otherwise nothing.
        primary: who answers; originals do not say it.
    """

    rep_uuid: str
    msg_status: int
    msg_error: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    primary: Hadd | None = None

    @property
    def topic(self) -> str:
        """Where it is sent."""
        return topics.reply(self.rep_uuid)

    @property
    def hadd(self) -> Hadd | None:
        """The address that it speaks of; None where it is none."""
        try:
            return Hadd(whole(self.data.get("add_ctrl")), whole(self.data.get("add_node")))
        except ValueError:
            return None

    @property
    def is_ok(self) -> bool:
        """Whether what was asked for is done."""
        return self.msg_status == OK

    def lease(self) -> Lease:
        """The one lease that it tells. Raises ValueError where it tells none."""
        hadd = self.hadd
        if hadd is None:
            raise ValueError("expected a lease in the answer: its add_ctrl and add_node are no address")
        return lease_of(hadd, self.data)

    def leases(self) -> dict[Hadd, Lease]:
        """The leases that it tells by address; what is none is passed over."""
        leases = {}
        for key, raw in self.data.items():
            with contextlib.suppress(ValueError):
                hadd = Hadd.parse(key)
                leases[hadd] = lease_of(hadd, raw)
        return leases

    def wire(self) -> dict[str, Any]:
        """As a JSON object."""
        error = {} if self.msg_error is None else {"msg_error": self.msg_error}
        primary = {} if self.primary is None else {"primary": str(self.primary)}
        return {**self.data, "rep_uuid": self.rep_uuid, "msg_status": self.msg_status, **error, **primary}

    def payload(self) -> bytes:
        """What is sent."""
        return dump(self.wire())


def granted(rep_uuid: str, lease: Lease) -> LeaseAnswer:
    """The answer with one lease."""
    return LeaseAnswer(rep_uuid, OK, data=lease.wire())


def granted_all(rep_uuid: str, leases: Mapping[Hadd, Mapping[str, Any]], **more: Any) -> LeaseAnswer:
    """The answer with any number of leases, as they are on the wire."""
    return LeaseAnswer(rep_uuid, OK, data={**more, **{str(hadd): lease for hadd, lease in leases.items()}})


def refused(rep_uuid: str, error: str, holder: Lease | None = None) -> LeaseAnswer:
    """The answer that says why not, and who has the address, where that is why."""
    return LeaseAnswer(rep_uuid, REFUSED, error, {} if holder is None else holder.wire())


def action_of(topic: str) -> LeaseAction | None:
    """What a topic asks for; None where it is none of the lease requests'."""
    try:
        return LeaseAction(topic.removeprefix(topics.LEASES)) if topic.startswith(topics.LEASES) else None
    except ValueError:
        return None


def parse_lease_request(action: LeaseAction, payload: bytes) -> LeaseRequest:
    """Read a request.

    Raises:
        RefusedRequestError: for a request that is wrong and whose sender can be told.
        MalformedRequestError: for anything else, whatever its bytes.
    """
    raw = load_object(payload)
    rep_uuid = raw.get("rep_uuid")
    if not isinstance(rep_uuid, str) or _UUID.fullmatch(rep_uuid) is None or not rep_uuid.isprintable():
        raise MalformedRequestError("no rep_uuid: there is nowhere to answer")
    try:
        add_ctrl = _number(raw, "add_ctrl")
        # Who asks for a new controller often leaves it out: there is nothing to say.
        add_node = _number(raw, "add_node") if "add_node" in raw or action is not LeaseAction.NEW else ANY
        if add_ctrl == ANY and action is not LeaseAction.NEW:
            raise ValueError(f"add_ctrl = -1: expected the number of a controller to {action.value}")
        return LeaseRequest(action, rep_uuid, add_ctrl, add_node, parse_options(raw.get("options")))
    except ValueError as error:
        raise RefusedRequestError(str(error), rep_uuid) from None


def parse_options(raw: Any) -> Options:
    """Read the options of a request, or a lease as it is on the wire.

    Raises:
        ValueError: says what is wrong.
    """
    if raw is None:
        return Options()
    if not isinstance(raw, Mapping):
        raise ValueError(f"options: expected an object, found {type(raw).__name__}")
    params = {key: each for key, each in raw.items() if key not in _OF_LEASE}
    if len(params) > _MOST_PARAMS:
        raise ValueError(f"options: expected at most {_MOST_PARAMS} besides name, location and cmd_classes")
    for key in params:
        if key in _OF_ENVELOPE or not key or len(key) > _LONGEST_TEXT:
            raise ValueError(f"options: {key[:64]!r} cannot be the name of an option")
    return Options(_text(raw, "name"), _text(raw, "location"), _classes(raw.get("cmd_classes")), params)


def lease_of(hadd: Hadd, raw: Any) -> Lease:
    """Read a lease as it is on the wire. Raises ValueError where it is none."""
    options = parse_options(raw)
    state = raw.get("state")
    last_seen = raw.get("last_seen")
    return Lease(
        hadd,
        options.name or "",
        options.location or "",
        options.cmd_classes or (),
        NodeState(state) if isinstance(state, str) and state in set(NodeState) else NodeState.PENDING,
        # Whoever writes a date here means it for people.
        float(last_seen) if isinstance(last_seen, int | float) else 0.0,
        options.params,
    )


def parse_answer(payload: bytes) -> LeaseAnswer:
    """Read an answer.

    Raises:
        MalformedRequestError: for anything else, whatever its bytes.
    """
    raw = load_object(payload, limit=None)
    rep_uuid = raw.get("rep_uuid")
    if not isinstance(rep_uuid, str):
        raise MalformedRequestError("no rep_uuid in the answer")
    try:
        status = whole(raw.get("msg_status"))
    except ValueError:
        raise MalformedRequestError("msg_status: expected 200 or 400", rep_uuid) from None
    error = raw.get("msg_error")
    data = {key: each for key, each in raw.items() if key not in _OF_ENVELOPE}
    primary = None
    with contextlib.suppress(ValueError):
        primary = Hadd.parse(str(raw.get("primary")))
    return LeaseAnswer(rep_uuid, status, None if error is None else str(error), data, primary)


def whole(raw: Any) -> int:
    """A whole number, as a number or as text. Raises ValueError."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,6}", raw.strip()) is not None:
        return int(raw)
    raise ValueError(f"{str(raw)[:64]!r}: expected a whole number")


def _owner(params: Mapping[str, Any]) -> str | None:
    uuid = params.get("uuid")
    return uuid if isinstance(uuid, str) and uuid else None


def _number(raw: Mapping[str, Any], key: str) -> int:
    try:
        number = whole(raw.get(key))
    except ValueError:
        number = _LAST + 1
    if not ANY <= number <= _LAST:
        raise ValueError(f"{key} = {str(raw.get(key))[:64]!r}: expected a number, 0 to 9999, or -1")
    return number


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    text = raw.get(key)
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT or not text.isprintable():
        raise ValueError(f"{key} = {str(text)[:64]!r}: expected a text of one line, up to {_LONGEST_TEXT} characters")
    return text


def _classes(raw: Any) -> tuple[int, ...] | None:
    if raw is None:
        return None
    # A list with one element may come as that element.
    listed: Sequence[Any] = raw if isinstance(raw, list) else [raw]
    try:
        classes = tuple(dict.fromkeys(whole(each) for each in listed))
    except ValueError as error:
        raise ValueError(f"cmd_classes: {error}") from None
    if len(classes) > _MOST_CLASSES or any(each < 0 for each in classes):
        raise ValueError(f"cmd_classes: expected at most {_MOST_CLASSES} numbers, 0 or more")
    return classes
