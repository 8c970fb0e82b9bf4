"""What `janitoo run` shows when its nodes are up: the nodes, their first values, what to try next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from janitoo_actors.commands.tables import printable
from janitoo_actors.configuration.model import BrokerConfig
from janitoo_actors.protocol.codes import Genre
from janitoo_actors.protocol.messages import NodeState
from janitoo_actors.runtime.board import Node
from janitoo_actors.runtime.server import Server
from janitoo_actors.runtime.values import NodeValue, Role

_MOST_NODES: Final = 40
_MOST_DATA: Final = 90
_CONSOLE: Final = ("rich", "textual")
"""What the extra for the console and the live screen brings."""


def welcome(server: Server) -> str:
    """The summary of a server, as text. Any thread; does not block."""
    return "\n".join(_lines(server))


def _lines(server: Server) -> Iterator[str]:
    broker = server.config.system.broker
    boards = list(server.boards)
    nodes = [node for board in boards for node in board.nodes.values()]
    online = sum(node.state is NodeState.ONLINE for node in nodes)
    yield ""
    where = f"{broker.host}:{broker.port}"
    if not boards:
        yield f"{'no bus runs yet' if server.waiting else 'no buses'}; the broker is {where}"
    elif all(board.on_air for board in boards):
        yield f"{online} of {len(nodes)} nodes are online on {where}"
    else:
        yield f"{online} of {len(nodes)} nodes work, but nobody hears them: there is no connection to {where}"
        yield "(it is tried again and again; the log says what is wrong)"
    if server.network is not None:
        role = "primary" if server.network.is_primary else "secondary"
        yield f"{role} of the network, with {server.network.nodes_count} nodes on its map so far"
    yield ""
    for node in nodes[:_MOST_NODES]:
        yield from _node_lines(node)
    if len(nodes) > _MOST_NODES:
        yield f"  … and {len(nodes) - _MOST_NODES} more"
    if nodes:
        yield ""
    for section in server.waiting:
        yield f"  [{section}] waits for an address: no primary has given it one yet"
    if server.waiting:
        yield ""
    yield "Try, in another terminal (Ctrl+C here stops the server):"
    yield ""
    options = _options(broker)
    prefix = _prefix()
    if all(find_spec(library) for library in _CONSOLE):
        file = shlex.quote(str(server.config.path))
        yield f"  {prefix}janitoo console {file} tree"
        yield f"  {prefix}janitoo top {file}"
    yield f"  {prefix}jnt_query network{options}"
    if nodes:
        hadd = nodes[0].hadd
        location = "--genre config --uuid location --cmdclass 112"
        yield f"  {prefix}jnt_query node --hadd {hadd} --vuuid=all{options}"
        yield f'  {prefix}jnt_query query --hadd {hadd} {location} --data "My computer" --writeonly True{options}'
    yield f"  {prefix}jnt_spy --topic '/values/#'{options}"
    yield ""


def _options(broker: BrokerConfig) -> str:
    """What the tools must be told to find the broker."""
    options = ""
    if (broker.host, broker.port) != ("127.0.0.1", 1883):
        options += f" --host {broker.host} --port {broker.port}"
    if broker.user is not None:
        # Whoever may see the password finds it in the file.
        options += f" --user {shlex.quote(broker.user)} --password …"
    if broker.ca_file is not None:
        options += f" --ca-file {shlex.quote(str(broker.ca_file))}"
    return options


def _node_lines(node: Node) -> Iterator[str]:
    reason = f"  ({printable(node.reason)})" if node.reason else ""
    name = printable(str(node.values["name"].data[0]))
    yield f"  {node.hadd}  {node.state.value:<8} {name}{reason}"
    for value in node.values.values():
        if value.role is Role.DRIVER and value.genre in {Genre.BASIC, Genre.USER}:
            data = ", ".join(_item(value, index, item) for index, item in enumerate(value.data))
            shown = data if len(data) <= _MOST_DATA else f"{data[:_MOST_DATA]}…"
            yield f"               {value.uuid}: {printable(shown)}"


def _item(value: NodeValue, index: int, item: Any) -> str:
    text = "-" if item is None else f"{item:g}" if isinstance(item, float) else str(item)
    units = f" {value.units_of(index)}" if value.units_of(index) and item is not None else ""
    label = f" ({value.configs[index]})" if value.configs and len(value.data) > 1 else ""
    return f"{text}{units}{label}"


def _prefix() -> str:
    """The folder of the tools, where a shell would not find them by their name: `.venv/bin/` after `make run`."""
    if shutil.which("jnt_query") is not None:
        return ""
    folder = Path(sys.argv[0]).parent
    return f"{folder}/" if (folder / "jnt_query").exists() else ""
