"""Loads for actors, each in a process of its own: see `benchmarks.loads`."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import pykka
from pykka import ActorRef

from benchmarks.air import Air, paho_client
from benchmarks.figures import percentile
from benchmarks.loads import Found, run
from benchmarks.vitals import vitals
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.runtime.messages import Publish
from janitoo_actors.runtime.mqtt import Connected, Event, MqttConnection
from supervisors import ChildSpec, LightActor, PinnedActor, Root, SupervisorFlags, System
from supervisors.birth import birth

_TIMEOUT: Final = 120.0
_LAST: Final = "/bench/last"


class _Countdown:
    """Waits for so many events of any threads."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()
        self._done = threading.Event()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            left = self._left
        if left == 0:
            self._done.set()

    def wait(self) -> None:
        if not self._done.wait(_TIMEOUT):
            raise TimeoutError(f"{self._left} have not come within {_TIMEOUT:g} s")


class _Worker(pykka.Actor):
    """Counts its starts and its ends, and the messages where it is to: others it gives back."""

    def __init__(self, started: Callable[[], None], ended: Callable[[], None]) -> None:
        super().__init__()
        self._started = started
        self._ended = ended

    def on_start(self) -> None:
        self._started()

    def on_stop(self) -> None:
        self._ended()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, _Countdown):
            message()
        return message


class _Light(_Worker, LightActor):
    pass


class _Pinned(_Worker, PinnedActor):
    pass


class _Threading(_Worker, pykka.ThreadingActor):
    pass


_KINDS: Final[Mapping[str, type[_Worker]]] = {"light": _Light, "pinned": _Pinned, "threading": _Threading}


def _start(kind: str, count: int, ended: Callable[[], None]) -> list[ActorRef[_Worker]]:
    """Start actors, and wait until all of them have started."""
    started = _Countdown(count)
    refs = [_KINDS[kind].start(started, ended) for _ in range(count)]
    started.wait()
    return refs


def start(kind: str, count: int) -> Found:
    """Start actors, and stop them: microseconds and bytes for each."""
    _stop(_start(kind, 10, _nothing))
    gc.collect()
    before = vitals().rss
    began = time.perf_counter()
    ended = _Countdown(count)
    refs = _start(kind, count, ended)
    started = time.perf_counter() - began
    gc.collect()
    memory = vitals().rss - before
    began = time.perf_counter()
    _stop(refs)
    ended.wait()
    stopped = time.perf_counter() - began
    return {"start": started / count * 1e6, "memory": memory / count, "stop": stopped / count * 1e6}


def supervised(count: int) -> Found:
    """Start light actors as the children of a supervisor, and end them with it: microseconds and bytes for each."""
    system = System()
    warm = Root(system, SupervisorFlags(), [ChildSpec("one", _Light, (_nothing, _nothing))], path="/warm")
    warm.wait_ready(_TIMEOUT)
    gc.collect()
    before = vitals().rss
    began = time.perf_counter()
    specs = [ChildSpec(str(number), _Light, (_nothing, _nothing)) for number in range(count)]
    root = Root(system, SupervisorFlags(), specs)
    if not root.wait_ready(_TIMEOUT):
        raise TimeoutError(f"not started within {_TIMEOUT:g} s")
    started = time.perf_counter() - began
    gc.collect()
    memory = vitals().rss - before
    began = time.perf_counter()
    root.request_shutdown()
    if not root.wait_ended(_TIMEOUT):
        raise TimeoutError(f"not ended within {_TIMEOUT:g} s")
    stopped = time.perf_counter() - began
    return {"start": started / count * 1e6, "memory": memory / count, "stop": stopped / count * 1e6}


def tell(kind: str, actors: int, messages: int) -> Found:
    """Tell actors in turn: messages a second, until all are handled."""
    refs = _start(kind, actors, _nothing)
    handled = _Countdown(messages)
    began = time.perf_counter()
    for number in range(messages):
        refs[number % actors].tell(handled)
    handled.wait()
    seconds = time.perf_counter() - began
    _stop(refs)
    return {"rate": messages / seconds}


def ask(kind: str, count: int) -> Found:
    """Ask one actor again and again: microseconds for each."""
    (ref,) = _start(kind, 1, _nothing)
    taken = []
    for number in range(count):
        began = time.perf_counter()
        ref.ask(number)
        taken.append((time.perf_counter() - began) * 1e6)
    _stop([ref])
    return {"p50": percentile(taken, 0.5), "p99": percentile(taken, 0.99)}


class _Link(PinnedActor):
    """Owns a connection, as the link of a bus does."""

    def __init__(self, broker: BrokerConfig, connected: Callable[[], None]) -> None:
        super().__init__()
        self._told = connected
        self._connection = MqttConnection(broker, "bench", ("/bench/will", b""), ["/bench/never"], self._event)

    def on_start(self) -> None:
        self._connection.start()

    def on_receive(self, message: Any) -> Any:
        if isinstance(message, Publish):
            self._connection.publish(message.topic, message.payload)
        return None

    def on_stop(self) -> None:
        self._connection.close()
        self._connection.join(5)

    def _event(self, event: Event) -> None:
        if isinstance(event, Connected):
            self._told()


class _Publisher(LightActor):
    """Publishes by its link, as a poller does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._topic = f"/bench/values/{number}"

    def on_receive(self, message: Any) -> Any:
        self.tell_path("/link", Publish(self._topic, message))
        return None


def publish(host: str, port: int, messages: int, actors: int) -> Found:
    """Publish with raw paho-mqtt, and through light actors and a link: messages a second, until the broker has all."""
    broker = BrokerConfig(host, port)
    payload = b"x" * 300
    with Air(broker, _LAST) as air:
        client = paho_client(broker, "bench-raw")
        client.loop_start()

        def raw() -> None:
            for number in range(messages):
                client.publish(f"/bench/values/{number % actors}", payload)
            client.publish(_LAST, b"")

        rate_of_raw = _rate(air, raw, messages)
        client.disconnect()
        client.loop_stop()

        system = System()
        connected = _Countdown(1)
        with birth(system, "/link", None):
            link = _Link.start(broker, connected)
        connected.wait()
        refs: list[ActorRef[_Publisher]] = []
        for number in range(actors):
            with birth(system, f"/publishers/{number}", None):
                refs.append(_Publisher.start(number))

        def through_actors() -> None:
            for number in range(messages):
                refs[number % actors].tell(payload)
            # Each mailbox is in order, but not one with another: all have published when all have answered.
            for answer in [ref.ask(payload, block=False) for ref in refs]:
                answer.get(timeout=_TIMEOUT)
            system.tell("/link", Publish(_LAST, b""))

        rate = _rate(air, through_actors, messages)
        link.stop()
    return {"raw": rate_of_raw, "actors": rate}


def _rate(air: Air, work: Callable[[], None], messages: int) -> float:
    air.clear()
    began = time.perf_counter()
    work()
    air.wait_message(_LAST)
    return messages / (time.perf_counter() - began)


class _Poller(LightActor):
    """Notes how late each of its ticks is, and by how much it is not a period after the last one."""

    def __init__(self, period: float, first: float, late: list[float], jitter: list[float]) -> None:
        super().__init__()
        self._period = period
        self._first = first
        self._late = late
        self._jitter = jitter
        self._due = 0.0
        self._last = 0.0

    def on_start(self) -> None:
        self._due = time.monotonic() + self._first
        self.timers.every("tick", self._period, "tick", first=self._first)

    def on_receive(self, message: Any) -> Any:  # noqa: ARG002 - there is only one
        now = time.monotonic()
        self._late.append(now - self._due)
        self._jitter.append(abs(now - self._last - self._period))
        self._last = now
        missed = max(0, int((now - self._due) / self._period))
        self._due += (missed + 1) * self._period


def pollers(count: int, period: float, seconds: float) -> Found:
    """Periodic timers of light actors, their phases spread: the share that came, how late, how unevenly,
    and at what cost."""
    late: list[float] = []
    jitter: list[float] = []
    system = System()
    for number in range(count):
        with birth(system, f"/pollers/{number}", None):
            _Poller.start(period, 2 * period + number / count * period, late, jitter)
    # Each has had its first tick then, which comes after no other.
    time.sleep(5 * period)
    late.clear()
    jitter.clear()
    before = vitals()
    time.sleep(seconds)
    after = vitals()
    ticks, intervals = list(late), list(jitter)
    return {
        "delivered": len(ticks) / (count * seconds / period),
        "late_p50": percentile(ticks, 0.5) * 1000,
        "late_p99": percentile(ticks, 0.99) * 1000,
        "jitter_p50": percentile(intervals, 0.5) * 1000,
        "jitter_p99": percentile(intervals, 0.99) * 1000,
        "cpu": (after.cpu - before.cpu) / seconds * 100,
        "wakeups": (after.wakeups - before.wakeups) / seconds,
    }


def _stop(refs: list[ActorRef[_Worker]]) -> None:
    for ref in refs:
        ref.stop(block=False)


def _nothing() -> None:
    """Nobody waits for it."""


_LOADS: Final[Mapping[str, Callable[..., Found]]] = {
    "start": start,
    "supervised": supervised,
    "tell": tell,
    "ask": ask,
    "publish": publish,
    "pollers": pollers,
}


if __name__ == "__main__":
    run(_LOADS)
