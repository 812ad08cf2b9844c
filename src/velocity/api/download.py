"""Downloads of media: GET /m/media/content/<mid>, with ranges. RFC 9110, 14."""

from __future__ import annotations

from uuid import UUID

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from velocity.api import errors
from velocity.api.dispatch import carried
from velocity.api.handlers.base import Services
from velocity.contract import media
from velocity.contract.operation import Holds
from velocity.contract.problems import Problem, Refused

PATH = "/m/media/content/{mid}"


class Content(FileResponse):
    """Each piece costs a walk to a thread and back: pieces of the usual 64 KiB cost four times as much in all."""

    chunk_size = 1 << 20


async def download(request: Request, services: Services) -> Response:
    """The bytes as they lie in the pool: a qcow2 medium is a qcow2 file."""
    try:
        return await _file(request, services)
    except Refused as refused:
        return errors.refusal(refused, media.DOWNLOAD)


async def _file(request: Request, services: Services) -> Response:
    try:
        mid = UUID(request.path_params["mid"])
    except ValueError:
        raise Refused(Problem.MALFORMED, "mid: expected a UUID", field="mid") from None
    caller = services.access.sessions.caller(carried(request, None))
    needs = media.DOWNLOAD.needs
    assert isinstance(needs, Holds)
    services.access.admit(needs, caller, mid)
    library = services.library
    await library.pools.check(library.get(mid).mpid, writes=False)
    medium = library.get(mid)
    library.sources.check_unwritten(medium)
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    return Content(library.file(medium), headers=headers, media_type="application/octet-stream", filename=medium.name)
