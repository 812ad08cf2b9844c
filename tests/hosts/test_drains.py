"""A host that is drained while others work on the same host and the same VMs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import is_cancelling, wait
from tests.api.world import World
from tests.hosts.test_moves import cleared, running
from tests.hosts.test_pools import BYTES, objects, uploaded
from tests.hosts.together import Other, smaller, together
from tests.patience import PATIENCE, asked_until, eventually
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.fake import FACTS
from velocity.hypervisor.port import HostId, MovePhase
from velocity.machines.move.targets import Targets
from velocity.machines.run.keeper import Keeper
from velocity.storage.patience import waits

pytestmark = pytest.mark.anyio


def holding(w: World) -> asyncio.Event:
    """Moves of the server's own host stand still as memory is sent, until this is set."""
    w.hypervisor.mobility.holds[MovePhase.MEMORY] = hold = asyncio.Event()
    return hold


async def under_way(w: World, count: int) -> None:
    await eventually(lambda: len(w.hypervisor.mobility.under_way) == count)


async def mover(w: World) -> str:
    """The authkey of somebody else who may move VMs."""
    return await w.user("mover", (0, "vm.alter"), (0, "host.view"))


async def host_of(w: World, vmid: int) -> int:
    return int((await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"])


@pytest.mark.holds("MANY-245")
async def test_a_vm_that_somebody_else_moved_away_meanwhile_stays_where_it_is(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b"), Other(3, "c")) as w:
        for name in ("one", "two"):
            await running(w, name)
        third, hold, key = await w.vm("third", host=1), holding(w), await mover(w)
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await under_way(w, 2)
        assert (await wait(w, await w.ok("PUT", "/v/vm/host", key, vmid=third, host=3)))["state"] == "DONE"
        hold.set()
        task = await wait(w, drain)
        assert (task["state"], task["message"]) == ("DONE", "moved 3 of 3 VMs")
        assert await host_of(w, third) == 3


@pytest.mark.holds("MANY-245")
async def test_what_becomes_of_a_vm_that_somebody_else_is_moving_is_waited_for(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b")) as w:
        vmid, hold, key = await running(w), holding(w), await mover(w)
        await w.ok("PUT", "/v/vm/host", key, vmid=vmid, host=2)
        await under_way(w, 1)
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await eventually_draining(w)
        hold.set()
        assert (await wait(w, drain))["state"] == "DONE"
        assert await host_of(w, vmid) == 2


async def eventually_draining(w: World, duty: str = "draining") -> None:
    await asked_until(lambda: w.ok("POST", "/h/node", host=1), lambda node: node["duty"] == duty, duty)


async def test_a_move_of_a_drain_waits_for_no_host_before_it_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has its turn with its VM, whose requests would wait with it."""
    check, waited = Targets.check_memory, []

    async def noted(*given: Any) -> None:
        waited.append(waits())
        await check(*given)

    monkeypatch.setattr(Targets, "check_memory", noted)
    async with together(tmp_path / "data", Other(2, "b")) as w:
        await running(w, "one")
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"
    assert waited[-1] and not any(waited[:-1]), "only its task waits"


@pytest.mark.holds("MANY-246")
async def test_a_host_that_is_activated_meanwhile_is_drained_no_further(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b")) as w:
        vmids, hold = [await running(w, name) for name in ("one", "two", "three")], holding(w)
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await under_way(w, 2)
        await w.ok("PATCH", "/h/node", host=1, duty="active")
        hold.set()
        task = await wait(w, drain)
        words = "moved 2 of 3 VMs; the host was activated meanwhile: its other VMs stay"
        assert (task["state"], task["message"]) == ("FAILED", words)
        assert [await host_of(w, vmid) for vmid in vmids] == [2, 2, 1]
        assert (await w.ok("POST", "/h/node", host=1))["duty"] == "active"


@pytest.mark.holds("MANY-246")
async def test_a_host_in_maintenance_stays_so_when_it_is_drained(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b")) as w:
        vmid = await running(w)
        await w.ok("PATCH", "/h/node", host=1, duty="maintenance")
        planned = await w.ok("PUT", "/h/node/drain", host=1, plan=True)
        assert [step["kind"] for step in planned["steps"]] == ["vm"]
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"
        assert await host_of(w, vmid) == 2
        assert (await w.ok("POST", "/h/node", host=1))["duty"] == "maintenance"


@pytest.mark.holds("MANY-248")
async def test_a_vm_that_is_on_its_way_to_a_host_that_is_drained_leaves_it_again(tmp_path: Path) -> None:
    async with together(tmp_path / "data", b := Other(2, "b")) as w:
        vmid, hold = await running(w), holding(w)
        move = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await under_way(w, 1)
        await w.server.hosts.attach(b.attached(duty=Duty.DRAINING))
        drain = await w.ok("PUT", "/h/node/drain", host=2)
        hold.set()
        assert (await wait(w, move))["state"] == "DONE"
        task = await wait(w, drain)
        assert (task["state"], task["message"]) == ("DONE", "moved 1 of 1 VMs")
        assert await host_of(w, vmid) == 1


@pytest.mark.holds("MANY-248")
async def test_a_move_that_waited_for_its_turn_does_not_go_to_a_host_that_takes_no_vms_any_more(tmp_path: Path) -> None:
    async with together(tmp_path / "data", b := Other(2, "b")) as w:
        vmids, hold = [await running(w, name) for name in ("one", "two", "three")], holding(w)
        moves = [await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2) for vmid in vmids]
        await under_way(w, 2)
        await w.server.hosts.attach(b.attached(duty=Duty.MAINTENANCE))
        hold.set()
        tasks = [await wait(w, move) for move in moves]
        assert [task["state"] for task in tasks] == ["DONE", "DONE", "FAILED"]
        assert "it is in maintenance, and takes no VMs" in tasks[2]["message"]
        assert [await host_of(w, vmid) for vmid in vmids] == [2, 2, 1]
        assert "moving" not in (await w.ok("POST", "/v/vm", vmid=vmids[2])).body


@pytest.mark.holds("MANY-247")
async def test_a_vm_goes_to_a_host_whose_pool_has_room_for_its_disks(tmp_path: Path) -> None:
    """One whose pool is full is passed over, and told as that; what is in its trash counts as room."""
    b, c = Other(2, "b", (20, "fast")), Other(3, "c", (30, "slow"), facts=smaller(memory=FACTS.memory // 2))
    async with together(tmp_path / "data", b, c) as w:
        media = [{"mid": await w.medium(), "mode": "VIRTIO"}]
        vmid = await running(w, media=media)
        b.disks.pools[20].capacity = 1 << 19
        told = {one["name"]: one.get("lacks") for one in (await w.ok("POST", "/v/vm/host", vmid=vmid))["hosts"]}
        assert "is more than the 512 KiB free" in told["b"]
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"
        assert await host_of(w, vmid) == 3
        b.disks.pools[20].capacity = len(BYTES) + (1 << 19)
        old = await uploaded(w, 20)
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (406, 62226)
        await w.ok("DELETE", "/m/media", mid=old)
        assert (await wait(w, await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)))["state"] == "DONE"


@pytest.mark.holds("MANY-246")
async def test_a_drain_that_is_cancelled_leaves_the_vms_under_way_where_they_were(tmp_path: Path) -> None:
    async with together(tmp_path / "data", b := Other(2, "b", (20, "fast"))) as w:
        media = [[{"mid": await w.medium(name), "mode": "VIRTIO"}] for name in ("one", "two", "three")]
        vmids, hold = [await running(w, f"vm{n}", media=one) for n, one in enumerate(media)], holding(w)
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await under_way(w, 2)
        cancelled = await w.ok("DELETE", "/t/task", tid=drain["tid"])
        assert (cancelled["state"], cancelled["message"]) == ("CANCELLED", "moved 0 of 3 VMs")
        hold.set()
        await cleared(w)
        assert [await host_of(w, vmid) for vmid in vmids] == [1, 1, 1]
        assert {run.fact.value for run in w.hypervisor.runs.values()} == {"running"}
        assert b.fake.runs == {}
        assert objects(b.disks.pools[20]) == {}
        assert (await w.ok("POST", "/h/node", host=1))["duty"] == "draining"
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"


@pytest.mark.holds("MANY-246")
async def test_a_drain_that_is_cancelled_as_a_move_begins_cancels_that_too(tmp_path: Path) -> None:
    async with together(tmp_path / "data", b := Other(2, "b")) as w:
        vmid, asked, hold, free = await running(w), list[HostId](), asyncio.Event(), b.fake.hosts.memory_free

        async def memory_free(host: HostId, *, deadline: float) -> int:
            asked.append(host)
            await hold.wait()
            return await free(host, deadline=deadline)

        b.fake.hosts.memory_free = memory_free  # type: ignore[method-assign]
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await eventually(lambda: bool(asked))
        cancel = asyncio.ensure_future(w.ok("DELETE", "/t/task", tid=drain["tid"]))
        await eventually(lambda: cancel.done() or is_cancelling(drain["tid"]))
        hold.set()
        assert (await cancel)["state"] == "CANCELLED"
        tasks = (await w.ok("POST", "/t/task/list", gid=0))["tasks"]
        assert [one["state"] for one in tasks if one["kind"] == "move_vm"] == ["CANCELLED"]
        await cleared(w)
        assert await host_of(w, vmid) == 1
        assert b.fake.runs == {}


async def test_a_drain_that_is_cancelled_waits_for_no_start_before_its_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, alone = list[Keeper](), Keeper.alone

    async def noted(keeper: Keeper, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        waiting.append(keeper)
        return await alone(keeper, work)

    monkeypatch.setattr(Keeper, "alone", noted)
    async with together(tmp_path / "data", b := Other(2, "b")) as w:
        vmid, hold = await w.vm("web", host=1), asyncio.Event()
        w.hypervisor.faults.hold = hold
        start = asyncio.create_task(w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
        await eventually(lambda: w.hypervisor.faults.held, "the start")
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await eventually(lambda: waiting, "the move behind it")
        async with asyncio.timeout(PATIENCE):
            assert (await w.ok("DELETE", "/t/task", tid=drain["tid"]))["state"] == "CANCELLED"
        assert w.hypervisor.faults.held == 1
        hold.set()
        assert (await start)["state"] == "RUNNING"
        await w.settle()
        tasks = (await w.ok("POST", "/t/task/list", gid=0))["tasks"]
        assert [one for one in tasks if one["kind"] == "move_vm"] == []
        assert await host_of(w, vmid) == 1
        assert b.fake.runs == {}


@pytest.mark.holds("MANY-269")
async def test_a_vm_goes_to_a_host_that_has_its_memory_free(tmp_path: Path) -> None:
    b, c = Other(2, "b"), Other(3, "c", facts=smaller(memory=FACTS.memory // 4))
    async with together(tmp_path / "data", b, c) as w:
        vmid = await running(w)
        b.fake.hosts.free = 10
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"
        assert await host_of(w, vmid) == 3
        b.fake.hosts.free = 10
        await w.server.hosts.attach(c.attached(duty=Duty.DRAINING))
        task = await wait(w, await w.ok("PUT", "/h/node/drain", host=3))
        assert task["state"] == "FAILED"
        assert "'b': VM 'web' runs with" in task["message"]
        assert await host_of(w, vmid) == 3


@pytest.mark.holds("MANY-271")
async def test_what_a_drain_tells_of_vms_is_told_to_whoever_sees_tasks_of_the_root_group(tmp_path: Path) -> None:
    """It names VMs of all groups, and says what hosts lack."""
    async with together(tmp_path / "data", Other(2, "b")) as w:
        gid, other = await w.group("ours"), await w.group("theirs")
        vmid = await w.vm("secret", host=1, gid=other)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
        operator = await w.user("operator", (0, "node.manage"), (0, "vm.alter"), home=gid)
        colleague = await w.user("colleague", (gid, "media.list"), home=gid)
        task = await wait(w, await w.ok("PUT", "/h/node/drain", operator, host=1))
        assert "'secret'" in task["message"]
        assert (await w.ok("POST", "/t/task", operator, tid=task["tid"]))["state"] == "FAILED", "who began it sees it"
        assert (await w.ok("POST", "/t/task/list", colleague, gid=gid))["tasks"] == []
        assert (await w.call("POST", "/t/task", colleague, tid=task["tid"])).status in (403, 404)


@pytest.mark.holds("MANY-276")
async def test_a_drain_does_what_its_plan_says(tmp_path: Path) -> None:
    """Each VM of the plan goes by where those before it would be."""
    async with together(tmp_path / "data", Other(2, "b"), Other(3, "c"), Other(4, "d")) as w:
        words: list[dict[str, Any]] = [
            {},
            {},
            {"spread": "web"},
            {"spread": "web"},
            {"together": "x"},
            {"together": "x"},
        ]
        vmids = [await w.vm(f"vm{number}", host=1, **more) for number, more in enumerate(words)]
        planned = await w.ok("PUT", "/h/node/drain", host=1, plan=True)
        said = {one["id"]: one["changes"][0]["new"]["id"] for one in planned["steps"] if one["kind"] == "vm"}
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"
        assert {vmid: await host_of(w, vmid) for vmid in vmids} == said
        assert len(set(said.values())) > 1


@pytest.mark.holds("MANY-282")
async def test_vms_that_move_at_one_time_get_different_memory(tmp_path: Path) -> None:
    """Each of them could have it alone: the second goes elsewhere, and nothing starts in what the first will need."""
    b, c = Other(2, "b"), Other(3, "c", facts=smaller(memory=FACTS.memory // 4))
    b.fake.hosts.free, words = 100, {"memory_mib": 64}
    async with together(tmp_path / "data", b, c) as w:
        vmids = [await running(w, name, **words) for name in ("one", "two")]
        there = await w.vm("there", host=2, **words)
        await w.vm("off", host=3, memory_mib=FACTS.memory // 8)  # so that b is the better one
        hold = holding(w)
        planned = await w.ok("PUT", "/h/node/drain", host=1, plan=True)
        said = [one["changes"][0]["new"]["id"] for one in planned["steps"] if one["kind"] == "vm"]
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await under_way(w, 2)
        assert await w.refused("PUT", "/v/vm/state", vmid=there, state="RUNNING") == (406, 13222)
        hold.set()
        assert (await wait(w, drain))["state"] == "DONE"
        assert [await host_of(w, vmid) for vmid in vmids] == said == [2, 3]
        await cleared(w)
        assert (await w.ok("PUT", "/v/vm/state", vmid=there, state="RUNNING"))["state"] == "RUNNING"


@pytest.mark.holds("MANY-282")
async def test_a_move_that_was_asked_for_by_name_gets_no_memory_that_another_one_will_need(tmp_path: Path) -> None:
    async with together(tmp_path / "data", b := Other(2, "b")) as w:
        one, two = [await running(w, name, memory_mib=64) for name in ("one", "two")]
        b.fake.hosts.free, hold = 100, holding(w)
        moving = await w.ok("PUT", "/v/vm/host", vmid=one, host=2)
        await under_way(w, 1)
        refused = await w.call("PUT", "/v/vm/host", vmid=two, host=2)
        assert (refused.status, "has 36 MiB free for it" in refused["message"]) == (406, True)
        await w.ok("DELETE", "/t/task", tid=moving["tid"])
        hold.set()
        await cleared(w)
        assert (await wait(w, await w.ok("PUT", "/v/vm/host", vmid=two, host=2)))["state"] == "DONE"


@pytest.mark.holds("MANY-289")
async def test_a_drain_is_found_by_the_present_name_of_its_host(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b")) as w:
        vmid, hold = await running(w), holding(w)
        drain = await w.ok("PUT", "/h/node/drain", host=1)
        await under_way(w, 1)
        await w.ok("PATCH", "/h/node", host=1, name="attic")
        assert (await w.ok("POST", "/t/task", tid=drain["tid"]))["name"] == "attic"
        hold.set()
        assert (await wait(w, drain))["name"] == "attic"
        assert await host_of(w, vmid) == 2
        both = [w.call("PATCH", "/h/node", host=1, name=name) for name in ("barn", "cellar")]
        assert [answer.status for answer in await asyncio.gather(*both)] == [200, 200]
        named = (await w.ok("POST", "/h/node", host=1))["name"]
        assert (await w.ok("POST", "/t/task", tid=drain["tid"]))["name"] == named
        await w.ok("PATCH", "/h/node", host=1, name="cellar")
    async with together(tmp_path / "data", Other(2, "b")) as w:
        assert (await w.ok("POST", "/t/task", tid=drain["tid"]))["name"] == "cellar"
