"""What holds for every key of a server, and where that comes from: `janitoo config show`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from janitoo_actors.api.options import HIDDEN
from janitoo_actors.api.schema import ENV_SUFFIX, FILE_SUFFIX, INDEX, NAME, Option, option_of
from janitoo_actors.api.values import InstanceType
from janitoo_actors.configuration import secrets
from janitoo_actors.configuration.ini import IniFile
from janitoo_actors.configuration.model import BusConfig, NodeConfig, ServerConfig
from janitoo_actors.configuration.schema import SERVER_SECTIONS, options_of
from janitoo_actors.configuration.system import SystemSection


class Origin(StrEnum):
    """Where a value comes from."""

    FILE = "file"
    DEFAULT_SECTION = "default_section"
    SECRET_FILE = "secret_file"
    ENVIRONMENT = "environment"
    BUS = "bus"
    ASSIGNED = "assigned"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Effective:
    """One key, and what holds for it.

    Attributes:
        key: as the file has it, or would.
        text: what holds, as the file would have it; `***` for a password, None where there is nothing.
        where: the place, for people: `my.conf:12`, `[hostsensor]`, `default`.
        line: in the file, from 1; None where it is not from there.
        option: what the key is.
    """

    key: str
    text: str | None
    origin: Origin
    where: str
    line: int | None
    option: Option[Any]


def effective(config: ServerConfig, ini: IniFile) -> Iterator[tuple[str, list[Effective]]]:
    """Every section of a server with its keys, in the order of the schema. Any thread; does not block.

    Args:
        ini: the file that it was loaded from.
    """
    for kind in SERVER_SECTIONS:
        if kind.section == SystemSection.section or kind.section in ini.sections:
            shown = _Shown(config, ini, kind.section)
            shown.defaults = {"service": config.system.service}
            yield kind.section, list(shown.all())
    for bus in config.all_buses:
        yield bus.section, list(_of_node(config, ini, bus, bus.node))
        for component in bus.components:
            yield component.node.uuid, list(_of_node(config, ini, bus, component.node))


def _of_node(config: ServerConfig, ini: IniFile, bus: BusConfig, node: NodeConfig) -> Iterator[Effective]:
    shown = _Shown(config, ini, node.uuid)
    shown.defaults = {"name": node.name}
    if node is bus.node:
        shown.defaults["lease"] = str(bus.leased)
    elif not bus.node.hadd_assigned:
        # Otherwise it is asked of the network, as that of its bus.
        shown.defaults["hadd"] = str(node.hadd)
    shown.node = node
    shown.bus = bus
    return shown.all()


class _Shown:
    """One section, on its way to be shown.

    Attributes:
        defaults: those that the schema does not know.
        node, bus: of the section of a node, what was read of it and of its bus.
    """

    def __init__(self, config: ServerConfig, ini: IniFile, section: str) -> None:
        self.defaults: dict[str, str] = {}
        self.node: NodeConfig | None = None
        self.bus: BusConfig | None = None
        self._ini = ini
        self._section = section
        self._options = options_of(config, section)
        self._texts = ini.options(section)

    def all(self) -> Iterator[Effective]:
        """All keys, without those of originals, and without those that say where a password is."""
        for key, option in self._options.items():
            if option.deprecated or secrets.companion_of(self._options, key) is not None:
                continue
            if NAME in key:
                yield from (self._from_file(name, option) for name in self._keys_of(option))
            elif INDEX in key:
                yield from self._indexed(option)
            else:
                yield self._one(key, option)

    def _keys_of(self, option: Option[Any]) -> list[str]:
        return [key for key in self._texts if option_of(self._options, key) is option]

    def _one(self, key: str, option: Option[Any]) -> Effective:
        if option.is_secret:
            return self._secret(key, option)
        if key in self._texts:
            return self._from_file(key, option)
        text = self.defaults.get(key, option.shown_default)
        if key == "hadd" and key in self.defaults:
            return Effective(key, text, Origin.ASSIGNED, "the next free one", None, option)
        is_bus = self.bus is not None and self._section == self.bus.section
        if self.bus is not None and not is_bus and key in {"location", "heartbeat"}:
            return Effective(key, text, Origin.BUS, f"[{self.bus.section}]", None, option)
        return Effective(key, text, Origin.DEFAULT, "default", None, option)

    def _indexed(self, option: Option[Any]) -> Iterator[Effective]:
        keys = self._keys_of(option)
        if option.is_secret:
            places = {key.removesuffix(FILE_SUFFIX).removesuffix(ENV_SUFFIX) for key in self._texts}
            keys = sorted(each for each in places if option_of(self._options, each) is option)
        if keys:
            yield from (self._one(key, option) for key in keys)
            return
        texts = list(option.defaults)
        if isinstance(option.type, InstanceType) and self.node is not None:
            texts = self._instances(option.key.removesuffix(f"_config_{INDEX}"))
        for index, text in enumerate(texts):
            shown = HIDDEN if option.is_secret and text else text
            yield Effective(option.key.replace(INDEX, str(index)), shown, Origin.DEFAULT, "default", None, option)

    def _instances(self, value: str) -> list[str]:
        """The configurations of a value that has none of its own: its defaults, or those of the one that it follows."""
        if self.node is None or self.bus is None:
            return []
        classes = {each.node.uuid: each.component_class for each in self.bus.components}
        device_class = classes.get(self.node.uuid, self.bus.bus_class)
        return [each.text for each in device_class(self.node.uuid, self.node.options).instances(value)]

    def _from_file(self, key: str, option: Option[Any]) -> Effective:
        line = self._ini.line(self._section, key)
        own = key in self._ini.sections.get(self._section, {})
        where = f"{self._ini.path}:{line}" + ("" if own else " [DEFAULT]")
        text = self._texts[key]
        if option.is_secret:
            text = HIDDEN if text.strip() else ""
        elif not isinstance(option.type, InstanceType):
            # As it is meant: a path from the root, a word in lower case. What cannot be read is no key that counts, as
            # `pin_00` beside `pin_0`.
            with contextlib.suppress(ValueError):
                text = option.type.text(option.type.parse(text, self._ini.path.parent.absolute()))
        return Effective(key, text, Origin.FILE if own else Origin.DEFAULT_SECTION, where, line, option)

    def _secret(self, key: str, option: Option[Any]) -> Effective:
        if self._texts.get(key, "").strip():
            return self._from_file(key, option)
        for suffix, origin in ((FILE_SUFFIX, Origin.SECRET_FILE), (ENV_SUFFIX, Origin.ENVIRONMENT)):
            text = self._texts.get(f"{key}{suffix}", "").strip()
            if text:
                line = self._ini.line(self._section, f"{key}{suffix}")
                what = "variable" if origin is Origin.ENVIRONMENT else "file"
                return Effective(key, HIDDEN, origin, f"{self._ini.path}:{line}, the {what} {text}", line, option)
        default = HIDDEN if any(option.defaults) else None
        return Effective(key, default, Origin.DEFAULT, "default", None, option)
