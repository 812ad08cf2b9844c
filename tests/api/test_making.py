"""Media made out of others, and the tasks that do it: routes 21 to 24."""

from __future__ import annotations

import asyncio
import lzma
import os
import struct
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.api.images import body, disk, hostile, qemu_img, upload, wait
from tests.api.world import World, world
from velocity.storage.directory.image_file import ImageFile
from velocity.storage.directory.images import Images
from velocity.store.tasks import SqlTasks
from velocity.tasks.rules import Task

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi", "vhdx"])
@pytest.mark.parametrize("target", ["raw", "qcow2"])
async def test_importing_an_image(w: World, tmp_path: Path, kind: str, target: str) -> None:
    raw, image, back = disk(tmp_path), tmp_path / "image", tmp_path / "back"
    qemu_img("convert", "-f", "raw", "-O", kind, raw, image)
    mid = await upload(w, image)
    listed = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert "import it" in listed[0]["content"]["warning"]
    task = await wait(w, await w.ok("PUT", "/m/media/import", **body(mid, format=target)))
    assert (task["state"], task["done"], task["total"]) == ("DONE", 4 << 20, 4 << 20), task
    made = w.data / "media" / f"{task['mid']}.{target}"
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.stat().st_uid == os.geteuid()
    qemu_img("convert", "-f", target, "-O", "raw", made, back)
    assert back.read_bytes() == raw.read_bytes()
    shown = next(one for one in (await w.ok("POST", "/m/media/list", gid=0))["media"] if one["mid"] == task["mid"])
    assert (shown["size"], shown["format"], shown["type"]) == (4 << 20, target, "DISK")
    if target == "raw":
        assert made.stat().st_blocks * 512 < 2 << 20, "sparse"


@pytest.mark.parametrize("kind", ["xz", "zst"])
async def test_importing_a_packed_disk(w: World, tmp_path: Path, kind: str) -> None:
    raw = disk(tmp_path)
    if kind == "xz":
        packed = tmp_path / "disk.xz"
        packed.write_bytes(lzma.compress(raw.read_bytes()))
    else:
        packed = tmp_path / "disk.raw.zst"
        subprocess.run(["zstd", "-q", str(raw)], check=True)
    task = await wait(w, await w.ok("PUT", "/m/media/import", **body(await upload(w, packed))))
    assert task["state"] == "DONE", task
    made = w.data / "media" / f"{task['mid']}.raw"
    assert made.read_bytes() == raw.read_bytes()
    assert made.stat().st_blocks * 512 < 2 << 20, "sparse"
    used = (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"]
    assert used == packed.stat().st_size + (4 << 20), "what was taken ahead is given back"


@pytest.mark.holds("IMAGE-1")
async def test_images_that_name_other_files_are_refused_and_leave_nothing(w: World, tmp_path: Path) -> None:
    for word, image in hostile(tmp_path).items():
        made = await w.upload(image, x_velocity_type="DISK")
        assert made.status == 200, "an upload refuses nothing"
        before = w.files()
        answer = await w.call("PUT", "/m/media/import", **body(made["mid"]))
        assert (answer.status, answer.code) == (406, 21222), (word, answer)
        assert any(one in answer["message"] for one in word.split("|")), (word, answer["message"])
        assert str(tmp_path) not in answer["message"], "no path of the host is shown"
        assert w.files() == before
        await w.ok("DELETE", "/m/media", mid=made["mid"], purge=True)
    assert (await w.ok("POST", "/t/task/list", gid=0))["tasks"] == []


@pytest.mark.holds("IMAGE-4")
async def test_what_unpacks_to_more_than_there_is_room_for(w: World, tmp_path: Path) -> None:
    """A small xz that unpacks to 100 GiB: stopped by the quota, and nothing of it remains."""
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=600 << 20, write=True, manage=True)
    packed = tmp_path / "bomb.xz"
    packed.write_bytes(lzma.compress(bytes(64 << 20), preset=0) * 1600)
    made = await upload(w, packed, x_velocity_gid=str(gid))
    before = w.files()
    started = await w.ok("PUT", "/m/media/import", **{**body(made), "gid": gid})
    task = await wait(w, started)
    assert task["state"] == "FAILED"
    assert "quota" in task["message"]
    assert w.files() == before
    (pool,) = (await w.ok("POST", "/m/pool/list", gid=gid))["pools"]
    assert pool["used"] == packed.stat().st_size, "what it had taken is given back"
    await w.ok("DELETE", "/m/media", mid=made)


async def test_a_broken_packed_file(w: World, tmp_path: Path) -> None:
    packed = lzma.compress(os.urandom(100_000))
    other = bytes([packed[50_000] ^ 1])
    for number, data in enumerate((packed[:-50_000], packed[:50_000] + other + packed[50_001:], b"\x28\xb5\x2f\xfdno")):
        file = tmp_path / str(number)
        file.write_bytes(data)
        mid = await upload(w, file, f"image{number}")
        before = w.files()
        task = await wait(w, await w.ok("PUT", "/m/media/import", **body(mid)))
        assert task["state"] == "FAILED", task
        assert "cannot be imported" in task["message"]
        assert w.files() == before


@pytest.mark.holds("IMAGE-24")
async def test_a_disk_whose_guest_has_named_another_file_in_it_is_not_cloned(w: World, tmp_path: Path) -> None:
    """Whoever has broken out of QEMU can write any header; a clone would read what that names."""
    made = await w.ok("PUT", "/m/media/create", mpid=1, gid=0, name="disk", size=1 << 20, format="qcow2")
    evil = tmp_path / "evil.qcow2"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'secret'}", evil, "1M")
    (w.data / "media" / f"{made['mid']}.qcow2").write_bytes(evil.read_bytes())
    (tmp_path / "secret").write_bytes(b"s" * (1 << 20))
    before = w.files()
    for format_ in ("raw", "qcow2"):
        task = await wait(w, await w.ok("PUT", "/m/media/clone", **body(made["mid"], format=format_)))
        assert task["state"] == "FAILED", format_
        assert "its data is in another file" in task["message"]
        assert w.files() == before


async def test_cloning(w: World, tmp_path: Path) -> None:
    raw = disk(tmp_path)
    mid = await upload(w, raw, "disk")
    for name, format_ in (("same", None), ("other", "qcow2")):
        task = await wait(w, await w.ok("PUT", "/m/media/clone", **{**body(mid), "name": name, "format": format_}))
        assert task["state"] == "DONE", task
        made, back = w.data / "media" / f"{task['mid']}.{format_ or 'raw'}", tmp_path / "back"
        qemu_img("convert", "-f", format_ or "raw", "-O", "raw", made, back)
        assert back.read_bytes() == raw.read_bytes()
    vmid = await w.vm("vm", media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("PUT", "/m/media/clone", **body(mid)) == (409, 22223)


@pytest.mark.parametrize(("path", "base"), [("/m/media/import", 21200), ("/m/media/clone", 22200)])
async def test_what_making_refuses(w: World, tmp_path: Path, path: str, base: int) -> None:
    image = tmp_path / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "8M")
    mid = await upload(w, image)
    gid, low = await w.group("a"), await w.group("b")
    await w.ok("PUT", "/m/pool/assign", gid=low, mpid=1, quota=1 << 16, manage=True)
    key = await w.user("bob", (gid, "media.create"))
    expected = {
        "perm": {21200: (403, 21200), 22200: (403, 22200)},
        "manage": {21200: (403, 21201), 22200: (403, 22201)},
        "group": {21200: (404, 21210), 22200: (404, 22210)},
        "pool": {21200: (404, 21211), 22200: (404, 22211)},
        "medium": {21200: (404, 21212), 22200: (404, 22212)},
        "name": {21200: (409, 21220), 22200: (409, 22220)},
        "quota": {21200: (406, 21221), 22200: (406, 22221)},
    }
    assert await w.refused("PUT", path, key, **body(mid)) == expected["perm"][base]
    assert await w.refused("PUT", path, key, **{**body(mid), "gid": gid}) == expected["manage"][base]
    assert await w.refused("PUT", path, **{**body(mid), "gid": 99}) == expected["group"][base]
    assert await w.refused("PUT", path, **{**body(mid), "mpid": 99}) == expected["pool"][base]
    assert await w.refused("PUT", path, **body(str(uuid4()))) == expected["medium"][base]
    assert await w.refused("PUT", path, **{**body(mid), "name": "image"}) == expected["name"][base]
    assert await w.refused("PUT", path, **{**body(mid), "gid": low}) == expected["quota"][base]
    assert len(w.files()) == 1
    assert (await w.ok("POST", "/m/pool/list", gid=low))["pools"][0]["used"] == 0


async def test_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def forever(self: Images, source: ImageFile, target: ImageFile, *_: object) -> None:
        await target.do(os.write, b"half of it")
        begun.set()
        await asyncio.sleep(1000)

    async with world(tmp_path / "data") as w:
        monkeypatch.setattr(Images, "convert", forever)
        mid = await upload(w, disk(tmp_path))
        tid = (await w.ok("PUT", "/m/media/clone", **body(mid)))["tid"]
        await begun.wait()
        task = await w.ok("POST", "/t/task", tid=tid)
        assert (task["kind"], task["name"], task["uid"], task["gid"], task["state"]) == (
            "clone",
            "made",
            0,
            0,
            "RUNNING",
        )
        key = await w.user("bob", (await w.group("a"), "media.list"))
        assert await w.refused("POST", "/t/task", key, tid=tid) == (403, 23100)
        assert await w.refused("POST", "/t/task", key, tid=99) == (403, 23100)
        assert await w.refused("POST", "/t/task", tid=99) == (404, 23110)
        assert await w.refused("DELETE", "/t/task", key, tid=tid) == (403, 23300)
        assert await w.refused("DELETE", "/t/task", tid=99) == (404, 23310)
        assert await w.refused("POST", "/t/task/list", key, gid=0) == (403, 24100)
        assert await w.refused("POST", "/t/task/list", gid=99) == (404, 24110)
        assert await w.refused("PUT", "/m/media/create", mpid=1, gid=0, name="made", size=1) == (409, 8220), "taken"
        assert (await w.ok("DELETE", "/t/task", tid=tid))["state"] == "CANCELLED"
        assert len(w.files()) == 1
        await w.medium("made")
        assert (await w.ok("DELETE", "/t/task", tid=tid))["state"] == "CANCELLED", "ended already"
        begun.clear()
        await w.ok("PUT", "/m/media/clone", **{**body(mid), "name": "again"})
        await begun.wait()
        assert [one["state"] for one in (await w.ok("POST", "/t/task/list", gid=0))["tasks"]] == [
            "RUNNING",
            "CANCELLED",
        ]
        crashed = Task(0, "import", 0, 0, "lost", "bytes", 0)
        await SqlTasks(w.server.database).add(crashed, 0)
    async with world(tmp_path / "data") as w:
        states = [(one["name"], one["state"]) for one in (await w.ok("POST", "/t/task/list", gid=0))["tasks"]]
        assert states == [("lost", "FAILED"), ("again", "FAILED"), ("made", "CANCELLED")]
        assert len(w.files()) == 2, "nothing of what failed"


async def test_a_task_ends_with_its_group(w: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forever(self: Images, *_: object, **__: object) -> None:
        await asyncio.sleep(1000)

    monkeypatch.setattr(Images, "convert", forever)
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True)
    mid = await upload(w, disk(tmp_path), x_velocity_gid=str(gid))
    tid = (await w.ok("PUT", "/m/media/clone", **{**body(mid), "gid": gid}))["tid"]
    await w.ok("DELETE", "/u/group", gid=gid, purge=True)
    assert await w.refused("POST", "/t/task", tid=tid) == (404, 23110)
    assert w.files() == []
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


async def test_an_iso_with_a_lying_volume_size(w: World) -> None:
    iso = bytearray(64 << 10)
    iso[0x8001:0x8006] = b"CD001"
    iso[0x8028:0x8030] = b"LABEL   "
    iso[0x8050:0x8054] = struct.pack("<I", 1 << 30)
    made = await w.upload(bytes(iso))
    assert "truncated" in made["content"]["warning"]
    assert made["size"] == 64 << 10


@pytest.mark.holds("IMAGE-7")
@pytest.mark.parametrize("way", ["clone", "import", "unpack"])
async def test_what_is_made_looks_for_room_first_and_the_trash_makes_some(w: World, tmp_path: Path, way: str) -> None:
    image = tmp_path / "image"
    image.write_bytes(os.urandom(300_000))
    if way == "import":
        qemu_img("convert", "-f", "raw", "-O", "qcow2", image, tmp_path / "image.qcow2")
        image = tmp_path / "image.qcow2"
    elif way == "unpack":
        image.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    mid = await upload(w, image)
    await w.ok("DELETE", "/m/media", mid=await upload(w, disk(tmp_path), "trashed"))
    path, files = "/m/media/clone" if way == "clone" else "/m/media/import", w.directory(1)
    full = (406, 22221 if way == "clone" else 21221)
    free, trashed = files.free, files.trashed
    files.free, files.trashed = lambda: 1000, lambda names: 1000  # type: ignore[method-assign]
    assert await w.refused("PUT", path, **body(mid)) == full
    assert "free: remove media" in (await w.call("PUT", path, **body(mid)))["message"]
    assert len((await w.ok("POST", "/t/trash/list"))["items"]) == 1, "what would not suffice stays"
    assert (await w.ok("POST", "/t/task/list", gid=0))["tasks"] == []
    files.trashed = trashed  # type: ignore[method-assign]
    files.free = lambda: free() if len(w.files()) < 2 else 1000  # type: ignore[method-assign]
    plan = await w.ok("PUT", path, **body(mid), plan=True)
    assert "trash" in plan["warnings"][0]
    assert len((await w.ok("POST", "/t/trash/list"))["items"]) == 1
    started = await w.ok("PUT", path, **body(mid))
    files.free = free  # type: ignore[method-assign]
    assert (await wait(w, started))["state"] == "DONE"
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []


@pytest.mark.holds("IMAGE-7")
async def test_what_is_unpacked_makes_room_for_what_it_turns_out_to_be(w: World, tmp_path: Path) -> None:
    image, trashed = tmp_path / "image", tmp_path / "trashed"
    image.write_bytes(lzma.compress(b"ab" * (2 << 20)))
    trashed.write_bytes(os.urandom(2 << 20))
    mid = await upload(w, image)
    await w.ok("DELETE", "/m/media", mid=await upload(w, trashed, "trashed"))
    before, files = w.files(), w.directory(1)
    free, held = files.free, files.trashed
    files.free = lambda: 100_000 if any(".trash" in one for one in w.files()) else free()  # type: ignore[method-assign]
    files.trashed = lambda names: 0  # type: ignore[method-assign]
    task = await wait(w, await w.ok("PUT", "/m/media/import", **body(mid)))
    assert task["state"] == "FAILED"
    assert "free: remove media or use another pool" in task["message"]
    assert w.files() == before, "nothing of it remains, and the trash stays, as it would not suffice"
    files.trashed = held  # type: ignore[method-assign]
    task = await wait(w, await w.ok("PUT", "/m/media/import", **body(mid)))
    assert task["state"] == "DONE", task
    assert (await w.ok("POST", "/t/trash/list"))["items"] == []
    assert (w.data / "media" / f"{task['mid']}.raw").read_bytes() == b"ab" * (2 << 20)
