"""Types of options that say where something is, and passwords: as those of `options`."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Final

from janitoo_actors.api.options import HIDDEN, OptionType, Whole
from janitoo_actors.api.types import one_line

_LABEL: Final = r"[^\W_](?:[\w-]{0,61}[^\W_])?|_[\w-]{1,62}"
_LONGEST_HOST: Final = 253
_CREDENTIALS: Final = "${CREDENTIALS_DIRECTORY}"


class SecretText(str):
    """A password: a text that does not show itself where somebody prints what holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        """No password in a log or a traceback."""
        return f"'{HIDDEN}'"


class Port(Whole):
    """The number of a TCP or UDP port."""

    name = "port"

    def __init__(self) -> None:
        super().__init__(1, 65535)


class Host(OptionType[str]):
    """The name or the address of a machine."""

    name = "host"

    @property
    def allowed(self) -> str:
        return "the name or the address of a machine, as 192.168.1.4 or pi.example.org"

    def parse(self, text: str, folder: Path = Path()) -> str:  # noqa: ARG002 - it has no paths
        host = one_line(text)
        try:
            ipaddress.ip_address(host.removeprefix("[").removesuffix("]") if host.startswith("[") else host)
            return host
        except ValueError:
            labels = host.removesuffix(".").split(".")
            # With a number at its end it is an address, and a wrong one.
            is_name = all(re.fullmatch(_LABEL, label) for label in labels) and not labels[-1].isdecimal()
            if is_name and len(host) <= _LONGEST_HOST:
                return host
        if "://" in host or (host.count(":") == 1 and host.partition(":")[2].isdecimal()):
            raise self.refused("; a port and a protocol have keys of their own") from None
        raise self.refused()


class FilePath(OptionType[Path]):
    """A path; a relative one starts at the folder of the file, and `~` is the home of the user that runs the server."""

    name = "path"

    @property
    def allowed(self) -> str:
        return "a path"

    def parse(self, text: str, folder: Path = Path()) -> Path:
        line = one_line(text)
        if not line:
            raise self.refused()
        return folder / os.path.expanduser(line)

    def located(self, text: str, folder: Path) -> str:
        return str(folder / os.path.expanduser(text.strip())) if text.strip() else text

    def text(self, data: Any) -> str:
        text = str(data)
        # What would be taken for the home, or cut off as white space around the text.
        text = text if text == text.lstrip() and not text.startswith("~") else f"./{text}"
        return text if text == text.rstrip() else f"{text}/."


class SecretPath(FilePath):
    """The path of a file with a password.

    `${CREDENTIALS_DIRECTORY}` at its start is the folder in which systemd puts what `LoadCredential=` names.
    """

    @property
    def allowed(self) -> str:
        return "the path of a file with the password alone on its first line"

    def parse(self, text: str, folder: Path = Path()) -> Path:
        line = one_line(text)
        if line.startswith(_CREDENTIALS):
            credentials = os.environ.get("CREDENTIALS_DIRECTORY")
            if not credentials:
                raise ValueError(f"expected LoadCredential= in the unit of systemd: there is no {_CREDENTIALS} here")
            return Path(credentials + line.removeprefix(_CREDENTIALS))
        return super().parse(text, folder)

    def located(self, text: str, folder: Path) -> str:
        return text if text.strip().startswith(_CREDENTIALS) else super().located(text, folder)

    def text(self, data: Any) -> str:
        text = super().text(data)
        return f"./{text}" if text.startswith("$") else text


class DevicePath(FilePath):
    """The absolute path of a device or of a folder of the system, as `/dev/ttyUSB0`."""

    @property
    def allowed(self) -> str:
        return "an absolute path, as /dev/ttyUSB0"

    def parse(self, text: str, folder: Path = Path()) -> Path:
        path = super().parse(text, folder)
        # Whatever folder there is: a driver knows of none.
        if not os.path.expanduser(one_line(text)).startswith("/"):
            raise self.refused()
        return path

    def located(self, text: str, folder: Path) -> str:  # noqa: ARG002 - one that is relative is refused
        return text


class Secret(OptionType[SecretText | None]):
    """A password; None where it is empty. It is shown to nobody.

    Each option of this type has two more beside it: `<key>_file`, a file that the password is in, and `<key>_env`, a
    variable of the environment.
    """

    name = "password"
    is_secret = True

    @property
    def allowed(self) -> str:
        return "a text of one line"

    def parse(self, text: str, folder: Path = Path()) -> SecretText | None:  # noqa: ARG002 - it has no paths
        return SecretText(line) if (line := one_line(text)) else None

    def text(self, data: Any) -> str:
        return "" if data is None else str(data)
