"""The kernel's neighbour table: ARP for IPv4, NDP for IPv6. ip-neighbour(8)"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping


def table() -> Mapping[tuple[str | None, str], list[str]]:
    """Addresses by device and MAC address in lower case; empty if unreadable. Failed entries are left out."""
    try:
        done = subprocess.run(
            ["ip", "-json", "neighbour", "show"], capture_output=True, text=True, timeout=10, check=False
        )
        listed = json.loads(done.stdout or "[]")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return {}
    found: dict[tuple[str | None, str], list[str]] = {}
    for one in listed:
        if "lladdr" in one and "FAILED" not in one.get("state", ()):
            found.setdefault((one["dev"], one["lladdr"].lower()), []).append(one["dst"])
    return found
