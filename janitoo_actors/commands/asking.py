"""The conversations of `jnt_query`: what is asked, which messages are the answers, and when they are complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from janitoo_actors.commands.client import Message, Requester, ToolError
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.codes import CommandClass, Genre
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery
from janitoo_actors.protocol.reading import iter_nodes, iter_values, read_json
from janitoo_actors.protocol.resolv import LookUp, found_nodes

QUIET_TIME: Final = 0.4
"""Seconds without a further answer after which a broadcast is answered. Original servers answer in 1 to 50 ms."""


@dataclass(slots=True)
class Answers:
    """What came.

    Attributes:
        messages: the answers as they were received, in that order.
        contents: their JSON, by list; a list that nobody answered is missing.
        passed_over: how many messages came at the answers' topics that were none.
    """

    messages: list[Message] = field(default_factory=list)
    contents: dict[Discovery, list[Mapping[str, Any]]] = field(default_factory=dict)
    passed_over: int = 0

    def rows(self, what: Discovery) -> list[Mapping[str, Any]]:
        """The nodes or the values of one list, each once, by address, then uuid, then index."""
        items = iter_nodes if what is Discovery.NODES else iter_values
        found = (item for content in self.contents.get(what, ()) for item in items(content.get("data")))
        return in_order(found)

    def errors(self) -> Iterator[str]:
        """The errors that were answered."""
        for contents in self.contents.values():
            yield from (str(each["error"]) for each in contents if each.get("error") is not None)


@dataclass(frozen=True, slots=True)
class ValueQuestion:
    """A value to read or to write. Its payload has the keys and the order of the original's."""

    hadd: Hadd
    uuid: str
    genre: Genre
    cmd_class: int
    data: str | None
    index: int | None
    write: bool
    read: bool

    def payload(self, reply_hadd: Hadd) -> dict[str, Any]:
        """The request."""
        payload: dict[str, Any] = {
            "cmd_class": self.cmd_class,
            "uuid": self.uuid,
            "data": self.data,
            "reply_hadd": str(reply_hadd),
            "genre": int(self.genre),
            "is_writeonly": self.write,
            "is_readonly": self.read,
            "hadd": str(self.hadd),
        }
        if self.index is not None:
            payload["index"] = self.index
        return payload

    def answer_topic(self, reply_hadd: Hadd) -> str:
        """Where the answer will be."""
        if self.genre in {Genre.CONFIG, Genre.SYSTEM}:
            return topics.value(self.genre, self.hadd, self.uuid)
        return topics.node_reply(reply_hadd)


def ask_network(requester: Requester, wanted: Sequence[Discovery], reply_hadd: Hadd, timeout: float) -> Answers:
    """Ask every controller for these lists.

    Blocks until each list has an answer and no further one came for `QUIET_TIME`, or for `timeout` seconds.

    Raises:
        ToolError: where the connection is lost.
    """
    requester.subscribe([topics.broadcast_reply(reply_hadd)], timeout)
    _publish(requester, topics.BROADCAST_REQUEST, wanted, reply_hadd)
    return _gather(requester, wanted, timeout, lambda _content: True, quiet=min(QUIET_TIME, timeout))


def ask_node(
    requester: Requester, hadd: Hadd, wanted: Sequence[Discovery], reply_hadd: Hadd, timeout: float
) -> Answers:
    """Ask one controller for these lists. Blocks until each is answered, or for `timeout` seconds.

    Raises:
        ToolError: where the connection is lost.
    """

    def from_controller(content: Mapping[str, Any]) -> bool:
        # Another requester may use the same reply address at this moment.
        speaks_of = [_address(item.get("hadd")) for item in _items(content)]
        known = [each for each in speaks_of if each is not None]
        return not known or any(each.controller == hadd.controller for each in known)

    requester.subscribe([topics.node_reply(reply_hadd)], timeout)
    _publish(requester, topics.node_request(hadd), wanted, reply_hadd)
    return _gather(requester, wanted, timeout, from_controller, quiet=None)


def ask_value(
    requester: Requester, question: ValueQuestion, reply_hadd: Hadd, timeout: float
) -> tuple[Message, list[Mapping[str, Any]]] | None:
    """Read or write one value. Blocks until the answer came, or for `timeout` seconds.

    Returns:
        The answer as received, and the value's instances in it; None where nobody answered.

    Raises:
        ToolError: where the connection is lost.
    """
    requester.subscribe([question.answer_topic(reply_hadd)], timeout)
    requester.publish(topics.node_request(question.hadd), question.payload(reply_hadd))
    deadline = time.monotonic() + timeout
    while (message := requester.receive(deadline - time.monotonic())) is not None:
        # Polls, and answers to others, come at the same topic.
        values = [each for each in iter_values(_json(message)) if _answers(each, question, reply_hadd)]
        if values:
            return message, in_order(values)
    return None


def ask_primary(
    requester: Requester, lookup: LookUp, timeout: float
) -> tuple[Message, dict[str, Mapping[str, Any]]] | None:
    """Look nodes up. Blocks until the primary has answered, or for `timeout` seconds.

    Returns:
        The answer as received, and its nodes by address; None where nobody answered.

    Raises:
        ToolError: where the connection is lost, or the primary answers that it cannot serve this.
    """
    requester.subscribe([topics.reply(lookup.rep_uuid)], timeout)
    requester.publish(lookup.topic, lookup.payload())
    deadline = time.monotonic() + timeout
    while (message := requester.receive(deadline - time.monotonic())) is not None:
        content = _json(message)
        if isinstance(content, Mapping) and content.get("rep_uuid", lookup.rep_uuid) == lookup.rep_uuid:
            try:
                return message, found_nodes(lookup, content)
            except LookupError as error:
                raise ToolError(f"the primary answers: {error}") from None
    return None


def in_order(items: Iterator[Mapping[str, Any]] | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Nodes or values by address, then uuid, then index; of two reports of the same one, the later."""
    latest = {str([item.get(key) for key in ("hadd", "node_uuid", "uuid", "index")]): item for item in items}
    return sorted(latest.values(), key=_order)


def _publish(requester: Requester, topic: str, wanted: Sequence[Discovery], reply_hadd: Hadd) -> None:
    publish: Callable[[str, Mapping[str, Any]], None] = requester.publish
    for what in wanted:
        publish(
            topic,
            {
                "cmd_class": int(CommandClass.DISCOVERY),
                "genre": int(Genre.SYSTEM),
                "uuid": what.value,
                "reply_hadd": str(reply_hadd),
            },
        )
        publish = requester.publish_more


def _gather(
    requester: Requester,
    wanted: Sequence[Discovery],
    timeout: float,
    accept: Callable[[Mapping[str, Any]], bool],
    *,
    quiet: float | None,
) -> Answers:
    answers = Answers()
    deadline = time.monotonic() + timeout
    while (message := requester.receive(deadline - time.monotonic())) is not None:
        content = _json(message)
        what = _discovery(content, wanted)
        if what is None or not accept(content):
            answers.passed_over += 1
            continue
        answers.messages.append(message)
        answers.contents.setdefault(what, []).append(content)
        if len(answers.contents) == len(wanted):
            if quiet is None:
                break
            deadline = time.monotonic() + quiet
    return answers


def _json(message: Message) -> Any:
    try:
        return read_json(message.payload)
    except ValueError:
        return None


def _discovery(content: object, wanted: Sequence[Discovery]) -> Discovery | None:
    """Which of the lists this is an answer to."""
    if not isinstance(content, Mapping) or not ("data" in content or "error" in content):
        return None
    return next((what for what in wanted if content.get("uuid") == what.value), None)


def _items(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (iter_nodes if content.get("uuid") == Discovery.NODES else iter_values)(content.get("data"))


def _answers(value: Mapping[str, Any], question: ValueQuestion, reply_hadd: Hadd) -> bool:
    return (
        value.get("uuid") == question.uuid
        and _address(value.get("reply_hadd")) == reply_hadd
        and _address(value.get("hadd")) in {None, question.hadd}
    )


def _address(raw: object) -> Hadd | None:
    try:
        return Hadd.parse(raw) if isinstance(raw, str) else None
    except ValueError:
        return None


def _order(item: Mapping[str, Any]) -> tuple[bool, Hadd, str, bool, int, str]:
    hadd, index = _address(item.get("hadd")), item.get("index")
    number = index if isinstance(index, int) else None
    if isinstance(index, str) and index.isascii() and index.isdigit():
        number = int(index[:9])
    # What has no address, or no number, comes last, in the order of its text.
    return (
        hadd is None,
        hadd or Hadd(0, 0),
        str(item.get("uuid")),
        number is None,
        number or 0,
        str([item.get("node_uuid"), item.get("hadd"), index]),
    )
