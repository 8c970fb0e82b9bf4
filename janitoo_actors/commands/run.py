"""`janitoo run FILE`: a server, from its file to its end."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from enum import IntEnum
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

import structlog

from janitoo_actors import logs
from janitoo_actors.commands.welcome import welcome
from janitoo_actors.configuration.ini import ConfigurationFileError
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import LogFormat, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.errors import ConfigurationError
from janitoo_actors.runtime.server import Server

STOP_TIMEOUT: Final = 4.5
"""Seconds for the buses to stop in order: with the end of the process, 5."""
SETTLE_TIMEOUT: Final = 3.0
"""Seconds that nodes have to come up before the summary is printed without them."""
_LOOK_EVERY: Final = 0.02
"""Seconds between two looks at the nodes, in the first moments only."""


class Exit(IntEnum):
    """The exit codes, as systemd knows them (`sysexits.h`)."""

    OK = 0
    SOFTWARE = 70
    CONFIG = 78


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the configuration file")
    parser.add_argument("--quiet", action="store_true", help="print no summary of the nodes after the start")
    parser.add_argument(
        "--log-format",
        type=LogFormat,
        choices=list(LogFormat),
        help="instead of log_format in [system]: console to read, json to process",
    )


def run(args: argparse.Namespace) -> int:
    """Run a server until a signal ends it. Blocks the main thread; returns the exit code.

    SIGINT, SIGTERM and SIGHUP end it in order, within 5 s; a second one at once.
    """
    config = _configured(args)
    if config is None:
        return Exit.CONFIG
    # One queue for all that ends the wait: `put` is safe in a signal's handler, where a lock could deadlock.
    wakeups: SimpleQueue[None] = SimpleQueue()
    signals = _Signals(wakeups)
    log = structlog.get_logger()
    server = Server(config, on_ended=lambda: wakeups.put(None))
    try:
        if not args.quiet and _log_format(args, config) is LogFormat.CONSOLE:
            _settle(server, signals, wakeups)
        while not signals.received and server.reason is None:
            wakeups.get()
    finally:
        reason = server.reason
        in_time = server.stop(STOP_TIMEOUT)
    if reason is not None:
        log.error("server_ended", error=str(reason))
        return Exit.SOFTWARE
    if not in_time:
        log.error("server_stopped_late", timeout=STOP_TIMEOUT)
    log.info("server_stopped", service=config.system.service)
    return Exit.OK


def _configured(args: argparse.Namespace) -> ServerConfig | None:
    """The configuration, with logging set up; None where there is nothing that could run, which has been told."""
    try:
        config = load(args.file, Registry.installed())
        logs.configure(config, args.log_format)
    except ConfigurationFileError as error:
        for problem in error.problems:
            print(f"janitoo: {problem}", file=sys.stderr)
        return None
    except ConfigurationError as error:
        print(f"janitoo: {error}", file=sys.stderr)
        return None
    log = structlog.get_logger()
    for problem in config.warnings:
        log.warning("configuration_odd", problem=str(problem))
    for problem in config.problems:
        log.error("configuration_wrong", problem=str(problem))
    if not config.buses and config.network is None:
        print(f"janitoo: {args.file}: there is no bus to start: see the errors above", file=sys.stderr)
        return None
    for bus in config.buses:
        for component in bus.components:
            if component.node.hadd_assigned:
                log.info(
                    "address_assigned",
                    bus=bus.section,
                    node=component.node.uuid,
                    hadd=str(component.node.hadd),
                    keep=f"[{component.node.uuid}] hadd = {component.node.hadd}",
                )
    return config


def _log_format(args: argparse.Namespace, config: ServerConfig) -> LogFormat:
    return args.log_format if args.log_format is not None else config.system.log_format


def _settle(server: Server, signals: _Signals, wakeups: SimpleQueue[None]) -> None:
    """Wait until the nodes are up, and print what there is."""
    due = time.monotonic() + SETTLE_TIMEOUT
    while not server.settled() and time.monotonic() < due:
        with contextlib.suppress(Empty):
            wakeups.get(timeout=_LOOK_EVERY)
        if signals.received or server.reason is not None:
            return
    print(welcome(server), flush=True)


class _Signals:
    """The signals that end the process. Made on the main thread."""

    def __init__(self, wakeups: SimpleQueue[None]) -> None:
        self.received = False
        self._wakeups = wakeups
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            # The second one: at once, without a word to the network; the wills speak.
            os._exit(128 + number)
        self.received = True
        self._wakeups.put(None)
