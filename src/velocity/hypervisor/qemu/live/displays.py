"""Displays of a running machine: the guest is asked to change their size, and may follow. Their number is fixed."""

from __future__ import annotations

import asyncio
import contextlib

from msgspec import structs

from velocity.hypervisor.port import DisplaySpec, Fact
from velocity.hypervisor.qemu import rfb
from velocity.hypervisor.qemu.command import screen_socket
from velocity.hypervisor.qemu.connecting import connected, verified
from velocity.hypervisor.qemu.live.change import Change
from velocity.hypervisor.waits import COLD_DISPLAY, NO_SIZE

PATIENCE = 2.0
"""Seconds for the guest to follow: a desktop takes a fraction of one, and the machine's other requests wait."""


async def alter(change: Change) -> None:
    """Implements `velocity.hypervisor.qemu.live.Kind`."""
    if len(change.asked.displays) != len(change.made.displays):
        change.wait("displays", COLD_DISPLAY)
        return
    pairs = list(zip(change.made.displays, change.asked.displays, strict=True))
    follow = await asyncio.gather(*(_becomes(change, index, *pair) for index, pair in enumerate(pairs)))
    made = []
    for (has, asked), follows in zip(pairs, follow, strict=True):
        made.append(asked if follows else structs.replace(has, name=asked.name))
        if not follows:
            change.wait("displays", f"{asked.name}: {NO_SIZE}")
    if tuple(made) != change.made.displays:
        change.made = structs.replace(change.made, displays=tuple(made))
        await change.note()


async def _becomes(change: Change, index: int, has: DisplaySpec, asked: DisplaySpec) -> bool:
    """Whether the guest shows that size now. A guest that is not running is not asked."""
    if (has.width, has.height) == (asked.width, asked.height):
        return True
    if not change.qemu.observed.does(Fact.RUNNING):
        return False
    path = change.place.runs.own(change.qemu.who.machine) / screen_socket(index)
    try:
        async with asyncio.timeout(min(PATIENCE, change.left)):
            with verified(path, change.run.uid) as socket:
                reader, writer = await connected(socket)
    except (TimeoutError, OSError):
        return False
    try:
        async with asyncio.timeout(min(PATIENCE, change.left)):
            await rfb.change_size(reader, writer, asked.width, asked.height)
    except TimeoutError:  # the guest may have taken a third one: what waits changes nothing
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(min(PATIENCE, change.left)):
                await rfb.restore_size(reader, writer, has.width, has.height)
        return False
    except (OSError, EOFError, rfb.Nonsense):
        return False
    finally:
        writer.close()
    return True
