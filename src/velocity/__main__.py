"""`python -m velocity` and the `velocity` command."""

from __future__ import annotations

import gc
import sys

from velocity import priority


def main() -> None:
    """The entry point. The server raises its priority before the imports, which take most of its start."""
    if sys.argv[1:2] == ["serve"]:
        priority.raise_session()
        priority.raise_thread()
        gc.disable()  # saves a tenth of the imports' time; it is enabled once everything is loaded
    from velocity.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
