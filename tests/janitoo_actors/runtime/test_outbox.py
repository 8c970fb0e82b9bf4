"""What waits to be sent: packets as MQTT has them, written whole and in order, however little the socket takes."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.runtime.outbox import Outbox, publication


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    made = Outbox(100)
    yield made
    made.close()


def unpacked(data: bytes) -> list[tuple[str, bytes]]:
    """The publications in a stream, read as MQTT 3.1.1 says and not as `publication` writes."""
    found = []
    while data:
        assert data[0] == 0x30
        length, place, shift = 0, 1, 0
        while True:
            digit = data[place]
            length |= (digit & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if digit < 0x80:
                break
        body, data = data[place : place + length], data[place + length :]
        assert len(body) == length
        size = int.from_bytes(body[:2], "big")
        found.append((body[2 : 2 + size].decode(), body[2 + size :]))
    return found


class Sluggish:
    """A socket that takes so many bytes each time; 0 for none just now. That is up to the kernel otherwise."""

    def __init__(self, takes: list[int]) -> None:
        self.takes = takes
        self.taken = b""

    def send(self, data: bytes, /) -> int:
        count = min(self.takes.pop(0), len(data)) if self.takes else len(data)
        if count == 0:
            raise BlockingIOError
        self.taken += data[:count]
        return count


@given(st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=300))), st.lists(st.integers(0, 400), max_size=40))
def test_all_arrives_in_order_whatever_the_socket_takes(messages: list[tuple[str, bytes]], takes: list[int]) -> None:
    outbox = Outbox(100)
    to = Sluggish(takes)
    try:
        for topic, payload in messages:
            assert outbox.put(publication(topic, payload))
        while not outbox.write(to):
            # Whoever writes something else now must know where a packet ends.
            assert len(outbox) > 0
        assert not outbox.is_torn
        assert len(outbox) == 0
        assert unpacked(to.taken) == messages
    finally:
        outbox.close()


@pytest.mark.parametrize("size", [0, 124, 125, 126, 16_380, 16_381, 2_097_148, 2_097_149])
def test_lengths_at_the_edges_of_their_digits(size: int) -> None:
    assert unpacked(publication("t", b"x" * size)) == [("t", b"x" * size)]


def test_what_no_packet_can_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="expected what one packet can carry"):
        publication("x" * 65_536, b"")


def test_the_oldest_goes_where_there_is_no_room() -> None:
    outbox = Outbox(most=2)
    to = Sluggish([])
    try:
        assert [outbox.put(publication(topic, b"")) for topic in "abc"] == [True, True, False]
        assert outbox.write(to)
        assert [topic for topic, _ in unpacked(to.taken)] == ["b", "c"]
    finally:
        outbox.close()


def test_a_packet_wakes_the_thread_that_sleeps_and_only_then(outbox: Outbox) -> None:
    def wakes() -> bool:
        return bool(select.select([outbox], [], [], 0)[0])

    outbox.put(b"1")
    assert not wakes()
    # There is something already: it must not sleep.
    assert not outbox.fall_asleep()
    assert outbox.write(Sluggish([]))
    assert outbox.fall_asleep()
    outbox.put(b"2")
    assert wakes()
    outbox.woken()
    assert not wakes()
    outbox.wake()
    assert wakes()


def test_what_a_lost_connection_leaves_is_forgotten(outbox: Outbox) -> None:
    outbox.put(publication("a", b"1"))
    assert not outbox.write(Sluggish([3, 0]))
    assert outbox.is_torn
    outbox.clear()
    outbox.put(publication("b", b"2"))
    to = Sluggish([])
    assert outbox.write(to)
    assert unpacked(to.taken) == [("b", b"2")]


def test_a_connection_that_is_gone_is_told() -> None:
    ours, theirs = socket.socketpair()
    outbox = Outbox(100)
    with ours:
        theirs.close()
        outbox.put(b"1")
        with pytest.raises(OSError, match="Broken pipe"):
            outbox.write(ours)
    outbox.close()
    # Nobody is there to be woken; nothing happens.
    outbox.wake()
