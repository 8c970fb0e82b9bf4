"""The requests about the configuration: `config`, `check`, `diff`, `reload`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from janitoo_actors.api.options import HIDDEN
from janitoo_actors.configuration.changes import Plan, bus_texts, is_secret, node_texts, system_texts
from janitoo_actors.configuration.model import BusConfig, NodeConfig
from janitoo_actors.control.requests import Access, Peer, Requests
from janitoo_actors.control.wire import ErrorCode, RequestError
from janitoo_actors.runtime.buses import ServerEndingError
from janitoo_actors.runtime.reload import ReloadBusyError, ReloadRefusedError
from janitoo_actors.runtime.server import Server


def add_to(requests: Requests) -> None:
    """Have these requests served."""
    requests.add("config", Config, Access.READ, _config)
    requests.add("check", Check, Access.READ, _check)
    requests.add("diff", Diff, Access.READ, _diff)
    requests.add("reload", Reload, Access.ACT, _reload)


# -- config ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Config:
    """What is the configuration that runs?"""


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration that runs, every key by its section, defaults included; passwords are masked.

    Attributes:
        waiting: the buses that have something of it waiting for their restart.
    """

    file: str
    sections: Mapping[str, Mapping[str, str | None]]
    waiting: Sequence[str]


def _config(server: Server, _config: Config, _peer: Peer) -> Configured:
    config = server.config
    system = system_texts(config.system)
    if system["broker_password"]:
        system["broker_password"] = HIDDEN
    sections: dict[str, Mapping[str, str | None]] = {"system": system}
    for bus in config.all_buses:
        sections[bus.section] = {**bus_texts(bus), **_of_node(bus.node, bus.bus_class)}
        for each in bus.components:
            sections[each.node.uuid] = _of_node(each.node, each.component_class)
    return Configured(os.path.abspath(config.path), sections, server.running.held)


def _of_node(node: NodeConfig, device_class: Any) -> dict[str, str | None]:
    texts = node_texts(node, device_class)
    return {key: HIDDEN if text and is_secret(key, device_class) else text for key, text in texts.items()}


# -- check -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """What is wrong with the file as it is now, and with what it needs of the machine?"""


def _check(server: Server, _check: Check, _peer: Peer) -> Mapping[str, Any]:
    report = server.examine()
    return {**report.document(), "lines": [str(each) for each in report.findings], "summary": report.summary}


# -- diff and reload -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Diff:
    """What would a reload do?"""


@dataclass(frozen=True, slots=True)
class Reload:
    """Have the server run what its file says."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key that is different; passwords are masked."""

    section: str
    key: str
    old: str | None
    new: str | None
    applied: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a bus that was started or restarted."""

    bus: str
    online: int
    nodes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """What a reload does, or has done.

    Attributes:
        lines: all of it in words, for people.
        added, removed, restarted: the sections of buses.
        changes: every key that is different in buses that were there, and in `[system]`.
        log: whether the sections of the log are read again.
        outcomes: of a reload: what came of the buses that it has started.
        warnings: what is odd in the file, and does no harm.
    """

    lines: Sequence[str]
    added: Sequence[str]
    removed: Sequence[str]
    restarted: Sequence[str]
    changes: Sequence[KeyChange]
    log: bool
    outcomes: Sequence[Outcome] = ()
    warnings: Sequence[str] = ()


def _diff(server: Server, _diff: Diff, _peer: Peer) -> Changed:
    try:
        return _changed(server.plan())
    except ReloadRefusedError as error:
        raise _refused(error) from error


def _reload(server: Server, _reload: Reload, peer: Peer) -> Changed:
    try:
        done = server.reload(f"the control socket, by user {peer.uid}")
    except ReloadRefusedError as error:
        raise _refused(error) from error
    except (ReloadBusyError, ServerEndingError) as error:
        raise RequestError(ErrorCode.BUSY, str(error)) from error
    # None only where it is asked for others' changes alone.
    assert done is not None
    outcomes = [Outcome(each.section, each.online, each.nodes, each.reason) for each in done.outcomes]
    return _changed(done.plan, outcomes, [str(each) for each in done.warnings])


def _refused(error: ReloadRefusedError) -> RequestError:
    count = len(error.problems)
    message = f"the file has {count} mistake{'' if count == 1 else 's'}, and nothing is changed"
    return RequestError(ErrorCode.REFUSED, message, error.problems)


def _changed(plan: Plan, outcomes: Sequence[Outcome] = (), warnings: Sequence[str] = ()) -> Changed:
    changes = [
        *plan.system,
        *plan.waiting,
        *(change for each in (*plan.restarted, *plan.tuned, *plan.asking) for change in each.changes),
    ]
    return Changed(
        lines=plan.lines(),
        added=_sections(plan.added),
        removed=_sections(plan.removed),
        restarted=_sections([each.bus for each in plan.restarted]),
        changes=[KeyChange(each.section, each.key, each.old, each.new, each.applied.value) for each in changes],
        log=plan.logging,
        outcomes=outcomes,
        warnings=warnings,
    )


def _sections(buses: Sequence[BusConfig]) -> list[str]:
    return [bus.section for bus in buses]
