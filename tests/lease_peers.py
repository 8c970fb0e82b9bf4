"""What the tests of leases have in common: requests, and a primary without actors that can die at any step."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from janitoo_actors.network.leases.rules import CONTROLLERS, LeaseBook
from janitoo_actors.network.leases.store import LeaseStore
from janitoo_actors.protocol.hadd import Hadd
from janitoo_actors.protocol.leases import ANY, LeaseAction, LeaseAnswer, LeaseRequest, Options

_numbers = itertools.count(1)


def request(
    action: LeaseAction,
    add_ctrl: int = ANY,
    add_node: int = ANY,
    *,
    owner: str | None = None,
    name: str | None = None,
    location: str | None = None,
    rep_uuid: str | None = None,
    **params: Any,
) -> LeaseRequest:
    """A request; with a `rep_uuid` of its own, where none is given."""
    told = {**params, **({} if owner is None else {"uuid": owner})}
    return LeaseRequest(
        action, rep_uuid or f"r{next(_numbers)}", add_ctrl, add_node, Options(name, location, None, told)
    )


class CrashAt(Enum):
    """Where a primary dies."""

    DECIDED = "decided"
    STORED = "stored"
    APPLIED = "applied"


class Primary:
    """The rules on a real database, in the order of the actor, which can be killed between any two steps."""

    def __init__(self, path: Path, controllers: range = CONTROLLERS, own: Hadd | None = None) -> None:
        self.path = path
        self.own = own
        self.controllers = controllers
        self.store = LeaseStore(path)
        self.book: LeaseBook = self.store.load()
        self.now = 1000.0

    def serve(
        self, asked: LeaseRequest, on_network: Collection[Hadd] = (), crash: CrashAt | None = None
    ) -> LeaseAnswer | None:
        """Serve a request; None where it dies before it answers. It has started again then."""
        self.now += 1
        decision = self.book.decide(asked, on_network, self.now, self.controllers)
        if crash is not CrashAt.DECIDED:
            if decision.durable:
                self.store.commit(decision)
            if crash is not CrashAt.STORED:
                self.book.apply(decision)
        if crash is None:
            return replace(decision.answer, primary=self.own)
        self.restart()
        return None

    def lose_everything(self) -> None:
        """Lose the disk, and start again."""
        self.store.close()
        self.path.unlink()
        self.store = LeaseStore(self.path)
        self.book = self.store.load()

    def restart(self) -> None:
        """Forget everything that is not on the disk."""
        self.store.close()
        self.store = LeaseStore(self.path)
        self.book = self.store.load()
