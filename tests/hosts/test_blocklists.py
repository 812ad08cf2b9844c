"""A lost host that is blocklisted on Ceph: proof for the VMs that write to no others, and for no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World
from tests.hosts import agent
from tests.hosts.on_rbd import ADDRESSES, RBD, OnRbd, blocklists, known, ref
from tests.hosts.test_lost import lost, returned, shown
from tests.hosts.together import Other, machine, together
from tests.patience import PATIENCE, eventually
from velocity.hosts.port import Blocklisting
from velocity.hypervisor.fake.faults import Answer
from velocity.hypervisor.port import HostId
from velocity.storage.fake.pools import FakeShared
from velocity.storage.port import Pools
from velocity.store.evacuations import SqlLosses

pytestmark = pytest.mark.anyio
B = HostId(2)


class Two:
    """Hosts b and c, which have the pool; the server's own has not."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.rados = FakeShared()
        self.b, self.c = OnRbd(2, "b", self.rados), OnRbd(3, "c", self.rados)

    @asynccontextmanager
    async def server(self, *more: Other, **settings: Any) -> AsyncIterator[World]:
        async with together(self.data, self.b, self.c, *more, **settings) as w:
            yield w


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path / "data")


async def runs(w: World, name: str, *mpids: int, **more: Any) -> int:
    """A VM of b that runs with a disk in each of these pools."""
    media = [{"mid": await w.medium(f"{name}-{mpid}", mpid=mpid), "mode": "VIRTIO"} for mpid in mpids]
    vmid = await w.vm(name, host=2, media=media, **more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await known(w)
    return vmid


async def blocklist_b(w: World) -> Any:
    return (await w.ok("PUT", "/h/node/blocklist", host=2, name="b")).body


async def node(w: World) -> Any:
    return (await w.ok("POST", "/h/node", host=2)).body


@pytest.mark.holds("MANY-206")
async def test_vms_that_write_to_no_other_disks_are_free_and_no_others(two: Two) -> None:
    async with two.server() as w:
        rbd, both, none = await runs(w, "rbd", RBD), await runs(w, "both", RBD, 20), await runs(w, "none")
        assert await w.refused("PUT", "/h/node/blocklist", host=2, name="c") == (406, 48222)
        assert await w.refused("PUT", "/h/node/blocklist", host=9, name="c") == (404, 48210)
        assert await w.refused("PUT", "/h/node/blocklist", host=1, name=w.server.hosts.hosts.own.name) == (406, 48221)
        await lost(w, two.b)
        assert two.rados.blocklisted == set(), "silence is no reason"
        plan = await w.ok("PUT", "/h/node/blocklist", host=2, name="b", plan=True)
        assert [(one["do"], one["kind"], one["name"]) for one in plan["steps"]] == [
            ("change", "host", "b"),
            ("kill", "vm", "rbd"),
        ]
        assert two.rados.blocklisted == set(), "a plan changes nothing"
        now = await blocklist_b(w)
        assert two.rados.blocklisted == {ADDRESSES[2]}
        assert (now["blocklisted"]["by"], now["blocklisted"]["addresses"]) == ("root", [ADDRESSES[2]])
        assert "dead" not in now
        assert "it is blocklisted on Ceph" in now["missing"]

        vm = await shown(w, rbd)
        assert (vm["state"], vm["reason"]["cause"], "unreachable_since" in vm) == ("STOPPED", "host-lost", False)
        assert "was blocklisted on Ceph: a start" in vm["reason"]["message"], "and not by whom"
        assert vm["reason"]["message"].endswith(": a start brings it to another host")
        for vmid in (both, none):
            vm = await shown(w, vmid)
            assert (vm["state"], "unreachable_since" in vm) == ("RUNNING", True), vm["name"]
        assert (await w.ok("PUT", "/v/vm/state", vmid=rbd, state="RUNNING"))["state"] == "RUNNING"
        assert (await shown(w, rbd))["host"]["id"] == 3
        assert two.c.runs(machine(w, rbd))


@pytest.mark.holds("MANY-207")
async def test_a_host_that_returns_is_taken_off_when_what_was_over_has_ended_and_was_given_up(two: Two) -> None:
    async with two.server() as w:
        blocklists(w).lifting.pauses = (0.0,)
        rbd = await runs(w, "rbd", RBD)
        await lost(w, two.b)
        await blocklist_b(w)
        await w.ok("PUT", "/v/vm/state", vmid=rbd, state="RUNNING")
        assert two.b.runs(machine(w, rbd)), "it runs there all the while, and reaches nothing"
        two.b.fake.faults.answers.append(Answer.LOST)  # that it is to be ended is not heard at first
        two.b.rbd.holds = True
        await returned(w, two.b)
        assert not two.b.runs(machine(w, rbd))
        await eventually(lambda: bool(blocklists(w).why_not_lifted(B)))
        assert two.rados.blocklisted == {ADDRESSES[2]}, "what it wrote is on its way still"
        assert "on its way still" in (await node(w))["blocklisted"]["message"]
        two.b.rbd.holds = False
        await eventually(lambda: B not in w.server.hosts.disks.blocklisted)
        assert two.b.rbd.given_up == 1
        assert two.rados.blocklisted == set()
        assert "blocklisted" not in await node(w)
        vm = await shown(w, rbd)
        assert (vm["state"], vm["host"]["id"]) == ("RUNNING", 3)
        await w.written()
        entries = (await w.ok("POST", "/t/history"))["entries"]
        told = [(one["operation"], one["target"]) for one in entries if "block" in one["operation"]]
        assert told == [("unblock_node", "host=2 name=b"), ("blocklist_node", "host=2 name=b")]


@pytest.mark.holds("MANY-208")
async def test_a_vm_with_ha_is_started_elsewhere_by_it_where_there_is_no_agent(two: Two) -> None:
    async with two.server(fence_after=1) as w:
        ha, plain = await runs(w, "ha", RBD, ha="restart"), await runs(w, "plain", RBD)
        await lost(w, two.b)
        await eventually(lambda: two.c.runs(machine(w, ha)))
        await w.settle()
        assert (await shown(w, plain))["state"] == "STOPPED"
        assert (await node(w))["blocklisted"]["by"] == "this server"
        await w.written()
        entries = (await w.ok("POST", "/t/history"))["entries"]
        by_itself = [one for one in entries if one["operation"] == "blocklist_node"]
        assert [(one["target"], one["name"], one["status"]) for one in by_itself] == [("host=2 name=b", "", 200)]


@pytest.mark.holds("MANY-208")
async def test_it_is_not_done_by_itself_for_vms_that_it_does_not_free(two: Two) -> None:
    async with two.server(fence_after=1) as w:
        await runs(w, "both", RBD, 20, ha="restart")
        await runs(w, "plain", RBD)
        await lost(w, two.b)
        looks = w.server.services.membership.lost.looks
        await eventually(lambda: w.server.services.membership.lost.looks > looks + 2)
        assert two.rados.blocklisted == set()


@pytest.mark.holds("MANY-208")
async def test_it_is_done_by_itself_where_the_agent_fails(two: Two, tmp_path: Path) -> None:
    agent.install(tmp_path / "agents")
    async with two.server(fence_after=1, fence_agents=[str(tmp_path / "agents")]) as w:
        ha = await runs(w, "ha", RBD, ha="restart")
        await w.ok("PUT", "/h/node/fence", host=2, agent=agent.NAME, options={"plug": "fails"})
        await lost(w, two.b)
        await eventually(lambda: two.c.runs(machine(w, ha)))
        assert "action=off" in agent.asked(tmp_path / "agents")
        await w.settle()


@pytest.mark.holds("MANY-209")
async def test_a_disk_that_somebody_has_open_all_the_same_frees_nothing(two: Two) -> None:
    async with two.server() as w:
        mid = await w.medium("disk", mpid=RBD)
        vmid = await w.vm("vm", host=2, media=[{"mid": mid, "mode": "VIRTIO"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await known(w, two.b, two.c)
        two.rados.watched[ref(w, mid)] = "192.0.2.99"  # by another way than it has told
        await lost(w, two.b)
        await blocklist_b(w)
        assert (await shown(w, vmid))["state"] == "RUNNING"
        two.rados.watched.clear()
        await blocklist_b(w)
        assert (await shown(w, vmid))["state"] == "STOPPED"


@pytest.mark.holds("MANY-209")
async def test_nothing_is_proven_where_no_cluster_does_it_or_it_would_hit_another_host(two: Two) -> None:
    other = OnRbd(4, "d", two.rados, address=ADDRESSES[2])
    async with two.server() as w:
        vmid = await runs(w, "rbd", RBD)
        await lost(w, two.b)
        await lost(w, two.c)
        refused = await w.call("PUT", "/h/node/blocklist", host=2, name="b")
        assert (refused.status, refused.code) == (500, 48230)
        assert (await shown(w, vmid))["state"] == "RUNNING"
    async with two.server(other) as w:
        await known(w, other)
        refused = await w.call("PUT", "/h/node/blocklist", host=2, name="b")
        assert (refused.status, refused.code) == (406, 48223)
        assert "knows d by the same address" in refused["message"]


@pytest.mark.holds("MANY-210")
async def test_the_record_of_it_outlives_the_server_at_every_point(two: Two) -> None:
    async with two.server() as w:
        rbd, both = await runs(w, "rbd", RBD), await runs(w, "both", RBD, 20)
        own = w.hypervisor
        await lost(w, two.b)
        told = Blocklisting(1, "root", {RBD: (ADDRESSES[2],)})
        await SqlLosses(w.server.database).blocklist(B, told)  # and no more of it was done
    async with two.server(hypervisor=own) as w:
        assert (await shown(w, rbd))["state"] == "RUNNING"
        assert two.rados.blocklisted == set()
        await blocklist_b(w)
    async with two.server(hypervisor=own) as w:
        vm = await shown(w, rbd)
        assert (vm["state"], vm["reason"]["cause"], "unreachable_since" in vm) == ("STOPPED", "host-lost", False)
        assert "unreachable_since" in await shown(w, both)
        assert two.rados.blocklisted == {ADDRESSES[2]}
        await w.ok("PUT", "/v/vm/state", vmid=rbd, state="RUNNING")
        uuid = machine(w, rbd)
    two.b.fake.faults.heal(B)  # while no server is there
    async with two.server(hypervisor=own) as w:
        await eventually(lambda: B not in w.server.hosts.disks.blocklisted)
        assert not two.b.runs(uuid)
        assert two.c.runs(uuid)
        assert two.b.runs(machine(w, both))
        assert two.rados.blocklisted == set()


@pytest.mark.holds("MANY-210")
async def test_no_run_begins_on_a_host_that_is_blocklisted(two: Two) -> None:
    async with two.server() as w:
        blocklists(w).lifting.pauses = (0.0,)
        rbd, other = await runs(w, "rbd", RBD), await w.vm("other", host=2)
        await stays_blocklisted(w, two)
        refused = await w.call("PUT", "/v/vm/state", vmid=other, state="RUNNING")
        assert (refused.status, refused.code) == (406, 13220)
        how = "which was blocklisted on Ceph and has not been taken back yet"
        assert refused["message"] == f"VM 'other' is on host 'b', {how}: `velocity node show b` says why"
        key = await w.user("bob", (0, "vm.state"), (0, "vm.view"))
        refused = await w.call("PUT", "/v/vm/state", key, vmid=other, state="RUNNING")
        assert refused["message"] == f"VM 'other' is on host 2, {how}: ask an administrator of the hosts"
        await w.ok("PUT", "/v/vm/state", vmid=rbd, state="RUNNING")
        assert (await shown(w, rbd))["host"]["id"] == 3


@pytest.mark.holds("MANY-290")
async def test_no_vm_comes_to_a_host_that_responds_and_is_still_blocklisted(two: Two) -> None:
    async with two.server() as w:
        blocklists(w).lifting.pauses = (0.0,)
        await runs(w, "rbd", RBD)
        vmid = await w.vm("running", host=1, memory_mib=2048)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.vm("big", host=3, memory_mib=2048)
        await stays_blocklisted(w, two)
        new = await w.vm("new", memory_mib=64)
        assert (await shown(w, new))["host"]["id"] != 2, "it has most of its memory left, and starts nothing"
        words = "host 'b' cannot have it: it was blocklisted on Ceph, and has not been taken back yet"
        named = await w.call("PUT", "/v/vm/efi", name="named", gid=0, cpus=1, memory_mib=64, host=2)
        assert words in named["message"]
        moved = await w.call("PUT", "/v/vm/host", vmid=vmid, host=2)
        assert words in moved["message"]
        two.b.rbd.holds = False
        await eventually(lambda: B not in w.server.hosts.disks.blocklisted)
        assert (await shown(w, await w.vm("newer", memory_mib=64)))["host"]["id"] == 2


async def stays_blocklisted(w: World, two: Two) -> None:
    """Host b was lost and blocklisted, responds again, and cannot be taken off yet."""
    await lost(w, two.b)
    await blocklist_b(w)
    two.b.rbd.holds = True
    await returned(w, two.b)
    await eventually(lambda: bool(blocklists(w).why_not_lifted(B)))


class Held:
    """The pools of all hosts. A call of the `held` kind is done when it is `let`."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self.held = ""
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pools, name)

    async def blocklist(self, *what: Any, **how: Any) -> tuple[str, ...]:
        await self._wait("blocklist")
        return await self._pools.blocklist(*what, **how)

    async def take_off_blocklist(self, *what: Any, **how: Any) -> None:
        await self._wait("take_off_blocklist")
        await self._pools.take_off_blocklist(*what, **how)

    async def _wait(self, kind: str) -> None:
        if kind == self.held:
            self.asked.set()
            await self.let.wait()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[[World], Held]:
    def hold(w: World) -> Held:
        disks = w.server.hosts.disks
        made = Held(disks.pools)
        monkeypatch.setattr(disks, "pools", made)
        return made

    return hold


async def looked_twice(w: World) -> None:
    """Hosts that are lost or back were looked after, from the beginning to the end of it."""
    of = w.server.services.membership.lost
    looks = of.looks
    await eventually(lambda: of.looks > looks + 1)


@pytest.mark.holds("MANY-221")
async def test_a_host_that_is_lost_while_it_is_taken_off_frees_nothing_before_it_is_blocklisted_again(
    two: Two, held: Callable[[World], Held]
) -> None:
    """Else it would be taken off the blocklist, with a guest that runs on, after that was started elsewhere."""
    async with two.server() as w:
        free, other = await runs(w, "free", RBD), await runs(w, "other", RBD)
        (disk,) = (await shown(w, other))["media"]
        two.rados.watched[ref(w, disk["mid"])] = "192.0.2.99"
        await lost(w, two.b)
        await blocklist_b(w)
        assert [(await shown(w, vmid))["state"] for vmid in (free, other)] == ["STOPPED", "RUNNING"]
        pools = held(w)
        pools.held = "take_off_blocklist"
        await returned(w, two.b)
        await asyncio.wait_for(pools.asked.wait(), PATIENCE)
        await lost(w, two.b)
        two.rados.watched.clear()
        again = asyncio.create_task(blocklist_b(w))
        for _ in range(500):  # as many turns of the loop as it takes to be done, had it not to wait
            await asyncio.sleep(0)
        assert not again.done()
        assert (await shown(w, other))["state"] == "RUNNING", "it may write as soon as b is off the blocklist"
        pools.let.set()
        await again
        assert two.rados.blocklisted == {ADDRESSES[2]}
        assert two.b.runs(machine(w, other)), "it runs on there, and reaches nothing"
        await w.ok("PUT", "/v/vm/state", vmid=other, state="RUNNING")
        assert two.c.runs(machine(w, other))


@pytest.mark.holds("MANY-221")
async def test_a_host_that_returns_while_it_is_blocklisted_is_not_taken_off_before_that_is_done(
    two: Two, held: Callable[[World], Held]
) -> None:
    async with two.server() as w:
        vmid = await runs(w, "vm", RBD)
        await lost(w, two.b)
        pools = held(w)
        pools.held = "blocklist"
        asking = asyncio.create_task(blocklist_b(w))
        await asyncio.wait_for(pools.asked.wait(), PATIENCE)
        await returned(w, two.b)
        await looked_twice(w)
        assert B in w.server.hosts.disks.blocklisted
        await lost(w, two.b)
        pools.let.set()
        await asking
        assert two.rados.blocklisted == {ADDRESSES[2]}
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert two.c.runs(machine(w, vmid))


@pytest.mark.holds("MANY-221")
async def test_no_vm_of_a_host_that_returns_while_it_is_blocklisted_counts_as_ended(
    two: Two, held: Callable[[World], Held]
) -> None:
    async with two.server() as w:
        blocklists(w).lifting.pauses = (0.0,)
        vmid = await runs(w, "vm", RBD)
        await lost(w, two.b)
        pools = held(w)
        pools.held = "blocklist"
        asking = asyncio.create_task(w.call("PUT", "/h/node/blocklist", host=2, name="b"))
        await asyncio.wait_for(pools.asked.wait(), PATIENCE)
        await returned(w, two.b)
        pools.let.set()
        answer = await asking
        assert (answer.status, answer["message"]) == (409, "b responds again, so it is not lost")
        vm = await shown(w, vmid)
        assert (vm["state"], vm["host"]["id"], "unreachable_since" in vm) == ("RUNNING", 2, False)
        assert two.b.runs(machine(w, vmid))
        await eventually(lambda: B not in w.server.hosts.disks.blocklisted)
        assert two.rados.blocklisted == set()


async def test_a_host_without_such_a_pool_cannot_be_blocklisted(tmp_path: Path) -> None:
    b = Other(2, "b", (20, "fast"))
    async with together(tmp_path / "data", b) as w:
        await lost(w, b)
        assert await w.refused("PUT", "/h/node/blocklist", host=2, name="b") == (406, 48223)
