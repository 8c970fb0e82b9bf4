"""Many buses, one of which is killed, hangs or crashes all the time; the others are on time, and nothing is left.

The long one is `make chaos`: 50 buses of 20 pollers for a minute. Of its buses, five have processes of their own: each
of those costs a start of some 0.2 s of a core when it is hit, and all of this is to run on two cores.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from brokers import Mosquitto
from faulty_drivers import Configuration, Hang, Scripts, gives, raises, registry
from janitoo_actors.api import BusLostError
from running_server import RunningServer, running
from supervisors import living
from waiting import wait_for

PATIENCE = 60.0
"""Seconds for all to be well again, on a machine that has other work too."""
READ_TIMEOUT = 1.5
MAX_BACKOFF = 0.5
EVERY = 0.1
"""Seconds between two blows."""
HANG = 3.0
"""Seconds after which a hung read comes back: from its bus, which has been replaced by then."""
SLACK = 0.5
"""Seconds by which two busy cores may delay a poll besides."""
MEMORY = 40 << 20
"""Bytes by which the process may grow: allocators keep some of what they had."""


class Ear:
    """Hears every value, and keeps only when: it must not be what grows."""

    def __init__(self, broker: Mosquitto) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_args: client.subscribe("/values/basic/#")
        self._client.on_message = self._heard
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    def _heard(self, _client: Any, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        self.times[message.topic].append(time.monotonic())

    def close(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()


@dataclass(frozen=True)
class Footprint:
    """What a process holds."""

    threads: Counter[str]
    descriptors: int
    children: int
    memory: int

    @classmethod
    def now(cls) -> Footprint:
        """As it is."""
        gc.collect()
        # Pools that grow when they are needed, and shrink when there is nothing to do.
        pools = ("Thread-", "dispatcher-extra")
        names = Counter(each.name for each in threading.enumerate() if not each.name.startswith(pools))
        statm = Path("/proc/self/statm").read_text(encoding="ascii").split()
        return cls(names, len(os.listdir("/proc/self/fd")), _children(), int(statm[1]) * os.sysconf("SC_PAGE_SIZE"))


def _children() -> int:
    """How many processes descend from this one."""
    parents = {}
    for each in os.listdir("/proc"):
        if each.isdigit():
            try:
                parents[int(each)] = int(Path(f"/proc/{each}/stat").read_text("ascii").rpartition(")")[2].split()[1])
            except OSError:
                continue
    family, before = {os.getpid()}, 0
    while before != len(family):
        before = len(family)
        family |= {each for each, parent in parents.items() if parent in family}
    return len(family) - 1


class Chaos:
    """Hits one bus after the other.

    Attributes:
        blows: what was done, by the bus, and when.
    """

    def __init__(self, server: RunningServer, scripts: Scripts, buses: dict[str, bool], chance: random.Random) -> None:
        self.blows: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._server = server
        self._scripts = scripts
        self._buses = buses
        self._chance = chance
        self._hangs: list[tuple[float, Hang]] = []

    def rage(self, seconds: float) -> None:
        """Hit for so long."""
        never = threading.Event()
        end = time.monotonic() + seconds
        for number in itertools.count(1):
            section = self._chance.choice(list(self._buses))
            how: Callable[[str], str] = self._hit_process if self._buses[section] else self._hit_thread
            now = time.monotonic()
            self.blows[section].append((now, how(section)))
            self._let_go(time.monotonic() - HANG)
            due = end - seconds + number * EVERY
            if due > end:
                return
            # No synchronisation: this is the rhythm of the blows.
            never.wait(max(0.0, due - time.monotonic()))

    def calm(self) -> None:
        """Let everybody go, and have all devices work."""
        self._let_go(time.monotonic())
        for section in self._buses:
            for key in "abcd":
                self._scripts[f"{section}__{key}"].read = gives(20.0)

    def _let_go(self, since: float) -> None:
        for moment, hang in list(self._hangs):
            if moment <= since:
                hang.release()
                self._hangs.remove((moment, hang))

    def _hit_process(self, section: str) -> str:
        actor = self._actor(f"/buses/{section}")
        pid = actor.pid if actor is not None else None
        if pid is None:
            return "is away already"
        number = self._chance.choice([signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV])
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return "is away already"
        return number.name

    def _hit_thread(self, section: str) -> str:
        script = self._scripts[f"{section}__{self._chance.choice('abcd')}"]
        match self._chance.choice(["kill", "hang", "crash"]):
            case "kill":
                prefix = f"/buses/{section}/"
                paths = [path for path in self._server.server.system.paths() if path.startswith(prefix)]
                victim = self._chance.choice([f"{prefix}bus", *paths])
                actor = self._actor(victim)
                if actor is not None:
                    actor.kill("chaos")
                return f"kill {victim}"
            case "hang":
                hang = Hang(then=lambda: -1.0)
                self._hangs.append((time.monotonic(), hang))
                script.read = _once(hang, script)
                return "hang"
            case _:
                errors = [BusLostError("gone"), SystemExit(), MemoryError(), KeyboardInterrupt()]
                script.read = _once(raises(self._chance.choice(errors)), script)
                return "crash"

    def _actor(self, path: str) -> Any:
        ref = self._server.server.system.lookup(path)
        return None if ref is None else living(ref)


def _once(fault: Callable[..., Any], script: Any) -> Callable[..., Any]:
    def read(*args: Any) -> Any:
        script.read = gives(20.0)
        return fault(*args)

    return read


@dataclass(frozen=True)
class Scale:
    """How much of it, and for how long. Some of the buses are bystanders: nobody hits them, and every poll counts."""

    buses: int
    processes: int
    bystanders: int
    period: float
    seconds: float


SHORT = Scale(buses=10, processes=2, bystanders=3, period=1.0, seconds=10.0)
LONG = Scale(buses=50, processes=5, bystanders=10, period=2.0, seconds=60.0)


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(LONG, id="long", marks=[pytest.mark.chaos, pytest.mark.timeout(400)]),
    ],
)
def test_chaos(scale: Scale, broker: Mosquitto, tmp_path: Path, scripts: Scripts) -> None:
    seed = random.randrange(2**32)
    period = scale.period
    configuration = Configuration(tmp_path, broker, read_timeout=READ_TIMEOUT, max_backoff=MAX_BACKOFF)
    # The last is a bystander in a process of its own.
    processes = {*range(1, scale.processes), scale.buses}
    buses = {f"b{number:02d}": number in processes for number in range(1, scale.buses + 1)}
    polls = {f"{value}_poll_0": period for value in ("north", "east", "south", "west", "centre")}
    for section, is_process in buses.items():
        own = {"isolation": "process"} if is_process else {}
        configuration.bus(section, [f"{key}=station" for key in "abcd"], own=own, **polls)
    targets = dict(list(buses.items())[: -scale.bystanders])
    ear = Ear(broker)
    try:
        with running(configuration.write(), registry()) as server:
            wait_for(lambda: len(ear.times) == scale.buses * 20, PATIENCE, lambda: f"{len(ear.times)} values")
            before = Footprint.now()
            start = time.monotonic()
            chaos = Chaos(server, scripts, targets, random.Random(seed))
            chaos.rage(scale.seconds)
            chaos.calm()
            end = time.monotonic()
            blows = [what.split()[0] for each in chaos.blows.values() for _, what in each]
            print(f"seed {seed}; {Counter(blows)}")
            assert len(blows) > 0.8 * scale.seconds / EVERY

            def well() -> bool:
                return set(server.states().values()) == {"ONLINE"} and server.server.system.zombies.count() == 0

            wait_for(well, PATIENCE, lambda: f"seed {seed}: {server.states()}, {server.server.system.zombies.count()}")
            wait_for(lambda: all(each[-1] > end + period for each in ear.times.values()), PATIENCE, "all are polled")
            on_time = check_times(ear, chaos, period, (start, end), seed)
            assert on_time > 0.8 * scale.bystanders * 20 * scale.seconds / period
            check_left(before)
            assert server.server.reason is None
    finally:
        ear.close()


def check_times(ear: Ear, chaos: Chaos, period: float, span: tuple[float, float], seed: int) -> int:
    """No value of a bus that has not just been hit comes later than by one more period; how many came in time."""
    # A blow shows for so long: until a read meets it, it is noticed, the bus starts again and has read all of its
    # values.
    effect = 2 * period + READ_TIMEOUT + MAX_BACKOFF
    start, end = span
    on_time = 0
    longest = 0.0
    for section, topic, times in _by_bus(ear):
        hits = [moment for moment, _ in chaos.blows[section]]
        for earlier, later in itertools.pairwise(each for each in times if start <= each <= end + period):
            if any(earlier - effect < moment < later for moment in hits):
                continue
            on_time += 1
            gap = later - earlier
            longest = max(gap, longest)
            assert gap <= 2 * period + SLACK, f"{topic}: {gap:.2f} s without a value; seed {seed}"
    print(f"{on_time} values in time, the latest after {longest:.2f} s")
    return on_time


def _by_bus(ear: Ear) -> list[tuple[str, str, list[float]]]:
    return [(f"b{int(topic.split('/')[3]) - 700:02d}", topic, times) for topic, times in ear.times.items()]


def check_left(before: Footprint) -> None:
    """As much as before, as soon as all that was left behind has come back."""

    def same() -> bool:
        now = Footprint.now()
        return (
            now.threads == before.threads
            and now.descriptors <= before.descriptors + 2
            and now.children <= before.children
        )

    wait_for(same, PATIENCE, lambda: f"{Footprint.now()}, before: {before}", interval=0.2)
    grown = Footprint.now().memory - before.memory
    print(f"{grown / (1 << 20):.1f} MiB more")
    assert grown < MEMORY, f"{grown >> 20} MiB more"
