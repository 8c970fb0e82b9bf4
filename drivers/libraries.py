"""Hardware libraries, imported when a bus is opened, and not before."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from janitoo_actors.api import PermanentError
from janitoo_actors.configuration.extras import how_to_install


def library(module: str, oid: str) -> ModuleType:
    """A library that a driver needs. On the bus's thread; blocks for the disk.

    Args:
        oid: of the bus or component that needs it.

    Raises:
        PermanentError: it is not installed, or does not work on this machine; with what to do.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise PermanentError(f"the library {module} cannot be imported: {error}") from error
        raise PermanentError(f"the library {module} is not installed: {how_to_install(oid)}") from error
    except (ImportError, RuntimeError) as error:
        # Such libraries look at the machine when they are imported.
        raise PermanentError(f"the library {module} does not work on this machine: {error}") from error
