"""Random configuration files of the faulty drivers, for property tests. All of them are right."""

from __future__ import annotations

from hypothesis import strategies as st

_OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "sensor": {"temperature_poll_0": ("300", "200", "0", "1e2")},
    "pair": {"level_poll_0": ("300", "60"), "level_config_0": ("left", "top"), "level_config_1": ("right",)},
    "settable": {"mode_0": ("slow", "fast")},
    "pinned": {"mode_0": ("slow", "fast"), "pin_0": ("4", "5")},
    "switch": {"state_poll_0": ("0", "30"), "nobody_reads_this": ("1", "2")},
}


@st.composite
def configurations(draw: st.DrawFn, system: str, *, isolations: tuple[str, ...] = ("thread",)) -> str:
    """The text of a file, with this `[system]`."""
    lines = [system]
    sections = draw(st.lists(st.sampled_from(["one", "two", "three"]), unique=True, min_size=1))
    controllers = draw(st.permutations([701, 702, 703]))
    for section, controller in zip(sections, controllers, strict=False):
        keys = draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
        oids = {key: draw(st.sampled_from(sorted(_OPTIONS))) for key in keys}
        lines += [f"[{section}]", "oid = faulty", "auto_start = True", f"hadd = {controller:04d}/0000"]
        lines.append(f"isolation = {draw(st.sampled_from(isolations))}")
        lines += _common(draw)
        lines += [f"components.{key} = faulty.{oid}" for key, oid in oids.items()]
        for number, (key, oid) in enumerate(oids.items(), start=1):
            lines += ["", f"[{section}__{key}]", *_common(draw)]
            if draw(st.booleans()):
                lines.append(f"hadd = {controller:04d}/{number + draw(st.sampled_from([0, 10])):04d}")
            own = {
                option: draw(st.sampled_from(texts)) for option, texts in _OPTIONS[oid].items() if draw(st.booleans())
            }
            if "level_config_1" in own:
                own.setdefault("level_config_0", "left")
            lines += [f"{option} = {text}" for option, text in own.items()]
    return "\n".join([*lines, ""])


_COMMON: dict[str, tuple[str, ...]] = {
    "name": ("A", "B"),
    "location": ("Attic", "Cellar"),
    "heartbeat": ("300", "30"),
    "config_timeout": ("1",),
}


def _common(draw: st.DrawFn) -> list[str]:
    return [f"{key} = {draw(st.sampled_from(each))}" for key, each in _COMMON.items() if draw(st.booleans())]
