"""What a change with `plan: true` is answered with: what it would do, and what it would take."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Mpid
from velocity.contract.operation import Wire

Do = Literal[
    "create", "change", "delete", "purge", "restore", "grant", "revoke", "assign",
    "start", "pause", "resume", "stop", "kill", "cancel",
]  # fmt: skip

Kind = Literal["vm", "medium", "group", "user", "pool", "task", "session"]


class FieldChange(Wire, frozen=True):
    """What one field is, and what it would be. A password's change shows neither."""

    field: str
    old: Any | UnsetType = UNSET
    new: Any | UnsetType = UNSET


class Step(Wire, frozen=True):
    """One thing that would be done to one object."""

    do: Do
    kind: Kind
    name: str
    id: Annotated[int | UUID | UnsetType, Meta(description="absent: it would get one")] = UNSET
    gid: Annotated[Gid, Meta(description="the group that it is in, or on which it is done")] | UnsetType = UNSET
    changes: list[FieldChange] | UnsetType = UNSET


class Consumption(Wire, frozen=True):
    """What a group would have more, or less, of its quotas and those above it; with `mpid`, bytes of a pool."""

    gid: Gid
    mpid: Mpid | UnsetType = UNSET
    bytes: int | UnsetType = UNSET
    cpus: int | UnsetType = UNSET
    memory_mib: int | UnsetType = UNSET
    vms: int | UnsetType = UNSET


class Plan(Wire, frozen=True):
    """Nothing of it was done. All that could refuse the request but the work itself was asked."""

    plan: Literal[True]
    steps: Annotated[list[Step], Meta(description="empty: nothing would change")]
    consumes: list[Consumption]
    warnings: list[str] | UnsetType = UNSET
