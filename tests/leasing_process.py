"""A primary in a process of its own, which leases until it is killed: prints each address once it may be promised."""

from __future__ import annotations

import sys
from pathlib import Path

from janitoo_actors.protocol.leases import LeaseAction
from lease_peers import Primary, request


def main() -> None:
    """Lease controllers and nodes into the database that is named on the command line."""
    primary = Primary(Path(sys.argv[1]))
    controller = -1
    for number in range(100_000):
        asked = request(LeaseAction.NEW, -1 if number % 10 == 0 else controller, owner=f"{sys.argv[2]}-{number}")
        answer = primary.serve(asked)
        assert answer is not None
        assert answer.hadd is not None, answer.msg_error
        if number % 10 == 0:
            controller = answer.hadd.controller
        print(answer.hadd, flush=True)


if __name__ == "__main__":
    main()
