"""The boot order: what is refused, and how it comes to the hypervisor."""

from __future__ import annotations

import pytest

from tests.api.world import World
from velocity.hypervisor.boot import in_order

pytestmark = pytest.mark.anyio


def test_what_has_a_place_goes_first_and_the_rest_follows_as_it_comes() -> None:
    assert in_order([(0, "a"), (3, "b"), (0, "c"), (1, "d")]) == ["d", "b", "a", "c"]
    assert in_order([(0, "a"), (0, "b")]) == ["a", "b"]


@pytest.mark.holds("GUEST-82")
async def test_a_place_in_the_boot_order_is_kept_shown_and_given_once(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK", "boot": 2}], nics=[{"type": "NAT", "boot": 1}])
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["media"][0]["boot"], shown["nics"][0]["boot"]) == (2, 1)
    for nic in ({"boot": 2}, {"boot": 0}, {"boot": 100}):
        assert await w.refused("PATCH", "/v/vm", vmid=vmid, nics=[{"type": "NAT", **nic}]) == (400, 400)
    answer = await w.call("PATCH", "/v/vm", w.key, vmid=vmid, nics=[{"type": "NAT", "boot": 2}])
    assert "nics[0].boot: media[0].boot has the place 2" in answer["message"]
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    assert (run.spec.disks[0].boot, run.spec.nics[0].boot) == (2, 1)


@pytest.mark.holds("GUEST-82")
async def test_the_boot_order_of_a_vm_that_runs_changes_at_once(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}], nics=[{"type": "NAT"}])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    wanted = {"media": [{"mid": mid, "mode": "BLOCK", "boot": 1}], "nics": [{"type": "NAT", "id": 1, "boot": 2}]}
    planned = await w.ok("PATCH", "/v/vm", vmid=vmid, plan=True, **wanted)
    assert (planned["steps"][0]["live"], planned["steps"][0].get("waits")) == (["media", "nics"], None)
    assert (await w.ok("PATCH", "/v/vm", vmid=vmid, **wanted))["waiting"] == []
    (run,) = w.hypervisor.runs.values()
    assert (run.spec.disks[0].boot, run.spec.nics[0].boot) == (1, 2)
