"""Route 9: uploads that have not become media yet."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, Mpid, UnixTime
from velocity.contract.operation import Change, Failure, Holds, Method, Nothing, On, Operation, Paged, Wire
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class ListUploads(Paged[UUID], frozen=True):
    gid: Gid


class UploadInfo(Wire, frozen=True):
    """An upload that has not become a medium yet."""

    mid: Annotated[UUID, Meta(description="the medium that it becomes")]
    mpid: Mpid
    gid: Gid
    name: str
    type: str
    size: Annotated[int, Meta(description="the bytes that were announced")]
    received: Annotated[int, Meta(description="the bytes that have arrived")]
    uid: Annotated[int, Meta(description="the user who uploads it")]
    sending: Annotated[bool, Meta(description="whether bytes are arriving")]
    begun: UnixTime
    heard: Annotated[int, Meta(description="when the last bytes came, in seconds since 1970-01-01 UTC")]
    expires: (
        Annotated[int, Meta(description="until when the server waits for more, for a resumable upload")] | UnsetType
    ) = UNSET


class Uploads(Wire, frozen=True):
    uploads: list[UploadInfo]


class EndUpload(Change, frozen=True):
    mid: UUID


LIST = Operation(
    name="list_uploads",
    summary="List the uploads under way into a group and all below it, oldest first",
    method=Method.POST,
    path="/m/media/upload",
    route=9,
    request=ListUploads,
    response=Uploads,
    lists={"uploads": "mid"},
    needs=Holds(Permission.MEDIA_LIST, On.GROUP),
    failures=(
        Failure(9100, 403, Problem.NO_PERMISSION, "velocity.media.list is needed on the group"),
        Failure(9110, 404, Problem.GROUP_NOT_FOUND, "no such group"),
    ),
    ours=True,
)

END = Operation(
    name="end_upload",
    summary="End an upload under way and remove what has come of it",
    method=Method.DELETE,
    path="/m/media/upload",
    route=9,
    request=EndUpload,
    response=Nothing,
    needs=Holds(Permission.MEDIA_CREATE, On.MEDIUM),
    failures=(
        Failure(9300, 403, Problem.NO_PERMISSION, "velocity.media.create is needed on the group"),
        Failure(9310, 404, Problem.MEDIUM_NOT_FOUND, "no such upload under way"),
    ),
    ours=True,
)

OPERATIONS = (LIST, END)
