"""What hosts store of VMs that are removed permanently goes, however long they are silent, whichever server leads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from tests.api.test_trash import trid
from tests.api.world import World
from tests.hosts.test_lost import confirm, lost, running
from tests.hosts.together import Other, machine, together
from tests.patience import eventually
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HostId, Unknown
from velocity.machines.hosts import orphans
from velocity.store.purged import SqlPurged

pytestmark = pytest.mark.anyio


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


async def left(w: World) -> list[UUID]:
    return [*await SqlPurged(w.server.database).machines(HostId(2))]


async def check_removed(w: World, b: Other, uuid: UUID) -> None:
    await eventually(lambda: b.fake.machines.forgotten == [uuid], "that it is removed there")
    await w.settle()
    assert await left(w) == []


async def from_the_trash(w: World, vmid: int, gid: int) -> None:
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("DELETE", "/t/trash", trid=await trid(w, "web"))


async def at_once(w: World, vmid: int, gid: int) -> None:
    await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)


async def with_its_group(w: World, vmid: int, gid: int) -> None:
    await w.ok("DELETE", "/u/group", gid=gid, purge=True)


async def with_its_group_from_the_trash(w: World, vmid: int, gid: int) -> None:
    await w.ok("DELETE", "/u/group", gid=gid)
    await w.ok("DELETE", "/t/trash", trid=await trid(w, "team"))


@pytest.mark.holds("DUR-98")
@pytest.mark.parametrize("purge", [at_once, from_the_trash, with_its_group, with_its_group_from_the_trash])
async def test_the_next_server_removes_what_a_silent_host_stores_of_its_last_vm(
    tmp_path: Path, b: Other, purge: Callable[[World, int, int], Awaitable[None]]
) -> None:
    """It cannot tell by what is there, as the data of unknown VMs may be another installation's."""
    async with together(tmp_path / "data", b) as w:
        gid = await w.group("team")
        vmid = await w.vm("web", gid, host=2)
        uuid = machine(w, vmid)
        await lost(w, b)
        await purge(w, vmid, gid)
        assert b.fake.machines.forgotten == []
    async with together(tmp_path / "data", b) as w:
        await w.settle()
        assert b.fake.machines.forgotten == []
        assert await left(w) == [uuid]
        b.fake.faults.heal(b.host)
        await check_removed(w, b, uuid)


@pytest.mark.holds("DUR-98")
async def test_a_server_that_ends_between_the_commit_and_the_removal_leaves_it_to_the_next(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is killed: nothing is removed any more, nor written down."""
    forget, gone = b.fake.machines.forget, True

    async def silent(host: HostId, uuid: UUID, *, deadline: float) -> None:
        if gone:
            raise Unknown("nobody is there any more")
        await forget(host, uuid, deadline=deadline)

    monkeypatch.setattr(b.fake.machines, "forget", silent)
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=2)
        uuid = machine(w, vmid)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)
    gone = False
    async with together(tmp_path / "data", b) as w:
        await check_removed(w, b, uuid)


@pytest.mark.holds("DUR-98")
async def test_a_host_from_which_a_vm_was_evacuated_removes_what_it_stores_of_it(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        uuid = machine(w, vmid)
        await lost(w, b)
        await confirm(w)
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        assert uuid in w.hypervisor.runs
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)
        assert w.hypervisor.machines.forgotten == [uuid]
    async with together(tmp_path / "data", b) as w:
        assert await left(w) == [uuid]
        b.fake.faults.heal(b.host)
        await check_removed(w, b, uuid)


@pytest.mark.holds("DUR-98")
async def test_nothing_is_left_to_do_of_a_host_that_is_removed(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        first, second = await w.vm("first", host=2), await w.vm("second", host=2)
        await w.ok("DELETE", "/v/vm", vmid=second)
        await lost(w, b)
        await w.ok("DELETE", "/v/vm", vmid=first, purge=True)
        assert len(await left(w)) == 1
        await w.ok("DELETE", "/h/node", host=2)
        assert await left(w) == []
        await w.ok("DELETE", "/t/trash", trid=await trid(w, "second"))
        assert await left(w) == [], "nobody waits for a host that is no more"


@pytest.mark.holds("DUR-98")
async def test_a_database_that_fails_after_the_removal_costs_one_more_attempt(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "AGAIN", 0.01)
    removed, failing = SqlPurged.removed, 1

    async def full(self: SqlPurged, host: HostId, uuid: UUID) -> None:
        nonlocal failing
        if failing:
            failing -= 1
            raise Refused(Problem.UNAVAILABLE, "the disk of the database is full")
        await removed(self, host, uuid)

    monkeypatch.setattr(SqlPurged, "removed", full)
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=2)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)
        await eventually(lambda: len(b.fake.machines.forgotten) == 2, "a second attempt")
        await w.settle()
        assert await left(w) == []


@pytest.mark.holds("DUR-98")
async def test_a_removal_that_fails_at_the_first_contact_is_tried_again(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget, tried = b.fake.machines.forget, 0
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=2)
        uuid = machine(w, vmid)
        await lost(w, b)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)

    async def once_silent(host: HostId, uuid: UUID, *, deadline: float) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise Unknown("no answer in time")
        await forget(host, uuid, deadline=deadline)

    monkeypatch.setattr(orphans, "AGAIN", 0.01)
    monkeypatch.setattr(b.fake.machines, "forget", once_silent)
    b.fake.faults.heal(b.host)
    async with together(tmp_path / "data", b) as w:
        await check_removed(w, b, uuid)
    assert tried == 2


@pytest.mark.holds("DUR-98")
async def test_a_removal_that_fails_while_another_one_is_repeated_is_repeated_too(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second VM is removed during the last round for the first one, which does not know of it."""
    monkeypatch.setattr(orphans, "AGAIN", 0.01)
    forget, tried = b.fake.machines.forget, list[UUID]()
    repeated, end = asyncio.Event(), asyncio.Event()

    async def failing(host: HostId, uuid: UUID, *, deadline: float) -> None:
        tried.append(uuid)
        if tried.count(uuid) == 1:
            raise Unknown("no answer in time")
        if uuid == tried[0]:
            repeated.set()
            await end.wait()
        await forget(host, uuid, deadline=deadline)

    async with together(tmp_path / "data", b) as w:
        vmids = [await w.vm(name, host=2) for name in ("first", "second")]
        uuids = [machine(w, vmid) for vmid in vmids]
        monkeypatch.setattr(b.fake.machines, "forget", failing)
        await w.ok("DELETE", "/v/vm", vmid=vmids[0], purge=True)
        await repeated.wait()
        await w.ok("DELETE", "/v/vm", vmid=vmids[1], purge=True)
        end.set()
        await eventually(lambda: b.fake.machines.forgotten == uuids, "that both are removed there")
        await w.settle()
        assert await left(w) == []


@pytest.mark.holds("DUR-98")
async def test_a_host_that_hangs_is_asked_for_one_machine_at_a_time() -> None:
    """Its first contact, and with it the start of the server, waits for this."""
    asked: list[UUID] = []

    class Hanging:
        async def forget(self, host: HostId, machine: UUID, *, deadline: float) -> None:
            asked.append(machine)
            raise Unknown("it hangs")

    class Noted:
        async def machines(self, host: HostId) -> list[UUID]:
            return [UUID(int=one) for one in range(3)]

    data = orphans.MachineData(SimpleNamespace(machines=Hanging()), Noted())  # type: ignore[arg-type]
    try:
        await data.remove_left(HostId(2))
        assert len(asked) == 1
    finally:
        await data.close()
