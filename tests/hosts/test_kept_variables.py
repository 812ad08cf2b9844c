"""Firmware variables of VMs that could start elsewhere: copies in the database, and a start that brings them."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

import pytest

from tests.api.world import World
from tests.hosts.test_lost import confirm, lost, running, shown
from tests.hosts.together import Other, machine, together
from velocity.contract.problems import Problem, Refused
from velocity.storage.fake.pools import FakeContent
from velocity.storage.port import HOST_POOL, variables
from velocity.store.variables import SqlVariables

pytestmark = pytest.mark.anyio

FIRST, SECOND = b"boot 0001".ljust(4096, b"\xff"), b"boot 0002"


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


def written(b: Other, uuid: UUID, content: FakeContent | None = None) -> FakeContent:
    """What the guest's firmware has there."""
    made = b.disks.pools[HOST_POOL].kept[variables(uuid)] = content or FakeContent(data=FIRST)
    return made


async def looked(w: World, times: int = 2) -> None:
    """It takes two looks: that it has changed, and that it stands still."""
    for _ in range(times):
        await w.server.services.fleet.variables.look()


def told(w: World, vmid: int) -> bool:
    """Whether there is a copy."""
    keeper = w.server.services.fleet.get(vmid)
    return w.server.services.fleet.variables.told(keeper.machine) != ""


def here(w: World, uuid: UUID) -> Path:
    """Where the server's own host has them."""
    return w.data / "machines" / str(uuid) / "vars.qcow2"


async def brought(w: World, b: Other, vmid: int) -> bytes:
    """What a start on the server's host finds there after b was lost."""
    await lost(w, b)
    await confirm(w)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (await shown(w, vmid))["host"]["id"] == 1
    return here(w, machine(w, vmid)).read_bytes()


async def test_why_they_cannot_be_copied_is_logged_once(
    tmp_path: Path, b: Other, caplog: pytest.LogCaptureFixture
) -> None:
    def logged() -> int:
        return sum("the firmware variables on b cannot be copied now" in one.message for one in caplog.records)

    async with together(tmp_path / "data", b) as w:
        await running(w)
        b.disks.pools[HOST_POOL].state = "away"
        await looked(w, 3)
        assert logged() == 1
        b.disks.pools[HOST_POOL].state = "online"
        await looked(w)
        b.disks.pools[HOST_POOL].state = "away"
        await looked(w)
        assert logged() == 2, "it was well in between"


@pytest.mark.holds("MANY-176")
async def test_firmware_variables_outlive_their_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid, fake = await running(w), w.hypervisor
        uuid = machine(w, vmid)
        content = written(b, uuid)
        await looked(w)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        content.write(0, SECOND)
        await looked(w)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        here(w, uuid).parent.mkdir(parents=True, exist_ok=True)
        here(w, uuid).write_bytes(b"of an earlier time on this host")
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        await lost(w, b)
        await confirm(w)
        reason = (await shown(w, vmid))["reason"]["message"]
        assert ": a start brings it to another host, with the firmware variables of 20" in reason
        plan = await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING", plan=True)
        assert plan["steps"]
        assert here(w, uuid).read_bytes() == b"of an earlier time on this host", "a plan brings nothing"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert here(w, uuid).read_bytes() == bytes(content.data)
        assert here(w, uuid).read_bytes().startswith(SECOND)


@pytest.mark.holds("MANY-177")
async def test_what_is_being_written_to_is_not_copied(tmp_path: Path, b: Other) -> None:
    class Restless(FakeContent):
        """It is written to whenever it is read."""

        def read(self, offset: int, length: int) -> bytes:
            self.writes += 1
            return super().read(offset, length)

    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        content = written(b, machine(w, vmid))
        for _ in range(3):
            await looked(w, 1)
            content.write(0, SECOND)
        assert not told(w, vmid), "it has never stood still"
        content = written(b, machine(w, vmid), Restless(data=FIRST))
        await looked(w, 3)
        assert not told(w, vmid), "it has changed under the copy"


@pytest.mark.holds("MANY-177")
async def test_a_guest_that_writes_to_its_variables_all_the_time_has_one_copy(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        content = written(b, machine(w, vmid))
        await looked(w)
        assert told(w, vmid)
        content.write(0, SECOND)
        await looked(w, 3)
        assert await brought(w, b, vmid) == FIRST, "less than a minute ago"


@pytest.mark.holds("MANY-177")
async def test_the_next_copy_comes_after_a_pause(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        content = written(b, machine(w, vmid))
        await looked(w)
        w.server.services.fleet.variables.pause = 0
        content.write(0, SECOND)
        await looked(w)
        assert (await brought(w, b, vmid)).startswith(SECOND)


@pytest.mark.holds("MANY-177")
async def test_the_next_copy_comes_although_the_clock_was_set_back(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        content = written(b, machine(w, vmid))
        await looked(w)
        content.write(0, SECOND)
        monkeypatch.setattr(w.server.services.fleet.variables, "clock", lambda: time.time() - 86_400)
        await looked(w)
        assert (await brought(w, b, vmid)).startswith(SECOND)


@pytest.mark.holds("MANY-178")
async def test_only_what_could_start_elsewhere_is_copied(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        disk = await w.medium(mpid=20)
        vmid = await running(w, media=[{"mid": disk, "mode": "VIRTIO"}])
        written(b, machine(w, vmid))
        await looked(w)
        assert not told(w, vmid)


@pytest.mark.holds("MANY-178")
async def test_the_copy_goes_with_its_vm(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmids = [await w.vm(name, host=2) for name in ("trashed", "purged")]
        trashed, purged = (machine(w, vmid) for vmid in vmids)
        for uuid in (trashed, purged):
            written(b, uuid)
        await looked(w)
        await w.ok("DELETE", "/v/vm", vmid=vmids[0])
        await w.ok("DELETE", "/v/vm", vmid=vmids[1], purge=True)
        assert set(SqlVariables(w.server.database).load(())) == {trashed}
        assert SqlVariables(w.server.database).load({str(purged)}) == {}, "of a crash before it went"


@pytest.mark.holds("MANY-178")
@pytest.mark.parametrize("copied", [False, True])
async def test_a_purge_that_is_written_is_told_so_whatever_the_copy_does(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    """The database takes no write right behind it. Of a VM without a copy it is not even asked."""

    async def refused(_self: SqlVariables, _machine: UUID) -> None:
        raise Refused(Problem.UNAVAILABLE, "nothing was changed")

    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("purged", host=2)
        uuid = machine(w, vmid)
        if copied:
            written(b, uuid)
            await looked(w)
        monkeypatch.setattr(SqlVariables, "forget", refused)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)
        assert (await w.call("POST", "/v/vm", vmid=vmid)).status == 404
        assert set(SqlVariables(w.server.database).load(())) == ({uuid} if copied else set())
        assert SqlVariables(w.server.database).load({"another"}) == {}, "as at the next start"


@pytest.mark.holds("MANY-213")
async def test_a_vm_that_is_restored_on_another_host_has_what_was_kept(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmids = [await w.vm(name, host=2) for name in ("kept", "never-run")]
        kept, never = (machine(w, vmid) for vmid in vmids)
        written(b, kept)
        await looked(w)
        for vmid in vmids:
            await w.ok("DELETE", "/v/vm", vmid=vmid)
        items = [one["trid"] for one in (await w.ok("POST", "/t/trash/list"))["items"]]
        await w.server.hosts.detach(b.host)
        for trid in items:
            await w.ok("PUT", "/t/trash", trid=trid, host=1, plan=True)
        assert not here(w, kept).exists(), "a plan brings nothing"
        for trid in items:
            await w.ok("PUT", "/t/trash", trid=trid, host=1)
        assert here(w, kept).read_bytes() == FIRST
        assert not here(w, never).exists()
        await w.ok("PUT", "/v/vm/state", vmid=vmids[0], state="RUNNING")
        assert here(w, kept).read_bytes() == FIRST
