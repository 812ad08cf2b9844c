"""Routes 8 to 10, 14, 21 and 22: media."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Bytes, Gid, MediaType, Mpid, Name, Revision, Vmid, one_of
from velocity.contract.operation import Change, Failure, Holds, Method, Nothing, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.tasks import TaskStarted


class ListMedia(Paged[UUID], frozen=True):
    """The limit applies to both lists together."""

    gid: Gid
    shared: bool | UnsetType = UNSET
    """Only the ISOs of the groups above, or only the group's own media."""
    host: (
        Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="only media that VMs on this host can use")]
        | UnsetType
    ) = UNSET


class Content(Wire, frozen=True):
    """What the server recognized in the bytes of a medium; for information only."""

    format: Annotated[
        str,
        Meta(
            description="such as iso9660, gpt, mbr, fat, qcow2, vmdk, vdi, vhdx, vhd, xz, zstd, gzip, bzip2, tar, zip, "
            "blank or unknown"
        ),
    ]
    label: str | UnsetType = UNSET
    volume_size: (
        Annotated[int, Meta(description="the size in bytes that its file system or partition table states")] | UnsetType
    ) = UNSET
    boots_efi: bool | UnsetType = UNSET
    architectures: list[str] | UnsetType = UNSET
    warning: Annotated[str, Meta(description="what to know before attaching it")] | UnsetType = UNSET


class MediumUser(Wire, frozen=True):
    """A VM that a medium is attached to."""

    vmid: Vmid
    name: str
    writing: Annotated[bool, Meta(description="whether it is running and may write to the medium")]


class MediumInfo(Wire, frozen=True):
    mid: UUID
    mpid: Mpid
    name: str
    type: str
    size: Bytes
    readonly: bool
    format: Annotated[str, one_of("raw", "qcow2")]
    allocated: Annotated[int, Meta(description="the space that it takes on the disk, in bytes; quotas count `size`")]
    revision: Revision
    used_by: Annotated[
        list[MediumUser], Meta(description="the VMs that it is attached to, as far as the caller may view them")
    ]
    content: Content | UnsetType = UNSET
    origin: (
        Annotated[str, Meta(description="the image of POST /m/catalogue that it was made from; absent: none")]
        | UnsetType
    ) = UNSET
    missing: (
        Annotated[
            bool,
            Meta(
                description="true: its pool is there, but its file is not: restore the file from a backup, or delete "
                "the medium; absent: the file is there"
            ),
        ]
        | UnsetType
    ) = UNSET


class MediumView(MediumInfo, frozen=True, kw_only=True):
    """A medium as POST /m/media/list shows it, and the group that owns it."""

    gid: Gid


class Media(Wire, frozen=True):
    media: list[MediumInfo]
    shared: (
        Annotated[
            list[MediumView],
            Meta(description="the ISOs of the groups above, which the VMs of the group can use read-only"),
        ]
        | UnsetType
    ) = UNSET


class CreateMedium(Change, frozen=True):
    mpid: Mpid
    gid: Gid
    name: Name
    size: Annotated[int, Meta(ge=1, le=2**63 - 1, description="bytes, at least 1")]
    type: MediaType = "DISK"
    format: Literal["raw", "qcow2"] = "raw"


class UploadMedium(Change, frozen=True):
    """Sent as headers: Content-Length (or x-velocity-length), x-velocity-mpid, -gid, -name, -type, -readonly."""

    length: Annotated[int, Meta(ge=1, le=2**63 - 1, description="bytes")]
    mpid: Mpid
    gid: Gid
    name: Name
    type: MediaType
    readonly: bool
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")] | UnsetType = UNSET


class ResumableUpload(UploadMedium, frozen=True):
    """The same as Upload-Metadata of tus, whose keys have no prefix."""

    fingerprint: Annotated[str, Meta(max_length=256)] | UnsetType = UNSET
    """Identifies the file: the caller's own upload with the same name, size and fingerprint continues."""
    for_import: bool | UnsetType = UNSET
    """Do not create a medium: the upload waits for PUT /m/media/import, which names it as `upload`."""


class MediumCreated(Wire, frozen=True):
    mid: UUID
    size: Bytes
    content: Content | UnsetType = UNSET
    unwrapped: (
        Annotated[bool, Meta(description="true: the body was a form, and the medium is the file in it")] | UnsetType
    ) = UNSET


class ImportMedium(Change, frozen=True, kw_only=True):
    """Makes a new medium from the bytes of `mid`, an uploaded disk image, as it is or packed, or from `upload`'s."""

    mid: UUID | UnsetType = UNSET
    upload: Annotated[UUID, Meta(description="instead of `mid`: an upload that waits for its import")] | UnsetType = (
        UNSET
    )
    gid: Gid
    mpid: Mpid
    name: Name
    type: MediaType = "DISK"
    format: Literal["raw", "qcow2"] = "raw"


class CloneMedium(Change, frozen=True):
    mid: UUID
    gid: Gid
    mpid: Mpid
    name: Name
    format: Literal["raw", "qcow2"] | UnsetType = UNSET
    """Absent: unchanged."""


class MediumRequest(Wire, frozen=True):
    mid: UUID


class DeleteMedium(Change, frozen=True):
    mid: UUID
    revision: Revision | UnsetType = UNSET
    """Refused if the object has another one by now."""
    purge: Annotated[bool, Meta(description="delete permanently, without the trash")] = False


CREATE = Operation(
    name="create_medium",
    summary="Create an empty medium; it is stored sparsely, and quotas count its full size",
    method=Method.PUT,
    path="/m/media/create",
    route=8,
    request=CreateMedium,
    response=MediumCreated,
    needs=Holds(Permission.MEDIA_CREATE, On.GROUP),
    failures=(
        Failure(8200, 403, Problem.NO_PERMISSION, "velocity.media.create is needed on the group"),
        Failure(8201, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(8210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(8211, 404, Problem.POOL_NOT_FOUND, "no such pool for this group"),
        Failure(8220, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with that name in this pool"),
        Failure(8221, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        Failure(8222, 406, Problem.POOL_AWAY, "the pool is away or read-only"),
    ),
)

UPLOAD = Operation(
    name="upload_medium",
    summary="Upload a medium; the body is the file; a failed upload leaves nothing behind",
    method=Method.PUT,
    path="/m/media/upload",
    route=9,
    request=UploadMedium,
    response=MediumCreated,
    needs=Holds(Permission.MEDIA_CREATE, On.GROUP),
    failures=(
        Failure(9200, 403, Problem.NO_PERMISSION, "velocity.media.create is needed on the group"),
        Failure(9201, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(9210, 400, Problem.NO_LENGTH, "Content-Length (x-velocity-length if chunked) missing or unreadable"),
        Failure(9211, 400, Problem.NO_AUTHKEY, "the authkey is missing"),
        Failure(9212, 400, Problem.NO_MPID, "x-velocity-mpid missing or unreadable"),
        Failure(9213, 400, Problem.NO_GID, "x-velocity-gid missing or unreadable"),
        Failure(9214, 400, Problem.NO_NAME, "x-velocity-name missing or unreadable"),
        Failure(9215, 400, Problem.NO_TYPE, "x-velocity-type missing or unreadable"),
        Failure(9216, 400, Problem.NO_READONLY, "x-velocity-readonly is neither true nor false"),
        Failure(9217, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(9218, 404, Problem.POOL_NOT_FOUND, "no such pool for this group"),
        Failure(9220, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with that name in this pool"),
        Failure(9221, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        Failure(9222, 413, Problem.MORE_THAN_PROMISED, "the body is longer than announced"),
        Failure(9223, 406, Problem.WRONG_CHECKSUM, "the bytes do not match the SHA-256 sent with them"),
        Failure(9225, 406, Problem.POOL_AWAY, "the pool is away or read-only"),
        Failure(
            9226,
            410,
            Problem.UPLOAD_ENDED,
            "the upload was ended by request, replaced by a newer one of the same name, or its group was deleted",
        ),
    ),
    streams=True,
)

RESUMABLE = replace(
    UPLOAD,
    name="upload_resumable",
    path="/m/media/tus",
    request=ResumableUpload,
    failures=(
        *UPLOAD.failures,
        Failure(9219, 404, Problem.MEDIUM_NOT_FOUND, "no such upload, or not the caller's"),
        Failure(9224, 409, Problem.UPLOAD_OFFSET, "the offset does not match the bytes received so far"),
    ),
)
"""An upload over several requests (tus 1.0): only its refusals are the contract's."""

DOWNLOAD = Operation(
    name="download_medium",
    summary="Download a medium, or ranges of it, by GET /m/media/content/<mid>",
    method=Method.POST,
    path="/m/media/content",
    route=14,
    request=MediumRequest,
    response=Nothing,
    needs=Holds(Permission.MEDIA_LIST, On.MEDIUM),
    failures=(
        Failure(14100, 403, Problem.NO_PERMISSION, "velocity.media.list is needed on the medium's group"),
        Failure(14110, 404, Problem.MEDIUM_NOT_FOUND, "no such medium"),
        Failure(14120, 409, Problem.MEDIUM_IN_USE, "a VM is writing to it, or it is being changed"),
        Failure(14121, 406, Problem.POOL_AWAY, "its pool is away"),
    ),
    ours=True,
)
"""A download uses GET and HTTP's statuses; only its refusals are the contract's."""

LIST = Operation(
    name="list_media",
    summary="List the media of a group",
    method=Method.POST,
    path="/m/media/list",
    route=10,
    request=ListMedia,
    response=Media,
    lists={"media": "mid", "shared": "mid"},
    needs=Holds(Permission.MEDIA_LIST, On.GROUP),
    failures=(
        Failure(10100, 403, Problem.NO_PERMISSION, "velocity.media.list is needed on the group"),
        Failure(10110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
)


def _making(route: int, *more: tuple[int, int, Problem, str]) -> tuple[Failure, ...]:
    """The failures of making a medium from another one."""
    failures: tuple[tuple[int, int, Problem, str], ...] = (
        (0, 403, Problem.NO_PERMISSION, "velocity.media.create is needed on the group"),
        (1, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        (10, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        (11, 404, Problem.POOL_NOT_FOUND, "no such pool for this group"),
        (12, 404, Problem.MEDIUM_NOT_FOUND, "no such medium for this group"),
        (20, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with that name in this pool"),
        (21, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        *more,
        (24, 406, Problem.POOL_AWAY, "the pool is away or read-only, or the source's pool is away"),
    )
    return tuple(
        Failure(route * 1000 + 200 + number, status, problem, text) for number, status, problem, text in failures
    )


IMPORT = Operation(
    name="import_medium",
    summary="Import the disk in an uploaded image: qcow2, VMDK, VDI, VHDX, VHD or raw, also packed or in an OVA",
    method=Method.PUT,
    path="/m/media/import",
    route=21,
    request=ImportMedium,
    response=TaskStarted,
    needs=Holds(Permission.MEDIA_CREATE, On.GROUP),
    failures=_making(
        21,
        (22, 406, Problem.NOT_AN_IMAGE, "the bytes are not an image that can be imported, or refer to other files"),
        (23, 409, Problem.MEDIUM_IN_USE, "a VM is writing to it"),
    ),
    ours=True,
)

CLONE = Operation(
    name="clone_medium",
    summary="Copy a medium, sharing blocks where the file system can",
    method=Method.PUT,
    path="/m/media/clone",
    route=22,
    request=CloneMedium,
    response=TaskStarted,
    needs=Holds(Permission.MEDIA_CREATE, On.GROUP),
    failures=_making(22, (23, 409, Problem.MEDIUM_IN_USE, "a VM is writing to it")),
    ours=True,
)

DELETE = Operation(
    name="delete_medium",
    summary="Move a medium that is attached to no VM to the trash",
    method=Method.DELETE,
    path="/m/media",
    route=14,
    request=DeleteMedium,
    response=Nothing,
    needs=Holds(Permission.MEDIA_REMOVE, On.MEDIUM),
    failures=(
        Failure(14300, 403, Problem.NO_PERMISSION, "velocity.media.remove is needed on the medium's group"),
        Failure(14310, 404, Problem.MEDIUM_NOT_FOUND, "no such medium"),
        Failure(14320, 409, Problem.MEDIUM_ATTACHED, "the medium is attached to a VM, running or not"),
        Failure(14321, 409, Problem.OLD_REVISION, "the object has changed since the revision in the request"),
        Failure(14322, 406, Problem.POOL_AWAY, "the pool is away or read-only"),
        Failure(14323, 409, Problem.MEDIUM_IN_USE, "the medium is being changed, moved or converted"),
    ),
)

OPERATIONS = (CREATE, UPLOAD, IMPORT, CLONE, LIST, DELETE)
