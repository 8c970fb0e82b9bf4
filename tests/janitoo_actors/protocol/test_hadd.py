"""Addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.topics import node_request, requested_node

NUMBERS = st.integers(0, 9999)
HADDS = st.builds(Hadd, NUMBERS, NUMBERS)


@given(HADDS)
def test_is_read_as_it_is_written(hadd: Hadd) -> None:
    text = str(hadd)
    assert Hadd.parse(text) == hadd
    assert len(text) == 9
    assert requested_node(node_request(hadd)) == hadd


@given(HADDS, HADDS)
def test_order_is_that_of_the_text(one: Hadd, other: Hadd) -> None:
    assert (one < other) == (str(one) < str(other))


@given(st.text() | st.from_regex(r"[0-9/ -]{0,12}"))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    # Any other exception fails the test.
    try:
        hadd = Hadd.parse(text)
    except ValueError:
        return
    assert Hadd.parse(str(hadd)) == hadd


def test_fewer_digits_are_accepted() -> None:
    assert Hadd.parse(" 121/1 ") == Hadd(121, 1)


@pytest.mark.parametrize("text", ["", "0121", "0121/", "/0001", "0121/00001", "-1/1", "0121/0001/1", "٠١٢١/1", "a/b"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected CCCC/NNNN in decimal digits, as 0121/0001"):
        Hadd.parse(text)


@pytest.mark.parametrize(("controller", "node"), [(-1, 0), (0, -1), (10_000, 0), (0, 10_000)])
def test_numbers_of_more_than_four_digits(controller: int, node: int) -> None:
    with pytest.raises(ValueError, match="both parts go from 0 to 9999"):
        Hadd(controller, node)


def test_controller() -> None:
    assert Hadd(121, 0).is_controller
    assert not Hadd(121, 1).is_controller


@pytest.mark.parametrize("topic", ["/nodes//request", "/nodes/x/request", "/nodes/0121/0001/reply", "/nodes/0121/0001"])
def test_topics_that_are_no_requests(topic: str) -> None:
    assert requested_node(topic) is None
