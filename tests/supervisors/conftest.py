"""Fixtures of the tests of supervision."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from stage import ActorClass, LightPlayer, PinnedPlayer, Play


@pytest.fixture
def play(caplog: pytest.LogCaptureFixture) -> Iterator[Play]:
    """A system of its own, with a stage."""
    made = Play()
    yield made
    made.close()
    # Whatever an actor does, it is dealt with before it comes to the worker.
    assert "A turn failed outside of its actor" not in caplog.text


@pytest.fixture(params=[LightPlayer, PinnedPlayer])
def player(request: pytest.FixtureRequest) -> ActorClass:
    """Both kinds of actor."""
    kind: ActorClass = request.param
    return kind


@pytest.fixture
def hasty() -> Iterator[None]:
    """Have the interpreter switch threads a thousand times as often: races show sooner."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)
