"""Media fetched from other servers: what comes, what is gone on with, and what ends it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import qemu_img, wait
from tests.api.origin import Asked, Origin, Serve, answers, cut, endless, head, origin, redirects
from tests.api.world import World, world
from tests.patience import PATIENCE, asked_until, eventually
from velocity.fetching.port import Limits
from velocity.fetching.source import HttpSource

pytestmark = pytest.mark.anyio
DATA = os.urandom(1 << 20) + bytes(1 << 20) + os.urandom(1 << 19)
SUM = hashlib.sha256(DATA).hexdigest()
LATER = "Last-Modified: Tue, 01 Jan 2030 00:00:00 GMT"


@pytest.fixture
async def o() -> AsyncIterator[Origin]:
    async with origin() as made:
        yield made


@pytest.fixture
async def w(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path / "data", source=HttpSource(limits=Limits(pause=0.01))) as made:
        yield made


async def fetch(w: World, url: str, _key: str | None = None, **more: Any) -> dict[str, Any]:
    """The task at its end."""
    body = {"gid": 0, "mpid": 1, "name": "fetched", "url": url, **more}
    started = await w.ok("PUT", "/m/media/fetch", _key, **body)
    async with asyncio.timeout(PATIENCE):
        await w.server.services.tasks.settle()
    return (await w.ok("POST", "/t/task", tid=started["tid"])).body


async def used(w: World, gid: int = 0) -> int:
    return int((await w.ok("POST", "/m/pool/list", gid=gid))["pools"][0]["used"])


async def check_nothing_left(w: World) -> None:
    assert w.files() == [] and await used(w) == 0
    assert (await w.ok("POST", "/m/media/list", gid=0))["media"] == []


@pytest.mark.holds("IMAGE-29")
async def test_a_file_is_fetched_as_it_is_and_told_as_a_task(w: World, o: Origin) -> None:
    o.files["/a"] = answers("200 OK", "Content-Encoding: gzip", body=(packed := gzip.compress(DATA)))
    o.files["/b"] = redirects("/c?key=secret")
    o.files["/c"] = cut(DATA, headers=())
    plan = await w.ok("PUT", "/m/media/fetch", gid=0, mpid=1, name="x", url=o.url("/c"), plan=True)
    assert [(one["do"], one["kind"], one["name"]) for one in plan["steps"]] == [("create", "medium", "x")]
    assert "its size is not known" in plan["warnings"][0] and o.asked == [], "a plan asks nobody"
    task = await fetch(w, o.url("/b"), type="ISO", readonly=True, sha256=SUM.upper())
    assert (task["state"], task["kind"], task["name"]) == ("DONE", "fetch", "fetched")
    assert (task["done"], task["total"], task["unit"]) == (len(DATA), len(DATA), "bytes")
    assert (w.data / "media" / f"{task['mid']}.raw").read_bytes() == DATA
    (medium,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert (medium["type"], medium["readonly"], medium["size"], await used(w)) == ("ISO", True, len(DATA), len(DATA))
    assert o.asked[1].target == "/c?key=secret" and o.asked[1].headers["accept-encoding"] == "identity"
    assert o.asked[1].headers["host"] == f"127.0.0.1:{o.port}" and "authorization" not in o.asked[1].headers
    task = await fetch(w, o.url("/a?key=secret"), name="packed")
    assert (w.data / "media" / f"{task['mid']}.raw").read_bytes() == packed, "what is encoded is not decoded"
    await w.written()
    entries = (await w.ok("POST", "/t/history", gid=0))["entries"]
    assert [one["target"] for one in entries if one["operation"] == "fetch_medium"] == [
        "gid=0 mpid=1 name=packed", "gid=0 mpid=1 name=fetched"
    ]  # fmt: skip
    assert "secret" not in str(entries) and "secret" not in str(await w.ok("POST", "/t/task/list", gid=0))


@pytest.mark.holds("IMAGE-29")
async def test_the_disk_in_a_fetched_file_is_imported(w: World, o: Origin, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(DATA)
    qemu_img("convert", "-O", "qcow2", tmp_path / "raw", tmp_path / "qcow2")
    image = (tmp_path / "qcow2").read_bytes()
    o.files["/plain"], o.files["/packed"] = cut(image, 1 << 20), cut(gzip.compress(image), chunked=True)
    o.files["/none"] = answers("200 OK", body=b"no image" * 3)
    for number, path in enumerate(("/plain", "/packed")):
        task = await fetch(
            w, o.url(path), name=path, format="raw", sha256=hashlib.sha256(image).hexdigest() if not number else None
        )
        assert task["state"] == "DONE", task
        assert (w.data / "media" / f"{task['mid']}.raw").read_bytes() == DATA
        assert len(w.files()) == number + 1 and await used(w) == (number + 1) * len(DATA)
        assert (task["done"], task["total"]) == (len(DATA), len(DATA))
    task = await fetch(w, o.url("/none"), format="qcow2")
    assert task["state"] == "FAILED" and len(w.files()) == 2 and await used(w) == 2 * len(DATA), task


@pytest.mark.holds("IMAGE-30")
async def test_a_cut_fetch_goes_on_where_the_server_can_and_begins_anew_where_it_cannot(w: World, o: Origin) -> None:
    third = len(DATA) // 3
    other = b"other" + DATA
    asked: dict[str, Asked] = {}

    async def changes(one: Asked, writer: asyncio.StreamWriter) -> None:
        """It is another file by the second request."""
        data, name = (DATA, "first") if not asked else (other, "second")
        asked.setdefault("first", one)
        end = third if data is DATA else len(data)
        writer.write(head("200 OK", f"Content-Length: {len(data)}", f'ETag: "{name}"') + data[:end])

    async def shrinks(one: Asked, writer: asyncio.StreamWriter) -> None:
        if one.offset:
            writer.write(head("416 Range Not Satisfiable", "Content-Length: 0"))
        else:
            await cut(DATA, *([third] if "shrunk" not in asked else []))(one, writer)
            asked["shrunk"] = one

    moved = [redirects("/mirror"), redirects("/other")]

    async def moves(one: Asked, writer: asyncio.StreamWriter) -> None:
        await moved.pop(0)(one, writer)

    async def expires(one: Asked, writer: asyncio.StreamWriter) -> None:
        await (answers("403 Forbidden") if one.offset else cut(DATA, third))(one, writer)

    async def busy(one: Asked, writer: asyncio.StreamWriter) -> None:
        asked["busy"] = one
        await (cut(DATA, third) if not one.offset else answers("503 Busy") if len(o.asked) < 3 else cut(DATA))(
            one, writer
        )

    o.files |= {"/mirror": expires, "/other": cut(DATA)}
    rows: dict[str, tuple[Serve, bytes, list[int]]] = {
        "an ETag": (cut(DATA, third, 2 * third), DATA, [0, third, 2 * third]),
        "a date": (cut(DATA, third, headers=(LATER,)), DATA, [0, third]),
        "chunked": (cut(DATA, third, chunked=True), DATA, [0, third]),
        "a weak ETag": (cut(DATA, third, headers=('ETag: W/"first"',)), DATA, [0, 0]),
        "no validator": (cut(DATA, third, headers=()), DATA, [0, 0]),
        "no ranges": (cut(DATA, third, ranges=False), DATA, [0, third]),
        "changed meanwhile": (changes, other, [0, third]),
        "shrunk meanwhile": (shrinks, DATA, [0, third, 0]),
        "the mirror's URL ends": (moves, DATA, [0, 0, third, third, third]),
        "busy for a while": (busy, DATA, [0, third, third]),
    }
    for name, (serve, data, offsets) in rows.items():
        o.files["/x"] = serve
        o.asked.clear()
        task = await fetch(w, o.url("/x"), name=name, sha256=hashlib.sha256(data).hexdigest())
        assert task["state"] == "DONE", (name, task)
        assert (w.data / "media" / f"{task['mid']}.raw").read_bytes() == data, name
        assert [one.offset for one in o.asked] == offsets, name
        told = {one.headers.get("if-range") for one in o.asked if one.offset}
        assert told <= {'"first"', LATER.partition(": ")[2]}, name
        await w.ok("DELETE", "/m/media", mid=task["mid"], purge=True)
    await check_nothing_left(w)


@pytest.mark.holds("IMAGE-31")
async def test_what_goes_wrong_says_why_and_leaves_nothing(tmp_path: Path, o: Origin) -> None:
    async def silent(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(PATIENCE)

    async def stalls(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.offset:
            return await silent(asked, writer)
        await cut(DATA, 1 << 10)(asked, writer)
        return await silent(asked, writer)

    async def longer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.offset:
            part = head("206 Partial Content", f"Content-Range: bytes {asked.offset}-{len(DATA) - 1}/{len(DATA)}")
            writer.write(part + DATA)
        else:
            await cut(DATA, 100)(asked, writer)

    async def continues(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    rows: dict[str, tuple[Serve, str]] = {
        "404": (answers("404 Not Found", body=b"secret"), "has no such file (status 404)"),
        "401": (answers("401 Unauthorized"), "wants a sign-in"),
        "500": (answers("500 Oops"), "cannot serve the file now (status 500)"),
        "204": (answers("204 No Content"), "does not answer with the file"),
        "another part": (answers("206 Partial Content", "Content-Range: bytes 5-9/10", body=b"12345"), "another part"),
        "no file": (answers("200 OK"), "is empty"),
        "another file": (answers("200 OK", body=b"other"), hashlib.sha256(b"other").hexdigest()),
        "a loop": (redirects("/x"), "more than 5 times"),
        "nowhere": (answers("302 Found"), "without saying where"),
        "elsewhere": (redirects("ftp://secret/"), "neither https:// nor http://"),
        "with a password": (redirects("http://root:secret@127.0.0.1/"), "has a user or a password"),
        "longer": (longer, "more than the"),
        "no HTTP": (lambda _asked, writer: _raw(writer, b"SSH-2.0-secret\r\n" * 99), "broke off"),
        "cut each time": (cut(DATA, *range(1, 99), headers=()), "broke 5 times"),
    }
    waits = {
        "/silent": (silent, "has stopped sending"),
        "/stalls": (stalls, "cut after 1.0 KiB, and cannot continue"),
        "/continues": (continues, "has stopped sending"),
    }
    o.files |= {path: serve for path, (serve, _) in waits.items()}

    async def at_once() -> None:
        async with world(tmp_path / "data", source=HttpSource(limits=Limits(pause=0.01))) as w:
            for name, (serve, words) in rows.items():
                o.files["/x"] = serve
                task = await fetch(w, o.url("/x"), sha256=SUM)
                assert task["state"] == "FAILED" and words in task["message"], (name, task)
                assert "secret" not in task["message"] and "/x" not in task["message"], (name, task)
                await check_nothing_left(w)
            task = await fetch(w, "http://127.0.0.1:9/x")
            assert task["state"] == "FAILED" and "cannot be reached" in task["message"]
            async with origin() as closed:
                pass
            assert "cannot be reached" in (await fetch(w, closed.url("/x")))["message"]

    async def in_time() -> None:
        limits = Limits(connect=2, silence=1, patience=1, pause=0.01)
        async with world(tmp_path / "waits", source=HttpSource(limits=limits)) as w:
            tasks = await asyncio.gather(*(fetch(w, o.url(path), name=path) for path in waits))
            for task, (_, words) in zip(tasks, waits.values(), strict=True):
                assert task["state"] == "FAILED" and words in task["message"], task
            await check_nothing_left(w)

    await asyncio.gather(at_once(), in_time())


@pytest.mark.holds("IMAGE-31")
async def test_a_server_that_is_too_slow_is_left(tmp_path: Path, o: Origin) -> None:
    o.files["/x"] = endless(b"x", 0.02)
    async with world(tmp_path / "data", source=HttpSource(limits=Limits(window=0.3, pause=0.01))) as w:
        task = await fetch(w, o.url("/x"))
        assert task["state"] == "FAILED" and "less than 4.0 KiB a second" in task["message"], task
        await check_nothing_left(w)


@pytest.mark.holds("IMAGE-31")
async def test_a_server_that_sends_crumbs_is_left(w: World, o: Origin) -> None:
    """Each of them takes as long as many bytes."""

    async def crumbs(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head("200 OK", "Transfer-Encoding: chunked"))
        while True:
            writer.write(b"1\r\nx\r\n" * 1000)
            await writer.drain()

    async def interim(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
            await writer.drain()

    for serve, words in ((crumbs, "nearly one by one"), (interim, "broke off")):
        o.files["/x"] = serve
        task = await fetch(w, o.url("/x"))
        assert task["state"] == "FAILED" and words in task["message"], task
        await check_nothing_left(w)


async def _raw(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)


@pytest.mark.holds("IMAGE-31")
async def test_a_fetch_takes_no_more_than_the_quota(w: World, o: Origin) -> None:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=len(DATA), write=True, manage=True)
    o.files |= {
        "/endless": endless(os.urandom(1 << 16)),
        "/long": answers("200 OK", f"X: {'y' * 100}", body=DATA + b"1"),
        "/announced": lambda _asked, writer: _raw(writer, head("200 OK", f"Content-Length: {1 << 60}")),
        "/fits": cut(DATA, chunked=True),
    }
    for path in ("/endless", "/long", "/announced"):
        task = await fetch(w, o.url(path), gid=gid)
        assert task["state"] == "FAILED" and "the quota of" in task["message"], task
        await check_nothing_left(w)
    assert (await fetch(w, o.url("/fits"), gid=gid))["state"] == "DONE"
    assert await used(w, gid) == len(DATA)


@pytest.mark.holds("IMAGE-34")
async def test_a_fetch_ends_with_the_right_to_it_by_request_and_with_the_server(tmp_path: Path) -> None:
    async with origin("127.0.0.1") as inside, world(tmp_path / "d") as w:
        inside.files["/x"] = endless(DATA[: 1 << 16], 0.01)
        gid = await w.group("a")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=0, write=True, manage=True)
        bob = await w.user("bob", (gid, "media.create"), (gid, "media.list"), (gid, "host.reach"))
        uid = await w.uid("bob")

        async def begin(name: str) -> int:
            body = {"gid": gid, "mpid": 1, "name": name, "url": inside.url("/x")}
            tid = int((await w.ok("PUT", "/m/media/fetch", bob, **body))["tid"])
            await asked_until(lambda: w.ok("POST", "/t/task", tid=tid), lambda task: task["done"])
            return tid

        for permission, words in (("host.reach", "has ended"), ("media.create", "no longer has velocity.media.create")):
            tid = await begin(permission)
            await w.ok("DELETE", "/u/user/permission", uid=uid, gid=gid, permission=f"velocity.{permission}")
            task = await wait(w, {"tid": tid})
            assert task["state"] == "FAILED" and words in task["message"], task
            await check_nothing_left(w)
            await w.ok("PUT", "/u/user/permission", uid=uid, gid=gid, permission=f"velocity.{permission}")
        tid = await begin("cancelled")
        assert (await w.ok("DELETE", "/t/task", bob, tid=tid))["state"] == "CANCELLED"
        await check_nothing_left(w)
        tid = await begin("interrupted")
    async with world(tmp_path / "d") as w:
        task = await wait(w, {"tid": tid})
        assert task["state"] == "FAILED" and "interrupted by a restart" in task["message"]
        await check_nothing_left(w)


@pytest.mark.holds("IMAGE-34")
async def test_what_one_user_fetches_leaves_room_for_others(w: World, o: Origin) -> None:
    o.files["/endless"], o.files["/x"] = endless(b"x" * 100, 0.02), cut(DATA)
    body = {"gid": 0, "mpid": 1, "url": o.url("/endless")}
    tids = [(await w.ok("PUT", "/m/media/fetch", **body, name=str(number)))["tid"] for number in range(6)]
    await eventually(lambda: len(o.asked) >= 4)
    bob = await w.user("bob", (0, "media.create"), (0, "media.list"), (0, "host.reach"))
    started = await w.ok("PUT", "/m/media/fetch", bob, **{**body, "url": o.url("/x"), "name": "bob's"})
    assert (await wait(w, started))["state"] == "DONE"
    assert [one.target for one in o.asked].count("/endless") == 4, "the others wait"
    for tid in tids:
        await w.ok("DELETE", "/t/task", tid=tid)
