"""The boot order: what is refused, and how it comes to the hypervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.world import World, world
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


@pytest.mark.holds("GUEST-87")
async def test_a_choice_is_of_the_next_start_alone_and_shown_until_then(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}], nics=[{"type": "NAT"}])
    choices: list[tuple[dict[str, Any], object]] = [
        ({"firmware_setup": True}, (True, None)),
        ({"mid": mid}, (False, UUID(mid))),
        ({"nic": 1}, (False, 1)),
    ]
    for wanted, started in choices:
        assert (await w.ok("PUT", "/v/vm/boot", vmid=vmid, **wanted))["next_boot"] == wanted
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["next_boot"] == wanted
        answer = await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert "next_boot" not in answer.body
        (run,) = w.hypervisor.runs.values()
        assert (run.begun.setup, run.begun.first) == started
        await w.ok("PUT", "/v/vm/reset", vmid=vmid)
        await w.ok("PUT", "/v/vm/restart", vmid=vmid, force=True)
        await w.settle()
        (run,) = w.hypervisor.runs.values()
        assert (run.begun.setup, run.begun.first) == (False, None)
        await w.ok("PUT", "/v/vm/boot", vmid=vmid, firmware_setup=True)
        assert "next_boot" not in (await w.ok("PUT", "/v/vm/boot", vmid=vmid)).body, "nothing of it is none"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)


@pytest.mark.holds("GUEST-87")
async def test_a_choice_outlives_the_server_and_a_start_that_fails(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid, key = await w.vm(), w.key
        await w.ok("PUT", "/v/vm/boot", vmid=vmid, firmware_setup=True)
        w.hypervisor.faults.refuse = "the moon is full"
        assert (await w.refused("PUT", "/v/vm/state", _plan=False, vmid=vmid, state="RUNNING"))[0] == 500
        hypervisor = w.hypervisor
        await w.settle()
    async with world(tmp_path / "data", hypervisor) as w:
        w.key = key
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["next_boot"] == {"firmware_setup": True}
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        (run,) = hypervisor.runs.values()
        assert run.begun.setup
        await w.settle()
    async with world(tmp_path / "data", hypervisor) as w:
        w.key = key
        assert "next_boot" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body


@pytest.mark.holds("GUEST-87")
async def test_what_cannot_be_chosen_is_refused_and_what_has_left_is_passed_over(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
    bob = await w.user("bob", (0, "vm.view"))
    assert await w.refused("PUT", "/v/vm/boot", bob, vmid=vmid, firmware_setup=True) == (403, 54200)
    assert await w.refused("PUT", "/v/vm/boot", vmid=vmid, mid=str(UUID(int=1))) == (404, 54211)
    assert await w.refused("PUT", "/v/vm/boot", vmid=vmid, nic=1) == (404, 54212)
    assert await w.refused("PUT", "/v/vm/boot", vmid=vmid, mid=mid, firmware_setup=True) == (400, 400)
    assert "next_boot" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body
    await w.ok("PUT", "/v/vm/boot", vmid=vmid, mid=mid)
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[])
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    (run,) = w.hypervisor.runs.values()
    assert run.begun.first is None


async def test_what_is_tried_first_stays_so_for_its_run_whatever_else_changes(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
    await w.ok("PUT", "/v/vm/boot", vmid=vmid, mid=mid)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[{"mid": mid, "mode": "BLOCK", "boot": 4}])
    (_, asked) = w.hypervisor.machines.altered[-1]
    assert (str(asked.first), asked.disks[0].boot) == (mid, 4)
