"""What is set of a disk of a VM beside its mode: how it is cached, and more that absent keys leave as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.world import World, world
from velocity.hypervisor.port import Cache, DiskLimits, DiskSpec

pytestmark = pytest.mark.anyio

VM = "/v/vm"


async def started(w: World, vmid: int) -> tuple[DiskSpec, ...]:
    """The disks that its run has."""
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    return run.spec.disks


@pytest.mark.holds("GUEST-45")
async def test_a_disks_cache_is_what_was_sent_and_without_it_all_is_as_before(tmp_path: Path) -> None:
    """The elements read back as they were sent, over a restart too; a change waits for the next start."""
    async with world(tmp_path / "data") as w:
        mids = [await w.medium(f"disk {number}") for number in range(3)]
        plain = [
            {"mid": mid, "mode": mode, "readonly": False}
            for mid, mode in zip(mids, ("BLOCK", "USB", "VIRTIO"), strict=True)
        ]
        sent = [plain[0], {**plain[1], "cache": "writeback"}, {**plain[2], "cache": "none"}]
        vmid = await w.vm(media=plain)
        assert (await w.ok("POST", VM, vmid=vmid))["media"] == plain
        assert [one.cache for one in await started(w, vmid)] == [Cache.WRITEBACK] * 3
        planned = await w.ok("PATCH", VM, vmid=vmid, media=sent, plan=True)
        assert planned["steps"][0]["changes"] == [{"field": "media", "old": plain, "new": sent}]
        assert (await w.ok("PATCH", VM, vmid=vmid, media=sent))["waiting"] == ["media"]
        assert [one.cache.value for one in await started(w, vmid)] == ["writeback", "writeback", "none"]
        for wrong in ("unsafe", "writethrough", "NONE", 1):
            answer = await w.call("PATCH", VM, vmid=vmid, media=[{**plain[0], "cache": wrong}])
            assert (answer.status, answer.code) == (400, 400) and "media[0].cache" in answer["message"]
        null = [{**one, "cache": None} for one in plain]
        other = await w.vm("other", media=[{**one, "readonly": True} for one in null])
        assert (await w.ok("POST", VM, vmid=other))["media"] == [{**one, "readonly": True} for one in plain]
    async with world(tmp_path / "data") as w:
        assert (await w.ok("POST", VM, vmid=vmid))["media"] == sent


@pytest.mark.holds("GUEST-46")
async def test_limits_of_a_disk_are_set_at_once_and_what_could_not_be_set_is_told_and_tried_again(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "data") as w:
        mids = [await w.medium(f"disk {number}") for number in range(2)]
        plain = [{"mid": mid, "mode": "BLOCK", "readonly": False} for mid in mids]
        some = {"iops": 100, "read_bytes": 1 << 20}
        vmid = await w.vm(media=[plain[0], {**plain[1], "limits": some}])
        assert [one.limits for one in await started(w, vmid)] == [DiskLimits(), DiskLimits(**some)]
        (run,) = w.hypervisor.runs.values()
        limited = [{**plain[0], "limits": {"write_iops": 5}}, plain[1]]
        before = (await w.ok("POST", VM, vmid=vmid)).body
        planned = await w.ok("PATCH", VM, vmid=vmid, media=limited, plan=True)
        assert planned["warnings"] == [
            f"the I/O limits of medium 'disk {number}' change at once, while the VM runs" for number in range(2)
        ]
        assert (await w.ok("POST", VM, vmid=vmid)).body == before and run.spec.disks[0].limits == DiskLimits()
        altered = await w.ok("PATCH", VM, vmid=vmid, media=limited)
        assert (altered["waiting"], altered.body.get("warnings")) == ([], None)
        assert [one.limits for one in run.spec.disks] == [DiskLimits(write_iops=5), DiskLimits()]
        both = [{**limited[0], "cache": "none", "limits": {"iops": 9}}]
        assert (await w.ok("PATCH", VM, vmid=vmid, media=both))["waiting"] == ["media"], "the rest waits"
        assert [one.limits for one in run.spec.disks] == [DiskLimits(iops=9), DiskLimits()]
        w.hypervisor.faults.hang(run.who.machine)
        altered = await w.ok("PATCH", VM, vmid=vmid, media=limited)
        assert altered["waiting"] == ["media"]
        assert "the change takes effect at its next start at the latest" in altered["warnings"][0]
        w.hypervisor.faults.wake(run.who.machine)
        await w.settle()
        assert (await w.ok("PATCH", VM, vmid=vmid, notes="now"))["waiting"] == [], "any change tries again"
        assert [one.limits for one in run.spec.disks] == [DiskLimits(write_iops=5), DiskLimits()]
        hypervisor = w.hypervisor
    async with world(tmp_path / "data", hypervisor) as w:
        await w.settle()
        assert (await w.ok("POST", VM, vmid=vmid))["waiting"] == [], "what the run has got is kept"
        assert (await w.ok("POST", VM, vmid=vmid))["media"] == limited
        assert [one.limits for one in await started(w, vmid)] == [DiskLimits(write_iops=5), DiskLimits()]


@pytest.mark.holds("GUEST-46")
async def test_limits_that_make_no_sense_are_refused_by_their_name_and_change_nothing(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        plain = {"mid": await w.medium(), "mode": "BLOCK", "readonly": False}
        vmid = await w.vm(media=[plain])
        before = (await w.ok("POST", VM, vmid=vmid)).body
        for limits, field, cure in (
            ({"iops": 0}, "limits.iops", ">= 1"), ({"bytes": 100}, "limits.bytes", ">= 512"),
            ({"iops": 5, "read_iops": 5}, "limits.iops", "leave out read_iops and write_iops"),
            ({"bytes": 4096, "write_bytes": 4096}, "limits.bytes", "leave out read_bytes and write_bytes"),
            ({"write_iops": "many"}, "limits.write_iops", ""), (7, "limits", ""),
        ):  # fmt: skip
            answer = await w.call("PATCH", VM, vmid=vmid, media=[{**plain, "limits": limits}])
            assert (answer.status, answer.code, answer["field"]) == (400, 400, f"media[0].{field}"), answer
            assert cure in answer["message"]
        assert (await w.ok("POST", VM, vmid=vmid)).body == before


@pytest.mark.holds("GUEST-47")
async def test_zeros_are_detected_where_it_is_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        plain = {"mid": await w.medium(), "mode": "BLOCK", "readonly": False}
        vmid = await w.vm(media=[plain])
        for said, found in ((True, True), (False, False)):
            media = [{**plain, "detect_zeroes": said}]
            await w.ok("PATCH", VM, vmid=vmid, media=media)
            assert (await w.ok("POST", VM, vmid=vmid))["media"] == media
            assert [one.detect_zeroes for one in await started(w, vmid)] == [found]
        await w.ok("PATCH", VM, vmid=vmid, media=[plain])
        assert [one.detect_zeroes for one in await started(w, vmid)] == [False]


@pytest.mark.holds("GUEST-48")
async def test_a_disk_keeps_its_sectors_until_others_are_asked_for_and_what_is_on_it_is_warned_of(
    tmp_path: Path,
) -> None:
    async with world(tmp_path / "data") as w:
        blank = {"mid": await w.medium(), "mode": "BLOCK", "readonly": False}
        used = {"mid": (await w.upload(b"x" * 8192, x_velocity_type="DISK"))["mid"], "mode": "USB", "readonly": False}
        created = await w.ok("PUT", "/v/vm/efi", name="new", gid=0, cpus=1, memory_mib=64,
                             media=[{**blank, "sector_size": 4096}, used])  # fmt: skip
        vmid = created["vmid"]
        assert "warnings" not in created.body, "nothing is on it yet"
        assert [one.sector_size for one in await started(w, vmid)] == [4096, 512]
        for sent in ([used, blank], [blank, {**used, "sector_size": 512}]):
            altered = await w.ok("PATCH", VM, vmid=vmid, media=sent)
            assert "warnings" not in altered.body
            shown = {one["mid"]: one for one in (await w.ok("POST", VM, vmid=vmid))["media"]}
            assert shown[blank["mid"]] == {**blank, "sector_size": 4096}, "a client that knows nothing of them"
            assert {one.sector_size for one in await started(w, vmid)} == {4096, 512}
        asked = [blank, {**used, "sector_size": 4096}]
        planned = await w.ok("PATCH", VM, vmid=vmid, media=asked, plan=True)
        altered = await w.ok("PATCH", VM, vmid=vmid, media=asked)
        (warning,) = altered["warnings"]
        assert warning in planned["warnings"] and altered["waiting"] == ["media"]
        assert (
            "medium 'upload' gets sectors of 4,096 bytes instead of 512" in warning and "sector_size to 512" in warning
        )
        await w.ok("PATCH", VM, vmid=vmid, media=[{**blank, "sector_size": 512}])
        assert [one.sector_size for one in await started(w, vmid)] == [512]
        iso = {"mid": (await w.upload(b"x" * 8192, x_velocity_name="iso"))["mid"], "readonly": True}
        for mode, refused in (("USB", True), ("VIRTIO", True), ("BLOCK", False)):
            media = [{**iso, "mode": mode, "sector_size": 4096}]
            answer = await w.call("PATCH", VM, vmid=vmid, media=media)
            assert (answer.status, answer.body.get("field")) == (
                (400, "media[0].sector_size") if refused else (200, None)
            )
        for wrong in (1024, 0, "4k"):
            answer = await w.call("PATCH", VM, vmid=vmid, media=[{**blank, "sector_size": wrong}])
            assert (answer.status, answer["field"]) == (400, "media[0].sector_size")
