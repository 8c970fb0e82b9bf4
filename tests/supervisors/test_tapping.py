"""Looking at what actors handle."""

from __future__ import annotations

from typing import Any

import pytest

from stage import TIMEOUT, LightPlayer, Play
from supervisors import Actor, tap, untap
from waiting import wait_for


def test_it_sees_each_message_and_changes_nothing(play: Play) -> None:
    ref = play.start(LightPlayer)
    actor = play.actor("/a")
    assert actor is not None
    seen: list[tuple[str, Any, BaseException | None]] = []

    def see(of: Actor, message: Any, took: float, failure: BaseException | None) -> None:
        assert took >= 0
        seen.append((of.path, message, failure))

    tap(actor, see)
    tap(actor, see)
    assert ref.ask("get", timeout=TIMEOUT) == "got"
    with pytest.raises(ValueError, match="told to"):
        ref.ask("raise", timeout=TIMEOUT)
    assert [(path, message) for path, message, _ in seen] == [("/a", "get"), ("/a", "raise")]
    assert isinstance(seen[1][2], ValueError)
    untap(actor, see)
    assert ref.ask("get", timeout=TIMEOUT) == "got"
    assert len(seen) == 2
    assert "on_receive" not in actor.__dict__, "it costs nothing any more"
    untap(actor, see)


def test_who_fails_while_looking_harms_nobody(play: Play) -> None:
    ref = play.start(LightPlayer)
    actor = play.actor("/a")
    assert actor is not None
    tap(actor, _fail)
    assert ref.ask("get", timeout=TIMEOUT) == "got"
    ref.tell("raise")
    wait_for(lambda: actor.exit_reason, TIMEOUT, "it ends by its own failure")
    assert "told to" in str(actor.exit_reason)


def _fail(_actor: Actor, _message: Any, _took: float, _failure: BaseException | None) -> None:
    raise LookupError("a bug of who looks")
