"""Pools of several hosts: media are made, used and removed where their pool is, and go from one host to another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.images import wait
from tests.api.world import World
from tests.hosts.together import Other, machine, together
from tests.patience import eventually
from velocity.storage.fake.pools import FakeContent, FakePool, Hangs

pytestmark = pytest.mark.anyio

BYTES = bytes(range(256)) * 20_000


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


def objects(pool: FakePool) -> dict[UUID, FakeContent]:
    return {ref.medium: one for ref, one in pool.kept.items()}


async def uploaded(w: World, mpid: int, name: str = "data") -> str:
    answer = await w.upload(BYTES, x_velocity_mpid=str(mpid), x_velocity_name=name, x_velocity_type="DISK")
    return str(answer["mid"])


@pytest.mark.holds("MANY-11")
async def test_media_are_where_their_pool_is(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        pool = b.disks.pools[20]
        made, sent = await w.medium(mpid=20), await uploaded(w, 20)
        assert objects(pool).keys() == {UUID(made), UUID(sent)}
        assert bytes(objects(pool)[UUID(sent)].data) == BYTES
        assert w.files() == []
        pools = (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
        assert [(one["mpid"], one["name"], one["state"]) for one in pools] == [
            (1, "default", "online"),
            (20, "fast", "online"),
        ]
        vmid = await w.vm(media=[{"mid": made, "mode": "VIRTIO"}])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 2, "it goes where its disk is"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        (disk,) = b.fake.runs[machine(w, vmid)].spec.disks
        assert disk.media.pool == 20
        await w.ok("DELETE", "/m/media", mid=sent, purge=True)
        assert objects(pool).keys() == {UUID(made)}


@pytest.mark.holds("MANY-156")
async def test_media_are_listed_that_a_host_s_vms_can_have(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        here, there = await w.medium("here"), await w.medium("there", mpid=20)

        async def listed(**more: Any) -> list[str]:
            return [one["mid"] for one in (await w.ok("POST", "/m/media/list", gid=0, **more))["media"]]

        assert set(await listed()) == {here, there}
        assert (await listed(host=1), await listed(host=2)) == ([here], [there])
        assert await listed(host=2, limit=1) == [there], "a page is of what is left"
        assert await listed(host=9) == []


@pytest.mark.holds("MANY-12")
async def test_a_medium_of_another_host_is_not_attached(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid, vmid = await w.medium(mpid=20), await w.vm(host=1)
        disk = [{"mid": mid, "mode": "VIRTIO"}]
        assert await w.refused("PATCH", "/v/vm", vmid=vmid, media=disk) == (406, 16490)
        answer = await w.call("PATCH", "/v/vm", vmid=vmid, media=disk)
        assert answer["field"] == "media[0].mid"
        assert "is on host 'b'" in answer["message"]
        assert "move the medium into a pool there first" in answer["message"]
        refused = await w.call("PUT", "/v/vm/efi", name="x", gid=0, cpus=1, memory_mib=64, media=disk, host=1)
        assert refused.code == 12280
        assert "is not there" in refused["message"]


@pytest.mark.holds("MANY-12")
async def test_a_vm_does_not_start_without_a_medium_that_was_moved_away(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium()
        vmid = await w.vm(media=[{"mid": mid, "mode": "VIRTIO"}])
        await wait(w, await w.ok("PUT", "/m/media/move", mid=mid, mpid=20))
        assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (406, 13223)
        await wait(w, await w.ok("PUT", "/m/media/move", mid=mid, mpid=1))
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"


@pytest.mark.holds("MANY-59")
async def test_a_disk_does_not_leave_the_host_of_a_vm_that_runs_with_it(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium()
        vmid = await w.vm(media=[{"mid": mid, "mode": "VIRTIO"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        refused = await w.call("PUT", "/m/media/move", mid=mid, mpid=20)
        assert (refused.status, refused["field"]) == (409, "mpid")
        assert "that pool is on another host: stop the VM first" in refused["message"]
        assert b.disks.pools[20].moving == {}
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await wait(w, await w.ok("PUT", "/m/media/move", mid=mid, mpid=20))


@pytest.mark.holds("MANY-13")
@pytest.mark.parametrize("ways", [(1, 20), (20, 1)])
async def test_a_medium_goes_from_host_to_host(tmp_path: Path, b: Other, ways: tuple[int, int]) -> None:
    async with together(tmp_path / "data", b) as w:
        here, there = ways
        mid = await uploaded(w, here)
        await wait(w, await w.ok("PUT", "/m/media/move", mid=mid, mpid=there))
        assert (await w.ok("POST", "/m/media", mid=mid))["mpid"] == there
        assert await content(w, mid) == BYTES
        assert (UUID(mid) in objects(b.disks.pools[20])) is (there == 20)
        assert bool(w.files()) is (there == 1), "nothing of it is left behind"
        assert b.disks.pools[20].moving == {}

        copy = await w.ok("PUT", "/m/media/clone", mid=mid, mpid=here, gid=0, name="copy")
        assert await content(w, (await wait(w, copy))["mid"]) == BYTES


async def content(w: World, mid: str) -> bytes:
    ref = w.server.services.library.get(UUID(mid)).ref
    outgoing = await w.server.services.blobs.get(ref, deadline=10)
    try:
        return await outgoing.read(0, 1 << 24)
    finally:
        await outgoing.close()


@pytest.mark.holds("MANY-13")
async def test_what_is_to_be_made_anew_is_made_on_one_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await uploaded(w, 1)
        for path, more in (("/m/media/clone", {"format": "qcow2"}), ("/m/media/import", {"type": "DISK"})):
            answer = await w.call("PUT", path, mid=mid, mpid=20, gid=0, name="new", **more)
            assert answer.status == 406, answer
            assert "it is on this server's host, and the new one is to be on host 'b'" in answer["message"]
            assert "then move the result" in answer["message"]
        assert b.disks.pools[20].moving == {}


@pytest.mark.holds("MANY-13")
async def test_a_copy_that_is_cancelled_on_its_way_leaves_nothing(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid, pool = await uploaded(w, 1), b.disks.pools[20]
        pool.after(4, Hangs())
        task = (await w.ok("PUT", "/m/media/move", mid=mid, mpid=20))["tid"]
        await eventually(lambda: not pool.answers.is_set())
        cancelling = asyncio.create_task(w.ok("DELETE", "/t/task", tid=task))
        await asyncio.sleep(0)
        pool.wake()
        await cancelling
        await w.settle()
        assert (await w.ok("POST", "/m/media", mid=mid))["mpid"] == 1
        assert await content(w, mid) == BYTES
        assert (pool.kept, pool.moving, pool.trash) == ({}, {}, {})


@pytest.mark.holds("MANY-14")
async def test_a_pool_whose_host_does_not_answer_is_away(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium(mpid=20)
        b.disks.pools[20].state = "away"
        (one,) = [one for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"] if one["mpid"] == 20]
        assert one["state"] == "away"
        assert (await w.call("DELETE", "/m/media", mid=mid)).status == 406
        await w.medium("own")
        b.disks.pools[20].state = "online"
        await w.ok("DELETE", "/m/media", mid=mid)


@pytest.mark.holds("MANY-15")
async def test_a_number_that_two_hosts_declare_is_used_once_and_told(
    tmp_path: Path, b: Other, caplog: pytest.LogCaptureFixture
) -> None:
    c = Other(3, "c", (20, "slow"), (30, "more"))
    async with together(tmp_path / "data", b, c) as w:
        assert "host 'c' declares a pool 20 ('slow'), and so does host 'b'" in caplog.text
        await w.medium(mpid=20)
        assert (len(b.disks.pools[20].kept), len(c.disks.pools[20].kept)) == (1, 0)
        await w.medium("more", mpid=30)
        assert len(c.disks.pools[30].kept) == 1


@pytest.mark.holds("MANY-16")
async def test_pools_come_and_go_with_their_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium(mpid=20)
        await w.server.hosts.detach(b.host)
        assert [one["mpid"] for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"]] == [1]
        gone: dict[str, Any] = (await w.call("PUT", "/m/media/create", mpid=20, gid=0, name="x", size=1)).body
        assert gone["error"]
        await w.server.hosts.attach(b.attached())
        assert [one["mpid"] for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"]] == [1, 20]
        assert UUID(mid) in objects(b.disks.pools[20])
        await w.ok("DELETE", "/m/media", mid=mid, purge=True)
        assert objects(b.disks.pools[20]) == {}
