"""What one group's trash may take, and whose goes first when room is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.api.test_transfers import TUS, metadata, send
from tests.api.world import World, world
from velocity.config import PoolSetting
from velocity.storage.directory.images import Images

pytestmark = pytest.mark.anyio

SIZE = 4096


async def group(w: World, name: str, parent: int = 0, quota: int = 0) -> int:
    gid = await w.group(name, parent)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=quota, write=True, manage=True)
    return gid


async def uploaded(w: World, name: str, gid: int, size: int = SIZE, mpid: int = 1) -> str:
    headers = {"x_velocity_name": name, "x_velocity_gid": str(gid), "x_velocity_mpid": str(mpid)}
    answer = await w.upload(b"x" * size, x_velocity_type="DISK", **headers)
    assert answer.status == 200, answer
    return str(answer["mid"])


async def discard(w: World, name: str, gid: int, size: int = SIZE, mpid: int = 1) -> None:
    """A medium with bytes, in the trash."""
    await w.ok("DELETE", "/m/media", mid=await uploaded(w, name, gid, size, mpid))


async def left(w: World) -> list[str]:
    """Names in the trash, the newest first; no file is kept for anything else."""
    items = (await w.ok("POST", "/t/trash/list"))["items"]
    return [one["name"] for one in items]


@pytest.mark.holds("DUR-57")
async def test_a_group_has_no_more_in_the_trash_than_its_quota(w: World) -> None:
    """However often it fills and deletes; what others have there is no business of its."""
    gid, other = await group(w, "a", quota=2 * SIZE), await group(w, "b")
    await discard(w, "of another", other)
    for number in range(5):
        await discard(w, f"of mine {number}", gid)
    assert await left(w) == ["of mine 4", "of mine 3", "of another"]
    await discard(w, "large", gid, 2 * SIZE)
    assert await left(w) == ["large", "of another"]
    assert len(w.files()) == 2


@pytest.mark.holds("DUR-57")
async def test_the_quota_of_a_group_counts_the_trash_of_all_below_it(w: World) -> None:
    """Also of groups that lie there themselves. Of what there is too much, one's own goes first."""
    top = await group(w, "top", quota=3 * SIZE)
    one, two = await group(w, "one", top), await group(w, "two", top)
    await discard(w, "of two", two)
    await discard(w, "of one", one)
    await discard(w, "of one too", one)
    await discard(w, "last of one", one)
    assert await left(w) == ["last of one", "of one too", "of two"], "not the oldest, which is another group's"
    await uploaded(w, "in the group", one, 2 * SIZE)
    await w.ok("DELETE", "/u/group", gid=one)
    assert await left(w) == ["one", "of two"]
    assert len(w.files()) == 2


@pytest.mark.holds("DUR-57")
async def test_what_cannot_come_back_does_not_stay_in_the_trash(w: World) -> None:
    """Else a group would fill a pool by subgroups that it deletes for good."""
    top = await group(w, "top", quota=2 * SIZE)
    for number in range(3):
        low = await group(w, f"low {number}", top)
        await discard(w, f"disk {number}", low)
        await w.ok("DELETE", "/u/group", gid=low, purge=True)
    await discard(w, "last", top)
    assert await left(w) == ["last"]
    low = await group(w, "low", top)
    await discard(w, "disk", low)
    await w.ok("DELETE", "/u/group", gid=low, purge=True)
    await w.server.services.purging.sweep()
    assert await left(w) == ["last"]
    assert len(w.files()) == 1


@pytest.mark.holds("DUR-57")
async def test_what_was_deleted_last_stays_in_the_trash(w: World) -> None:
    """Also when the quota has become less than its size meanwhile: a deletion is no removal for good."""
    gid = await group(w, "a", quota=4 * SIZE)
    mid = await uploaded(w, "large", gid, 3 * SIZE)
    await discard(w, "small", gid, 1)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=1, write=True, manage=True)
    await w.ok("DELETE", "/m/media", mid=mid)
    assert await left(w) == ["large"]


async def test_each_pool_has_its_own_quota_of_trash(tmp_path: Path) -> None:
    other = PoolSetting(mpid=2, name="other", path=tmp_path / "other")
    pools = [PoolSetting(mpid=1, name="default", path=tmp_path / "data" / "media"), other]
    async with world(tmp_path / "data", pools=pools) as w:
        gid = await group(w, "a", quota=SIZE)
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=2, quota=3 * SIZE, write=True, manage=True)
        await discard(w, "first", gid)
        await discard(w, "elsewhere", gid, 3 * SIZE, mpid=2)
        await discard(w, "second", gid)
        assert await left(w) == ["second", "elsewhere"]


@pytest.mark.holds("DUR-58")
async def test_room_is_made_of_ones_own_trash_first(w: World) -> None:
    """Then of what is next to one in the tree, and of strangers' last, however old that is."""
    team, stranger = await group(w, "team"), await group(w, "stranger")
    one, two = await group(w, "one", team), await group(w, "two", team)
    for name, gid in (("of a stranger", stranger), ("of two", two), ("of the team", team), ("of one", one)):
        await discard(w, name, gid)
    files = w.directory(1)
    free = files.free
    for number, rest in enumerate((["of the team", "of two", "of a stranger"], ["of a stranger"], [])):
        wanted = len(rest) + 1 + number  # files: of the trash, and what is uploaded meanwhile
        files.free = lambda wanted=wanted: free() if len(w.files()) < wanted else 10  # type: ignore[misc, method-assign]
        await uploaded(w, f"new {number}", one)
        files.free = free  # type: ignore[method-assign]
        assert await left(w) == rest


@pytest.mark.holds("DUR-59")
async def test_a_bound_of_the_caller_holds_before_others_lose_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of tasks, of uploads over several requests, of media in a group."""

    async def forever(self: Images, *_: object, **__: object) -> None:
        await asyncio.sleep(1000)

    monkeypatch.setattr(Images, "convert", forever)
    async with world(tmp_path / "data", user_tasks=1, user_uploads=1, group_media=3) as w:
        gid, other, full = await group(w, "a"), await group(w, "b"), await group(w, "full")
        mid = await uploaded(w, "source", gid)
        clone = {"mid": mid, "mpid": 1, "gid": other, "format": "qcow2"}
        await w.ok("PUT", "/m/media/clone", **clone, name="first")
        await discard(w, "of others", gid, 1 << 20)
        for name in ("one", "two", "three"):
            await uploaded(w, name, full)
        tus = {"tus_resumable": "1.0.0", "authorization": f"Bearer {w.key}", "upload_length": str(SIZE)}
        await send(w, "POST", TUS, upload_length=SIZE, upload_metadata=metadata(gid=other, name="first upload"))
        files = w.directory(1)
        free = files.free
        files.free = lambda: 10  # type: ignore[method-assign]
        assert (await w.call("PUT", "/m/media/clone", **clone, name="second")).status == 429
        again = await w.raw("POST", TUS, **tus, upload_metadata=metadata(gid=other, name="second upload"))
        assert again.status == 429
        headers = {"x_velocity_name": "four", "x_velocity_gid": str(full)}
        assert (await w.upload(b"x" * SIZE, **headers)).status == 406
        files.free = free  # type: ignore[method-assign]
        assert await left(w) == ["of others"]


@pytest.mark.holds("DUR-60")
async def test_a_group_has_no_more_in_the_trash_than_it_may_have(tmp_path: Path) -> None:
    """Be it ever so small, as each is a row and a file."""
    async with world(tmp_path / "data", group_media=2, group_vms=2, group_subgroups=2) as w:
        gid = await w.group("a")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
        for number in range(4):
            await discard(w, f"medium {number}", gid, 1)
            await w.ok("DELETE", "/v/vm", vmid=await w.vm(f"vm {number}", gid))
            await w.ok("DELETE", "/u/group", gid=await w.group(f"group {number}", gid))
        await discard(w, "of another", 0, 1)
        await w.server.services.purging.sweep()
        kept = [f"{kind} {number}" for kind in ("group", "medium", "vm") for number in (2, 3)]
        assert sorted(await left(w)) == sorted([*kept, "of another"])
        assert len(w.files()) == 3
