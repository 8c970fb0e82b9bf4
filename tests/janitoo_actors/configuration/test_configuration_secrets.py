"""Passwords from files and from the environment, and that nobody is shown one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import example_drivers
from janitoo_actors.configuration.ini import ConfigurationFileError
from janitoo_actors.configuration.loader import load
from janitoo_actors.configuration.model import ServerConfig

Load = Callable[[str], ServerConfig]
BUS = "[nut]\nhadd = 1/0\n"


@pytest.fixture(name="load_text")
def fixture_load_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """A function that loads a text as the file `x.conf`, which only its owner may read."""
    monkeypatch.chdir(tmp_path)
    path = Path("x.conf")

    def load_text(text: str) -> ServerConfig:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return load(path, example_drivers.registry())

    return load_text


def secret_file(name: str, text: str, mode: int = 0o600) -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def system(*lines: str) -> str:
    return "\n".join(["[system]", "broker_user = me", *lines, BUS])


def test_password_from_a_file(load_text: Load) -> None:
    secret_file("mqtt", "s3cret\nanything\n")
    config = load_text(system("broker_password_file = mqtt"))
    assert config.system.broker.password == "s3cret"
    assert config.problems == config.warnings == ()


def test_password_from_the_environment(load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    config = load_text(system("broker_password_env = MQTT_PASSWORD"))
    assert config.system.broker.password == "s3cret"
    assert config.problems == config.warnings == ()


def test_password_from_the_credentials_of_systemd(
    load_text: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    secret_file("mqtt", "s3cret")
    assert load_text(system("broker_password_file = ${CREDENTIALS_DIRECTORY}/mqtt")).system.broker.password == "s3cret"


def test_password_of_a_driver(load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPS_KEY", "s3cret")
    config = load_text(BUS + "key_0_env = UPS_KEY\n")
    assert config.problems == config.warnings == ()
    [bus] = config.buses
    assert bus.bus_class("nut", bus.node.options).setting("key") == "s3cret"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "broker_password_file = none",
            "x.conf:3: [system] broker_password_file = 'none': expected a file with",
        ),
        ("broker_password_file = /dev", "expected a file with the password: /dev: Is a directory"),
        ("broker_password_file = empty", "/empty: it is empty"),
        ("broker_password_file = latin", "expected a file with the password in UTF-8"),
        ("broker_password_file = two", "[system] broker_password: expected a text of one line"),
        (
            "broker_password_env = NO_SUCH_VARIABLE",
            "broker_password_env = 'NO_SUCH_VARIABLE': expected the name of a variable of the environment: there",
        ),
        ("broker_password_env = a=b", "broker_password_env = 'a=b': expected the name of a variable"),
    ],
)
def test_password_that_is_not_there(load_text: Load, line: str, said: str) -> None:
    secret_file("empty", "\n")
    secret_file("two", "s3\x07cret")
    Path("latin").write_bytes(b"\xe9")
    with pytest.raises(ConfigurationFileError) as failure:
        load_text(system(line))
    [problem] = failure.value.problems
    assert said in str(problem)
    assert "cret" not in str(problem)


def test_first_that_is_there_counts(load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is written over the air goes to the key itself, and must count from then on.
    monkeypatch.setenv("MQTT_PASSWORD", "of the environment")
    secret_file("mqtt", "of the file")
    both = ("broker_password_env = MQTT_PASSWORD", "broker_password_file = mqtt")
    config = load_text(system(*both))
    assert config.system.broker.password == "of the file"
    assert [str(each).split(": ", 2)[1:] for each in config.warnings] == [
        ["[system] broker_password_env", "it is not read, as broker_password is there already: remove one of the two"]
    ]
    config = load_text(system(*both, "broker_password = of the key"))
    assert config.system.broker.password == "of the key"
    assert len(config.warnings) == 2


def test_empty_place_is_no_place(load_text: Load) -> None:
    config = load_text(system("broker_password_file =", "broker_password_env ="))
    assert config.system.broker.password is None
    assert config.warnings == ()


def test_password_without_a_user_is_refused_wherever_it_is(load_text: Load) -> None:
    secret_file("mqtt", "s3cret")
    with pytest.raises(ConfigurationFileError, match="expected broker_user beside it"):
        load_text(f"[system]\nbroker_password_file = mqtt\n{BUS}")


# -- who may read them -----------------------------------------------------------------------------------------------


def test_file_with_a_password_that_everybody_can_read(load_text: Load) -> None:
    text = f"{system('broker_password = s3cret')}key_0 = s3cret\n"
    assert load_text(text).warnings == ()
    path = Path("x.conf")
    path.chmod(0o644)
    [warning] = load(path, example_drivers.registry()).warnings
    assert str(warning) == (
        "x.conf:3: [system] broker_password: every user of this machine can read this password: chmod o-r x.conf"
    )


def test_file_with_the_password_of_a_driver_that_everybody_can_read(load_text: Load) -> None:
    load_text(f"{BUS}key_0 = s3cret\n")
    path = Path("x.conf")
    path.chmod(0o644)
    [warning] = load(path, example_drivers.registry()).warnings
    assert str(warning).startswith("x.conf:3: [nut] key_0: every user of this machine can read this password")


def test_secret_file_that_everybody_can_read(load_text: Load) -> None:
    path = secret_file("mqtt", "s3cret", 0o644).absolute()
    [warning] = load_text(system("broker_password_file = mqtt")).warnings
    assert str(warning) == (
        f"x.conf:3: [system] broker_password_file: every user of this machine can read that file: chmod o-r {path}"
    )


def test_file_without_a_password_may_be_read(load_text: Load) -> None:
    load_text(system("broker_password ="))
    path = Path("x.conf")
    path.chmod(0o644)
    assert load(path, example_drivers.registry()).warnings == ()


# -- that nobody is shown one ----------------------------------------------------------------------------------------


def test_nothing_that_is_read_shows_a_password(load_text: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPS_KEY", "s3cret-of-the-environment")
    config = load_text(f"{system('broker_password = s3cret-of-the-file')}key_0_env = UPS_KEY\n")
    assert config.system.broker.password == "s3cret-of-the-file"
    assert "s3cret" not in repr(config)
    config = load_text(f"{BUS}key_0 = s3cret\n")
    assert "s3cret" not in repr(config)
