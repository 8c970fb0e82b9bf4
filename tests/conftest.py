"""Fixtures shared by all the tests."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

import brokers
from brokers import BrokerFactory, Mosquitto

# How fast a machine makes examples says nothing of what they test; and a busy one is slow.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

# Servers and claims of these tests are their own, whatever else runs here. For the commands too that they run.
os.environ["JANITOO_RUN_DIR"] = tempfile.mkdtemp(prefix="janitoo-tests-")
# Tests that are somebody else for a moment find their own things in it.
os.chmod(os.environ["JANITOO_RUN_DIR"], 0o711)
atexit.register(shutil.rmtree, os.environ["JANITOO_RUN_DIR"], ignore_errors=True)
# So are the temporary files of what they run: of a server that a test kills, Python leaves some behind.
os.environ["TMPDIR"] = os.environ["JANITOO_RUN_DIR"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and the servers of these tests would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A broker that all the tests share.

    Its retained messages live as long as the session: use topics or HADDs of your own, and
    `private_broker` for a test that stops the broker or counts what it holds.
    """
    with Mosquitto(tmp_path_factory.mktemp("broker")) as mosquitto:
        yield mosquitto


@pytest.fixture
def private_broker(tmp_path: Path) -> Iterator[BrokerFactory]:
    """A function that starts a broker for this test alone, with the options of `Mosquitto`."""
    factory = BrokerFactory(tmp_path)
    yield factory
    factory.stop()


@pytest.fixture
def free_port() -> int:
    """A TCP port that nothing uses on the loopback interface."""
    return brokers.free_port()


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Logging is the whole process's: put it back as it was, pytest's own handlers included."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    formatters = {handler: handler.formatter for handler in handlers}
    root.handlers = []
    yield
    for logger in (root, logging.getLogger("janitoo")):
        for handler in logger.handlers:
            handler.close()
        logger.handlers = []
    root.handlers, root.level = handlers, level
    for handler, formatter in formatters.items():
        handler.setFormatter(formatter)
    logging.getLogger("pykka").setLevel(logging.NOTSET)
    structlog.reset_defaults()
