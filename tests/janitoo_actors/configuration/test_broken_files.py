"""A thousand broken files: each mistake is told with its line, nothing else is, and nothing falls over."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import example_drivers
from broken_files import MISTAKES, broken_file, good_file
from janitoo_actors.commands.main import main
from janitoo_actors.configuration.registry import Registry

OF_EACH = 1000 // len(MISTAKES) + 1
"""Files of each mistake: a thousand of all together."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files are written; the drivers of the tests are the ones that are installed."""
    registry = example_drivers.registry()
    monkeypatch.setattr(Registry, "installed", lambda: registry)
    return tmp_path / "my.conf"


def test_there_are_a_thousand() -> None:
    assert OF_EACH * len(MISTAKES) >= 1000


def test_file_before_it_is_broken_is_good(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(50):
        path.write_text(good_file(random.Random(seed)).text(), encoding="utf-8")
        assert main(["check", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["findings"] == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_told_where_it_is(mistake: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(OF_EACH):
        data, expected = broken_file(mistake, seed)
        path.write_bytes(data)
        code = main(["check", str(path), "--json"])
        captured = capsys.readouterr()
        assert captured.err == ""
        document = json.loads(captured.out)
        shown = f"{data.decode('utf-8', 'replace')}\n{captured.out}"
        found = [each for each in document["findings"] if each["line"] is not None]
        assert found, shown
        places = {(each["severity"], each["line"], each["section"], each["key"]) for each in found}
        wanted = (expected.severity, expected.line, expected.section, expected.key)
        assert wanted in places, f"{wanted}\n{shown}"
        assert expected.follows or places == {wanted}, f"{wanted}\n{shown}"
        [said, *_] = [each["message"] for each in found if each["line"] == expected.line]
        assert expected.says in said, shown
        assert code == document["exit_code"]
        assert (code == 0) == (expected.severity == "warning"), shown
