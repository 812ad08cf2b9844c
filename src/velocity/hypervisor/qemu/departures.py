"""What a guest is asked to let go of: devices, and memory. It may do so later, or never."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

EVENTS = frozenset({"DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR"})
LATER = frozenset({"DEVICE_DELETED", "MEMORY_DEVICE_SIZE_CHANGE"})


class Departures:
    """Those of one run. `late` is called when one has left that nobody waits for any more."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._expected: dict[str, asyncio.Event] = {}
        self._awaited: set[str] = set()
        self._later: set[str] = set()

    def expect(self, device: str) -> None:
        """From here on its leaving is noted."""
        self._expected[device] = asyncio.Event()

    async def wait(self, device: str, seconds: float) -> None:
        """Returns when it has left, the guest has refused, or the time is over."""
        self._awaited.add(device)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._expected[device].wait()
        finally:
            self._awaited.discard(device)

    def tell_later(self, device: str) -> None:
        """Nobody waits for it any more: `late` is called when the guest has let go of it, or of memory of it."""
        self._later.add(device)

    def over(self, device: str) -> None:
        """It is gone, or stays."""
        self._expected.pop(device, None)

    def on_qmp_event(self, name: str, data: Mapping[str, Any]) -> None:
        device = data.get("device", data.get("id"))
        if name in LATER and device in self._later:
            self._later.discard(device)
            self._late()
        expected = self._expected.get(device) if name in EVENTS and isinstance(device, str) else None
        if expected is None:
            return
        expected.set()
        if name == "DEVICE_DELETED" and device not in self._awaited:
            self._late()
