"""Reading a section of the file by its schema. Every wrong option is collected, none ends the reading."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from janitoo_actors.api.places import SecretText
from janitoo_actors.api.schema import INDEX, MISSING, NAME, Option, Section, option_of
from janitoo_actors.configuration import secrets
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import Problem
from janitoo_actors.suggest import did_you_mean

S = TypeVar("S", bound=Section)

_INDEX: Final = re.compile(r"_([0-9]{1,4})$")
_NO_DEFAULTS: Final[Mapping[str, Any]] = MappingProxyType({})


class SectionReader:
    """The options of one section. Not thread-safe; blocks for the disk where a password is in a file of its own.

    Attributes:
        options: those of the section and of `[DEFAULT]`, as text; none where there is no such section. Passwords are in
            it from wherever they are, once `find_secrets` has been called.
    """

    def __init__(self, ini: IniFile, section: str, problems: list[Problem], warnings: list[Problem]) -> None:
        """Get ready to read a section.

        Args:
            problems: what is wrong is appended here.
            warnings: what is odd and does no harm is appended here.
        """
        self.options = ini.options(section)
        self._ini = ini
        self._section = section
        self._problems = problems
        self._warnings = warnings

    def read(self, kind: type[S], defaults: Mapping[str, Any] = _NO_DEFAULTS, *, skip: Collection[str] = ()) -> S:
        """The section; where an option is missing or wrong, the default stands (None, where there is no default).

        Args:
            defaults: those that depend on the place, by key.
            skip: keys that the caller reads itself.
        """
        self.find_secrets(kind.options)
        data: dict[str, Any] = {}
        for key, option in kind.options.items():
            if option.is_family or key in skip:
                continue
            default = defaults.get(key, option.default)
            data[key] = None if default is MISSING else default
            text = None if option.deprecated else self.options.get(key)
            if text is not None:
                data[key] = self._parsed(option, key, text, data[key])
            elif default is MISSING:
                self.wrong(key, f"missing: expected {option.type.allowed}")
        section = kind(data, self.options)
        for key, expected in section.check():
            self.wrong(key, expected, secret=kind.options[key].is_secret or None)
        return section

    def _parsed(self, option: Option[Any], key: str, text: str, default: Any) -> Any:
        try:
            return option.type.parse(text, self._ini.path.parent.absolute())
        except ValueError as error:
            self.wrong(key, str(error), secret=option.is_secret or None)
            return default

    def find_secrets(self, options: Mapping[str, Option[Any]]) -> None:
        """Put the passwords into `options` that are in files and in the environment, and hide all of them.

        The password itself comes before its `_file`, and that before its `_env`: what is written over the air counts.
        """
        if not _has_secrets(options):
            return
        found = (secrets.companion_of(options, key) for key in tuple(self.options))
        companions = sorted((each for each in found if each is not None), key=lambda each: not each.in_file)
        for each in companions:
            text = self.options.pop(each.key)
            if not text.strip():
                continue
            if self.options.get(each.secret, "").strip():
                self._warn(each.key, f"it is not read, as {each.secret} is there already: remove one of the two")
                continue
            try:
                self.options[each.secret] = SecretText(self._secret(each, text))
            except ValueError as error:
                self._problems.append(self._ini.problem(self._section, each.key, str(error), secret=False))
        for key, text in self.options.items():
            option = option_of(options, key)
            if option is not None and option.is_secret:
                self.options[key] = SecretText(text)

    def _secret(self, companion: secrets.Companion, text: str) -> str:
        if not companion.in_file:
            return secrets.from_environment(text)
        path = secrets.secret_path(text, self._ini.path.parent.absolute())
        password = secrets.from_file(path)
        if secrets.open_to_everybody(path):
            self._warn(companion.key, f"every user of this machine can read that file: chmod o-r {path}")
        return password

    def unread(self, options: Mapping[str, Option[Any]], what: str, others: Iterable[str] = ()) -> None:
        """Warn of keys of the section that are in no schema, and of those that mean nothing any more.

        Args:
            options: the schema of the section.
            what: "this key", or "this option of nut.ups".
            others: the start of keys that are read by somebody else.
        """
        for key in self._ini.sections.get(self._section, {}):
            option = option_of(options, key)
            if option is None:
                match = _INDEX.search(key)
                index = match[1] if match is not None else "0"
                known = [each.replace(INDEX, index) for each in options if NAME not in each]
                hint = did_you_mean(key, [*known, *others])
                self._warn(key, f"nothing reads {what}{hint}")
            elif option.deprecated:
                self._warn(key, f"nothing reads this key of original servers: {option.deprecated}")

    def exposed(self, options: Mapping[str, Option[Any]]) -> list[str]:
        """The keys of the section whose passwords are in the file itself."""
        own = self._ini.sections.get(self._section, {}) if _has_secrets(options) else {}
        return [key for key, text in own.items() if text.strip() and _is_secret(option_of(options, key))]

    def wrong(self, key: str, expected: str, *, secret: bool | None = None) -> None:
        """Note a problem with an option."""
        self._problems.append(self._ini.problem(self._section, key, expected, secret=secret))

    def _warn(self, key: str, text: str) -> None:
        # Without the value: a misspelt broker_password has a password.
        self._warnings.append(self._ini.problem(self._section, key, text, show=False))


def _has_secrets(options: Mapping[str, Option[Any]]) -> bool:
    # Most sections have none, and there may be a thousand of them.
    return any(option.type.is_secret for option in options.values())


def _is_secret(option: Option[Any] | None) -> bool:
    return option is not None and option.is_secret
