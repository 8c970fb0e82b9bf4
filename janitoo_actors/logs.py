"""The log: structlog events through Python's logging, so that `[loggers]`, `[handlers]`, `[formatters]` work.

Each event has a name in snake_case and what it is about: `path`, `bus`, `hadd`. On a terminal it is a line to read,
with `log_format = json` an object.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import dataclass
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

from janitoo_actors import log_watching as watching
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import LogFormat, ServerConfig
from janitoo_actors.errors import ConfigurationError


def configure(config: ServerConfig, log_format: LogFormat | None = None) -> None:
    """Set logging up for a server, or again for another configuration; a failure leaves it as it was.

    For one thread at a time.

    Args:
        log_format: instead of the file's `log_format`.

    Raises:
        ConfigurationError: where the file's `[loggers]`, `[handlers]`, `[formatters]` cannot be used.
    """
    chosen = log_format if log_format is not None else config.system.log_format
    _configure_structlog()
    before = _state_of_loggers()
    for name in _named:
        # Of an earlier configuration; the next one may not name them.
        _reset(logging.getLogger(name))
    if config.logging:
        # Where the handlers of original files write to; on a fresh machine nobody has made it. Where it cannot be made,
        # whoever wants to write there says so.
        with contextlib.suppress(OSError):
            config.system.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            _configure_from_file(config.ini, chosen)
        except ConfigurationError:
            for logger, handlers, level, propagate in before:
                logger.handlers[:] = handlers
                logger.setLevel(level)
                logger.propagate = propagate
            raise
        _named[:] = [each.get("qualname", "") for key, each in config.logging.items() if key.startswith("logger_")]
    else:
        _named.clear()
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_formatter(chosen, colours=sys.stderr.isatty() and not os.environ.get("NO_COLOR")))
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Pykka's own records of what supervisors report with more in it.
    logging.getLogger("pykka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Event:
    """A record of the log, on its way from the process of a bus to the server's."""

    logger: str
    level: int
    created: float
    message: Any

    def log(self) -> None:
        """Log it here. Any thread; blocks for the handlers."""
        logger = logging.getLogger(self.logger)
        if isinstance(self.message, dict):
            watching.tell(logging.getLevelName(self.level).lower(), self.message)
        if not watching.is_wanted(logger, self.level, self.message):
            return
        watching.handle(logger, self.level, self.message, created=self.created)


class _Sender(logging.Handler):
    """Tells the parent what is logged, instead of writing it."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, in words and numbers only."""
        event: Any = record.msg
        message = {key: _plain(item) for key, item in event.items()} if isinstance(event, dict) else self.format(record)
        self._tell(Event(record.name, record.levelno, record.created, message))


def configure_child(tell: Callable[[Any], None], level: int) -> None:
    """Set logging up in the process of a bus: every record goes to the parent, which writes the files."""
    _configure_structlog()
    logging.basicConfig(level=level, handlers=[_Sender(tell)], force=True)
    logging.getLogger("pykka").setLevel(logging.CRITICAL)


_named: Final[list[str]] = []
"""The loggers that the file has configured."""


def _state_of_loggers() -> list[tuple[logging.Logger, list[logging.Handler], int, bool]]:
    loggers = [logging.getLogger(), *(each for each in logging.root.manager.loggerDict.values())]
    return [
        (each, each.handlers[:], each.level, each.propagate) for each in loggers if isinstance(each, logging.Logger)
    ]


def _reset(logger: logging.Logger) -> None:
    if logger is not logging.root:
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def _plain(item: Any) -> Any:
    return item if item is None or isinstance(item, bool | int | float | str) else repr(item)


def _configure_structlog() -> None:
    structlog.configure(
        processors=[
            watching.note,
            watching.filter_by_path,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            watching.insist,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _configure_from_file(ini: IniFile, log_format: LogFormat) -> None:
    # Most files have no such sections, and it brings sockets and pickle with it.
    from logging.config import fileConfig

    path = ini.path
    parser = ConfigParser()
    try:
        # What was read, which need not be what is in the file now.
        parser.read_string("".join(ini.lines), str(path))
        fileConfig(parser, disable_existing_loggers=False)
    except Exception as error:
        # fileConfig evaluates the handlers' arguments: anything can come of that, sentences of several lines too.
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(
            f"{path}: [loggers], [handlers], [formatters]: Python's logging cannot use them: {why}"
        ) from error
    for handler in _handlers():
        given = handler.formatter
        if log_format is LogFormat.JSON or given is None:
            handler.setFormatter(_formatter(log_format, colours=False))
        else:
            handler.setFormatter(_WithEvent(given))


class _WithEvent(logging.Formatter):
    """A formatter of the file, which finds a structlog event in `%(message)s` as `event key=value …`."""

    def __init__(self, given: logging.Formatter) -> None:
        super().__init__()
        self._given = given

    def format(self, record: logging.LogRecord) -> str:
        """The record, as the file's formatter has it."""
        # What structlog hands to logging; its type is declared as text.
        event: Any = record.msg
        if isinstance(event, dict):
            # A copy: other handlers format the same record.
            record = logging.makeLogRecord(record.__dict__)
            record.msg = _line(dict(event))
            record.args = None
        return self._given.format(record)


def _line(event: dict[str, Any]) -> str:
    for key in ("timestamp", "level", "_record", "_from_structlog"):
        event.pop(key, None)
    name = event.pop("event", "")
    traceback = event.pop("traceback", "")
    rest = " ".join(f"{key}={value!r}" for key, value in event.items())
    return f"{name} {rest}".rstrip() + (f"\n{traceback}" if traceback else "")


def _formatter(log_format: LogFormat, *, colours: bool) -> logging.Formatter:
    foreign: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if log_format is LogFormat.JSON:
        rendered: list[Processor] = [_remove_meta, structlog.processors.JSONRenderer()]
    else:
        console = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24)
        rendered = [_remove_meta, _clock_only, _traceback_below, console]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=foreign, processors=rendered)


def _remove_meta(_logger: Any, _name: str, event: EventDict) -> EventDict:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(None, "", event)


def _clock_only(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """The time of day, for somebody who watches."""
    if "timestamp" in event:
        event["timestamp"] = str(event["timestamp"])[11:19]
    return event


def _traceback_below(_logger: Any, _name: str, event: EventDict) -> EventDict:
    """A traceback under its line, where the renderer expects an exception."""
    traceback = event.pop("traceback", "")
    if traceback:
        event["exception"] = traceback
    return event


def _handlers() -> list[logging.Handler]:
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    return list(dict.fromkeys(handler for logger in loggers for handler in logger.handlers))
