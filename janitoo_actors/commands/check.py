"""`janitoo check FILE`: everything that is wrong with a configuration file, before anything is started."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from janitoo_actors.commands.tables import printable

if TYPE_CHECKING:
    # Imported when a file is to be examined, not for `--help`.
    from janitoo_actors.commands.arguments import BrokerAddress
    from janitoo_actors.configuration.model import ServerConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the configuration file")
    parser.add_argument("--connect", action="store_true", help="ask the broker whether it lets the server in")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Examine the file and print what is wrong. Blocks for the disk, and with `--connect` for the broker.

    Returns 0 where all is well, 1 where something would not work, 78 where the server would not start.
    """
    from janitoo_actors.configuration.examination import examine
    from janitoo_actors.configuration.registry import Registry

    report = examine(args.file, Registry.installed())
    broker: dict[str, Any] | None = None
    if args.connect and report.config is not None:
        broker = _ask_broker(report.config)
        if not broker["answers"]:
            report = report.with_error(broker["said"])
    if args.json:
        sys.stdout.write(f"{json.dumps({**report.document(), 'broker': broker}, indent=2)}\n")
    else:
        for finding in report.findings:
            print(printable(str(finding)))
        if broker is not None and broker["answers"]:
            print(printable(broker["said"]))
        print(printable(report.summary))
    return report.exit_code


def _ask_broker(config: ServerConfig) -> dict[str, Any]:
    """Whether the broker lets the server in. Blocks for at most twice the timeout of the tools."""
    from janitoo_actors.commands.arguments import DEFAULT_TIMEOUT, BrokerAddress
    from janitoo_actors.configuration.model import BrokerKind

    broker = config.system.broker
    address = BrokerAddress(
        broker.host, broker.port, broker.user, broker.password, broker.ca_file, DEFAULT_TIMEOUT, from_file=True
    )
    if broker.kind is BrokerKind.EMBEDDED:
        said = f"the broker at {address} is started with the server: there is nobody to ask yet"
        return {"address": str(address), "answers": True, "said": said}
    refusal = _refusal(address)
    said = refusal or f"the broker at {address} lets the server in"
    return {"address": str(address), "answers": refusal is None, "said": said}


def _refusal(address: BrokerAddress) -> str | None:
    # paho brings ssl with it.
    from janitoo_actors.commands.client import ToolError, connect

    try:
        connect(address).disconnect()
    except ToolError as error:
        return str(error)
    return None
