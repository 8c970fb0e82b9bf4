"""The errors of the runtime: each says by its class whether trying again can help.

- `TemporaryError`: the world is not there right now (a sensor unplugged, a server down).
  The reader tries again, with back-off.
- `ConfigurationError`: a file or an argument is wrong. Trying again changes nothing; a person must.
- `PermanentError`: it cannot work on this machine (a library that is missing, a kernel without the interface).
"""

from __future__ import annotations


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
