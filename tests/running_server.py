"""Servers for the tests: in this process, to look inside; and as a command, as a user runs it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from brokers import Mosquitto
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Node
from janitoo_actors.runtime.server import Server
from mqtt_probe import Message, Probe
from supervisors import ActorInfo
from waiting import wait_for

TIMEOUT = 15.0
"""Seconds after which something that should happen has not; long, as a test machine may be busy."""

PROGRAM = (sys.executable, "-m", "janitoo_actors.commands.main")
"""`janitoo`, with the interpreter that runs the tests."""


def system_section(broker: Mosquitto, *lines: str) -> str:
    """The `[system]` of a server on this broker, with further lines."""
    return "\n".join(["[system]", f"broker_ip = {broker.host}", f"broker_port = {broker.port}", *lines, ""])


class RunningServer:
    """A server in this process.

    Attributes:
        path: Its configuration file.
        server: The server itself.
    """

    def __init__(self, path: Path, registry: Registry, **more: Any) -> None:
        """Start it, and return without waiting.

        Args:
            path: Its configuration file.
            registry: The drivers at hand.
            more: As of `Server`.
        """
        self.path = path
        self.server = Server(load(path, registry), registry=lambda: registry, **more)

    @property
    def nodes(self) -> list[Node]:
        """All nodes of all its buses, in the order of the file."""
        return [node for board in self.server.boards for node in board.nodes.values()]

    @property
    def text(self) -> str:
        """What is in its file now."""
        return self.path.read_text(encoding="utf-8")

    def states(self) -> dict[str, str]:
        """The state of each node, by address."""
        return {str(node.hadd): node.state.value for node in self.nodes}

    def infos(self) -> list[ActorInfo]:
        """Every actor of the tree, as it stands."""
        snapshot = self.server.snapshot()
        assert snapshot is not None, f"the tree has ended: {self.server.reason}"
        return list(snapshot.walk())

    def incarnations(self, section: str = "") -> dict[str, tuple[int | None, int]]:
        """Which incarnation of each actor of a bus runs, by path; of all buses where none is named."""
        snapshot = self.server.snapshot()
        assert snapshot is not None, f"the tree has ended: {self.server.reason}"
        return {path: it for path, it in _incarnations(snapshot, None) if path.startswith(f"/buses/{section}")}

    def wait_online(self, *hadds: str) -> None:
        """Wait until these nodes are online; all of them where none are named."""
        self.wait_states(NodeState.ONLINE, *hadds)

    def wait_states(self, state: NodeState, *hadds: str) -> None:
        """Wait until these nodes are in a state; all of them where none are named."""
        wait_for(
            lambda: all(now == state for hadd, now in self.states().items() if not hadds or hadd in hadds),
            TIMEOUT,
            lambda: f"{hadds or 'all nodes'} are {state}: {self.states()}",
        )

    def wait_connected(self) -> None:
        """Wait until each bus listens to the network."""
        for board in self.server.boards:
            with self.probe() as probe:
                ask_until_answered(probe, f"{board.controller:04d}/0000")

    def probe(self, *topics: str) -> Probe:
        """A client of its broker, subscribed to these topics."""
        broker = self.server.config.system.broker
        return Probe(broker.host, broker.port, subscribe=topics, timeout=TIMEOUT)

    def stop(self) -> None:
        """End it in order."""
        assert self.server.stop(TIMEOUT), "the server did not stop in time"


def _incarnations(info: ActorInfo, pid: int | None) -> Iterator[tuple[str, tuple[int | None, int]]]:
    # Each process counts its own.
    pid = info.pid if info.pid is not None else pid
    yield info.path, (pid, info.epoch)
    for child in info.children:
        yield from _incarnations(child, pid)


@contextlib.contextmanager
def running(path: Path, registry: Registry, *, online: bool = True, **more: Any) -> Iterator[RunningServer]:
    """Run a server in this process, and end it.

    Args:
        path: Its configuration file.
        registry: The drivers at hand.
        online: Whether to wait until all of its nodes are online and the network reaches them.
        more: As of `Server`.
    """
    server = RunningServer(path, registry, **more)
    try:
        if online:
            server.wait_online()
            server.wait_connected()
        yield server
    finally:
        server.server.stop(TIMEOUT)


def ask_until_answered(probe: Probe, controller: str, reply_hadd: str = "9998/0001") -> Message:
    """Ask a controller for its nodes, again and again until it answers.

    A server that has not connected yet does not hear the first requests.
    """
    reply_topic = f"/nodes/{reply_hadd}/reply"
    request = {"cmd_class": 20480, "genre": 4, "uuid": "request_info_nodes", "reply_hadd": reply_hadd}
    probe.subscribe(reply_topic)

    def answered() -> Message | None:
        probe.publish(f"/nodes/{controller}/request", request)
        with contextlib.suppress(AssertionError):
            return probe.wait_message(lambda message: message.topic == reply_topic, 0.1)
        return None

    return wait_for(answered, TIMEOUT, f"an answer of {controller}")


class ServerProcess:
    """A command in a process of its own, whose output is read as it comes.

    Attributes:
        process: The process.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Start it.

        Args:
            command: The program and its arguments.
            cwd: Where it is started.
            env: Variables to set besides those of this process.
            prepare: Called in the new process before the program starts.
        """
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # What is given here only gives rights up: it takes no lock.
            preexec_fn=prepare,  # noqa: PLW1509
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._out: list[str] = []
        self._err: list[str] = []
        # Nobody may let a pipe run full: a process that logs would stop there.
        self._readers = [
            threading.Thread(target=_read, args=each, daemon=True)
            for each in ((self.process.stdout, self._out), (self.process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    @property
    def out(self) -> str:
        """What it has written to stdout."""
        return "".join(self._out)

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return "".join(self._err)

    @property
    def both(self) -> str:
        """What it has written, for the message of a failure."""
        return f"exit code {self.process.poll()}\n-- stdout\n{self.out}-- stderr\n{self.err}"

    def wait_out(self, text: str) -> None:
        """Wait until it has written this to stdout."""
        self._wait(lambda: text in self.out, f"{text!r} on stdout")

    def wait_err(self, text: str) -> None:
        """Wait until it has written this to stderr."""
        self._wait(lambda: text in self.err, f"{text!r} on stderr")

    def wait_summary(self) -> None:
        """Wait until it has printed the whole summary of its nodes."""
        self.wait_out("jnt_spy --topic '/values/#'")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait_exit(self) -> int:
        """Wait until it has ended and all that it wrote is read; its exit code."""
        self._wait(lambda: self.process.poll() is not None, "its end")
        for reader in self._readers:
            reader.join(TIMEOUT)
        return int(self.process.returncode)

    def interrupt(self) -> int:
        """Press Ctrl+C; its exit code."""
        self.send(signal.SIGINT)
        return self.wait_exit()

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        for reader in self._readers:
            reader.join(TIMEOUT)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        def met() -> bool:
            if condition():
                return True
            if self.process.poll() is not None:
                for reader in self._readers:
                    reader.join(TIMEOUT)
                assert condition(), f"it ended before {what}: {self.both}"
                return True
            return False

        wait_for(met, TIMEOUT, lambda: f"{what}: {self.both}")


def run_command(path: Path, *arguments: str, prepare: Callable[[], None] | None = None) -> ServerProcess:
    """Start `janitoo run FILE` with further arguments; `prepare` as of `ServerProcess`."""
    return ServerProcess([*PROGRAM, "run", str(path), *arguments], cwd=path.parent, prepare=prepare)


def obey_permissions() -> None:
    """Have the next program of this process obey the permissions of files, as it does for others than root.

    For `prepare`. Does nothing where the process is not root's, or may not give the right up.
    """
    drop_from_bounding_set, override, read_search = 24, 1, 2
    libc = ctypes.CDLL(None)
    for capability in (override, read_search):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


def _read(pipe: IO[str], lines: list[str]) -> None:
    for line in pipe:
        lines.append(line)


def wait_heartbeats(probe: Probe, hadds: Iterable[str], state: NodeState, *, since: int = 0) -> None:
    """Wait until each of these nodes has beaten with a state; the probe hears `/dhcp/heartbeat/#`."""
    for hadd in hadds:
        probe.wait_message(partial(_beats, topic=f"/dhcp/heartbeat/{hadd}", state=state), TIMEOUT, since=since)


def _beats(message: Message, topic: str, state: NodeState) -> bool:
    return message.topic == topic and message.payload == state.encode()


class Requester:
    """Somebody on the network who reads and writes values, and hears every answer.

    Attributes:
        probe: Its connection, which hears all values and its own replies.
    """

    def __init__(self, probe: Probe, reply_hadd: str = "9997/0001") -> None:
        """Listen.

        Args:
            probe: A connection, of its own.
            reply_hadd: Where it lets itself be answered.
        """
        self.probe = probe
        self.reply_hadd = reply_hadd
        for topic in ("/values/#", self.reply_topic, f"/broadcast/reply/{reply_hadd}", "/dhcp/heartbeat/#"):
            probe.subscribe(topic)

    @property
    def reply_topic(self) -> str:
        """Where answers about basic, user and command values come, and those to direct discovery."""
        return f"/nodes/{self.reply_hadd}/reply"

    def request(self, hadd: str, uuid: str, genre: Genre, cmd_class: int, **more: Any) -> dict[str, Any]:
        """The payload of a request, in the originals' fields; it reads, unless `more` says otherwise."""
        return {
            "cmd_class": cmd_class,
            "uuid": uuid,
            "data": None,
            "reply_hadd": self.reply_hadd,
            "genre": int(genre),
            "is_writeonly": False,
            "is_readonly": True,
            "hadd": hadd,
            **more,
        }

    def answer_topic(self, request: Mapping[str, Any]) -> str:
        """Where the answer to a request belongs."""
        if request["genre"] in {Genre.CONFIG, Genre.SYSTEM}:
            return f"/values/{Genre(request['genre']).slug}/{request['hadd']}/{request['uuid']}"
        return self.reply_topic

    def send(self, request: Mapping[str, Any], *, topic: str | None = None) -> Message:
        """Send a request, to the topic of its node where none is given; the message that answers it."""
        since = len(self.probe.messages)
        self.probe.publish(topic or f"/nodes/{request['hadd']}/request", dict(request))
        return self.probe.wait_message(on_topic(self.answer_topic(request)), TIMEOUT, since=since)

    def read(self, hadd: str, uuid: str, genre: Genre, cmd_class: int = 112, **more: Any) -> dict[str, Any]:
        """Read a value; the answer."""
        answer: dict[str, Any] = self.send(self.request(hadd, uuid, genre, cmd_class, **more)).value
        return answer

    def write(self, hadd: str, uuid: str, data: Any, genre: Genre, cmd_class: int = 112, **more: Any) -> dict[str, Any]:
        """Write a value; the answer."""
        request = self.request(hadd, uuid, genre, cmd_class, data=data, is_writeonly=True, is_readonly=False)
        answer: dict[str, Any] = self.send({**request, **more}).value
        return answer

    def discover(self, what: str, controller: str | None = None) -> dict[str, Any]:
        """Ask for one of the six lists, directly or by broadcast; the data of the first reply."""
        request = {"cmd_class": 20480, "genre": 4, "uuid": f"request_info_{what}", "reply_hadd": self.reply_hadd}
        topic = "/broadcast/request" if controller is None else f"/nodes/{controller}/request"
        reply_topic = f"/broadcast/reply/{self.reply_hadd}" if controller is None else self.reply_topic
        data: dict[str, Any] = self.probe.request(topic, request, reply_topic, TIMEOUT).value["data"]
        return data

    def settle(self, controller: str) -> None:
        """Wait until what was sent to a bus before has come to its link, and what it said before has come here."""
        self.discover("nodes", controller)


def on_topic(topic: str) -> Callable[[Message], bool]:
    """Whether a message came on this topic."""

    def matches(message: Message) -> bool:
        return message.topic == topic

    return matches
