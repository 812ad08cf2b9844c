"""Devices that are taken out of a guest that runs: it is asked, and lets go of them when it likes.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (device_del, qom-list)
"""

from __future__ import annotations

import asyncio

from velocity.hypervisor.port import HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.live.change import Change

PATIENCE = 3.0
"""Seconds that a guest gets. One that has not booted yet, or is paused, lets go of nothing."""
LOOK = 0.1
NOT_YET = "the guest has not let go of it yet"


async def is_there(change: Change, device: str) -> bool:
    """Whether QEMU has a device of that id."""
    found = await change.execute("qom-list", path="/machine/peripheral")
    return any(one.get("name") == device for one in found)


async def let_go(change: Change, device: str) -> bool:
    """Ask for it, and wait a moment; whether it is gone. Asked again, it is asked of the guest again."""
    await quietly(change, "device_del", device)
    until = asyncio.get_running_loop().time() + min(PATIENCE, change.left / 2)
    while await is_there(change, device):
        if asyncio.get_running_loop().time() >= until:
            change.session.departures.tell_later(device)
            return False
        await asyncio.sleep(LOOK)
    return True


async def quietly(change: Change, command: str, device: str) -> None:
    """Ask QEMU to do away with something. It refuses when that is gone, or when the guest is being asked already."""
    try:
        await change.execute(command, id=device)
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        return
