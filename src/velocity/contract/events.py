"""Route 36: the stream of events, GET /v/events. https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Mpid, Revision, UnixTime, UnreachableSince, Vmid
from velocity.contract.machines import Reason, State
from velocity.contract.media import MediumInfo
from velocity.contract.operation import Method, Nothing, Operation, SignedIn, Wire
from velocity.contract.tasks import TaskInfo
from velocity.contract.users import UserSummary


class GroupView(Wire, frozen=True):
    gid: Gid
    parent_gid: Gid
    name: str
    permissions: Annotated[list[str], Meta(description="what the caller holds there, by inheritance too")]


class DisplayView(Wire, frozen=True):
    name: str
    width: int
    height: int


class VmView(Wire, frozen=True):
    """What a list of VMs shows of one."""

    vmid: Vmid
    gid: Gid
    name: str
    cpus: int
    memory_mib: int
    state: State
    wanted: Annotated[State, Meta(description="what was last asked for")]
    autostart: bool
    displays: list[DisplayView]
    media: Annotated[list[UUID], Meta(description="in boot order")]
    nics: Annotated[list[str], Meta(description="the type of each")]
    waiting: Annotated[list[str], Meta(description="fields whose change takes effect at the next start")]
    revision: Revision
    reason: Reason | UnsetType = UNSET
    stopping_since: UnixTime | UnsetType = UNSET
    unreachable_since: UnreachableSince | UnsetType = UNSET


class MediumView(MediumInfo, frozen=True, kw_only=True):
    """What POST /m/media/list shows of a medium, and whose it is."""

    gid: Gid


class PoolView(Wire, frozen=True):
    mpid: Mpid
    name: str


class Snapshot(Wire, frozen=True):
    """Event `snapshot`: all that the caller may see, in the place of whatever he was told before."""

    event: ClassVar[str] = "snapshot"

    me: UserSummary
    groups: Annotated[list[GroupView], Meta(description="those that POST /u/group/list shows")]
    vms: Annotated[list[VmView], Meta(description="where the caller holds velocity.vm.view")]
    media: Annotated[list[MediumView], Meta(description="where the caller holds velocity.media.list")]
    pools: Annotated[list[PoolView], Meta(description="seen by a group where the caller holds velocity.pool.list")]
    tasks: Annotated[list[TaskInfo], Meta(description="where the caller holds velocity.media.list")]
    users: (
        Annotated[list[UserSummary], Meta(description="absent: the caller does not hold velocity.user.list anywhere")]
        | UnsetType
    ) = UNSET


class OneSet(Wire, frozen=True):
    """Event `set`: an object is new, or is so now. It states the whole object."""

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
ChangedKind = Literal["trash", "quota", "pool", "history", "session"]


class Gone(Wire, frozen=True):
    """Event `gone`: an object is no more, for the caller at least."""

    event: ClassVar[str] = "gone"
    kind: Kind
    id: int | UUID


class Changed(Wire, frozen=True):
    """Event `changed`: read it again if you show it."""

    event: ClassVar[str] = "changed"
    kind: ChangedKind
    gid: (
        Annotated[int, Meta(description="of this group, and what is left to those below it; absent: the caller's own")]
        | UnsetType
    ) = UNSET


class Bye(Wire, frozen=True):
    """Event `bye`, the last one. After `slow` and `shutting down`, connect again."""

    event: ClassVar[str] = "bye"
    reason: Farewell


Event = Snapshot | Set | Gone | Changed

EVENTS: Mapping[str, Any] = {"snapshot": Snapshot, "set": Set, "gone": Gone, "changed": Changed, "bye": Bye}
"""The name of an event on the wire -> the type of its data."""

WATCH = Operation(
    name="watch_events",
    summary="Follow what the caller may see, as server-sent events",
    method=Method.POST,
    path="/v/events",
    route=36,
    request=Nothing,
    response=Nothing,
    needs=SignedIn("everyone is told what he may see, and nothing else"),
    failures=(),
    ours=True,
)
"""A stream keeps its own protocol's verb, GET: its refusals only."""
