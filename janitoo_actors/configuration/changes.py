"""What is different between two configurations of a server, and what has to be done about it. Pure; any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from janitoo_actors.api.bus import Bus
from janitoo_actors.api.device import Device
from janitoo_actors.api.options import HIDDEN
from janitoo_actors.api.schema import INDEX, Applies, Option, Section, option_of
from janitoo_actors.api.types import seconds, to_text
from janitoo_actors.api.values import Setting
from janitoo_actors.configuration.model import BrokerKind, BusConfig, NodeConfig, ServerConfig, SystemConfig
from janitoo_actors.configuration.node_sections import BusSection, ComponentSection
from janitoo_actors.configuration.system import SystemSection
from janitoo_actors.protocol.hadd import Hadd

_BROKER: Final = {"broker": "kind", "broker_ip": "host"}


def how_applied(key: str, device_class: type[Device] | None) -> Applies:
    """How a change of a key in the file is put into effect.

    Args:
        device_class: what the section is for; None for `[system]`.
    """
    option = _option(key, device_class)
    return option.applies if option is not None else Applies.RESTART_BUS


def is_secret(key: str, device_class: type[Device] | None) -> bool:
    """Whether a key holds a password."""
    option = _option(key, device_class)
    return option is not None and option.is_secret


def _option(key: str, device_class: type[Device] | None) -> Option[Any] | None:
    if device_class is None:
        return option_of(SystemSection.options, key)
    of_every_one = BusSection if issubclass(device_class, Bus) else ComponentSection
    return option_of(of_every_one.options, key) or option_of(device_class.schema(), key)


@dataclass(frozen=True, slots=True)
class Change:
    """One key that is different.

    Attributes:
        old, new: what it is, as text, the default where the file does not say; None where there is no such thing.
            Passwords are masked.
    """

    section: str
    key: str
    old: str | None
    new: str | None
    applied: Applies

    def __str__(self) -> str:
        return f"[{self.section}] {self.key}: {_shown(self.old)} → {_shown(self.new)}"


@dataclass(frozen=True, slots=True)
class BusChange:
    """A bus that is in both configurations, and is not the same.

    Attributes:
        bus: as it is to be.
        changes: what people see of it; in place, it may be nothing at all, as an address that is now written down.
    """

    bus: BusConfig
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done to come from one configuration to another.

    Attributes:
        config: the one to come to: the new one, but for what only a restart of the server can change.
        added, removed: the buses to start, and to stop.
        restarted: the buses to stop, and to start again.
        tuned: the buses that go on, with other settings.
        asking: the buses that are to ask the network for addresses, and what is different of those that do already.
        given_up: the buses that need not ask any more, as they are not to be started at all.
        system: the keys of `[system]` that change, however that is done.
        waiting: those keys of it, and of the other sections of the server, that wait for its next start.
        logging: whether the sections of the log are different.
    """

    config: ServerConfig
    added: tuple[BusConfig, ...] = ()
    removed: tuple[BusConfig, ...] = ()
    restarted: tuple[BusChange, ...] = ()
    tuned: tuple[BusChange, ...] = ()
    asking: tuple[BusChange, ...] = ()
    given_up: tuple[BusConfig, ...] = ()
    system: tuple[Change, ...] = ()
    waiting: tuple[Change, ...] = ()
    logging: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is different that anybody could see."""
        return not self.lines()

    def lines(self) -> list[str]:
        """The plan in words, a line each."""
        lines = [f"{change}: for all buses" for change in self.system if change.applied is not Applies.IN_PLACE]
        lines += [str(change) for change in self.system if change.applied is Applies.IN_PLACE]
        if self.logging:
            lines.append("the log: its sections are read again")
        lines += [f"[{bus.section}] stops" for bus in self.removed]
        lines += [
            f"[{bus.section}] starts: {bus.node.hadd}, {len(bus.components)} "
            f"{'component' if len(bus.components) == 1 else 'components'}"
            for bus in self.added
        ]
        for each in self.restarted:
            lines.append(f"[{each.bus.section}] restarts{':' if each.changes else ''}")
            lines += [f"    {change}" for change in each.changes]
        lines += [str(change) for each in (*self.tuned, *self.asking) for change in each.changes]
        lines += [f"[{each.bus.section}] asks the network for an address" for each in self.asking if not each.changes]
        lines += [f"[{bus.section}] does not ask for an address any more" for bus in self.given_up]
        lines += [f"{change}: not before the server is restarted" for change in self.waiting]
        return lines


def difference(old: ServerConfig, new: ServerConfig) -> Plan:
    """What has to be done to come from the old configuration to the new one.

    Order, comments and white space do not count, nor does a default that is written down. Both are without problems.
    """
    system, waiting = _system_changes(old.system, new.system)
    others = tuple(_section_changes(old.sections, new.sections))
    everywhere = any(change.applied is Applies.RESTART_BUS for change in system)
    before = {bus.section: bus for bus in old.buses}
    after = {bus.section: bus for bus in new.buses}
    restarted, tuned = [], []
    for section, bus in after.items():
        if section not in before:
            continue
        changes = tuple(_bus_changes(before[section], bus))
        if everywhere or any(change.applied is not Applies.IN_PLACE for change in changes):
            restarted.append(BusChange(bus, changes))
        elif bus != before[section]:
            tuned.append(BusChange(bus, changes))
    asked = {bus.section: bus for bus in old.unaddressed}
    asks = {bus.section for bus in new.unaddressed}
    return Plan(
        config=replace(
            new, system=_with_old(new.system, old.system, waiting), sections=old.sections if others else new.sections
        ),
        added=tuple(bus for section, bus in after.items() if section not in before),
        removed=tuple(bus for section, bus in before.items() if section not in after),
        restarted=tuple(restarted),
        tuned=tuple(tuned),
        asking=tuple(_asking(asked, new.unaddressed)),
        given_up=tuple(bus for bus in asked.values() if bus.section not in {*asks, *after}),
        system=tuple(system),
        waiting=(*waiting, *others),
        logging=old.logging != new.logging,
    )


def _asking(before: Mapping[str, BusConfig], after: Sequence[BusConfig]) -> Iterator[BusChange]:
    """The buses that begin to ask for addresses; with what is different, where they do already."""
    for bus in after:
        asked = before.get(bus.section)
        changes = tuple(_bus_changes(asked, bus)) if asked is not None else ()
        if asked is None or changes:
            yield BusChange(bus, changes)


def with_options(bus: BusConfig, section: str, options: Mapping[str, str], *, address: bool) -> BusConfig:
    """The bus with options of one of its sections set, as a write over the air has stored them.

    Args:
        address: whether a new address of a component counts already; otherwise it is only known to stand in the file.
    """
    if section == bus.section:
        # What is the runtime's of it, and none of its driver's.
        if "uuid" in options:
            bus = replace(bus, identity=options["uuid"])
        if "lease" in options:
            bus = replace(bus, leased=BusSection.options["lease"].type.parse(options["lease"]))
        options = {key: text for key, text in options.items() if key not in {"uuid", "lease"}}
    return replace(
        bus,
        node=_node_with(bus.node, section, options, address=address),
        components=tuple(
            replace(each, node=_node_with(each.node, section, options, address=address)) for each in bus.components
        ),
    )


def _node_with(node: NodeConfig, section: str, options: Mapping[str, str], *, address: bool) -> NodeConfig:
    if node.uuid != section:
        return node
    changed: dict[str, Any] = {key: text for key, text in options.items() if key in {"name", "location"}}
    changed |= {key: float(text) for key, text in options.items() if key in {"heartbeat", "config_timeout"}}
    if "hadd" in options:
        # It stands in the file now: nobody may write the assigned one over it.
        changed["hadd_assigned"] = False
        if address:
            changed["hadd"] = Hadd.parse(options["hadd"])
    others = {key: text for key, text in options.items() if key not in {*changed, "hadd"}}
    return replace(node, options={**node.options, **others}, **changed)


# -- [system] --------------------------------------------------------------------------------------------------------


def _system_changes(old: SystemConfig, new: SystemConfig) -> tuple[list[Change], list[Change]]:
    """The changes that can be put into effect, and those that wait for the next start."""
    before, after = system_texts(old), system_texts(new)
    embedded = BrokerKind.EMBEDDED in {old.broker.kind, new.broker.kind}
    now: list[Change] = []
    later: list[Change] = []
    for key, text in after.items():
        if text == before[key]:
            continue
        applied = how_applied(key, None)
        if embedded and key.startswith("broker"):
            # All that is connected to our broker would have to go with it.
            applied = Applies.RESTART_SERVER
        secret = is_secret(key, None)
        change = Change("system", key, _masked(before[key], secret=secret), _masked(text, secret=secret), applied)
        (later if applied is Applies.RESTART_SERVER else now).append(change)
    return now, later


def system_texts(system: SystemConfig) -> dict[str, str | None]:
    """Every key of `[system]`, and what it is; **passwords too**."""
    texts = {each.name: _text(getattr(system, each.name)) for each in fields(system) if each.name != "broker"}
    keys = {name: key for key, name in _BROKER.items()}
    for each in fields(system.broker):
        texts[keys.get(each.name, f"broker_{each.name}")] = _text(getattr(system.broker, each.name))
    return texts


def _with_old(new: SystemConfig, old: SystemConfig, waiting: Sequence[Change]) -> SystemConfig:
    """`[system]` as it can be now."""
    names = {change.key for change in waiting}
    broker = {
        _BROKER.get(key, key.removeprefix("broker_")): getattr(
            old.broker, _BROKER.get(key, key.removeprefix("broker_"))
        )
        for key in names
        if key.startswith("broker")
    }
    others = {key: getattr(old, key) for key in names if not key.startswith("broker")}
    return replace(new, broker=replace(new.broker, **broker), **others)


def _section_changes(old: Mapping[str, Section], new: Mapping[str, Section]) -> Iterator[Change]:
    """The changes of the sections of the server beside `[system]`: they all wait for its next start."""
    for name in dict.fromkeys((*old, *new)):
        options = (new[name] if name in new else old[name]).options
        before, after = (_section_texts(each.get(name)) for each in (old, new))
        for key in dict.fromkeys((*before, *after)):
            if (was := before.get(key)) != (now := after.get(key)):
                secret = (option := option_of(options, key)) is not None and option.is_secret
                shown = (_masked(was, secret=secret), _masked(now, secret=secret))
                yield Change(name, key, *shown, Applies.RESTART_SERVER)


def _section_texts(section: Section | None) -> dict[str, str | None]:
    if section is None:
        return {}
    data = {key: section.option(key) for key, option in section.options.items() if not option.is_family}
    return {key: None if each is None else section.options[key].type.text(each) for key, each in data.items()}


# -- buses and nodes -------------------------------------------------------------------------------------------------


def _bus_changes(old: BusConfig, new: BusConfig) -> Iterator[Change]:
    before, after = bus_texts(old), bus_texts(new)
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield Change(new.section, key, before.get(key), after.get(key), how_applied(key, new.bus_class))
    if old.bus_class is not new.bus_class:
        if before["oid"] == after["oid"]:
            yield Change(new.section, "oid", before["oid"], after["oid"], Applies.RESTART_BUS)
    else:
        yield from _node_changes(old.node, new.node, new.bus_class)
    components = {each.key: each for each in old.components}
    for each in new.components:
        same = components.get(each.key)
        if same is not None and same.component_class is each.component_class:
            yield from _node_changes(same.node, each.node, each.component_class)


def bus_texts(bus: BusConfig) -> dict[str, str | None]:
    """The keys of a bus's section that are not its node's, and what they are."""
    return {
        "oid": _oid(bus.bus_class, bus.section),
        "isolation": bus.isolation.value,
        "memory_max": _text(bus.memory_max),
        "lease": str(bus.leased),
        "extensions": ", ".join(bus.extensions),
        "simulate": str(bus.simulate),
        **{f"components.{each.key}": _oid(each.component_class, each.key) for each in bus.components},
    }


def _oid(device_class: type[Device], section: str) -> str:
    return device_class.oid or f"{device_class.__qualname__} of {section}"


def _node_changes(old: NodeConfig, new: NodeConfig, device_class: type[Device]) -> Iterator[Change]:
    if old == new:
        return
    same = old.options == new.options
    before, after = node_texts(old, device_class, own=same), node_texts(new, device_class, own=same)
    for key in dict.fromkeys((*before, *after)):
        if (was := before.get(key)) != (now := after.get(key)):
            secret = is_secret(key, device_class)
            # One more or less: a running device has as many as it was made with.
            applied = Applies.RESTART_BUS if was is None or now is None else how_applied(key, device_class)
            yield Change(new.uuid, key, _masked(was, secret=secret), _masked(now, secret=secret), applied)


def node_texts(node: NodeConfig, device_class: type[Device], *, own: bool = False) -> dict[str, str | None]:
    """Every key of a node's section that is read, and what it is, defaults included; **passwords too**.

    Args:
        own: only the keys that every node has.
    """
    texts: dict[str, str | None] = {
        # Nothing where it has none yet: then that of its bus is nobody's.
        "hadd": str(node.hadd) if node.hadd.controller else None,
        "name": node.name,
        "location": node.location,
        "heartbeat": _text(node.heartbeat),
        "config_timeout": _text(node.config_timeout),
    }
    if own:
        return texts
    # Made for what it knows of its options; it is never opened, and thrown away.
    device = device_class(node.uuid, node.options)
    for key, option in device_class.options.items():
        data = device.option(key)
        if option.of:
            # Of the instances that have their own.
            texts |= {key.replace(INDEX, str(index)): option.type.text(each) for index, each in data.items()}
            continue
        texts[key] = None if data is None else option.type.text(data)
    for uuid, value in device_class.values.items():
        if isinstance(value, Setting):
            texts |= {f"{uuid}_{index}": to_text(data) for index, data in enumerate(device.settings(uuid))}
            continue
        if value.instances is not None:
            texts |= {f"{uuid}_config_{each.index}": each.text for each in device.instances(uuid)}
        if value.is_polled:
            texts[f"{uuid}_poll_0"] = _text(seconds(device.poll_delay(uuid)))
    return texts


def _masked(text: str | None, *, secret: bool) -> str | None:
    return HIDDEN if secret and text else text


def _text(data: Any) -> str | None:
    if data is None:
        return None
    return str(int(data)) if isinstance(data, float) and data.is_integer() else str(data)


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)
