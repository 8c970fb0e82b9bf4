"""The `[network]` section."""

from __future__ import annotations

from pathlib import Path

import pytest

from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import ServerConfig
from janitoo_actors.configuration.network import NetworkSection
from janitoo_actors.configuration.registry import Registry
from janitoo_actors.protocol.hadd import Hadd


def loaded(tmp_path: Path, *lines: str) -> ServerConfig:
    path = tmp_path / "my.conf"
    path.write_text("\n".join(["[system]", "service = me", *lines, ""]), encoding="utf-8")
    return load(path, Registry.installed())


def test_without_the_section_there_is_no_role(tmp_path: Path) -> None:
    assert loaded(tmp_path).network is None


@pytest.mark.parametrize("lines", [[], ["is_primary = False"], ["home_id = x", "is_secondary = no"]])
def test_a_section_without_a_role_is_none(tmp_path: Path, lines: list[str]) -> None:
    config = loaded(tmp_path, "[network]", *lines)
    assert (config.network, config.problems, config.warnings) == (None, (), ())


def role(config: ServerConfig) -> NetworkSection:
    assert config.network is not None
    return config.network


def test_defaults(tmp_path: Path) -> None:
    primary = role(loaded(tmp_path, "[network]", "is_primary = True"))
    assert (primary.is_primary, primary.is_secondary, primary.address) == (True, False, Hadd(1, 0))
    assert (primary.do_heartbeat_dispatch, primary.extensions, primary.home_id) == (True, (), "")
    assert (primary.broadcast_timeout, primary.resolv_timeout, primary.request_timeout) == (3.0, 5.0, 3.0)
    secondary = role(loaded(tmp_path, "[network]", "is_secondary = True"))
    assert (secondary.is_primary, secondary.is_secondary, secondary.address) == (False, True, Hadd(2, 0))


def test_every_key(tmp_path: Path) -> None:
    lines = """\
[network]
is_primary = yes
is_secondary = no
hadd = 7/0
home_id = My home
do_heartbeat_dispatch = no
broadcast_timeout = 1
resolv_timeout = 2.5
request_timeout = 4
extensions = one, two.three
""".splitlines()
    config = loaded(tmp_path, *lines)
    assert config.warnings == ()
    network = role(config)
    assert (network.is_primary, network.is_secondary, network.address) == (True, False, Hadd(7, 0))
    assert (network.home_id, network.do_heartbeat_dispatch) == ("My home", False)
    assert (network.broadcast_timeout, network.resolv_timeout, network.request_timeout) == (1.0, 2.5, 4.0)
    assert network.extensions == ("one", "two.three")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["is_primary = True", "is_secondary = True"],
            "[network] is_secondary = 'True': a server is primary or secondary, never both: remove one of the two",
        ),
        (["is_primary = maybe"], "[network] is_primary = 'maybe': expected True or False"),
        (["is_primary = 1", "hadd = 12"], "[network] hadd = '12': expected an address, CCCC/NNNN, as 0001/0000"),
        (["is_primary = 1", "resolv_timeout = 0"], "[network] resolv_timeout = '0': expected a number of seconds"),
        (["is_primary = 1", "extensions = a;b"], "[network] extensions = 'a;b': expected names with commas between"),
    ],
)
def test_what_is_wrong_leaves_out_the_network_alone(tmp_path: Path, lines: list[str], expected: str) -> None:
    bus = ["[hostsensor]", "hadd = 0121/0000", "components.load = hostsensor.load"]
    config = loaded(tmp_path, "[network]", *lines, *bus)
    assert config.network is None
    assert len(config.buses) == 1
    assert expected in str(config.problems[0])
    assert ":3" in str(config.problems[0]) or ":4" in str(config.problems[0]) or ":5" in str(config.problems[0])


def test_a_misspelt_key_is_warned_of(tmp_path: Path) -> None:
    config = loaded(tmp_path, "[network]", "is_primary = True", "resolve_timeout = 3")
    assert config.network is not None
    (warning,) = config.warnings
    assert "did you mean 'resolv_timeout'?" in str(warning)
