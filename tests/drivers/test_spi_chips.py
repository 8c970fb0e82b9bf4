"""Chips on an SPI bus, on the real spidev and its ioctls."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import chip_programs
from drivers.spi import AnyTransfer, Mcp3008
from drivers.spi.anychip import Transfer
from fake_buses import FakeBuses
from janitoo_actors.api import OptionsError


def run(buses: FakeBuses, script: str) -> Any:
    return chip_programs.run(buses, script, chip_programs.SPI)


@pytest.mark.parametrize(("kind", "bits"), [("Mcp3008", 10), ("Mcp3208", 12)])
def test_every_input_of_a_converter(buses: FakeBuses, kind: str, bits: int) -> None:
    full = (1 << bits) - 1
    inputs = [0, full, 1, full // 2, 5, 6, 7, full - 1]
    buses.spi(inputs=inputs, bits=bits)
    found = run(buses, f'one = made({kind}, reference=5)\nfound += [one.read("voltage", each) for each in range(8)]')
    assert found == pytest.approx([each * 5 / (full + 1) for each in inputs])


def test_one_input_by_its_configuration(buses: FakeBuses) -> None:
    buses.spi("spi1.2", inputs=[0, 0, 0, 512, 0, 0, 0, 0])
    found = run(
        buses,
        """
bus = SpiBus("rpispi", {"busnum": "1"})
bus.open()
found.append(made(Mcp3008, device=2, voltage_config_0=3).read("voltage"))
one = made(Mcp3008, device=2, voltage_config_0=3, voltage_config_1=3, scale=2, scale_1=-1, voltage_max_0=3)
found += [tried(one.read, "voltage"), one.read("voltage", 1)]
""",
    )
    assert found == [
        1.65,
        "TemporaryError: 3.3 cannot be: expected 3 or less (voltage_min, voltage_max_0)",
        -1.65,
    ]


def test_no_chip_there(buses: FakeBuses) -> None:
    # A line that nobody drives is high.
    buses.spi()
    (said,) = run(buses, 'found.append(tried(made(Mcp3008).read, "voltage"))')
    assert said == "TemporaryError: no MCP3008 answers at chip select 0: is it wired and powered?"


def test_no_device(buses: FakeBuses) -> None:
    (said,) = run(buses, 'found.append(tried(made(Mcp3008, device=1).read, "voltage"))')
    assert said.startswith("TemporaryError: there is no /dev/spidev0.1: enable it with dtparam=spi=on")


def test_a_chip_that_the_kernel_has(buses: FakeBuses) -> None:
    buses.bind("spi/devices/spi0.1", "mcp251x")
    (said,) = run(buses, 'found.append(tried(made(Mcp3008, device=1).read, "voltage"))')
    assert said.startswith(
        "ConfigurationError: the kernel's driver mcp251x has the chip select 0.1: remove its overlay"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.EIO, "TemporaryError: /dev/spidev0.0: Input/output error"),
        (errno.ETIMEDOUT, "TemporaryError: /dev/spidev0.0: Connection timed out"),
        (errno.ESHUTDOWN, "BusLostError: /dev/spidev0.0 is gone: Cannot send after transport endpoint shutdown"),
    ],
)
def test_what_an_error_means(buses: FakeBuses, error: int, said: str) -> None:
    buses.spi(inputs=[0] * 8)
    buses.fail("spi0.0", error)
    assert run(buses, 'found.append(tried(made(Mcp3008).read, "voltage"))') == [said]


def test_it_is_opened_anew_after_a_failure(buses: FakeBuses) -> None:
    buses.spi(inputs=[512] * 8)
    found = run(
        buses,
        """
import os
one = made(Mcp3008, voltage_retries=0)
found.append(one.read("voltage"))
file = os.path.join(os.environ["FAKEBUS_DIR"], "spi0.0.err")
open(file, "w").write("5")
tried(one.read, "voltage")
found.append(one._port is None)
os.unlink(file)
found.append(one.read("voltage"))
one.close()
one.close()
""",
    )
    assert found == [1.65, True, 1.65]


@pytest.mark.parametrize(
    "text", ["", "0x01", "at=0 u8", "0x01 at=1 u8", "0x01 0x02 at=1 u16be", "0x100 at=0 u8", "0x01 at=x u8"]
)
def test_what_is_no_description(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Transfer.parse(text)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        (Mcp3008, {"voltage_config_0": "8"}, "expected an input from 0 to 7"),
        (AnyTransfer, {"mode": "4"}, "expected a whole number, 0 to 3"),
    ],
)
def test_what_is_refused(kind: Any, options: dict[str, str], expected: str) -> None:
    with pytest.raises(OptionsError, match=expected):
        kind(options=options)
