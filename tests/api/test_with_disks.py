"""A VM is deleted with its disks in one operation: all of it, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.test_trash import trid
from tests.api.world import Answer, World
from velocity.store.machines import SqlMachines

pytestmark = pytest.mark.anyio
DISKS = ("a", "b")


async def furnished(w: World, gid: int = 0) -> tuple[int, dict[str, str]]:
    """A VM with two disks of its own, an ISO, a disk that it only reads, and one of another group."""
    other = await w.group("other")
    await w.ok("PUT", "/m/pool/assign", gid=other, mpid=1, quota=0, write=True, manage=True)
    mids = {name: await w.medium(name, gid=gid) for name in (*DISKS, "base")}
    mids["iso"] = (await w.upload(b"x", x_velocity_name="iso", x_velocity_gid=str(gid)))["mid"]
    mids["theirs"] = await w.medium("theirs", gid=other)
    media = [{"mid": mid, "mode": "BLOCK", "readonly": name == "base"} for name, mid in mids.items()]
    return await w.vm("web", gid, media=media), mids


async def shown(w: World) -> dict[str, Any]:
    """Whatever a deletion could change."""
    gids = [one["gid"] for one in (await w.ok("POST", "/u/group/list"))["groups"]]
    media = [one for gid in gids for one in (await w.ok("POST", "/m/media/list", gid=gid))["media"]]
    vms = [one for gid in gids for one in (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]]
    pools = (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
    trash = (await w.ok("POST", "/t/trash/list"))["items"]
    return {"media": media, "vms": vms, "used": pools[0]["used"], "trash": trash, "files": w.files()}


async def media(w: World) -> set[str]:
    return {one["name"] for one in (await shown(w))["media"]}


async def refused(w: World, status: int, code: int, key: str | None = None, **body: Any) -> Answer:
    """Nothing has changed then."""
    before = await shown(w)
    assert await w.refused("DELETE", "/v/vm", key, **body, disks=True) == (status, code)
    assert await shown(w) == before
    return await w.call("DELETE", "/v/vm", key, **body, disks=True)


@pytest.mark.holds("MORE-5", "PAGE-94")
async def test_a_vm_goes_with_its_disks_and_comes_back_with_them(w: World) -> None:
    vmid, mids = await furnished(w)
    before = await shown(w)
    vm = (await w.ok("POST", "/v/vm", vmid=vmid)).body
    await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True)
    assert await media(w) == {"base", "iso", "theirs"}, "what it only read, and what is of another group, stays"
    after = await shown(w)
    assert [(one["kind"], one["name"], one["size"]) for one in after["trash"]] == [("vm", "web", 2 << 20)], "one item"
    assert after["trash"][0]["disks"] == list(DISKS)
    assert after["used"] == before["used"] - (2 << 20)
    assert {f".trash/{mids[name]}.raw" for name in DISKS} <= set(after["files"])
    await w.ok("PUT", "/t/trash", trid=await trid(w, "web"))
    assert await shown(w) == before
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == vm
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True, purge=True)
    after = await shown(w)
    assert (after["trash"], await media(w)) == ([], {"base", "iso", "theirs"})
    assert not any(mids[name] in file for name in DISKS for file in after["files"])


@pytest.mark.holds("MORE-5")
async def test_what_lies_in_the_trash_is_purged_with_its_disks(w: World) -> None:
    vmid, mids = await furnished(w)
    await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True)
    await w.ok("DELETE", "/t/trash", trid=await trid(w, "web"))
    assert not any(mids[name] in file for name in DISKS for file in w.files())


@pytest.mark.holds("MORE-6")
async def test_a_disk_of_another_vm_too_is_named_and_keeps_all_of_it(w: World) -> None:
    vmid, mids = await furnished(w)
    other = await w.vm("db", media=[{"mid": mids["b"], "mode": "BLOCK", "readonly": True}])
    answer = await refused(w, 409, 16322, vmid=vmid)
    assert "medium 'b' is attached to VM 'db' too" in answer["message"]
    assert answer["field"] == "disks"
    await w.ok("DELETE", "/v/vm", vmid=other, disks=True)
    assert "b" in await media(w), "who only reads it does not take it along"
    await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True)
    assert not {*DISKS} & await media(w)


@pytest.mark.holds("MORE-24")
async def test_a_disk_that_is_left_remains_and_so_a_vm_goes_with_its_others(w: World) -> None:
    vmid, mids = await furnished(w)
    await w.vm("db", media=[{"mid": mids["b"], "mode": "BLOCK", "readonly": True}])
    before = (await w.ok("POST", "/v/vm", vmid=vmid)).body
    strange = await w.medium("strange")
    assert await w.refused("DELETE", "/v/vm", vmid=vmid, leave=[strange]) == (404, 16311)
    assert await w.refused("DELETE", "/v/vm", vmid=vmid, disks=True, leave=[strange]) == (404, 16311)
    assert "web" in {one["name"] for one in (await shown(w))["vms"]}
    await w.ok("DELETE", "/m/media", mid=strange, purge=True)
    await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True, leave=[mids["b"], mids["iso"]])
    assert await media(w) == {"b", "base", "iso", "theirs"}
    after = await shown(w)
    assert [one["size"] for one in after["trash"]] == [1 << 20]
    await w.ok("PUT", "/t/trash", trid=await trid(w, "web"))
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == before


@pytest.mark.holds("MORE-6")
async def test_it_needs_the_right_to_both_and_so_does_the_trash(w: World) -> None:
    gid = await w.group("team")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=0, write=True, manage=True)
    half = await w.user("half", (gid, "vm.remove"), (gid, "vm.view"))
    whole = await w.user("whole", (gid, "vm.remove"), (gid, "media.remove"))
    vmid, _ = await furnished(w, gid)
    assert "velocity.media.remove" in (await refused(w, 403, 16300, half, vmid=vmid))["message"]
    bare = await w.vm("bare", gid)
    await w.ok("DELETE", "/v/vm", half, vmid=bare, disks=True)
    await w.ok("DELETE", "/v/vm", whole, vmid=vmid, disks=True)
    names = {key: [one["name"] for one in (await w.ok("POST", "/t/trash/list", key))["items"]] for key in (half, whole)}
    assert names == {half: ["bare"], whole: ["web", "bare"]}
    item = await trid(w, "web")
    assert await w.refused("DELETE", "/t/trash", half, trid=item) == (403, 25300)
    assert await w.refused("PUT", "/t/trash", half, trid=item) == (403, 25200)
    await w.ok("PUT", "/t/trash", whole, trid=item)


@pytest.mark.holds("MORE-6")
@pytest.mark.parametrize("where", ["the move of a file", "the commit"])
async def test_what_fails_halfway_leaves_everything(w: World, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vmid, _ = await furnished(w)
    before = await shown(w)

    async def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is on fire")

    owner, name = (type(w.server.storage.trash), "lift") if where == "the move of a file" else (SqlMachines, "remove")
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, broken)
        assert (await w.call("DELETE", "/v/vm", vmid=vmid, disks=True)).status == 500
    assert await shown(w) == before
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (await refused(w, 409, 16320, vmid=vmid))["field"] == "vmid"
