"""The catalogue of images."""

from typing import Literal

from velocity.api.handlers.base import Call, handles
from velocity.contract import catalogue
from velocity.contract.operation import Nothing
from velocity.fetching import urls
from velocity.media.catalogue import Image


def _trust(one: Image) -> Literal["pinned", "signed", "checksums", "tls"]:
    if one.sha256 is not None:
        return "pinned"
    if one.keys is not None:
        return "signed"
    return "tls" if one.checksums is None else "checksums"


@handles(catalogue.LIST)
async def list_images(call: Call[Nothing]) -> catalogue.Catalogue:
    return catalogue.Catalogue(
        images=[
            catalogue.CatalogueImage(
                name=one.name,
                title=one.title,
                version=one.version,
                architecture=one.architecture,
                server=urls.parse(one.url).host,
                user=one.user,
                trust=_trust(one),
                tried=one.tried,
                origin=one.origin,
            )
            for one in call.services.images.known.values()
        ]
    )
