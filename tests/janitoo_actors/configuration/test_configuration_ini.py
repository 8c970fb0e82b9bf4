"""Reading INI files, with the lines of what is in them."""

from __future__ import annotations

import string
from configparser import Error, RawConfigParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janitoo_actors.configuration.ini import ConfigurationFileError, IniFile, parse, read
from janitoo_actors.configuration.model import Problem

PATH = Path("x.conf")


def wrong(data: bytes) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(ConfigurationFileError) as failure:
        parse(data, PATH)
    assert str(failure.value) == "\n".join(map(str, failure.value.problems))
    return list(map(str, failure.value.problems))


def ini_of(text: str) -> IniFile:
    return parse(text.encode(), PATH)


def test_sections_options_and_their_lines() -> None:
    ini = ini_of("# c\n[system]\nservice = x\n\n[nut]\nHADD : 1045/0000\nname = a\n  b\n# c\n  d\nheartbeat=3\n")
    assert ini.sections == {
        "system": {"service": "x"},
        "nut": {"hadd": "1045/0000", "name": "a\nb\nd", "heartbeat": "3"},
    }
    assert list(ini.sections["nut"]) == ["hadd", "name", "heartbeat"]
    assert [ini.line("nut", key) for key in ("hadd", "name", "heartbeat")] == [6, 7, 11]
    assert ini.line("nut") == 5
    assert ini.line("nut", "missing") == 5
    assert ini.line("missing", "hadd") is None


def test_values_are_not_interpolated() -> None:
    text = "[formatter_generic]\nformat = %(asctime)s %(levelname)s\ndatefmt = %H:%M\n"
    assert ini_of(text).options("formatter_generic")["format"] == "%(asctime)s %(levelname)s"


def test_defaults_belong_to_every_section_there_is() -> None:
    ini = ini_of("[DEFAULT]\nheartbeat = 20\nname = d\n[nut]\nname = n\n")
    assert ini.options("nut") == {"heartbeat": "20", "name": "n"}
    assert ini.sections == {"nut": {"name": "n"}}
    assert ini.line("nut", "heartbeat") == 2
    assert ini.options("missing") == {}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(end: str) -> None:
    ini = ini_of(end.join(["[a]", "x = 1", "", "y = 2"]))
    assert ini.sections == {"a": {"x": "1", "y": "2"}}
    assert ini.line("a", "y") == 4


def test_byte_order_mark_is_no_text() -> None:
    ini = parse(b"\xef\xbb\xbf[a]\nx = \xc3\xa9\n", PATH)
    assert ini.sections == {"a": {"x": "é"}}
    assert ini.has_bom


def test_wrong_lines_are_all_named_and_none_is_shown() -> None:
    assert wrong(b"[system]\nbroker_password secret\nservice = x\n= y\n") == [
        "x.conf:2: expected [section], key = value, or a comment that starts with #",
        "x.conf:4: expected [section], key = value, or a comment that starts with #",
    ]


def test_option_before_the_first_section() -> None:
    assert wrong(b"# c\nservice = x\n[system]\n") == [
        "x.conf:2: no section before it: expected a line as [system] first"
    ]


def test_duplicates_are_all_named() -> None:
    text = "[a]\nx = 1\nX = 2\n[b]\ny = 1\n[a]\nx = 3\n[b]\n"
    assert wrong(text.encode()) == [
        "x.conf:3: [a] x: it is already in line 2: expected it once; keep one of the two",
        "x.conf:6: [a]: this section is already in line 1: expected it once; keep one of the two",
        "x.conf:7: [a] x: it is already in line 2: expected it once; keep one of the two",
        "x.conf:8: [b]: this section is already in line 4: expected it once; keep one of the two",
    ]


def test_not_utf_8() -> None:
    assert wrong(b"[a]\nx = 1\nname = caf\xe9\n") == [
        "x.conf:3: byte 0xe9 is no UTF-8: expected UTF-8 text; save the file in that encoding"
    ]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFileError) as failure:
        read(tmp_path / "none.conf")
    assert str(failure.value) == (
        f"{tmp_path}/none.conf: there is no such file: expected the path of a configuration file"
    )


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFileError, match="it is a folder"):
        read(tmp_path)


def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, who may read everything.
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigurationFileError, match="it may not be read: give the user"):
        read(tmp_path / "x.conf")


def test_problem_is_one_line() -> None:
    problem = Problem(PATH, "nut", "heartbeat", "abc", "expected a number of seconds, 0 to 3000", 12)
    assert str(problem) == "x.conf:12: [nut] heartbeat = 'abc': expected a number of seconds, 0 to 3000"
    assert "\n" not in str(Problem(Path("a\nb"), "n\x1bt", "k\u2028", "v\nw", "expected\r\nx", 1))


def test_problem_hides_passwords() -> None:
    ini = ini_of("[system]\nbroker_password = secret\nname = a\n  broker_password = secret\n[nut]\nkey_0 = secret\n")
    assert str(ini.problem("system", "broker_password", "expected x")) == (
        "x.conf:2: [system] broker_password = '***': expected x"
    )
    assert str(ini.problem("system", "name", "expected x")) == "x.conf:3: [system] name = 'a…': expected x"
    assert str(ini.problem("nut", "key_0", "expected x", secret=True)) == "x.conf:6: [nut] key_0 = '***': expected x"
    assert str(ini.problem("nut", "key_0", "expected x", show=False)) == "x.conf:6: [nut] key_0: expected x"


def test_problem_cuts_long_values() -> None:
    ini = ini_of(f"[a]\nx = {'y' * 100_000}\n")
    assert len(str(ini.problem("a", "x", "expected less"))) < 300


INI_ALPHABET = st.sampled_from([*"ab=:#;[]\n\n\n\r \t%\"'", "[a]\n", "[b]\n", "x = 1\n", "[DEFAULT]\n", "é", "\x85"])
INI_TEXT = st.lists(INI_ALPHABET, max_size=40).map("".join) | st.text(max_size=60)


@given(INI_TEXT)
def test_reads_what_the_standard_parser_reads(text: str) -> None:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode(errors="surrogatepass")
    standard = RawConfigParser()
    try:
        # Line ends as `open` translates them.
        standard.read_string(data.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    except (Error, UnicodeDecodeError):
        with pytest.raises(ConfigurationFileError):
            parse(data, PATH)
        return
    ini = parse(data, PATH)
    assert {name: ini.options(name) for name in ini.sections} == {
        name: dict(standard.items(name)) for name in standard.sections()
    }
    assert ini.defaults == standard.defaults()
    for (section, key), line in ini.positions.items():
        where = ini.lines[line - 1]
        assert f"[{section}]" in where if key is None else key in where.lower()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_an_error(data: bytes) -> None:
    # Any other exception fails the test.
    problems: tuple[Problem, ...] = ()
    try:
        parse(data, PATH)
    except ConfigurationFileError as error:
        problems = error.problems
    assert all(str(problem).isprintable() for problem in problems)


@given(st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=5), st.integers(), max_size=20))
def test_lines_are_where_they_are(options: dict[str, int]) -> None:
    ini = ini_of("[a]\n" + "".join(f"# c\n{key} = {number}\n" for key, number in options.items()))
    assert [ini.line("a", key) for key in options] == [3 + 2 * index for index in range(len(options))]
