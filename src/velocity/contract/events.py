"""Route 36: the stream of events, GET /v/events. https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import (
    FrozenUntil,
    Gid,
    Mpid,
    Restarting,
    Revision,
    UnixTime,
    UnreachableSince,
    Vmid,
    one_of,
)
from velocity.contract.machines import NextBoot, Reason, State
from velocity.contract.media import MediumView
from velocity.contract.operation import Method, Nothing, Operation, SignedIn, Wire
from velocity.contract.placement import MovingTo, WhereItIs, WhereItIsShared
from velocity.contract.tasks import TaskInfo
from velocity.contract.users import UserSummary


class GroupView(Wire, frozen=True):
    gid: Gid
    parent_gid: Gid
    name: str
    permissions: Annotated[list[str], Meta(description="the caller's permissions there, inherited ones included")]


class DisplayView(Wire, frozen=True):
    name: str
    width: int
    height: int


class VmView(Wire, frozen=True):
    """A VM as lists show it."""

    vmid: Vmid
    gid: Gid
    name: str
    cpus: int
    memory_mib: int
    state: State
    wanted: Annotated[State, Meta(description="the state that was last requested")]
    autostart: bool
    displays: list[DisplayView]
    media: Annotated[list[UUID], Meta(description="in boot order")]
    nics: Annotated[list[Annotated[str, one_of("NAT", "BRIDGE")]], Meta(description="the type of each")]
    waiting: Annotated[list[str], Meta(description="fields whose change takes effect at the next start")]
    revision: Revision
    addresses: (
        Annotated[list[str], Meta(description="all known addresses, as in `interfaces`; absent: none")] | UnsetType
    ) = UNSET
    reserved: (
        Annotated[
            list[str],
            Meta(description="those of `addresses` that NAT reserves, not known to be used by the guest; absent: none"),
        ]
        | UnsetType
    ) = UNSET
    macs: Annotated[list[str], Meta(description="the MAC address of each NIC; absent: none")] | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    stopping_since: UnixTime | UnsetType = UNSET
    restarting: Restarting | UnsetType = UNSET
    next_boot: NextBoot | UnsetType = UNSET
    frozen_until: FrozenUntil | UnsetType = UNSET
    unreachable_since: UnreachableSince | UnsetType = UNSET
    host: WhereItIs | UnsetType = UNSET
    moving: MovingTo | UnsetType = UNSET


class PoolView(Wire, frozen=True):
    mpid: Mpid
    name: str
    host: WhereItIs | UnsetType = UNSET
    hosts: WhereItIsShared | UnsetType = UNSET


class InitialState(Wire, frozen=True):
    """Event `snapshot`: everything that the caller may see; replaces all that was sent before."""

    event: ClassVar[str] = "snapshot"

    me: UserSummary
    groups: Annotated[list[GroupView], Meta(description="the groups that POST /u/group/list shows")]
    vms: Annotated[list[VmView], Meta(description="where the caller holds velocity.vm.view")]
    media: Annotated[list[MediumView], Meta(description="where the caller holds velocity.media.list")]
    pools: Annotated[list[PoolView], Meta(description="pools of the groups where the caller holds velocity.pool.list")]
    tasks: Annotated[list[TaskInfo], Meta(description="where the caller holds velocity.media.list")]
    users: (
        Annotated[list[UserSummary], Meta(description="absent: the caller does not hold velocity.user.list anywhere")]
        | UnsetType
    ) = UNSET


class OneSet(Wire, frozen=True):
    """Event `set`: an object was created or has changed. Contains the whole object."""

    event: ClassVar[str] = "set"


class SetVm(OneSet, frozen=True, tag_field="kind", tag="vm"):
    object: VmView


class SetMedium(OneSet, frozen=True, tag_field="kind", tag="medium"):
    object: MediumView


class SetGroup(OneSet, frozen=True, tag_field="kind", tag="group"):
    object: GroupView


class SetTask(OneSet, frozen=True, tag_field="kind", tag="task"):
    object: TaskInfo


class SetUser(OneSet, frozen=True, tag_field="kind", tag="user"):
    object: UserSummary


Set = SetVm | SetMedium | SetGroup | SetTask | SetUser

Kind = Literal["vm", "medium", "group", "task", "user"]
Farewell = Literal["slow", "shutting down", "signed out"]
ChangedKind = Literal["trash", "quota", "pool", "history", "session", "host"]


class Gone(Wire, frozen=True):
    """Event `gone`: an object no longer exists, or the caller may no longer see it."""

    event: ClassVar[str] = "gone"
    kind: Kind
    id: int | UUID


class Changed(Wire, frozen=True):
    """Event `changed`: if you show it, read it again."""

    event: ClassVar[str] = "changed"
    kind: ChangedKind
    gid: (
        Annotated[
            int,
            Meta(
                description="the group concerned; quotas of the groups below change with it. Absent: the caller's own"
            ),
        ]
        | UnsetType
    ) = UNSET


class Alive(Wire, frozen=True):
    """Event `alive`, after 15 seconds without another: the connection works. Nothing is missing up to its id."""

    event: ClassVar[str] = "alive"


class Bye(Wire, frozen=True):
    """Event `bye`, the last event. After `slow` and `shutting down`, connect again."""

    event: ClassVar[str] = "bye"
    reason: Farewell


Event = InitialState | Set | Gone | Changed

EVENTS: Mapping[str, Any] = {
    "snapshot": InitialState, "set": Set, "gone": Gone, "changed": Changed, "alive": Alive, "bye": Bye,
}  # fmt: skip
"""The name of an event -> the type of its data."""

WATCH = Operation(
    name="watch_events",
    summary="Follow everything that the caller may see, as server-sent events",
    method=Method.POST,
    path="/v/events",
    route=36,
    request=Nothing,
    response=Nothing,
    needs=SignedIn("all users receive what they may see, and nothing else"),
    failures=(),
    ours=True,
)
"""A stream uses GET, as its protocol demands; only its refusals are the contract's."""
