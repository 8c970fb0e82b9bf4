"""`janitoo config show` and `janitoo config init`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import example_drivers
from janitoo_actors.configuration.registry import Registry
from tool_runs import Outcome, Tool, run_program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, and drivers for it."""
    monkeypatch.chdir(tmp_path)
    registry = example_drivers.registry()
    monkeypatch.setattr(Registry, "installed", lambda: registry)
    return Path("my.conf")


FILE = """\
[DEFAULT]
heartbeat = 20

[system]
broker_port = 1884.0
broker_user = me
broker_password_file = mqtt
log_dir = log
slow_start = 1

[nut]
hadd = 1/0
location = Attic
components.one = nut.ups
components.two = nut.ups
key_0_env = UPS_KEY

[nut__one]
hadd = 1/2
name = The first
load_config_0 = 15
charge_poll_0 = 7.0
"""


@pytest.fixture
def shown(path: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, dict[str, Any]]]:
    """What is shown of FILE as JSON: keys by section."""
    path.write_text(FILE)
    Path("mqtt").write_text("s3cret\n")
    monkeypatch.setenv("UPS_KEY", "s3cret")
    outcome = tool("config", "show", str(path), "--json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert document["file"] == "my.conf"
    return {each["section"]: {key["key"]: key for key in each["keys"]} for each in document["sections"]}


@pytest.mark.parametrize(
    ("place", "value", "origin", "where"),
    [
        ("system broker_port", "1884", "file", "my.conf:5"),
        ("system broker_ip", "127.0.0.1", "default", "default"),
        ("system service", "my", "default", "default"),
        ("system broker_password", "***", "secret_file", "my.conf:7, the file mqtt"),
        ("system broker_ca_file", None, "default", "default"),
        ("nut hadd", "0001/0000", "file", "my.conf:12"),
        ("nut name", "UPS server", "default", "default"),
        ("nut heartbeat", "20", "default_section", "my.conf:2 [DEFAULT]"),
        ("nut components.two", "nut.ups", "file", "my.conf:15"),
        ("nut port_0", "3493", "default", "default"),
        ("nut key_0", "***", "environment", "my.conf:16, the variable UPS_KEY"),
        ("nut__one hadd", "0001/0002", "file", "my.conf:19"),
        ("nut__one location", "Attic", "bus", "[nut]"),
        ("nut__one load_config_0", "15", "file", "my.conf:21"),
        ("nut__one charge_poll_0", "7", "file", "my.conf:22"),
        ("nut__one device_0", "ups", "default", "default"),
        ("nut__two hadd", "0001/0001", "assigned", "the next free one"),
        ("nut__two name", "UPS", "default", "default"),
        ("nut__two load_config_2", "15", "default", "default"),
    ],
)
def test_value_and_where_it_comes_from(
    shown: dict[str, dict[str, dict[str, Any]]], place: str, value: str | None, origin: str, where: str
) -> None:
    section, key = place.split()
    found = shown[section][key]
    assert (found["value"], found["origin"], found["where"]) == (value, origin, where)
    assert found["help"]
    assert found["type"]
    assert found["applies"] in {"in_place", "restart_bus", "restart_server"}


def test_path_is_shown_as_it_is_meant(shown: dict[str, dict[str, dict[str, Any]]]) -> None:
    assert shown["system"]["log_dir"]["value"] == str(Path("log").absolute())


def test_what_is_not_shown(shown: dict[str, dict[str, dict[str, Any]]]) -> None:
    assert not {"slow_start", "broker_password_file"} & shown["system"].keys()
    assert "load_config_1" not in shown["nut__one"]
    assert list(shown) == ["system", "nut", "nut__one", "nut__two"]


def test_text(path: Path, tool: Tool) -> None:
    path.write_text("[system]\nbroker_port = 1884\nbroker_user = me\nbroker_password = s3cret\n[nut]\nhadd = 1/0\n")
    outcome = tool("config", "show", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    lines = [" ".join(line.split()) for line in outcome.lines]
    assert lines[0] == "[system]"
    assert "broker_port = 1884 # my.conf:2" in lines
    assert "broker_password = *** # my.conf:4" in lines
    assert "s3cret" not in outcome.out


def test_bus_that_is_left_out_is_told(path: Path, tool: Tool) -> None:
    path.write_text("[nut]\nhadd = 1/0\n[attic]\noid = nut\nauto_start = yes\nhadd = x\n")
    outcome = tool("config", "show", str(path))
    assert outcome.code == 1
    assert "[nut]" in outcome.out
    assert "[attic]" not in outcome.out
    assert outcome.err.startswith("janitoo config: my.conf:6: [attic] hadd = 'x': expected the address of a bus")


def test_server_that_would_not_start(path: Path, tool: Tool) -> None:
    path.write_text("[system]\nbroker_port = x\n")
    assert tool("config", "show", str(path)) == Outcome(
        78, "", "janitoo config: my.conf:2: [system] broker_port = 'x': expected a whole number, 1 to 65535\n"
    )


# -- init ------------------------------------------------------------------------------------------------------------


def test_file_of_init_is_right_and_runs_every_component(
    path: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    buses: dict[str, Any] = {"nut": example_drivers.NutBus, "hostsensor": example_drivers.HostBus}
    components: dict[str, Any] = {"nut.ups": example_drivers.Ups, "hostsensor.uptime": example_drivers.Uptime}
    monkeypatch.setattr(Registry, "installed", lambda: Registry(buses, components))
    outcome = tool("config", "init", "nut", "hostsensor", "nut", "-o", str(path))
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(tool("check", str(path), "--json").out)
    assert (document["findings"], document["buses"]) == ([], ["nut", "hostsensor", "nut_2"])
    text = path.read_text()
    for line in (
        "#broker_port = 1883",
        "#broker_user = janitoo",
        "hadd = 0121/0000",
        "hadd = 0123/0001",
        "components.ups = nut.ups",
        "#load_config_2 = 15",
        "#device_0 = ups",
        "[nut_2__ups]",
        "# Its port (1 to 65535).",
    ):
        assert f"\n{line}\n" in text


def test_commented_lines_of_init_are_right_too(path: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "installed", lambda: Registry({"nut": example_drivers.NutBus}, {}))
    text = tool("config", "init", "nut").out
    Path("mqtt").write_text("s3cret\n")
    # Those that need something of this machine, another package, or another key.
    needy = ("broker = ", "broker_ca_file", "broker_password", "extensions", "key_0_", "memory_max")
    lines = [
        line[1:] if line.startswith("#") and not line.startswith(("# ", *(f"#{each}" for each in needy))) else line
        for line in text.splitlines()
    ]
    path.write_text("\n".join(lines))
    document = json.loads(tool("check", str(path), "--json").out)
    assert document["findings"] == []
    assert len([line for line in lines if line and line[0] not in "#["]) > 20


def test_init_leaves_a_file_alone(path: Path, tool: Tool) -> None:
    path.write_text("mine\n")
    outcome = tool("config", "init", "nut", "-o", str(path))
    assert outcome == Outcome(
        1, "", "janitoo config: my.conf is there already, and is left as it is: choose another name\n"
    )
    assert path.read_text() == "mine\n"


def test_init_where_nothing_can_be_written(path: Path, tool: Tool) -> None:
    outcome = tool("config", "init", "nut", "-o", f"no/such/{path}")
    assert (outcome.code, outcome.err) == (
        1, "janitoo config: no/such/my.conf cannot be written: No such file or directory\n"
    )  # fmt: skip


def test_init_of_a_bus_that_is_not_installed(path: Path, tool: Tool) -> None:
    outcome = tool("config", "init", "nutt", "-o", str(path))
    assert outcome == Outcome(1, "", "janitoo config: no bus 'nutt' is installed; did you mean 'nut'?\n")
    assert not path.exists()


def test_init_with_what_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    assert run_program("config", "init", "hostsensor", "-o", str(path)).code == 0
    outcome = run_program("check", str(path))
    assert (outcome.code, outcome.out) == (0, "0 errors, 0 warnings: hostsensor would work\n")
