"""Route 35: the host, its load and its pools."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Bytes, Mpid, PoolState
from velocity.contract.operation import Failure, Holds, Method, Nothing, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class VmCount(Wire, frozen=True):
    running: Annotated[int, Meta(description="that are not STOPPED")]
    total: int


class HostPool(Wire, frozen=True):
    mpid: Mpid
    name: str
    size: Annotated[Bytes, Meta(description="bytes of the file system that it lies on")]
    free: Annotated[Bytes, Meta(description="bytes that may still be written there")]
    declared: Annotated[Bytes, Meta(description="bytes that its media may grow to")]
    allocated: Annotated[Bytes, Meta(description="bytes that its media take on the disk")]
    state: PoolState
    message: Annotated[str, Meta(description="what its state means, unless it is online")] | UnsetType = UNSET


class UnknownGuest(Wire, frozen=True):
    uuid: UUID
    run: Annotated[int, Meta(description="which run of that machine it is")]


class HostInfo(Wire, frozen=True):
    name: str
    version: Annotated[str, Meta(description="the server's")]
    cpus: int
    load: Annotated[
        list[float], Meta(min_length=3, max_length=3, description="the means of 1, 5 and 15 minutes, as of uptime(1)")
    ]
    memory_mib: int
    memory_free_mib: Annotated[int, Meta(description="that a VM could have now")]
    uptime: Annotated[int, Meta(description="seconds since the host was started")]
    hypervisor: str
    accelerator: str
    accelerator_reason: str
    vms: VmCount
    pools: list[HostPool]
    unknown_guests: Annotated[
        list[UnknownGuest],
        Meta(description="that run on the host and belong to no VM here, as after the restore of an older database"),
    ]


SHOW = Operation(
    name="show_host",
    summary="Show the host: its load, memory, pools and hypervisor",
    method=Method.POST,
    path="/h/host",
    route=35,
    request=Nothing,
    response=HostInfo,
    needs=Holds(Permission.HOST_VIEW, On.SOMEWHERE),
    failures=(Failure(35100, 403, Problem.NO_PERMISSION, "velocity.host.view is needed somewhere"),),
    ours=True,
)

OPERATIONS = (SHOW,)
