"""Resource use of VMs, now and in the past."""

import asyncio

from msgspec import UNSET, UnsetType

from velocity.api.handlers.base import Call, handles
from velocity.contract import metrics
from velocity.contract.operation import Nothing
from velocity.contract.permissions import Permission


@handles(metrics.VM)
async def vm_metrics(call: Call[metrics.MetricsRequest]) -> metrics.VmMetrics:
    keeper, kept = call.services.fleet.get(call.request.vmid), call.services.metrics
    series, spans = await kept.series(keeper, call.request.span)
    columns = series.columns
    return metrics.VmMetrics(
        vmid=call.request.vmid,
        interval=series.interval,
        at=series.at,
        cpu=[None if value is None else round(value, 1) for value in columns["cpu"]],
        given_mib=(keeper.progress.run or keeper.machine.spec).memory_mib,
        memory_mib=_whole(columns["memory_mib"]),
        disk_read=_whole(columns["disk_read"]),
        disk_written=_whole(columns["disk_written"]),
        spans=spans,
        net_received=_if_any(columns["net_received"]),
        net_sent=_if_any(columns["net_sent"]),
        running_since=UNSET if (now := kept.measured(keeper)) is None else now.since,
    )


LOOKED_AT = 1000
"""VMs that are read in one step of the event loop."""


@handles(metrics.USAGE)
async def vms_usage(call: Call[Nothing]) -> metrics.VmsUsage:
    """Each VM is read when its turn comes; with many VMs, other requests are served in between."""
    services, found = call.services, metrics.VmsUsage(vmids=[], cpu=[], memory_mib=[], running_since=[])
    sees = services.directory.holding(call.caller.uid, Permission.VM_VIEW)
    for number, keeper in enumerate(services.fleet.all(), start=1):
        if sees(keeper.machine.gid) and (now := services.metrics.measured(keeper)) is not None:
            cpu = now.point[0]
            found.vmids.append(keeper.machine.vmid)
            found.cpu.append(None if cpu is None else round(cpu, 1))
            found.memory_mib.append(now.usage.memory >> 20)
            found.running_since.append(now.since)
        if number % LOOKED_AT == 0:
            await asyncio.sleep(0)
            sees = services.directory.holding(call.caller.uid, Permission.VM_VIEW)
    return found


def _whole(values: list[float | None]) -> list[int | None]:
    return [None if value is None else round(value) for value in values]


def _if_any(values: list[float | None]) -> list[int | None] | UnsetType:
    return UNSET if all(value is None for value in values) else _whole(values)
