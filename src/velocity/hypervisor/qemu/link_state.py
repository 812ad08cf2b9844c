"""The link state of NICs, which QEMU changes while the guest runs, and keeps over resets.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (set_link)
"""

from __future__ import annotations

from collections.abc import Mapping

from velocity.hypervisor.qemu.disk_limits import Execute
from velocity.hypervisor.qemu.layout import nic_device


async def set_links(execute: Execute, up: Mapping[int, bool], deadline: float) -> None:
    """Set links up or down, by NIC id. Raises `HypervisorError`."""
    for nic, plugged in up.items():
        await execute("set_link", deadline=deadline, name=nic_device(nic), up=plugged)
