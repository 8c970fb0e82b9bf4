"""Passwords that are not in the configuration file, and who may read those that are.

Blocks for the disk; any thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from janitoo_actors.api.places import SecretPath
from janitoo_actors.api.schema import ENV_SUFFIX, FILE_SUFFIX, Option, option_of

_LONGEST: Final = 65536
"""Bytes of a file with a password that are read at most: it is one line, and not a disk."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A key that says where a password is.

    Attributes:
        key: as `broker_password_file`.
        secret: the key of the password, as `broker_password`.
        in_file: whether it names a file, or else a variable of the environment.
    """

    key: str
    secret: str
    in_file: bool


def companion_of(options: Mapping[str, Option[Any]], key: str) -> Companion | None:
    """What a key is to a password; None where it is nothing of the kind."""
    for suffix in (FILE_SUFFIX, ENV_SUFFIX):
        if key.endswith(suffix):
            secret = key.removesuffix(suffix)
            option = option_of(options, secret)
            if option is not None and option.is_secret:
                return Companion(key, secret, suffix == FILE_SUFFIX)
    return None


def secret_path(text: str, folder: Path) -> Path:
    """The file that a `<key>_file` names. ValueError where it names none."""
    return SecretPath().parse(text, folder)


def from_file(path: Path) -> str:
    """The password in a file: its first line, without white space around it.

    Raises:
        ValueError: where there is none; the message says what was expected.
    """
    try:
        # Not blocking: somebody may have named a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"expected a file with the password: {path} is no file")
            line = file.readline(_LONGEST).decode("utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"expected a file with the password: {path}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise ValueError(f"expected a file with the password in UTF-8: {path} is none") from None
    if not line:
        raise ValueError(f"expected the password in the first line of {path}: it is empty")
    return line


def from_environment(text: str) -> str:
    """The password in a variable of the environment.

    Raises:
        ValueError: where there is none; the message says what was expected.
    """
    name = text.strip()
    password = os.environ.get(name, "").strip() if name and "=" not in name and "\0" not in name else ""
    if not password:
        raise ValueError(
            "expected the name of a variable of the environment: there is none of that name, or it is empty"
        )
    return password


def open_to_everybody(path: Path) -> bool:
    """Whether every user of the machine may read a file. False where that cannot be said."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
