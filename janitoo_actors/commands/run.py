"""`janitoo run FILE`: a server, from its file to its end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from enum import IntEnum
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from janitoo_actors import logs
from janitoo_actors.commands.wakeups import Wakeups
from janitoo_actors.commands.welcome import welcome
from janitoo_actors.configuration.fallback import load_or_fall_back
from janitoo_actors.configuration.ini import ConfigurationFileError
from janitoo_actors.configuration.model import LogFormat, ServerConfig
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.control.server import ControlServer
from janitoo_actors.control.standard import standard_requests
from janitoo_actors.control.wire import SOCKET
from janitoo_actors.errors import ConfigurationError, JanitooError, said
from janitoo_actors.runtime.reload import ReloadRefusedError
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

    SIGINT and SIGTERM end it in order, within 5 s; a second one at once. SIGHUP has it read its file again.
    """
    # Until it can be handled: the file is about to be read anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
    with Wakeups() as wakeups:
        return _run_until_ended(args, config, lock, wakeups)


def _run_until_ended(args: argparse.Namespace, config: ServerConfig, lock: ServerLock, wakeups: Wakeups) -> int:
    signals = _Signals()
    log = structlog.get_logger()
    server = Server(
        config,
        on_ended=wakeups.wake,
        apply_logging=partial(logs.configure, log_format=args.log_format),
    )
    control: ControlServer | None = None
    try:
        control = _open_control(server, lock)
        if not args.quiet and _log_format(args, config) is LogFormat.CONSOLE:
            _settle(server, signals, wakeups)
        while not _ends(server, signals):
            wakeups.wait()
    finally:
        if control is not None:
            control.close()
        reason = server.reason
        in_time = server.stop(STOP_TIMEOUT)
    if reason is not None:
        log.error("server_ended", error=str(reason))
        return Exit.SOFTWARE
    if not in_time:
        log.error("server_stopped_late", timeout=STOP_TIMEOUT)
    log.info("server_stopped", service=server.config.system.service)
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
            detail="the file is broken: mend it and reload it; nothing is written to it until then",
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


def _open_control(server: Server, lock: ServerLock) -> ControlServer | None:
    """Open the control socket. Without one the server runs all the same, and the log says why there is none."""
    try:
        return ControlServer(server, lock.server.path(SOCKET), standard_requests())
    except OSError as error:
        structlog.get_logger().warning("control_unavailable", path="/control", error=said(error))
        return None


def _ends(server: Server, signals: _Signals) -> bool:
    """Whether the server is to end, or has; a reload that is wanted is begun meanwhile."""
    if signals.take_hangup():
        # On a thread of its own: a signal that ends the server must not wait for it.
        threading.Thread(target=_reload, args=(server,), name="reload", daemon=True).start()
    return signals.received or server.reason is not None


def _reload(server: Server) -> None:
    try:
        server.reload("SIGHUP")
    except ReloadRefusedError:
        # It has been logged, with everything that is wrong.
        return
    except JanitooError as error:
        structlog.get_logger().error("reload_failed", source="SIGHUP", error=said(error))


def _settle(server: Server, signals: _Signals, wakeups: Wakeups) -> None:
    """Wait until the nodes are up, and print what there is."""
    due = time.monotonic() + SETTLE_TIMEOUT
    while not server.settled() and time.monotonic() < due:
        wakeups.wait(_LOOK_EVERY)
        if _ends(server, signals):
            return
    print(welcome(server), flush=True)


class _Signals:
    """The signals of the process. Made on the main thread.

    Attributes:
        received: whether one has come that ends it.
    """

    def __init__(self) -> None:
        self.received = False
        self._hung_up = False
        self._on_terminal = _has_terminal()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        signal.signal(signal.SIGHUP, self._handle_hangup)

    def take_hangup(self) -> bool:
        """Whether a reload is wanted, since the last time that this was asked."""
        if not self._hung_up:
            return False
        self._hung_up = False
        if self._on_terminal and not _has_terminal():
            # Somebody has closed the terminal that it was started on: nobody would ever see it again.
            self.received = True
            return False
        return True

    def _handle_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self._hung_up = True

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.received:
            # The second one: at once, without a word to the network; the wills speak.
            os._exit(128 + number)
        self.received = True


def _has_terminal() -> bool:
    """Whether the process has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
