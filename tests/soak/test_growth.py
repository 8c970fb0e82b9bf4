"""The rule of the soak: what grows is noticed, what goes up and down is not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soak.growth import FEWEST, growth, slope
from soak.judging import grown
from soak.looking import Sample

LENGTHS = st.integers(9, 60)


@given(LENGTHS, st.randoms(use_true_random=False))
def test_a_noisy_flat_series_does_not_grow(length: int, chance: random.Random) -> None:
    assert not growth([100 + chance.uniform(-2, 2) for _ in range(length)], 4).is_too_much


@given(LENGTHS, st.randoms(use_true_random=False))
def test_one_more_each_time_is_noticed_through_noise(length: int, chance: random.Random) -> None:
    assert growth([100 + number + chance.uniform(-0.5, 0.5) for number in range(length)], 2).is_too_much


@given(LENGTHS, st.randoms(use_true_random=False))
def test_slow_growth_is_noticed_as_soon_as_it_is_more_than_the_tolerance(length: int, chance: random.Random) -> None:
    # 30 MB that become 45, with 1 MB of noise.
    figures = [30 + 15 * number / length + chance.uniform(-1, 1) for number in range(length)]
    assert growth(figures, 3, 0.05).is_too_much


@pytest.mark.parametrize("length", [9, 12, 30])
def test_figures_that_are_far_off_are_no_growth(length: int) -> None:
    figures = [100.0] * length
    figures[-1] = 5000.0
    figures[length // 2] = 3000.0
    assert not growth(figures, 4).is_too_much


@pytest.mark.parametrize("length", [9, 12, 30])
def test_a_beginning_that_fills_up_is_no_growth(length: int) -> None:
    figures = [min(number / (length // 3), 1.0) * 1000 for number in range(length)]
    assert not growth(figures, 4).is_too_much


def test_what_falls_does_not_grow() -> None:
    assert not growth([100.0 - number for number in range(20)], 0).is_too_much


def test_saw_teeth_are_no_growth() -> None:
    assert not growth([float(number % 5) for number in range(30)], 2).is_too_much


def test_growing_saw_teeth_are() -> None:
    assert growth([number % 5 + number / 2 for number in range(30)], 2).is_too_much


def test_a_part_of_itself_may_come_to_it() -> None:
    figures = [1000.0 + number for number in range(30)]
    assert growth(figures, 2).is_too_much
    assert not growth(figures, 2, relative=0.05).is_too_much


def test_too_few_figures_say_nothing() -> None:
    with pytest.raises(ValueError, match="let it run for longer"):
        growth([1.0] * (FEWEST - 1), 1)


def test_slope_of_a_line() -> None:
    assert slope([3.0, 5.0, 7.0, 9.0]) == 2.0


def house(number: int, **more: float) -> Sample:
    """A sample of a server with some noise, and with more of some figures."""
    noise = (0, 3, -2, 1, -1)[number % 5]
    figures: dict[str, float] = {
        "rss": 70_000 + 400 * noise,
        "blocks": 300_000 + 500 * noise,
        "threads": 40 + noise % 2,
        "files": 46,
    }
    for name, figure in more.items():
        figures[name] += figure
    return Sample(figures, {"builtins.dict": 7_500 + 10 * noise, "some.Thing": 5 * number}, {})


def test_a_house_in_which_nothing_grows() -> None:
    assert grown([house(number) for number in range(8)]) == {}


@pytest.mark.parametrize(("name", "each"), [("threads", 1), ("files", 1), ("rss", 1500), ("blocks", 3000)])
def test_a_leak_in_each_round_is_noticed(name: str, each: float) -> None:
    # As many rounds as there are in the shortest soak.
    assert list(grown([house(number, **{name: each * number}) for number in range(8)])) == [name]


def test_objects_of_a_type_that_become_more_are_noticed() -> None:
    assert list(grown([house(number) for number in range(40)])) == ["objects of some.Thing"]
