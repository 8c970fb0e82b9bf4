"""A device: its options read, its values read and written, its settings changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_drivers import NutBus, Ups
from janitoo_actors.api import Component, Instance, OptionProblem, OptionsError, Setting, Value
from janitoo_actors.api.schema import option_of


class Lamp(Component):
    """A component that writes, and one of whose settings is written to the device."""

    oid = "test.lamp"
    level = Value("action_switch_multilevel", help="The level", minimum=0, maximum=100)
    pin = Setting[int]("config_byte", default=4, help="The pin", label="Pin")
    speed = Setting[int]("config_byte", default=1, help="The speed", label="Speed")
    sent: list[Any]

    @level.writer
    def write_level(self, instance: Instance, data: Any) -> None:
        """Set the level."""
        self.sent.append((instance.index, data))

    @speed.writer
    def write_speed(self, instance: Instance, data: Any) -> None:
        """Set the speed; the device refuses 13."""
        if data == 13:
            raise OSError("the device refuses")
        self.sent.append((instance.index, data))


def lamp(**options: str) -> Lamp:
    made = Lamp("bus__lamp", options)
    made.sent = []
    return made


def test_device_without_options() -> None:
    ups = Ups()
    assert ups.uuid == "nut.ups"
    assert ups.device == "ups"
    assert [(each.index, each.config, each.text) for each in ups.instances("load")] == [
        (0, 1, "1"), (1, 5, "5"), (2, 15, "15")
    ]  # fmt: skip
    assert ups.instances("charge") == (Instance(),)
    assert (ups.poll_delay("charge"), ups.poll_delay("load"), ups.poll_delay("device")) == (30, 60, 0)
    assert [ups.read("load", index) for index in range(3)] == [1.0, 5.0, 15.0]


def test_device_with_options() -> None:
    ups = Ups("nut__ups1", {"device_0": "eaton", "load_config_0": "15", "load_poll_0": "2.5", "hadd": "1/1"})
    assert (ups.uuid, ups.device, ups.poll_delay("load")) == ("nut__ups1", "eaton", 2.5)
    assert ups.read("load") == 15.0
    with pytest.raises(LookupError):
        ups.read("load", 1)


def test_every_wrong_option_is_named() -> None:
    options = {"load_poll_0": "x", "charge_poll_0": "-1", "load_config_0": "7", "load_config_1": "8", "device_1": "b"}
    problems = (
        OptionProblem("device_0", None, "it to be there, as device_1 is"),
        OptionProblem("charge_poll_0", "-1", "a number of seconds, 0 or more"),
        OptionProblem("load_config_0", "7", "1, 5 or 15"),
        OptionProblem("load_config_1", "8", "1, 5 or 15"),
        OptionProblem("load_poll_0", "x", "a number of seconds, 0 or more"),
    )
    assert Ups.check_options(options) == problems
    with pytest.raises(OptionsError, match="load_poll_0 = x: expected a number of seconds") as failure:
        Ups("nut__ups1", options)
    assert failure.value.problems == problems


def test_schema() -> None:
    assert list(Ups.schema()) == ["device_<index>", "charge_poll_0", "load_config_<index>", "load_poll_0"]
    assert list(NutBus.schema()) == ["port_<index>", "key_<index>", "key_<index>_file", "key_<index>_env"]
    assert [NutBus.schema()[key].is_secret for key in NutBus.schema()] == [False, True, False, False]


def test_several_instances_of_a_setting() -> None:
    ups = Ups("x", {"device_0": "a", "device_1": "b"})
    assert ups.settings("device") == ("a", "b")
    assert ups.setting("device", 1) == "b"
    with pytest.raises(LookupError):
        ups.setting("device", 2)


def test_settings_change() -> None:
    bus = NutBus()
    assert bus.port == 3493
    assert bus.change_setting("port", "3494") == 3494
    assert bus.port == 3494
    with pytest.raises(ValueError, match=r"^expected 65535 or less$"):
        bus.change_setting("port", 70000)
    assert bus.port == 3494


def test_setting_that_the_device_refuses_stays() -> None:
    made = lamp(speed_0="2")
    made.change_setting("speed", 3)
    assert made.sent == [(0, 3)]
    with pytest.raises(OSError, match="refuses"):
        made.change_setting("speed", 13)
    assert made.speed == 3


def test_writes() -> None:
    made = lamp()
    made.write("level", "50")
    assert made.sent == [(0, 50)]
    with pytest.raises(ValueError, match=r"^expected"):
        made.write("level", 101)
    with pytest.raises(LookupError):
        made.read("level")
    with pytest.raises(LookupError):
        made.write("level", 1, 1)
    with pytest.raises(LookupError):
        Ups().write("load", 1)


def test_instances_change() -> None:
    ups = Ups()
    ups.change_instance("load", "15")
    assert ups.read("load") == 15.0
    with pytest.raises(ValueError, match=r"^expected 1, 5 or 15$"):
        ups.change_instance("load", "7")
    with pytest.raises(LookupError):
        ups.change_instance("load", "1", 3)
    with pytest.raises(LookupError):
        ups.change_instance("charge", "1")


def test_class_inherits_values() -> None:
    class Better(Ups):
        oid = "nut.better"
        extra = Value("sensor_float", help="More")

    assert list(Better.values) == [*Ups.values, "extra"]
    assert "extra" not in Ups.values


KEYS = st.sampled_from(
    [
        "device_0",
        "device_1",
        "load_poll_0",
        "load_config_0",
        "load_config_1",
        "load_config_00",
        "charge_poll_0",
        "x_9999",
    ]
)


@given(st.dictionaries(KEYS, st.text(max_size=5) | st.sampled_from(["1", "5", "15", "60", "nan", ""])))
def test_what_is_checked_can_be_made(options: dict[str, str]) -> None:
    problems = Ups.check_options(options)
    try:
        Ups("nut__ups1", options)
    except OptionsError as error:
        found = error.problems
    else:
        found = ()
    assert found == problems
    assert all(option_of(Ups.schema(), problem.key) is not None for problem in problems)
