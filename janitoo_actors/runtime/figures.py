"""The figures of a server and of the processes of its buses at one moment, for what shows them. Asks no actor."""

from __future__ import annotations

import time
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

from janitoo_actors.runtime.board import Board
from janitoo_actors.runtime.remote import NotToldError
from supervisors import ActorInfo


@dataclass(slots=True)
class Branch:
    """A place in the tree, with the sums of it and of all below it.

    Attributes:
        below: the places right below it.
        actors: how many there are, itself included.
        mailbox: messages that wait.
        fullest: how many wait in the one mailbox that has the most.
        handled: messages handled by the incarnations that are there now.
        restarts: as far as their supervisors, as they are now, have counted them.
        longest: seconds for which one of them has been at one message.
        states: how many actors are in each state.
    """

    info: ActorInfo
    below: tuple[Branch, ...]
    actors: int = 1
    mailbox: int = 0
    fullest: int = 0
    handled: int = 0
    restarts: int = 0
    longest: float = 0.0
    states: dict[str, int] = field(default_factory=dict)


def branch(info: ActorInfo) -> Branch:
    """A part of a snapshot, with its sums. Pure."""
    below = tuple(branch(child) for child in info.children)
    made = Branch(
        info,
        below,
        mailbox=info.mailbox,
        fullest=info.mailbox,
        handled=info.handled,
        restarts=info.restarts,
        longest=info.current_age or 0.0,
        states={info.state: 1},
    )
    for each in below:
        made.actors += each.actors
        made.mailbox += each.mailbox
        made.fullest = max(made.fullest, each.fullest)
        made.handled += each.handled
        made.restarts += each.restarts
        made.longest = max(made.longest, each.longest)
        for state, count in each.states.items():
            made.states[state] = made.states.get(state, 0) + count
    return made


def ask_processes(boards: Iterable[Board], what: str, timeout: float) -> dict[str, Any]:
    """What the processes of buses tell, by the section of the bus. A plain thread; blocks.

    They are asked side by side: all of them have the same time, and one that hangs keeps no other from its answer.

    Args:
        boards: of the buses; those that run in this process are passed over.
        what: a method of `Inside`.
        timeout: seconds for all of them; who has not answered by then is left out.
    """
    begun = time.monotonic()
    asked = []
    for board in boards:
        if board.remote is None:
            continue
        try:
            number, answers = board.remote.begin(what, ())
        except NotToldError:
            # It does not run.
            continue
        asked.append((board.section, board.remote, number, answers))
    found: dict[str, Any] = {}
    for section, remote, number, answers in asked:
        told = None
        try:
            told = answers.get(timeout=max(0.0, begun + remote.patience(timeout) - time.monotonic()))
        except Empty:
            remote.is_silent = True
        finally:
            remote.end(number, early=told is None)
        if told is not None and told.error is None:
            found[section] = told.result
    return found


class Totals:
    """Counters that go on where those that they are made of begin again, as with each incarnation of an actor.

    Each belongs to an owner, a bus, and is forgotten with it. One thread. What is counted between the last look and an
    end is lost; nothing is counted twice.
    """

    def __init__(self) -> None:
        self._before: dict[str, dict[Any, tuple[Any, float]]] = {}
        self._totals: dict[str, dict[tuple[str, ...], float]] = {}

    def add(self, name: str, labels: tuple[str, ...], key: Any, now: float, life: Any = None) -> None:
        """A counter has come to `now`.

        Args:
            name: of the total that it belongs to.
            labels: those of the total; the first one is its owner.
            key: which counter of the total it is, over all its lives.
            life: which life of it, where that is known; a counter that has fallen has begun again anyway.
        """
        owned = self._before.setdefault(labels[0], {})
        begun, before = owned.get((name, key), (life, 0.0))
        if begun != life or now < before:
            before = 0.0
        owned[name, key] = (life, now)
        totals = self._totals.setdefault(name, {})
        totals[labels] = totals.get(labels, 0.0) + now - before

    def keep(self, owners: Container[str]) -> None:
        """Forget all that is of others."""
        self._before = {owner: owned for owner, owned in self._before.items() if owner in owners}
        for name, totals in self._totals.items():
            self._totals[name] = {labels: total for labels, total in totals.items() if labels[0] in owners}

    def of(self, name: str) -> Mapping[tuple[str, ...], float]:
        """The totals of a name, by their labels."""
        return self._totals.get(name, {})
