"""Setting options in the text of an INI file."""

from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path

import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st

from janitoo_actors.configuration.edit import UnstorableError, set_options
from janitoo_actors.configuration.ini import ConfigurationFileError, parse

PATH = Path("x.conf")


def changed(text: str, section: str, **options: str) -> str:
    return set_options(parse(text.encode(), PATH), section, options).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a]\nx = 1\n", "[a]\nx = new\n"),
        ("[a]\nx=1\n", "[a]\nx=new\n"),
        ("[a]\nx: 1\n", "[a]\nx: new\n"),
        ("[a]\nx   =\t1   \n", "[a]\nx   =\tnew\n"),
        ("[a]\nX = 1\n", "[a]\nX = new\n"),
        ("[a]\nx = 1", "[a]\nx = new\n"),
        ("[a]\nx =\n", "[a]\nx = new\n"),
        ("[a]\nx=\n", "[a]\nx=new\n"),
        ("[a]\r\nx = 1\r\ny = 2\r\n", "[a]\r\nx = new\r\ny = 2\r\n"),
        ("[a]\r\nx = 1\ny = 2\r", "[a]\r\nx = new\ny = 2\r"),
        ("\ufeff[a]\nx = 1\n", "\ufeff[a]\nx = new\n"),
        # Deeper lines are more of the value, unless they are comments.
        ("[a]\nx = 1\n  2\n# c\n\n  3\n# d\ny = 1\n", "[a]\nx = new\n# c\n\n# d\ny = 1\n"),
        # All of the file stands deeper, as an example that was pasted.
        ("  [a]\n  x = 1\n  y = 2\n", "  [a]\n  x = new\n  y = 2\n"),
        ("[b]\nx = 0\n[a]\nx = 1\n[c]\nx = 2\n", "[b]\nx = 0\n[a]\nx = new\n[c]\nx = 2\n"),
        # Not there yet: after the last option, and before what introduces the next section.
        ("[a]\ny = 1\n\n# about b\n[b]\n", "[a]\ny = 1\nx = new\n\n# about b\n[b]\n"),
        ("[a]\ny = 1\n  2\n\n[b]\n", "[a]\ny = 1\n  2\nx = new\n\n[b]\n"),
        ("[a]\n# c\n[b]\n", "[a]\nx = new\n# c\n[b]\n"),
        ("[a]", "[a]\nx = new\n"),
        ("[a]\ny = 1", "[a]\ny = 1\nx = new\n"),
        ("[a]\r\ny = 1", "[a]\r\ny = 1\r\nx = new\r\n"),
        ("[a]\n  y = 1\n", "[a]\n  y = 1\n  x = new\n"),
        ("[a]\n  [b]\ny = 1\n", "[a]\n  x = new\n  [b]\ny = 1\n"),
        # No such section yet.
        ("[b]\ny = 1\n", "[b]\ny = 1\n\n[a]\nx = new\n"),
        ("[b]\ny = 1", "[b]\ny = 1\n\n[a]\nx = new\n"),
        ("[b]\r\ny = 1\r\n\r\n", "[b]\r\ny = 1\r\n\r\n[a]\r\nx = new\r\n"),
        ("  [b]\n  y = 1\n  # c", "  [b]\n  y = 1\n  # c\n\n[a]\nx = new\n"),
        ("", "[a]\nx = new\n"),
        ("# c\n", "# c\n\n[a]\nx = new\n"),
    ],
)
def test_one_option(before: str, after: str) -> None:
    assert changed(before, "a", x="new") == after


def test_several_options() -> None:
    before = "[a]\ny = 1\n  2\nx = 1"
    assert changed(before, "a", x="3", z="4", y="5") == "[a]\ny = 5\nx = 3\nz = 4\n"


def test_only_option_that_goes_on_to_the_end() -> None:
    assert changed("[a]\nx = 1\n  2", "a", x="3", y="4") == "[a]\nx = 3\ny = 4\n"


def test_empty_value() -> None:
    assert changed("[a]\nx = 1\n", "a", x="", y="") == "[a]\nx =\ny =\n"


def test_line_without_an_end_stays_without() -> None:
    assert changed("[a]\nx = 1\ny = 2", "a", x="3") == "[a]\nx = 3\ny = 2"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("x", "a\nb"),
        ("x", "a\r"),
        ("x", " a"),
        ("x", "a\x85"),
        ("x", "a\n[b]\ny = 1"),
        ("", "a"),
        ("a=b", "c"),
        ("a:b", "c"),
        ("# a", "b"),
        ("[a]", "b"),
        (" a", "b"),
        ("a\nb", "c"),
        ("é\ud800", "x"),
        ("x", "\ud800"),
    ],
)
def test_what_would_be_read_back_as_something_else_is_refused(key: str, value: str) -> None:
    with pytest.raises(UnstorableError):
        set_options(parse(b"[a]\nx = 1\n", PATH), "a", {key: value})


@pytest.mark.parametrize("section", ["", "a\nb", "DEFAULT", "b]\nx = 1\n[c"])
def test_section_that_would_be_read_back_as_something_else_is_refused(section: str) -> None:
    with pytest.raises(UnstorableError):
        set_options(parse(b"[a]\nx = 1\n", PATH), section, {"x": "1"})


def test_refusal_says_what_was_expected() -> None:
    with pytest.raises(UnstorableError) as failure:
        set_options(parse(b"[a]\n", PATH), "a", {"x": "a\nb"})
    assert str(failure.value) == (
        "'x' of [a] cannot be stored in x.conf: expected keys and texts of one line, without white space around them"
    )


PIECES = st.sampled_from(
    [
        "[a]",
        "[b]",
        "[c]",
        "x = 1",
        "Y: 2",
        "z=",
        "  deeper",
        "\tw = 3",
        "# c",
        "; c",
        "  # c",
        "",
        "   ",
        "é = ü\x85\u2028",
    ]
)
ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
LINES = st.tuples(PIECES, ENDS).map("".join)


@example("[c]\r[b]\n\n[a]\n", "b", {"x": ""})
@given(
    st.lists(LINES, max_size=20).map("".join),
    st.sampled_from("abcd"),
    st.dictionaries(st.sampled_from("xyzw"), st.text(max_size=12).map(str.strip), min_size=1, max_size=3),
)
def test_any_file_keeps_its_other_lines(text: str, section: str, options: dict[str, str]) -> None:
    try:
        before = parse(text.encode(), PATH)
    except ConfigurationFileError:
        reject()
    try:
        data = set_options(before, section, options)
    except UnstorableError:
        # One line of text can always be stored.
        assert any(not value.isprintable() for value in options.values())
        return
    written = {before.positions[section, key] for key in options if (section, key) in before.positions}
    starts = sorted({*before.positions.values(), len(before.lines) + 1})
    gone = set(written)
    for start in written:
        # Deeper lines, which were more of the value, go with it; comments between them stay.
        following = next(each for each in starts if each > start)
        gone |= {number for number in range(start, following) if is_value(before.lines[number - 1])}
    kept = [line for number, line in enumerate(before.lines, 1) if number not in gone]
    if kept and not kept[-1].endswith(("\n", "\r")):
        kept[-1] += before.lines[0][len(before.lines[0].rstrip("\r\n")) :] or "\n"
    new = iter([*parse(data, PATH).lines, *kept[-1:]])
    # Each is there, byte for byte and in its order; the last may have got its line end.
    assert all(line in new for line in kept)


def is_value(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith(("#", ";"))


@given(st.text().map(str.strip))
def test_any_text_of_one_line_is_read_back(value: str) -> None:
    assume(value.isprintable())
    data = set_options(parse(b"[a]\nx = 1\ny = 2\n", PATH), "a", {"x": value, "new": value})
    standard = RawConfigParser()
    standard.read_string(data.decode())
    assert dict(standard.items("a")) == {"x": value, "y": "2", "new": value}
