"""Uploads that have not become media: who gets past them, who sees and ends them, and what outlives the server."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from tests.api.images import qemu_img, wait
from tests.api.test_transfers import DATA, begin, metadata, patch, send
from tests.api.world import World, world
from tests.clocks import believe
from tests.patience import PATIENCE, eventually
from velocity.access.sessions import Caller
from velocity.media import resumable, rules
from velocity.media import under_way as under_way_

pytestmark = pytest.mark.anyio

NAME = "Häuser, x"


async def under_way(w: World, gid: int = 0) -> Any:
    return (await w.ok("POST", "/m/media/upload", gid=gid))["uploads"]


async def used(w: World) -> int:
    return int((await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"])


async def offset(w: World, place: str) -> int:
    return int((await send(w, "HEAD", place)).headers["upload-offset"])


async def hangs(first: bytes) -> AsyncIterator[bytes]:
    yield first
    await asyncio.sleep(1000)


@contextlib.asynccontextmanager
async def sending(w: World, way: str, gid: int = 0) -> AsyncIterator[asyncio.Future[Any]]:
    """An upload of ten bytes of which three come, and then nothing; its request."""
    if way == "plain":
        headers = {"x_velocity_name": quote(NAME), "x_velocity_type": "DISK", "x_velocity_gid": str(gid)}
        task: asyncio.Future[Any] = asyncio.ensure_future(w.upload(hangs(b"abc"), x_velocity_length="10", **headers))
    else:
        task = asyncio.ensure_future(patch(w, await begin(w, 10, gid=gid), 0, hangs(b"abc")))
    await eventually(lambda: any(one.size == 3 for one in w.server.services.uploads.all()))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(BaseException):
            await task


async def test_what_is_opened_again_after_a_restart_gives_way_to_who_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow disk, a request that sends nothing, and a deletion that is not to wait for it."""
    async with world(tmp_path / "data") as w:
        place = await begin(w, 10)
        await patch(w, place, 0, b"abc")
    async with world(tmp_path / "data") as w:
        resume, asked, on = w.server.storage.blobs.resume, asyncio.Event(), asyncio.Event()

        async def slow(*what: Any, **more: Any) -> Any:
            asked.set()
            await on.wait()
            return await resume(*what, **more)

        monkeypatch.setattr(w.server.storage.blobs, "resume", slow)
        request = asyncio.ensure_future(patch(w, place, 3, hangs(b"")))
        await asked.wait()
        ending = asyncio.ensure_future(send(w, "DELETE", place))
        await asyncio.sleep(0.05)
        on.set()
        async with asyncio.timeout(PATIENCE):
            assert (await ending).status_code == 204
            assert (await request).status_code == 409
        assert (w.files(), await used(w)) == ([], 0)


@pytest.mark.holds("DUR-61")
async def test_a_users_next_upload_of_a_name_replaces_what_nobody_sends(w: World) -> None:
    """As after a closed laptop: over several requests, in one, and in one whose connection hangs."""
    await patch(w, await begin(w, 10), 0, b"abc")
    place = await begin(w, 7)
    assert (await patch(w, place, 0, b"abcd")).status_code == 204
    assert (len(w.files()), await used(w)) == (1, 7), "nothing is left of the one before"
    name = quote(NAME)
    plan = await w.upload(b"", x_velocity_name=name, x_velocity_plan="true", x_velocity_length="5")
    assert [(step["do"], step["name"]) for step in plan["steps"]] == [("cancel", NAME), ("create", NAME)]
    assert plan["consumes"] == [{"gid": 0, "mpid": 1, "bytes": -2}]
    assert await offset(w, place) == 4, "a plan changes nothing"
    assert (await w.upload(b"whole", x_velocity_name=name)).status == 200
    assert (len(w.files()), await used(w)) == (1, 5)
    gone = await send(w, "PATCH", place, b"e", content_type="application/offset+octet-stream", upload_offset=4)
    assert (gone.status_code, gone.json()["code"]) == (410, 9226)
    assert "replaced by a newer one" in gone.json()["message"]
    assert (await w.upload(b"whole", x_velocity_name=name)).code == 9220, "a medium is replaced by none"


@pytest.mark.holds("DUR-61")
@pytest.mark.parametrize("way", ["plain", "tus"])
async def test_what_is_being_sent_is_replaced_only_when_nothing_comes_any_more(
    w: World, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_way_, "MOMENT", 0.1)
    key = await w.user("bob", (0, "media.create"))
    create: dict[str, Any] = {"upload_length": 10, "upload_metadata": metadata()}
    async with sending(w, way) as request:
        for _key, words in ((w.key, "you are uploading medium"), (key, "another user is uploading a medium that")):
            answer = (await send(w, "POST", "/m/media/tus", _key=_key, **create)).json()
            assert answer["code"] == 9220
            assert words in answer["message"] and "velocity media cancel" in answer["message"]
        assert await w.refused("PUT", "/m/media/create", mpid=1, gid=0, name=NAME, size=1) == (409, 8220)
        for module in ("upload", "resumable_upload"):
            monkeypatch.setattr(f"velocity.media.{module}.LIVE", -1.0)
        assert (await send(w, "POST", "/m/media/tus", _key=key, **create)).json()["code"] == 9220, "another's stays"
        place = await begin(w, 10)
        assert (await request) is not None
        assert len(w.files()) == 1
    assert (await patch(w, place, 0, b"x" * 10)).status_code == 204
    assert rules.LIVE > 0


@pytest.mark.holds("DUR-61")
async def test_the_same_file_goes_on_where_it_was(w: World) -> None:
    about: dict[str, Any] = {"fingerprint": "of this file"}
    place = await begin(w, **about)
    await patch(w, place, 0, DATA[:1000])
    assert await begin(w, **about) == place
    assert await offset(w, place) == 1000
    other = await begin(w, fingerprint="of another file")
    assert other != place and await offset(w, other) == 0
    assert (await send(w, "HEAD", place)).status_code == 410


@pytest.mark.holds("TEAM-24")
@pytest.mark.parametrize("way", ["plain", "tus"])
async def test_an_upload_ends_with_its_group_and_keeps_no_others_from_being_listed(w: World, way: str) -> None:
    gid = await w.group("team")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True, quota=0)
    async with sending(w, way, gid) as request:
        await w.ok("DELETE", "/u/group", gid=gid)
        assert await under_way(w) == []
        async with asyncio.timeout(PATIENCE):
            answer = await request
        assert 400 <= (answer.status if way == "plain" else answer.status_code) < 500
    assert (w.files(), await used(w)) == ([], 0)


@pytest.mark.holds("DUR-62")
@pytest.mark.parametrize("way", ["plain", "tus"])
async def test_uploads_are_listed_and_can_be_ended(w: World, way: str) -> None:
    gid = await w.group("a")
    key = await w.user("bob", (gid, "media.create"), (gid, "media.list"))
    async with sending(w, way) as request:
        (one,) = await under_way(w)
        told = (one["name"], one["type"], one["size"], one["received"], one["sending"], one["uid"], one["gid"])
        assert told == (NAME, "DISK", 10, 3, True, 0, 0)
        assert ("expires" in one) is (way == "tus")
        assert await w.refused("POST", "/m/media/upload", key, gid=0) == (403, 9100)
        assert await w.refused("POST", "/m/media/upload", gid=99) == (404, 9110)
        assert await w.refused("DELETE", "/m/media/upload", key, mid=one["mid"]) == (403, 9300)
        plan = await w.ok("DELETE", "/m/media/upload", mid=one["mid"], plan=True)
        assert [(step["do"], step["name"]) for step in plan["steps"]] == [("cancel", NAME)]
        assert len(await under_way(w)) == 1, "a plan changes nothing"
        await w.ok("DELETE", "/m/media/upload", mid=one["mid"])
        answer = await request
        status = answer.status if way == "plain" else answer.status_code
        assert status == 410, answer
    assert (await under_way(w), w.files(), await used(w)) == ([], [], 0)
    assert await w.refused("DELETE", "/m/media/upload", mid=one["mid"]) == (404, 9310)


@pytest.mark.holds("DUR-88")
async def test_an_upload_that_is_ended_as_it_becomes_a_medium_is_one_or_the_other(w: World) -> None:
    """It is asked for at each moment of its end."""
    ended = set()
    for turns in range(0, 60, 2):
        name = f"medium {turns}"
        sent = asyncio.ensure_future(w.upload(b"x" * 4096, x_velocity_name=name))
        async with asyncio.timeout(PATIENCE):
            while not (uploads := list(w.server.services.uploads.all())):
                await asyncio.sleep(0)  # each turn counts
        for _ in range(turns):
            await asyncio.sleep(0)
        answer = await w.call("DELETE", "/m/media/upload", mid=str(uploads[0].mid))
        assert (await sent).status == (410 if answer.status == 200 else 200), turns
        there = name in [one["name"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]]
        assert there is (answer.status == 404), (turns, answer)
        ended.add(answer.status)
    assert ended == {200, 404}, "it was asked for before its end, and after"


@pytest.mark.holds("DUR-63")
@pytest.mark.parametrize("killed", [False, True])
async def test_an_upload_outlives_a_restart_and_a_crash_of_the_server(tmp_path: Path, killed: bool) -> None:
    data = tmp_path / "data"
    async with world(data) as w:
        place = await begin(w, sha256=hashlib.sha256(DATA).hexdigest())
        await patch(w, place, 0, DATA[:1_000_000])
        (before,) = await under_way(w)
        if killed:
            shutil.copytree(data, tmp_path / "crashed")
            data = tmp_path / "crashed"
            (file,) = (data / "media" / ".moving").iterdir()
            with file.open("ab") as out:
                out.write(b"what had come, and was not known to be durable")
    async with world(data) as w:
        (after,) = await under_way(w)
        assert after == {**before, "sending": False, "heard": after["heard"], "expires": after["expires"]}
        assert before["expires"] <= after["expires"] <= time.time() + resumable.IDLE, "it waits as before, or anew"
        assert await w.refused("PUT", "/m/media/create", mpid=1, gid=0, name=NAME, size=1) == (409, 8220)
        assert await used(w) == len(DATA)
        assert await offset(w, place) == 1_000_000
        answer = await patch(w, place, 1_000_000, DATA[1_000_000:])
        assert answer.status_code == 204, answer.text
        assert (w.data / "media" / f"{answer.headers['x-velocity-mid']}.raw").read_bytes() == DATA
        assert await under_way(w) == []
    async with world(data) as w:
        assert await under_way(w) == []
        assert [one["name"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]] == [NAME]


@pytest.mark.holds("DUR-63")
async def test_what_cannot_go_on_after_a_restart_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose bytes are gone, one that waited too long, a form; and what is ended before it goes on."""
    data = tmp_path / "data"
    async with world(data) as w:
        lost, idle, ended = [await begin(w, 10, name=name) for name in ("lost", "idle", "ended")]
        for place in (lost, idle, ended):
            await patch(w, place, 0, b"abc")
        head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
        await patch(w, await begin(w, 1000, name="form"), 0, head + b"x" * 100)
        lost_mid = next(one["mid"] for one in await under_way(w) if one["name"] == "lost")
    (data / "media" / ".moving" / f"{lost_mid}.raw").unlink()
    async with world(data) as w:
        assert {one["name"] for one in await under_way(w)} == {"idle", "ended"}
        answer = await patch(w, lost, 3, b"defghij")
        assert (answer.status_code, answer.json()["code"]) == (404, 9219)
        assert (await send(w, "DELETE", ended)).status_code == 204
        assert len(w.files()) == 1
    monkeypatch.setattr(resumable, "IDLE", -1)
    believe(data)
    async with world(data) as w:
        assert (await under_way(w), w.files(), await used(w)) == ([], [], 0)
        assert (await send(w, "HEAD", idle)).status_code == 404


@pytest.mark.holds("DUR-80")
async def test_uploads_go_on_at_a_start_with_a_clock_that_is_days_ahead(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def two_days_pass() -> None:
        with contextlib.closing(sqlite3.connect(data / "velocity.db")) as database, database:
            database.execute("update uploads set heard = heard - 172800")

    async with world(data) as w:
        place = await begin(w, 10)
        await patch(w, place, 0, b"abc")
    two_days_pass()
    async with world(data) as w:
        await asyncio.sleep(0)
        assert await offset(w, place) == 3
    two_days_pass()
    believe(data)
    async with world(data) as w:
        assert (await send(w, "HEAD", place)).status_code == 404


@pytest.mark.holds("DUR-64")
async def test_an_interrupted_import_of_a_file_leaves_no_medium_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, image = tmp_path / "data", tmp_path / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "1M")
    content = image.read_bytes()
    about: dict[str, Any] = {"for_import": "true", "fingerprint": "image", "name": "import of image"}
    target = {"gid": 0, "mpid": 1, "name": "disk"}
    async with world(data) as w:
        place = await begin(w, len(content), **about)
        mid = (await under_way(w))[0]["mid"]
        assert await w.refused("PUT", "/m/media/import", upload=mid, **target) == (404, 21212), "not all has come"
        answer = await patch(w, place, 0, content)
        assert answer.headers["x-velocity-mid"] == mid
        assert (await w.ok("POST", "/m/media/list", gid=0))["media"] == []
    async with world(data) as w:
        assert await begin(w, len(content), **about) == place, "the same command goes on"
        assert await offset(w, place) == len(content)
        assert (await patch(w, place, len(content), b"")).status_code == 204
        assert await w.refused("PUT", "/m/media/import", upload=mid, mid=mid, **target) == (400, 400)
        monkeypatch.setattr(under_way_, "MOMENT", 0.1)
        upload = w.server.services.resumables.source(Caller(0, ""), UUID(mid))[0]
        upload.is_used = True
        create: dict[str, Any] = {"upload_length": 9, "upload_metadata": metadata(**about)}
        answer = (await send(w, "POST", "/m/media/tus", **create)).json()
        assert (answer["code"], "is being imported" in answer["message"]) == (9220, True)
        upload.is_used = False
        key = await w.user("bob", (0, "media.create"))
        assert await w.refused("PUT", "/m/media/import", key, upload=mid, **target) == (404, 21212), "another's"
        task = await wait(w, await w.ok("PUT", "/m/media/import", upload=mid, **target))
        assert task["state"] == "DONE", task
        assert (await under_way(w), len(w.files()), await used(w)) == ([], 1, 1 << 20)
        place = await begin(w, 10, **about)
        await patch(w, place, 0, b"no image..")
        mid = (await under_way(w))[0]["mid"]
        assert await w.refused("PUT", "/m/media/import", upload=mid, **target, _plan=False) == (406, 21222)
        await w.ok("DELETE", "/m/media/upload", mid=mid)
        assert len(w.files()) == 1
