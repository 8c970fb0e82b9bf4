"""What asks the server of one UPS, again and again, so that nobody else waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from drivers.nut.connection import Connection, DeniedError, ServerLostError
from janitoo_actors.api import Background, ConfigurationError, NotDoneError, TemporaryError
from janitoo_actors.errors import JanitooError

LISTED: Final = 5.0
"""Seconds for which all that a UPS says but its status counts. As often as upsmon looks."""
_RETRIED: Final = 5.0
"""Seconds between two tries to reach a server that is lost, at most."""
_RECHECKED: Final = 30.0
"""Seconds between two looks at a user that was not taken: upsd.users may have been mended."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a UPS now.

    Attributes:
        variables: all that it says, by the names of NUT; empty where that is not known.
        error: why it is not known; None where it is.
        denied: why the user and the password are not taken; None where they are, or nobody has looked.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    error: JanitooError | None = None
    denied: ConfigurationError | None = None

    @property
    def answers(self) -> bool:
        """Whether the server does, be it with an error."""
        return not isinstance(self.error, ServerLostError)


class Watcher:
    """Watches one UPS in the background, from `start` to `stop`: a server that hangs keeps this one waiting only.

    It asks for the status every so often, which is one short line, and lists all variables when that has changed, and
    every 5 s.

    Args:
        every: seconds between two looks at the status.
        check_user: whether to see at each connection if the server takes the user.
        told: called with what was known and what is known now, in the background.
    """

    def __init__(
        self, connection: Connection, *, every: float, check_user: bool, told: Callable[[Heard, Heard], None]
    ) -> None:
        self._connection = connection
        self._every = every
        self._check_user = check_user
        self._told = told
        self._heard = Heard(error=ServerLostError(f"{connection.server} has not answered yet"))
        self._is_missed = False
        self._due = 0.0
        self._background = Background(f"nut {connection.ups}", self._look, abort=connection.abort, end=connection.drop)
        # Of the background alone.
        self._listed_at: float | None = None
        self._checked_at: float | None = None
        self._failures = 0

    def start(self) -> None:
        """Begin. The first answer is waited for from now on."""
        self._due = time.monotonic() + self._connection.server.timeout
        self._background.start()

    def stop(self) -> None:
        """End, with what is under way. Blocks for a second at most, where a name server does not answer."""
        self._background.stop()

    # -- for the bus's thread ------------------------------------------------------------------------------------

    def heard(self) -> Heard:
        """What is known now. Blocks only before the first answer, for the timeout since the start at most.

        Raises:
            BusLostError: the watcher has a bug; the bus that follows has another one.
        """
        if not self._background.wait(max(self._due - time.monotonic(), 0)):
            self._is_missed = True
        return self._heard

    def run(self, command: str) -> None:
        """Have the server pass an instant command on. Blocks for two timeouts at most, and not where it is lost.

        Raises:
            TemporaryError, ConfigurationError, PermanentError: as `Connection.run`; or the server is busy or lost.
        """
        known = self.heard()
        if known.error is not None:
            raise type(known.error)(str(known.error))
        server, limit = self._connection.server, 2 * self._connection.server.timeout
        try:
            self._background.run(lambda: self._give(command), limit)
        except NotDoneError as error:
            what = f"whether {command} was given is not known" if error.begun else f"{command} was not given"
            raise TemporaryError(f"{server} has not answered within {limit:g} s: {what}") from None

    # -- in the background ---------------------------------------------------------------------------------------

    def _give(self, command: str) -> None:
        try:
            self._connection.run(command)
        except DeniedError as error:
            if self._check_user:
                # It may be this command alone that the user may not give.
                self._checked_at = None
            else:
                self._keep(replace(self._heard, denied=error))
            raise
        # Whatever was wrong with the user is not any more.
        self._keep(replace(self._heard, denied=None))

    def _look(self) -> float:
        """Ask once; seconds until the next time."""
        try:
            heard = self._asked()
        except JanitooError as error:
            heard = Heard(error=error, denied=self._heard.denied)
            self._listed_at = None
        self._failures = 0 if heard.answers else self._failures + 1
        if not heard.answers:
            self._checked_at = None
        self._keep(heard)
        if self._failures == 0:
            return self._every
        return max(self._every, min(self._every * 2.0 ** min(self._failures - 1, 8), _RETRIED))

    def _asked(self) -> Heard:
        now = time.monotonic()
        variables = self._heard.variables
        is_known = self._listed_at is not None and now - self._listed_at < LISTED
        if not is_known or self._connection.status() != variables.get("ups.status"):
            variables = self._connection.variables()
            self._listed_at = now
        return Heard(variables, denied=self._denied(now))

    def _denied(self, now: float) -> ConfigurationError | None:
        denied = self._heard.denied
        if not self._check_user:
            return denied
        if self._checked_at is not None and (denied is None or now - self._checked_at < _RECHECKED):
            return denied
        self._checked_at = now
        try:
            self._connection.check_user()
        except DeniedError as error:
            return error
        return None

    def _keep(self, heard: Heard) -> None:
        before, self._heard = self._heard, heard
        # Otherwise whoever waits for the first answer has it now.
        if self._background.has_looked or self._is_missed:
            self._told(before, heard)
