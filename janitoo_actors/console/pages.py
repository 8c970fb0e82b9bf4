"""The answers of a server, printed for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from janitoo_actors.console import words
from janitoo_actors.console.screen import STATES, Screen

Result = Mapping[str, Any]
_STATE_WIDTH: Final = 10
_LAST_EVENTS: Final = 8


def tree(screen: Screen, result: Result) -> None:
    """The actors, indented, with what has gone wrong below each."""
    actors = result["actors"]
    names = _names([each["path"] for each in actors])
    width = min(max((len(indent) + len(name) for indent, name in names), default=0), screen.width - 44)
    head = f"{'ACTOR':<{width}} {'STATE':<{_STATE_WIDTH}} {'SINCE':>5} {'RESTARTS':>8} {'MAILBOX':>7} {'RATE/S':>6}"
    screen.title(head)
    for (indent, name), each in zip(names, actors, strict=True):
        state = "suspended" if each["suspended"] and each["state"] == "running" else each["state"]
        shown = f"{indent}{name}"
        shown = shown if len(shown) <= width else f"{shown[: width - 1]}…"
        per_second = words.rate(each["handled"], each["age"]) if each["state"] == "running" else "-"
        pid = f" pid {each['pid']}" if each["pid"] is not None else ""
        painted = screen.paint(f"{state:<{_STATE_WIDTH}}", STATES.get(state, ""))
        figures = f"{words.age(each['age']):>5} {words.count(each['restarts']):>8} {words.count(each['mailbox']):>7}"
        # Painted in part: made of our own words and of a path, which is one line.
        print(f"{_plain(shown):<{width}} {painted} {figures} {per_second:>6}{pid}")
        notes = trouble(each)
        if notes:
            screen.line(screen.fit(f"{indent}  └ {notes}", 0), STATES["error"] if each["retry_in"] else "dim")
    if result["left_off"]:
        screen.line(f"… and {result['left_off']} more: name a PATH, or use --depth")


def trouble(actor: Result) -> str:
    """What is wrong with an actor, and what comes next, in a line; empty where nothing is."""
    notes = []
    if actor["error"] is not None and (actor["restarts"] or actor["state"] != "running"):
        notes.append(actor["error"])
    if actor["retry_in"] is not None:
        notes.append(f"next try in {words.age(actor['retry_in'])}")
    if actor["current_age"] is not None and actor["current_age"] > 1:
        notes.append(f"at {actor['current']} for {words.age(actor['current_age'])}")
    return "; ".join(notes)


def _names(paths: Sequence[str]) -> list[tuple[str, str]]:
    """The indentation and the name of each of these, each listed after what it is below."""
    found: list[tuple[str, str]] = []
    above: list[str] = []
    for path in paths:
        while above and not (above[-1] == "/" or path.startswith(f"{above[-1]}/")):
            above.pop()
        name = path[len(above[-1].rstrip("/")) + 1 :] if above and path != "/" else path
        found.append(("  " * len(above), name))
        above.append(path)
    return found


def _plain(text: str) -> str:
    return text if text.isprintable() else "".join(each if each.isprintable() else "?" for each in text)


def status(screen: Screen, result: Result) -> None:
    """A page on one actor."""
    actor = result["actor"]
    screen.title(f"{actor['path']}  ({actor['actor']})")
    _vitals(screen, actor, result["mailbox_types"])
    if actor["state"] != "stopped" and actor["retry_in"] is None:
        _pair(screen, "runs in", _where(actor, result["process"]))
    if result["configured"] is not None:
        _pair(screen, "configured", _configured(result["configured"]))
    for each in result["claims"]:
        _pair(screen, "claims", each)
    if result["node"] is not None:
        _node(screen, result["node"])
    if result["stack"]:
        screen.title("stands at")
        screen.block(result["stack"])
    if result["values"]:
        screen.title("values")
        values(screen, {"values": result["values"], "left_off": 0})
    if result["children"]:
        screen.title("children")
        skipped = len(actor["path"].rstrip("/")) + 1
        rows = [(each["state"], each["path"][skipped:], trouble(each)) for each in result["children"]]
        screen.table(("STATE", "NAME", ""), rows, [STATES.get(row[0], "") for row in rows])
    if result["errors"]:
        screen.title("errors")
        errors(screen, {"errors": result["errors"]}, tracebacks=False)
    if result["events"]:
        screen.title("last events")
        for each in result["events"][-_LAST_EVENTS:]:
            event(screen, each)


def _vitals(screen: Screen, actor: Result, waiting: Mapping[str, int]) -> None:
    _pair(screen, "state", f"{actor['state']} for {words.age(actor['age'])}", STATES.get(actor["state"], ""))
    if actor["suspended"]:
        _pair(screen, "polls", "suspended", STATES["suspended"])
    if actor["error"] is not None:
        _pair(screen, "last end", actor["error"], STATES["error"])
    if actor["retry_in"] is not None:
        _pair(screen, "next try", f"in {words.age(actor['retry_in'])}")
    lately = f", {actor['restarts_recent']} of them lately" if actor["restarts"] else ""
    _pair(screen, "restarts", f"{actor['restarts']}{lately}")
    types = ", ".join(f"{count} {name}" for name, count in waiting.items())
    _pair(screen, "mailbox", f"{actor['mailbox']} waiting{f': {types}' if types else ''}")
    _pair(screen, "handled", f"{actor['handled']} ({words.rate(actor['handled'], actor['age'])} a second)")
    if actor["current"] is not None:
        _pair(screen, "current", f"{actor['current']} for {words.age(actor['current_age'])}")


def _where(actor: Result, process: int) -> str:
    if actor["pid"] is not None:
        return f"a process of its own, {actor['pid']}"
    threads = "a thread of its own" if actor["isolation"] == "thread" else "the shared threads"
    return f"{threads} of process {process}"


def _configured(where: Result) -> str:
    line = f":{where['line']}" if where["line"] is not None else ""
    key = f" {where['key']}" if where["key"] else ""
    return f"{where['file']}{line} [{where['section']}]{key}"


def _node(screen: Screen, node: Result) -> None:
    reason = f": {node['reason']}" if node["reason"] else ""
    _pair(screen, "node", f"{node['hadd']} {node['uuid']} ({node['name']})")
    _pair(screen, "on the air", f"{node['state']}{reason}", STATES.get(node["state"], ""))
    last = "none so far" if node["heartbeat_age"] is None else f"{words.age(node['heartbeat_age'])} ago"
    _pair(screen, "heartbeat", f"{last}, every {node['heartbeat']:g} s")


def _pair(screen: Screen, name: str, text: str, style: str = "") -> None:
    screen.line(f"  {name:<11} {text}", style)


def values(screen: Screen, result: Result) -> None:
    """Values, with how their polls go."""
    rows, styles = [], []
    for each in result["values"]:
        rows.append((each["path"], words.data(each["data"], each["units"]), words.age(each.get("age")), _polls(each)))
        styles.append(STATES["error"] if each.get("error") else STATES["suspended"] if each["suspended"] else "")
    screen.table(("VALUE", "DATA", "AGE", "POLLS"), rows, styles)
    if result["left_off"]:
        screen.line(f"… and {result['left_off']} more: name a PATH")


def _polls(value: Result) -> str:
    if value["suspended"]:
        return "suspended"
    parts = [f"every {value['poll_delay']:g}s"] if value["poll_delay"] else []
    if value.get("error"):
        in_row = value["failures_in_row"]
        parts.append(f"failed{f' {in_row} times' if in_row > 1 else ''}: {value['error']}")
    elif value.get("failures"):
        parts.append(f"{value['failures']} of {value['reads']} failed")
    return ", ".join(parts)


def errors(screen: Screen, result: Result, *, tracebacks: bool = True) -> None:
    """Errors, the latest last, as a log has it."""
    if not result["errors"]:
        screen.line("no errors")
    for each in reversed(result["errors"]):
        often = f" x {each['times']}" if each["times"] > 1 else ""
        since = f" since {words.clock(each['first'])}" if each["times"] > 1 else ""
        screen.line(f"{words.clock(each['last'])} {each['path'] or '/'} {each['event']}{often}{since}", "bold")
        if each["error"]:
            screen.line(f"    {each['error']}", STATES.get(each["level"], ""))
        if tracebacks and each["traceback"]:
            screen.block(each["traceback"], "dim")


def event(screen: Screen, each: Result) -> None:
    """An event of the log."""
    level = each["level"]
    text = f"{words.clock(each['time'])} {level:<7} {each['path'] or '/'} {each['event']} {each['text']}"
    screen.line(text.rstrip(), STATES.get(level, ""))


def traced(screen: Screen, each: Result) -> None:
    """A message that an actor has handled."""
    failed = f"  raised {each['error']}" if each["error"] else ""
    text = f"{words.clock(each['time'])} {each['path']} {words.age(each['took'])}"
    screen.line(f"{text} {each['message']}{failed}", STATES["error"] if failed else "")


def ended(screen: Screen, result: Result) -> None:
    """Why a stream has ended."""
    why = {"max": "that is the most that was asked for", "time": "the time is over", "asked": "stopped"}
    over = (
        f"; {result['passed_over']} more were not shown: the rate did not allow them" if result["passed_over"] else ""
    )
    screen.line(f"{result['shown']} shown: {why.get(result['ended'], result['ended'])}{over}", "dim")


def readings(screen: Screen, result: Result) -> None:
    """What was read just now."""
    rows, styles = [], []
    for each in result["readings"]:
        read = f"failed: {each['error']}" if each["error"] else words.data(each["data"], each["units"])
        rows.append((each["path"], words.age(each["took"]), read))
        styles.append(STATES["error"] if each["error"] else "")
    screen.table(("VALUE", "TOOK", "READING"), rows, styles)


def mqtt(screen: Screen, result: Result) -> None:
    """The connections to the broker."""
    screen.line(f"broker {result['broker']} ({result['kind']})")
    rows, styles = [], []
    for each in result["connections"]:
        state = "connected" if each["connected"] else "away"
        often = max(0, (each["connects"] or 0) - 1)
        figures = [words.count(each["queue"])]
        for key in ("published", "received"):
            known = each[key] is not None and each["counted"] is not None
            figures += [words.count(each[key]), words.rate(each[key], each["counted"]) if known else "-"]
        figures.append(words.count(each["dropped"]))
        rows.append((each["bus"], state, words.age(each["age"]), str(often), *figures))
        styles.append(STATES["running" if each["connected"] else "stopped"])
    screen.table(("BUS", "STATE", "SINCE", "AGAIN", "QUEUE", "SENT", "/S", "CAME", "/S", "LOST"), rows, styles)
    for each in result["connections"]:
        # Below: at 80 columns there is no room beside a bus with a long name.
        if each["reason"]:
            screen.line(f"{each['bus']}: {each['reason']}", STATES["error"])
        if each["will"]:
            screen.line(f"{each['bus']}: will {each['will']}", "dim")


def network(screen: Screen, result: Result) -> None:
    """The server's part in the network."""
    if result["role"] == "none":
        screen.line("no role: this server keeps no map of the network")
    else:
        _role(screen, result)
    for each in result["waiting"]:
        _pair(screen, "waits", f"[{each}] for an address")


def _role(screen: Screen, result: Result) -> None:
    failed = ", without a primary: the map is kept up by broadcast" if result["failed"] else ""
    _pair(screen, "role", f"{result['role']}{failed}")
    _pair(screen, "state", result["state"] if result["connected"] else f"{result['state']}, off the air")
    if result["home_id"]:
        _pair(screen, "home_id", result["home_id"])
    states = ", ".join(f"{count} {state}" for state, count in sorted(result["states"].items())) or "none"
    _pair(screen, "nodes", f"{result['nodes']} of {result['controllers']} controllers: {states}")
    _pair(screen, "values", str(result["values"]))
    for each in result["peers"]:
        _pair(screen, "peer", f"{each['hadd']} {each['name']}: {each['state']}")


def health(screen: Screen, result: Result) -> None:
    """Whether all is well, and why not."""
    figures = result["figures"]
    shown = f": {figures['online']} of {figures['nodes']} nodes are online" if figures else ""
    screen.line(f"{result['status']}{shown}", STATES.get(result["status"], ""))
    for each in result["reasons"]:
        screen.line(f"  {each['level']:<8} {each['path']}: {each['text']}", STATES.get(each["level"], ""))


def threads(screen: Screen, result: Result) -> None:
    """Where the threads stand."""
    for each in result["threads"]:
        screen.title(f"{each['process']}: {each['name']}")
        screen.block(each["stack"] or "(it has just ended)")
