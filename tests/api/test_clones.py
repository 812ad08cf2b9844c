"""A VM is cloned with its disks, as one task: all of it comes to be, or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.images import is_cancelling, wait
from tests.api.media_changes import hang
from tests.api.test_with_disks import furnished, shown
from tests.api.world import Answer, World, world
from tests.patience import PATIENCE, eventually
from velocity.config import PoolSetting
from velocity.hypervisor.fake import FakeHypervisor
from velocity.machines.changes.cloning import name_of_copy, names_of_copies
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.storage.port import HOST_POOL, Belongs, variables
from velocity.store.machines import SqlMachines

pytestmark = pytest.mark.anyio


def bytes_of(w: World, mid: str) -> bytes:
    return (w.data / "media" / f"{mid}.raw").read_bytes()


async def clone(w: World, vmid: int, _key: str | None = None, **more: Any) -> Any:
    return await wait(w, await w.ok("PUT", "/v/vm/clone", _key, **{"vmid": vmid, "gid": 0, "name": "db", **more}))


async def run_once(w: World, vmid: int) -> UUID:
    """It has run, and its firmware has written variables: its uuid."""
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    uuid = w.server.services.fleet.get(vmid).machine.uuid
    await w.server.storage.pools.open(0, (), (), (), deadline=10)
    put = await w.server.storage.blobs.put(variables(uuid), deadline=10)
    await put.write(b"boot entries")
    await put.finish()
    await put.close()
    await w.server.storage.trash.settle(variables(uuid), Belongs.KEPT, deadline=10)
    return uuid


def kept(w: World, uuid: UUID) -> bytes | None:
    file = w.data / "machines" / str(uuid) / "vars.qcow2"
    return file.read_bytes() if file.exists() else None


def of_machines(w: World) -> list[Path]:
    return sorted(file for file in (w.data / "machines").rglob("*") if file.is_file())


@pytest.mark.holds("MORE-7")
async def test_a_clone_has_copies_of_the_disks_and_all_settings_but_what_is_the_others_own(w: World) -> None:
    vmid, mids = await furnished(w)
    await w.ok("PATCH", "/v/vm", vmid=vmid, nics=[{"type": "NAT"}, {"type": "BRIDGE", "host": 5}], autostart=True)
    uuid = await run_once(w, vmid)
    (w.data / "media" / f"{mids['a']}.raw").write_bytes(b"a" * (1 << 20))
    was = (await w.ok("POST", "/v/vm", vmid=vmid)).body
    before = await shown(w)
    task = await clone(w, vmid, leave=[mids["b"]])
    assert (task["state"], task["kind"], task["name"], "mid" in task) == ("DONE", "clone_vm", "db", False), task
    assert task["done"] == task["total"] > 0
    assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == was, "the other one is as it was"
    made = (await w.ok("POST", "/v/vm", vmid=task["vmid"])).body
    differ = {"vmid", "name", "media", "interfaces", "nics", "autostart", "revision", "warnings", "created"}
    assert {name: value for name, value in made.items() if name not in differ} == {
        name: value for name, value in was.items() if name not in differ
    }
    assert (made["autostart"], [one["type"] for one in made["nics"]]) == (False, ["NAT", "BRIDGE"])
    assert not {one["mac"] for one in made["interfaces"]} & {one["mac"] for one in was["interfaces"]}
    media = {one["mid"]: one for one in (await shown(w))["media"]}
    names = [media[one["mid"]]["name"] for one in made["media"]]
    assert names == ["db-a", "base", "iso", "db-theirs"], "in their order; what it only reads is shared"
    copy = made["media"][0]["mid"]
    assert (bytes_of(w, copy), copy != mids["a"]) == (b"a" * (1 << 20), True)
    assert kept(w, w.server.services.fleet.get(task["vmid"]).machine.uuid) == kept(w, uuid) == b"boot entries"
    assert (await shown(w))["used"] == before["used"] + (2 << 20)
    for one in (vmid, task["vmid"]):
        await w.ok("PUT", "/v/vm/state", vmid=one, state="RUNNING")


@pytest.mark.holds("PAGE-83")
async def test_the_history_of_a_clone_begins_with_who_made_it_of_what(w: World) -> None:
    gid, vmid = await w.group("team"), await w.vm("web")
    ann = await w.user("ann", (gid, "vm.create"), (0, "vm.view"))
    task = await clone(w, vmid, ann, gid=gid)
    assert task["state"] == "DONE", task
    await w.written()
    (told,) = (await w.ok("POST", "/t/history", gid=gid, vmid=task["vmid"]))["entries"]
    assert (told["operation"], told["name"], told["status"]) == ("create_vm", "ann", 200)
    assert told["target"] == f"gid={gid} vmid={task['vmid']} cloned={vmid} name=db"


@pytest.mark.holds("MORE-7")
async def test_a_clone_into_another_group_counts_there(w: World) -> None:
    vmid, mids = await furnished(w)
    gid = await w.group("team")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=3 << 20, write=True, manage=True)
    ann = await w.user("ann", (gid, "vm.create"), (gid, "media.create"), (0, "vm.view"), (0, "media.list"))
    task = await clone(w, vmid, ann, gid=gid, fresh_firmware=True)
    assert task["state"] == "DONE", task
    made = (await w.ok("POST", "/v/vm", vmid=task["vmid"])).body
    media = (await w.ok("POST", "/m/media/list", gid=gid))["media"]
    assert ([one["name"] for one in media], made["gid"]) == (["db-a", "db-b", "db-theirs"], gid)
    assert (await w.ok("POST", "/u/group/quota", gid=gid))["usage"]["vms"] == 1
    assert await w.refused("PUT", "/v/vm/clone", ann, vmid=vmid, gid=gid, name="more") == (406, 39225)
    assert mids["a"] not in {one["mid"] for one in made["media"]}


@pytest.mark.holds("MORE-8")
@pytest.mark.parametrize("ends", ["cancelled", "failed", "refused at the commit", "its right taken"])
async def test_a_clone_that_does_not_end_well_leaves_nothing(
    w: World, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vmid, _ = await furnished(w)
    await run_once(w, vmid)
    ann = await w.user("ann", (0, "vm.create"), (0, "media.create"), (0, "vm.view"), (0, "media.list"))
    before, machines = await shown(w), of_machines(w)

    async def fails(*_: object, **__: object) -> Any:
        raise OSError("the disk is on fire")

    if ends == "failed":
        w.images.convert = fails  # type: ignore[method-assign]
    elif ends == "refused at the commit":
        monkeypatch.setattr(SqlMachines, "add", fails)
    else:
        hangs = hang(w)
    tid = (await w.ok("PUT", "/v/vm/clone", ann, vmid=vmid, gid=0, name="db"))["tid"]
    if ends in ("cancelled", "its right taken"):
        await asyncio.wait_for(hangs.wait(), PATIENCE)
        assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (409, 13224), "its disks are read"
        assert (await w.call("PUT", "/v/vm/efi", name="db", gid=0, cpus=1, memory_mib=64)).code == 12223
    if ends == "cancelled":
        assert (await w.ok("DELETE", "/t/task", ann, tid=tid))["state"] == "CANCELLED"
    elif ends == "its right taken":
        uid = await w.uid("ann")
        await w.ok("DELETE", "/u/user/permission", uid=uid, gid=0, permission="velocity.vm.create")
    task = await wait(w, Answer(200, {"tid": tid}))
    assert task["state"] == ("CANCELLED" if ends == "cancelled" else "FAILED")
    await w.settle()
    assert await shown(w) == before
    monkeypatch.undo()
    assert of_machines(w) == machines, "nor are there firmware variables of it"
    await w.vm("db")


async def test_a_clone_that_is_cancelled_as_its_variables_are_copied_leaves_none(tmp_path: Path) -> None:
    """The copy goes on in the VM's turn."""
    data, host = tmp_path / "data", FakeHost((HOST_POOL, "host"), (1, "media"))
    own, pools = host.pools[HOST_POOL], [PoolSetting(mpid=1, name="media", path=data / "media")]
    async with world(data, storage=lambda _: connect(host), pools=pools) as w:
        vmid, _ = await furnished(w)
        uuid = await run_once(w, vmid)
        own.puts.clear()
        tid = (await w.ok("PUT", "/v/vm/clone", vmid=vmid, gid=0, name="db"))["tid"]
        async with asyncio.timeout(PATIENCE):
            await own.putting.wait()
            cancelling = asyncio.create_task(w.ok("DELETE", "/t/task", tid=tid))
            await eventually(lambda: is_cancelling(tid))
            own.puts.set()
            assert (await cancelling)["state"] == "CANCELLED"
        await w.settle()
        assert ([*own.kept], own.moving, own.left) == ([variables(uuid)], {}, {})


@pytest.mark.holds("MORE-8")
async def test_a_clone_that_the_servers_end_cut_short_leaves_nothing(tmp_path: Path, anyio_backend: str) -> None:
    hypervisor = FakeHypervisor()
    async with world(tmp_path / "data", hypervisor) as w:
        vmid, _ = await furnished(w)
        hangs = hang(w)
        before = await shown(w)
        tid = (await w.ok("PUT", "/v/vm/clone", vmid=vmid, gid=0, name="db"))["tid"]
        await asyncio.wait_for(hangs.wait(), PATIENCE)
        key = w.key
    async with world(tmp_path / "data", hypervisor) as w:
        w.key = key
        assert (await w.ok("POST", "/t/task", tid=tid))["state"] == "FAILED"
        assert await shown(w) == before
        assert (await clone(w, vmid))["state"] == "DONE"


@pytest.mark.holds("MORE-9")
async def test_what_a_clone_needs_is_checked_before_it_begins(w: World) -> None:
    vmid, mids = await furnished(w)
    gid = await w.group("team")
    eve = await w.user("eve", (gid, "vm.create"), (gid, "media.create"))
    half = await w.user("half", (0, "vm.create"), (0, "vm.view"), (0, "media.list"))
    before = await shown(w)

    async def refused(key: str | None = None, **more: Any) -> tuple[int, int]:
        return await w.refused("PUT", "/v/vm/clone", key, **{"vmid": vmid, "gid": 0, "name": "db", **more})

    assert await refused(eve, gid=gid) == (404, 39211), "a VM that one may not see"
    assert await refused(eve, gid=gid, vmid=999) == (404, 39211)
    assert await refused(half) == (403, 39200)
    assert (await w.call("PUT", "/v/vm/clone", half, vmid=vmid, gid=0, name="db"))["field"] == "leave"
    assert await refused(name="web") == (409, 39223)
    assert await refused(leave=[mids["a"], "5f0c6f0e-6f0b-4c53-9f6e-0d6f2b1c7a10"]) == (404, 39212)
    assert await refused(mpid=77) == (404, 39213)
    assert await refused(gid=gid) == (403, 39201), "the group has no pool"
    taken = await w.medium("db-b")
    assert await refused() == (409, 39224)
    await w.ok("DELETE", "/m/media", mid=taken, purge=True)
    await w.ok("PUT", "/u/group/quota", gid=0, vms=1)
    assert await refused() == (406, 39222)
    await w.ok("PUT", "/u/group/quota", gid=0)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await refused() == (409, 39227)
    assert await refused(fresh_firmware=True) == (409, 39226), "it writes to its disks"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert await shown(w) == before
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    own = [mids["a"], mids["b"], mids["theirs"]]
    task = await clone(w, vmid, half, leave=own, fresh_firmware=True)
    assert task["state"] == "DONE", "one that runs is cloned without its disks"
    await asyncio.sleep(0)


def test_a_copy_is_called_after_its_vm() -> None:
    assert name_of_copy("web-disk", "web", "db") == "db-disk"
    assert name_of_copy("data", "web", "db") == "db-data"
    assert name_of_copy("web", "web", "db") == "db"
    assert len(name_of_copy("x" * 128, "web", "y" * 128)) == 128


@pytest.mark.holds("MORE-23")
async def test_copies_of_disks_are_told_apart(w: World) -> None:
    disks = [{"mid": await w.medium(name), "mode": "BLOCK", "readonly": False} for name in ("web-disk", "disk")]
    vmid = await w.vm("web", media=disks)
    assert (await clone(w, vmid))["state"] == "DONE"
    assert {"db-disk", "db-disk-2"} <= {one["name"] for one in (await shown(w))["media"]}
    long = ["x" * 128, "x" * 127 + "y", "x" * 126 + "zz"]
    assert len({name[:128] for name in names_of_copies(long, "web", "w" * 128)}) == 3
