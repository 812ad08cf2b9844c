"""The host of a VM, and where it should be placed."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.operation import Wire

HostNumber = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the id of a host")]


class HostRef(Wire, frozen=True):
    id: HostNumber
    name: str


class OnItsWay(Wire, frozen=True):
    """A move of a VM to another host."""

    host: HostRef
    tid: (
        Annotated[int, Meta(description="the task that moves it; absent: an earlier server began the move")] | UnsetType
    ) = UNSET


MovingTo = Annotated[OnItsWay, Meta(description="where it is being moved to; absent: it is not")]
WhereItIs = Annotated[HostRef, Meta(description="the host that it is on; absent: there is only one")]
WhereItIsShared = Annotated[
    list[HostRef], Meta(description="the hosts that have this shared pool; absent: it is on one host")
]
WantedHost = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="the host for it; absent: any")]
