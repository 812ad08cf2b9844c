"""Every bench, one after the other: `make bench`. One of them: `make bench-NAME`."""

from __future__ import annotations

import importlib
import sys
import traceback

BENCHES = (
    "start", "fifty", "create", "restart", "memory", "overhead", "state", "scale", "mixed", "upload", "clone", "guests",
    "cpus", "disks", "network", "node", "hosts", "distant", "signin", "web", "hostile", "storms", "history",
)  # fmt: skip
"""In the order of the table in docs/performance.md. Each is a module with a `main`."""


def main() -> int:
    failed = []
    for name in BENCHES:
        try:
            importlib.import_module(f"bench.{name}").main()
        except Exception:
            traceback.print_exc()
            failed.append(name)
    if failed:
        sys.stderr.write(f"these benches failed: {', '.join(failed)}\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
