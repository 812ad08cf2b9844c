"""I/O limits of disks: QEMU throttles the guest, and changes limits while it runs.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (block_set_io_throttle)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from velocity.hypervisor.port import DiskLimits, HypervisorError
from velocity.hypervisor.qemu.disk_options import number_of


class Execute(Protocol):
    """Executes a QMP command, like `WatchedRun.execute`."""

    async def __call__(self, command: str, *, deadline: float, **arguments: Any) -> Any: ...


async def limit(execute: Execute, wanted: Mapping[int, DiskLimits], deadline: float) -> None:
    """Set limits, by disk number. Raises `HypervisorError`."""
    devices = _devices(await execute("query-block", deadline=deadline)) if wanted else {}
    for number, limits in wanted.items():
        if (device := devices.get(number)) is None:
            raise HypervisorError(f"QEMU has no disk {number}")
        await execute("block_set_io_throttle", deadline=deadline, id=device, **_arguments(limits))


def _devices(answer: object) -> dict[int | None, str]:
    """Disk -> the QOM id of its device, which depends on the bus."""
    found = {}
    for one in answer if isinstance(answer, list) else ():
        match one:
            case {"qdev": str(device), "inserted": {"node-name": str(node)}}:
                found[number_of(node)] = device
    return found


def _arguments(limits: DiskLimits) -> dict[str, int]:
    """0 means no limit."""
    return {
        "iops": limits.iops,
        "iops_rd": limits.read_iops,
        "iops_wr": limits.write_iops,
        "bps": limits.bytes,
        "bps_rd": limits.read_bytes,
        "bps_wr": limits.write_bytes,
    }
