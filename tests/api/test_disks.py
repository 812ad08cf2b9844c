"""What is set of a disk of a VM beside its mode: how it is cached, and more that absent keys leave as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.world import World, world
from velocity.hypervisor.port import Cache, DiskSpec

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
