"""Runs nft: scripts that apply completely or not at all, and the content of tables. nft(8)"""

from __future__ import annotations

import json
import subprocess
from typing import Any


class CannotFilter(Exception):
    """The packet filter cannot be set; the message has the cure. Nothing of the script has taken effect."""


def change(script: str) -> None:
    """Run a script, which is one transaction. Raises `CannotFilter`."""
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotFilter(f"nft cannot be run ({error}): install nftables") from None
    if done.returncode:
        raise CannotFilter(f"nft reports: {(done.stderr.strip() or 'no reason').splitlines()[0]}")


def read(*what: str) -> list[dict[str, Any]]:
    """The chains and rules of `nft list WHAT`, as the kernel has them; empty if there is no such thing, or no nft."""
    try:
        done = subprocess.run(["nft", "-j", "list", *what], capture_output=True, text=True, timeout=10, check=False)
        found: list[dict[str, Any]] = json.loads(done.stdout)["nftables"]
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return []
    return found
