"""hostsensor.load and hostsensor.uptime, against the kernel's own figures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drivers.hostsensor import Load, Uptime
from janitoo_actors.api import OptionsError, TemporaryError


def test_the_three_periods_are_there_without_configuration() -> None:
    load = Load()
    assert [it.text for it in load.instances("load")] == ["1 minutes", "5 minutes", "15 minutes"]
    # The kernel renews its averages every five seconds: those before or those after are right.
    before = os.getloadavg()
    read = tuple(load.read("load", index) for index in range(3))
    after = os.getloadavg()
    assert all(each in pair for each, pair in zip(read, zip(before, after, strict=True), strict=True))


def test_each_period_is_the_kernels_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.25, 0.5, 0.75))
    load = Load(options={"load_config_0": "15 minutes", "load_config_1": "1", "load_config_2": " 5 "})
    assert [load.read("load", index) for index in range(3)] == [0.75, 0.25, 0.5]


@pytest.mark.parametrize(
    "text", ["", "2 minutes", "0", "-1", "1.0", "5 hours", "minutes", "15 15", "\N{FULLWIDTH DIGIT ONE}"]
)
def test_another_period_is_refused(text: str) -> None:
    with pytest.raises(OptionsError, match=r"load_config_0 = .*expected 1, 5 or 15 minutes, as"):
        Load(options={"load_config_0": text})


def test_a_period_can_be_changed_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.25, 0.5, 0.75))
    load = Load()
    load.change_instance("load", "15 minutes", index=0)
    assert load.read("load", 0) == 0.75
    with pytest.raises(ValueError, match=r"^expected 1, 5 or 15 minutes"):
        load.change_instance("load", "3 minutes", index=0)
    assert load.read("load", 0) == 0.75


def test_the_uptime_is_the_kernels_own() -> None:
    def kernel() -> float:
        return float(Path("/proc/uptime").read_text().split()[0])

    before = kernel()
    uptime = Uptime().read("uptime")
    assert isinstance(uptime, float)
    assert before <= uptime <= kernel()


@pytest.mark.parametrize("text", [None, "", "\n", "garbage 1\n", "\xff"])
def test_a_kernel_without_uptime_is_a_temporary_error(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Uptime, "proc", tmp_path)
    if text is not None:
        (tmp_path / "uptime").write_text(text, encoding="latin-1")
    with pytest.raises(TemporaryError, match="does not say for how long the machine is up"):
        Uptime().read("uptime")
