"""Uploads that go on where they broke off (tus 1.0), and downloads with ranges."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.api.world import World
from tests.patience import asked_until, eventually
from tests.store.lossy import Lossy
from velocity.contract.problems import Problem, Refused
from velocity.media import resumable
from velocity.media.rules import Medium
from velocity.store.media import SqlMedia

pytestmark = pytest.mark.anyio

TUS = "/m/media/tus"
DATA = os.urandom(3_000_000)


async def send(
    w: World, method: str, path: str, content: Any = b"", _key: str | None = None, **headers: object
) -> httpx.Response:
    sent = {"tus-resumable": "1.0.0", "authorization": f"Bearer {w.key if _key is None else _key}"}
    sent |= {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return await w.http.request(method, f"http://velocity{path}", content=content, headers=sent)


def metadata(**more: object) -> str:
    fields = {"mpid": 1, "gid": 0, "name": "Häuser, x", "type": "DISK", "readonly": "false", **more}
    return ",".join(f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in fields.items())


async def begin(w: World, length: int = len(DATA), **more: object) -> str:
    answer = await send(w, "POST", TUS, upload_length=length, upload_metadata=metadata(**more))
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def patch(w: World, place: str, offset: int, content: Any) -> httpx.Response:
    return await send(w, "PATCH", place, content, content_type="application/offset+octet-stream", upload_offset=offset)


async def test_an_upload_that_cannot_be_written_down_keeps_nothing(w: World) -> None:
    """Neither its name, nor its bytes, nor a place: it can be begun again at once."""
    database = Lossy(w.server.database)
    database.silent = True
    refused = await send(w, "POST", TUS, upload_length=len(DATA), upload_metadata=metadata())
    assert refused.status_code == 503, refused.text
    database.silent = False
    await eventually(lambda: not w.server.services.resumables.under_way, "its end")
    assert w.files() == [] and w.server.services.uploads.all() == []
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0
    await begin(w)


async def test_an_upload_in_three_parts(w: World) -> None:
    options = await send(w, "OPTIONS", TUS)
    assert (options.status_code, options.headers["tus-version"]) == (204, "1.0.0")
    place = await begin(w, sha256=hashlib.sha256(DATA).hexdigest())
    assert await w.refused("PUT", "/m/media/create", mpid=1, gid=0, name="Häuser, x", size=1) == (409, 8220), "taken"
    for first, last in ((0, 1_000_001), (1_000_001, 1_000_001), (1_000_001, 3_000_000)):
        assert (await send(w, "HEAD", place)).headers["upload-offset"] == str(first)
        answer = await patch(w, place, first, DATA[first:last])
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(last))
    mid = answer.headers["x-velocity-mid"]
    assert (w.data / "media" / f"{mid}.raw").read_bytes() == DATA
    (listed,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert listed["name"] == "Häuser, x"
    assert json.loads(unquote(answer.headers["x-velocity-content"])) == listed["content"]
    assert (await send(w, "HEAD", place)).status_code == 404, "it is no upload any more"


async def test_a_newer_request_goes_on_where_an_older_one_hangs(w: World) -> None:
    place = await begin(w)

    async def hangs() -> AsyncIterator[bytes]:
        yield DATA[:500_000]
        await asyncio.sleep(1000)

    old = asyncio.create_task(patch(w, place, 0, hangs()))
    shown = await asked_until(lambda: send(w, "HEAD", place), lambda answer: answer.headers["upload-offset"] != "0")
    offset = int(shown.headers["upload-offset"])
    assert offset == 500_000
    answer = await patch(w, place, offset, DATA[offset:])
    assert answer.status_code == 204
    assert (w.data / "media" / f"{answer.headers['x-velocity-mid']}.raw").read_bytes() == DATA
    assert (await old).status_code == 409


@pytest.mark.holds("DUR-82")
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "form"])
async def test_an_upload_whose_last_byte_comes_while_the_database_does_not_respond_is_not_lost(
    w: World, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    """It is asked for its end again, without a byte more."""
    head = b"--x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n"
    data = head + DATA + b"\r\n--x--\r\n" if wrapped else DATA
    place = await begin(w, len(data))
    add = SqlMedia.add

    async def refuses(store: SqlMedia, medium: Medium) -> None:
        raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")

    monkeypatch.setattr(SqlMedia, "add", refuses)
    assert (await patch(w, place, 0, data)).status_code == 503
    assert (await patch(w, place, len(data), b"")).status_code == 503
    monkeypatch.setattr(SqlMedia, "add", add)
    assert (await send(w, "HEAD", place)).headers["upload-offset"] == str(len(data))
    answer = await patch(w, place, len(data), b"")
    mid = answer.headers["x-velocity-mid"]
    assert w.files() == [f"{mid}.raw"]
    assert (w.data / "media" / f"{mid}.raw").read_bytes() == DATA
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == len(DATA)


@pytest.mark.holds("DUR-82")
async def test_an_upload_that_waits_for_the_database_and_is_cancelled_leaves_nothing(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await begin(w)

    async def refuses(store: SqlMedia, medium: Medium) -> None:
        raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")

    monkeypatch.setattr(SqlMedia, "add", refuses)
    assert (await patch(w, place, 0, DATA)).status_code == 503
    assert (await send(w, "DELETE", place)).status_code == 204
    assert w.files() == []
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


async def test_what_resumable_uploads_refuse(w: World) -> None:
    async def refused(answer: httpx.Response) -> tuple[int, int]:
        assert answer.json()["error"] is True
        return answer.status_code, answer.json()["code"]

    gid = await w.group("a")
    key = await w.user("bob", (gid, "media.create"), (0, "media.create"))
    create: dict[str, Any] = {"upload_length": 10, "upload_metadata": metadata()}
    assert await refused(await send(w, "POST", TUS, _key="", **create)) == (401, 100)
    assert await refused(await send(w, "POST", TUS, upload_length="x", upload_metadata=metadata())) == (400, 9210)
    assert await refused(await send(w, "POST", TUS, upload_length=1, upload_metadata="name Zm9v")) == (400, 9212)
    assert await refused(await send(w, "POST", TUS, upload_length=1, upload_metadata="name %%")) == (400, 400)
    wide = {**create, "upload_metadata": metadata(gid=99)}
    assert await refused(await send(w, "POST", TUS, **wide)) == (404, 9217)
    huge = {**create, "upload_length": 1 << 60}
    assert await refused(await send(w, "POST", TUS, **huge)) == (406, 9221)
    assert await refused(await send(w, "GET", TUS)) == (405, 405)
    assert (await send(w, "POST", TUS, **create, tus_resumable="0.9")).status_code == 412
    assert w.files() == []

    place = await begin(w, 10)
    assert await refused(await send(w, "PATCH", place, b"x", upload_offset=0)) == (415, 415)
    assert await refused(await patch(w, place, 1, b"x")) == (409, 9224)
    assert await refused(await send(w, "DELETE", place, _key=key)) == (404, 9219), "another's"
    assert await refused(await patch(w, place, 0, b"x" * 11)) == (413, 9222)
    assert w.files() == [], "more than promised ends it"
    place = await begin(w, 10, sha256="0" * 64)
    assert await refused(await patch(w, place, 0, b"x" * 10)) == (406, 9223)
    assert w.files() == []
    place = await begin(w, 10)
    assert (await send(w, "DELETE", place)).status_code == 204
    assert w.files() == []
    await w.medium("Häuser, x")


async def test_uploads_that_nobody_goes_on_with_end(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await begin(w, 10)
    await patch(w, place, 0, b"x")
    assert len(w.files()) == 1
    monkeypatch.setattr(resumable, "IDLE", 0.05)
    await send(w, "HEAD", place)
    await eventually(lambda: w.files() == [] and not w.server.services.resumables.under_way)
    assert (await send(w, "HEAD", place)).status_code == 404
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


async def test_uploads_end_with_their_group(w: World) -> None:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True)
    place = await begin(w, 10, gid=gid)
    await w.ok("DELETE", "/u/group", gid=gid)
    assert (await send(w, "HEAD", place)).status_code == 404
    assert w.files() == []


async def test_downloads(w: World) -> None:
    mid = (await w.upload(DATA, x_velocity_name="a%22b", x_velocity_type="DISK"))["mid"]
    place = f"/m/media/content/{mid}"
    whole = await send(w, "GET", place)
    assert whole.content == DATA
    assert "filename" in whole.headers["content-disposition"]
    part = await send(w, "GET", place, range="bytes=1000-1999")
    assert (part.status_code, part.content) == (206, DATA[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(DATA)}"
    assert (await send(w, "GET", place, range="bytes=2999990-")).content == DATA[-10:]
    assert (await send(w, "GET", place, range="bytes=9999999-")).status_code == 416
    key = await w.user("bob")
    stranger = await send(w, "GET", place, _key=key)
    assert (stranger.status_code, stranger.json()["code"]) == (403, 14100)
    nothing = await send(w, "GET", "/m/media/content/00000000-0000-4000-8000-000000000000")
    assert (nothing.status_code, nothing.json()["code"]) == (404, 14110)
    assert (await send(w, "GET", "/m/media/content/x")).status_code == 400
    vmid = await w.vm("vm", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    busy = await send(w, "GET", place)
    assert (busy.status_code, busy.json()["code"]) == (409, 14120)
