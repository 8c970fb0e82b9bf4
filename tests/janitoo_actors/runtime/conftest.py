"""Fixtures of the runtime's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokers import Mosquitto
from faulty_drivers import SCRIPTS, Scripts
from mqtt_probe import Probe
from running_server import Requester


@pytest.fixture(autouse=True)
def scripts() -> Iterator[Scripts]:
    """What the devices of the test do; all that hangs is released at its end.

    For every test: what one has not asked for would still be there for the next.
    """
    # Servers of other folders' tests that have been stopped after their reset have left some, too.
    SCRIPTS.reset()
    yield SCRIPTS
    SCRIPTS.reset()


@pytest.fixture
def air(broker: Mosquitto) -> Iterator[Requester]:
    """Somebody on the network of the shared broker, who hears everything from before the server's first word."""
    with Probe(broker.host, broker.port) as probe:
        yield Requester(probe)
