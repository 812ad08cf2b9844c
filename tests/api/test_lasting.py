"""Transfers and tasks end soon after the right that they stand on, downloads when a VM writes; nothing half is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import body, disk, upload, wait
from tests.api.teams import Team
from tests.api.teams import team as team
from tests.api.test_transfers import metadata
from tests.api.world import PASSWORD, World
from tests.listening import Listening, listening
from tests.patience import PATIENCE, eventually
from velocity.access import lasting
from velocity.storage.directory.images import Images

pytestmark = pytest.mark.anyio

SIZE = 32 << 20
"""More than all buffers between a server and its client hold."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "LOOK", 0.02)


@asynccontextmanager
async def asked(
    server: Listening, method: str, path: str, key: str, **headers: object
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which the head of a request was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    lines = [f"{method} {path} HTTP/1.1", "host: x", f"authorization: Bearer {key}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def answered(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Status and code of a refusal."""
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return int(head.split()[1]), int(json.loads(await reader.readexactly(length))["code"])


async def rest(reader: asyncio.StreamReader) -> int:
    """How many bytes come until the connection ends."""
    count = 0
    async with asyncio.timeout(PATIENCE):
        try:
            while data := await reader.read(1 << 20):
                count += len(data)
        except ConnectionError:
            return count
    return count


async def delete_medium(team: Team) -> None:
    (medium,) = (await team.w.ok("POST", "/m/media/list", gid=team.gid))["media"]
    await team.w.ok("DELETE", "/m/media", mid=medium["mid"])


End = Callable[[Team], Awaitable[None]]


@pytest.mark.holds("TEAM-18")
@pytest.mark.parametrize(
    ("end", "headers"),
    [
        (Team.may_list_no_more, {}),
        (Team.may_list_no_more, {"range": f"bytes=1-{SIZE - 2}"}),
        (Team.may_list_no_more, {"range": f"bytes=0-9,20-{SIZE - 1}"}),
        (Team.sign_out, {}),
        (Team.new_password, {}),
        (Team.remove_user, {}),
        (Team.delete_group, {}),
        (delete_medium, {}),
    ],
)
async def test_a_download_ends_with_its_right(w: World, team: Team, end: End, headers: dict[str, str]) -> None:
    """Also for a client that does not read: its connection is cut, so that it knows that bytes are missing."""
    mid = await w.medium(gid=team.gid, size=SIZE)
    path = f"/m/media/content/{mid}"
    async with listening(w) as server, asked(server, "GET", path, team.key, **headers) as (reader, _):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == (b"206" if headers else b"200")
        await reader.readexactly(1 << 16)
        await end(team)
        connections = server.server.server_state.connections
        await eventually(lambda: not connections, "the end of the connection")
        assert await rest(reader) < SIZE // 2


@pytest.mark.holds("TEAM-18")
async def test_what_a_transfer_does_not_need_ends_it_not(w: World, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another right, another medium, a new authkey of the same session, and the time after which an authkey ends."""
    mid = await w.medium(gid=team.gid, size=SIZE)
    other = await w.medium("other", gid=team.gid)
    async with listening(w) as server, asked(server, "GET", f"/m/media/content/{mid}", team.key) as (reader, _):
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1 << 16)
        await team.may_make_no_more()
        await w.ok("DELETE", "/m/media", mid=other)
        await w.ok("PATCH", "/u/auth", team.key)
        sessions = w.server.services.access.sessions
        clock = sessions.clock
        monkeypatch.setattr(sessions, "clock", lambda: clock() + 7200)
        await asyncio.sleep(0.2)
        assert server.server.server_state.connections
        await reader.readexactly(1 << 16)


def upload_headers(team: Team) -> dict[str, object]:
    fields = {"mpid": 1, "gid": team.gid, "name": "late", "type": "DISK", "readonly": "false"}
    return {f"x_velocity_{name}": value for name, value in fields.items()}


UPLOAD_ENDS: list[tuple[End, tuple[int, int]]] = [
    (Team.may_make_no_more, (403, 9200)),
    (Team.pool_is_not_managed, (403, 9201)),
    (Team.sign_out, (401, 100)),
    (Team.new_password, (401, 100)),
    (Team.remove_user, (401, 100)),
]


@pytest.mark.holds("TEAM-19")
@pytest.mark.parametrize(
    ("end", "refusal", "finishes"), [*((*one, False) for one in UPLOAD_ENDS), (*UPLOAD_ENDS[0], True)]
)
async def test_an_upload_ends_with_its_right(
    w: World, team: Team, end: End, refusal: tuple[int, int], finishes: bool
) -> None:
    """While its client sends nothing, as when it sends the rest at once."""
    headers = upload_headers(team)
    async with (
        listening(w) as server,
        asked(server, "PUT", "/m/media/upload", team.key, content_length=4, **headers) as (reader, writer),
    ):
        writer.write(b"ab")
        await eventually(lambda: len(w.files()) == 1)
        await end(team)
        if finishes:
            writer.write(b"cd")
        assert await answered(reader) == refusal
        await team.nothing_left()


async def begun(team: Team, server: Listening) -> str:
    """A resumable upload of four bytes: its place."""
    fields = metadata(gid=team.gid, name="late")
    sent = {"tus_resumable": "1.0.0", "upload_length": 4, "upload_metadata": fields, "content_length": 0}
    async with asked(server, "POST", "/m/media/tus", team.key, **sent) as (reader, _):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    return head.partition("location: ")[2].split("\r\n")[0]


def piece(offset: int, length: int) -> dict[str, object]:
    kind = "application/offset+octet-stream"
    return {"tus_resumable": "1.0.0", "content_type": kind, "upload_offset": offset, "content_length": length}


@pytest.mark.holds("TEAM-19")
@pytest.mark.parametrize(("end", "refusal"), UPLOAD_ENDS)
async def test_a_resumable_upload_waits_for_its_right(w: World, team: Team, end: End, refusal: tuple[int, int]) -> None:
    """The piece under way ends, the next one is refused; with the right back it goes on. It ends with its user."""
    async with listening(w) as server:
        place = await begun(team, server)
        async with asked(server, "PATCH", place, team.key, **piece(0, 3)) as (reader, writer):
            writer.write(b"ab")
            await eventually(lambda: any(one.size == 2 for one in w.server.services.uploads.all()))
            await end(team)
            assert await answered(reader) == refusal
        async with asked(server, "PATCH", place, team.key, **piece(2, 2)) as (reader, writer):
            assert await answered(reader) == ((403, 9201) if refusal == (403, 9201) else refusal)
        if end is Team.remove_user:
            await eventually(lambda: not w.server.services.resumables.under_way)
            await team.nothing_left()
            return
        assert len(w.files()) == 1, "it waits"
        await team.grant("media.create")
        await w.ok("PUT", "/m/pool/assign", gid=team.gid, mpid=1, write=True, manage=True)
        if end is Team.new_password:
            await w.ok("PATCH", "/u/user", uid=team.uid, password=PASSWORD)
        key = await team.sign_in()
        async with asked(server, "PATCH", place, key, **piece(2, 2)) as (reader, writer):
            writer.write(b"cd")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    (medium,) = (await w.ok("POST", "/m/media/list", gid=team.gid))["media"]
    assert (w.data / "media" / f"{medium['mid']}.raw").read_bytes() == b"abcd"


@pytest.mark.holds("TEAM-20")
@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Team.may_make_no_more, "'bob', who began it, no longer has velocity.media.create on a"),
        (Team.may_list_the_source_no_more, "'bob', who began it, may no longer use its source"),
        (Team.pool_is_not_managed, "may not manage media in pool 1"),
        (Team.new_password, "the password of 'bob', who began it, was changed"),
        (Team.remove_user, "'bob', who began it, was removed"),
    ],
)
async def test_a_task_ends_with_its_right_and_says_why(
    w: World, team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: End, words: str
) -> None:
    async def forever(self: Images, *_: object, **__: object) -> None:
        await asyncio.sleep(1000)

    monkeypatch.setattr(Images, "convert", forever)
    mid = await upload(w, disk(tmp_path), x_velocity_gid=str(team.other))
    more: dict[str, Any] = {"gid": team.gid, "format": "qcow2"}
    before = w.files(), (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"]
    started = await w.ok("PUT", "/m/media/clone", team.key, **{**body(mid), **more})
    await end(team)
    task = await wait(w, started)
    assert task["state"] == "FAILED"
    assert words in task["message"]
    assert (w.files(), (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"]) == before


@pytest.mark.holds("TEAM-20")
async def test_a_task_outlives_the_session_in_which_it_was_begun(
    w: World, team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert, on = Images.convert, asyncio.Event()

    async def later(self: Images, *what: Any, **more: Any) -> None:
        await on.wait()
        await convert(self, *what, **more)

    monkeypatch.setattr(Images, "convert", later)
    mid = await upload(w, disk(tmp_path), x_velocity_gid=str(team.other))
    more: dict[str, Any] = {"gid": team.gid, "format": "qcow2"}
    started = await w.ok("PUT", "/m/media/clone", team.key, **{**body(mid), **more})
    await team.sign_out()
    await asyncio.sleep(0.2)
    on.set()
    task = await wait(w, started)
    assert task["state"] == "DONE", task


@pytest.mark.holds("IMAGE-10")
async def test_a_download_ends_when_a_vm_starts_to_write(w: World, team: Team) -> None:
    """However short it runs: no bytes of two times are put together. A slow client keeps no VM from starting."""
    mid = await w.medium(gid=team.gid, size=SIZE)
    writer = await w.vm("writer", gid=team.gid, media=[{"mid": mid, "mode": "BLOCK"}])
    reader = await w.vm("reader", gid=team.gid, media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    path = f"/m/media/content/{mid}"
    async with listening(w) as server:
        connections = server.server.server_state.connections
        async with asked(server, "GET", path, team.key) as (stream, _):
            await stream.readuntil(b"\r\n\r\n")
            await stream.readexactly(1 << 16)
            await w.ok("PUT", "/v/vm/state", vmid=reader, state="RUNNING")
            await w.ok("PUT", "/v/vm/state", vmid=reader, state="STOPPED", force=True)
            await w.ok("PUT", "/v/vm/state", vmid=writer, state="RUNNING", plan=True)
            await asyncio.sleep(0.2)
            assert connections, "neither one that reads nor a plan ends it"
            await w.ok("PUT", "/v/vm/state", vmid=writer, state="RUNNING")
            await w.ok("PUT", "/v/vm/state", vmid=writer, state="STOPPED", force=True)
            await eventually(lambda: not connections, "the end of the connection")
            assert await rest(stream) < SIZE // 2
        async with asked(server, "GET", path, team.key) as (stream, _):
            assert (await stream.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await stream.readexactly(1 << 16)


@pytest.mark.holds("IMAGE-10")
async def test_a_vm_that_starts_while_a_download_is_opened_ends_it(
    w: World, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look whether a VM writes and the first byte."""
    mid = await w.medium(gid=team.gid, size=SIZE)
    writer = await w.vm("writer", gid=team.gid, media=[{"mid": mid, "mode": "BLOCK"}])
    get = w.server.storage.blobs.get

    async def slow(*what: Any, **more: Any) -> Any:
        await w.ok("PUT", "/v/vm/state", vmid=writer, state="RUNNING")
        return await get(*what, **more)

    monkeypatch.setattr(w.server.storage.blobs, "get", slow)
    async with listening(w) as server, asked(server, "GET", f"/m/media/content/{mid}", team.key) as (reader, _):
        assert await answered(reader) == (409, 14120)
