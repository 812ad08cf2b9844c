"""Waits until a guest releases unplugged devices and memory, which it may do later, or never."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

REFUSED = "DEVICE_UNPLUG_GUEST_ERROR"
EVENTS = frozenset({"DEVICE_DELETED", "MEMORY_DEVICE_SIZE_CHANGE", REFUSED})


class Releases:
    """The releases of one run. `late` is called when a device is released after its wait has ended."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._expected: dict[str, asyncio.Event] = {}
        self._awaited: set[str] = set()

    def expect(self, device: str) -> None:
        """From here on its release is recorded."""
        self._expected[device] = asyncio.Event()

    async def wait(self, device: str, seconds: float) -> None:
        """Return when it is released, the guest has refused, or the time is over."""
        self._awaited.add(device)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._expected[device].wait()
        finally:
            self._awaited.discard(device)

    def over(self, device: str) -> None:
        """The device is gone, or the guest has refused."""
        self._expected.pop(device, None)

    def on_qmp_event(self, name: str, data: Mapping[str, Any]) -> None:
        device = data.get("device", data.get("id"))
        expected = self._expected.get(device) if name in EVENTS and isinstance(device, str) else None
        if expected is None:
            return
        expected.set()
        if name != REFUSED and device not in self._awaited:
            self._late()
