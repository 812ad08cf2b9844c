"""Route 9: an upload, with its fields in headers and the file as body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from velocity import plan
from velocity.access.lasting import Check, WhileAllowed
from velocity.access.sessions import Caller
from velocity.api import decode
from velocity.api.answer import Json
from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.request import carried
from velocity.api.request_record import RequestRecord
from velocity.contract import media
from velocity.contract.media import UploadMedium
from velocity.contract.problems import Problem, Refused
from velocity.media import form
from velocity.media.rules import Medium

Fields = TypeVar("Fields", bound=UploadMedium)
PREFIX = "x-velocity-"
MISSING = {
    "length": Problem.NO_LENGTH,
    "authkey": Problem.NO_AUTHKEY,
    "mpid": Problem.NO_MPID,
    "gid": Problem.NO_GID,
    "name": Problem.NO_NAME,
    "type": Problem.NO_TYPE,
    "readonly": Problem.NO_READONLY,
    "sha256": Problem.MALFORMED,
    "fingerprint": Problem.MALFORMED,
    "for_import": Problem.MALFORMED,
}
FLAGS = {"true": True, "false": False}


class Upload(Endpoint):
    """Serves uploads in constant memory. What arrived is dropped if the connection breaks or the permission ends."""

    def __init__(self, services: Services) -> None:
        super().__init__(media.UPLOAD, services, writes=True)

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        authkey = carried(request, None)
        wanted = about.wanted = fields(request.headers, authkey, UploadMedium)
        caller = self.admit(about, authkey, wanted)
        if wanted.plan is True:
            about.planned = True
            return Json(msgspec.json.encode(await plan.run_plan(lambda: self._plan(caller, wanted))))
        still = still_allowed(self, caller, wanted)
        pieces = request.stream()
        async with WhileAllowed(still):
            opening = await _opening(pieces)
        async with self.services.creation.receive(caller, wanted, opening) as upload, WhileAllowed(still) as right:
            upload.end_request = right.end
            if opening:
                await upload.write(opening)
            async for piece in pieces:
                right.check()
                if piece:
                    await upload.write(piece)
            medium = await upload.finish(right.settle)
        return Json(msgspec.json.encode(created(medium, unwrapped=upload.unwrapped)))

    async def _plan(self, caller: Caller, wanted: UploadMedium) -> None:
        async with self.services.creation.receive(caller, wanted):
            pass


async def _opening(pieces: AsyncIterator[bytes]) -> bytes:
    """The beginning of the body, enough to see whether it is a form: the quota needs the size of the file in it."""
    opening = b""
    async for piece in pieces:
        opening += piece
        if opening and not form.is_undecided(opening):
            break
    return opening


def created(medium: Medium, *, unwrapped: bool) -> media.MediumCreated:
    return media.MediumCreated(mid=medium.mid, size=medium.size, content=medium.content, unwrapped=unwrapped or UNSET)


def still_allowed(endpoint: Endpoint, caller: Caller, wanted: UploadMedium) -> Check:
    """A check that an admitted upload is still allowed."""

    def check() -> None:
        endpoint.check_still(caller, endpoint.operation.needs, wanted.gid)
        endpoint.services.assignments.check_managed(caller, wanted.gid, wanted.mpid)

    return check


def fields(headers: Mapping[str, str], authkey: str | None, kind: type[Fields]) -> Fields:
    """The request that the headers make. Raises `Refused` with the problem of the first wrong header."""
    planned = headers.get(PREFIX + "plan", "false")
    if planned not in ("true", "false"):
        raise Refused(Problem.MALFORMED, f"{_header('plan')} must be true or false", field=_header("plan"))
    # The file is not sent for a plan, so that Content-Length is not its length.
    length = (None if planned == "true" else headers.get("content-length")) or headers.get(PREFIX + "length")
    sent: dict[str, Any] = {"length": length, "authkey": authkey}
    for name in [one for one in kind.__struct_fields__ if one not in ("length", "plan")]:
        sent[name] = headers.get(PREFIX + name)
    for name in ("length", "authkey", "mpid", "gid", "name", "type", "readonly"):
        if sent[name] is None:
            raise Refused(MISSING[name], f"the header {_header(name)} is missing", field=_header(name))
    for name in ("length", "mpid", "gid"):
        sent[name] = _number(name, sent[name])
    sent["name"], sent["type"] = _name(sent["name"]), _text(sent["type"])
    for name in ("readonly", "for_import"):
        if sent.get(name) is not None:
            if sent[name] not in FLAGS:
                raise Refused(MISSING[name], f"{_header(name)} must be true or false", field=_header(name))
            sent[name] = FLAGS[sent[name]]
    sent["plan"] = True if planned == "true" else None
    try:
        return decode.convert(kind, {key: value for key, value in sent.items() if value is not None})
    except Refused as refused:
        name = refused.field or "length"
        raise Refused(MISSING[name], f"{_header(name)}: {refused.message}", field=_header(name)) from None


def _number(name: str, text: str) -> int:
    try:
        number = int(text) if text.isascii() and text.lstrip("-").isdigit() else None
    except ValueError:
        number = None
    if number is None or (name == "length" and number < 1):
        raise Refused(
            MISSING[name], f"{_header(name)} is {text!r}, which is not a possible number", field=_header(name)
        )
    return number


def _name(text: str) -> str:
    """The name may be percent-encoded UTF-8."""
    try:
        return unquote(_text(text), errors="strict")
    except UnicodeError:
        raise Refused(Problem.NO_NAME, f"{_header('name')} is not UTF-8", field=_header("name")) from None


def _text(value: str) -> str:
    """Clients send UTF-8; what is not valid UTF-8 is taken as Latin-1, as HTTP defines header values."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _header(name: str) -> str:
    return {"length": "Content-Length (or x-velocity-length)"}.get(name, PREFIX + name)
