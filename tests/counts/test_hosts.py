"""What grows with the number of hosts, and no faster: counted, because a count is the same on every machine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.counts.test_reads import calls
from tests.hosts.together import Other, note, together
from velocity.hypervisor.attached import AttachedHost, AttachedHosts
from velocity.hypervisor.fake import FakeHypervisor
from velocity.hypervisor.pool_hosts import OfferedPool
from velocity.hypervisor.port import HostId
from velocity.machines.settings.claims import Claims
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost

SHARED = OfferedPool(1, "shared", shared=True)


def installation(count: int) -> AttachedHosts:
    """Each has a pool of its own, and one that all have."""
    driver, storage = FakeHypervisor(), connect(FakeHost())
    of = [
        AttachedHost(HostId(one), f"h{one}", driver, storage, (SHARED, OfferedPool(one + 1, f"own of {one}")))
        for one in range(1, count + 1)
    ]
    made = AttachedHosts(of[0])
    for one in of[1:]:
        made.put(one)
    return made


def looks(count: int) -> int:
    hosts = installation(count)
    with calls() as counted:
        found = [hosts.pools_of(one.host) for one in hosts.all()]
    assert found == [[1, number + 1] for number in range(1, count + 1)]
    return counted.total()


@pytest.mark.holds("MANY-235")
def test_the_pools_of_all_hosts_cost_ten_times_as_much_with_ten_times_as_many_hosts() -> None:
    """A placement asks for those of each, in the step that decides."""
    assert looks(100) <= 11 * looks(10)


@pytest.mark.anyio
@pytest.mark.holds("MANY-235")
async def test_the_neighbours_of_a_vm_are_looked_for_once_for_all_hosts(tmp_path: Path) -> None:
    """That takes a look at each VM."""
    others = [Other(number, f"h{number}") for number in range(2, 9)]
    async with together(tmp_path / "data", *others) as w:
        vmid = await w.vm(host=1, spread="web")
        with calls() as counted:
            found = await w.ok("POST", "/v/vm/host", vmid=vmid)
        assert len(found["hosts"]) == len(others)
        assert counted[Claims.neighbours.__code__] == 1


@pytest.mark.anyio
@pytest.mark.holds("MANY-235")
async def test_the_neighbours_of_a_vm_cost_the_same_however_many_other_vms_there_are(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b")) as w:
        vmid = await w.vm(spread="web")
        fleet = w.server.services.fleet
        events: list[str] = []

        def cost() -> int:
            sys.setprofile(lambda _frame, event, _argument: events.append(event))
            try:
                found = fleet.claims.neighbours(0, fleet.get(vmid).machine.spec)
            finally:
                sys.setprofile(None)
            assert sum(found.apart.values()) == 1
            counted = len(events)
            events.clear()
            return counted

        before = cost()
        for number in range(20):
            await w.vm(f"other {number}", spread="db")
        assert cost() == before


@pytest.mark.anyio
@pytest.mark.holds("MANY-238")
async def test_of_a_host_that_joins_no_vm_of_others_is_told_and_of_one_that_is_renamed_its_own(tmp_path: Path) -> None:
    b, c = Other(2, "b"), Other(3, "c")
    async with together(tmp_path / "data", b) as w:
        vms = [await w.vm(f"on {host}", host=host) for host in (1, 2)]
        told: list[object] = []
        w.server.services.changes.set_listener(lambda what, which, gid: told.append(which) if what == "vm" else None)
        note(w.server.database, c.host, c.name)
        await w.server.hosts.attach(c.attached())
        assert told == []
        await w.server.hosts.attach(replace(b.attached(), name="bee"))
        assert told == [vms[1]]
        await w.server.hosts.detach(c.host)
        assert told == [vms[1]]
