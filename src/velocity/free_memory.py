"""Memory that was given back to the allocator, which keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes

AFTER = 1.0
"""Seconds after the last large buffer. A next one within that time reuses the memory."""


class FreeMemory:
    """Returns it to the system once it is used no more. To be used in the loop alone. malloc_trim(3)"""

    def __init__(self) -> None:
        self._later: asyncio.TimerHandle | None = None

    def is_left(self) -> None:
        """Buffers were given back just now."""
        if self._later is not None:
            self._later.cancel()
        loop = asyncio.get_running_loop()
        self._later = loop.call_later(AFTER, loop.run_in_executor, None, _trim)


def _trim() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
