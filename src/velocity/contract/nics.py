"""Route 11: the host NICs that virtual machines can be bridged to."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Nicid
from velocity.contract.operation import Failure, Holds, Method, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.placement import HostRef
from velocity.contract.problems import Problem

Hosts = Annotated[list[HostRef], Meta(description="the hosts that have it; absent: there is only one")]


class HostNic(Wire, frozen=True):
    nicid: Nicid
    description: str
    identifier: Annotated[str, Meta(description="if it is on several hosts, that of the first of them")]
    hosts: Hosts | UnsetType = UNSET


class ListNics(Paged[Nicid], frozen=True):
    pass


class HostNics(Wire, frozen=True):
    host_nics: list[HostNic]


LIST = Operation(
    name="list_nics",
    summary="List the host NICs available for BRIDGE",
    method=Method.POST,
    path="/v/nic/list",
    route=11,
    request=ListNics,
    response=HostNics,
    lists={"host_nics": "nicid"},
    needs=Holds(Permission.NIC_LIST, On.SOMEWHERE),
    failures=(Failure(11100, 403, Problem.NO_PERMISSION, "velocity.nic.list is needed on at least one group"),),
)

OPERATIONS = (LIST,)
