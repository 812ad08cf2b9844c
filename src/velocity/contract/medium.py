"""Routes 14, 42 and 43: one medium, shown, changed, moved and converted."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Bytes, Gid, MediaType, Mpid, Name, Revision, SeenRevision, UnixTime, Warnings
from velocity.contract.media import MediumRequest, MediumView
from velocity.contract.operation import Change, Failure, Holds, Method, On, Operation, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.tasks import TaskStarted, Tid


class Qcow2Layout(Wire, frozen=True):
    """How a qcow2 file allocates its space."""

    cluster_size: Bytes
    subcluster_size: Annotated[int, Meta(description="the size in bytes of its allocation unit")]


class MediumDetails(MediumView, frozen=True, kw_only=True):
    """A medium as in the list, with details from its file. Details that its pool does not provide now are absent."""

    file_size: Annotated[int, Meta(description="the length of its file in bytes, with its holes")] | UnsetType = UNSET
    modified: Annotated[UnixTime, Meta(description="when its file was last written")] | UnsetType = UNSET
    layout: Annotated[Qcow2Layout, Meta(description="for the format qcow2")] | UnsetType = UNSET
    boots: Annotated[bool, Meta(description="whether a VM can boot from it; absent: unknown")] | UnsetType = UNSET
    busy: Annotated[str, Meta(description="what is being done with it, which prevents changes")] | UnsetType = UNSET


class AlterMedium(Change, frozen=True, kw_only=True):
    """Absent fields keep their value."""

    mid: UUID
    name: Name | UnsetType = UNSET
    type: MediaType | UnsetType = UNSET
    size: Annotated[int, Meta(ge=1, le=2**63 - 1, description="bytes; it can only grow")] | UnsetType = UNSET
    readonly: bool | UnsetType = UNSET
    revision: SeenRevision | UnsetType = UNSET


class MediumAltered(Wire, frozen=True):
    mid: UUID
    revision: Revision
    waiting: Annotated[
        list[str],
        Meta(description="the fields whose changes a running VM sees at its next start"),
    ]
    warnings: Warnings | UnsetType = UNSET


class MoveMedium(Change, frozen=True, kw_only=True):
    mid: UUID
    gid: Annotated[Gid, Meta(description="its new group; absent: the one that it has")] | UnsetType = UNSET
    mpid: Annotated[Mpid, Meta(description="its new pool; absent: the one that it has")] | UnsetType = UNSET


class MediumMoved(Wire, frozen=True):
    mid: UUID
    tid: Annotated[Tid, Meta(description="the task that moves its bytes; absent: it is moved")] | UnsetType = UNSET


class ConvertMedium(Change, frozen=True, kw_only=True):
    mid: UUID
    format: Annotated[
        Literal["raw", "qcow2"],
        Meta(description="the present format: the file is rewritten without zeros and freed space"),
    ]


SHOW = Operation(
    name="show_medium",
    summary="Show a medium: its content, size and users, and whether it boots",
    method=Method.POST,
    path="/m/media",
    route=14,
    request=MediumRequest,
    response=MediumDetails,
    needs=Holds(Permission.MEDIA_LIST, On.MEDIUM),
    failures=(
        Failure(14101, 403, Problem.NO_PERMISSION, "velocity.media.list is needed on the medium's group"),
        Failure(14111, 404, Problem.MEDIUM_NOT_FOUND, "no such medium"),
    ),
    ours=True,
)

ALTER = Operation(
    name="alter_medium",
    summary="Rename a medium, change its type, enlarge it, or make it read-only",
    method=Method.PATCH,
    path="/m/media",
    route=14,
    request=AlterMedium,
    response=MediumAltered,
    needs=Holds(Permission.MEDIA_CREATE, On.MEDIUM),
    failures=(
        Failure(
            14400,
            403,
            Problem.NO_PERMISSION,
            "velocity.media.create is needed on the medium's group: its content is kept, and it may take more space",
        ),
        Failure(14401, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(14410, 404, Problem.MEDIUM_NOT_FOUND, "no such medium"),
        Failure(14411, 404, Problem.POOL_NOT_FOUND, "the medium's pool is no longer declared"),
        Failure(14412, 404, Problem.GROUP_NOT_FOUND, "the medium's group is being deleted"),
        Failure(14420, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with that name in this pool"),
        Failure(14421, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        Failure(14422, 406, Problem.POOL_AWAY, "the pool is away or read-only"),
        Failure(
            14423, 409, Problem.MEDIUM_IN_USE, "a VM runs with it or writes to it, or it is being copied or changed"
        ),
        Failure(14424, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        Failure(14425, 406, Problem.MEDIUM_SIZE, "the medium cannot have that size: it only grows, and images do not"),
        Failure(14427, 406, Problem.NOT_AN_IMAGE, "its qcow2 image is damaged and cannot grow"),
        Failure(14426, 409, Problem.MEDIUM_ATTACHED, "it would become writable, and is attached to more than one VM"),
    ),
    ours=True,
)

MOVE = Operation(
    name="move_medium",
    summary="Move a medium to another group, to another pool as a task, or both; a VM that writes to it keeps running",
    method=Method.PUT,
    path="/m/media/move",
    route=43,
    request=MoveMedium,
    response=MediumMoved,
    needs=Holds(Permission.MEDIA_REMOVE, On.MEDIUM),
    failures=(
        Failure(
            43200,
            403,
            Problem.NO_PERMISSION,
            "velocity.media.remove is needed on the medium's group, and velocity.media.create on the new one",
        ),
        Failure(43201, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(43210, 404, Problem.MEDIUM_NOT_FOUND, "no such medium"),
        Failure(43211, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(43212, 404, Problem.POOL_NOT_FOUND, "no such pool for the group"),
        Failure(43220, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with that name in this pool"),
        Failure(43221, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        Failure(43222, 406, Problem.POOL_AWAY, "one of the two pools is away or read-only"),
        Failure(
            43223,
            409,
            Problem.MEDIUM_IN_USE,
            "a running VM only reads it, or cannot continue with another file, or it is being copied or changed",
        ),
        Failure(43224, 409, Problem.MEDIUM_ATTACHED, "it is attached to a VM that could not use it in the new group"),
    ),
    ours=True,
)

CONVERT = Operation(
    name="convert_medium",
    summary="Convert a medium in place, or compact it; a VM that writes to it keeps running",
    method=Method.PUT,
    path="/m/media/convert",
    route=42,
    request=ConvertMedium,
    response=TaskStarted,
    needs=Holds(Permission.MEDIA_CREATE, On.MEDIUM),
    failures=(
        Failure(42200, 403, Problem.NO_PERMISSION, "velocity.media.create is needed on the medium's group"),
        Failure(42201, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(42210, 404, Problem.MEDIUM_NOT_FOUND, "no such medium"),
        Failure(42211, 404, Problem.GROUP_NOT_FOUND, "the medium's group is being deleted"),
        Failure(42212, 404, Problem.POOL_NOT_FOUND, "the medium's pool is no longer declared"),
        Failure(42221, 406, Problem.POOL_QUOTA, "the free space of the pool does not suffice"),
        Failure(42222, 406, Problem.POOL_AWAY, "the pool is away or read-only"),
        Failure(
            42223,
            409,
            Problem.MEDIUM_IN_USE,
            "a running VM only reads it, or cannot continue with another file, or it is being copied or changed",
        ),
        Failure(42224, 406, Problem.NOT_AN_IMAGE, "it holds an image or a packed file, which is to be imported first"),
    ),
    ours=True,
)

OPERATIONS = (SHOW, ALTER, MOVE, CONVERT)
