"""The errors of the runtime: each says by its class whether trying again can help.

- `TemporaryError`: the world is not there right now (a sensor unplugged, a server down).
  The reader tries again, with back-off.
- `ConfigurationError`: a file or an argument is wrong. Trying again changes nothing; a person must.
- `PermanentError`: it cannot work on this machine (a library that is missing, a kernel without the interface).
"""

from __future__ import annotations

import traceback


class JanitooError(Exception):
    """Any error that the runtime raises on purpose."""


class TemporaryError(JanitooError, OSError):
    """Something in the world did not work this time; a later try may."""


class BusLostError(TemporaryError):
    """The bus itself is gone (its adapter, its server), so that no read of any of its components can work.

    Raised from a read or a write, it ends the bus, which is then restarted with back-off.
    """


class PermanentError(JanitooError, RuntimeError):
    """Something that cannot work here, however often it is tried."""


class ConfigurationError(JanitooError, ValueError):
    """Something that a person wrote is wrong."""


def said(error: BaseException) -> str:
    """What an exception says, for people; with its name where that is needed to understand it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - somebody's __str__ has a bug; that must not be worse than the error itself
        text = "it fails to say what is wrong"
    # Our own exceptions and the system's are sentences; anybody else's need their name.
    if text and isinstance(error, JanitooError | OSError):
        return text
    return f"{type(error).__name__}: {text or 'without a word'}"


def bug(error: BaseException) -> dict[str, str]:
    """Where a bug is, for the log: its `traceback`; nothing for what is wrong in the world or in the configuration."""
    if isinstance(error, JanitooError | OSError):
        return {}
    return {"traceback": "".join(traceback.format_exception(error))}
