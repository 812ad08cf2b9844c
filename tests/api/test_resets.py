"""Resets, as whoever asks for them sees them."""

from __future__ import annotations

import pytest

from tests.api.world import World

pytestmark = pytest.mark.anyio


@pytest.mark.holds("STATE-20")
async def test_a_reset_needs_the_right_to_states_and_stands_in_the_history(w: World) -> None:
    bob = await w.user("bob", (0, "vm.view"))
    ann = await w.user("ann", (0, "vm.view"), (0, "vm.state"))
    vmid = await w.vm("web")
    assert await w.refused("PUT", "/v/vm/reset", ann, vmid=vmid) == (406, 53220)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("PUT", "/v/vm/reset", bob, vmid=vmid) == (403, 53200)
    assert await w.refused("PUT", "/v/vm/reset", ann, vmid=vmid + 1) == (404, 53210)
    (run,) = w.hypervisor.runs.values()
    assert run.resets == 0
    asked = await w.ok("PUT", "/v/vm/reset", ann, vmid=vmid)
    assert (asked["state"], run.resets, "restarting" in asked.body) == ("RUNNING", 1, False)
    await w.written()
    told = (await w.ok("POST", "/t/history", vmid=vmid))["entries"]
    assert [(one["name"], one["status"]) for one in told if one["operation"] == "reset_vm"] == [
        ("ann", 200), ("bob", 403), ("ann", 406),
    ]  # fmt: skip


async def test_what_waits_for_a_start_waits_on_over_a_reset(w: World) -> None:
    vmid = await w.vm("web")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PATCH", "/v/vm", vmid=vmid, input="ps2")
    await w.ok("PUT", "/v/vm/reset", vmid=vmid)
    assert (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == ["input"]
