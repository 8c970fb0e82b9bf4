"""`jnt_spy`: prints the messages of the network as they come, until Ctrl+C."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any

from janitoo_actors.commands import arguments
from janitoo_actors.commands.tables import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `jnt_spy`."""
    parser.add_argument(
        "--topic", action="append", metavar="TOPIC", help="what to listen to; may be given several times (#)"
    )
    parser.add_argument("--count", type=_count, metavar="N", help="stop after N messages")
    arguments.add_output_argument(parser)
    arguments.add_broker_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print messages until Ctrl+C, or `--count`; 0 then. Blocks. Reconnects where the connection is lost.

    Raises:
        JanitooError: where the broker is not there to begin with, or refuses.
    """
    # Not at the top: the MQTT library is half of the start-up time, and `--help` does without.
    from janitoo_actors.commands.spying import Spy

    show = _as_json if args.output == "json" else _as_text
    spy = Spy(arguments.broker_address(args), args.topic or ["#"], args.count, show, notice)
    try:
        spy.run()
    except KeyboardInterrupt:
        # The ordinary end.
        return 0
    return 0


def notice(text: str) -> None:
    """Say something about the connection, on stderr: stdout has the messages only."""
    print(printable(text), file=sys.stderr, flush=True)


def _as_text(topic: str, qos: int, _retain: bool, payload: bytes) -> None:
    _put(f"{printable(topic)} {qos} {printable(payload.decode('utf-8', 'backslashreplace'))}")


def _as_json(topic: str, qos: int, retain: bool, payload: bytes) -> None:
    _put(
        json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "topic": topic,
                "qos": qos,
                "retain": retain,
                "payload": _content(payload),
            }
        )
    )


def _content(payload: bytes) -> Any:
    from janitoo_actors.protocol.reading import read_json

    try:
        return read_json(payload)
    except ValueError:
        # Plain text, as a heartbeat.
        return payload.decode("utf-8", "backslashreplace")


def _put(line: str) -> None:
    # At once, for whoever reads them from a pipe.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _count(text: str) -> int:
    number = arguments.whole_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("expected 1 message or more")
    return number
