"""A network in virtual time: whatever happens to it, when it heals there is one primary, and all maps are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from janitoo_actors.network.asking import LONGEST_RETRY
from janitoo_actors.network.engine import REFRESH
from janitoo_actors.network.states import NetworkState
from simulated_network import Air, Bus, Controller, Member

HEALED = LONGEST_RETRY + 2 * REFRESH
"""Seconds after which nothing of what was is left."""


class World:
    """Two that would be primaries, two secondaries, two buses."""

    def __init__(self, seed: int) -> None:
        self.air = Air(seed)
        self.primaries = [Controller(self.air, hadd, primary=True) for hadd in ("0001/0000", "0003/0000")]
        self.secondaries = [Controller(self.air, hadd, primary=False) for hadd in ("0002/0000", "0004/0000")]
        self.buses = [Bus(self.air, 121, 3), Bus(self.air, 122, 12, values=2)]
        self.members: list[Member] = [*self.primaries, *self.secondaries, *self.buses]

    def check(self) -> None:
        """One primary, and equal maps with all that is there."""
        leaders = [each for each in self.primaries if each.number is not None]
        acting = [each for each in leaders if each.engine.is_primary]
        assert acting == leaders[:1]
        running = [each for each in (*leaders, *self.secondaries) if each.number is not None]
        for each in running:
            waits = each not in leaders and not leaders and not each.states()
            assert each.engine.state is (NetworkState.HEARTBEAT_DISCOVER if waits else NetworkState.STARTED)
        failed = [each.engine.is_failed for each in running if each not in leaders]
        assert failed == [not leaders] * len(failed)
        there = {hadd for bus in self.buses if bus.number is not None for hadd in bus.hadds}
        for each in running:
            # Without a primary, a bus that went unheard is FAILED here and OFFLINE there.
            assert {hadd for hadd, state in each.states().items() if state == "ONLINE"} == there
            if leaders:
                assert each.states() == running[0].states()
                assert set(each.values()) == set(running[0].values())
        expected = {
            (hadd, "basic", f"value{number}", 0)
            for bus in self.buses
            if bus.number is not None
            for hadd in bus.hadds
            for number in range(bus.polled)
        }
        for each in running:
            assert expected <= set(each.values())
            assert len({key for key in each.values() if key[0] in there}) == 2 * len(there) + len(expected)


@dataclass(frozen=True)
class Step:
    """What happens, and how long that lasts."""

    what: str
    who: int
    seconds: float
    share: float


STEPS = st.builds(
    Step,
    what=st.sampled_from(["start", "stop", "crash", "cut", "lose", "double", "delay", "heal"]),
    who=st.integers(0, 5),
    seconds=st.floats(0, 40),
    share=st.floats(0, 0.9),
)


def do(world: World, step: Step) -> None:
    member: Any = world.members[step.who]
    match step.what:
        case "start" | "stop" | "crash":
            getattr(member, step.what)()
        case "cut":
            numbers = [each.number for each in world.members if each.number is not None]
            cut = step.who + 1
            world.air.islands = [set(numbers[:cut]), set(numbers[cut:])]
        case "lose":
            world.air.loss = step.share
        case "double":
            world.air.doubles = step.share
        case "delay":
            world.air.delay = (0.0, step.share)
            world.air.reorders = step.share > 0.3
        case "heal":
            heal(world.air)


def heal(air: Air) -> None:
    air.islands = []
    air.loss = air.doubles = 0.0
    air.delay = (0.001, 0.003)
    air.reorders = False


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), steps=st.lists(STEPS, min_size=2, max_size=12))
def test_any_schedule_ends_in_one_primary_and_equal_maps(seed: int, steps: list[Step]) -> None:
    world = World(seed)
    for member in world.members[:: 1 + seed % 2]:
        member.start()
    for step in steps:
        do(world, step)
        world.air.run(step.seconds)
    heal(world.air)
    world.air.run(HEALED)
    world.check()
    assert world.air.malformed == []
