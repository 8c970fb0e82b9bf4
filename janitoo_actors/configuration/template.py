"""A commented configuration file to start from: `janitoo config init`.

Pure functions, but that drivers are imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from janitoo_actors.api.schema import INDEX, NAME, Option
from janitoo_actors.configuration.node_sections import COMPONENT_PREFIX, bus_options, component_options
from janitoo_actors.configuration.registry import DriverError, Registry
from janitoo_actors.configuration.system import SystemSection
from janitoo_actors.protocol.hadd import Hadd

_FIRST_BUS: Final = 121
_HEAD: Final = """\
# A Janitoo server. Start it with: janitoo run FILE. See what is wrong with it: janitoo check FILE.
# Keys with a # before them are not set: they show their default, or an example. Remove the # to set one.
# Every component is here: remove those that you have not, with their sections.
"""


def template(oids: Sequence[str], registry: Registry) -> str:
    """The text of a file that runs these buses, with every key that there is.

    Raises:
        DriverError: where there is no such bus, or it cannot be imported.
    """
    lines = [_HEAD, *_section(SystemSection.section, SystemSection.help, SystemSection.options, {})]
    sections: list[str] = []
    for number, oid in enumerate(oids):
        again = sections.count(oid) + sum(each.startswith(f"{oid}_") for each in sections)
        section = oid if not again else f"{oid}_{again + 1}"
        sections.append(section)
        lines += _bus(oid, section, _FIRST_BUS + number, registry)
    return "\n".join(lines)


def _bus(oid: str, section: str, controller: int, registry: Registry) -> Iterator[str]:
    bus_class = registry.bus(oid)
    oids = [each for each in registry.component_oids if each.startswith(f"{oid}.")]
    components = {each.removeprefix(f"{oid}.").replace(".", "_"): each for each in oids}
    written = {"hadd": str(Hadd(controller, 0))}
    if section != oid:
        written["oid"] = oid
    yield from _section(
        section, f"A bus: {bus_class.product_name}", bus_options(bus_class, section), written, components
    )
    for node, (key, component_oid) in enumerate(components.items(), start=1):
        try:
            component_class = registry.component(component_oid)
        except DriverError as error:
            yield f"# {error}\n"
            continue
        options = component_options(component_class, key)
        written = {"hadd": str(Hadd(controller, node))}
        yield from _section(f"{section}__{key}", component_class.product_name, options, written)


def _section(
    name: str,
    text: str,
    options: Mapping[str, Option[Any]],
    written: Mapping[str, str],
    components: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The lines of a section.

    Args:
        written: what is set in it, by key.
        components: what it has on it, by name.
    """
    yield f"# {text}."
    yield f"[{name}]"
    for key, option in options.items():
        if option.deprecated or key == "uuid":
            continue
        if NAME in key:
            yield f"# {option.help}."
            yield from (f"{COMPONENT_PREFIX}{each} = {oid}" for each, oid in (components or {}).items())
            continue
        yield f"# {_comment(option)}."
        if key in written:
            yield f"{key} = {written[key]}"
        elif option.is_required:
            yield f"{key} = {option.example}"
        else:
            yield from (_line(each, default, option) for each, default in option.lines())
    yield ""


def _comment(option: Option[Any]) -> str:
    limits = option.type.limits
    return f"{option.help} ({limits})" if limits else option.help


def _line(key: str, default: str | None, option: Option[Any]) -> str:
    text = option.example if option.default_text or not default or option.is_secret else default
    return f"#{key.replace(INDEX, '0')} = {text}".rstrip()
