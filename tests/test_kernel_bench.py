"""The runner of `make test-kernel` tells a failure from success, without a kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parent / "bench" / "kernel" / "run.py"


def run(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUNNER), *arguments],
        env={**os.environ, "JANITOO_KERNEL_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def have(cache: Path, program: str) -> None:
    """Have a program in the place of the kernel that is looked for."""
    asked = "import run; print(run.kernel_folder())"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "JANITOO_KERNEL_DIR": str(cache)},
        cwd=RUNNER.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    folder = Path(done.stdout.strip())
    folder.mkdir(parents=True)
    for name in ("i2c-stub.ko", "fakehw.ko"):
        (folder / name).touch()
    # The folder for the result is the second argument after the two hyphens.
    (folder / "linux").write_text(f"#!/bin/sh\nwhile [ $1 != -- ]; do shift; done\njob=$3\n{program}\n")
    (folder / "linux").chmod(0o755)


@pytest.mark.parametrize(
    ("program", "timeout", "code", "said"),
    [
        ("echo 2 passed > $job/output; echo 0 > $job/code; echo noise", "60", 0, "2 passed\n"),
        ("echo 1 failed > $job/output; echo 1 > $job/code", "60", 1, "1 failed\n"),
        ("echo Kernel panic; exit 0", "60", 1, "Kernel panic\n\nThe machine ended without a result"),
        ("echo 1 passed > $job/output; sleep 100 & sleep 100", "1", 1, "The machine was not done after 1 s"),
    ],
)
def test_the_code_of_the_tests_comes_out(tmp_path: Path, program: str, timeout: str, code: int, said: str) -> None:
    have(tmp_path, program)
    assert run(tmp_path, "--is-built").returncode == 0
    done = run(tmp_path, "--timeout", timeout, "tests/kernel")
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert "noise" not in done.stdout + done.stderr


def test_nothing_is_built_yet(tmp_path: Path) -> None:
    assert run(tmp_path, "--is-built").returncode == 1
