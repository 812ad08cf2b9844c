"""The resources that a VM used."""

from msgspec import UNSET, UnsetType

from velocity.api.handlers.base import Call, handles
from velocity.contract import metrics
from velocity.machines import rules


@handles(metrics.VM)
async def vm_metrics(call: Call[metrics.MetricsRequest]) -> metrics.VmMetrics:
    keeper, kept = call.services.fleet.get(call.request.vmid), call.services.metrics
    series = kept.hour(keeper) if call.request.span == "hour" else kept.day(keeper)
    columns = series.columns
    return metrics.VmMetrics(
        vmid=call.request.vmid,
        interval=series.interval,
        at=series.at,
        cpu=[None if value is None else round(value, 1) for value in columns["cpu"]],
        given_mib=rules.memory_given(keeper.machine.spec, keeper.progress.run),
        memory_mib=_whole(columns["memory_mib"]),
        disk_read=_whole(columns["disk_read"]),
        disk_written=_whole(columns["disk_written"]),
        net_received=_if_any(columns["net_received"]),
        net_sent=_if_any(columns["net_sent"]),
    )


def _whole(values: list[float | None]) -> list[int | None]:
    return [None if value is None else round(value) for value in values]


def _if_any(values: list[float | None]) -> list[int | None] | UnsetType:
    return UNSET if all(value is None for value in values) else _whole(values)
