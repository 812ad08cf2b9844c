"""Pools on storage that several hosts have mounted: one pool, whichever host it is asked of."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from tests.api.asking import ask
from tests.api.images import wait
from tests.api.world import World
from tests.host import hosting
from tests.hosts.sharing import MPID, NAME, Shared
from tests.hosts.together import attaching, machine, together
from tests.patience import at_last, eventually
from velocity.config import PoolSetting
from velocity.contract.problems import Refused
from velocity.hypervisor.port import HostId
from velocity.storage.directory.places import LED, MARK

pytestmark = pytest.mark.anyio

A, B, C = HostId(1), HostId(2), HostId(3)
BYTES = bytes(range(256)) * 20_000


async def uploaded(w: World, mpid: int = MPID, name: str = "data") -> str:
    answer = await w.upload(BYTES, x_velocity_mpid=str(mpid), x_velocity_name=name, x_velocity_type="DISK")
    return str(answer["mid"])


async def content(w: World, mid: str) -> bytes:
    ref = w.server.services.library.get(UUID(mid)).ref
    outgoing = await w.server.services.blobs.get(ref, deadline=10)
    try:
        return await outgoing.read(0, 1 << 24)
    finally:
        await outgoing.close()


def has_it(w: World) -> set[HostId]:
    return set(w.server.hosts.hosts.pool_hosts.of(MPID))


async def asked(w: World) -> None:
    await w.server.hosts.shared.survey(MPID)


@pytest.mark.holds("MANY-105")
async def test_hosts_that_have_the_same_storage_share_one_pool(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    async with shared.server() as w:
        assert has_it(w) == {A, B}
        made, sent = await w.medium(mpid=MPID), await uploaded(w)
        assert shared.files() == {f"{made}.raw", f"{sent}.raw"}
        for host, runs in ((1, w.hypervisor), (2, shared.b.fake)):
            vmid = await w.vm(f"vm{host}", host=host, media=[{"mid": made, "mode": "VIRTIO", "readonly": True}])
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            (disk,) = runs.runs[machine(w, vmid)].spec.disks
            assert disk.media.pool == MPID
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        (one,) = [one for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"] if one["mpid"] == MPID]
        assert one["used"] == (1 << 20) + len(BYTES), "what is in it is counted once"
        await w.ok("DELETE", "/m/media", mid=sent, purge=True)
        assert shared.files() == {f"{made}.raw"}
    async with shared.server() as w:
        assert has_it(w) == {A, B}
        assert w.server.services.library.get(UUID(made)).mpid == MPID


@pytest.mark.holds("MANY-106")
async def test_a_host_without_the_mount_does_not_have_the_pool_and_writes_nothing_below_it(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    shared.b.mounted.unmount()
    async with shared.server() as w:
        assert has_it(w) == {A}
        mid = await w.medium(mpid=MPID)
        disk = [{"mid": mid, "mode": "VIRTIO"}]
        refused = await w.call("PUT", "/v/vm/efi", name="x", gid=0, cpus=1, memory_mib=64, media=disk, host=2)
        assert refused.code == 12280
        told = (await w.ok("POST", "/h/host", host=2))["pools"]
        (pool,) = [one for one in told if one["mpid"] == MPID]
        assert (pool["state"], pool["size"]) == ("away", 0)
        assert "does not reach the storage of the shared pool" in pool["message"]
        assert list(shared.b.mounted.below.iterdir()) == []

        shared.b.mounted.mount()
        await asked(w)
        assert has_it(w) == {A, B}
        vmid = await w.vm(media=disk, host=2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)

        shared.b.mounted.unmount()
        await asked(w)
        assert has_it(w) == {A}
        answer = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert answer.code == 13223
        assert "is in a shared pool that host 'b', where the VM is, does not have" in answer["message"]
        assert list(shared.b.mounted.below.iterdir()) == []


@pytest.mark.holds("MANY-106")
async def test_storage_that_is_unmounted_is_noticed_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shared = Shared(tmp_path)
    async with shared.server() as w:
        shared.b.mounted.unmount()
        w.server.hosts.shared.ask()
        await eventually(lambda: has_it(w) == {A})
        await eventually(lambda: "host 'b' does not reach the storage of the shared pool 7 ('shared')" in caplog.text)


@pytest.mark.holds("MANY-122")
async def test_a_pool_of_one_host_becomes_shared_when_both_say_so(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    alone = [PoolSetting(MPID, NAME, shared.own.path)]
    async with together(tmp_path / "data", pools=alone) as w:
        mid = await uploaded(w)
    async with shared.server() as w:
        assert has_it(w) == {A, B}
        assert await content(w, mid) == BYTES
        await w.ok(
            "PUT", "/v/vm/state", vmid=await w.vm(host=2, media=[{"mid": mid, "mode": "VIRTIO"}]), state="RUNNING"
        )


@pytest.mark.holds("MANY-107")
async def test_a_host_with_another_directory_as_the_pool_is_told_so_and_does_not_have_it(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    (shared.b.mounted.below / MARK).parent.mkdir()
    other = '{"mpid": 7, "identity": "4f6c1a52-0000-4000-8000-000000000000"}\n'
    (shared.b.mounted.below / MARK).write_text(other)
    shared.b.mounted.unmount()
    async with shared.server() as w:
        assert has_it(w) == {A}
        (pool,) = [one for one in (await w.ok("POST", "/h/host", host=2))["pools"] if one["mpid"] == MPID]
        assert "host 'b' has another directory as the shared pool 7 ('shared') than host" in pool["message"]
        assert (shared.b.mounted.below / MARK).read_text() == other


@pytest.mark.holds("MANY-107")
async def test_a_pool_of_another_installation_is_taken_by_no_host(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    mark = shared.storage / MARK
    mark.write_text('{"mpid": 7, "identity": "4f6c1a52-0000-4000-8000-000000000000"}\n')
    async with shared.server() as w:
        assert (await w.call("PUT", "/m/media/create", mpid=MPID, gid=0, name="x", size=4096)).status == 406
        await asked(w)
        assert w.server.hosts.hosts.pool_hosts.identity(MPID) == ""
        assert shared.files() == set()


@pytest.mark.holds("MANY-108")
async def test_a_pool_that_only_one_of_two_hosts_calls_shared_is_a_conflict(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    async with shared.server() as w:
        (own, pool) = shared.b.about["pools"]
        await w.server.hosts.attach(shared.b.attached(pools=(own, type(pool)(MPID, "shared"))))
        assert has_it(w) == {A}
        words = w.server.hosts.hosts.conflicts(B)[MPID]
        assert "only one of them declares it as `shared`" in words


@pytest.mark.holds("MANY-109")
async def test_calls_go_to_the_own_host_and_to_another_as_long_as_that_does_not_have_it(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "b", "c")
    async with shared.server() as w:
        hosts = w.server.hosts.hosts
        assert hosts.host_of(MPID) == A
        first = await uploaded(w)
        shared.own.unmount()
        await asked(w)
        assert hosts.host_of(MPID) == B
        assert await content(w, first) == BYTES
        second = await uploaded(w, name="second")
        assert shared.files() == {f"{first}.raw", f"{second}.raw"}
        shared.own.mount()
        await asked(w)
        assert hosts.host_of(MPID) == B, "who has it is not changed without need"
        hosts.silent[B] = 1
        assert hosts.host_of(MPID) == A
        assert await content(w, second) == BYTES
        del hosts.silent[B]


@pytest.mark.holds("MANY-110")
async def test_a_vm_whose_media_are_shared_can_be_on_each_host_that_has_them(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "b", "c")
    shared.others[1].mounted.unmount()
    async with shared.server() as w:
        mid = await w.medium(mpid=MPID)
        disk = [{"mid": mid, "mode": "VIRTIO", "readonly": True}]
        placed = [await w.vm(f"vm{number}", media=disk, spread="apart") for number in range(4)]
        at = [(await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] for vmid in placed]
        assert sorted(at) == [1, 1, 2, 2]
        answer = await w.call("PUT", "/v/vm/efi", name="x", gid=0, cpus=1, memory_mib=64, media=disk, host=3)
        assert "the pool of" in answer["message"] and "is not there" in answer["message"]
        local = await w.medium("local", mpid=20)
        vmid = await w.vm("both", media=[*disk, {"mid": local, "mode": "VIRTIO"}])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 2, "where the other one is"


@pytest.mark.holds("MANY-111")
async def test_what_one_host_makes_is_not_removed_by_another_that_opens_the_pool(tmp_path: Path) -> None:
    """Neither as it connects nor as it is back, or restarted."""
    shared = Shared(tmp_path)
    async with shared.server() as w:
        services = w.server.services
        mid = await w.medium(mpid=MPID)
        ref = services.library.get(UUID(mid)).ref
        under_way = shared.storage / ".moving" / "2f6c1a52-0000-4000-8000-000000000000.raw"
        under_way.write_bytes(b"half")
        await services.blobs.stat(MPID, (ref,), deadline=10)
        for _ in range(2):
            shared.b.storage = None
            await w.server.hosts.attach(shared.b.attached())
            shared.own.unmount()
            await asked(w)
            await w.medium(f"by-b-{_}", mpid=MPID)
            shared.own.mount()
            w.server.hosts.hosts.silent[B] = 1
            await asked(w)
            await w.medium(f"by-a-{_}", mpid=MPID)
            del w.server.hosts.hosts.silent[B]
            assert under_way.read_bytes() == b"half"
    async with shared.server():
        assert not under_way.exists(), "the next server puts it in order, before anybody works in it"
        assert len(shared.files()) == 5


@pytest.mark.holds("MANY-112")
@pytest.mark.parametrize("ways", [(20, MPID), (MPID, 20)])
async def test_a_medium_is_made_anew_on_a_host_that_has_both_pools(tmp_path: Path, ways: tuple[int, int]) -> None:
    """Also what cannot be done between two hosts."""
    shared = Shared(tmp_path)
    async with shared.server() as w:
        here, there = ways
        mid = await uploaded(w, here)
        task = await w.ok("PUT", "/m/media/clone", mid=mid, mpid=there, gid=0, name="copy", format="qcow2")
        made = await wait(w, task)
        assert (await w.ok("POST", "/m/media", mid=made["mid"]))["mpid"] == there
        await wait(w, await w.ok("PUT", "/m/media/move", mid=mid, mpid=there))
        assert await content(w, mid) == BYTES
        assert shared.files(".moving") == set()
        assert len(shared.files()) == (2 if there == MPID else 0)


@pytest.mark.holds("MANY-112")
async def test_a_disk_moves_under_a_vm_that_runs_into_the_shared_pool_and_back(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    async with shared.server() as w:
        mid = await w.medium(mpid=20)
        vmid = await w.vm(media=[{"mid": mid, "mode": "VIRTIO"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        for there in (MPID, 20):
            await wait(w, await w.ok("PUT", "/m/media/move", mid=mid, mpid=there))
            (disk,) = shared.b.fake.runs[machine(w, vmid)].spec.disks
            assert disk.media.pool == there
        assert shared.files() == shared.files(".moving") == set()


@pytest.mark.holds("MANY-113")
async def test_a_pool_that_the_servers_own_host_does_not_declare_is_the_others(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "b", "c")
    shared.b.mounted.path.unlink()
    async with shared.server(own=False) as w:
        mid = await w.medium(mpid=MPID)
        assert has_it(w) == {C}
        assert shared.files() == {f"{mid}.raw"}
        assert not shared.b.mounted.path.exists(), "its directory is not made"
        shared.b.mounted.mount()
        await asked(w)
        assert has_it(w) == {B, C}
    shared.b.mounted.unmount()
    async with shared.server(own=False) as w:
        assert has_it(w) == {C}
        assert await content(w, mid) == bytes(1 << 20)
        assert list(shared.b.mounted.below.iterdir()) == []


@pytest.mark.holds("MANY-114")
async def test_trash_and_quota_of_a_shared_pool_are_one(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    async with shared.server() as w:
        gid = await w.group("team")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=MPID, quota=2 << 20, write=True, manage=True)
        mid = await w.medium(mpid=MPID, gid=gid)
        shared.own.unmount()
        await asked(w)
        await w.medium("second", mpid=MPID, gid=gid)
        refused = await w.call("PUT", "/m/media/create", mpid=MPID, gid=gid, name="third", size=4096)
        assert refused.status == 406
        await w.ok("DELETE", "/m/media", mid=mid)
        assert shared.files(".trash") == {f"{mid}.raw"}
        shared.own.mount()
        w.server.hosts.hosts.silent[B] = 1
        await asked(w)
        (item,) = (await w.ok("POST", "/t/trash/list", gid=gid))["items"]
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert f"{mid}.raw" in shared.files()
        del w.server.hosts.hosts.silent[B]


@pytest.mark.holds("MANY-115")
async def test_a_shared_pool_says_which_hosts_have_it_and_is_measured_once(tmp_path: Path) -> None:
    shared = Shared(tmp_path, "b", "c")
    shared.others[1].mounted.unmount()
    async with shared.server() as w:
        own = {"id": 1, "name": w.server.hosts.hosts.own.name}
        (one,) = [one for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"] if one["mpid"] == MPID]
        assert one["hosts"] == [own, {"id": 2, "name": "b"}]
        assert "host" not in one
        (here,) = [one for one in (await w.ok("POST", "/h/host"))["pools"] if one["mpid"] == MPID]
        assert (here["shared"], here["state"]) == (True, "online")
        headers = {"authorization": f"Bearer {w.key}", "accept": "application/openmetrics-text"}
        _, text = await ask(w.server.asgi, "GET", "/metrics", b"", headers)
        told = [line for line in text.decode().splitlines() if line.startswith("velocity_pool_free_bytes{")]
        (line,) = [line for line in told if f'mpid="{MPID}"' in line and 'host="c"' not in line]
        assert "host=" not in line


@pytest.mark.holds("MANY-115")
def test_the_command_line_shows_which_hosts_have_a_shared_pool(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    with hosting(tmp_path / "data", attach=attaching(*shared.others), pools=shared.pools()) as host:
        host.ok("media", "create", "disk", "--size", "1M", "--pool", "shared")
        listed = {line.split()[1]: line for line in host.ok("pool", "list").splitlines()}
        assert listed["shared"].endswith(", b")
        assert listed["own-b"].endswith(" b")
        assert "online, shared" in host.ok("host", "show", "b")
        shared.b.mounted.unmount()
        host.loop.call_soon_threadsafe(host.app.hosts.shared.ask)
        lacks = "host 'b' does not reach the storage of the shared pool 7"
        at_last(lambda: lacks in host.run("host", "show", "b").stderr, "that it is told")


@pytest.mark.holds("MANY-123")
async def test_a_server_whose_place_another_has_taken_changes_nothing_in_a_shared_pool(tmp_path: Path) -> None:
    shared = Shared(tmp_path)
    async with shared.server() as w:
        mid = await w.medium(mpid=MPID)
        vmid = await w.vm(host=1, media=[{"mid": mid, "mode": "VIRTIO"}])
        led = shared.storage / LED
        mine = int(led.read_text())
        led.write_text(f"{mine + 1}\n")
        files = {place: shared.files(place) for place in (".", ".moving", ".trash")}
        for method, path, body in (
            ("PUT", "/m/media/create", {"mpid": MPID, "gid": 0, "name": "x", "size": 4096}),
            ("PUT", "/v/vm/state", {"vmid": vmid, "state": "RUNNING"}),
            ("DELETE", "/m/media", {"mid": mid, "purge": True}),
        ):
            assert (await w.call(method, path, **body)).status in (406, 409), path
        (pool,) = [one for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"] if one["mpid"] == MPID]
        assert "another server has taken this one's place there" in pool["message"]
        with pytest.raises(Refused):
            w.server.storage.files.open(w.server.services.library.get(UUID(mid)).ref, readonly=False)
        assert {place: shared.files(place) for place in files} == files
        led.unlink()
        await w.medium("again", mpid=MPID)
    async with shared.server():
        assert int(led.read_text()) > mine


@pytest.mark.holds("MANY-251")
async def test_a_shared_disk_does_not_grow_once_its_vm_has_begun_to_move(tmp_path: Path) -> None:
    """Also where it was asked for before that, and waits for its turn."""
    shared = Shared(tmp_path)
    async with shared.server() as w:
        mid = await w.medium(mpid=MPID)
        vmid = await w.vm(host=1, media=[{"mid": mid, "mode": "VIRTIO"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        hosts, asked, answers = shared.b.fake.hosts, asyncio.Event(), asyncio.Event()
        free = hosts.memory_free

        async def late(host: HostId, *, deadline: float) -> int:
            asked.set()
            await answers.wait()
            return await free(host, deadline=deadline)

        hosts.memory_free = late  # type: ignore[method-assign]
        begins = asyncio.create_task(w.call("PUT", "/v/vm/host", vmid=vmid, host=2))
        await asked.wait()
        grows = asyncio.create_task(w.call("PATCH", "/m/media", mid=mid, size=2 << 20))
        await eventually(lambda: grows_now(shared.path / "data" / "velocity.db"), "its turn")
        answers.set()
        begun, grown = await begins, await grows
        assert (begun.status, grown.status, grown.code) == (200, 409, 14423)
        assert (await wait(w, begun))["state"] == "DONE"
        await w.ok("PATCH", "/m/media", mid=mid, size=2 << 20)


def grows_now(file: Path) -> bool:
    """Whether it is kept of a medium that it is to grow, which comes just before it is asked to."""
    with closing(sqlite3.connect(file)) as database:
        return bool(database.execute("select mid from media where growing").fetchall())
