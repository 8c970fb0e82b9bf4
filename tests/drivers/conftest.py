"""Fixtures of the drivers' tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from fake_buses import FakeBuses, built


@pytest.fixture
def buses(tmp_path: Path) -> FakeBuses:
    """A machine with no I2C adapter and no SPI device yet."""
    # Built once for all tests of a run.
    folder = Path(os.environ.get("JANITOO_RUN_DIR", tempfile.gettempdir()))
    return FakeBuses(built(folder), tmp_path / "devices")
