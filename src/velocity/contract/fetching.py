"""Route 49: media that the server fetches from other servers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import Gid, MediaType, Mpid, Name, Word
from velocity.contract.operation import Change, Failure, Holds, Method, On, Operation
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem
from velocity.contract.tasks import TaskStarted


class FetchMedium(Change, frozen=True, kw_only=True):
    """Makes a medium of the file at a URL: of its bytes as they are or, with `format`, of the disk in them.

    In the place of the URL and its SHA-256, `image` names one of the catalogue, whose disk is imported.
    """

    url: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=4096,
                description="https:// or http://, without a user or a password; its path and its query are shown to "
                "nobody",
            ),
        ]
        | UnsetType
    ) = UNSET
    image: Annotated[Word, Meta(description="the name of an image in POST /m/catalogue")] | UnsetType = UNSET
    gid: Gid
    mpid: Mpid
    name: Name
    type: MediaType = "DISK"
    readonly: bool = False
    sha256: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9a-fA-F]{64}\Z", description="of the file at the URL; a file with another one is not kept"
            ),
        ]
        | UnsetType
    ) = UNSET
    format: (
        Annotated[
            Literal["raw", "qcow2"],
            Meta(description="import the disk in the file, as PUT /m/media/import does; absent: the bytes as they are"),
        ]
        | UnsetType
    ) = UNSET


FETCH = Operation(
    name="fetch_medium",
    summary="Fetch a file from a URL, as a medium of its bytes or of the disk in it",
    method=Method.PUT,
    path="/m/media/fetch",
    route=49,
    request=FetchMedium,
    response=TaskStarted,
    needs=Holds(Permission.MEDIA_CREATE, On.GROUP),
    failures=(
        Failure(
            49200,
            403,
            Problem.NO_PERMISSION,
            "velocity.media.create is needed on the group, and velocity.host.reach for addresses that are not public",
        ),
        Failure(49201, 403, Problem.POOL_NOT_MANAGED, "the group may not manage media in this pool"),
        Failure(49210, 404, Problem.GROUP_NOT_FOUND, "no such group"),
        Failure(49211, 404, Problem.POOL_NOT_FOUND, "no such pool for this group"),
        Failure(49220, 409, Problem.MEDIUM_NAME_TAKEN, "the group already has a medium with that name in this pool"),
        Failure(49221, 406, Problem.POOL_QUOTA, "the quota or the free space of the pool does not suffice"),
        Failure(49222, 406, Problem.POOL_AWAY, "the pool is away or read-only"),
    ),
    ours=True,
)

OPERATIONS = (FETCH,)
