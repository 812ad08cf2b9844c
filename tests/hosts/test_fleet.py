"""VMs on several hosts under one API: each goes its own way, and a host that is lost costs its own VMs alone."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec import structs

from tests.api.world import world
from tests.hosts.together import Other, machine, note, together
from tests.patience import eventually
from velocity.hypervisor.port import Fact, FactCause, HostId, HostNow, Incarnation, Unknown
from velocity.machines.hosts import orphans, where

pytestmark = pytest.mark.anyio


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


@pytest.mark.holds("MANY-5")
async def test_a_vm_lives_on_its_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        own, other = await w.vm("own", host=1), await w.vm("other", host=2)
        for vmid in (own, other):
            assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        assert machine(w, own) in w.hypervisor.runs
        assert not b.runs(machine(w, own))
        assert b.runs(machine(w, other))
        assert machine(w, other) not in w.hypervisor.runs

        assert (await w.ok("PUT", "/v/vm/state", vmid=other, state="PAUSED"))["state"] == "PAUSED"
        await w.ok("PATCH", "/v/vm", vmid=other, cpus=2)
        b.fake.play(machine(w, other), Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        await b.fake.heard()
        await w.settle()
        shown = (await w.ok("POST", "/v/vm", vmid=other)).body
        assert (shown["state"], shown["reason"]["cause"]) == ("STOPPED", "guest-shutdown")
        await w.ok("DELETE", "/v/vm", vmid=other, purge=True)
        assert b.fake.machines.forgotten, "what its host keeps of it is removed there"
        assert w.hypervisor.machines.forgotten == []


@pytest.mark.holds("DUR-21")
async def test_what_a_silent_host_stores_of_a_vm_that_is_removed_goes_once_it_responds(
    tmp_path: Path, b: Other
) -> None:
    """It has guests' data, and the next start of the server may be far."""
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=2)
        uuid, silent, host = machine(w, vmid), w.server.hosts.silent, HostId(2)
        b.fake.faults.lose(host)
        await eventually(lambda: host in silent)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)
        assert b.fake.machines.forgotten == []
        b.fake.faults.heal(host)
        await eventually(lambda: b.fake.machines.forgotten == [uuid], "that it is removed there")


@pytest.mark.holds("DUR-21")
async def test_what_a_host_stores_of_a_removed_vm_goes_although_one_call_timed_out(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host never counts as lost, so nothing reports that it responds again."""
    monkeypatch.setattr(orphans, "AGAIN", 0.01)
    forget, failing = b.fake.machines.forget, 2

    async def slow(host: HostId, uuid: UUID, *, deadline: float) -> None:
        nonlocal failing
        if failing:
            failing -= 1
            raise Unknown("no answer in time")
        await forget(host, uuid, deadline=deadline)

    monkeypatch.setattr(b.fake.machines, "forget", slow)
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=2)
        uuid = machine(w, vmid)
        await w.ok("DELETE", "/v/vm", vmid=vmid, purge=True)
        await eventually(lambda: b.fake.machines.forgotten == [uuid], "that it is removed there")
        assert HostId(2) not in w.server.hosts.silent


@pytest.mark.holds("MANY-6")
async def test_where_a_vm_is_shows_where_it_could_be_elsewhere(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("other", host=2)
        there = {"id": 2, "name": "b"}
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"] == there
        assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"][0]["host"] == there
        (keeper,) = w.server.services.fleet.all()
        assert where.of(w.server.services.fleet.hosts.attached, keeper.machine.host).name == "b"
    async with together(tmp_path / "alone") as w:
        vmid = await w.vm("own")
        assert "host" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert "host" not in (await w.ok("POST", "/v/vm/list", gid=0))["vms"][0]


@pytest.mark.holds("MANY-7")
async def test_a_lost_host_costs_its_own_vms_alone(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        own, other, stopped = await w.vm("own", host=1), await w.vm("other", host=2), await w.vm("stopped", host=2)
        for vmid in (own, other):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        before = (await w.ok("POST", "/v/vm", vmid=own)).body
        b.fake.faults.lose(b.host)
        await b.fake.heard()
        shown = (await w.ok("POST", "/v/vm", vmid=other)).body
        assert shown["state"] == "RUNNING"
        assert shown["unreachable_since"] > 0
        assert (await w.ok("POST", "/v/vm", vmid=own)).body == before
        assert (await w.ok("PUT", "/v/vm/state", vmid=own, state="PAUSED"))["state"] == "PAUSED"
        refused = await w.call("PUT", "/v/vm/state", vmid=stopped, state="RUNNING")
        assert refused.code == 13230
        assert "host 'b' has not responded since 20" in refused["message"]
        assert "nothing was started" in refused["message"]
        b.fake.faults.heal(b.host)
        await eventually(lambda: w.server.services.fleet.get(other).unreachable_since is None)
        assert (await w.ok("PUT", "/v/vm/state", vmid=stopped, state="RUNNING"))["state"] == "RUNNING"


@pytest.mark.holds("MANY-56")
async def test_nobody_waits_for_a_host_that_stands_still_with_its_connections_open(tmp_path: Path, b: Other) -> None:
    asked: list[float] = []

    async def now(host: HostId, *, deadline: float) -> HostNow:
        asked.append(deadline)
        raise Unknown("no answer")

    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("other", host=2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        b.fake.hosts.now = now  # type: ignore[method-assign]
        assert (await w.call("POST", "/h/host", host=2)).status == 503
        assert asked == [2.0], "nobody who asks of all hosts waits for one of them"
        asked.clear()
        b.fake.state.lost.add(b.host)  # what it tells does not end: it just does not come
        w.server.hosts.doubt(b.host, "no answer")
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["unreachable_since"] > 0
        refused = await w.call("POST", "/h/host", host=2)
        assert (asked, refused["message"][:28]) == ([], "host 'b' has not responded s"), "it is not even asked"
        b.fake.faults.heal(b.host)
        await eventually(lambda: w.server.services.fleet.get(vmid).unreachable_since is None)
        b.fake.play(machine(w, vmid), Fact.PAUSED, FactCause.DISK_FULL)
        await eventually(lambda: w.server.services.fleet.get(vmid).state.value == "PAUSED")


@pytest.mark.holds("MANY-56")
async def test_a_vm_is_shown_without_what_its_host_does_not_tell_in_a_moment(tmp_path: Path, b: Other) -> None:
    asked: list[float] = []

    async def silence(who: Incarnation, *, deadline: float) -> None:
        asked.append(deadline)
        raise Unknown("no answer")

    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("other", host=2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        b.fake.hosts.confinement = silence  # type: ignore[method-assign]
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert "confinement" not in shown
        assert shown["state"] == "RUNNING"
    assert max(asked) <= 1


@pytest.mark.holds("MANY-8")
async def test_a_restart_finds_the_vms_of_every_host_also_of_one_that_is_lost(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        own, other = await w.vm("own", host=1), await w.vm("other", host=2)
        for vmid in (own, other):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        fake, uuid = w.hypervisor, machine(w, other)
    b.fake.faults.lose(b.host)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        assert (await w.ok("POST", "/v/vm", vmid=own))["state"] == "RUNNING"
        shown = (await w.ok("POST", "/v/vm", vmid=other)).body
        assert shown["unreachable_since"] > 0
        assert (await w.call("DELETE", "/v/vm", vmid=other)).code == 16320, "it may run"
        b.fake.faults.heal(b.host)
        await eventually(lambda: w.server.services.fleet.get(other).unreachable_since is None)
        assert (await w.ok("POST", "/v/vm", vmid=other))["state"] == "RUNNING"
        assert b.runs(uuid)


@pytest.mark.holds("MANY-158")
async def test_vms_of_a_host_that_cannot_be_attached_are_told_with_its_name(tmp_path: Path, b: Other) -> None:
    """As after `velocity db import`: nothing signs for the host until it joins again."""
    async with together(tmp_path / "data", b) as w:
        vmid, off = await w.vm("there", host=2), await w.vm("off", host=2)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    async with world(tmp_path / "data") as w:
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert shown["host"] == {"id": 2, "name": "b"}
        assert shown["unreachable_since"] > 0, "and RUNNING is what it was last"
        listed = (await w.ok("POST", "/v/vm/list", gid=0))["vms"]
        assert [one["host"]["name"] for one in listed] == ["b", "b"]
        refused = await w.call("PUT", "/v/vm/state", vmid=off, state="RUNNING")
        assert "host 'b' is not attached: `velocity node list` says why" in refused["message"]
        own = await w.vm("own")
        assert "host" not in (await w.ok("POST", "/v/vm", vmid=own)).body, "where there is no choice, nothing is told"


@pytest.mark.holds("MANY-9")
async def test_a_host_that_comes_later_is_used_and_touched_nowhere(tmp_path: Path, b: Other) -> None:
    """What it keeps of machines that are not known here may be another installation's."""
    uuid = uuid4()
    b.fake.state.keeps.add(uuid)
    async with together(tmp_path / "data") as w:
        vmid = await w.vm("own")
        assert "host" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body
        note(w.server.database, b.host, b.name)
        await w.server.hosts.attach(b.attached())
        await w.settle()
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 1
        assert b.fake.machines.forgotten == []
        assert uuid in b.fake.state.keeps
        other = await w.vm("other", host=2)
        assert (await w.ok("PUT", "/v/vm/state", vmid=other, state="RUNNING"))["state"] == "RUNNING"
        await w.ok("PUT", "/v/vm/state", vmid=other, state="STOPPED", force=True)
        await w.ok("DELETE", "/v/vm", vmid=other, purge=True)
        await w.server.hosts.detach(b.host)
        assert "host" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body
        refused = await w.call("PUT", "/v/vm/efi", name="x", gid=0, cpus=1, memory_mib=64, host=2)
        assert (refused.code, refused["field"]) == (12280, "host")


@pytest.mark.holds("MANY-10")
async def test_what_one_host_tells_of_anothers_vm_changes_nothing(tmp_path: Path, b: Other) -> None:
    """As after a move whose other end is still there: it is named, and no state follows from it."""
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("own", host=1)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        keeper = w.server.services.fleet.get(vmid)
        strange = structs.replace(keeper.who, host=b.host, epoch=keeper.who.epoch + 1)
        b.fake.state.tell(strange, Fact.PAUSED, FactCause.ASKED)
        await b.fake.heard()
        await w.settle()
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
        assert list(w.server.services.fleet.hosts.of(b.host).observer.unknown) == [strange]


@pytest.mark.holds("MANY-39")
async def test_a_vm_whose_host_is_no_more_is_not_restored(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("other", host=2)
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        await w.server.hosts.detach(b.host)
        assert await w.refused("PUT", "/t/trash", trid=item["trid"]) == (406, 25280)
        await w.server.hosts.attach(b.attached())
        await w.ok("PUT", "/t/trash", trid=item["trid"])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 2


@pytest.mark.holds("MANY-155")
async def test_a_vm_whose_host_is_no_more_is_restored_on_another_one(tmp_path: Path, b: Other) -> None:
    c = Other(3, "c")
    async with together(tmp_path / "data", b, c) as w:
        vmid = await w.vm("other", host=2)
        await w.ok("DELETE", "/v/vm", vmid=vmid)
        (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
        asked = {"trid": item["trid"], "host": 3}
        there = await w.call("PUT", "/t/trash", **asked)
        assert (there.code, there["field"]) == (25280, "host"), "its own host is there"
        assert "is on host 'b', where its firmware variables are" in there["message"]
        await w.server.hosts.detach(b.host)
        assert await w.refused("PUT", "/t/trash", trid=item["trid"], host=9) == (406, 25280)
        (step,) = (await w.ok("PUT", "/t/trash", **asked, plan=True))["steps"]
        assert (step["host"]["name"], step["because"]) == ("c", "its own is no more")
        await w.ok("PUT", "/t/trash", **asked)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 3
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert c.fake.runs
    async with together(tmp_path / "data", c) as w:
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 3, "also after a restart"


@pytest.mark.holds("MANY-51")
async def test_vms_that_start_by_themselves_do_so_after_a_restart_of_their_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        starts, stays = await w.vm("starts", host=2, autostart=True), await w.vm("stays", host=2)
        off = await w.vm("off", host=2, autostart=True)
        for vmid in (starts, stays):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        for restarts in range(1, 3):
            b.fake.faults.reboot(b.host)
            await started(b, 2 + restarts)
            await w.settle()
            assert (await w.ok("POST", "/v/vm", vmid=starts))["state"] == "RUNNING"
            shown = (await w.ok("POST", "/v/vm", vmid=stays)).body
            assert (shown["state"], shown["reason"]["cause"]) == ("STOPPED", "host-restarted")
            assert (await w.ok("POST", "/v/vm", vmid=off))["state"] == "STOPPED", "somebody had stopped it"


async def started(b: Other, times: int) -> None:
    await eventually(lambda: len(b.fake.machines.started) == times)
