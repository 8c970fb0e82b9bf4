"""What the console says of the devices that buses have claimed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import claiming_drivers
from asked_server import asked
from brokers import Mosquitto
from janitoo_actors import locks
from janitoo_actors.api import Hardware
from janitoo_actors.configuration.examination import examine
from janitoo_actors.console import pages
from janitoo_actors.console.screen import Screen
from janitoo_actors.control.client import NoServerError, connect
from running_server import TIMEOUT, ServerProcess, system_section
from tool_runs import ROOT
from waiting import wait_for


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine for each test, on which nothing is claimed."""
    monkeypatch.setenv(locks.RUN_DIR, str(tmp_path / "run"))


def hat(section: str, controller: int, pin: int, *own: str) -> str:
    """A bus on an adapter of its own, with a component at a pin."""
    lines = [
        f"\n[{section}]",
        "oid = hat",
        f"hadd = {controller:04d}/0000",
        "components.relay = hat.relay",
        f"adapter_0 = {controller}",
        *own,
        f"\n[{section}__relay]",
        f"hadd = {controller:04d}/0001",
        f"pin_0 = {pin}\n",
    ]
    return "\n".join(lines)


class Hats:
    """A server with these drivers, as `janitoo run` starts it: a process of a bus has its environment."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", locks.RUN_DIR: str(folder)}
        command = [sys.executable, "-m", "claiming_drivers", "run", str(path), "--quiet"]
        self.process = ServerProcess(command, cwd=path.parent, env=environment)

    def ask(self, request: str, **data: Any) -> Any:
        """Ask it."""
        with connect(self.path) as control:
            return control.ask(request, TIMEOUT, **data)

    def is_up(self) -> bool:
        """Whether all of it is online, and shown."""
        try:
            figures = self.ask("health")["figures"]
            return figures["online"] == 4 and "/buses/far/bus" in str(self.ask("tree"))
        except NoServerError:
            return False


def claims(server: Any, path: str) -> list[str]:
    page: list[str] = server.ask("status", path=path)["claims"]
    return page


def test_claims_are_on_the_page_whatever_process_has_them(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hats.conf"
    text = system_section(broker, "service = hats", "max_backoff = 0.1", f"pid_dir = {tmp_path / 'run'}")
    path.write_text(text + hat("near", 701, 17) + hat("far", 702, 18, "isolation = process"), encoding="utf-8")
    server = Hats(path, tmp_path / "run")
    with server.process:
        wait_for(server.is_up, TIMEOUT, lambda: server.process.both)
        for name in ("near", "/buses/near/bus", "0701/0001", "0701/0001/temperature"):
            assert claims(server, name) == ["the GPIO pin 17, for [near__relay]", "the I2C adapter 701, for [near]"]
        for name in ("far", "/buses/far/bus", "0702/0001"):
            assert claims(server, name) == ["the GPIO pin 18, for [far__relay]", "the I2C adapter 702, for [far]"]
        assert claims(server, "/") == []
        capsys.readouterr()
        pages.status(Screen(), server.ask("status", path="near"))
        shown = capsys.readouterr().out
        assert "  claims      the GPIO pin 17, for [near__relay]\n" in shown
        # Whoever does not run any more has none.
        server.ask("stop", path="near")
        assert claims(server, "near") == []
        server.ask("stop", path="far")
        wait_for(lambda: claims(server, "far") == [], TIMEOUT, "its process is gone")
        server.ask("start", path="near")
        wait_for(lambda: len(claims(server, "near")) == 2, TIMEOUT, "it has them again")


def test_what_a_server_has_itself_is_no_mistake_in_its_file(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A device that is there on any machine.
    monkeypatch.setattr(claiming_drivers.HatBus, "takes", lambda _self: [Hardware.path(tmp_path / "adapter")])
    (tmp_path / "adapter").touch()
    text = system_section(broker, "service = hats", f"pid_dir = {tmp_path}")
    path = tmp_path / "hats.conf"
    other = tmp_path / "other.conf"
    path.write_text(text + hat("near", 701, 17), encoding="utf-8")
    other.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with asked(path, claiming_drivers.registry()) as server:
        assert claims(server, "near")
        found = server.ask("check")
        assert (found["exit_code"], found["findings"], found["buses"]) == (0, [], ["near"])
        assert found["summary"] == "0 errors, 0 warnings: near would work"
        # Another file that wants it as well does not get it.
        report = examine(other, claiming_drivers.registry())
        assert [each.problem.section for each in report.findings] == ["near"]
        assert "is taken by [near] of hats" in str(report.findings[0])
