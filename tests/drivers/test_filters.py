"""What is absurd is read again, and not believed; what stays is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.filters import FilteredComponent, Limits
from janitoo_actors.api import BusLostError, Instance, Instances, OptionsError, TemporaryError, Value

READINGS = st.floats(-200, 200)


class Sensor(FilteredComponent):
    """A sensor that gives what it is told."""

    oid = "test.sensor"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"heat": Limits(-40, 85), "damp": Limits(0, 100)}
    heat = Value("sensor_temperature", help="Heat")
    damp = Value("sensor_humidity", help="Damp")

    def __init__(self, options: Mapping[str, str] | None = None) -> None:
        super().__init__("test__sensor", options)
        self.script: list[float | Exception] = []
        self.reads = 0

    @heat.reader
    def read_heat(self, instance: Instance) -> float:
        """Give the next one."""
        return self.filtered("heat", instance.index, self._next)

    @damp.reader
    def read_damp(self, instance: Instance) -> float:
        """Give the next one."""
        return self.filtered("damp", instance.index, self._next)

    def _next(self) -> float:
        self.reads += 1
        found = self.script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def heats(self, *script: float | Exception) -> float:
        """One poll."""
        self.script = list(script)
        found: float = self.read("heat")
        return found


def test_the_limits_of_the_sensor_are_the_defaults() -> None:
    sensor = Sensor()
    assert (sensor.option("heat_min"), sensor.option("heat_max"), sensor.option("damp_max")) == (-40, 85, 100)
    assert sensor.option("heat_step") is None


@pytest.mark.parametrize("wrong", [85.1, -40.1, math.nan, math.inf])
def test_what_cannot_be_is_read_again(wrong: float) -> None:
    sensor = Sensor()
    assert sensor.heats(wrong, wrong, 20.0) == 20.0
    with pytest.raises(TemporaryError, match=r"cannot be: expected -40 or more, 85 or less \(heat_min, heat_max\)"):
        sensor.heats(wrong, wrong, wrong, 20.0)
    assert sensor.reads == 6


def test_a_failed_read_is_tried_again_and_then_told() -> None:
    sensor = Sensor({"heat_retries": "1"})
    assert sensor.heats(TemporaryError("no answer"), 20.0) == 20.0
    with pytest.raises(TemporaryError, match="no answer"):
        sensor.heats(TemporaryError("no answer"), TemporaryError("no answer"), 20.0)


@pytest.mark.parametrize("error", [BusLostError("gone"), ValueError("a bug")], ids=repr)
def test_what_trying_again_does_not_help_is_told_at_once(error: Exception) -> None:
    sensor = Sensor()
    with pytest.raises(type(error)):
        sensor.heats(error, 20.0)
    assert sensor.reads == 1


def test_a_leap_counts_when_the_next_poll_finds_it_too() -> None:
    sensor = Sensor({"heat_step": "5", "heat_retries": "0"})
    assert sensor.heats(20.0) == 20.0
    with pytest.raises(TemporaryError, match="60 is further than heat_step = 5 from 20"):
        sensor.heats(60.0)
    # A spike, and not the same as the one before.
    with pytest.raises(TemporaryError):
        sensor.heats(-20.0)
    assert sensor.heats(21.0) == 21.0
    with pytest.raises(TemporaryError):
        sensor.heats(60.0)
    # A real one.
    assert sensor.heats(61.0) == 61.0
    assert sensor.heats(62.0) == 62.0


POWERED = {"heat_power_on": "60", "heat_retries": "0"}


def test_what_a_sensor_gives_that_has_just_been_powered_is_wrong_however_often_it_comes() -> None:
    sensor = Sensor({**POWERED, "heat_retries": "2"})
    for _ in range(3):
        with pytest.raises(TemporaryError, match=r"60 is what the sensor gives when its power .*\(heat_power_on\)"):
            sensor.heats(60.0, 60.0, 60.0, 20.0)
    # As a rule it has measured when it is read again.
    assert sensor.heats(60.0, 20.0) == 20.0
    with pytest.raises(TemporaryError, match="at most 0 from it"):
        sensor.heats(60.0, 60.0, 60.0)
    assert sensor.heats(60.1) == 60.1
    assert Sensor().heats(60.0) == 60.0


def test_it_counts_after_a_reading_that_was_near() -> None:
    sensor = Sensor({**POWERED, "heat_step": "5"})
    assert [sensor.heats(each) for each in (54.0, 56.0, 60.0, 60.0, 62.0, 60.0)] == [54, 56, 60, 60, 62, 60]
    assert sensor.heats(57.0) == 57.0
    with pytest.raises(TemporaryError, match="20 is further than heat_step = 5"):
        sensor.heats(20.0)
    assert sensor.heats(20.0) == 20.0
    with pytest.raises(TemporaryError, match="at most 5 from it"):
        sensor.heats(60.0)
    # After a leap that the next poll finds too: it was on its way.
    with pytest.raises(TemporaryError, match="59 is further than heat_step = 5"):
        sensor.heats(59.0)
    assert sensor.heats(60.0) == 60.0


@given(st.lists(st.one_of(READINGS, st.just(60.0)), max_size=60), st.floats(0.1, 50))
def test_it_is_never_told_after_what_was_far_from_it(readings: list[float], step: float) -> None:
    sensor = Sensor({**POWERED, "heat_step": str(step)})
    # What was told last, and the reading before, which may be a leap that is real.
    last: list[float] = []
    before: list[float] = []
    for reading in readings:
        try:
            told = [sensor.heats(reading)]
        except TemporaryError:
            told = []
        if told == [60]:
            assert any(abs(each - 60) <= step for each in (*last, *before))
        last = told or last
        before = [reading] if -40 <= reading <= 85 else []


def test_values_and_instances_do_not_disturb_each_other() -> None:
    sensor = Sensor({"heat_step": "5", "damp_step": "5", "heat_retries": "0", "damp_retries": "0"})
    sensor.script = [20.0, 90.0, 21.0, 91.0]
    assert [sensor.read("heat"), sensor.read("damp"), sensor.read("heat"), sensor.read("damp")] == [20, 90, 21, 91]


def test_smoothing() -> None:
    sensor = Sensor({"heat_smoothing": "0.5", "heat_step": "10", "heat_retries": "0"})
    assert [sensor.heats(each) for each in (20.0, 22.0, 22.0)] == [20.0, 21.0, 21.5]
    with pytest.raises(TemporaryError):
        sensor.heats(60.0)
    # A leap that is believed is not smoothed away.
    assert sensor.heats(60.0) == 60.0


class Inputs(FilteredComponent):
    """Inputs that give what they are told."""

    oid = "test.inputs"
    filtered_values: ClassVar[Mapping[str, Limits]] = {"volts": Limits(0, 5)}
    volts = Value("sensor_voltage", help="V", instances=Instances(label="x", help="x", defaults=("a", "b", "c")))
    script: tuple[float, ...] = ()

    @volts.reader
    def read_volts(self, instance: Instance) -> float:
        """Give the next one."""
        readings = iter(self.script)
        return self.filtered("volts", instance.index, lambda: next(readings))

    def polls(self, index: int, *script: float) -> float:
        """One poll of an input."""
        self.script = script
        found: float = self.read("volts", index)
        return found


def test_an_instance_has_its_own_limits_and_the_others_have_the_common_ones() -> None:
    inputs = Inputs("x", {"volts_max": "3", "volts_max_1": "12", "volts_max_2": "", "volts_retries": "0"})
    assert [inputs.polls(0, 3), inputs.polls(1, 12), inputs.polls(2, 1000)] == [3, 12, 1000]
    with pytest.raises(TemporaryError, match=r"4 cannot be: expected 0 or more, 3 or less \(volts_min, volts_max\)"):
        inputs.polls(0, 4)
    with pytest.raises(TemporaryError, match=r"13 cannot be: .* 12 or less \(volts_min, volts_max_1\)"):
        inputs.polls(1, 13)


def test_each_filter_of_an_instance_is_its_own() -> None:
    inputs = Inputs(
        "x", {"volts_step_1": "1", "volts_smoothing_2": "0.5", "volts_retries": "0", "volts_retries_0": "1"}
    )
    assert inputs.polls(0, 9, 2) == 2
    inputs.polls(1, 1)
    with pytest.raises(TemporaryError, match="5 is further than volts_step_1 = 1 from 1"):
        inputs.polls(1, 5)
    assert [inputs.polls(2, 0), inputs.polls(2, 4), inputs.polls(0, 5)] == [0, 2, 5]
    with pytest.raises(TemporaryError, match="9 cannot be"):
        inputs.polls(2, 9, 2)


def test_a_filter_of_no_instance_is_refused_with_all_that_is_wrong() -> None:
    with pytest.raises(OptionsError) as caught:
        Inputs("x", {"volts_max_3": "1", "volts_min_0": "low", "volts_config_0": "only"})
    assert [(each.key, each.value, each.expected) for each in caught.value.problems] == [
        ("volts_min_0", "low", "a number, -1e+12 to 1e+12"),
        ("volts_max_3", "1", "an index that is there: volts has the index 0 only"),
    ]


@given(st.lists(READINGS, min_size=1, max_size=60), st.floats(0.1, 50), st.floats(0, 0.99), st.integers(0, 3))
def test_what_is_told_can_always_be(readings: list[float], step: float, smoothing: float, retries: int) -> None:
    options = {"heat_step": str(step), "heat_smoothing": str(smoothing), "heat_retries": str(retries)}
    sensor = Sensor(options)
    told: list[float] = []
    sensor.script = list(readings)
    while len(sensor.script) > retries:
        before = sensor.reads
        try:
            told.append(sensor.read("heat"))
        except TemporaryError:
            assert sensor.reads == before + 1 + retries
    assert all(-40 <= each <= 85 for each in told)


@given(st.lists(st.floats(-40, 85), min_size=2, max_size=30), st.floats(0.1, 50))
def test_what_stays_is_believed_within_two_polls(readings: list[float], step: float) -> None:
    sensor = Sensor({"heat_step": str(step), "heat_retries": "0"})
    for reading in readings:
        outcomes = []
        for _ in range(2):
            try:
                outcomes.append(sensor.heats(reading))
            except TemporaryError:
                outcomes.append(math.nan)
        assert outcomes[-1] == reading
