"""A process that writes to a configuration file until it is killed; see `test_configuration_store`.

Says `<name> <number>` on stdout when a write has been acknowledged.
"""

from __future__ import annotations

import sys
from pathlib import Path

from janitoo_actors.configuration.ini import read
from janitoo_actors.configuration.store import ConfigStore


def main() -> None:
    """Write 1, 2, 3, … as a value of a section of its own."""
    path, name = Path(sys.argv[1]), sys.argv[2]
    store = ConfigStore(path)
    store.adopt(read(path), good=True)
    for number in range(1, 1_000_000):
        store.set(f"nut__{name}", {"location": f"Attic {number}", "load_poll_0": str(number)})
        print(name, number, flush=True)


if __name__ == "__main__":
    main()
