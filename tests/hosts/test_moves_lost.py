"""Moves whose source or target is confirmed dead, or removed, in the middle, and moves that a promoted server finds."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.images import wait
from tests.api.world import World
from tests.hosts import agent
from tests.hosts.test_moves import cleared, moved, used
from tests.hosts.test_moves_settled import when_committed, when_handed
from tests.hosts.test_pools import objects
from tests.hosts.together import Other, machine, together
from tests.patience import eventually
from velocity.contract.machines import Reason
from velocity.hypervisor.fake import Answer
from velocity.hypervisor.port import Fact, FactCause, HostId, MovePhase
from velocity.machines.hosts.evacuated import Death
from velocity.machines.move.crossing import Crossing
from velocity.promotion import ERA
from velocity.store.database import Database
from velocity.store.evacuations import SqlLosses
from velocity.store.hosts import note_promotion

pytestmark = pytest.mark.anyio
B, C = HostId(2), HostId(3)


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


@pytest.fixture
def c() -> Other:
    return Other(3, "c", (30, "slow"))


async def running(w: World, host: HostId, mpid: int, **more: Any) -> tuple[int, UUID]:
    vmid = await w.vm("web", host=host, media=[{"mid": await w.medium(mpid=mpid), "mode": "VIRTIO"}], **more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid, machine(w, vmid)


async def shown(w: World, vmid: int) -> dict[str, Any]:
    return (await w.ok("POST", "/v/vm", vmid=vmid)).body


async def dies(w: World, other: Other, *, truly: bool = True) -> None:
    if truly:
        other.fake.faults.reboot(other.host)
    other.fake.faults.lose(other.host)
    await eventually(lambda: other.host in w.server.hosts.silent)
    await w.ok("PUT", "/h/node/dead", host=other.host, name=other.name)


async def returns(w: World, other: Other) -> None:
    other.fake.faults.heal(other.host)
    await eventually(lambda: other.host not in w.server.hosts.silent and other.host not in w.server.hosts.deaths)
    await w.settle()


def all_runs(uuid: UUID, *others: Other) -> list[tuple[str, Fact]]:
    return [(one.name, one.fake.runs[uuid].fact) for one in others if uuid in one.fake.runs]


@pytest.mark.holds("MANY-170")
@pytest.mark.parametrize("truly", [True, False], ids=["truly", "by a false word"])
@pytest.mark.parametrize("phase", [MovePhase.DISKS, MovePhase.HANDING_OVER])
async def test_a_source_that_dies_before_the_hand_over_ends_the_move(
    tmp_path: Path, b: Other, c: Other, phase: MovePhase, truly: bool
) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        hold = b.fake.mobility.holds[phase] = asyncio.Event()
        task = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: phase in b.fake.mobility.under_way.values())
        await dies(w, b, truly=truly)
        hold.set()
        assert (await wait(w, task))["state"] == "FAILED"
        await cleared(w)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"], vm["reason"]["cause"]) == ("STOPPED", 2, "host-lost")
        assert "moving" not in vm
        assert await used(w, 30) == 0
        assert (objects(c.disks.pools[30]), c.fake.runs) == ({}, {})
        await returns(w, b)
        assert all_runs(uuid, b, c) == []
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert all_runs(uuid, b, c) == [("b", Fact.RUNNING)]
        assert (await moved(w, vmid, 3))["state"] == "DONE"


@pytest.mark.holds("MANY-170")
@pytest.mark.parametrize("killed", [False, True], ids=["", "and the server with it"])
@pytest.mark.parametrize("truly", [True, False], ids=["truly", "by a false word"])
async def test_a_source_that_dies_after_the_hand_over_loses_no_disk(
    tmp_path: Path, b: Other, c: Other, truly: bool, killed: bool
) -> None:
    """All of it is at the target: there the VM can be started, and it is not let run unasked."""
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        when_handed(b.fake, lambda: b.fake.faults.lose(B))
        b.fake.faults.answers.extend([None, Answer.LATE])
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: B in w.server.hosts.silent and bool(w.server.services.host_moves.settling.left))
        assert all_runs(uuid, b, c) == [("b", Fact.HANDED), ("c", Fact.RECEIVED)]
        if killed:
            reason = Reason(cause="host-lost", message="its host was confirmed dead", since=1)
            await SqlLosses(w.server.database).confirm(B, Death(1, "root"), reason)
            if truly:
                b.fake.faults.reboot(B)
                b.fake.faults.lose(B)
        else:
            await dies(w, b, truly=truly)
    async with together(tmp_path / "data", b, c) as w:
        await eventually(lambda: w.server.services.fleet.get(vmid).machine.host == C)
        await eventually(lambda: w.server.services.fleet.get(vmid).passage.moving is None)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["reason"]["cause"], "moving" in vm) == ("STOPPED", "host-lost", False)
        assert uuid not in c.fake.runs, "it was told as over, and is"
        assert len(objects(c.disks.pools[30])) == 1
        assert (await used(w, 20), await used(w, 30)) == (0, 1 << 20)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await returns(w, b)
        await cleared(w)
        assert all_runs(uuid, b, c) == [("c", Fact.RUNNING)]
        assert objects(b.disks.pools[20]) == {}


@pytest.mark.holds("MANY-170", "MANY-189")
@pytest.mark.parametrize("truly", [True, False], ids=["truly", "by a false word"])
@pytest.mark.parametrize("answer", [None, Answer.LATE], ids=["handed over", "not known"])
async def test_a_target_that_dies_before_the_commit_gives_the_vm_back(
    tmp_path: Path, b: Other, c: Other, truly: bool, answer: Answer | None
) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        when_handed(b.fake, lambda: c.fake.faults.lose(C))
        b.fake.faults.answers.extend([None, answer])
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: C in w.server.hosts.silent)
        await dies(w, c, truly=truly)
        await eventually(lambda: all_runs(uuid, b) == [("b", Fact.RUNNING)])
        await eventually(lambda: w.server.services.fleet.get(vmid).passage.moving is None)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"]) == ("RUNNING", 2)
        assert (await used(w, 20), await used(w, 30)) == (1 << 20, 0)
        await returns(w, c)
        await cleared(w)
        assert all_runs(uuid, b, c) == [("b", Fact.RUNNING)]
        assert (objects(c.disks.pools[30]), c.disks.pools[30].moving) == ({}, {})
        assert (await moved(w, vmid, 3))["state"] == "DONE"


@pytest.mark.holds("MANY-170")
async def test_nothing_is_committed_to_a_host_that_died_in_that_moment(tmp_path: Path, b: Other, c: Other) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        evacuation = w.server.services.fleet.evacuation

        def die() -> None:
            c.fake.faults.lose(C)
            deaths.append(asyncio.ensure_future(evacuation.confirm(C, "root")))

        deaths: list[asyncio.Future[None]] = []
        when_handed(b.fake, die)
        assert (await moved(w, vmid, 3))["state"] == "FAILED"
        await asyncio.gather(*deaths)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"]) == ("RUNNING", 2)
        assert all_runs(uuid, b) == [("b", Fact.RUNNING)]
        await returns(w, c)
        await cleared(w)
        assert all_runs(uuid, b, c) == [("b", Fact.RUNNING)]


@pytest.mark.holds("MANY-170")
async def test_a_stopped_vm_whose_target_dies_before_the_commit_stays_and_starts(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=1, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        evacuation, settling = w.server.services.fleet.evacuation, w.server.services.host_moves.settling
        settle = settling.settle

        async def die(crossing: Crossing) -> bool:
            b.fake.faults.lose(B)
            await evacuation.confirm(B, "root")
            return await settle(crossing)

        settling.settle = lambda crossing: asyncio.ensure_future(die(crossing))  # type: ignore[method-assign]
        assert (await moved(w, vmid))["state"] == "FAILED"
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        assert (await shown(w, vmid))["host"]["id"] == 1


@pytest.mark.holds("MANY-170")
async def test_a_vm_that_has_moved_is_as_reachable_as_its_new_host(tmp_path: Path, b: Other, c: Other) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid = await w.vm("web", host=2, media=[{"mid": await w.medium(mpid=20), "mode": "VIRTIO"}])
        settling = w.server.services.host_moves.settling
        settle = settling.settle

        async def lose(crossing: Crossing) -> bool:
            b.fake.faults.lose(B)
            await eventually(lambda: w.server.services.fleet.get(vmid).unreachable_since is not None)
            return await settle(crossing)

        settling.settle = lambda crossing: asyncio.ensure_future(lose(crossing))  # type: ignore[method-assign]
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: w.server.services.fleet.get(vmid).machine.host == C)
        assert "unreachable_since" not in await shown(w, vmid)
        b.fake.faults.heal(B)
        await cleared(w)
        assert "unreachable_since" not in await shown(w, vmid)


@pytest.mark.holds("MANY-170")
@pytest.mark.parametrize("truly", [True, False], ids=["truly", "by a false word"])
async def test_a_target_that_dies_after_the_commit_has_the_vm(tmp_path: Path, b: Other, c: Other, truly: bool) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        when_committed(b.fake, lambda: c.fake.faults.lose(C))
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: w.server.services.fleet.get(vmid).machine.host == C)
        await dies(w, c, truly=truly)
        await eventually(lambda: w.server.services.fleet.get(vmid).passage.moving is None)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"], vm["reason"]["cause"]) == ("STOPPED", 3, "host-lost")
        await returns(w, c)
        await cleared(w)
        assert all_runs(uuid, b, c) == [], "neither what was handed over nor what has received it"
        await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")  # it may be that its host is heard once more
        await eventually(lambda: w.server.services.fleet.get(vmid).state.value == "RUNNING")
        assert all_runs(uuid, b, c) == [("c", Fact.RUNNING)]


@pytest.mark.holds("MANY-171")
async def test_a_host_that_a_vm_is_on_the_way_to_is_not_removed(tmp_path: Path, b: Other, c: Other) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        hold = b.fake.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        task = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: bool(b.fake.mobility.under_way))
        refused = await w.call("DELETE", "/h/node", host=3)
        assert refused.code == 57320
        assert "1 VM is on c, or on the way there" in refused["message"]
        hold.set()
        assert (await wait(w, task))["state"] == "DONE"
        assert all_runs(uuid, c) == [("c", Fact.RUNNING)]
        await cleared(w)
        await w.ok("DELETE", "/h/node", host=2)


# Of a database that is a copy of before


def promoted(data: Path, copy: Path) -> None:
    """The database becomes the copy again, and its host the server by that."""
    for end in ("-wal", "-shm"):
        Path(f"{data}/velocity.db{end}").unlink(missing_ok=True)
    shutil.copyfile(copy, data / "velocity.db")
    database = Database(f"sqlite:///{data}/velocity.db")
    note_promotion(database, ERA, copied=1_800_000_000)
    asyncio.run(database.close())


def copied(directory: Path) -> Path:
    """A copy of the database as it is now."""
    to = directory / "copy.db"
    with closing(sqlite3.connect(directory / "data" / "velocity.db")) as now, closing(sqlite3.connect(to)) as copy:
        now.backup(copy)
    return to


@pytest.mark.holds("MANY-172")
@pytest.mark.parametrize("ended", [False, True], ids=["it runs", "it has ended"])
@pytest.mark.parametrize("silent", [False, True], ids=["", "the source is silent"])
async def test_a_promoted_server_goes_on_with_a_move_that_another_one_committed(
    tmp_path: Path, b: Other, c: Other, silent: bool, ended: bool
) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid, uuid = await running(w, B, 20)
        hold = b.fake.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        task = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: bool(b.fake.mobility.under_way))
        copy = copied(tmp_path)
        hold.set()
        assert (await wait(w, task))["state"] == "DONE"
        await cleared(w)
        disks = objects(c.disks.pools[30])
        assert len(disks) == 1
        if ended:
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await asyncio.to_thread(promoted, tmp_path / "data", copy)
    if silent:
        b.fake.faults.lose(B)
    async with together(tmp_path / "data", b, c) as w:
        if silent and ended:  # nothing is known yet, and nothing is done
            assert (await shown(w, vmid))["moving"]["host"]["id"] == 3
            assert objects(c.disks.pools[30]) == disks
            b.fake.faults.heal(B)
        await eventually(lambda: w.server.services.fleet.get(vmid).machine.host == C)
        await eventually(lambda: w.server.services.fleet.get(vmid).passage.moving is None)
        b.fake.faults.heal(B)
        await cleared(w)
        await w.ok("POST", "/m/pool/list", gid=0)
        assert objects(c.disks.pools[30]) == disks, "the only copy"
        await w.settle()
        assert (await shown(w, vmid))["state"] == ("STOPPED" if ended else "RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert all_runs(uuid, b, c) == [("c", Fact.RUNNING)]
        assert (await used(w, 20), await used(w, 30)) == (0, 1 << 20)


@pytest.mark.holds("MANY-172")
@pytest.mark.parametrize("committed", [True, False])
async def test_a_promoted_server_removes_nothing_of_a_stopped_vm_that_was_moved(
    tmp_path: Path, b: Other, c: Other, committed: bool
) -> None:
    async with together(tmp_path / "data", b, c) as w:
        vmid = await w.vm("web", host=B, media=[{"mid": await w.medium(mpid=20), "mode": "VIRTIO"}])
        tell = w.server.services.host_moves.settling.begin

        async def begin(crossing: Any) -> None:
            await tell(crossing)
            copied(tmp_path)
            if not committed:
                raise RuntimeError("it breaks")

        w.server.services.host_moves.settling.begin = begin  # type: ignore[method-assign]
        assert (await moved(w, vmid, 3))["state"] == ("DONE" if committed else "FAILED")
        await cleared(w)
    await asyncio.to_thread(promoted, tmp_path / "data", tmp_path / "copy.db")
    async with together(tmp_path / "data", b, c) as w:
        await cleared(w)
        await w.ok("POST", "/m/pool/list", gid=0)
        kept = [len(objects(pool)) for pool in (b.disks.pools[20], c.disks.pools[30])]
        assert kept == ([0, 1] if committed else [1, 0])
        assert (await shown(w, vmid))["host"]["id"] == (3 if committed else 2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


@pytest.mark.holds("MANY-173")
async def test_a_vm_that_was_moved_since_the_copy_is_not_started_where_it_was(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=1)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        uuid, fake = machine(w, vmid), w.hypervisor
        copy = copied(tmp_path)
        await moved(w, vmid)
        await cleared(w)
    await asyncio.to_thread(promoted, tmp_path / "data", copy)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        await w.settle()
        assert (await shown(w, vmid))["state"] == "STOPPED"
        refused = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert refused.code == 13230
        assert "runs on host 'b', where this database does not know it" in refused["message"]
        assert (fake.runs, all_runs(uuid, b)) == ({}, [("b", Fact.RUNNING)])
        b.fake.play(uuid, Fact.ENDED, FactCause.KILLED)
        await b.fake.heard()
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


@pytest.mark.holds("MANY-191")
async def test_a_silent_target_is_fenced_for_a_vm_that_was_handed_over_to_it(
    tmp_path: Path, b: Other, c: Other
) -> None:
    """It runs on neither host before, and nothing else is on that one."""
    agent.install(tmp_path / "agents")
    settings: dict[str, Any] = {"fence_agents": [str(tmp_path / "agents")], "fence_after": 1}
    async with together(tmp_path / "data", b, c, **settings) as w:
        vmid, uuid = await running(w, B, 20, ha="restart")
        await w.ok("PUT", "/h/node/fence", host=3, agent=agent.NAME, options={"plug": "works"})
        when_handed(b.fake, lambda: c.fake.faults.lose(C))
        b.fake.faults.answers.extend([None, Answer.LATE])
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=3)
        await eventually(lambda: C in w.server.hosts.deaths)
        await eventually(lambda: all_runs(uuid, b) == [("b", Fact.RUNNING)])
        await eventually(lambda: w.server.services.fleet.get(vmid).passage.moving is None)
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"]) == ("RUNNING", 2)
