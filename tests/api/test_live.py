"""What is changed of a VM that runs is changed in its run at once; what cannot be, waits, and the answer says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.world import World, world
from tests.patience import asked_until, eventually
from velocity.hypervisor.fake import Answer, FakeRun
from velocity.hypervisor.port import Bus, DiskLimits

pytestmark = pytest.mark.anyio

VM = "/v/vm"


def on(mid: str, mode: str = "VIRTIO", **more: Any) -> dict[str, Any]:
    return {"mid": mid, "mode": mode, "readonly": False, **more}


async def running(w: World, *media: dict[str, Any], **more: Any) -> tuple[int, FakeRun]:
    vmid = await w.vm(media=list(media), **more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid, next(run for run in w.hypervisor.runs.values() if run.spec.name == more.get("name", "vm"))


def mids(run: FakeRun) -> list[str]:
    return [str(one.media.medium) for one in run.devices.spec.disks]


@pytest.mark.holds("GUEST-53")
@pytest.mark.parametrize("mode", ["USB", "BLOCK", "VIRTIO"])
async def test_a_disk_is_attached_at_once_and_its_medium_is_free_as_soon_as_it_is_taken_out(
    tmp_path: Path, mode: str
) -> None:
    async with world(tmp_path / "data") as w:
        first, second = [await w.medium(f"disk {number}") for number in range(2)]
        vmid, run = await running(w, on(first))
        both = [on(first), on(second, mode, limits={"iops": 7})]
        planned = await w.ok("PATCH", VM, vmid=vmid, media=both, plan=True)
        assert planned["steps"][0]["live"] == ["media"] and "waits" not in planned["steps"][0]
        assert mids(run) == [first]
        altered = await w.ok("PATCH", VM, vmid=vmid, media=both)
        assert (altered["waiting"], "waits" in altered.body, "warnings" in altered.body) == ([], False, False)
        assert mids(run) == [first, second] and run.devices.spec.disks[1].limits == DiskLimits(iops=7)
        refused = await w.call("DELETE", "/m/media", mid=second)
        assert (refused.status, refused.code) == (409, 14320)
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[on(first)])
        assert altered["waiting"] == [] and mids(run) == [first]
        await w.ok("DELETE", "/m/media", mid=second)


@pytest.mark.holds("GUEST-54")
async def test_a_guest_that_keeps_a_disk_keeps_its_medium_until_it_lets_go(tmp_path: Path) -> None:
    """Also over a restart of the server; the event of the VM tells when it has let go."""
    async with world(tmp_path / "data") as w:
        first, second = [await w.medium(f"disk {number}") for number in range(2)]
        vmid, run = await running(w, on(first), on(second))
        run.devices.lets_go = False
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[on(first)])
        assert altered["waiting"] == ["media"]
        assert altered["waits"] == {"media": f"medium {second}: the guest has not released it yet"}
        assert (await w.call("DELETE", "/m/media", mid=second)).code == 14320
        other = await w.vm("other", media=[on(second, readonly=True)])
        assert (await w.call("PUT", "/v/vm/state", vmid=other, state="RUNNING")).code == 13224
        hypervisor = w.hypervisor
    async with world(tmp_path / "data", hypervisor) as w:
        await w.settle()
        shown = await w.ok("POST", VM, vmid=vmid)
        assert "has not released" in shown["waits"]["media"], "a server that comes next asks again"
        assert (await w.call("PUT", "/v/vm/state", vmid=other, state="RUNNING")).code == 13224
        w.hypervisor.let_go(run.who.machine)
        await w.hypervisor.heard()
        await w.settle()
        shown = await w.ok("POST", VM, vmid=vmid)
        assert (shown["waiting"], "waits" in shown.body, mids(run)) == ([], False, [first])
        await w.ok("PUT", "/v/vm/state", vmid=other, state="RUNNING")


@pytest.mark.holds("GUEST-54")
async def test_a_disk_that_is_wanted_again_before_the_guest_lets_go_comes_back_when_it_does(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        first, second = [await w.medium(f"disk {number}") for number in range(2)]
        vmid, run = await running(w, on(first), on(second))
        run.devices.lets_go = False
        await w.ok("PATCH", VM, vmid=vmid, media=[on(first)])
        assert (await w.ok("PATCH", VM, vmid=vmid, media=[on(first), on(second)]))["waiting"] == []
        w.hypervisor.let_go(run.who.machine)
        await w.hypervisor.heard()
        await w.settle()
        assert mids(run) == [first, second]
        assert len(w.hypervisor.machines.altered) == 2, "asked again, as its devices were others"


@pytest.mark.holds("GUEST-55")
@pytest.mark.parametrize("how", [Answer.LOST, Answer.LATE, Answer.UNDER_WAY])
async def test_a_server_that_ends_in_the_middle_leaves_it_done_or_it_is_done_by_the_next(
    tmp_path: Path, how: Answer
) -> None:
    """What may be in the run counts as in use until that is known."""
    async with world(tmp_path / "data") as w:
        first, second = [await w.medium(f"disk {number}") for number in range(2)]
        vmid, run = await running(w, on(first))
        w.hypervisor.faults.answers.append(how)
        w.hypervisor.faults.hang(run.who.machine)
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[on(first), on(second)])
        assert altered["waiting"] == ["media"] and "asks again" in altered["warnings"][0]
        assert (await w.call("PATCH", VM, vmid=vmid, media=[on(first)])).status == 200
        assert (await w.call("DELETE", "/m/media", mid=second)).code == 14320, "it may be in the run"
        await w.ok("PATCH", VM, vmid=vmid, media=[on(first), on(second)])
        hypervisor = w.hypervisor
    hypervisor.faults.wake(run.who.machine)
    async with world(tmp_path / "data", hypervisor) as w:
        await w.settle()
        shown = await w.ok("POST", VM, vmid=vmid)
        assert (shown["waiting"], mids(run)) == ([], [first, second])


@pytest.mark.holds("GUEST-55")
async def test_what_is_not_known_is_asked_again_and_not_without_a_pause(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        first = await w.medium("disk")
        vmid, run = await running(w)
        w.hypervisor.faults.answers.extend([Answer.LOST] * 40)
        await w.ok("PATCH", VM, vmid=vmid, media=[on(first)])
        await w.settle()
        assert len(w.hypervisor.machines.altered) < 10
        w.hypervisor.faults.answers.clear()
        await asked_until(lambda: w.ok("POST", VM, vmid=vmid), lambda vm: not vm["waiting"])
        assert mids(run) == [first]


@pytest.mark.holds("GUEST-55")
async def test_what_may_have_come_stays_in_use_when_the_next_change_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        first, second = [await w.medium(f"disk {number}") for number in range(2)]
        vmid, run = await running(w, on(first))
        w.hypervisor.faults.answers.append(Answer.UNDER_WAY)
        await w.ok("PATCH", VM, vmid=vmid, media=[on(first), on(second)])
        w.hypervisor.faults.refuse_changes = "its monitor takes nothing"
        await w.ok("PATCH", VM, vmid=vmid, media=[on(first)])
        w.hypervisor.faults.arrive(run.who.machine)
        assert mids(run) == [first, second]
        assert (await w.call("DELETE", "/m/media", mid=second)).code == 14320
        await eventually(lambda: mids(run) == [first])
        await w.settle()
        await w.ok("DELETE", "/m/media", mid=second)


@pytest.mark.holds("GUEST-56")
async def test_an_iso_is_changed_and_ejected_and_an_empty_drive_lasts(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        one, other = [(await w.upload(b"x" * 8192, x_velocity_name=name))["mid"] for name in ("one", "other")]
        vmid, run = await running(w, on(one, "USB"))
        await w.ok("PATCH", VM, vmid=vmid, media=[on(other, "USB")])
        assert (mids(run), run.devices.spec.drives) == ([other], ())
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[], drives=[{"mode": "USB"}])
        assert (altered["waiting"], mids(run), run.devices.spec.drives) == ([], [], (Bus.USB,))
        await w.ok("DELETE", "/m/media", mid=other)
        for state in ("STOPPED", "RUNNING"):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state, force=state == "STOPPED")
        (run,) = w.hypervisor.runs.values()
        assert run.spec.drives == (Bus.USB,), "it outlives a start"
        await w.ok("PATCH", VM, vmid=vmid, media=[on(one, "USB")])
        shown = await w.ok("POST", VM, vmid=vmid)
        assert (shown["drives"], mids(run), run.devices.spec.drives) == ([], [one], ()), "it went into the empty one"
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[])
        assert (altered["waiting"], run.devices.spec.drives) == ([], (Bus.USB,)), "the drive stays while it runs"
        answer = await w.call("PATCH", VM, vmid=vmid, drives=[{"mode": "BLOCK"}])
        assert (answer.status, answer["field"]) == (400, "drives[0].mode")


@pytest.mark.holds("GUEST-57")
async def test_a_medium_that_another_vm_writes_to_waits_and_what_is_refused_is_told_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "data") as w:
        first, shared = [await w.medium(f"disk {number}") for number in range(2)]
        await running(w, on(shared), name="writer")
        vmid, run = await running(w, on(first))
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[on(first), on(shared, readonly=True)])
        assert altered["waiting"] == ["media"]
        assert f"another VM is writing to medium {shared}: stop it first" in altered["waits"]["media"]
        assert mids(run) == [first]
        await w.ok("PATCH", VM, vmid=vmid, media=[on(first)])
        third = await w.medium("disk 2")
        w.hypervisor.faults.refuse_changes = "its monitor takes nothing"
        altered = await w.ok("PATCH", VM, vmid=vmid, media=[on(first), on(third)])
        assert "its monitor takes nothing" in altered["waits"]["media"] and altered["waiting"] == ["media"]
        await w.settle()
        assert mids(run) == [first], "and it is not asked again by itself"
        assert (await w.ok("PATCH", VM, vmid=vmid, notes="again"))["waiting"] == [] and mids(run) == [first, third]


@pytest.mark.holds("GUEST-58")
async def test_a_plan_says_what_waits_and_why_before_it_is_tried(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        first, second = [await w.medium(f"disk {number}") for number in range(2)]
        vmid, _ = await running(w, on(first, "BLOCK"), on(second))
        for media, why in (
            ([on(second)], "a BLOCK disk that was attached at the start"),
            ([on(first, "BLOCK"), on(second, cache="none")], "cache and sectors of a disk"),
        ):
            step = (await w.ok("PATCH", VM, vmid=vmid, media=media, plan=True))["steps"][0]
            assert "live" not in step and why in step["waits"]["media"]
        turned = [on(second), on(first, "BLOCK")]
        assert (await w.ok("PATCH", VM, vmid=vmid, media=turned, plan=True))["steps"][0]["live"] == ["media"]
        step = (await w.ok("PATCH", VM, vmid=vmid, cpu="host", notes="x", plan=True))["steps"][0]
        assert step["waits"] == {"cpu": "a guest detects the features of its CPU at a start"}
        await w.ok("PATCH", VM, vmid=vmid, hardware="1")
        for state in ("STOPPED", "RUNNING"):
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state, force=state == "STOPPED")
        added = [on(first, "BLOCK"), on(second), on(await w.medium("third"), "BLOCK")]
        step = (await w.ok("PATCH", VM, vmid=vmid, media=added, plan=True))["steps"][0]
        assert "needs hardware 2" in step["waits"]["media"]
        altered = await w.ok("PATCH", VM, vmid=vmid, media=added)
        assert altered["waiting"] == ["media"] and "needs hardware 2" in altered["waits"]["media"]
