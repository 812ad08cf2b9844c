"""The images that are known by name."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import catalogue
from velocity.contract.operation import Nothing
from velocity.fetching import urls


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
                trust="tls" if one.sha256 is None else "pinned",
                tried=one.tried,
                origin=one.origin,
            )
            for one in call.services.images.known.values()
        ]
    )
