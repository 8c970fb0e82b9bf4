"""A network in virtual time: controllers, buses, and an air that loses, delays, doubles and cuts.

Every message goes as topic and bytes, through the code that reads and writes the wire.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from paho.mqtt.client import topic_matches_sub

from janitoo_actors.network.air import read_message, subscriptions
from janitoo_actors.network.engine import Engine
from janitoo_actors.network.events import Event
from janitoo_actors.network.lists import payloads
from janitoo_actors.network.messages import Effect, Happened, OffAir, OnAir, Send, SendList
from janitoo_actors.network.settings import Settings
from janitoo_actors.protocol import topics
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.messages import MalformedRequestError
from janitoo_actors.protocol.resolv import primary_heartbeat

EPOCH = 1000.0
"""When the virtual time begins."""


class Air:
    """The broker, and the time.

    Attributes:
        now: The virtual time.
        sent: How many messages, and bytes, were published, by the first levels of their topic.
        loss, doubles: The shares of deliveries that are lost, and that come twice.
        delay: Seconds that a delivery takes at least, and at most.
        reorders: Whether what was sent later may come earlier; a broker keeps the order.
        lose: Which messages are lost, besides.
        islands: The numbers of those who hear each other; everybody where it is empty.
        malformed: What some receiver has complained of.
    """

    def __init__(self, seed: int = 0) -> None:
        self.now = EPOCH
        self.random = random.Random(seed)
        self.sent: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.log: list[tuple[float, str, bytes]] = []
        self.loss = self.doubles = 0.0
        self.delay = (0.001, 0.003)
        self.reorders = False
        self.lose: Callable[[str, bytes], bool] = lambda _topic, _payload: False
        self.islands: list[set[int]] = []
        self.malformed: list[str] = []
        self._members: dict[int, Member] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._latest: dict[int, float] = {}
        self._numbers = count()
        self._ids = count()

    def join(self, member: Member) -> int:
        """Somebody connects; its number."""
        number = next(self._ids)
        self._members[number] = member
        return number

    def leave(self, number: int) -> None:
        """Somebody's connection is gone."""
        self._members.pop(number, None)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._events, (max(when, self.now), next(self._numbers), what))

    def publish(self, sender: int, topic: str, payload: bytes) -> None:
        """Deliver a message to all that listen; what is lost, late or twice is decided for each."""
        kind = "/".join(topic.split("/")[:4] if topic.startswith("/dhcp") else topic.split("/")[:3])
        self.sent[kind] += 1
        self.bytes[kind] += len(payload)
        self.log.append((self.now, topic, payload))
        if self.lose(topic, payload):
            return
        for number, member in list(self._members.items()):
            if not self._reach(sender, number) or not member.listens_to(topic) or self.random.random() < self.loss:
                continue
            for _ in range(2 if self.random.random() < self.doubles else 1):
                due = self.now + self.random.uniform(*self.delay)
                if not self.reorders:
                    due = self._latest[number] = max(due, self._latest.get(number, 0.0))
                self.at(due, lambda number=number: self._deliver(number, topic, payload))  # type: ignore[misc]

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], object], limit: float) -> float:
        """Let time pass until a condition holds; how much has. At the limit it is given up."""
        began = self.now
        steps = 0
        while not condition():
            if not self._events or self._events[0][0] > began + limit:
                self.now = began + limit
                break
            due, _, what = heapq.heappop(self._events)
            steps = steps + 1 if due == self.now else 0
            assert steps < 100_000, "the time stands still"
            self.now = due
            what()
        return self.now - began

    def _reach(self, one: int, other: int) -> bool:
        return not self.islands or any(one in island and other in island for island in self.islands)

    def _deliver(self, number: int, topic: str, payload: bytes) -> None:
        member = self._members.get(number)
        if member is not None:
            member.hear(topic, payload)


class Member:
    """Somebody with a connection.

    Attributes:
        number: Of its connection; None where it has none.
    """

    def __init__(self, air: Air, filters: Sequence[str]) -> None:
        self.air = air
        self.number: int | None = None
        self._filters = filters

    def listens_to(self, topic: str) -> bool:
        """Whether it has subscribed to a topic."""
        return any(topic_matches_sub(each, topic) for each in self._filters)

    def start(self) -> None:
        """Connect."""
        if self.number is None:
            self.number = self.air.join(self)

    def crash(self) -> None:
        """Lose the connection without a word; the broker says the will."""
        if self.number is not None:
            number, self.number = self.number, None
            for topic, payload in self.will():
                self.air.publish(number, topic, json.dumps(payload).encode())
            self.air.leave(number)

    def publish(self, topic: str, payload: Mapping[str, Any] | str) -> None:
        """Send."""
        if self.number is not None:
            text = payload if isinstance(payload, str) else json.dumps(payload)
            self.air.publish(self.number, topic, text.encode())

    def will(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """What the broker says when the connection is lost."""
        return ()

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a message."""


class Controller(Member):
    """A network controller: the engine, with the wire around it.

    Attributes:
        events: What it has told, with the time.
    """

    def __init__(self, air: Air, hadd: str, *, primary: bool, **settings: Any) -> None:
        self.hadd = Hadd.parse(hadd)
        self.settings = Settings(primary, self.hadd, **settings)
        super().__init__(air, subscriptions(self.hadd, primary=primary))
        self.engine = Engine(self.settings)
        self.events: list[tuple[float, Event]] = []
        self._wake_at: float | None = None

    def start(self) -> None:
        """Start, with an empty map where it has crashed."""
        if self.number is None:
            super().start()
            self._do(self.engine.handle(OnAir(), self.air.now))

    def crash(self) -> None:
        """Be killed: nothing is left of it."""
        if self.number is not None:
            super().crash()
            self.engine = Engine(self.settings)
            self._wake_at = None

    def lose_connection(self) -> None:
        """Lose the connection, and know it."""
        if self.number is not None:
            super().crash()
            self._do(self.engine.handle(OffAir(), self.air.now))

    def stop(self) -> None:
        """Stop in order."""
        if self.number is not None:
            for topic, payload in self.will():
                self.publish(topic, payload)
            self.air.leave(self.number)
            self.number = None
            self.engine = Engine(self.settings)
            self._wake_at = None

    def will(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        if self.settings.primary:
            yield topics.RESOLV_HEARTBEAT, primary_heartbeat(self.hadd, "OFFLINE")

    def hear(self, topic: str, payload: bytes) -> None:
        try:
            for message in read_message(topic, payload, self.hadd, self._complain):
                self._do(self.engine.handle(message, self.air.now))
        except MalformedRequestError as error:
            self._complain(error)

    def values(self) -> dict[tuple[str, str, str, int], Any]:
        """All values that it knows, by address, genre, uuid and index."""
        return {
            (str(hadd), genre.slug, uuid, index): value["data"]
            for hadd, node in self.engine.map.snapshot().items()
            for genre, values in node.values.items()
            for uuid, instances in values.items()
            for index, value in instances.items()
        }

    def states(self) -> dict[str, str]:
        """The state of each node, by address."""
        return {str(hadd): node.state for hadd, node in sorted(self.engine.map.snapshot().items())}

    def _complain(self, error: MalformedRequestError) -> None:
        self.air.malformed.append(str(error))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(topic=topic, payload=payload):
                    self.publish(topic, payload)
                case SendList(topic=topic):
                    for payload in payloads(effect):
                        self.publish(topic, payload)
                case Happened(event=event):
                    self.events.append((self.air.now, event))
        due = self.engine.next_due()
        if due is not None and self.number is not None and (self._wake_at is None or due < self._wake_at):
            engine = self.engine
            self._wake_at = due
            self.air.at(due, lambda: self._wake(engine))

    def _wake(self, engine: Engine) -> None:
        if engine is self.engine and self.number is not None:
            self._wake_at = None
            self._do(self.engine.wake(self.air.now))


def value_of(hadd: str, uuid: str, genre: int, data: Any, *, cmd_class: int = 112, index: int = 0) -> dict[str, Any]:
    """A value as buses describe it."""
    return {
        "uuid": uuid,
        "node_uuid": f"bus__{hadd}",
        "voice_uuid": None,
        "hadd": hadd,
        "cmd_class": cmd_class,
        "is_readonly": genre == 1,
        "is_writeonly": False,
        "default": None,
        "label": uuid,
        "help": f"The {uuid}",
        "units": None,
        "list_items": None,
        "max": None,
        "min": None,
        "genre": genre,
        "type": 4,
        "index": index,
        "is_polled": genre == 1,
        "poll_delay": 60,
        "reply_hadd": None,
        "data": data,
    }


class Bus(Member):
    """A bus with some nodes: it answers discovery, beats and polls, as originals and ours do.

    Attributes:
        hadds: Of its nodes, the controller's first.
    """

    def __init__(
        self, air: Air, controller: int, nodes: int, *, heartbeat: float = 30.0, values: int = 1, poll: float = 45.0
    ) -> None:
        self.hadds = [f"{controller:04d}/{number:04d}" for number in range(nodes)]
        self.controller = controller
        self.heartbeat = heartbeat
        self.polled = values
        self._poll = poll
        super().__init__(air, (topics.BROADCAST_REQUEST, topics.controller_requests(controller)))
        self.readings: Counter[str] = Counter()

    def start(self) -> None:
        """Start: nodes come up, beat, and are polled from then on."""
        if self.number is not None:
            return
        super().start()
        for place, hadd in enumerate(self.hadds, start=1):
            share = place / len(self.hadds)
            self.publish(f"/dhcp/heartbeat/{hadd}", "ONLINE")
            self._every(self.heartbeat, share, lambda hadd=hadd: self.publish(f"/dhcp/heartbeat/{hadd}", "ONLINE"))  # type: ignore[misc]
            self._every(self._poll, share, lambda hadd=hadd: self._read(hadd))  # type: ignore[misc]

    def stop(self) -> None:
        """Stop in order: each node says OFFLINE."""
        if self.number is not None:
            for hadd in self.hadds:
                self.publish(f"/dhcp/heartbeat/{hadd}", "OFFLINE")
            self.air.leave(self.number)
            self.number = None

    def will(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        yield topics.HEARTBEAT_JSON, {"add_ctrl": self.controller, "add_node": -1, "state": "OFFLINE"}

    def hear(self, topic: str, payload: bytes) -> None:
        request = json.loads(payload)
        reply = {**request, "data": self.reply_data(request["uuid"].removeprefix("request_info_"))}
        place = "/broadcast/reply/" if topic == topics.BROADCAST_REQUEST else "/nodes/"
        end = "" if topic == topics.BROADCAST_REQUEST else "/reply"
        self.publish(f"{place}{request['reply_hadd']}{end}", reply)

    def reply_data(self, what: str) -> dict[str, Any]:
        """The data of its reply to a request for a list."""
        if what == "nodes":
            return {f"bus__{hadd}": self._node(hadd) for hadd in self.hadds}
        if what == "systems":
            return {hadd: {"heartbeat": value_of(hadd, "heartbeat", 4, self.heartbeat)} for hadd in self.hadds}
        if what == "configs":
            return {hadd: {"name": {"0": value_of(hadd, "name", 3, f"Node {hadd}")}} for hadd in self.hadds}
        if what == "basics":
            return {hadd: self._basics(hadd) for hadd in self.hadds if self.polled}
        return {}

    def _basics(self, hadd: str) -> dict[str, Any]:
        return {
            f"value{number}": {"0": value_of(hadd, f"value{number}", 1, self.readings[hadd], cmd_class=49)}
            for number in range(self.polled)
        }

    def _node(self, hadd: str) -> dict[str, Any]:
        return {
            "uuid": f"bus__{hadd}",
            "oid": "simulated",
            "capabilities": [],
            "cmd_classes": [112, *([49] if self.polled else [])],
            "name": f"Node {hadd}",
            "location": "Nowhere",
            "heartbeat": self.heartbeat,
            "config_timeout": 3,
            "hadd": hadd,
            "state": "ONLINE",
        }

    def _read(self, hadd: str) -> None:
        self.readings[hadd] += 1
        for uuid, instances in self._basics(hadd).items():
            self.publish(f"/values/basic/{hadd}/{uuid}", instances["0"])

    def _every(self, period: float, share: float, what: Callable[[], None]) -> None:
        number = self.number

        def tick() -> None:
            if self.number == number:
                what()
                self.air.at(self.air.now + period, tick)

        self.air.at(self.air.now + period * share, tick)
