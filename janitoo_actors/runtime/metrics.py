"""The figures of a server in Prometheus' text format. `docs/metrics.md` lists them.

This module needs `prometheus_client`: it is imported only where `metrics_port` is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import psutil
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from janitoo_actors import __version__
from janitoo_actors.network.states import NetworkState
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.figures import Branch, Totals, ask_processes, branch
from janitoo_actors.runtime.history import History
from janitoo_actors.runtime.inside import Inside
from supervisors import ActorInfo, ChildState

if TYPE_CHECKING:
    from janitoo_actors.network.network import Network

PROCESS_PATIENCE: Final = 1.0
"""Seconds that the processes of buses have to tell their figures."""
_BUSES: Final = "buses"
_NETWORK: Final = "network"
"""As the label `bus` of the connection of the network: its section."""
_STATES: Final = frozenset(state.value for state in NodeState)
_OF_SERVER: Final = ""
"""As the label `bus` of what is of no bus; for Prometheus, an empty label is none."""


class Source(Protocol):
    """What the figures are of: a server."""

    @property
    def boards(self) -> Sequence[Board]:
        """What its buses show."""

    @property
    def inside(self) -> Inside:
        """Its process."""

    @property
    def service(self) -> str:
        """Its name."""

    @property
    def waiting(self) -> Sequence[str]:
        """The sections of its buses that wait for an address."""

    @property
    def history(self) -> History:
        """What has gone wrong."""

    @property
    def network(self) -> Network | None:
        """What it knows of the network; None where it has no role there."""

    def snapshot(self) -> ActorInfo | None:
        """Its tree."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one scrape sees.

    Attributes:
        tree: None where it has ended.
        local: the figures of this process.
        network: None where the server has no role there.
        processes: those of the processes of buses, by section; without those that do not answer.
    """

    boards: Sequence[Board]
    tree: Branch | None
    local: Mapping[str, Any]
    network: Network | None
    processes: Mapping[str, Mapping[str, Any]]

    @property
    def everybody(self) -> Mapping[str, Mapping[str, Any]]:
        """The figures of each process; this one's are of no bus."""
        return {_OF_SERVER: self.local, **self.processes}

    def of(self, board: Board) -> Mapping[str, Any] | None:
        """The figures of the process that a bus runs in; None where it does not answer."""
        return self.local if board.remote is None else self.processes.get(board.section)

    def trees(self) -> Iterator[tuple[str, Branch]]:
        """The part of the tree of each bus; what is of none, as one with its own figures only."""
        if self.tree is None:
            return
        buses: Sequence[Branch] = ()
        for child in self.tree.below:
            if child.info.path.strip("/") == _BUSES:
                buses = child.below
        for bus in buses:
            yield _section(bus.info), bus

    def of_no_bus(self) -> Iterator[ActorInfo]:
        """The actors that are of no bus."""
        if self.tree is None:
            return
        yield self.tree.info
        for child in self.tree.below:
            yield from [child.info] if child.info.path.strip("/") == _BUSES else child.info.walk()


class ServerCollector:
    """Gives all figures of a server, as `prometheus_client` wants them. One scrape at a time.

    Labels are bounded by the configuration: the bus and the node, never the poller.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._totals = Totals()

    def describe(self) -> Iterable[Metric]:
        """Nothing: whoever registers it need not look at the server for the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Look at the server. Blocks for as long as the processes of buses may take."""
        boards = self._source.boards
        tree = self._source.snapshot()
        look = _Look(
            boards,
            branch(tree) if tree is not None else None,
            self._source.inside.figures(),
            self._source.network,
            ask_processes(boards, "figures", PROCESS_PATIENCE),
        )
        self._count(look)
        yield _gauge("info", "The release of Janitoo Actors, and the service", {(__version__, self._source.service): 1})
        yield from self._of_actors(look)
        yield from self._of_nodes(look)
        yield from self._of_connections(look)
        yield from _of_processes(look)
        waiting = dict.fromkeys(((board.section,) for board in boards), 0.0)
        waiting |= dict.fromkeys(((section,) for section in self._source.waiting), 1.0)
        yield _gauge("bus_waits_for_address", "Whether the bus waits for an address from a primary", waiting, "bus")
        if look.network is not None:
            yield from _of_network(look.network)

    def _count(self, look: _Look) -> None:
        """Bring the totals up to now, with every actor and poller for itself: each begins again when it will."""
        add = self._totals.add
        of_actors = [(_OF_SERVER, each) for each in look.of_no_bus()]
        of_actors += [(bus, each) for bus, part in look.trees() for each in part.info.walk()]
        for bus, info in of_actors:
            add("handled", (bus,), info.path, info.handled, info.epoch)
            add("restarts", (bus,), info.path, info.restarts)
        for board in look.boards:
            figures = look.of(board)
            if figures is not None:
                self._count_polls(board, figures["polls"])
                self._count_messages(board.section, figures["connections"].get(board.section, {}))
        for bus, figures in look.everybody.items():
            add("dead_letters", (bus,), bus, figures["dead_letters"])
        if look.network is not None:
            self._count_messages(_NETWORK, look.network.mqtt.describe())
        buses = {*(board.section for board in look.boards), *(bus for bus, _ in look.trees())}
        for bus in (_OF_SERVER, *buses):
            add("errors", (bus,), bus, self._source.history.failed[bus])
        self._totals.keep({_OF_SERVER, _NETWORK, *buses})

    def _count_polls(self, board: Board, polls: Mapping[str, Mapping[str, Any]]) -> None:
        for node in board.nodes.values():
            for uuid in node.values:
                found = polls.get(f"{node.hadd}/{uuid}")
                if found is not None:
                    for name in ("reads", "failures"):
                        self._totals.add(name, (board.section, node.uuid), (node.uuid, uuid), found[name])

    def _count_messages(self, bus: str, connection: Mapping[str, Any]) -> None:
        for name in ("published", "received", "dropped"):
            if name in connection:
                self._totals.add(name, (bus,), bus, connection[name])
        if "connects" in connection:
            # The first is no reconnect.
            self._totals.add("reconnects", (bus,), bus, max(0, connection["connects"] - 1))

    def _of_actors(self, look: _Look) -> Iterator[Metric]:
        here = list(look.of_no_bus())
        states = {(_OF_SERVER, state.value): 0.0 for state in ChildState} if here else {}
        for info in here:
            states[_OF_SERVER, info.state] = states.get((_OF_SERVER, info.state), 0) + 1
        waiting = {(_OF_SERVER,): float(sum(info.mailbox for info in here))} if here else {}
        fullest = {(_OF_SERVER,): float(max(info.mailbox for info in here))} if here else {}
        longest = {(_OF_SERVER,): max(info.current_age or 0.0 for info in here)} if here else {}
        for bus, part in look.trees():
            states |= {(bus, state.value): float(part.states.get(state.value, 0)) for state in ChildState}
            waiting[bus,] = part.mailbox
            fullest[bus,] = part.fullest
            longest[bus,] = part.longest
        yield _gauge("actors", "Actors in this state", states, "bus", "state")
        yield _gauge("mailbox_messages", "Messages that wait in mailboxes", waiting, "bus")
        yield _gauge("mailbox_messages_max", "Messages in the fullest mailbox", fullest, "bus")
        longest = {labels: round(seconds, 6) for labels, seconds in longest.items()}
        yield _gauge("message_age_seconds_max", "The longest that an actor is at its message now", longest, "bus")
        yield self._counter("messages_handled", "Messages that actors have handled", "handled", "bus")
        yield self._counter("actor_restarts", "Restarts of actors", "restarts", "bus")
        yield self._counter("errors", "Warnings and errors that were logged, and ends of actors", "errors", "bus")
        yield self._counter("dead_letters", "Messages to actors that were not there", "dead_letters", "bus")
        zombies = {(bus,): float(figures["zombies"]) for bus, figures in look.everybody.items()}
        yield _gauge("zombie_threads", "Threads of actors that were ended by force, and hang", zombies, "bus")
        backlog = {(bus,): float(figures["backlog"]) for bus, figures in look.everybody.items()}
        yield _gauge("dispatcher_backlog", "Turns of actors that wait for a worker", backlog, "bus")

    def _of_nodes(self, look: _Look) -> Iterator[Metric]:
        nodes: dict[tuple[str, ...], float] = {}
        online: dict[tuple[str, ...], float] = {}
        beats: dict[tuple[str, ...], float] = {}
        slowest: dict[tuple[str, ...], float] = {}
        failing: dict[tuple[str, ...], float] = {}
        for board in look.boards:
            nodes |= {(board.section, state.value): 0.0 for state in NodeState}
            figures = look.of(board)
            for node in board.nodes.values():
                nodes[board.section, node.state.value] += 1
                online[board.section, node.uuid, str(node.hadd)] = node.state is NodeState.ONLINE
                if figures is None:
                    continue
                label = (board.section, node.uuid)
                age = figures["beats"].get(str(node.hadd))
                if age is not None:
                    beats[label] = age
                polls = [figures["polls"].get(f"{node.hadd}/{uuid}") for uuid in node.values]
                known = [each for each in polls if each is not None]
                took = [each["took"] for each in known if each["took"] is not None]
                if took:
                    slowest[label] = max(took)
                failing[label] = sum(each["error"] is not None for each in known)
        yield _gauge("nodes", "Nodes in this state", nodes, "bus", "state")
        yield _gauge("node_online", "Whether the node is online", online, "bus", "node", "hadd")
        yield _gauge("node_heartbeat_age_seconds", "Since its last heartbeat", beats, "bus", "node")
        yield self._counter("reads", "Polls that came to an end", "reads", "bus", "node")
        yield self._counter("read_failures", "Polls that failed", "failures", "bus", "node")
        yield _gauge("values_failing", "Values whose last poll has failed", failing, "bus", "node")
        yield _gauge("read_seconds_max", "The slowest of the last polls of its values", slowest, "bus", "node")

    def _of_connections(self, look: _Look) -> Iterator[Metric]:
        connected = {(board.section,): float(board.on_air) for board in look.boards}
        queue: dict[tuple[str, ...], float] = {}
        for board in look.boards:
            connection = (look.of(board) or {}).get("connections", {}).get(board.section)
            if connection is not None:
                queue[board.section,] = connection["queue"]
        if look.network is not None:
            connected[_NETWORK,] = float(look.network.mqtt.is_on_air)
            queue[_NETWORK,] = look.network.mqtt.waiting()
        yield _gauge("mqtt_connected", "Whether the bus has a connection to the broker", connected, "bus")
        yield _gauge("mqtt_queue_messages", "Messages that wait to be sent", queue, "bus")
        yield self._counter("mqtt_reconnects", "Connections after the first one", "reconnects", "bus")
        yield self._counter("mqtt_published_messages", "Messages sent", "published", "bus")
        yield self._counter("mqtt_received_messages", "Messages received", "received", "bus")
        yield self._counter("mqtt_dropped_messages", "Messages that had no room in the queue", "dropped", "bus")

    def _counter(self, name: str, help: str, total: str, *labels: str) -> Metric:
        family = CounterMetricFamily(f"janitoo_{name}", help, labels=labels)
        for values, number in self._totals.of(total).items():
            family.add_metric(values, number)
        return family


def _of_processes(look: _Look) -> Iterator[Metric]:
    """This process has `process_resident_memory_bytes`, as everybody's; here are those of the buses."""
    memory: dict[tuple[str, ...], float] = {}
    answers: dict[tuple[str, ...], float] = {}
    for bus, part in look.trees():
        if part.info.pid is None:
            continue
        try:
            memory[bus,] = psutil.Process(part.info.pid).memory_info().rss
        except psutil.Error:
            # It has ended since.
            continue
    for board in look.boards:
        if board.remote is not None:
            answers[board.section,] = board.section in look.processes
    yield _gauge("bus_process_resident_memory_bytes", "Memory of the process of the bus", memory, "bus")
    yield _gauge("bus_process_answers", "Whether the process of the bus has told its figures", answers, "bus")


def _of_network(network: Network) -> Iterator[Metric]:
    nodes = network.map.snapshot().values()
    # By name: what others say of their nodes is theirs, and must not become a series each.
    states = dict.fromkeys((*((state.value,) for state in NodeState), ("other",)), 0.0)
    for node in nodes:
        states[(node.state if node.state in _STATES else "other"),] += 1
    controllers = {node.hadd.controller for node in nodes}
    complete = network.state is NetworkState.STARTED
    yield _single("network_primary", "Whether this server is the primary of the network", network.is_primary)
    yield _single("network_failed", "Whether it is a secondary without a primary: fail mode", network.is_failed)
    yield _single("network_map_complete", "Whether the map is complete, and kept up", complete)
    yield _gauge("network_nodes", "Nodes on the map, of all servers, in this state", states, "state")
    yield _single("network_controllers", "Controllers on the map, of all servers", len(controllers))


def _single(name: str, help: str, number: float) -> Metric:
    return GaugeMetricFamily(f"janitoo_{name}", help, value=float(number))


def _gauge(name: str, help: str, samples: Mapping[Any, float], *labels: str) -> Metric:
    names: Sequence[str] = labels or ("version", "service")
    family = GaugeMetricFamily(f"janitoo_{name}", help, labels=names)
    for values, number in samples.items():
        family.add_metric(values, number)
    return family


def _section(info: ActorInfo) -> str:
    return info.path.removeprefix(f"/{_BUSES}/")
