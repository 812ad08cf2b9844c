"""GET /v/vm/screen: a picture with an ETag, which browsers cache and revalidate. RFC 9110, 13"""

from __future__ import annotations

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.request import carried
from velocity.api.request_record import RequestRecord
from velocity.contract import screens
from velocity.contract.problems import Problem, Refused

NARROWEST, WIDEST = 16, 8192


class Screen(Endpoint):
    """Serves the PNG, or 304 if the caller has this one."""

    def __init__(self, services: Services) -> None:
        super().__init__(screens.SCREEN, services)

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        vmid = _number(request, "vmid", -(2**63), 2**63 - 1)
        width = _number(request, "width", NARROWEST, WIDEST)
        if vmid is None:
            raise Refused(Problem.MALFORMED, "vmid: is missing", field="vmid")
        wanted = screens.ShowScreen(vmid=vmid, display=request.query_params.get("display", UNSET))
        caller = self.admit(about, carried(request, None), wanted)
        vm_screens = self.services.screens
        with vm_screens.waiting.of(caller.uid):
            picture = await vm_screens.picture(self.services.fleet.get(vmid), wanted.display)
        etag = f'"{picture.hash}-{width or picture.width}"'
        headers = {"etag": etag, "cache-control": "private, no-cache", "x-content-type-options": "nosniff"}
        if etag in (known.strip().removeprefix("W/") for known in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(await vm_screens.scaled(picture, width), headers=headers, media_type="image/png")


def _number(request: Request, name: str, least: int, most: int) -> int | None:
    """A number in the query; None if it is absent. Raises `Refused(MALFORMED)`."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        number = msgspec.convert(text, int, strict=False)
    except msgspec.ValidationError:
        number = None
    if number is None or not least <= number <= most:
        raise Refused(Problem.MALFORMED, f"{name}: expected a number from {least} to {most}", field=name)
    return number
