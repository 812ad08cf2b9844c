"""The answer to a change with `plan: true`: what it would do, and what it would use."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Mpid
from velocity.contract.operation import Wire
from velocity.contract.placement import HostRef

Do = Literal[
    "create", "change", "delete", "purge", "restore", "grant", "revoke", "assign",
    "start", "pause", "resume", "stop", "kill", "reset", "cancel",
]  # fmt: skip

Kind = Literal["vm", "medium", "group", "user", "pool", "task", "session", "host", "token"]


class FieldChange(Wire, frozen=True):
    """The present and the future value of one field. Passwords are not shown."""

    field: str
    old: Any | UnsetType = UNSET
    new: Any | UnsetType = UNSET


class Step(Wire, frozen=True):
    """One action on one object."""

    do: Do
    kind: Kind
    name: str
    id: Annotated[int | UUID | UnsetType, Meta(description="absent: the object does not exist yet")] = UNSET
    gid: (
        Annotated[Gid, Meta(description="the group of the object, or the group that the action concerns")] | UnsetType
    ) = UNSET
    changes: list[FieldChange] | UnsetType = UNSET
    live: Annotated[list[str], Meta(description="the fields that change at once, while it runs")] | UnsetType = UNSET
    waits: (
        Annotated[dict[str, str], Meta(description="the fields that change at its next start, each with the reason")]
        | UnsetType
    ) = UNSET
    host: Annotated[HostRef, Meta(description="the host of the VM; absent: there is only one host")] | UnsetType = UNSET
    because: Annotated[str, Meta(description="why that host")] | UnsetType = UNSET


class Consumption(Wire, frozen=True):
    """The change in what a group uses of its quotas and those above it; with `mpid`, in bytes of a pool."""

    gid: Gid
    mpid: Mpid | UnsetType = UNSET
    bytes: int | UnsetType = UNSET
    cpus: int | UnsetType = UNSET
    memory_mib: int | UnsetType = UNSET
    vms: int | UnsetType = UNSET


class Plan(Wire, frozen=True):
    """A plan: nothing was changed. The request passed every check that can be made in advance."""

    plan: Literal[True]
    steps: Annotated[list[Step], Meta(description="empty: nothing would change")]
    consumes: list[Consumption]
    warnings: list[str] | UnsetType = UNSET
