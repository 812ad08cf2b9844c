"""Where VMs go: the rules over frozen data, and the creation that takes its share in the step that decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.api.images import wait
from tests.hosts.together import Other, smaller, together
from velocity.contract.machines import Nic
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.fake import FACTS
from velocity.hypervisor.port import HostId
from velocity.machines.placement.rules import NAMED, Candidate, Neighbours, Placed, Wanted, place
from velocity.machines.rules import Spec

SPEC = Spec(cpus=1, memory_mib=1024, machine_type=FACTS.machine_type, firmware=FACTS.firmware, hardware="1")
BRIDGE = Nic(type="BRIDGE", host=7)


def host(number: int, **more: Any) -> Candidate:
    about: dict[str, Any] = {"duty": Duty.ACTIVE, "answers": True, "facts": FACTS, "given": 0, "pools": {1}, **more}
    return Candidate(HostId(number), chr(ord("a") + number - 1), **about)


def wanted(**more: Any) -> Wanted:
    changes = {name: more.pop(name) for name in list(more) if name in Spec.__struct_fields__}
    return Wanted(Spec(**{name: getattr(SPEC, name) for name in SPEC.__struct_fields__} | changes), **more)


@pytest.mark.holds("MANY-18")
def test_the_host_with_most_of_its_memory_left() -> None:
    placed = place([host(1, given=2048), host(2, given=1024), host(3, given=3072)], wanted())
    assert placed == Placed(HostId(2), "of 3 hosts that can have it, most of its memory is left: 3072 of 4096 MiB")
    assert place([host(1), host(2)], wanted()).host == 1, "of equals the first"
    assert place([host(1), host(2, given=2048)], wanted(stays=HostId(2))).host == 2


LACKS = {
    "it does not have the label 'disk=ssd'": (host(2, labels={"disk": "hdd"}), wanted(host_labels=["disk=ssd"])),
    "it does not have the label 'gpu'": (host(2), wanted(host_labels=["gpu"])),
    "it is being drained, and takes no VMs": (host(2, duty=Duty.DRAINING), wanted()),
    "it is in maintenance, and takes no VMs": (host(2, duty=Duty.MAINTENANCE), wanted()),
    "it does not respond": (host(2, answers=False), wanted()),
    "it was confirmed dead, and has not been taken back yet": (host(2, lost="was confirmed dead"), wanted()),
    "the pool of 'data' is not there": (host(2), wanted(pools={9: "'data'"})),
    "host NIC 7 is not there": (host(2, nics={5}), wanted(nics=[BRIDGE])),
    "it has not reported yet what it offers VMs": (host(2, facts=replace(FACTS, max_cpus=0)), wanted()),
    "a VM there can have 8 CPUs at most": (host(2), wanted(cpus=9)),
    "it has 4096 MiB of memory in all": (host(2), wanted(memory_mib=4097)),
    "its VMs have been given 4000 of its 4096 MiB, and this one needs 1024": (host(2, given=4000), wanted()),
    "it does not support the CPU model 'FakeServer'": (host(2), wanted(cpu="FakeServer")),
    "it has another QEMU, or other firmware": (host(2), wanted(machine_type="old", kept=True)),
    "it does not know hardware 9": (host(2), wanted(hardware="9", kept=True)),
}


@pytest.mark.holds("MANY-19")
@pytest.mark.parametrize("words", LACKS)
def test_what_a_host_lacks_is_named(words: str) -> None:
    one, what = LACKS[words]
    with pytest.raises(Refused) as refused:
        place([one, replace(one, host=HostId(3), name="c")], what)
    assert refused.value.problem is Problem.NO_HOST
    assert f"'b': {words}" in refused.value.message
    assert f"'c': {words}" in refused.value.message
    facts = smaller(
        max_cpus=16,
        memory=8192,
        machine_type=what.spec.machine_type,
        hardware=(*FACTS.hardware, structs.replace(FACTS.hardware[0], name="9")),
        cpu_models={"FakeServer": ""},
    )
    better = host(1, pools={1, 9}, nics={7}, labels={"disk": "ssd", "gpu": ""}, facts=facts)
    assert place([one, better], what) == Placed(HostId(1), "it is the only host that can have it")


@pytest.mark.holds("MANY-19")
def test_a_refusal_is_bounded() -> None:
    with pytest.raises(Refused, match=f"and {300 - NAMED} more$") as refused:
        place([host(number, answers=False) for number in range(1, 301)], wanted())
    assert len(refused.value.message) < 500


@pytest.mark.holds("MANY-20")
def test_a_host_that_is_asked_for() -> None:
    hosts = [host(1), host(2, given=4096), host(3, duty=Duty.DRAINING)]
    assert place(hosts, wanted(host=2)) == Placed(HostId(2), "it was asked for"), "whatever its VMs have been given"
    with pytest.raises(Refused, match="host 'c' cannot have it: it is being drained"):
        place(hosts, wanted(host=3))
    with pytest.raises(Refused, match=r"there is no host 4: there is 1 \(a\), 2 \(b\), 3 \(c\)"):
        place(hosts, wanted(host=4))


@pytest.mark.holds("MANY-50")
def test_vms_that_are_to_be_apart_are_as_far_as_there_are_hosts() -> None:
    hosts = [host(1), host(2, given=2048), host(3, given=3072)]
    placed = place(hosts, wanted(spread="web", beside=Neighbours(apart={HostId(1): 1})))
    assert placed == Placed(HostId(2), "of 3 hosts that can have it, it has the fewest VMs with `spread` 'web'")
    assert place(hosts, wanted(spread="web", beside=Neighbours(apart={HostId(1): 1, HostId(2): 1}))).host == 3
    all_alike = Neighbours(apart=dict.fromkeys(map(HostId, (1, 2, 3)), 1))
    assert place(hosts, wanted(spread="web", beside=all_alike)).host == 1


@pytest.mark.holds("MANY-222")
def test_vms_that_are_to_be_together_are_as_far_as_a_host_can_have_them() -> None:
    hosts = [host(1), host(2, given=2048), host(3, given=3072)]
    with_others = Neighbours(together={HostId(2): 1, HostId(3): 2})
    placed = place(hosts, wanted(together="shop", beside=with_others))
    words = "of 3 hosts that can have it, it has the most VMs with `together` 'shop'"
    assert placed == Placed(HostId(3), words)
    full = [*hosts[:2], host(3, given=4096)]
    assert place(full, wanted(together="shop", beside=with_others)).host == 2
    both = Neighbours(apart={HostId(3): 1}, together={HostId(3): 1})
    assert place(hosts, wanted(spread="web", together="shop", beside=both)).host == 3, "it comes before being apart"


@pytest.mark.anyio
@pytest.mark.holds("MANY-222")
async def test_pairs_are_together_and_apart_from_each_other(tmp_path: Path) -> None:
    others = [Other(2, "b"), Other(3, "c")]
    async with together(tmp_path / "data", *others) as w:
        gid, at = await w.group("team"), {}
        for shop in ("one", "two", "three"):
            for part in ("web", "db"):
                body = {"cpus": 1, "memory_mib": 64, "spread": part, "together": shop}
                made = await w.ok("PUT", "/v/vm/efi", name=f"{part} of {shop}", gid=gid, **body)
                at[shop, part] = (await w.ok("POST", "/v/vm", vmid=made["vmid"]))["host"]["id"]
        assert {at[shop, "web"] for shop in ("one", "two", "three")} == {1, 2, 3}
        assert all(at[shop, "web"] == at[shop, "db"] for shop in ("one", "two", "three"))


@pytest.mark.anyio
@pytest.mark.holds("MANY-222")
async def test_vms_that_are_together_are_drained_to_one_host(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b"), Other(3, "c")) as w:
        vmids = [await w.vm(name, host=1, together="pair") for name in "ab"]
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"
        hosts = {(await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] for vmid in vmids}
        assert len(hosts) == 1 and hosts <= {2, 3}


@pytest.mark.anyio
@pytest.mark.holds("MANY-50")
async def test_creations_at_once_are_apart_within_their_group(tmp_path: Path) -> None:
    others = [Other(2, "b"), Other(3, "c", labels={"disk": "ssd"})]
    async with together(tmp_path / "data", *others) as w:
        gid = await w.group("team")
        body = {"cpus": 1, "memory_mib": 64, "spread": "web"}
        creations = [w.ok("PUT", "/v/vm/efi", name=f"vm{one}", gid=gid, **body) for one in range(3)]
        await asyncio.gather(*creations)
        vms = (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]
        assert sorted(one["host"]["id"] for one in vms) == [1, 2, 3]
        ssd = await w.vm("ssd", host_labels=["disk=ssd"])
        assert (await w.ok("POST", "/v/vm", vmid=ssd))["host"]["id"] == 3
        refused = await w.call("PUT", "/v/vm/efi", name="x", gid=0, cpus=1, memory_mib=64, host_labels=["gpu"])
        assert refused.code == 12280


@pytest.mark.holds("MANY-18")
def test_where_there_is_one_host_nothing_is_chosen() -> None:
    only = host(1, duty=Duty.DRAINING, answers=False, given=9999, facts=smaller(memory=1))
    assert place([only], wanted()) == Placed(HostId(1))


@pytest.mark.anyio
@pytest.mark.holds("MANY-18")
async def test_creations_at_once_fill_the_hosts_and_no_further(tmp_path: Path) -> None:
    """Of sixteen at once, each of 1 GiB, eight fit on two hosts of 4 GiB: four on each."""
    b = Other(2, "b")
    async with together(tmp_path / "data", b) as w:
        creations = [
            w.call("PUT", "/v/vm/efi", name=f"vm{number}", gid=0, cpus=1, memory_mib=1024) for number in range(16)
        ]
        answers = await asyncio.gather(*creations)
        assert sorted(one.status for one in answers) == [200] * 8 + [406] * 8
        (refused, *_) = [one for one in answers if one.status == 406]
        assert refused.code == 12280
        assert refused["message"].count("have been given 4096 of its 4096 MiB") == 2
        vms = (await w.ok("POST", "/v/vm/list", gid=0))["vms"]
        assert sorted(one["host"]["id"] for one in vms) == [1] * 4 + [2] * 4
        await w.ok("DELETE", "/v/vm", vmid=vms[0]["vmid"])
        await w.vm("after")


@pytest.mark.anyio
@pytest.mark.holds("MANY-21")
async def test_a_plan_shows_the_choice_and_why(tmp_path: Path) -> None:
    async with together(tmp_path / "data", Other(2, "b", facts=smaller(memory=64))) as w:
        body = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 128}
        (step,) = (await w.ok("PUT", "/v/vm/efi", **body, plan=True))["steps"]
        assert step["host"]["id"] == 1
        assert step["because"] == "it is the only host that can have it"
    async with together(tmp_path / "alone") as w:
        (step,) = (await w.ok("PUT", "/v/vm/efi", **body, plan=True))["steps"]
        assert "host" not in step
        assert "because" not in step


@pytest.mark.anyio
@pytest.mark.holds("MANY-22")
async def test_a_host_in_maintenance_starts_nothing_and_one_that_drains_gets_nothing(tmp_path: Path) -> None:
    b = Other(2, "b")
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm(host=2)
        await w.server.hosts.attach(b.attached(duty=Duty.DRAINING))
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"
        assert (await w.ok("POST", "/v/vm", vmid=await w.vm("second")))["host"]["id"] == 1
        await w.server.hosts.attach(b.attached(duty=Duty.MAINTENANCE))
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED"))["state"] == "PAUSED"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (406, 13220)
        answer = await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert "host 'b' is in maintenance and starts no VMs" in answer["message"]
        await w.server.hosts.attach(b.attached(duty=Duty.ACTIVE))
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")


@pytest.mark.anyio
@pytest.mark.holds("MANY-23")
async def test_a_clone_is_beside_its_source_or_where_its_disks_are_to_be(tmp_path: Path) -> None:
    b = Other(2, "b", (20, "fast"))
    async with together(tmp_path / "data", b) as w:
        disk = await w.medium(mpid=20)
        vmid = await w.vm(media=[{"mid": disk, "mode": "VIRTIO"}])
        for name, more, there in (("beside", {}, 2), ("away", {"mpid": 1}, 1)):
            task = await w.ok("PUT", "/v/vm/clone", vmid=vmid, gid=0, name=name, **more)
            await w.settle()
            made = (await w.ok("POST", "/t/task", tid=task["tid"])).body
            assert made["state"] == "DONE", made
            assert (await w.ok("POST", "/v/vm", vmid=made["vmid"]))["host"]["id"] == there
            assert (await w.ok("PUT", "/v/vm/state", vmid=made["vmid"], state="RUNNING"))["state"] == "RUNNING"


@pytest.mark.anyio
@pytest.mark.holds("MANY-154")
async def test_a_clone_goes_to_the_host_that_is_asked_for_with_its_disks(tmp_path: Path) -> None:
    b, c = Other(2, "b", (20, "fast")), Other(3, "c", (30, "x"), (31, "y"))
    async with together(tmp_path / "data", b, c) as w:
        vmid = await w.vm(media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        body = {"vmid": vmid, "gid": 0, "name": "copy"}
        plan = await w.ok("PUT", "/v/vm/clone", **body, host=2, plan=True)
        assert (plan["steps"][0]["host"]["id"], plan["steps"][0]["because"]) == (2, "it was asked for")
        several = await w.call("PUT", "/v/vm/clone", **body, host=3)
        assert (several.code, several["field"]) == (39213, "mpid")
        assert "which has several: name the pool" in several["message"]
        unknown = await w.call("PUT", "/v/vm/clone", **body, host=9)
        assert (unknown.code, unknown["message"][:18]) == (39280, "there is no host 9")
        assert await w.refused("PUT", "/v/vm/clone", **body, host=2, mpid=30) == (406, 39280)
        assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"][1:] == []
        for name, host, more in (("on b", 2, {}), ("on c", 3, {"mpid": 31})):
            task = await w.ok("PUT", "/v/vm/clone", vmid=vmid, gid=0, name=name, host=host, **more)
            await w.settle()
            made = (await w.ok("POST", "/t/task", tid=task["tid"])).body
            assert made["state"] == "DONE", made
            assert (await w.ok("POST", "/v/vm", vmid=made["vmid"]))["host"]["id"] == host
            assert (await w.ok("PUT", "/v/vm/state", vmid=made["vmid"], state="RUNNING"))["state"] == "RUNNING"
        assert len(c.disks.pools[31].kept) == 1


@pytest.mark.anyio
@pytest.mark.holds("MANY-63")
async def test_who_may_not_see_hosts_is_told_of_none(tmp_path: Path) -> None:
    """Neither by a refusal nor by a plan: no name, no label and no amount of a host."""
    async with together(tmp_path / "data", Other(2, "secret-name")) as w:
        gid = await w.group("team")
        key = await w.user("bob", (gid, "vm.create"))
        body = {"name": "x", "gid": gid, "cpus": 1, "memory_mib": 64}
        for more in (
            {"host": 9},
            {"host": 2, "memory_mib": 1 << 20},
            {"memory_mib": 1 << 20},
            {"host_labels": ["gpu"]},
        ):
            told = [(await w.call("PUT", "/v/vm/efi", who, **{**body, **more}))["message"] for who in (key, w.key)]
            assert "secret-name" in told[1], told
            assert "secret-name" not in told[0] and "MiB" not in told[0], told
        plan = await w.ok("PUT", "/v/vm/efi", key, plan=True, **body)
        assert "memory is left" in str(plan.body) and "is left:" not in str(plan.body), plan.body
