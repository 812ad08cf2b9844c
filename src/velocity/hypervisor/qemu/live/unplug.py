"""Hot-unplug: the guest is asked to release devices, and does so when it likes.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (device_del, qom-list)
"""

from __future__ import annotations

from velocity.hypervisor.port import Fact, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.live.change import Change

PATIENCE, MOMENT = 3.0, 0.2
"""Seconds for a guest to release a device; and for a paused one, which releases nothing."""
UNDER_WAY = "process of unplug"
"""Part of QEMU's error when an unplug is already in progress."""


async def is_there(change: Change, device: str) -> bool:
    """Whether QEMU has a device with that id."""
    found = await change.execute("qom-list", path="/machine/peripheral")
    return any(one.get("name") == device for one in found)


async def unplug(change: Change, device: str) -> bool:
    """Request it and wait a moment; returns whether the device is gone. Raises `HypervisorError`: QEMU refuses."""
    releases = change.qemu.releases
    releases.expect(device)
    try:
        await change.execute("device_del", id=device)
    except (Unknown, NotRunning):
        raise
    except HypervisorError as error:
        if UNDER_WAY not in str(error) and await is_there(change, device):
            raise
    await releases.wait(device, min(patience(change), change.left / 2))
    if await is_there(change, device):
        return False
    releases.over(device)
    return True


def patience(change: Change) -> float:
    """The seconds that its guest gets now."""
    return PATIENCE if change.qemu.observed.does(Fact.RUNNING) else MOMENT


async def execute_if_there(change: Change, command: str, device: str) -> None:
    """Tell QEMU to remove something; its refusal, when that is gone, is ignored."""
    try:
        await change.execute(command, id=device)
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        return
