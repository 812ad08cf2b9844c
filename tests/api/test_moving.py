"""A medium moves to another group or pool, and is converted and compacted, while its VMs keep it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import disk, upload, wait
from tests.api.media_changes import hang
from tests.api.world import World, world
from tests.events.page import is_gone, is_set
from tests.events.page import opened as following
from velocity.config import PoolSetting
from velocity.hypervisor.fake import FakeHypervisor

pytestmark = pytest.mark.anyio

MIB = 1 << 20
MOVE, CONVERT = "/m/media/move", "/m/media/convert"


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[World]:
    """A server with two pools."""
    async with opened(tmp_path) as w:
        yield w


def opened(path: Path, hypervisor: FakeHypervisor | None = None) -> Any:
    pools = [PoolSetting(mpid=one, name=name, path=path / name) for one, name in ((1, "media"), (2, "fast"))]
    return world(path / "data", hypervisor, pools=pools)


async def shown(w: World, mid: str) -> dict[str, Any]:
    return (await w.ok("POST", "/m/media", mid=mid)).body


async def content(w: World, mid: str) -> bytes:
    headers = {"authorization": f"Bearer {w.key}"}
    answer = await w.http.get(f"http://velocity/m/media/content/{mid}", headers=headers)
    assert answer.status_code == 200
    return answer.content


def files(path: Path) -> list[str]:
    """All of both pools but their marks."""
    found = [file for pool in ("media", "fast") for file in (path / pool).rglob("*") if file.is_file()]
    return sorted(str(file.relative_to(path)) for file in found if ".velocity" not in file.parts)


async def used(w: World, gid: int) -> list[int]:
    """Bytes of each pool that the group sees."""
    return [one["used"] for one in (await w.ok("POST", "/m/pool/list", gid=gid))["pools"]]


@pytest.mark.holds("IMAGE-41")
async def test_a_medium_moves_to_another_pool_and_its_vms_keep_it(two: World, tmp_path: Path) -> None:
    w = two
    source = disk(tmp_path)
    mid = await upload(w, source)
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK"}])
    task = await wait(w, await w.ok("PUT", MOVE, mid=mid, mpid=2))
    assert (task["state"], task["kind"], task["mid"]) == ("DONE", "move", mid)
    one = await shown(w, mid)
    assert (one["mpid"], one["size"], [vm["vmid"] for vm in one["used_by"]]) == (2, 4 * MIB, [vmid])
    assert await content(w, mid) == source.read_bytes()
    assert files(tmp_path) == [f"fast/{mid}.raw"], "nothing is left of it"
    assert await used(w, 0) == [0, 4 * MIB]
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert next(iter(w.hypervisor.runs.values())).spec.disks[0].media.pool == 2


@pytest.mark.holds("IMAGE-41")
async def test_while_it_moves_it_is_read_but_not_changed_started_or_deleted(two: World, tmp_path: Path) -> None:
    w = two
    mid = await w.medium(format="qcow2")
    await w.medium(format="qcow2", mpid=2, name="other")
    assert await w.refused("PUT", MOVE, mid=await w.medium("other"), mpid=2) == (409, 43220)
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    before, there = await shown(w, mid), files(tmp_path)
    hangs = asyncio.Event()

    async def forever(*_: object, **__: object) -> None:
        hangs.set()
        await asyncio.Event().wait()

    w.images.convert = forever  # type: ignore[method-assign]
    tid = (await w.ok("PUT", MOVE, mid=mid, mpid=2))["tid"]
    await hangs.wait()
    assert (await shown(w, mid))["busy"] == "being moved"
    assert len(await content(w, mid)) > 0, "it is still read"
    assert await used(w, 0) == [2 * MIB, 2 * MIB], "both hold it"
    for method, path, body, code in (
        ("PATCH", "/m/media", {"name": "new"}, 14423), ("PUT", MOVE, {"mpid": 2}, 43223),
        ("PUT", CONVERT, {"format": "raw"}, 42223),
    ):  # fmt: skip
        answer = await w.call(method, path, mid=mid, **body)
        assert (answer.status, answer.code) == (409, code) and "is being moved" in answer["message"]
    assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING", _plan=False) == (409, 13224)
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[])
    assert await w.refused("DELETE", "/m/media", mid=mid) == (409, 14323)
    await w.ok("DELETE", "/t/task", tid=tid)
    assert await shown(w, mid) == {**before, "used_by": []}
    assert files(tmp_path) == there and await used(w, 0) == [2 * MIB, MIB], "as it was"


@pytest.mark.holds("IMAGE-44")
async def test_a_medium_moves_to_another_group_with_quotas_and_rights_on_both_sides(w: World) -> None:
    top = await w.group("top")
    one, two = await w.group("one", top), await w.group("two", top)
    for gid, quota in ((top, 3 * MIB), (one, 0), (two, 2 * MIB)):
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True, quota=quota)
    mid = await w.medium("disk", gid=one, size=2 * MIB)
    lacking = [[(one, "media.remove")], [(two, "media.create")], [(one, "media.remove"), (two, "media.list")]]
    for number, grants in enumerate(lacking):
        key = await w.user(f"user{number}", *grants)
        assert await w.refused("PUT", MOVE, key, mid=mid, gid=two) == (403, 43200)
    both = await w.user("both", (one, "media.remove"), (two, "media.create"))
    assert await w.refused("PUT", MOVE, both, mid=mid, gid=10**6) == (403, 43200), "what is not there is not known"
    vmid = await w.vm("web", one, media=[{"mid": mid, "mode": "BLOCK"}])
    answer = await w.call("PUT", MOVE, mid=mid, gid=two)
    assert (answer.status, answer.code, answer["field"]) == (409, 43224, "gid") and "VM 'web'" in answer["message"]
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    small = await w.medium("small", gid=two, size=MIB)
    assert await w.refused("PUT", MOVE, both, mid=mid, gid=two) == (406, 43221), "the quota of the new group"
    await w.ok("DELETE", "/m/media", mid=small, purge=True)
    seen = await w.user("seen", (two, "media.list"))
    other = await w.user("other", (one, "media.list"))
    (gains, gained), (loses, lost) = await following(w, seen), await following(w, other)
    assert "tid" not in (await w.ok("PUT", MOVE, both, mid=mid, gid=two)).body, "the quota of both holds it once"
    await gained.until(gains, is_set("medium", mid=mid, gid=two))
    await lost.until(loses, is_gone("medium", mid))
    await gains.leave()
    await loses.leave()
    assert [await used(w, gid) for gid in (top, one, two)] == [[2 * MIB], [0], [2 * MIB]]
    assert (await w.ok("POST", "/m/media/list", gid=two))["media"][0]["mid"] == mid
    assert await w.medium("disk", gid=one, size=MIB), "its name and its bytes are free there"


@pytest.mark.holds("IMAGE-45")
async def test_a_medium_is_converted_and_compacted_in_its_place(w: World, tmp_path: Path) -> None:
    source = disk(w.data)
    mid = await upload(w, source)
    vmid = await w.vm("web", media=[{"mid": mid, "mode": "BLOCK"}])
    for format_, kind in (("qcow2", "convert"), ("raw", "convert"), ("raw", "compact"), ("qcow2", "convert"),
                          ("qcow2", "compact")):  # fmt: skip
        file = w.data / "media" / f"{mid}.{(await shown(w, mid))['format']}"
        if kind == "compact":
            size = file.stat().st_size
            with file.open("r+b") as open_file:  # as a guest writes what it frees
                open_file.seek(0, 2 if file.suffix == ".qcow2" else 0)
                open_file.seek(2 * MIB if file.suffix == ".raw" else size)
                open_file.write(bytes(MIB))
        before = (await shown(w, mid))["allocated"]
        task = await wait(w, await w.ok("PUT", CONVERT, mid=mid, format=format_))
        assert (task["state"], task["kind"], task["mid"]) == ("DONE", kind, mid), task
        one = await shown(w, mid)
        assert (one["format"], one["size"], one["used_by"][0]["vmid"]) == (format_, 4 * MIB, vmid)
        if kind == "compact":
            assert one["allocated"] <= before - MIB // 2
        assert w.files() == [f"{mid}.{format_}"]
        out = tmp_path / "out.raw"
        made = w.data / "media" / f"{mid}.{format_}"
        subprocess.run(["qemu-img", "convert", "-f", format_, "-O", "raw", str(made), str(out)], check=True)
        assert out.read_bytes() == source.read_bytes()
    packed = (await w.upload(b"x" * 4096, x_velocity_name="iso"))["mid"]
    assert await w.refused("PUT", CONVERT, mid=packed, format="qcow2") == (406, 42224)
    planned = (await w.ok("PUT", CONVERT, mid=mid, format="raw", plan=True)).body
    assert json.dumps(planned["steps"][0]["changes"]) == '[{"field": "format", "old": "qcow2", "new": "raw"}]'
    planned = (await w.ok("PUT", CONVERT, mid=mid, format="qcow2", plan=True)).body
    assert planned["steps"][0]["changes"] == [{"field": "allocated"}], "to be compacted is a change, too"


@pytest.mark.holds("DUR-76")
async def test_who_loses_a_right_loses_the_task_and_the_medium_stays(two: World, tmp_path: Path) -> None:
    w = two
    gid = await w.group("team")
    for mpid in (1, 2):
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=mpid, write=True, manage=True)
    key = await w.user("bob", (gid, "media.remove"), (gid, "media.create"), (gid, "media.list"))
    mid = await w.medium("disk", gid=gid)
    hangs = hang(w)
    tid = (await w.ok("PUT", MOVE, key, mid=mid, mpid=2))["tid"]
    await hangs.wait()
    uid = await w.uid("bob")
    await w.ok("DELETE", "/u/user/permission", uid=uid, gid=gid, permission="velocity.media.remove")
    task = await wait(w, {"tid": tid})
    assert task["state"] == "FAILED" and "velocity.media.remove" in task["message"]
    assert files(tmp_path) == [f"media/{mid}.raw"] and await used(w, gid) == [MIB, 0]
