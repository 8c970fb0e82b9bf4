"""`janitoo network leases`: the addresses that the primary has given away, and when their nodes were last heard of."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from typing import Final

from janitoo_actors.commands import arguments
from janitoo_actors.commands.asking import ask_primary, in_order
from janitoo_actors.commands.client import ToolError, open_requester
from janitoo_actors.commands.tables import Column, ago, render
from janitoo_actors.protocol.resolv import LookUp

_COLUMNS: Final = (
    Column("hadd", 10),
    Column("state", 8),
    Column("heard", 8),
    Column("host", 20),
    Column("name", 25),
    Column("location", 0),
)


def run(args: argparse.Namespace) -> int:
    """Show the leases. Blocks until the primary has answered; returns the exit code.

    Raises:
        JanitooError: where the broker is not there, the connection is lost, or `--watch` is asked for.
    """
    if args.watch:
        raise ToolError("leases are shown once: expected no --watch")
    address = arguments.broker_address(args)
    with open_requester(address) as requester:
        answer = ask_primary(requester, LookUp(secrets.token_hex(8)), address.timeout)
    if answer is None:
        hint = f"is one running, and on this broker ({address})?"
        print(f"no answer from a primary within {address.timeout:g} s: {hint}", file=sys.stderr)
        return 1
    leases = [lease for lease in in_order(list(answer[1].values())) if lease.get("leased")]
    if args.json:
        print(json.dumps({lease["hadd"]: lease for lease in leases}, indent=2))
        return 0
    print(f"{len(leases)} {'lease' if len(leases) == 1 else 'leases'}")
    now = time.time()
    rows = []
    for lease in leases:
        seen = lease.get("last_seen")
        heard = ago(max(0.0, now - seen)) if isinstance(seen, int | float) and seen > 0 else "never"
        about = [lease.get(key, "") for key in ("host", "name", "location")]
        rows.append([lease["hadd"], lease.get("state"), heard, *about])
    print("\n".join(render(_COLUMNS, rows)))
    return 0
