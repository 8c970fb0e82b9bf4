"""`jnt_query`: asks the network, a node, or for one value, and prints what they answer."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from janitoo_actors.commands import arguments
from janitoo_actors.commands.tables import Column, paragraphs, printable, render, titled
from janitoo_actors.protocol.codes import Capability, CommandClass, Genre, ValueType
from janitoo_actors.protocol.messages import Discovery
from janitoo_actors.protocol.reading import command_class

if TYPE_CHECKING:
    # The MQTT library is half of the start-up time; `--help` and the code tables do without.
    from janitoo_actors.commands.asking import Answers
    from janitoo_actors.commands.client import Message

ALL: Final = "all"
IN_TUTORIALS_ORDER: Final = (
    Discovery.NODES,
    Discovery.USERS,
    Discovery.CONFIGS,
    Discovery.SYSTEMS,
    Discovery.BASICS,
    Discovery.COMMANDS,
)
_UNNAMED_AS_CODES: Final = frozenset({ValueType.HADD, ValueType.IP, ValueType.RGB})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `jnt_query`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, summary: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        added.set_defaults(run_action=run)
        arguments.add_output_argument(added)
        arguments.add_broker_arguments(added, needed=name not in _CODES)
        return added

    network = action("network", "ask every server of the network for a list", _run_network)
    _add_list_argument(network)
    node = action("node", "ask one controller for a list of its nodes", _run_node)
    _add_hadd_argument(node, "the controller's address")
    _add_list_argument(node)
    _add_value_arguments(action("query", "read or write one value", _run_query))
    _add_lookup_arguments(
        action("resolv", "ask the primary for the nodes with a class, a name or an address", _run_resolv)
    )
    for name, (summary, _names) in _CODES.items():
        action(name, f"list {summary}", _run_codes)


def run(args: argparse.Namespace) -> int:
    """Ask and print. Blocks until the answer is complete; returns the exit code.

    Raises:
        JanitooError: where the broker is not there.
    """
    run_action: Callable[[argparse.Namespace], int] = args.run_action
    return run_action(args)


def _add_list_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--vuuid",
        choices=[*(each.value for each in IN_TUTORIALS_ORDER), ALL],
        default=Discovery.NODES.value,
        metavar="LIST",
        help="%(choices)s (%(default)s)",
    )


def _add_hadd_argument(parser: argparse.ArgumentParser, summary: str) -> None:
    parser.add_argument("--hadd", type=arguments.hadd, required=True, metavar="CCCC/NNNN", help=summary)


def _add_value_arguments(parser: argparse.ArgumentParser) -> None:
    _add_hadd_argument(parser, "the node's address")
    parser.add_argument("--uuid", required=True, help="the value, as the lists name it")
    parser.add_argument(
        "--genre", type=arguments.genre, required=True, help="basic, user, config, system, command, or its number"
    )
    parser.add_argument(
        "--cmdclass",
        type=arguments.command_class,
        required=True,
        help="the value's command class: decimal, 0x and hexadecimal, or a name",
    )
    parser.add_argument("--data", help="what to write")
    parser.add_argument(
        "--type", type=arguments.value_type, help="the value's type; accepted, the value's own node knows it"
    )
    parser.add_argument("--index", type=arguments.whole_number, help="the instance, where the value has several (0)")
    for name, default, summary in (
        ("--writeonly", False, "True writes; otherwise the value is read"),
        ("--readonly", True, "True reads, unless --writeonly is True"),
    ):
        parser.add_argument(
            name, type=arguments.boolean, nargs="?", const=True, default=default, metavar="True", help=summary
        )


def _add_lookup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hadd", type=arguments.hadd, metavar="CCCC/NNNN", help="the node with this address")
    parser.add_argument(
        "--cmdclass",
        type=arguments.command_class,
        action="append",
        help="the nodes with this command class: decimal, 0x and hexadecimal, or a name; with all, where given again",
    )
    parser.add_argument("--name", help="the nodes with this name")
    parser.add_argument("--location", help="the nodes at this place; with --name, those that have both")


def _run_resolv(args: argparse.Namespace) -> int:
    from janitoo_actors.commands.asking import ask_primary, in_order
    from janitoo_actors.commands.client import ToolError, open_requester
    from janitoo_actors.protocol.resolv import LookUp

    named = args.name is not None or args.location is not None
    if [args.hadd is not None, args.cmdclass is not None, named].count(True) != 1:
        raise ToolError("expected one of --hadd, --cmdclass, and --name or --location")
    lookup = LookUp(secrets.token_hex(8), args.hadd, args.name, args.location, tuple(args.cmdclass or ()))
    address = arguments.broker_address(args)
    with open_requester(address) as requester:
        answer = ask_primary(requester, lookup, address.timeout)
    if answer is None:
        _complain(
            f"no answer from a primary within {address.timeout:g} s: is one running, and on this broker ({address})? "
            "Originals do not answer look-ups"
        )
        return 1
    message, nodes = answer
    if args.output == "raw":
        _print_raw([message])
    elif args.output == "json":
        _print_json({"resolv": nodes})
    else:
        columns = (
            Column("hadd", 10),
            Column("uuid", 20),
            Column("name", 25),
            Column("location", 25),
            Column("state", 0),
        )
        rows = [[node.get(column.title) for column in columns] for node in in_order(list(nodes.values()))]
        _print_lines(titled("resolv", render(columns, rows)))
    return 0


def _run_network(args: argparse.Namespace) -> int:
    from janitoo_actors.commands.asking import ask_network
    from janitoo_actors.commands.client import open_requester

    address, wanted = arguments.broker_address(args), _wanted(args)
    with open_requester(address) as requester:
        answers = ask_network(requester, wanted, args.myhadd, address.timeout)
    layout = (_node_columns(20, 25), _value_columns(25))
    return _print_lists(args, wanted, answers, layout, who="any server", hint="is one running")


def _run_node(args: argparse.Namespace) -> int:
    from janitoo_actors.commands.asking import ask_node
    from janitoo_actors.commands.client import open_requester

    address, wanted = arguments.broker_address(args), _wanted(args)
    with open_requester(address) as requester:
        answers = ask_node(requester, args.hadd, wanted, args.myhadd, address.timeout)
    layout = (_node_columns(30, 20), _value_columns(30))
    return _print_lists(args, wanted, answers, layout, who=str(args.hadd), hint="is the server running")


def _run_query(args: argparse.Namespace) -> int:
    from janitoo_actors.commands.asking import ValueQuestion, ask_value
    from janitoo_actors.commands.client import open_requester

    address = arguments.broker_address(args)
    question = ValueQuestion(
        hadd=args.hadd,
        uuid=args.uuid,
        genre=args.genre,
        cmd_class=args.cmdclass,
        data=args.data,
        index=args.index,
        write=args.writeonly,
        read=args.readonly,
    )
    with open_requester(address) as requester:
        answer = ask_value(requester, question, args.myhadd, address.timeout)
    if answer is None:
        _complain(
            f"no answer from {args.hadd} about {args.uuid} within {address.timeout:g} s: is the server running, "
            f"and on this broker ({address}), and are --genre, --uuid and --cmdclass those of the value?"
        )
        return 1
    message, values = answer
    if args.output == "raw":
        _print_raw([message])
    elif args.output == "json":
        _print_json({args.uuid: values})
    errors = [each["error"] for each in values if each.get("error") is not None]
    for error in errors:
        _complain(f"{args.hadd} answers: {error}")
    if errors:
        return 1
    if args.output == "txt":
        columns = [column for column in _value_columns(25) if column.title != "node_uuid"]
        rows = [_value_row(each, columns) for each in values]
        _print_lines(titled(args.uuid, render(columns, rows)))
    return 0


def _run_codes(args: argparse.Namespace) -> int:
    codes = _CODES[args.action][1]
    if args.output == "json":
        rows = [{"name": name, "hex": shown, "decimal": number} for name, shown, number in codes()]
        _print_json({args.action: rows})
    elif args.output == "raw":
        _print_lines(f"{name} {shown} {number}" for name, shown, number in codes())
    else:
        columns = (Column("name", 40), Column("hex", 6), Column("decimal", 7))
        _print_lines(titled(args.action, render(columns, codes())))
    return 0


def _wanted(args: argparse.Namespace) -> Sequence[Discovery]:
    return IN_TUTORIALS_ORDER if args.vuuid == ALL else (Discovery(args.vuuid),)


def _print_lists(
    args: argparse.Namespace,
    wanted: Sequence[Discovery],
    answers: Answers,
    layout: tuple[Sequence[Column], Sequence[Column]],
    *,
    who: str,
    hint: str,
) -> int:
    """Print the lists that were answered, complain about the others, and return the exit code."""
    answered = [what for what in wanted if what in answers.contents]
    if args.output == "raw":
        _print_raw(answers.messages)
    elif args.output == "json" and answered:
        _print_json({what.value: answers.rows(what) for what in answered})
    elif args.output == "txt":
        _print_lines(paragraphs(_list_lines(what, answers.rows(what), layout) for what in answered))
    errors = list(answers.errors())
    for error in errors:
        _complain(f"{who} answers: {error}")
    if len(answered) == len(wanted):
        return 1 if errors else 0
    missing = [what.value for what in wanted if what not in answers.contents]
    about = f" about {', '.join(missing)}" if answered else ""
    odd = f" ({answers.passed_over} other messages came at the same address)" if answers.passed_over else ""
    _complain(
        f"no answer from {who}{about} within {args.timeout:g} s: {hint}, "
        f"and on this broker ({arguments.broker_address(args)})?{odd}"
    )
    return 1


def _list_lines(
    what: Discovery, rows: Iterable[Mapping[str, Any]], layout: tuple[Sequence[Column], Sequence[Column]]
) -> list[str]:
    nodes, values = layout
    if what is Discovery.NODES:
        return titled(what, render(nodes, [[row.get(column.title) for column in nodes] for row in rows]))
    return titled(what, render(values, [_value_row(row, values) for row in rows]))


def _node_columns(uuid: int, location: int) -> tuple[Column, ...]:
    return (
        Column("hadd", 10),
        Column("uuid", uuid),
        Column("name", 25),
        Column("location", location),
        Column("product_type", 0),
    )


def _value_columns(uuid: int) -> tuple[Column, ...]:
    return (
        Column("hadd", 10),
        Column("node_uuid", 25),
        Column("uuid", uuid),
        Column("idx", 4),
        Column("data", 25),
        Column("units", 10),
        Column("type", 5),
        Column("genre", 5),
        Column("cmdclass", 8),
        Column("help", 0),
    )


def _value_row(value: Mapping[str, Any], columns: Iterable[Column]) -> list[object]:
    cells = {**value, "idx": value.get("index", 0), "cmdclass": command_class(value)}
    return [cells.get(column.title) for column in columns]


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        # One by one: where Python does not buffer, a large write to a reader that leaves is cut short unnoticed.
        sys.stdout.write(f"{line}\n")


def _print_raw(messages: Iterable[Message]) -> None:
    # One line each, whatever is in it.
    _print_lines(
        f"{printable(each.topic)} {printable(each.payload.decode('utf-8', 'backslashreplace'))}" for each in messages
    )


def _print_json(document: Mapping[str, Any]) -> None:
    # ASCII: no control character and no half of a surrogate pair reaches the terminal.
    _print_lines([json.dumps(document, indent=2)])


def _complain(sentence: str) -> None:
    print(printable(sentence), file=sys.stderr)


def _command_classes() -> list[tuple[str, str, int]]:
    return [(f"COMMAND_{each.name}", f"0x{each.value:04x}", each.value) for each in CommandClass]


def _capabilities() -> list[tuple[str, str, int]]:
    return [(f"CAPABILITY_{each.name}", f"0x{each.value:02x}", each.value) for each in Capability]


def _genres() -> list[tuple[str, str, int]]:
    return [(each.name.capitalize(), f"0x{each.value:02x}", each.value) for each in Genre]


def _types() -> list[tuple[str, str, int]]:
    return [
        (each.name if each in _UNNAMED_AS_CODES else each.name.capitalize(), f"0x{each.value:02x}", each.value)
        for each in ValueType
    ]


_CODES: Final[Mapping[str, tuple[str, Callable[[], list[tuple[str, str, int]]]]]] = {
    "cmds": ("the command classes", _command_classes),
    "genres": ("the genres of values", _genres),
    "types": ("the types of values", _types),
    "caps": ("the capabilities of nodes", _capabilities),
}
