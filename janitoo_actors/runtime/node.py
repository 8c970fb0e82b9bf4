"""A node: answers reads and writes of its values, and knows its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from janitoo_actors.api.options import HIDDEN
from janitoo_actors.errors import said
from janitoo_actors.protocol.codes import ValueType
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import NodeState, ValueRequest
from janitoo_actors.runtime.answers import answer, refusal, success
from janitoo_actors.runtime.board import Board, Node
from janitoo_actors.runtime.messages import (
    AskedHere,
    Configure,
    NodeChanged,
    PollEvery,
    PollNow,
    Read,
    Reading,
    Requested,
    ValueHealth,
    Write,
    Written,
)
from janitoo_actors.runtime.poller import Places
from janitoo_actors.runtime.values import NodeValue, Role
from supervisors import LightActor

_MOST_SHOWN: Final = 80
"""How many characters of somebody's data stand in an error."""
_MOST_WAITING: Final = 100
"""How many requests to one node may wait for its bus; more are refused at once."""


@dataclass(slots=True)
class _Asked:
    """A request that the bus has not answered.

    Attributes:
        late: whether the requester has been told that it takes too long. What the bus tells then still counts.
    """

    request: ValueRequest
    value: NodeValue
    late: bool = False


@dataclass(frozen=True, slots=True)
class _Late:
    """The bus has not answered in time."""

    token: int


class NodeActor(LightActor):
    """The actor of one node.

    What it knows it answers itself; what is the driver's or the file's it passes to the bus, and answers when told.
    """

    def __init__(self, places: Places, board: Board, node: Node, *, read_timeout: float) -> None:
        super().__init__()
        self._places = places
        self._board = board
        self._node = node
        self._read_timeout = read_timeout
        self._log = structlog.get_logger().bind(path=self.path, bus=board.section, hadd=str(node.hadd))
        self._asked: dict[int, _Asked] = {}
        # The state that the link knows, and why.
        self._told: tuple[NodeState, str] | None = None
        self._tokens = 0
        # What each polled value's poller has told; None for those that have not been read yet.
        self._health: dict[str, str | None] = {}
        self._unread = {
            value.uuid
            for value in node.values.values()
            if value.role is Role.DRIVER and value.declared is not None and value.declared.is_polled
        }

    def on_start(self) -> None:
        """A node without pollers works as soon as its bus does; one whose pollers run already, as they do."""
        for uuid in list(self._unread):
            value = self._node.values[uuid]
            if self.system.lookup(self._places.poller(self._node, uuid)) is None:
                # It starts after its node, and tells.
                continue
            if value.polls.at and not value.suspended:
                self._health[uuid] = value.polls.error
                self._unread.discard(uuid)
            elif value.suspended or not value.poll_delay:
                self._unread.discard(uuid)
        self._update_state()

    def on_stop(self) -> None:
        """Answer those who wait: nobody else will."""
        for token in list(self._asked):
            self._answer(token, "the bus is stopping or being restarted")

    def on_receive(self, message: Any) -> Any:
        """Handle requests, the bus's answers to them, and what pollers tell."""
        match message:
            case Requested(request=request):
                self._requested(request)
            case Written():
                self._written(message)
            case Reading(token=token, data=data, error=error):
                self._read(token, data, error)
            case ValueHealth():
                self._value_health(message)
            case _Late(token=token):
                self._too_late(token)
            case _:
                return super().on_receive(message)
        return None

    # -- requests ------------------------------------------------------------------------------------------------

    def _requested(self, request: ValueRequest) -> None:
        value = self._node.values.get(request.uuid)
        problem = self._problem(request, value)
        if value is None or problem is not None:
            self._reply(refusal(request, problem or "", value), request)
        elif request.write:
            self._write(request, value)
        elif value.is_readable:
            token = self._expect(request, value)
            self._tell_bus(Read(self._node.hadd, value.uuid, len(value.data), token, self.actor_ref), token)
        else:
            self._reply(success(request, value), request)

    def _problem(self, request: ValueRequest, value: NodeValue | None) -> str | None:
        """Why a request cannot be served; None where it can."""
        if value is None:
            return f"{self._node.hadd} has no value {request.uuid!r}"
        if request.genre is not value.genre:
            return f"{value.uuid} is a {value.genre.slug} value: expected genre {int(value.genre)}"
        if request.cmd_class != value.cmd_class:
            return f"{value.uuid} is of class {value.cmd_class}: expected cmd_class {value.cmd_class}"
        if request.index >= len(value.data):
            return f"{value.uuid} has {len(value.data)} instances: expected an index below that"
        if request.write and not value.is_writable:
            return f"{value.uuid} is read-only"
        return None

    def _write(self, request: ValueRequest, value: NodeValue) -> None:
        try:
            data = value.coerced(request.data)
            if value.role is Role.ADDRESS:
                self._check_address(Hadd.parse(data))
        except Exception as error:  # noqa: BLE001 - the check may be the driver's, and a bug there is this write's
            why = str(error) if isinstance(error, ValueError) else said(error)
            shown = HIDDEN if value.type is ValueType.PASSWORD else _shown(request.data)
            self._reply(refusal(request, f"{value.uuid} = {shown}: {why}", value), request)
            return
        token = self._expect(request, value)
        command = Write if value.is_driver else Configure
        self._tell_bus(command(self._node.hadd, value.uuid, request.index, data, token, self.actor_ref), token)

    def _check_address(self, hadd: Hadd) -> None:
        """Refuse an address with which the bus would not start again."""
        if hadd == self._node.hadd:
            return
        if self._node.hadd.is_controller:
            raise ValueError("expected no change: the controller's address changes in the file, with its nodes'")
        if hadd.controller != self._board.controller or hadd.is_controller:
            raise ValueError(f"expected {self._board.controller:04d}/0001 to {self._board.controller:04d}/9999")
        if self._board.taken(hadd, self._node):
            raise ValueError("expected an address that is free")

    def _expect(self, request: ValueRequest, value: NodeValue) -> int:
        self._tokens += 1
        self._asked[self._tokens] = _Asked(request, value)
        self.timers.once(("late", self._tokens), self._read_timeout, _Late(self._tokens))
        return self._tokens

    def _tell_bus(self, command: Read | Write | Configure, token: int) -> None:
        if len(self._asked) > _MOST_WAITING:
            self._answer(token, f"{_MOST_WAITING} requests wait for the bus already")
        elif not self.tell_path(self._places.bus, command):
            self._answer(token, "the bus is not running")

    def _written(self, written: Written) -> None:
        asked = self._asked.get(written.token)
        if asked is None:
            return
        if written.error is None:
            index, value = asked.request.index, asked.value
            value.data = [written.data if number == index else old for number, old in enumerate(value.data)]
            value.is_known = True
            self._changed(value, written)
            self._log.info("value_written", value=value.uuid, index=index)
        self._answer(written.token, written.error)

    def _changed(self, value: NodeValue, written: Written) -> None:
        """Put a change into effect."""
        match value.role:
            case Role.POLL:
                source = self._node.values[value.source]
                source.poll_delay = value.data[0]
                self._tell_poller(source, PollEvery(float(value.data[0])))
            case Role.INSTANCE:
                self._configured(written.instances)
            case Role.HEARTBEAT:
                self._tell_state()
            case _:
                pass

    def _configured(self, instances: Mapping[str, tuple[str, ...]]) -> None:
        """Take over the configurations of instances, of values that follow the written one too."""
        for uuid, texts in instances.items():
            source = self._node.values[uuid]
            if source.configs != texts:
                source.configs = texts
                self._node.values[f"{uuid}_config"].data = list(texts)
                self._tell_poller(source, PollNow())

    def _read(self, token: int, data: tuple[Any, ...], error: str | None) -> None:
        asked = self._asked.get(token)
        if asked is None:
            return
        asked.value.data = list(data)
        asked.value.is_known = True
        # All instances are read together; only the one that was asked for counts for the answer.
        self._answer(token, error if data[asked.request.index] is None else None)

    def _too_late(self, token: int) -> None:
        asked = self._asked.get(token)
        if asked is not None:
            asked.late = True
            why = f"the bus has not answered within {self._read_timeout:g} s"
            self._reply(refusal(asked.request, why, asked.value), asked.request)

    def _answer(self, token: int, error: str | None) -> None:
        asked = self._asked.pop(token, None)
        self.timers.cancel(("late", token))
        if asked is None or asked.late:
            return
        if error is None:
            self._reply(success(asked.request, asked.value), asked.request)
        else:
            self._reply(refusal(asked.request, error, asked.value), asked.request)

    def _reply(self, payload: dict[str, Any], request: ValueRequest) -> None:
        if isinstance(request, AskedHere):
            request.answered(payload)
        for publication in answer(payload, request, self._node.hadd):
            self.tell_path(self._places.link, publication)

    def _tell_poller(self, source: NodeValue, message: PollEvery | PollNow) -> None:
        self.tell_path(self._places.poller(self._node, source.uuid), message)

    # -- state ---------------------------------------------------------------------------------------------------

    def _value_health(self, health: ValueHealth) -> None:
        self._unread.discard(health.uuid)
        if health.polled:
            self._health[health.uuid] = health.error
        else:
            self._health.pop(health.uuid, None)
        self._update_state()

    def _update_state(self) -> None:
        errors = {uuid: error for uuid, error in self._health.items() if error is not None}
        if errors:
            state = NodeState.OFFLINE
        elif self._health or not self._unread:
            state = NodeState.ONLINE
        else:
            state = NodeState.BOOT
        reason = _reason(errors)
        if (state, reason) == self._told:
            return
        before = self._told[0] if self._told is not None else None
        self._told = (state, reason)
        self._tell_state()
        if state is before:
            return
        if state is NodeState.OFFLINE:
            self._log.warning("node_offline", reason=reason)
        else:
            self._log.info(f"node_{state.lower()}")

    def _tell_state(self) -> None:
        if self._told is not None:
            self.tell_path(self._places.link, NodeChanged(self._node.hadd, *self._told))


def _reason(errors: Mapping[str, str]) -> str:
    """What fails and why. Said once where it is the same for several values, as when their device is gone."""
    values: dict[str, list[str]] = {}
    for uuid, error in errors.items():
        values.setdefault(error, []).append(uuid)
    return "; ".join(f"{', '.join(uuids)}: {error}" for error, uuids in values.items())


def _shown(data: Any) -> str:
    """Somebody's data in a message: not too much of it."""
    text = repr(data)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
