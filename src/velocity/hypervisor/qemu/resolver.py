"""A copy of the host's resolv.conf for QEMU's user network, which sees no /etc.

A file that is bind-mounted stays the same when another takes its name, as happens whenever a laptop changes networks; a
directory shows its present content. QEMU reads it again every second. resolv.conf(5)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from pathlib import Path

from velocity import durable
from velocity.regularly import regularly

log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")
LOOK = 5.0
"""Seconds between two checks of the host's."""
_turn = threading.Lock()
"""Machines can start at the same time, and there is one temporary file."""


def copy(directory: Path, source: Path = RESOLV_CONF) -> Path:
    """Update the copy in that directory atomically; returns the directory. Raises `OSError`."""
    with _turn:
        target = directory / RESOLV_CONF.name
        said = source.read_bytes() if source.exists() else b""
        with contextlib.suppress(FileNotFoundError):
            if target.read_bytes() == said:
                return directory
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)
        durable.write(target, said, mode=0o644, lasting=False)
        return directory


async def follow(directory: Path, source: Path = RESOLV_CONF, every: float = LOOK) -> None:
    """Keep the copy up to date, if there is one, until cancelled."""

    async def look() -> None:
        try:
            await asyncio.to_thread(_update, directory, source)
        except OSError as error:
            log.warning("guests with NAT keep the resolvers that they have: %s", error.strerror)

    await regularly("a look at the resolvers of the host", every, look)


def _update(directory: Path, source: Path) -> None:
    if directory.exists():
        copy(directory, source)
