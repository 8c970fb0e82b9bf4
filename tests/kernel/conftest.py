"""Fixtures of the tests that run in the User-Mode Linux machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel_hardware import PARAMETERS, KernelHardware


@pytest.fixture
def hardware() -> Iterator[KernelHardware]:
    """The machine's hardware, with everything plugged in and well."""
    assert PARAMETERS.exists(), "this machine has none of it: `make test-kernel` runs such tests"
    made = KernelHardware()
    made.reset()
    yield made
    # A stuck bus would hold whoever is still at it.
    made.reset()
