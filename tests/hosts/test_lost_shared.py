"""A VM whose disks are on storage that several hosts have: it starts on another one when its own is confirmed dead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts import sharing
from tests.hosts.test_lost import confirm, lost, returned, running, shown
from tests.hosts.together import machine
from tests.patience import eventually

pytestmark = pytest.mark.anyio


@pytest.mark.holds("MANY-104")
async def test_a_vm_on_shared_storage_starts_on_another_host_after_the_proof(tmp_path: Path) -> None:
    shared = sharing.Shared(tmp_path)
    b = shared.b
    async with shared.server() as w:
        disk = await w.medium(mpid=sharing.MPID)
        vmid = await running(w, ha="restart", media=[{"mid": disk, "mode": "VIRTIO"}])
        await lost(w, b)
        await w.settle()
        assert w.hypervisor.runs == {}
        await confirm(w, b.name)
        await eventually(lambda: machine(w, vmid) in w.hypervisor.runs)
        await w.settle()
        assert (await shown(w, vmid))["host"]["id"] == 1
        await returned(w, b)
        assert not b.runs(machine(w, vmid))
