"""The URLs by which other machines reach this server: those of the addresses that it listens on. ip-address(8)"""

from __future__ import annotations

import json
import socket
import subprocess

WILD = ("0.0.0.0", "::", "*")  # noqa: S104 - compared, not bound
SECONDS = 5
MOST = 7
"""Seconds for the question to the kernel, and the addresses that are taken."""


def urls(scheme: str, listen: tuple[str, int]) -> list[str]:
    """One URL for each address that other machines may reach, then one with the host's name. Blocks the thread."""
    host, port = listen
    found = [*_global(), socket.gethostname()] if host in WILD else [host]
    return [f"{scheme}://{f'[{one}]' if ':' in one else one}:{port}" for one in found]


def _global() -> list[str]:
    command = ["ip", "-json", "address", "show", "scope", "global", "up"]
    try:
        said = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS).stdout
        links = json.loads(said or b"[]")
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    found = [about["local"] for link in links for about in link.get("addr_info", []) if "local" in about]
    return sorted(found, key=lambda one: ":" in one)[:MOST]
