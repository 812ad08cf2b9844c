"""Restarts by the server, as whoever asks for them sees them."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from tests.api.world import World, world
from velocity.hypervisor.port import Fact, FactCause

pytestmark = pytest.mark.anyio


@pytest.mark.holds("MORE-1")
async def test_a_restart_goes_on_without_whoever_asked_and_is_shown_until_it_runs(w: World) -> None:
    bob = await w.user("bob", (0, "vm.view"))
    ann = await w.user("ann", (0, "vm.view"), (0, "vm.state"))
    vmid = await w.vm("web")
    assert await w.refused("PUT", "/v/vm/restart", vmid=vmid) == (406, 38220)
    w.hypervisor.faults.deaf = True
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("PUT", "/v/vm/restart", bob, vmid=vmid) == (403, 38200)
    asked = await w.ok("PUT", "/v/vm/restart", ann, vmid=vmid)
    assert (asked["state"], asked["restarting"]) == ("STOPPING", True)
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["state"], shown["wanted"], shown["restarting"]) == ("STOPPING", "RUNNING", True)
    await w.ok("DELETE", "/u/auth", ann)
    w.hypervisor.faults.deaf = False
    (machine,) = w.hypervisor.runs
    w.hypervisor.play(UUID(str(machine)), Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    await w.settle()
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["state"], shown["wanted"], "restarting" in shown.body) == ("RUNNING", "RUNNING", False)
    await w.written()
    told = (await w.ok("POST", "/t/history", vmid=vmid))["entries"]
    assert [(one["operation"], one["status"]) for one in told if one["operation"] == "restart_vm"] == [
        ("restart_vm", 200), ("restart_vm", 403), ("restart_vm", 406),
    ]  # fmt: skip


@pytest.mark.holds("MORE-2")
async def test_a_restart_goes_on_after_the_servers_end(tmp_path: Path, anyio_backend: str) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm("web")
        w.hypervisor.faults.deaf = True
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/restart", vmid=vmid)
        w.hypervisor.faults.deaf = False
        key, hypervisor = w.key, w.hypervisor
        await w.settle()
    (machine,) = hypervisor.runs
    async with world(tmp_path / "data", hypervisor) as w:
        w.key = key
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["restarting"]
        hypervisor.play(machine, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
        await w.settle()
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
