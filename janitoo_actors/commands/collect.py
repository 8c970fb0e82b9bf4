"""`jnt_collect`: prints what an installed bus or component declares."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from janitoo_actors.commands import arguments
from janitoo_actors.commands.tables import Column, paragraphs, printable, render, titled

if TYPE_CHECKING:
    # The component API and the drivers are imported when something is to be printed, not for `--help`.
    from janitoo_actors.api import Device, Option
    from janitoo_actors.api.values import Value
    from janitoo_actors.configuration.registry import Registry

_FACTS: Final = (Column("key", 20), Column("what", 0))
_VALUES: Final = (
    Column("uuid", 25),
    Column("entry", 25),
    Column("genre", 7),
    Column("type", 8),
    Column("units", 10),
    Column("cmdclass", 8),
    Column("poll", 6),
    Column("instances", 20),
    Column("help", 0),
)
_OPTIONS: Final = (Column("key", 30), Column("default", 30), Column("type", 13), Column("help", 0))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `jnt_collect`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-c", "--component", metavar="OID", help="a component, as hostsensor.load")
    what.add_argument("-b", "--bus", metavar="OID", help="a bus and its components, as hostsensor")
    arguments.add_output_argument(parser)
    arguments.add_broker_arguments(parser, needed=False)


def run(args: argparse.Namespace) -> int:
    """Print the declaration. Imports the driver, and so blocks as long as that takes.

    Raises:
        JanitooError: where no such bus or component is installed, or its package is broken.
    """
    from janitoo_actors.configuration.registry import Registry

    print_declaration(Registry.installed(), args)
    return 0


def print_declaration(registry: Registry, args: argparse.Namespace) -> None:
    """Print what the drivers of this registry declare. Raises as `run` does."""
    if args.component is not None:
        found = _declaration(args.component, registry.component(args.component))
    else:
        found = _declaration(args.bus, registry.bus(args.bus))
        found["components"] = list(_components_of(args.bus, registry))
    if args.output == "json":
        text = json.dumps(found, indent=2, default=str)
    else:
        text = "\n".join(_raw_lines(found) if args.output == "raw" else _lines(found))
    sys.stdout.write(f"{text}\n")


def _declaration(oid: str, device: type[Device]) -> dict[str, Any]:
    return {
        "oid": oid,
        "class": f"{device.__module__}:{device.__qualname__}",
        "name": device.name,
        "product_name": device.product_name,
        "product_type": device.product_type,
        "product_manufacturer": device.product_manufacturer,
        "values": [_value(value) for value in device.values.values()],
        "options": list(_options(device)),
    }


def _value(value: Value) -> dict[str, Any]:
    return {
        "uuid": value.uuid,
        "entry": value.entry,
        "genre": value.genre.slug,
        "type": value.type.name.lower(),
        "units": value.units,
        "cmdclass": int(value.cmd_class),
        "poll": value.poll_delay if value.is_polled else None,
        "instances": None if value.instances is None else list(value.instances.defaults),
        "help": value.help,
    }


def _options(device: type[Device]) -> Iterator[dict[str, Any]]:
    """The keys that can stand in the section of the device, with what holds where they do not."""
    from janitoo_actors.api.bus import Bus, Component
    from janitoo_actors.configuration.node_sections import bus_options, component_options

    options: Mapping[str, Option[Any]] = {}
    if issubclass(device, Bus):
        options = bus_options(device)
    elif issubclass(device, Component):
        options = component_options(device)
    for option in options.values():
        if option.deprecated:
            continue
        for key, default in option.lines():
            yield {
                "key": key,
                "default": default,
                "type": option.type.name,
                "allowed": option.type.allowed,
                "applies": option.applies.value,
                "help": option.help,
            }


def _components_of(bus: str, registry: Registry) -> Iterator[dict[str, Any]]:
    from janitoo_actors.configuration.registry import DriverError

    for oid in registry.component_oids:
        if not oid.startswith(f"{bus}."):
            continue
        try:
            device = registry.component(oid)
        except DriverError as error:
            # Others of the bus are fine.
            yield {"oid": oid, "product_name": None, "values": [], "error": str(error)}
        else:
            yield {"oid": oid, "product_name": device.product_name, "values": list(device.values)}


def _lines(found: Mapping[str, Any]) -> list[str]:
    facts = [[key, found[key]] for key in ("class", "name", "product_name", "product_type", "product_manufacturer")]
    # The facts need no header.
    lists = [titled(found["oid"], render(_FACTS, facts)[1:])]
    lists.append(titled("values", render(_VALUES, _cells(found["values"], _VALUES))))
    lists.append(titled("options", render(_OPTIONS, _cells(found["options"], _OPTIONS))))
    if "components" in found:
        columns = (Column("oid", 25), Column("product_name", 25), Column("values", 0))
        rows = [
            [each["oid"], each["product_name"], each.get("error") or ", ".join(each["values"])]
            for each in found["components"]
        ]
        lists.append(titled("components", render(columns, rows)))
    return paragraphs(lists)


def _cells(rows: Iterable[Mapping[str, Any]], columns: Iterable[Column]) -> Iterator[list[object]]:
    for row in rows:
        yield [_cell(row[column.title]) for column in columns]


def _cell(data: object) -> object:
    return ", ".join(map(str, data)) if isinstance(data, list) else data


def _raw_lines(found: Mapping[str, Any]) -> list[str]:
    """A fact a line, for grep: `hostsensor.load load_poll_0 60`."""
    oid = found["oid"]
    lines = [f"{oid} {key} {found[key]}" for key in ("class", "name", "product_name", "product_type")]
    lines += [f"{oid} {value['uuid']} {value['entry']}" for value in found["values"]]
    lines += [f"{oid} {option['key']} {option['default']}" for option in found["options"]]
    lines += [f"{oid} component {component['oid']}" for component in found.get("components", ())]
    return [printable(line) for line in lines]
