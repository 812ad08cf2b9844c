"""Devices that are taken out of a guest that runs: it is asked, and lets go of them when it likes.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (device_del, qom-list)
"""

from __future__ import annotations

from velocity.hypervisor.port import Fact, HypervisorError, NotRunning, Unknown
from velocity.hypervisor.qemu.live.change import Change

PATIENCE, MOMENT = 3.0, 0.2
"""Seconds that a guest gets; and one that is paused, which lets go of nothing."""
UNDER_WAY = "process of unplug"
"""What QEMU says of a device that the guest is being asked for already."""


async def is_there(change: Change, device: str) -> bool:
    """Whether QEMU has a device of that id."""
    found = await change.execute("qom-list", path="/machine/peripheral")
    return any(one.get("name") == device for one in found)


async def let_go(change: Change, device: str) -> bool:
    """Ask for it, and wait a moment; whether it is gone. Raises `HypervisorError`: QEMU refuses."""
    departures = change.session.departures
    departures.expect(device)
    try:
        await change.execute("device_del", id=device)
    except (Unknown, NotRunning):
        raise
    except HypervisorError as error:
        if UNDER_WAY not in str(error) and await is_there(change, device):
            raise
    await departures.wait(device, min(patience(change), change.left / 2))
    if await is_there(change, device):
        return False
    departures.over(device)
    return True


def patience(change: Change) -> float:
    """Seconds that its guest gets now."""
    return PATIENCE if change.session.observed.does(Fact.RUNNING) else MOMENT


async def quietly(change: Change, command: str, device: str) -> None:
    """Ask QEMU to do away with something. It refuses when that is gone."""
    try:
        await change.execute(command, id=device)
    except (Unknown, NotRunning):
        raise
    except HypervisorError:
        return
