"""Route 35: a host, its load and its pools, and the list of other hosts."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Bytes, ClockAhead, Mpid, PoolState, UnixTime, Vmid
from velocity.contract.operation import Failure, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.placement import HostNumber
from velocity.contract.problems import Problem

CpuUse = Annotated[
    float, Meta(description="percent of all CPUs over 10 s; absent: not measured, as in the first 20 s of the server")
]


class VmCount(Wire, frozen=True):
    running: Annotated[int, Meta(description="VMs that are not STOPPED")]
    total: int


class HostPool(Wire, frozen=True):
    mpid: Mpid
    name: str
    size: Annotated[Bytes, Meta(description="size of its file system in bytes")]
    free: Annotated[Bytes, Meta(description="free space of its file system in bytes")]
    declared: Annotated[Bytes, Meta(description="the total size that its media may grow to, in bytes")]
    allocated: Annotated[Bytes, Meta(description="the space that its media take on the disk, in bytes")]
    state: PoolState
    message: Annotated[str, Meta(description="what the state means and what to do; absent: online")] | UnsetType = UNSET
    shared: Annotated[bool, Meta(description="other hosts have it, too; absent: they do not")] | UnsetType = UNSET


class UnknownGuest(Wire, frozen=True):
    uuid: UUID
    run: Annotated[int, Meta(description="the number of the machine's run")]


class UnaskedWriter(Wire, frozen=True):
    vmid: Vmid
    mid: UUID


Duty = Annotated[
    Literal["active", "draining", "maintenance"],
    Meta(description="its duty. draining: no more VMs are placed on it; maintenance: no VM starts on it"),
]


class HostSummary(Wire, frozen=True):
    """A host in its last known state, without asking it."""

    id: HostNumber
    name: str
    duty: Duty
    vms: VmCount
    memory_mib: int
    memory_given_mib: Annotated[int, Meta(description="memory of its VMs, running or not")]
    unreachable_since: (
        Annotated[UnixTime, Meta(description="it has not responded since then; absent: it responds")] | UnsetType
    ) = UNSET
    dead_since: (
        Annotated[
            UnixTime,
            Meta(description="it is confirmed dead since then: its VMs can start elsewhere; absent: it is not"),
        ]
        | UnsetType
    ) = UNSET
    clock_ahead: ClockAhead | UnsetType = UNSET
    cpu_use: CpuUse | UnsetType = UNSET


class ShowHost(Wire, frozen=True):
    host: Annotated[HostNumber, Meta(description="absent: the one that the server runs on")] | UnsetType = UNSET


class HostInfo(Wire, frozen=True):
    name: Annotated[str, Meta(description="the host's name")]
    version: Annotated[str, Meta(description="the version of Velocity there")]
    cpus: int
    load: Annotated[
        list[float],
        Meta(min_length=3, max_length=3, description="the averages over 1, 5 and 15 minutes, as in uptime(1)"),
    ]
    memory_mib: int
    memory_free_mib: Annotated[int, Meta(description="memory available to a new VM")]
    uptime: Annotated[int, Meta(description="seconds since the host was started")]
    hypervisor: str
    accelerator: str
    accelerator_reason: str
    vms: VmCount
    pools: list[HostPool]
    unknown_guests: Annotated[
        list[UnknownGuest],
        Meta(description="guests that run on the host and belong to no VM here, as after restoring an older database"),
    ]
    unasked_writers: Annotated[
        list[UnaskedWriter],
        Meta(
            description="those of the caller's visible VMs that have a writable medium of another group, attached when "
            "no permission for that was required"
        ),
    ] = []
    cpu_use: CpuUse | UnsetType = UNSET
    certificate_expires: (
        Annotated[UnixTime, Meta(description="when the server's own certificate expires; absent: it has none")]
        | UnsetType
    ) = UNSET
    data_dir: (
        Annotated[
            str,
            Meta(
                description="the server's data directory, by which its command line is called on this host "
                "(VELOCITY_DATA_DIR); absent: of another host, or velocity.node.manage on the root group is not held"
            ),
        ]
        | UnsetType
    ) = UNSET
    hosts: Annotated[list[HostSummary], Meta(description="all hosts; absent: there is only one")] | UnsetType = UNSET


SHOW = Operation(
    name="show_host",
    summary="Show a host with its load, memory, pools and hypervisor",
    method=Method.POST,
    path="/h/host",
    route=35,
    request=ShowHost,
    response=HostInfo,
    needs=Holds(Permission.HOST_VIEW, On.SOMEWHERE),
    failures=(
        Failure(35100, 403, Problem.NO_PERMISSION, "velocity.host.view is needed on at least one group"),
        Failure(35110, 404, Problem.HOST_NOT_FOUND, "no such host"),
    ),
    ours=True,
)

OPERATIONS = (SHOW,)
