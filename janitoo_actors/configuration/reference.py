"""The reference of the configuration, `docs/reference.md`, from the schema: `make reference` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from janitoo_actors.api.device import Device
from janitoo_actors.api.schema import Applies, Option, Section
from janitoo_actors.configuration.logging_sections import LOGGING_SECTIONS
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.configuration.schema import SECTIONS

_CHANGES: Final = {
    Applies.IN_PLACE: "at once",
    Applies.RESTART_BUS: "restarts the bus",
    Applies.RESTART_SERVER: "next start",
}

_HEAD: Final = """\
# Reference of the configuration

Every section and every key. [configuration.md](configuration.md) explains them. This page is made from the schema by
`make reference`; `jnt_collect -b hostsensor` prints the same of any driver that is installed.

All keys may be missing but those that say so. *A change* says when a changed file counts in a running server:

| word | what happens |
|---|---|
| at once | it counts at once, and everything goes on |
| restarts the bus | the bus that the key belongs to is restarted, no other; all of them, where it is the server's |
| next start | it counts from the next start of the server |
"""


def reference(registry: Registry, drivers: str = "drivers.") -> str:
    """The page. Imports the drivers, and blocks as long as that takes.

    Args:
        drivers: how the names of the modules start whose drivers are on the page.
    """
    lines = [_HEAD]
    for section in (*SECTIONS, *LOGGING_SECTIONS):
        lines += _section(section)
    buses = [registry.bus(oid) for oid in registry.bus_oids]
    for bus in buses:
        if not bus.__module__.startswith(drivers):
            continue
        lines += [f"## The bus {bus.oid}", "", *_device(bus)]
        for oid in registry.component_oids:
            component = registry.component(oid)
            if oid.startswith(f"{bus.oid}.") and component.__module__.startswith(drivers):
                lines += [f"### {oid}", "", *_device(component)]
    return "\n".join(lines)


def _section(section: type[Section]) -> Iterator[str]:
    yield f"## {section.title or f'[{section.section}]'}"
    yield ""
    yield f"{section.help}."
    yield ""
    yield from _table(section.options.values())
    old = [option for option in section.options.values() if option.deprecated]
    if old:
        yield "Keys of original servers that nothing reads:"
        yield ""
        yield "| key | why |"
        yield "|---|---|"
        yield from (f"| `{option.key}` | {_cell(option.deprecated)} |" for option in old)
        yield ""


def _device(device: type[Device]) -> Iterator[str]:
    options = device.schema().values()
    keys = "Its keys, beside those above" if options else "It has no keys of its own"
    yield f"{device.product_name}. {keys}."
    yield ""
    if options:
        yield from _table(options)


def _table(options: Iterable[Option[Any]]) -> Iterator[str]:
    rows = [option for option in options if not option.deprecated]
    yield "| key | type | default | what it is | example | a change |"
    yield "|---|---|---|---|---|---|"
    for option in rows:
        limits = option.type.limits
        cells = (
            f"`{option.key}`",
            f"{option.type.name}: {limits}" if limits not in {"", option.type.name} else option.type.name,
            _default(option),
            option.help,
            f"`{option.example}`" if option.example else "",
            _CHANGES[option.applies],
        )
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield ""


def _default(option: Option[Any]) -> str:
    if option.is_required:
        return "**must be there**"
    if option.default_text:
        return option.default_text
    if option.defaults:
        return ", ".join(f"`{text}`" if text else "empty" for text in option.defaults)
    return f"`{option.shown_default}`" if option.shown_default else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page to the file that is named."""
    Path(sys.argv[1]).write_text(reference(Registry.installed()), encoding="utf-8")


if __name__ == "__main__":
    main()
