"""How options of the configuration are declared."""

from __future__ import annotations

from enum import StrEnum


class Applies(StrEnum):
    """How a change of an option is applied to a running server."""

    IN_PLACE = "in_place"
    """It counts at once, and everything goes on."""
    RESTART_BUS = "restart_bus"
    """The bus that the option belongs to is restarted, no other."""
    RESTART_SERVER = "restart_server"
    """It counts from the next start of the server."""
