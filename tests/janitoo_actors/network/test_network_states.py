"""The table of the states, and its drawing in docs/network.md."""

from __future__ import annotations

import re
from pathlib import Path

from janitoo_actors.network.states import LIST_OF, TABLE, NetworkState, Signal
from janitoo_actors.protocol.messages import Discovery

PAGE = Path(__file__).parents[3] / "docs" / "network.md"
PROTOCOL = (
    *("STOPPED", "BROADCAST_NODES", "BROADCAST_SYSTEMS", "BROADCAST_COMMANDS", "BROADCAST_CONFIGS", "BROADCAST_BASICS"),
    *("BROADCAST_USERS", "RESOLV", "HEARTBEAT_DISCOVER", "HEARTBEAT", "DISPATCH", "STARTED"),
)


def drawn() -> set[tuple[str, str, str]]:
    """State, signal and next state of each line of the drawing; a group stands for each of its states."""
    text = PAGE.read_text(encoding="utf-8")
    diagram = re.search(r"```mermaid\n(.*?)```", text, re.DOTALL)
    assert diagram is not None
    groups: dict[str, list[str]] = {}
    lines = set()
    group = None
    for line in map(str.strip, diagram[1].splitlines()):
        if match := re.fullmatch(r"state (\w+) \{", line):
            group = groups.setdefault(match[1], [])
        elif line == "}":
            group = None
        elif match := re.fullmatch(r"(\w+) --> (\w+): (.+)", line):
            lines |= {(match[1], signal.strip(), match[2]) for signal in match[3].split("/")}
            if group is not None:
                group += [each for each in match.group(1, 2) if each not in group]
    return {(each, signal, after) for before, signal, after in lines for each in groups.get(before, [before])}


def test_the_states_are_those_of_the_protocol() -> None:
    assert [state.value for state in NetworkState] == list(PROTOCOL)


def test_the_drawing_is_the_table() -> None:
    assert drawn() == {(now.value, signal.value, after.value) for (now, signal), (_, after) in TABLE.items()}


def test_every_state_is_reached_and_left() -> None:
    reached = {NetworkState.STOPPED}
    while more := {after for (now, _), (_, after) in TABLE.items() if now in reached} - reached:
        reached |= more
    assert reached == set(NetworkState)
    assert {now for now, _ in TABLE} == set(NetworkState)
    assert {signal for _, signal in TABLE} == set(Signal)


def test_each_list_has_a_state() -> None:
    assert sorted(LIST_OF.values()) == sorted(Discovery)
