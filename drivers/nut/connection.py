"""The questions about one UPS to its NUT server, by nut2; and what goes wrong, in our own terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from drivers.nut.line import Line, plain
from janitoo_actors.api import ConfigurationError, PermanentError, TemporaryError
from janitoo_actors.errors import JanitooError

T = TypeVar("T")

_ERR: Final = "ERR"
_DENIED: Final = frozenset({"ERR ACCESS-DENIED", "ERR USERNAME-REQUIRED", "ERR PASSWORD-REQUIRED"})
_NO_VARIABLE: Final = "ERR VAR-NOT-SUPPORTED"
_STATUS: Final = "ups.status"
_PROBE: Final = "janitoo.probe"
"""A variable that no UPS has."""
_MOST_SHOWN: Final = 40


class ServerLostError(TemporaryError):
    """The server itself does not answer."""


class DeniedError(ConfigurationError):
    """The server does not take the user and the password for what is asked."""


@dataclass(frozen=True, slots=True)
class Server:
    """A NUT server, as it is configured.

    Attributes:
        timeout: seconds to connect, and for each answer.
        user, password: for commands.
    """

    host: str
    port: int
    timeout: float
    user: str | None = None
    password: str | None = None

    def __str__(self) -> str:
        """For people."""
        return f"the NUT server at {self.host}:{self.port}"


class Connection:
    """A connection for one UPS, made when it is needed, and dropped when an answer does not come, or is none.

    One thread at a time; only `abort` is for another one. A question blocks for three timeouts at most where it has to
    connect, and for two where not.

    Args:
        nut2: the module.
        ups: the name of the UPS on the server.
    """

    def __init__(self, nut2: Any, server: Server, ups: str) -> None:
        self.server = server
        self.ups = ups
        self._nut2 = nut2
        self._line: Line | None = None
        self._client: Any = None
        self._aborted = False

    # -- questions -----------------------------------------------------------------------------------------------

    def variables(self) -> dict[str, str]:
        """What the UPS says, by the names of NUT.

        Raises:
            ServerLostError: the server does not answer, or with what is no answer.
            TemporaryError: its driver is not there, or does not hear the UPS.
            ConfigurationError: the server has no such UPS.
        """
        found = self._asked(lambda client: client.list_vars(self.ups))
        return {plain(name): plain(text).strip() for name, text in found.items()}

    def status(self) -> str | None:
        """The status alone, which is one short line; None where it has none. As `variables`."""

        def ask(client: Any) -> str | None:
            try:
                return plain(client.get_var(self.ups, _STATUS))
            except self._nut2.PyNUTError as error:
                if str(error) != _NO_VARIABLE:
                    raise
                return None

        return self._asked(ask)

    def run(self, command: str) -> None:
        """Have the server pass an instant command on to the driver of the UPS.

        Raises:
            DeniedError: this user may not.
            PermanentError: the UPS has no such command.
            TemporaryError, ConfigurationError: as `variables`.
        """

        def ask(client: Any) -> None:
            try:
                client.run_command(self.ups, command)
            except self._nut2.PyNUTError as error:
                if str(error) in _DENIED:
                    raise DeniedError(
                        f"{self.server} does not let {self._who} give {command}: expected a user of upsd.users with "
                        f"instcmds = {command}, and that user's password (user, password)"
                    ) from error
                if str(error) == "ERR CMD-NOT-SUPPORTED":
                    raise PermanentError(f"the UPS {self.ups} has no command {command}") from error
                raise

        self._asked(ask)

    def check_user(self) -> None:
        """See whether the server takes the user and the password, without having it do anything.

        It takes any when a client connects, and looks at them when something is to be done. So it is asked to set a
        variable that there is not: who may set some is told that there is none.

        Raises:
            DeniedError: it does not take them, or the user may set no variables: it does not say which.
            TemporaryError, ConfigurationError: as `variables`.
        """

        def ask(client: Any) -> None:
            try:
                client.set_var(self.ups, _PROBE, "0")
            except self._nut2.PyNUTError as error:
                if str(error) in _DENIED:
                    raise DeniedError(
                        f"{self.server} does not take {self._who}: the user or the password is wrong, or the user "
                        "has no `actions = SET` in upsd.users (user, password; check_user = False does without)"
                    ) from error
                if not str(error).startswith(_ERR):
                    raise

        self._asked(ask)

    # -- the connection ------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """End the connection, where there is one. Does not wait for the server."""
        client, self._client = self._client, None
        if client is not None:
            # It would say goodbye when it is deleted.
            client._srv_handler = None
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def abort(self) -> None:
        """Have the question at hand fail, and all that follow. Any thread; never blocks."""
        self._aborted = True
        line = self._line
        if line is not None:
            line.abort()

    def _asked(self, question: Callable[[Any], T]) -> T:
        try:
            if self._client is None:
                self._client = self._connected()
            return question(self._client)
        except self._nut2.PyNUTError as error:
            if not str(error).startswith(_ERR):
                self.drop()
            raise self._explanation(str(error)) from error
        except JanitooError as error:
            if isinstance(error, ServerLostError):
                self.drop()
            raise
        except TimeoutError as error:
            # The answer may still come: it would be taken for that of the next question.
            self.drop()
            raise ServerLostError(f"{self.server} has not answered within {self.server.timeout:g} s") from error
        except (EOFError, OSError) as error:
            self.drop()
            raise ServerLostError(f"{self.server} has ended the connection") from error
        except (ValueError, IndexError) as error:
            # nut2 expects no other answers than those of a NUT server.
            self.drop()
            raise ServerLostError(f"{self.server} answers what is no answer: {_short(str(error))}") from error

    def _connected(self) -> Any:
        line = Line(self.server.timeout)
        # First this, then the look: see `Line`.
        self._line = line
        if self._aborted:
            raise ServerLostError(f"{self.server} is not asked any more")
        try:
            line.connect(self.server.host, self.server.port)
        except TimeoutError:
            raise
        except OSError as error:
            why = error.strerror or str(error)
            raise ServerLostError(f"there is no {str(self.server)[4:]}: {why}; is it running? (host, port)") from error
        # Without user and password: the library writes what it is made with into the log, and quotes nothing.
        client = self._nut2.PyNUTClient(self.server.host, self.server.port, timeout=self.server.timeout, connect=False)
        for word, text in (("USERNAME", self.server.user), ("PASSWORD", self.server.password)):
            if text is not None:
                line.sendall(f"{word} {_quoted(text)}\n".encode())
                answer = line.read_until(b"\n").decode().strip()
                if answer != "OK":
                    raise self._nut2.PyNUTError(answer)
        client._srv_handler = line
        # As nut2-notl has it, the stand-in of nut2 on later Pythons.
        client._read_until = line.read_until
        return client

    def _explanation(self, said: str) -> JanitooError:
        match said:
            case "ERR UNKNOWN-UPS":
                names = self._names()
                has = f"expected {names}" if names else "expected one that `upsc -l` lists"
                return ConfigurationError(f"{self.server} has no UPS {self.ups!r}: {has} (ups)")
            case "ERR DATA-STALE":
                return TemporaryError(f"the data of {self.ups} are stale: its driver hears nothing of it")
            case "ERR DRIVER-NOT-CONNECTED":
                return TemporaryError(f"the driver of {self.ups} is not running on the server")
            case _ if said in _DENIED:
                return ConfigurationError(f"{self.server} does not let this machine in: {said}")
            case _ if said.startswith(_ERR):
                return TemporaryError(f"{self.server} says {_short(said)}")
            case _:
                return ServerLostError(f"{self.server} answers what is no answer: {_short(said)}")

    def _names(self) -> str:
        """The names that the server has, for who has a wrong one; nothing where it does not say."""
        try:
            return ", ".join(sorted(plain(name) for name in self._client.list_ups()))
        except (self._nut2.PyNUTError, EOFError, OSError, ValueError, IndexError):
            # It is only a hint: that the name is wrong is known.
            self.drop()
            return ""

    @property
    def _who(self) -> str:
        return "nobody" if self.server.user is None else f"the user {self.server.user!r}"


def _quoted(text: str) -> str:
    """A word of the protocol, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _short(text: str) -> str:
    shown = repr(plain(text.strip()))
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"
