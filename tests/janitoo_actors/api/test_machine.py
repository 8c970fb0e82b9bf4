"""State machines of buses: what is declared, and which way they take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from janitoo_actors.api import BusLostError, ManualRuntime, State, Stateful, TemporaryError, Transition


class Heating(Stateful):
    oid = "heating"
    off = State("It does nothing", poll_delay=0)
    on = State("It heats", initial=True)
    locked = State("It is locked")
    start = Transition(off, on)
    stop = Transition(on, off, after=60)
    lock = Transition((off, on), locked)
    unlock = Transition(locked, off, after=10)

    def __init__(self) -> None:
        super().__init__()
        self.runtime = ManualRuntime()
        self.log: list[str] = []
        self.fails: Exception | None = None

    @on.entered
    def begin(self) -> None:
        self.log.append("begin")
        if self.fails is not None:
            raise self.fails

    @on.left
    def end(self) -> None:
        self.log.append("end")


def started() -> Heating:
    bus = Heating()
    bus.started()
    return bus


def test_it_begins_in_its_initial_state() -> None:
    bus = Heating()
    assert bus.read("state") is None
    assert bus.stop() is False
    bus.started()
    assert (bus.read("state"), bus.log) == ("on", ["begin"])
    assert isinstance(bus.runtime, ManualRuntime)
    assert bus.runtime.changes == [("heating", "state")]


def test_timed_transitions_are_of_their_states() -> None:
    bus = started()
    assert isinstance(bus.runtime, ManualRuntime)
    bus.runtime.advance(59)
    assert bus.read("state") == "on"
    bus.runtime.advance(1)
    assert (bus.read("state"), bus.log) == ("off", ["begin", "end"])
    bus.runtime.advance(1000)
    assert bus.read("state") == "off"
    bus.start()
    bus.runtime.advance(59)
    bus.lock()
    # The timer of the state that it has left is over.
    bus.runtime.advance(5)
    assert bus.read("state") == "locked"
    bus.runtime.advance(5)
    assert bus.read("state") == "off"


def test_a_method_that_fails_keeps_it_from_no_state() -> None:
    bus = started()
    bus.stop()
    bus.fails = TemporaryError("the relay sticks")
    assert bus.start() is True
    assert bus.read("state") == "on"
    bus.stop()
    # Nor does a bug, of which the log says where it is.
    bus.fails = KeyError("relay")
    with capture_logs() as log:
        assert bus.start() is True
    assert log[-1]["event"] == "state_method_failed"
    assert "in begin" in log[-1]["traceback"]
    bus.stop()
    bus.fails = BusLostError("the adapter is gone")
    with pytest.raises(BusLostError):
        bus.start()


def test_wrong_declarations() -> None:
    foreign = State("Of another bus")
    foreign.name = "foreign"
    with pytest.raises(TypeError, match="go is of a state that is no state of it"):
        type("Bad", (Stateful,), {"here": State("Here"), "go": Transition(foreign, foreign)})
    with pytest.raises(TypeError, match="Bad has several initial states"):
        type("Bad", (Stateful,), {"one": State("One", initial=True), "two": State("Two", initial=True)})
    here = State("Here")
    with pytest.raises(TypeError, match="go is after pause, which is no setting and no option"):
        type("Bad", (Stateful,), {"here": here, "go": Transition(here, here, after="pause")})


@pytest.mark.parametrize(
    ("name", "holder"), [("open", "Bus"), ("close", "Bus"), ("read", "Bus"), ("state", "Stateful"), ("uuid", "")]
)
def test_a_name_that_means_something_else(name: str, holder: str) -> None:
    # A garage door, which would never have been opened: the bus was not any more.
    declared = {"here": State("Here"), "there": State("There")}
    for each in (Transition(declared["here"], declared["there"]), State("Somewhere")):
        kind = type(each).__name__.lower()
        if holder:
            with pytest.raises(TypeError, match=f"^Bad: the {kind} {name} needs another name, as {holder} has {name}$"):
                type("Bad", (Stateful,), {**declared, name: each})


def test_a_subclass_has_more() -> None:
    class More(Heating):
        broken = State("It is broken")
        smash = Transition((Heating.on, Heating.off), broken)

    assert list(More.states) == ["off", "on", "locked", "broken"]
    assert More.values["transition"].list_items == ("start", "stop", "lock", "unlock", "smash")
    assert Heating.values["transition"].list_items == ("start", "stop", "lock", "unlock")
    bus = More()
    bus.started()
    bus.write("transition", "smash")
    assert bus.read("state") == "broken"


@given(st.lists(st.sampled_from([*Heating.transitions, "wait"]), max_size=30))
def test_it_is_always_where_the_transitions_lead(steps: list[str]) -> None:
    bus = started()
    assert isinstance(bus.runtime, ManualRuntime)
    for step in steps:
        before = bus.current
        if step == "wait":
            bus.runtime.advance(1)
            continue
        way = Heating.transitions[step]
        assert bus.take(way) is (before in way.sources)
        assert bus.current is (way.target if before in way.sources else before)
    # One begin for each end, but for the state that it is in.
    assert bus.log.count("begin") - bus.log.count("end") == (bus.current is Heating.on)
