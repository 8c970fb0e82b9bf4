"""The `[system]` section."""

from __future__ import annotations

from pathlib import Path

import pytest

from janitoo_actors.configuration.ini import parse
from janitoo_actors.configuration.model import BrokerConfig, BrokerKind, LogFormat, Problem, SystemConfig
from janitoo_actors.configuration.system import read_system

PATH = Path("/etc/janitoo/jnt_test.conf")


def system_of(text: str) -> tuple[SystemConfig, list[str], list[str]]:
    """The section, what is wrong, and the warnings."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    system = read_system(parse(text.encode(), PATH), problems, warnings)
    return system, list(map(str, problems)), list(map(str, warnings))


def wrong(line: str) -> str:
    """What is wrong with one option."""
    _, [problem], [] = system_of(f"[system]\n{line}\n")
    return problem.removeprefix(f"{PATH}:2: [system] ")


def right(line: str) -> SystemConfig:
    """The section with one option."""
    system, problems, warnings = system_of(f"[system]\n{line}\n")
    assert problems == warnings == []
    return system


DEFAULTS = SystemConfig(
    service="jnt_test",
    log_dir=Path("/opt/janitoo/log"),
    home_dir=Path("/opt/janitoo/home"),
    pid_dir=Path("/opt/janitoo/run"),
    conf_dir=Path("/opt/janitoo/etc"),
    broker=BrokerConfig(),
    heartbeat_timeout=5,
    heartbeat_count=3,
    log_format=LogFormat.CONSOLE,
    read_timeout=10,
    max_backoff=60,
)


@pytest.mark.parametrize("text", ["[nut]\n", "[system]\n"])
def test_defaults(text: str) -> None:
    assert system_of(text) == (DEFAULTS, [], [])


def test_everything_set() -> None:
    text = """
        [system]
        service = jnt_tutorial
        log_dir = /tmp/log
        home_dir = /tmp/home
        pid_dir = /tmp/run
        conf_dir = /tmp/etc
        broker = Embedded
        broker_ip = 127.0.0.2
        broker_port = 1884
        broker_user = myuser
        broker_password = mypassword
        broker_keepalive = 30
        heartbeat_timeout = 10
        heartbeat_count = 4
        log_format = json
        read_timeout = 2.5
        max_backoff = 30
    """
    broker = BrokerConfig("127.0.0.2", 1884, "myuser", "mypassword", 30, None, BrokerKind.EMBEDDED)
    folders = (Path("/tmp/log"), Path("/tmp/home"), Path("/tmp/run"), Path("/tmp/etc"))
    expected = SystemConfig("jnt_tutorial", *folders, broker, 10, 4, LogFormat.JSON, 2.5, 30)
    assert system_of(text) == (expected, [], [])


@pytest.mark.parametrize("user", ["", "None", "none"])
def test_no_user_is_an_anonymous_connection(user: str) -> None:
    broker = right(f"broker_user = {user}\nbroker_password = x").broker
    assert (broker.user, broker.password) == (None, None)


def test_user_without_a_password() -> None:
    broker = right("broker_user = a\nbroker_password =").broker
    assert (broker.user, broker.password) == ("a", None)


def test_password_is_the_text_as_it_is() -> None:
    assert right("broker_user = a\nbroker_password = %(x)s;#None").broker.password == "%(x)s;#None"


def test_password_is_not_in_the_representation() -> None:
    assert "secret" not in repr(right("broker_user = a\nbroker_password = secret"))


def test_ca_file(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.crt"
    certificate.touch()
    assert right(f"broker_ca_file = {certificate}").broker.ca_file == certificate
    assert right("broker_ca_file =").broker.ca_file is None
    assert wrong("broker_ca_file = none.crt") == (
        "broker_ca_file = 'none.crt': expected a file with the certificate of the broker's authority; "
        "/etc/janitoo/none.crt is none"
    )


def test_relative_folders_start_at_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert right("log_dir = log").log_dir == Path("/etc/janitoo/log")
    assert right("log_dir = ~/log").log_dir == Path("/home/me/log")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("service =", "service = '': expected a text that is not empty"),
        ("log_dir =", "log_dir = '': expected a path"),
        ("broker = embeded", "broker = 'embeded': expected external or embedded; did you mean 'embedded'?"),
        (
            "broker_ip =",
            "broker_ip = '': expected the name or the address of a machine, as 192.168.1.4 or pi.example.org",
        ),
        (
            "broker_ip = mqtt://pi:1883",
            "broker_ip = 'mqtt://pi:1883': expected the name or the address of a machine, as 192.168.1.4 or "
            "pi.example.org; a port and a protocol have keys of their own",
        ),
        ("broker_port = 0", "broker_port = '0': expected a whole number, 1 to 65535"),
        ("broker_port = mqtt", "broker_port = 'mqtt': expected a whole number, 1 to 65535"),
        ("broker_port = 1e400", "broker_port = '1e400': expected a whole number, 1 to 65535"),
        ("broker_keepalive = 70000", "broker_keepalive = '70000': expected a whole number, 0 to 65535"),
        ("heartbeat_timeout = -1", "heartbeat_timeout = '-1': expected a number of seconds, 0 or more"),
        ("heartbeat_count = 1.5", "heartbeat_count = '1.5': expected a whole number, 1 to 1000"),
        ("heartbeat_timeout = nan", "heartbeat_timeout = 'nan': expected a number of seconds, 0 or more"),
        ("log_format = xml", "log_format = 'xml': expected console or json"),
        ("read_timeout = 0", "read_timeout = '0': expected a number of seconds, more than 0"),
        ("max_backoff =", "max_backoff = '': expected a number of seconds, more than 0"),
        (
            "broker_password = a\x00b",
            "broker_password = '***': expected a text of one line, without control characters",
        ),
    ],
)
def test_wrong_option(line: str, expected: str) -> None:
    assert wrong(line) == expected


def test_every_wrong_option_is_named() -> None:
    _, problems, _ = system_of("[system]\nbroker_port = x\nmax_backoff = y\nheartbeat_count = z\n")
    assert [problem.split("'")[1] for problem in problems] == ["x", "y", "z"]


def test_unknown_key_is_a_warning_without_its_value() -> None:
    _, problems, warnings = system_of("[system]\nbroker_pasword = secret\nfavourite_colour = blue\n")
    assert problems == []
    assert warnings == [
        f"{PATH}:2: [system] broker_pasword: nothing reads this key; did you mean 'broker_password'?",
        f"{PATH}:3: [system] favourite_colour: nothing reads this key",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("slow_start = soon", "slow_start: nothing reads this key of original servers: buses start side by side"),
        ("loop_sleep = nan", "loop_sleep: nothing reads this key of original servers: nothing here loops"),
        ("user = janitoo", "user: nothing reads this key of original servers: the service manager says who runs"),
    ],
)
def test_deprecated_key_is_a_warning_that_says_why(line: str, said: str) -> None:
    system, problems, [warning] = system_of(f"[system]\n{line}\n")
    assert (system, problems) == (DEFAULTS, [])
    assert said in warning


def test_defaults_of_the_file_are_no_unknown_keys() -> None:
    _, problems, warnings = system_of("[DEFAULT]\nheartbeat = 20\nbroker_port = 1999\n[system]\n")
    assert problems == warnings == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("broker_ip = 192.168.1.4", "broker_ip = '192.168.1.4': expected 127.0.0.1: the embedded broker is for this"),
        ("broker_ca_file = /etc/ca.pem", "broker_ca_file = '/etc/ca.pem': expected nothing: the embedded broker"),
    ],
)
def test_embedded_broker_is_for_loopback(text: str, said: str) -> None:
    _, problems, _ = system_of(f"[system]\nbroker = embedded\n{text}\n")
    assert len(problems) == 1
    assert said in problems[0]


def test_password_without_a_user_is_refused() -> None:
    _, problems, _ = system_of("[system]\nbroker_password = secret\n")
    assert len(problems) == 1
    assert "expected broker_user beside it" in problems[0]
    assert "secret" not in problems[0]
