"""The six lists on the wire: made of the map, in chunks; and read, in pieces. Pure functions; any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from janitoo_actors.network.messages import Chunk, ListHeard, SendList, Via
from janitoo_actors.network.nodemap import NodeEntry
from janitoo_actors.network.reading import NodeRead, ValueRead, read_node, read_value
from janitoo_actors.protocol.codes import CommandClass
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import Discovery, MalformedRequestError
from janitoo_actors.protocol.reading import iter_nodes, iter_values, read_json

NODES_PER_CHUNK: Final = 10
"""How many nodes a reply of a primary has at most. Source: `protocol.md`, "Topics"."""
PIECE: Final = 200
"""How many nodes or values of a long reply are taken in at a time."""

_OLDEST: Final = 1e9

T = TypeVar("T")
Malformed = Callable[[MalformedRequestError], None]


def payloads(sent: SendList) -> Iterator[dict[str, Any]]:
    """The payloads of a list that is sent; one without data where there is nothing to say."""
    nodes = [node for node in sent.nodes if sent.what is Discovery.NODES or node.of_genre(_genre(sent.what))]
    chunks = [nodes[at : at + NODES_PER_CHUNK] for at in range(0, len(nodes), NODES_PER_CHUNK)] or [[]]
    for number, chunk in enumerate(chunks):
        payload = {**sent.head, "data": {str(node.hadd): _data(node, sent) for node in chunk}}
        if sent.digest is not None:
            payload |= {"chunk": number, "chunks": 0 if sent.unchanged else len(chunks), "digest": sent.digest}
        yield payload


def _data(node: NodeEntry, sent: SendList) -> dict[str, Any]:
    if sent.what is Discovery.NODES:
        age = {"age": round(sent.ages[node.hadd], 1)} if node.hadd in sent.ages else {}
        return {**node.info, **age}
    values = node.of_genre(_genre(sent.what))
    return {uuid: _level(instances, sent.what) for uuid, instances in values.items()}


def _level(instances: Mapping[int, Mapping[str, Any]], what: Discovery) -> dict[str, Any]:
    """The instances of a value: with a level for the index, but for the one of a system value or a command."""
    if not what.indexed and list(instances) == [0]:
        return dict(instances[0])
    return {str(index): dict(value) for index, value in instances.items()}


def _genre(what: Discovery) -> Any:
    return what.genre


def read_list(payload: bytes, via: Via, malformed: Malformed) -> Iterator[ListHeard]:
    """Read a reply, in pieces.

    Args:
        malformed: called with what is wrong about single nodes and values, which are left out.

    Raises:
        MalformedRequestError: where it is no reply at all.
    """
    try:
        raw = read_json(payload)
    except ValueError as error:
        raise MalformedRequestError(f"no JSON: {error}") from None
    if not isinstance(raw, Mapping) or str(raw.get("uuid")) not in set(Discovery) or "data" not in raw:
        raise MalformedRequestError("expected a reply to one of the six discovery requests")
    if raw.get("cmd_class") != CommandClass.DISCOVERY:
        raise MalformedRequestError(f"cmd_class = {str(raw.get('cmd_class'))[:64]}: expected {CommandClass.DISCOVERY}")
    yield from _pieces(Discovery(raw["uuid"]), raw["data"], _chunk(raw), via, malformed)


def _pieces(what: Discovery, data: object, chunk: Chunk | None, via: Via, malformed: Malformed) -> Iterator[ListHeard]:
    if not isinstance(data, Mapping):
        raise MalformedRequestError(f"data: expected an object, found {type(data).__name__}")
    if what is Discovery.NODES:
        ages = {}
        nodes: list[NodeRead] = []
        for node in _read(iter_nodes(data), read_node, malformed):
            age = node.info.get("age")
            if chunk is not None and isinstance(age, int | float) and 0 <= age <= _OLDEST:
                ages[node.hadd] = float(age)
                nodes.append(NodeRead(node.hadd, {key: each for key, each in node.info.items() if key != "age"}))
            else:
                nodes.append(node)
        # One object alone may be one of several.
        complete = None if isinstance(data.get("hadd"), str) else {node.hadd: frozenset[Any]() for node in nodes}
        for part, last in _parts(nodes):
            yield ListHeard(
                via, what, nodes=part, last=last, complete=complete if last else None, chunk=chunk, ages=ages
            )
        return
    genre = _genre(what)
    values: list[ValueRead] = list(_read(iter_values(data), lambda raw: read_value(raw, genre), malformed))
    there: dict[Hadd, set[tuple[str, int]]] = {}
    for value in values:
        there.setdefault(value.hadd, set()).add((value.uuid, value.index))
    all_of = {hadd: frozenset(each) for hadd, each in there.items()}
    for some, last in _parts(values):
        yield ListHeard(via, what, values=some, last=last, complete=all_of if last else None, chunk=chunk)


def _read(
    raws: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], T], malformed: Malformed
) -> Iterator[T]:
    for raw in raws:
        try:
            yield read(raw)
        except MalformedRequestError as error:
            malformed(error)


def _parts(items: Sequence[T]) -> Iterator[tuple[tuple[T, ...], bool]]:
    """Parts of at most `PIECE`, at least one, and whether each is the last."""
    for at in range(0, max(1, len(items)), PIECE):
        yield tuple(items[at : at + PIECE]), at + PIECE >= len(items)


def _chunk(raw: Mapping[str, Any]) -> Chunk | None:
    number, total, digest = (raw.get(key) for key in ("chunk", "chunks", "digest"))
    if isinstance(number, int) and isinstance(total, int) and isinstance(digest, str) and 0 <= number < max(1, total):
        return Chunk(number, total, digest)
    return None
