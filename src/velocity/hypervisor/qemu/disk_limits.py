"""What disks may do a second: QEMU holds the rest back, and takes other limits while the guest runs.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (block_set_io_throttle)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from velocity.hypervisor.port import DiskLimits, HypervisorError
from velocity.hypervisor.qemu.disk_options import number_of


class Execute(Protocol):
    """A command to QEMU's monitor, as `WatchedRun.execute`."""

    async def __call__(self, command: str, *, deadline: float, **arguments: Any) -> Any: ...


async def limit(execute: Execute, wanted: Mapping[int, DiskLimits], deadline: float) -> None:
    """Limits by the numbers of disks. Raises `HypervisorError`."""
    devices = _devices(await execute("query-block", deadline=deadline)) if wanted else {}
    for number, limits in wanted.items():
        if (device := devices.get(number)) is None:
            raise HypervisorError(f"QEMU has no disk {number}")
        await execute("block_set_io_throttle", deadline=deadline, id=device, **_arguments(limits))


def _devices(answer: object) -> dict[int | None, str]:
    """Disk -> the device that has it, as QEMU calls it: which of a device's parts that is differs with the bus."""
    found = {}
    for one in answer if isinstance(answer, list) else ():
        match one:
            case {"qdev": str(device), "inserted": {"node-name": str(node)}}:
                found[number_of(node)] = device
    return found


def _arguments(limits: DiskLimits) -> dict[str, int]:
    """0 is no limit."""
    return {
        "iops": limits.iops,
        "iops_rd": limits.read_iops,
        "iops_wr": limits.write_iops,
        "bps": limits.bytes,
        "bps_rd": limits.read_bytes,
        "bps_wr": limits.write_bytes,
    }
