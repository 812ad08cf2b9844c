"""Route 40: the images that the server knows by name."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from velocity.contract.operation import Method, Nothing, Operation, SignedIn, Wire


class CatalogueImage(Wire, frozen=True):
    """PUT /m/media/fetch takes its `name` as `image`."""

    name: str
    title: str
    version: str
    architecture: str
    server: Annotated[str, Meta(description="the host that it is fetched from")]
    user: Annotated[str, Meta(description="the image's default user")]
    trust: Annotated[
        Literal["pinned", "signed", "checksums", "tls"],
        Meta(
            description="how it is verified. pinned: by the SHA-256 in the catalogue; signed: by a file of checksums "
            "that a key of the catalogue has signed; checksums: by its distribution's file of checksums; "
            "tls: by the TLS certificate of its server alone, which also proves the server of the checksums"
        ),
    ]
    tried: Annotated[bool, Meta(description="whether the catalogue says that it was fetched and booted")]
    origin: Annotated[str, Meta(description="identifies this version of the image; media made from it keep it")]


class Catalogue(Wire, frozen=True):
    images: list[CatalogueImage]


LIST = Operation(
    name="list_images",
    summary="List the images that can be fetched by name",
    method=Method.POST,
    path="/m/catalogue",
    route=40,
    request=Nothing,
    response=Catalogue,
    needs=SignedIn("the list is public, and the same for everybody"),
    failures=(),
    ours=True,
)

OPERATIONS = (LIST,)
