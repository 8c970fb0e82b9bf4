"""What can stand in the configuration file: options, and the sections that they are in.

A section of the server is a class with its options as attributes, and nothing else:

    class Network(Section):
        section = "network"
        help = "This server's part in the network"
        is_primary = Option(Bool(), default=False, help="Whether it keeps the map", applies=Applies.RESTART_SERVER)

Read from a file, `Network` has `is_primary: bool`. A driver declares its options in the same way, on its bus or
component. From these declarations come the check of a file, `jnt_collect`, the file of `janitoo config init`, and the
reference in `docs/reference.md`.

Immutable after their classes are made; any thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final, Generic, Protocol, Self, TypeVar, overload

from janitoo_actors.api.options import HIDDEN, Line, Maybe, OptionType, Text
from janitoo_actors.api.places import SecretPath

T = TypeVar("T")

INDEX: Final = "<index>"
"""What stands in the key of an option that has one line for each index."""
NAME: Final = "<name>"
"""What stands in the key of an option that has one line for each name."""
FILE_SUFFIX: Final = "_file"
ENV_SUFFIX: Final = "_env"

_INDEXED: Final = re.compile(r"_[0-9]{1,4}(?=(?:_file|_env)?$)")
_NAMED: Final = re.compile(r"(?<=\.).*$")


class Applies(StrEnum):
    """How a change of an option is applied to a running server."""

    IN_PLACE = "in_place"
    """It counts at once, and everything goes on."""
    RESTART_BUS = "restart_bus"
    """The bus that the option belongs to is restarted, no other; all of them, where it is the server's."""
    RESTART_SERVER = "restart_server"
    """It counts from the next start of the server."""


class _Missing:
    """What stands for a default that there is none of."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class Configured(Protocol):
    """What has options: a section, or a device."""

    def option(self, key: str) -> Any:
        """The data of an option, by its key."""


class Option(Generic[T]):
    """One option: `key = text`. As an attribute of a section or a device, its data.

    Attributes:
        key: as it is in the file. `<index>` in it stands for a number, `<name>` for a name.
        type: what the text may be.
        help: a sentence for people.
        default: the data where the file has nothing; MISSING where that depends, or where it must be there.
        default_text: what the default is, where it depends on something: "that of the bus".
        defaults: of an option with an index: the texts of 0, 1, … where the file has none.
        applies: how a change is applied to a running server.
        example: a text that it may have, for the file of `janitoo config init`.
        deprecated: what replaced it, or why it means nothing here; such an option is not read.
        of: the value whose instances may each have this option of a device for themselves: `<key>_<index>`. What the
            others have is the option `<key>`, which is another one.
    """

    def __init__(
        self,
        type: OptionType[T],
        *,
        help: str,
        default: T | _Missing = MISSING,
        default_text: str = "",
        defaults: Sequence[str] = (),
        applies: Applies = Applies.RESTART_BUS,
        key: str = "",
        example: str = "",
        deprecated: str = "",
        of: str = "",
    ) -> None:
        self.type = type
        self.help = help
        self.default = default
        self.default_text = default_text
        self.defaults = tuple(defaults)
        self.applies = applies
        self.key = f"{key}_{INDEX}" if of else key
        self.example = example
        self.deprecated = deprecated
        self.of = of

    def __set_name__(self, owner: type[Any], name: str) -> None:
        """Take the attribute's name as the key, where none is given."""
        self.key = self.key or name

    def __repr__(self) -> str:
        return f"<Option {self.key}: {self.type.name}>"

    @property
    def is_secret(self) -> bool:
        """Whether its text is a password."""
        return self.type.is_secret

    @property
    def is_required(self) -> bool:
        """Whether it must be in the file."""
        return isinstance(self.default, _Missing) and not self.default_text and not self.is_family

    @property
    def is_family(self) -> bool:
        """Whether it stands for many, by index or by name."""
        return INDEX in self.key or NAME in self.key

    @property
    def shown_default(self) -> str | None:
        """The default as a file has it, or in words; None where there is none. Never a password."""
        if self.default_text:
            return self.default_text
        if self.defaults and not self.is_secret:
            return ", ".join(self.defaults)
        if isinstance(self.default, _Missing) or self.default is None:
            return None
        return self.type.text(self.default)

    def lines(self) -> Iterator[tuple[str, str | None]]:
        """The keys that hold where the file has none of them, and their texts: one, or one for each index."""
        if not self.defaults:
            yield self.key, self.shown_default
        for index, text in enumerate(self.defaults):
            yield self.key.replace(INDEX, str(index)), HIDDEN if self.is_secret and text else text

    def with_default(self, default: T) -> Option[T]:
        """The same option with the default that it has in one place."""
        made = copy(self)
        made.default = default
        made.default_text = ""
        return made

    @overload
    def __get__(self, owner: None, kind: type[Any]) -> Self: ...
    @overload
    def __get__(self, owner: Configured, kind: type[Any]) -> T: ...
    def __get__(self, owner: Configured | None, kind: type[Any]) -> Self | T:
        """The data, on what has been read; the declaration, on its class."""
        if owner is None:
            return self
        data: T = owner.option(self.key)
        return data


def deprecated(instead: str) -> Option[str]:
    """An option of originals that nothing reads here.

    Args:
        instead: what replaced it, or why it means nothing; one sentence without a stop.
    """
    return Option(Line(), help=instead, default="", applies=Applies.IN_PLACE, deprecated=instead)


class Section:
    """What has been read of a section of the server. Subclasses declare its options.

    Attributes:
        section: its name in the file.
        title: what it is called in the reference; its name in brackets where it is empty.
        help: a sentence for people.
        options: what is declared, by key, with the companions of passwords.
        given: the keys that the file has, those of `[DEFAULT]` too.
    """

    section: ClassVar[str] = ""
    title: ClassVar[str] = ""
    help: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Option[Any]]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the options that are declared on the class and on those it inherits from."""
        super().__init_subclass__(**kwargs)
        own = (each for each in vars(cls).values() if isinstance(each, Option))
        cls.options = MappingProxyType({**cls.options, **by_key(own)})

    def __init__(self, data: Mapping[str, Any], given: Iterable[str] = ()) -> None:
        """Hold what has been read.

        Args:
            data: of every option that is no family, by key.
        """
        self._data = data
        self.given = frozenset(given)

    def option(self, key: str) -> Any:
        """The data of an option, by its key."""
        return self._data[key]

    def __eq__(self, other: object) -> bool:
        """Whether it is the same section with the same data."""
        return isinstance(other, Section) and type(other) is type(self) and self._data == other._data

    # As Python says that something has no hash; typeshed has it as a method only.
    __hash__ = None  # type: ignore[assignment]

    def check(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the options together: the key, and what was expected. None of them is wrong by itself."""
        yield from ()


def by_key(options: Iterable[Option[Any]]) -> dict[str, Option[Any]]:
    """The options by their keys, those of passwords with their companions `<key>_file` and `<key>_env`."""
    found: dict[str, Option[Any]] = {}
    for option in options:
        found[option.key] = option
        if option.is_secret:
            found.update((each.key, each) for each in _companions(option))
    return found


def option_of(options: Mapping[str, Option[Any]], key: str) -> Option[Any] | None:
    """The option that a key of a file belongs to, as `power_poll_0`, `pin_3`, `components.load`; None where none is."""
    found = options.get(key)
    if found is None:
        found = options.get(_INDEXED.sub(f"_{INDEX}", key)) or options.get(_NAMED.sub(NAME, key, count=1))
    return found


def _companions(option: Option[Any]) -> Iterator[Option[Any]]:
    yield Option(
        Maybe(SecretPath()),
        help=f"A file that {option.key} is in, alone on its first line",
        default=None,
        applies=option.applies,
        key=f"{option.key}{FILE_SUFFIX}",
        example=f"/etc/janitoo/{option.key.replace(INDEX, '0')}",
    )
    yield Option(
        Maybe(Text()),
        help=f"A variable of the environment that {option.key} is in",
        default=None,
        applies=option.applies,
        key=f"{option.key}{ENV_SUFFIX}",
        example=f"JANITOO_{option.key.replace(INDEX, '0').upper()}",
    )
