"""Who watches the log of this process, and the levels that somebody wants for single paths. Any thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from structlog.typing import EventDict

Listener = Callable[[str, Mapping[str, Any]], None]
"""Called with the level and the event, on the thread that logs: it must not block, nor log."""

_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
}
# Replaced, never changed in place: whoever logs reads them without a lock.
_listeners: tuple[Listener, ...] = ()
_levels: Mapping[str, int] = {}


def listen(listener: Listener) -> None:
    """Have a listener told of each event from now on, whatever the loggers' levels are."""
    global _listeners  # noqa: PLW0603 - one log for the process
    _listeners = (*_listeners, listener)


def leave(listener: Listener) -> None:
    """Tell it no more."""
    global _listeners  # noqa: PLW0603 - one log for the process
    _listeners = tuple(each for each in _listeners if each != listener)


def set_levels(levels: Mapping[str, int]) -> None:
    """Log these paths, and all below them, at a level of their own."""
    global _levels  # noqa: PLW0603 - one log for the process
    _levels = dict(levels)


def level_of(path: object) -> int | None:
    """The level that somebody wants for a path; None where nobody does."""
    levels = _levels
    if not levels or not isinstance(path, str):
        return None
    # The closest one counts.
    above = [each for each in levels if each in {"/", path} or path.startswith(f"{each}/")]
    return levels[max(above, key=len)] if above else None


def is_wanted(logger: logging.Logger, level: int, message: object) -> bool:
    """Whether a record of this level is to be handled."""
    wanted = level_of(message.get("path")) if isinstance(message, Mapping) else None
    return logger.isEnabledFor(level) if wanted is None else level >= wanted


def tell(level: str, event: Mapping[str, Any]) -> None:
    """Tell the listeners of an event."""
    for listener in _listeners:
        listener(level, event)


# -- processors of structlog -----------------------------------------------------------------------------------------


def note(_logger: Any, method: str, event: EventDict) -> EventDict:
    """Tell the listeners of an event that is not only for somebody who watches the log."""
    if _LEVELS.get(method, 0) > logging.DEBUG or level_of(event.get("path")) is not None:
        tell("error" if method == "exception" else method, event)
    return event


def filter_by_path(logger: Any, method: str, event: EventDict) -> EventDict:
    """As structlog's `filter_by_level`, but for the paths that have a level of their own."""
    wanted = level_of(event.get("path"))
    if wanted is None:
        return structlog.stdlib.filter_by_level(logger, method, event)
    if _LEVELS.get(method, logging.INFO) < wanted:
        raise structlog.DropEvent
    return event


def insist(logger: Any, method: str, event: EventDict) -> EventDict:
    """Hand an event to the handlers that its logger would not: somebody wants it."""
    level = _LEVELS.get(method, logging.INFO)
    if logger.isEnabledFor(level):
        return event
    handle(logger, level, dict(event))
    raise structlog.DropEvent


def handle(logger: logging.Logger, level: int, message: Any, **more: Any) -> None:
    """Have the handlers of a logger write a record, whatever the logger's own level is."""
    fields = {"name": logger.name, "levelno": level, "levelname": logging.getLevelName(level)}
    record = logging.makeLogRecord({**fields, **more, "msg": message})
    if isinstance(message, dict):
        # What tells structlog's formatter that it is one of its events.
        record.__dict__.update(_logger=None, _name=record.levelname.lower())
    logger.handle(record)
