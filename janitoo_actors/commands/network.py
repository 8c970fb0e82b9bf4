"""`janitoo network`: the live map of the network, from any machine that reaches the broker.

The tool is a secondary for as long as it runs: it asks the primary, or where none answers, everybody.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from janitoo_actors.commands import arguments
from janitoo_actors.commands.tables import Column, ago, printable, render

if TYPE_CHECKING:
    # What needs the MQTT library waits until it is needed: `--help` does without.
    from janitoo_actors.commands.client import Requester
    from janitoo_actors.network.engine import Engine
    from janitoo_actors.network.events import Event
    from janitoo_actors.network.messages import Effect
    from janitoo_actors.network.nodemap import NodeEntry

PATIENCE: Final = 1.0
"""Seconds that a primary has to answer, at most; then everybody is asked."""
_DRAW_EVERY: Final = 1.0
# Those between last for a moment.
_WORTH_A_LINE: Final = frozenset({"BROADCAST_NODES", "RESOLV", "STARTED"})
_CLEAR: Final = "\x1b[H\x1b[2J"
_COLUMNS: Final = (
    Column("hadd", 10),
    Column("state", 8),
    Column("heard", 8),
    Column("values", 6),
    Column("uuid", 20),
    Column("name", 25),
    Column("location", 0),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "what", nargs="?", choices=["leases"], help="leases: the addresses that the primary has given away, not the map"
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on until Ctrl+C: a live table, or a line for each change where piped"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: of all nodes; with --watch, of each change")
    arguments.add_broker_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show the map. Blocks until it is complete, with `--watch` until Ctrl+C; returns the exit code.

    Raises:
        JanitooError: where the broker is not there, or the connection is lost.
    """
    from janitoo_actors.commands.client import open_requester

    if args.what == "leases":
        from janitoo_actors.commands.leases import run as show_leases

        return show_leases(args)
    address = arguments.broker_address(args)
    with open_requester(address) as requester:
        watch = _Watch(requester, args)
        if not watch.build(address.timeout):
            hint = f"is a server running, and on this broker ({address})?"
            print(f"nobody answers within {address.timeout:g} s: {hint}", file=sys.stderr)
            if not args.watch:
                return 1
        watch.show()
        while args.watch:
            watch.go_on()
    return 0


class _Watch:
    """The engine of a secondary, in the thread of the tool."""

    def __init__(self, requester: Requester, args: argparse.Namespace) -> None:
        from janitoo_actors.network.air import read_message, subscriptions
        from janitoo_actors.network.engine import Engine
        from janitoo_actors.network.settings import Settings

        self._requester = requester
        self._args = args
        self._read = read_message
        patience = min(PATIENCE, args.timeout)
        timeouts = {"broadcast_timeout": min(3.0, args.timeout), "first_answer": patience}
        self._engine: Engine = Engine(Settings(False, args.myhadd, **timeouts))
        self._live = args.watch and not args.json and sys.stdout.isatty()
        self._events: list[Event] = []
        self._malformed = 0
        requester.subscribe(subscriptions(args.myhadd, primary=False), args.timeout)

    def build(self, timeout: float) -> bool:
        """Ask until the map is complete; whether there is anybody."""
        from janitoo_actors.network.messages import OnAir
        from janitoo_actors.network.states import NetworkState

        engine = self._engine
        self._do(engine.handle(OnAir(), time.monotonic()))
        deadline = time.monotonic() + timeout

        def done() -> bool:
            if engine.state is NetworkState.STARTED:
                return True
            # Everybody was asked, and nobody has answered.
            return engine.state is NetworkState.HEARTBEAT_DISCOVER and len(engine.map) == 0

        self._pump(done, deadline)
        return len(engine.map) > 0 or engine.state is NetworkState.STARTED

    def go_on(self) -> None:
        """Listen for a moment, and show what has changed."""
        self._pump(lambda: False, time.monotonic() + _DRAW_EVERY)
        events, self._events = self._events, []
        if self._live:
            self.show()
            return
        for event in events:
            line = _line(event, as_json=self._args.json)
            if line is not None:
                sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def show(self) -> None:
        """Print the map as it is."""
        self._events.clear()
        if self._args.json:
            print(json.dumps(self._document(), indent=None if self._args.watch else 2), flush=True)
            return
        lines = "\n".join([self._title(), *render(_COLUMNS, map(self._row, self._nodes()))])
        print(f"{_CLEAR if self._live else ''}{lines}", flush=True)

    def _pump(self, done: Callable[[], bool], deadline: float) -> None:
        from janitoo_actors.protocol.messages import MalformedRequestError

        engine = self._engine
        while not done() and (now := time.monotonic()) < deadline:
            due = engine.next_due()
            message = self._requester.receive(max(0.0, min(deadline, due or deadline) - now))
            now = time.monotonic()
            if message is None:
                self._do(engine.wake(now))
                continue
            try:
                for heard in self._read(message.topic, message.payload, self._args.myhadd, self._complain):
                    self._do(engine.handle(heard, now))
            except MalformedRequestError as error:
                self._complain(error)

    def _complain(self, _error: Exception) -> None:
        # Of the whole network, all sorts of things are heard here; the title says that there were some.
        self._malformed += 1

    def _do(self, effects: list[Effect]) -> None:
        from janitoo_actors.network.messages import Happened, Send

        for effect in effects:
            if isinstance(effect, Send):
                self._requester.publish_more(effect.topic, effect.payload)
            elif isinstance(effect, Happened) and self._args.watch:
                self._events.append(effect.event)

    # -- what is shown -------------------------------------------------------------------------------------------

    def _nodes(self) -> list[NodeEntry]:
        snapshot = self._engine.map.snapshot()
        return [snapshot[hadd] for hadd in sorted(snapshot)]

    def _age(self, node: NodeEntry) -> float | None:
        last = self._engine.ageing.last_heard(node.hadd)
        return None if last is None else max(0.0, time.monotonic() - last)

    def _title(self) -> str:
        how = "no primary answers: by broadcast" if self._engine.is_failed else "from the primary"
        odd = f", {self._malformed} messages that are none" if self._malformed else ""
        return f"{len(self._engine.map)} nodes, {how}{odd}"

    def _row(self, node: NodeEntry) -> list[object]:
        about = (node.info["uuid"], node.info["name"], node.info["location"])
        return [node.hadd, node.state, ago(self._age(node)), sum(1 for _ in node.every_value()), *about]

    def _document(self) -> dict[str, Any]:
        nodes: dict[str, Mapping[str, Any]] = {}
        for node in self._nodes():
            age = self._age(node)
            values = sum(1 for _ in node.every_value())
            nodes[str(node.hadd)] = {**node.info, "age": None if age is None else round(age, 1), "values": values}
        return {"has_primary": not self._engine.is_failed, "nodes": nodes}


def _line(event: Event, *, as_json: bool) -> str | None:
    """A change, on one line; None for one that is not worth it."""
    fields = dict(_described(event))
    if not fields:
        return None
    if as_json:
        return json.dumps({"time": round(time.time(), 3), **fields})
    words = [f"{key}={value}" for key, value in fields.items() if key not in {"event", "hadd"}]
    head = (time.strftime("%H:%M:%S"), fields["event"], fields.get("hadd", ""))
    return printable(" ".join(filter(None, (*map(str, head), *words))))


def _described(event: Event) -> Iterator[tuple[str, Any]]:
    from janitoo_actors.network import events

    match event:
        case events.NodeAdded(hadd=hadd):
            yield from (("event", "node_added"), ("hadd", str(hadd)))
        case events.NodeChanged(hadd=hadd):
            yield from (("event", "node_changed"), ("hadd", str(hadd)))
        case events.NodeStateChanged(hadd=hadd, before=before, state=state):
            yield from (("event", "node_state"), ("hadd", str(hadd)), ("before", before), ("state", state))
        case events.NodeRemoved(hadd=hadd):
            yield from (("event", "node_removed"), ("hadd", str(hadd)))
        case events.ValueChanged(hadd=hadd, uuid=uuid, index=index, data=data):
            yield from (("event", "value"), ("hadd", str(hadd)), ("uuid", uuid), ("index", index), ("data", data))
        case events.NetworkChanged(state=state, is_failed=is_failed) if state.value in _WORTH_A_LINE:
            yield from (("event", "network"), ("state", state.value), ("is_failed", is_failed))
        case _:
            return
