"""The requests about the server as a whole: `ping`, `mqtt`, `network`, `health`, `machine`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from janitoo_actors import __version__
from janitoo_actors.configuration.model import ServerConfig
from janitoo_actors.control.places import from_all
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import VERSION
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.server import Server
from supervisors import ActorInfo, ChildState

_HANGS: Final = 1.0
"""Seconds at one message from which on a light actor keeps others waiting."""
_MANY: Final = 1000
"""Messages in a mailbox that are too many."""
_MOST_REASONS: Final = 100
_MOST_PEERS: Final = 200
_PACKAGES: Final = ("paho-mqtt", "pykka", "psutil", "structlog", "amqtt", "prompt_toolkit", "rich")
_CODES: Final = {"ok": 0, "warning": 1, "critical": 2}


def add_to(requests: Requests) -> None:
    """Have these requests served."""
    requests.add("ping", Ping, Access.READ, _ping)
    requests.add("mqtt", Mqtt, Access.READ, _mqtt)
    requests.add("network", Network, Access.READ, _network)
    requests.add("health", Health, Access.READ, _health)
    requests.add("machine", Machine, Access.READ, _machine)


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""


@dataclass(frozen=True, slots=True)
class Pong:
    """The server is: who it is, and for how many seconds it has run."""

    protocol: int
    release: str
    pid: int
    service: str
    file: str
    up: float


def _ping(server: Server, _ping: Ping, _peer: Peer) -> Pong:
    config = server.config
    file = os.path.abspath(config.path)
    return Pong(
        VERSION, __version__, os.getpid(), config.system.service, file, round(time.monotonic() - server.started, 1)
    )


@dataclass(frozen=True, slots=True)
class Mqtt:
    """How do the connections to the broker do?"""


def _mqtt(server: Server, _request: Mqtt, _peer: Peer) -> Mapping[str, Any]:
    broker = server.config.system.broker
    known = from_all(server, "connections", server.boards)
    unknown = dict.fromkeys(("age", "counted", "connects", "queue", "published", "received", "dropped"))
    connections = [
        {
            "bus": board.section,
            "path": f"/buses/{board.section}/link",
            "connected": board.on_air,
            **unknown,
            "reason": "" if board.on_air else "its process tells nothing of it",
            **known.get(board.section, {}),
            "will": f"{topics.HEARTBEAT_JSON} {board.controller:04d}/-1 OFFLINE",
        }
        for board in server.boards
    ]
    network = server.network
    if network is not None:
        will = f"{topics.RESOLV_HEARTBEAT} OFFLINE" if network.is_primary else ""
        connections.append({"bus": "network", "path": "/network/link", **network.mqtt.describe(), "will": will})
    return {"broker": f"{broker.host}:{broker.port}", "kind": broker.kind.value, "connections": connections}


@dataclass(frozen=True, slots=True)
class Network:
    """What is the server's part in the network?"""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """The server's part in the network; see `docs/control.md`."""

    role: str
    state: str | None = None
    failed: bool = False
    home_id: str = ""
    connected: bool = False
    nodes: int = 0
    states: Mapping[str, int] = field(default_factory=dict)
    controllers: int = 0
    values: int = 0
    peers: Sequence[Mapping[str, Any]] = ()
    waiting: Sequence[str] = ()


def _network(server: Server, _request: Network, _peer: Peer) -> NetworkFacts:
    network = server.network
    waiting = server.waiting
    if network is None:
        return NetworkFacts("none", waiting=waiting)
    nodes = network.map.snapshot().values()
    return NetworkFacts(
        role="primary" if network.is_primary else "secondary",
        state=network.state_str,
        failed=network.is_failed,
        home_id=network.home_id,
        connected=network.mqtt.is_on_air,
        nodes=len(nodes),
        states=Counter(node.state for node in nodes),
        controllers=len({node.hadd.controller for node in nodes}),
        values=sum(1 for node in nodes for _ in node.every_value()),
        peers=[
            {"hadd": hadd, "name": str(info.get("name", "")), "state": str(info["state"])}
            for hadd, info in islice(network.network_controllers().items(), _MOST_PEERS)
        ],
        waiting=waiting,
    )


# -- health ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """Is all well?"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why it is not.

    Attributes:
        level: `warning` or `critical`.
    """

    level: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all is well: `status`, the exit code for monitoring, and why."""

    status: str
    code: int
    reasons: Sequence[Reason]
    figures: Mapping[str, int]


def _health(server: Server, _request: Health, _peer: Peer) -> Verdict:
    tree = server.snapshot()
    if tree is None:
        reason = Reason("critical", "/", f"the server is ending: {server.reason or 'it was told to'}")
        return Verdict("critical", 2, [reason], {})
    infos = list(tree.walk())
    nodes = [node for board in server.boards for node in board.nodes.values()]
    reasons = [*_of_file(server.config), *_of_nodes(server), *_of_actors(server, infos)]
    status = "ok"
    for level in ("warning", "critical"):
        if any(each.level == level for each in reasons):
            status = level
    reasons.sort(key=lambda each: each.level)
    figures = {
        "buses": len(server.boards),
        "nodes": len(nodes),
        "online": sum(node.state is NodeState.ONLINE for node in nodes),
        "actors": len(infos),
        "suspended": len(server.running.wishes.current.suspended),
    }
    return Verdict(status, _CODES[status], reasons[:_MOST_REASONS], figures)


def _of_file(config: ServerConfig) -> Iterator[Reason]:
    if config.copy is not None:
        text = f"its file is broken, and it runs on the good copy of {config.copy.date}: see `config check`"
        yield Reason("warning", "/", text)
    for problem in config.problems:
        yield Reason("warning", "/", f"not started: {problem}")


def _of_nodes(server: Server) -> Iterator[Reason]:
    boards = server.boards
    broker = server.config.system.broker
    off_air = [board for board in boards if not board.on_air]
    if boards and len(off_air) == len(boards):
        yield Reason("critical", "/", f"no bus has a connection to the broker at {broker.host}:{broker.port}")
        off_air = []
    network = server.network
    if network is not None and not network.mqtt.is_on_air:
        yield Reason("warning", "/network/link", "it has no connection to the broker")
    elif network is not None and network.is_failed:
        yield Reason("warning", "/network", "no primary answers: the map is kept up by broadcast")
    if server.metrics.problem:
        yield Reason("warning", "/", f"its figures are not served (metrics_port): {server.metrics.problem}")
    for board in off_air:
        yield Reason("warning", f"/buses/{board.section}/link", "it has no connection to the broker")
    nodes = [node for board in boards for node in board.nodes.values()]
    if nodes and all(node.state is NodeState.OFFLINE for node in nodes):
        yield Reason("critical", "/", "all nodes are offline")
    for board in boards:
        for node in board.nodes.values():
            if node.state is not NodeState.ONLINE:
                why = f": {node.reason}" if node.reason else ""
                text = f"{node.uuid} is {node.state.value}{why}"
                yield Reason("warning", f"/buses/{board.section}/nodes/{node.hadd}", text)
    for section in server.waiting:
        yield Reason("warning", f"/buses/{section}", "it waits for an address from the network")
    for section in server.running.held:
        yield Reason("warning", f"/buses/{section}", "changes that were written over the air wait for its restart")


def _of_actors(server: Server, infos: Sequence[ActorInfo]) -> Iterator[Reason]:
    for info in infos:
        busy = info.current_age or 0.0
        if info.isolation == "shared" and busy > _HANGS:
            text = f"it keeps a worker of all actors: it has been at {info.current} for {busy:.1f} s"
            yield Reason("critical", info.path, text)
        elif busy > server.config.system.read_timeout:
            yield Reason("warning", info.path, f"it has been at {info.current} for {busy:.1f} s")
        if info.state == ChildState.RESTARTING.value:
            retry = "" if info.retry_in is None else f"; the next try is in {info.retry_in:.0f} s"
            yield Reason("warning", info.path, f"it waits for its next start: {info.last_exit}{retry}")
        if info.mailbox > _MANY:
            yield Reason("warning", info.path, f"{info.mailbox} messages wait in its mailbox")
        # Those after a child that waits for its next start wait with it.
        waits = any(child.state == ChildState.RESTARTING.value for child in info.children)
        for child in () if waits else info.children:
            if child.state == ChildState.STOPPED.value:
                yield Reason("warning", child.path, "it is stopped")
    backlog = server.system.dispatcher.backlog()
    if backlog > _MANY:
        yield Reason("critical", "/", f"{backlog} turns of actors wait for a worker")
    zombies = server.system.zombies.count()
    if zombies:
        yield Reason("warning", "/", f"{zombies} thread{'' if zombies == 1 else 's'} of actors that were ended hang")
    suspended = server.running.wishes.current.suspended
    if suspended:
        text = f"{len(suspended)} poll{' is' if len(suspended) == 1 else 's are'} held back from the console"
        yield Reason("warning", "/", text)


# -- machine ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Machine:
    """What does it run on?"""


def _machine(server: Server, _request: Machine, _peer: Peer) -> Mapping[str, Any]:
    # Here and not above: a server that nobody asks for it need not have it.
    import psutil

    process = psutil.Process()
    memory = psutil.virtual_memory()
    return {
        "release": __version__,
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "system": platform.platform(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": [round(each, 2) for each in os.getloadavg()],
        "memory": {
            "total": memory.total,
            "available": memory.available,
            "resident": process.memory_info().rss,
        },
        "threads": threading.active_count(),
        "pid": os.getpid(),
        "up": round(time.monotonic() - server.started, 1),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
