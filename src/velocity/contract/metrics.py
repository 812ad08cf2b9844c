"""Route 33: the resources that virtual machines use now, and that one used in the past, up to a year."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from velocity.contract import fields
from velocity.contract.fields import UnixTime, Vmid
from velocity.contract.operation import Failure, Hides, Holds, Method, Nothing, On, Operation, SignedIn, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem

Floats = list[float | None]
Integers = list[int | None]


Span = Annotated[
    Literal["hour", "day", "week", "month", "year"],
    Meta(
        description="hour: a value every 10 seconds; else averages: day of 2 minutes, week of 20 minutes, month (31 "
        "days) of 2 hours, year of a day"
    ),
]


class MetricsRequest(Wire, frozen=True):
    vmid: Vmid
    span: Span


class VmMetrics(Wire, frozen=True):
    """Lists of one length: their n-th elements belong to the n-th time.

    The times are complete, up to now; null means that nothing was measured: a gap. They begin with the first of the
    span that has a value; if none has, the lists are empty.
    """

    vmid: Vmid
    interval: Annotated[int, Meta(description="seconds between two values")]
    at: list[UnixTime]
    cpu: Annotated[Floats, Meta(description="percent of one core; 200 means that two cores were busy")]
    given_mib: Annotated[int, Meta(description="the memory that the guest was given at its start")]
    memory_mib: Annotated[
        Integers, Meta(description="resident memory of its process: what it really uses of the host's memory")
    ]
    disk_read: Annotated[Integers, Meta(description="bytes per second, all media together")]
    disk_written: Annotated[Integers, Meta(description="bytes per second, all media together")]
    spans: Annotated[
        list[str],
        Meta(description="the spans worth showing: hour, and each longer one with data from before the previous one"),
    ]
    net_received: (
        Annotated[
            Integers,
            Meta(description="bytes per second that the guest received; absent: no NIC on a bridge"),
        ]
        | UnsetType
    ) = UNSET
    net_sent: (
        Annotated[Integers, Meta(description="bytes per second that the guest sent; absent: no NIC on a bridge")]
        | UnsetType
    ) = UNSET
    running_since: fields.RunningSince | UnsetType = UNSET


VM = Operation(
    name="vm_metrics",
    summary="Show the resources that a virtual machine used in the past hour, day, week, month or year",
    method=Method.POST,
    path="/v/vm/metrics",
    route=33,
    request=MetricsRequest,
    response=VmMetrics,
    needs=Holds(Permission.VM_VIEW, On.VM, Hides.STRANGERS),
    failures=(
        Failure(33100, 403, Problem.NO_PERMISSION, "velocity.vm.view is needed on the VM's group"),
        Failure(33110, 404, Problem.VM_NOT_FOUND, "no such VM, or not visible to the caller"),
    ),
    ours=True,
)


class VmsUsage(Wire, frozen=True):
    """Lists of one length: their n-th elements belong to the n-th VM. Those that were not measured are not in it."""

    vmids: Annotated[list[Vmid], Meta(description="the VMs that the caller may view and that run")]
    cpu: Annotated[Floats, Meta(description="percent of one core over the last 10 s; null in the first 10 s of a run")]
    memory_mib: Annotated[list[int], Meta(description="MiB of the host's memory that its process uses")]
    running_since: Annotated[list[UnixTime], Meta(description="when the present run began, on any host")]


USAGE = Operation(
    name="vms_usage",
    summary="Show what running virtual machines use now, as measured in the last 10 s",
    method=Method.POST,
    path="/v/vm/usage",
    route=33,
    request=Nothing,
    response=VmsUsage,
    needs=SignedIn("everyone is shown the VMs that they may view"),
    failures=(),
    ours=True,
)

EXPOSITION = Operation(
    name="openmetrics",
    summary="Show what VMs, host and server use, as OpenMetrics text, by GET /metrics",
    method=Method.POST,
    path="/metrics",
    route=33,
    request=Nothing,
    response=Nothing,
    needs=SignedIn("everyone is shown the VMs that they may view; the rest needs velocity.host.view"),
    failures=(),
    ours=True,
)
"""Uses GET, as its protocol demands; only its refusals are the contract's."""

OPERATIONS = (VM, USAGE)
