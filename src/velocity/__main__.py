"""`python -m velocity` and the `velocity` command."""

from __future__ import annotations

import gc
import sys

from velocity import priority


def main() -> None:
    """The entry point. The server goes before its guests from its first imports on: they are most of its start."""
    if sys.argv[1:2] == ["serve"]:
        priority.raise_session()
        priority.raise_thread()
        gc.disable()  # the imports are a tenth sooner; it is enabled once all is loaded
    from velocity.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
