"""Refusals that no other test meets: each is answered as its operation declares it, and changes nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.api.host_changes import joined_node, joining_node
from tests.api.test_guests import inhabited, refusing, silent, uuid
from tests.api.test_sick_pools import two_pools
from tests.api.world import World, world
from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.storage.port import PoolState

pytestmark = pytest.mark.anyio
URL = "http://192.0.2.1/disk.raw"


async def team(w: World, *, manage: bool) -> int:
    """A group with the pool 1."""
    gid = await w.group("team")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=manage)
    return gid


async def test_what_a_clone_of_a_vm_does_not_fit_into(w: World) -> None:
    gid = await team(w, manage=True)
    vmid = await w.vm("source", cpus=2, memory_mib=128)
    clone: dict[str, Any] = {"vmid": vmid, "gid": gid, "name": "copy"}
    await w.ok("PUT", "/u/group/quota", gid=gid, cpus=1)
    assert await w.refused("PUT", "/v/vm/clone", **clone) == (406, 39220)
    await w.ok("PUT", "/u/group/quota", gid=gid, memory_mib=64)
    assert await w.refused("PUT", "/v/vm/clone", **clone) == (406, 39221)
    assert [one["name"] for one in (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]] == []


async def test_a_group_without_the_right_to_manage_media_makes_none(w: World) -> None:
    """Of a group that does not exist, a fetch was answered with 500."""
    managing = await team(w, manage=True)
    mid = await w.medium(gid=managing)
    await w.ok("PUT", "/m/pool/assign", gid=managing, mpid=1, write=True, manage=False)
    assert await w.refused("PUT", "/m/media/convert", mid=mid, format="qcow2") == (403, 42201)
    fetch: dict[str, Any] = {"mpid": 1, "name": "fetched", "url": URL}
    assert await w.refused("PUT", "/m/media/fetch", gid=managing, **fetch) == (403, 49201)
    assert await w.refused("PUT", "/m/media/fetch", gid=99, **fetch) == (404, 49210)
    assert await w.refused("PUT", "/m/media/fetch", gid=managing, **fetch | {"mpid": 9}) == (404, 49211)


async def test_what_a_pool_that_is_no_longer_declared_still_holds_is_not_changed(tmp_path: Path) -> None:
    pools = two_pools(tmp_path)["pools"]
    async with world(tmp_path / "data", pools=pools) as w:
        gid, mid = await team(w, manage=True), await w.medium(mpid=2)
        vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
    async with world(tmp_path / "data", pools=pools[:1]) as w:
        assert await w.refused("PATCH", "/m/media", mid=mid, name="new") == (404, 14411)
        assert await w.refused("PUT", "/m/media/convert", mid=mid, format="qcow2") == (404, 42212)
        assert await w.refused("PUT", "/v/vm/move", vmid=vmid, gid=gid) == (404, 50212)


@pytest.mark.holds("DUR-95")
@pytest.mark.parametrize("purge", [True, False])
async def test_what_a_pool_that_is_no_longer_declared_still_holds_can_be_deleted(tmp_path: Path, purge: bool) -> None:
    """Or else it would be listed for ever where the pool was a disk, or a host, that is gone for good."""
    pools = two_pools(tmp_path)["pools"]
    async with world(tmp_path / "data", pools=pools) as w:
        mid = (await w.upload(b"x" * 512, x_velocity_type="DISK", x_velocity_mpid="2"))["mid"]
        file = next((tmp_path / "usb").glob(f"{mid}*"))
    async with world(tmp_path / "data", pools=pools[:1]) as w:
        await w.ok("DELETE", "/m/media", mid=mid, purge=purge)
        assert (await w.ok("POST", "/m/media/list", gid=0))["media"] == []
        items = (await w.ok("POST", "/t/trash/list"))["items"]
        assert [one["id"] for one in items] == ([] if purge else [mid])
        if not purge:
            assert await w.refused("PUT", "/t/trash", trid=items[0]["trid"]) == (404, 25213)
    async with world(tmp_path / "data", pools=pools) as w:
        if not purge:
            assert not file.exists(), "it is in the pool's trash"
            await w.ok("PUT", "/t/trash", trid=items[0]["trid"])
        assert file.read_bytes() == b"x" * 512, "nothing removes a file whose pool was not there to be asked"


async def test_a_medium_does_not_go_where_its_group_may_not_manage_media(w: World) -> None:
    gid, mid = await team(w, manage=False), await w.medium()
    assert await w.refused("PUT", "/m/media/move", mid=mid, gid=gid) == (403, 43201)


async def test_a_medium_of_a_group_that_is_being_deleted_is_not_changed(w: World) -> None:
    gid = await team(w, manage=True)
    mid, pools = await w.medium(gid=gid), w.server.storage.pools
    looks, goes_on, state = asyncio.Event(), asyncio.Event(), pools.state

    async def slow(pool: int, *, deadline: float) -> PoolState | None:
        looks.set()
        await goes_on.wait()
        return await state(pool, deadline=deadline)

    pools.state = slow  # type: ignore[method-assign]
    deleting = asyncio.create_task(w.ok("DELETE", "/u/group", gid=gid, force=True))
    await looks.wait()
    assert await w.refused("PATCH", "/m/media", mid=mid, name="new") == (404, 14412)
    assert await w.refused("PUT", "/m/media/convert", mid=mid, format="qcow2") == (404, 42211)
    goes_on.set()
    await deleting


async def test_a_medium_is_not_converted_without_room_for_its_copy(w: World) -> None:
    mid = (await w.upload(os.urandom(1 << 20), x_velocity_type="DISK"))["mid"]
    w.directory(1).free = lambda: 1000  # type: ignore[method-assign]
    assert await w.refused("PUT", "/m/media/convert", mid=mid, format="qcow2") == (406, 42221)
    assert (await w.ok("POST", "/m/media", mid=mid))["format"] == "raw"


async def test_a_group_with_all_the_media_that_it_may_have_fetches_none(tmp_path: Path) -> None:
    async with world(tmp_path / "data", group_media=1) as w:
        await w.medium()
        assert await w.refused("PUT", "/m/media/fetch", gid=0, mpid=1, name="fetched", url=URL) == (406, 49221)


async def test_a_clone_needs_what_its_source_needs_of_the_host(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        bridged = await w.vm("bridged", nics=[{"type": "BRIDGE", "host": 5}])
        modelled = await w.vm("modelled", cpu="Fake")
    other = FakeHypervisor(dataclasses.replace(FACTS, cpu_models={}))
    async with world(tmp_path / "data", other, nics=[]) as w:
        assert await w.refused("PUT", "/v/vm/clone", vmid=bridged, gid=0, name="copy") == (404, 39214)
        assert await w.refused("PUT", "/v/vm/clone", vmid=modelled, gid=0, name="copy") == (406, 39240)


async def test_a_pool_that_is_away_keeps_what_needs_it(tmp_path: Path) -> None:
    async with world(tmp_path / "data", **two_pools(tmp_path)) as w:
        mid = await w.medium(mpid=2)
        vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
        shutil.move(tmp_path / "usb", tmp_path / "unplugged")
        (tmp_path / "usb").mkdir()
        assert await w.refused("DELETE", "/v/vm", vmid=vmid, disks=True) == (406, 16323)
        assert await w.refused("PUT", "/v/vm/clone", vmid=vmid, gid=0, name="copy") == (406, 39228)
        assert await w.refused("PUT", "/m/media/fetch", gid=0, mpid=2, name="fetched", url=URL) == (406, 49222)
        shutil.rmtree(tmp_path / "usb")
        shutil.move(tmp_path / "unplugged", tmp_path / "usb")
        await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True)


async def test_a_guest_is_shown_to_who_may_view_its_vm(w: World) -> None:
    vmid, _ = await inhabited(w)
    key = await w.user("bob", (0, "media.list"))
    assert await w.refused("POST", "/v/vm/guest", key, vmid=vmid) == (403, 44100)


async def test_a_vm_without_an_agent_is_not_thawed(w: World) -> None:
    vmid = await w.vm()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("PUT", "/v/vm/thaw", vmid=vmid, _plan=False) == (406, 41222)


async def test_an_agent_that_does_not_thaw_is_told_of(w: World) -> None:
    vmid, _ = await inhabited(w)
    agents = w.hypervisor.guests.agents
    agents[uuid(w, vmid)] = refusing
    assert await w.refused("PUT", "/v/vm/thaw", vmid=vmid, _plan=False) == (406, 41223)
    agents[uuid(w, vmid)] = silent
    assert await w.refused("PUT", "/v/vm/thaw", vmid=vmid, _plan=False) == (500, 41231)


async def test_a_restart_that_the_hypervisor_refuses_is_answered_so(w: World) -> None:
    vmid = await w.vm()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    w.hypervisor.faults.lose(1)  # type: ignore[arg-type]
    assert await w.refused("PUT", "/v/vm/restart", vmid=vmid, _plan=False) == (500, 38230)


async def test_who_may_see_hosts_and_what_a_join_is_refused_for(w: World) -> None:
    gid = await w.group("team")
    nobody = await w.user("nobody", (gid, "vm.view"))
    assert await w.refused("POST", "/h/node", nobody, host=1) == (403, 57101)
    host = await joined_node(w, "b")
    own = (await w.ok("POST", "/h/node", host=1))["name"]
    assert await w.refused("PATCH", "/h/node", host=host, name=own) == (409, 57420)
    assert await w.refused("PUT", "/h/node/token", host=99) == (404, 58210)
    assert await w.refused("PUT", "/h/node/token", host=1) == (406, 58221)
    sent = await joining_node(w, "b")
    assert await w.refused("PUT", "/h/node/join", "", _plan=False, **sent) == (409, 59220)
    same = await joining_node(w, "c", uuid=(await w.ok("POST", "/h/node", host=host))["uuid"])
    assert await w.refused("PUT", "/h/node/join", "", _plan=False, **same) == (409, 59221)
    unsigned = await joining_node(w, "d", request="no request")
    assert await w.refused("PUT", "/h/node/join", "", _plan=False, **unsigned) == (406, 59222)
    for _ in range(97):
        await w.ok("PUT", "/h/node/token")
    assert await w.refused("PUT", "/h/node/token") == (409, 58220)
    assert [one["name"] for one in (await w.ok("POST", "/h/node/list"))["nodes"]] == [own, "b"]
