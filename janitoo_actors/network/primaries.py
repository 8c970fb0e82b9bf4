"""Which primary is about, and whether it is still there. Pure: times are given."""

from __future__ import annotations

from typing import Final

from janitoo_actors.protocol.hadd import Hadd

_PATIENCE: Final = 2.5
"""Of the time between two beats of a primary: after so much, it is silent. One may be lost."""
_UNKNOWN: Final = 1.5
"""Of `resolv_timeout`: as long as it is not known how often a primary beats. Originals do so every 5 s."""
_ASK_AGAIN: Final = 1.0
"""Seconds between two questions to a primary that beats and has not answered."""


_MOST_ECHOES: Final = 3
"""How many beats with the own address, that are none of its own, a primary hears before it believes them."""


class Primaries:
    """What is heard of other primaries.

    Attributes:
        current: the one to ask; None where there is none.
        of_ours: whether it is one of ours, by its last answer.
        said_goodbye: whether the last one there was has said so.
    """

    def __init__(self, timeout: float) -> None:
        self.current: Hadd | None = None
        self.of_ours = False
        self.said_goodbye = False
        self._timeout = timeout
        self._known = False
        self._last_sign = 0.0
        self._last_beat: float | None = None
        self._period: float | None = None
        self._asked = float("-inf")
        self._met: dict[Hadd, float] = {}
        self._echo_due = False
        self._echoes: list[float] = []

    def forget(self, now: float) -> None:
        """Nobody could be heard until now."""
        self._met.clear()
        self.said_goodbye = False
        self._lose()
        self._last_sign = now

    def beats(self, hadd: Hadd, now: float) -> bool:
        """One beats; whether it is the one to ask: of two, that with the lower address."""
        if self.current is not None and hadd > self.current and self.is_there(now):
            return False
        if hadd != self.current:
            if self.current is not None or not self._known:
                # Otherwise it is the one that has answered, most likely: an answer does not say whose it is.
                self.of_ours = False
            self.current = hadd
            self._asked = float("-inf")
            self._forget_rhythm()
        if self._last_beat is not None:
            # The longest of late: one that was late once may be so again.
            self._period = max(now - self._last_beat, (self._period or 0.0) * 0.9)
        self._last_beat = self._last_sign = now
        self._known = True
        self.said_goodbye = False
        return True

    def answered(self, now: float, *, of_ours: bool) -> None:
        """It has answered."""
        self._last_sign = now
        self._known = True
        self.said_goodbye = False
        self.of_ours = of_ours

    def gone(self, hadd: Hadd) -> None:
        """One says that it goes."""
        self._met.pop(hadd, None)
        if hadd == self.current or self.current is None:
            self.said_goodbye = True
            self._lose()

    def meet(self, hadd: Hadd, now: float) -> bool:
        """A primary hears another; whether that is new."""
        last = self._met.get(hadd)
        self._met[hadd] = now
        return last is None or now - last > self._limit

    def beaten(self) -> None:
        """This one, a primary, beats: it hears that itself."""
        self._echo_due = True

    def is_doubled(self, now: float) -> bool:
        """A primary hears a beat with its own address; whether there must be another with that address.

        Nothing in a beat says whose it is. But only one follows each of its own.
        """
        if self._echo_due:
            self._echo_due = False
            return False
        self._echoes = [when for when in self._echoes if when > now - 2 * self._timeout] + [now]
        if len(self._echoes) < _MOST_ECHOES:
            return False
        self._echoes.clear()
        return True

    def asked(self, now: float) -> None:
        """It is asked something."""
        self._asked = now

    def may_ask(self, now: float) -> bool:
        """Whether to ask one that beats once more."""
        return now >= self._asked + _ASK_AGAIN

    def is_there(self, now: float) -> bool:
        """Whether there is one, that was not silent for too long."""
        if self._known and now >= self._last_sign + self._limit:
            self._lose()
        return self._known

    @property
    def due(self) -> float | None:
        """When the one there is will have been silent for too long; None where there is none."""
        return None if not self._known else self._last_sign + self._limit

    @property
    def _limit(self) -> float:
        """Seconds of silence that one is allowed."""
        if self._period is None:
            return self._timeout * _UNKNOWN
        return max(self._timeout, self._period * _PATIENCE)

    def _lose(self) -> None:
        self.current = None
        self._known = False
        self._forget_rhythm()

    def _forget_rhythm(self) -> None:
        self._last_beat = None
        self._period = None
