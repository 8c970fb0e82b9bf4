"""`janitoo` as it is where `rich` is not installed: python -m benchmarks.without_rich run FILE."""

from __future__ import annotations

import sys

# The development tools, and amqtt, bring it; structlog imports it where it finds it.
sys.modules["rich"] = None  # type: ignore[assignment]  # what the import system takes for "is not there"

if __name__ == "__main__":
    from janitoo_actors.commands.main import main

    sys.exit(main())
