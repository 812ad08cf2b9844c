"""VMs that move from one host to another: running as they are, or stopped."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.images import wait
from tests.api.media_changes import hang
from tests.api.world import World
from tests.hosts.test_pools import BYTES, content, objects, uploaded
from tests.hosts.together import Other, machine, smaller, together
from tests.metrics.times import Hands
from tests.patience import eventually
from velocity.hypervisor.attached import Duty
from velocity.hypervisor.port import Fact, FactCause, HostId, MovePhase, Usage
from velocity.storage.fake.pools import Hangs

pytestmark = pytest.mark.anyio
A, B = HostId(1), HostId(2)


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


async def running(w: World, name: str = "web", **more: Any) -> int:
    vmid = await w.vm(name, host=1, **more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


async def moved(w: World, vmid: int, host: int = 2, **more: Any) -> Any:
    return await wait(w, await w.ok("PUT", "/v/vm/host", vmid=vmid, host=host, **more))


async def cleared(w: World) -> None:
    """Nothing is left to do of any move."""
    await eventually(lambda: not w.server.services.host_moves.settling.left)


@pytest.mark.holds("MANY-73")
async def test_a_vm_that_runs_goes_on_at_another_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium()
        vmid = await running(w, media=[{"mid": mid, "mode": "VIRTIO"}])
        task = await moved(w, vmid)
        assert (task["state"], task["vmid"], task["kind"]) == ("DONE", vmid, "move_vm")
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"], shown["wanted"]) == ("RUNNING", {"id": 2, "name": "b"}, "RUNNING")
        assert "moving" not in shown.body
        assert "reason" not in shown.body
        run = b.fake.runs[machine(w, vmid)]
        assert (run.fact, run.who.epoch) == (Fact.RUNNING, 2)
        assert [disk.media.pool for disk in run.spec.disks] == [20]
        assert (await w.ok("POST", "/m/media", mid=mid))["mpid"] == 20
        await cleared(w)
        assert w.hypervisor.runs == {}
        assert w.files() == []
        assert objects(b.disks.pools[20]).keys() == {UUID(mid)}
        assert b.disks.pools[20].moving == {}
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await moved(w, vmid, 1)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 1


@pytest.mark.holds("MANY-74")
async def test_a_vm_that_is_stopped_is_copied(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await uploaded(w, 1)
        vmid = await w.vm(host=1, media=[{"mid": mid, "mode": "VIRTIO"}])
        await moved(w, vmid)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 2
        assert await content(w, mid) == BYTES
        await cleared(w)
        assert w.files() == []
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert b.runs(machine(w, vmid))


@pytest.mark.holds("MANY-74")
async def test_what_a_cut_leaves_of_a_stopped_vm_is_undone(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid, pool = await uploaded(w, 1), b.disks.pools[20]
        vmid = await w.vm(host=1, media=[{"mid": mid, "mode": "VIRTIO"}])
        pool.after(4, Hangs())
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: not pool.answers.is_set())
        assert await w.refused("PUT", "/v/vm/state", vmid=vmid, state="RUNNING") == (409, 13295)
        pool.wake()
    async with together(tmp_path / "data", b) as w:  # the server has ended in the middle
        await cleared(w)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 1
        assert await content(w, mid) == BYTES
        assert (pool.kept, pool.moving) == ({}, {})
        await moved(w, vmid)
        assert await content(w, mid) == BYTES


@pytest.mark.holds("MANY-73")
async def test_what_it_only_reads_goes_along_and_what_both_hosts_reach_stays(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        disk, iso = await w.medium(), str((await w.upload(BYTES, x_velocity_name="iso"))["mid"])
        vmid = await running(w, media=[{"mid": disk, "mode": "VIRTIO"}, {"mid": iso, "mode": "USB", "readonly": True}])
        there: set[UUID] = set()
        receive = b.fake.mobility.receive

        async def received(*values: Any, **more: Any) -> Any:
            there.update(objects(b.disks.pools[20]))
            return await receive(*values, **more)

        b.fake.mobility.receive = received  # type: ignore[method-assign]
        await moved(w, vmid)
        assert there == {UUID(iso)}, "what it reads is in its place before it is opened there"
        await cleared(w)
        assert await content(w, iso) == BYTES
        assert objects(b.disks.pools[20]).keys() == {UUID(disk), UUID(iso)}
        assert w.files() == []


@pytest.mark.holds("MANY-73")
async def test_what_waits_for_its_next_start_waits_at_the_new_host(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        first, second = ({"user_data": f"#cloud-config\n# {word}\n"} for word in ("first", "second"))
        vmid = await running(w, cloud_init=first)
        await w.ok("PATCH", "/v/vm", vmid=vmid, cloud_init=second, cpus=2)
        await moved(w, vmid)
        spec = b.fake.runs[machine(w, vmid)].spec
        assert spec.seed is not None
        assert ("first" in spec.seed.user_data, spec.cpus) == (True, 1), "as it was started"
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == ["cpus", "cloud_init"]
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        spec = b.fake.runs[machine(w, vmid)].spec
        assert spec.seed is not None
        assert ("second" in spec.seed.user_data, spec.cpus) == (True, 2)


@pytest.mark.holds("MANY-75")
@pytest.mark.parametrize("phase", MovePhase)
async def test_a_move_is_cancelled_or_broken_in_any_phase_and_can_be_tried_again(
    tmp_path: Path, b: Other, phase: MovePhase
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        uuid, mobility = machine(w, vmid), w.hypervisor.mobility
        mobility.holds[phase] = asyncio.Event()
        tid = (await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2))["tid"]
        await eventually(lambda: phase in mobility.under_way.values())
        shown, task = await w.ok("POST", "/v/vm", vmid=vmid), await w.ok("POST", "/t/task", tid=tid)
        assert shown["moving"] == {"host": {"id": 2, "name": "b"}, "tid": tid}
        assert (shown["state"], task["phase"]) == ("RUNNING", phase.value)
        assert task["total"] > 0
        given = [one["memory_given_mib"] for one in (await w.ok("POST", "/h/host"))["hosts"]]
        assert given == [64, 64], "it has its memory on both"
        assert (await w.ok("DELETE", "/t/task", tid=tid))["state"] == "CANCELLED"
        await stays(w, b, vmid)

        mobility.holds.clear()
        mobility.breaks[phase] = "the cable was pulled"
        failed = await moved(w, vmid)
        assert (failed["state"], failed["message"]) == ("FAILED", "the cable was pulled")
        await stays(w, b, vmid)

        mobility.breaks.clear()
        assert (await moved(w, vmid))["state"] == "DONE"
        assert b.runs(uuid)


@pytest.mark.holds("MANY-175")
async def test_what_the_target_said_as_it_ended_is_told(tmp_path: Path, b: Other) -> None:
    """The source sees a connection that broke; why it did, the target alone knows."""
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        uuid, mobility = machine(w, vmid), w.hypervisor.mobility
        mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        begun = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: MovePhase.MEMORY in mobility.under_way.values())
        b.fake.play(uuid, Fact.ENDED, FactCause.UNKNOWN, detail="load of migration failed: Invalid argument")
        mobility.holds[MovePhase.MEMORY].set()
        task = await wait(w, begun)
        assert task["state"] == "FAILED"
        assert task["message"].endswith("; host 'b' said: load of migration failed: Invalid argument")
        mobility.holds.clear()
        await stays(w, b, vmid)


async def stays(w: World, b: Other, vmid: int) -> None:
    """It runs where it did, and nothing is left of the move."""
    await cleared(w)
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["state"], shown["host"]["id"]) == ("RUNNING", 1)
    assert "moving" not in shown.body
    assert w.hypervisor.runs[machine(w, vmid)].fact is Fact.RUNNING
    assert not b.runs(machine(w, vmid))
    pool = b.disks.pools[20]
    assert (pool.kept, pool.moving, pool.trash) == ({}, {}, {})
    (medium,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert medium["mpid"] == 1
    assert (await used(w, 1), await used(w, 20)) == (1 << 20, 0)


async def used(w: World, mpid: int) -> int:
    return w.server.services.quotas.used(0, mpid)


BUSY: dict[str, tuple[str, str, dict[str, Any], int]] = {
    "pause": ("PUT", "/v/vm/state", {"state": "PAUSED"}, 13295),
    "stop": ("PUT", "/v/vm/state", {"state": "STOPPED"}, 13295),
    "restart": ("PUT", "/v/vm/restart", {}, 38295),
    "reset": ("PUT", "/v/vm/reset", {}, 53295),
    "change": ("PATCH", "/v/vm", {"cpus": 2}, 16495),
    "delete": ("DELETE", "/v/vm", {}, 16395),
    "another group": ("PUT", "/v/vm/move", {"gid": 0}, 50295),
    "again": ("PUT", "/v/vm/host", {"host": 2}, 62222),
    "next boot": ("PUT", "/v/vm/boot", {"firmware_setup": True}, 54295),
    "clone": ("PUT", "/v/vm/clone", {"gid": 0, "name": "copy"}, 39295),
}


@pytest.mark.holds("MANY-76")
async def test_nothing_else_is_done_with_a_vm_that_moves_but_a_forced_stop(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium()
        vmid = await running(w, media=[{"mid": mid, "mode": "VIRTIO"}])
        hold = w.hypervisor.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        tid = (await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2))["tid"]
        await eventually(lambda: MovePhase.MEMORY in w.hypervisor.mobility.under_way.values())
        for method, path, body, code in BUSY.values():
            answer = await w.call(method, path, vmid=vmid, **body)
            assert (answer.status, answer.code) == (409, code), answer
            assert "is being moved to host 'b': wait until that has ended, cancel it" in answer["message"]
        for path, body in (("/m/media/move", {"mpid": 20}), ("/m/media/convert", {"format": "qcow2"})):
            answer = await w.call("PUT", path, mid=mid, **body)
            assert (answer.status, answer["message"].startswith("VM 'web' ")) == (409, True)
        assert "VM 'web' is being moved to host 'b': wait" in answer["message"]
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING", "it does"

        answer = await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        assert answer["state"] == "STOPPED"
        hold.set()
        task = await wait(w, {"tid": tid})
        assert task["state"] == "FAILED"
        assert "stays where it was" in task["message"]
        await cleared(w)
        assert (w.hypervisor.runs, b.fake.runs) == ({}, {})
        assert b.disks.pools[20].moving == {}
        assert (await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))["state"] == "RUNNING"


@pytest.mark.holds("MANY-76")
async def test_a_group_is_deleted_with_a_vm_that_moves(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        gid = await w.group("team")
        vmid = await running(w, gid=gid)
        w.hypervisor.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: bool(w.hypervisor.mobility.under_way))
        await w.ok("DELETE", "/u/group", gid=gid, force=True, purge=True)
        await cleared(w)
        assert (w.hypervisor.runs, b.fake.runs) == ({}, {})


@pytest.mark.holds("MANY-77")
async def test_what_keeps_a_vm_from_moving_is_said_with_the_cure(tmp_path: Path) -> None:
    b = Other(2, "b", (20, "fast"), nics={5: "br5"})
    others = [
        Other(3, "c", (30, "slow"), facts=smaller(accelerator="kvm")),
        Other(4, "d", (40, "old"), facts=smaller(hypervisor="fake 0.9")),
        Other(5, "e", facts=smaller(nat_networks=("10.9.0.0/24",))),
        Other(6, "f", facts=smaller(memory=32)),
        Other(7, "g", (70, "g"), duty=Duty.DRAINING),
    ]
    async with together(tmp_path / "data", b, *others) as w:
        gid = await w.group("team")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
        mid = await w.medium(gid=gid)
        vmid = await running(w, gid=gid, media=[{"mid": mid, "mode": "VIRTIO"}], nics=[{"type": "NAT"}])
        lacks = {one["host"]: one.get("lacks", "") for one in (await w.ok("POST", "/v/vm/host", vmid=vmid))["hosts"]}
        assert "does not have pool 20 with `manage`: ask an administrator" in lacks[2]
        assert "it runs guests by kvm, and the VM runs by fake" in lacks[3]
        assert "its fake 0.9 is older than fake 1.0" in lacks[4]
        assert "no pool of host 'e' can have medium 'disk': it has no pool" in lacks[5]
        assert "it has 32 MiB of memory in all" in lacks[6]
        assert "it is being drained, and takes no VMs" in lacks[7]
        for host, code in ((2, 62201), (3, 62220), (6, 62220), (7, 62220), (1, 62220), (9, 62211)):
            refused = await w.call("PUT", "/v/vm/host", vmid=vmid, host=host)
            assert refused.code in (code, 62226), refused
            assert refused["field"] in ("host", "mpid")
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2, mpid=1) == (404, 62212)
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2, mpid=20) == (403, 62201)

        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=20, write=True, manage=True, quota=1)
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (406, 62226)
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=20, write=True, manage=True)
        other = await w.vm("other", gid=gid, host=1, media=[{"mid": mid, "mode": "VIRTIO", "readonly": True}])
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (409, 62224)
        await w.ok("DELETE", "/v/vm", vmid=other)
        b.fake.hosts.free = 16
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (406, 62228)
        b.fake.hosts.free = 4096
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (406, 62221)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        b.disks.pools[20].state = "away"
        assert (await w.call("PUT", "/v/vm/host", vmid=vmid, host=2)).code == 62226
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2, mpid=20) == (406, 62227)
        b.disks.pools[20].state = "online"
        same = await w.medium(gid=gid, mpid=20)
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (409, 62225)
        await w.ok("DELETE", "/m/media", mid=same, purge=True)
        assert b.fake.runs == {}
        assert (await moved(w, vmid))["state"] == "DONE"


@pytest.mark.holds("MANY-77")
async def test_a_vm_whose_disk_is_being_converted_moves_to_no_host_or_group(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        gid, mid = await w.group("team"), await w.medium()
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
        vmid = await w.vm(host=1, media=[{"mid": mid, "mode": "VIRTIO"}])
        hangs = hang(w)
        tid = (await w.ok("PUT", "/m/media/convert", mid=mid, format="qcow2"))["tid"]
        await hangs.wait()
        assert await w.refused("PUT", "/v/vm/move", vmid=vmid, gid=gid) == (409, 50226)
        assert await w.refused("PUT", "/v/vm/host", vmid=vmid, host=2) == (409, 62223)
        await w.ok("DELETE", "/t/task", tid=tid)
        assert (await moved(w, vmid))["state"] == "DONE"


@pytest.mark.holds("MANY-77")
async def test_who_may_not_change_a_vm_or_its_media_does_not_move_it(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm(host=1, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        for rights, code in ((("vm.view",), 62200), (("vm.view", "vm.alter"), 62200)):
            key = await w.user(f"user{len(rights)}", *((0, right) for right in rights))
            assert await w.refused("PUT", "/v/vm/host", key, vmid=vmid, host=2) == (403, code)
        key = await w.user("maker", *((0, right) for right in ("vm.alter", "media.create", "media.remove")))
        await w.server.hosts.attach(b.attached(duty=Duty.DRAINING))
        answer = await w.call("PUT", "/v/vm/host", key, vmid=vmid, host=2)
        assert answer["message"] == "host 2 cannot have it; choose another one", "who may not see hosts is told no more"
        assert "ask an administrator" in (await w.call("PUT", "/v/vm/host", key, vmid=vmid, host=9))["message"]
        assert (await w.ok("POST", "/v/vm/host", key, vmid=vmid))["hosts"] == []
        await w.server.hosts.attach(b.attached(duty=Duty.ACTIVE))
        key = await w.user("mover", *((0, right) for right in ("vm.alter", "media.create", "media.remove")))
        assert (await wait(w, await w.ok("PUT", "/v/vm/host", key, vmid=vmid, host=2)))["state"] == "DONE"


@pytest.mark.holds("MANY-80")
async def test_a_host_is_drained_of_its_vms(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        runs = [await running(w, f"run{number}") for number in range(3)]
        still = await w.vm("still", host=1)
        paused = await running(w, "paused")
        await w.ok("PUT", "/v/vm/state", vmid=paused, state="PAUSED")
        b_vm = await w.vm("there", host=2)
        w.hypervisor.mobility.holds[MovePhase.MEMORY] = hold = asyncio.Event()
        own = (await w.ok("POST", "/h/node", host=1))["name"]
        started = await w.ok("PUT", "/h/node/drain", host=1)
        await eventually(lambda: len(w.hypervisor.mobility.under_way) == 2)
        assert await w.refused("PUT", "/h/node/drain", host=1) == (409, 62291)
        assert len(w.hypervisor.mobility.sent) == 2, "two at a time"
        hold.set()
        task = await wait(w, started)
        assert (task["state"], task["kind"], task["unit"], task["name"]) == ("FAILED", "drain", "VMs", own)
        assert (task["done"], task["total"]) == (4, 5)
        assert task["message"].startswith("moved 4 of 5 VMs; not moved: 'paused' (")
        assert "is PAUSED: resume it, or stop it" in task["message"]
        hosts = {vmid: (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] for vmid in (*runs, still, paused, b_vm)}
        assert hosts == {**dict.fromkeys(runs, 2), still: 2, paused: 1, b_vm: 2}
        assert (await w.ok("POST", "/h/node", host=1))["duty"] == "draining"
        assert (await w.call("PUT", "/v/vm/efi", name="new", gid=0, cpus=1, memory_mib=64, host=1)).code == 12280
        await w.ok("PUT", "/v/vm/state", vmid=paused, state="STOPPED", force=True)
        assert (await wait(w, await w.ok("PUT", "/h/node/drain", host=1)))["state"] == "DONE"


@pytest.mark.holds("MANY-280")
async def test_a_vm_that_has_moved_runs_since_it_was_started(tmp_path: Path, b: Other) -> None:
    """Not since it came to the host where it is."""
    hands = Hands(time.time() + 1000)
    async with together(tmp_path / "data", b, times=hands.times()) as w:
        vmid = await running(w)
        since = (await w.ok("POST", "/v/vm", vmid=vmid))["running_since"]
        assert (await moved(w, vmid))["state"] == "DONE"
        await cleared(w)
        b.fake.runs[machine(w, vmid)].usage = Usage(1.0, 96 << 20, 0, 0, None, age=3.0)
        await hands.look(w.server.services.metrics)
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["running_since"], shown["memory_taken_mib"]) == (since, 96)
        assert (await w.ok("POST", "/v/vm/usage"))["running_since"] == [since]


@pytest.mark.holds("MANY-63")
async def test_no_refusal_names_a_host_to_those_who_may_not_see_hosts(tmp_path: Path) -> None:
    """They read its id instead, which is all that they can do something with. Who may see hosts reads the name."""
    b = Other(2, "secret-name", (20, "fast"))
    async with together(tmp_path / "data", b) as w:
        mid, there = await w.medium(), await w.medium("there", mpid=20)
        own = await w.vm("own", host=1, media=[{"mid": mid, "mode": "VIRTIO"}])
        other, big = await w.vm("other", host=2), await w.vm("big", host=1, memory_mib=1024)
        rights = ("vm.alter", "vm.state", "vm.create", "media.create", "media.remove", "media.list")
        key = await w.user("bob", *((0, right) for right in rights))

        async def told(method: str, path: str, **body: Any) -> str:
            """What bob is told, which has no name in it."""
            answers = [await w.call(method, path, who, **body) for who in (key, w.key)]
            assert all(answer.status >= 400 for answer in answers), answers
            assert "secret-name" not in str(answers[0].body), answers[0]
            return str(answers[1]["message"])

        disk = {"mid": there, "mode": "VIRTIO"}
        assert "on host 'secret-name'" in await told("PATCH", "/v/vm", vmid=own, media=[disk])
        assert "secret-name" in await told("PUT", "/v/vm/host", vmid=other, host=2)
        assert "secret-name" in await told("PUT", "/v/vm/host", vmid=own, host=2, mpid=99)
        await w.ok("PUT", "/v/vm/state", vmid=own, state="RUNNING")
        hold = w.hypervisor.mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        await w.ok("PUT", "/v/vm/host", vmid=own, host=2)
        await eventually(lambda: MovePhase.MEMORY in w.hypervisor.mobility.under_way.values())
        assert "is being moved to host 'secret-name'" in await told("PATCH", "/v/vm", vmid=own, cpus=2)
        convert = await told("PUT", "/m/media/convert", mid=mid, format="qcow2")
        assert "is being moved to host 'secret-name'" in convert
        hold.set()
        await eventually(lambda: w.server.services.fleet.get(own).passage.moving is None, "the end of the move")
        await w.server.hosts.attach(b.attached(duty=Duty.MAINTENANCE))
        assert "secret-name" in await told("PUT", "/v/vm/state", vmid=other, state="RUNNING")
        assert "secret-name" in await told("PUT", "/v/vm/host", vmid=big, host=2)
        b.fake.faults.lose(b.host)
        await eventually(lambda: b.host in w.server.hosts.silent)
        await w.server.hosts.attach(b.attached(duty=Duty.ACTIVE))
        words = await told("PUT", "/v/vm/state", vmid=other, state="RUNNING")
        assert "host 'secret-name' has not responded" in words and "confirm-dead secret-name" in words
        assert "secret-name" in await told("PUT", "/v/vm/host", vmid=big, host=2)


@pytest.mark.holds("MANY-63")
async def test_who_may_not_see_hosts_learns_what_a_user_can_change_about_a_move(tmp_path: Path, b: Other) -> None:
    """And nothing of what the hosts lack."""
    c = Other(3, "secret-name", facts=smaller(memory=32))
    async with together(tmp_path / "data", b, c) as w:
        disk = {"mid": await w.medium(), "mode": "VIRTIO", "readonly": True}
        for name in ("one", "two"):
            await w.vm(name, host=1, media=[disk])
        key = await w.user("bob", *((0, right) for right in ("node.manage", "vm.alter", "vm.view")))
        stay = (await w.ok("PUT", "/h/node/drain", key, host=1, plan=True))["warnings"]
        assert len(stay) == 2
        for words in stay:
            assert "no other host can have it: host 2: " in words
            assert words.endswith("detach it from one of the two first")
            assert "secret-name" not in words and "32 MiB" not in words


@pytest.mark.holds("MANY-63")
async def test_how_much_memory_a_host_has_free_is_told_to_those_who_may_see_hosts(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("web", host=2)
        b.fake.hosts.free = 36
        key = await w.user("bob", (0, "vm.state"), (0, "vm.view"))
        asked = {"vmid": vmid, "state": "RUNNING"}
        assert (
            "the host has less free: stop another VM" in (await w.call("PUT", "/v/vm/state", key, **asked))["message"]
        )
        assert "the host has 36 MiB free: stop another VM" in (await w.call("PUT", "/v/vm/state", **asked))["message"]
