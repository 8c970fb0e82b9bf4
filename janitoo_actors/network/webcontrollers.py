"""An extension, as the tutorial has it: it finds the nodes with a web page.

`extensions = janitoo_actors` in `[network]` adds it; its entry point is in this package's group
`janitoo_actors.network`.
"""

from __future__ import annotations

from typing import Any

from janitoo_actors.network.network import Network
from janitoo_actors.protocol.codes import CommandClass

WebControllers = dict[str, dict[str, dict[int, dict[str, Any]]]]


def extend(network: Network) -> None:
    """Add `find_webcontrollers` to the network."""
    network.add_method(find_webcontrollers)


def find_webcontrollers(network: Network) -> WebControllers:
    """The values of the class `COMMAND_WEB_CONTROLLER`, by address, uuid and index. Any thread."""
    found: WebControllers = {}
    basics = network.basics
    for hadd in network.nodes_with(CommandClass.WEB_CONTROLLER):
        values: dict[str, dict[int, dict[str, Any]]] = {}
        for uuid, instances in basics.get(hadd, {}).items():
            for index, value in instances.items():
                if value["cmd_class"] == CommandClass.WEB_CONTROLLER:
                    values.setdefault(uuid, {})[index] = {
                        "value_uuid": value["uuid"],
                        "value_index": value["index"],
                        "data": value["data"],
                        "label": value.get("label"),
                        "help": value.get("help"),
                    }
        found[hadd] = values
    return found
