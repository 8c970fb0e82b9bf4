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
from janitoo_actors.configuration.fallback import load_or_fall_back
from janitoo_actors.configuration.ini import ConfigurationFileError
from janitoo_actors.configuration.model import LogFormat, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.errors import ConfigurationError
from janitoo_actors.runtime.server import Server
from janitoo_actors.runtime_dir import AlreadyRunningError, ServerLock

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
    ALREADY_RUNNING = 75
    """Starting again helps when the other server has ended (EX_TEMPFAIL)."""
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
    parser.add_argument(
        "--last-good",
        action="store_true",
        help="where the file is broken, start with the last good copy of it, which the server keeps",
    )


def run(args: argparse.Namespace) -> int:
    """Run a server until a signal ends it. Blocks the main thread; returns the exit code.

    SIGINT, SIGTERM and SIGHUP end it in order, within 5 s; a second one at once.
    """
    try:
        config = load_or_fall_back(args.file, Registry.installed(), fall_back=args.last_good)
        lock = ServerLock(config.path, config.system)
    except ConfigurationFileError as error:
        for problem in error.problems:
            print(f"janitoo: {problem}", file=sys.stderr)
        return Exit.CONFIG
    except AlreadyRunningError as running:
        print(f"janitoo: {running}", file=sys.stderr)
        return Exit.ALREADY_RUNNING
    try:
        return _run(args, config, lock)
    finally:
        lock.release()


def _run(args: argparse.Namespace, config: ServerConfig, lock: ServerLock) -> int:
    try:
        logs.configure(config, args.log_format)
    except ConfigurationError as error:
        print(f"janitoo: {error}", file=sys.stderr)
        return Exit.CONFIG
    _tell(config, lock)
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


def _tell(config: ServerConfig, lock: ServerLock) -> None:
    """Log what is odd with the configuration, and with the start."""
    log = structlog.get_logger()
    if config.copy is not None:
        for problem in config.broken:
            log.error("configuration_wrong", problem=str(problem))
        log.warning(
            "last_good_copy_used",
            file=str(config.path),
            copy=str(config.copy.path),
            of=config.copy.date,
            detail="the file is broken: mend it and restart the server; nothing is written to it until then",
        )
    for problem in config.warnings:
        log.warning("configuration_odd", problem=str(problem))
    for problem in config.problems:
        log.error("configuration_wrong", problem=str(problem))
    if lock.problem:
        log.warning("server_not_seen", detail=lock.problem)
    if lock.namesake is not None:
        log.warning(
            "service_name_taken",
            service=config.system.service,
            by=str(lock.namesake),
            detail="write another service = … in [system] of one of the two",
        )
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
