"""A VM moves to another group, running or not, with rights and quotas on both sides."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.test_history import entries
from tests.api.test_moving import used
from tests.api.world import World
from tests.events.page import is_gone, is_set
from tests.events.page import opened as following
from tests.patience import eventually

pytestmark = pytest.mark.anyio

MIB = 1 << 20
MOVE = "/v/vm/move"
RIGHTS = ("vm.remove", "media.remove"), ("vm.create", "media.create")


async def teams(w: World) -> tuple[int, int, int]:
    """Two groups below a third, with the pool."""
    top = await w.group("top")
    found = [top, await w.group("one", top), await w.group("two", top)]
    for gid in found:
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    return found[0], found[1], found[2]


def rights(one: int, two: int) -> list[tuple[int, str]]:
    """What it takes to move from the one to the other."""
    return [*((one, right) for right in RIGHTS[0]), *((two, right) for right in RIGHTS[1])]


async def shown(w: World, vmid: int) -> dict[str, Any]:
    return (await w.ok("POST", "/v/vm", vmid=vmid)).body


async def quota(w: World, gid: int) -> tuple[int, int, int]:
    usage = (await w.ok("POST", "/u/group/quota", gid=gid))["usage"]
    return usage["cpus"], usage["memory_mib"], usage["vms"]


@pytest.mark.holds("MORE-16")
@pytest.mark.parametrize("runs", [False, True])
async def test_a_vm_moves_with_its_disks_and_counts_in_its_new_group_alone(w: World, runs: bool) -> None:
    top, one, two = await teams(w)
    iso = (await w.upload(bytes(4096), x_velocity_gid=str(top), x_velocity_name="cd"))["mid"]
    mid = await w.medium("disk", gid=one)
    media = [{"mid": iso, "mode": "USB"}, {"mid": mid, "mode": "BLOCK"}]
    vmid = await w.vm("web", one, media=media, nics=[{"type": "NAT"}])
    await w.ok("PUT", "/u/group/quota", gid=top, vms=1, cpus=1, memory_mib=64)
    if runs:
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    before = await shown(w, vmid)
    mover = await w.user("mover", *rights(one, two))
    planned = (await w.ok("PUT", MOVE, mover, vmid=vmid, gid=two, plan=True)).body
    assert [step.get("live") for step in planned["steps"]] == ([["gid"]] * 2 if runs else [None] * 2)
    moved = (await w.ok("PUT", MOVE, mover, vmid=vmid, gid=two)).body
    assert (moved["gid"], moved["media"], "warnings" in moved) == (two, [mid], False)
    after = await shown(w, vmid)
    gone = {"gid", "revision", "confinement"}
    assert {**before, **dict.fromkeys(gone)} == {**after, **dict.fromkeys(gone)}, "all else is as it was"
    assert after["gid"] == two and (await w.ok("POST", "/m/media", mid=mid))["gid"] == two
    assert [await quota(w, gid) for gid in (top, one, two)] == [(1, 64, 1), (0, 0, 0), (1, 64, 1)]
    assert [await used(w, gid) for gid in (one, two)] == [[0], [MIB]]
    assert [len((await w.ok("POST", "/v/vm/list", gid=gid))["vms"]) for gid in (one, two)] == [0, 1]
    if not runs:
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    spec = next(iter(w.hypervisor.runs.values())).spec
    assert [disk.readonly for disk in spec.disks] == [True, False]
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    for _ in range(2):  # done already is success
        await w.ok("PUT", MOVE, vmid=vmid, gid=one)
    await w.ok("DELETE", "/u/group", gid=two)
    assert (await shown(w, vmid))["gid"] == one, "it has nothing to do with that group any more"


@pytest.mark.holds("MORE-17")
async def test_rights_are_needed_on_both_sides_and_quotas_and_names_of_the_new_one_hold(w: World) -> None:
    _, one, two = await teams(w)
    mid = await w.medium("disk", gid=one)
    vmid = await w.vm("web", one, media=[{"mid": mid, "mode": "BLOCK"}])
    every = rights(one, two)
    for lacks in every:
        key = await w.user(f"without-{lacks[1]}", *(right for right in every if right != lacks))
        assert await w.refused("PUT", MOVE, key, vmid=vmid, gid=two) == (403, 50200), lacks
        assert await w.refused("PUT", MOVE, key, vmid=vmid, gid=10**6) == (403, 50200), "what is not there is not known"
    assert await w.refused("PUT", MOVE, vmid=vmid, gid=10**6) == (404, 50211)
    assert await w.refused("PUT", MOVE, vmid=10**6, gid=two) == (404, 50210)
    assert await w.refused("PUT", MOVE, vmid=vmid, gid=two, revision="x") == (409, 50228)
    for limit, code in (("cpus", 50220), ("memory_mib", 50221), ("vms", 50222)):
        await w.ok("PUT", "/u/group/quota", gid=two, **{limit: 0})
        assert await w.refused("PUT", MOVE, vmid=vmid, gid=two) == (406, code)
        await w.ok("PUT", "/u/group/quota", gid=two, **{limit: None})
    other = await w.vm("web", two)
    assert await w.refused("PUT", MOVE, vmid=vmid, gid=two) == (409, 50223)
    await w.ok("PATCH", "/v/vm", vmid=other, name="other")
    same = await w.medium("disk", gid=two)
    assert await w.refused("PUT", MOVE, vmid=vmid, gid=two) == (409, 50224)
    await w.ok("DELETE", "/m/media", mid=same, purge=True)
    await w.ok("PUT", "/m/pool/assign", gid=two, mpid=1, write=True, manage=True, quota=MIB // 2)
    assert await w.refused("PUT", MOVE, vmid=vmid, gid=two) == (406, 50225)
    await w.ok("PUT", "/m/pool/assign", gid=two, mpid=1, write=False, manage=False)
    assert await w.refused("PUT", MOVE, vmid=vmid, gid=two) == (403, 50201)
    assert (await shown(w, vmid))["gid"] == one and await quota(w, two) == (1, 64, 1), "nothing was changed"


@pytest.mark.holds("MORE-18")
async def test_what_the_new_group_may_not_see_keeps_it_and_is_named_to_who_may_see_it(w: World) -> None:
    _, one, two = await teams(w)
    iso = (await w.upload(bytes(4096), x_velocity_gid=str(one), x_velocity_name="cd"))["mid"]
    mid = await w.medium("disk", gid=one)
    vmid = await w.vm("web", one, media=[{"mid": mid, "mode": "BLOCK"}, {"mid": iso, "mode": "USB"}])
    blind = await w.user("blind", *rights(one, two))
    for key, said in ((None, "medium 'cd'"), (blind, "a medium that you may not see")):
        answer = await w.call("PUT", MOVE, key, vmid=vmid, gid=two)
        assert (answer.status, answer.code) == (409, 50227) and answer["message"].startswith(said), answer
    await w.ok("PATCH", "/v/vm", vmid=vmid, media=[{"mid": mid, "mode": "BLOCK"}])
    answer = await w.call("PUT", MOVE, vmid=vmid, gid=two, disks=False)
    assert (answer.status, answer.code) == (409, 50227) and answer["message"].startswith("medium 'disk'")
    reader = await w.vm("reader", one, media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    answer = await w.call("PUT", MOVE, vmid=vmid, gid=two)
    assert (answer.status, answer.code, answer["field"]) == (409, 50227, "disks") and "VM 'reader'" in answer["message"]
    await w.ok("DELETE", "/v/vm", vmid=reader)
    low = await w.group("low", one)
    moved = (await w.ok("PUT", MOVE, vmid=vmid, gid=low, disks=False)).body
    assert (moved["media"], "warnings" in moved) == ([], False), "root may have it written to from there"
    assert (await w.ok("POST", "/m/media", mid=mid))["gid"] == one
    assert not (await shown(w, vmid))["media"][0].get("readonly")
    await w.ok("PUT", MOVE, vmid=vmid, gid=one)
    blind_too = await w.user("maker", (one, "vm.remove"), (low, "vm.create"))
    moved = (await w.ok("PUT", MOVE, blind_too, vmid=vmid, gid=low, disks=False)).body
    assert "attached read-only" in moved["warnings"][0]
    assert (await shown(w, vmid))["media"][0]["readonly"] is True


@pytest.mark.holds("MORE-19")
async def test_who_sees_one_of_the_groups_sees_it_come_or_go_in_events_and_in_the_history(w: World) -> None:
    _, one, two = await teams(w)
    vmid = await w.vm("web", one)
    here = await w.user("here", (one, "vm.view"), (one, "user.view"))
    there = await w.user("there", (two, "vm.view"), (two, "user.view"))
    (loses, lost), (gains, gained) = await following(w, here), await following(w, there)
    await w.ok("PUT", MOVE, vmid=vmid, gid=two)
    await gained.until(gains, is_set("vm", vmid=vmid, gid=two))
    await lost.until(loses, is_gone("vm", vmid))
    await gains.leave()
    await loses.leave()
    await w.written()
    for key, gid in ((here, one), (there, two)):
        assert [entry["operation"] for entry in await entries(w, key, gid=gid)][:1] == ["move_vm"], "on both sides"


@pytest.mark.holds("MORE-17")
async def test_a_vm_whose_group_is_being_deleted_goes_with_it(w: World) -> None:
    _, one, two = await teams(w)
    mid = await w.medium("disk", gid=one)
    vmid = await w.vm("web", one, media=[{"mid": mid, "mode": "BLOCK"}])
    w.hypervisor.faults.hold = asyncio.Event()
    starting = asyncio.create_task(w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING"))
    await eventually(lambda: w.hypervisor.faults.held)
    moving = asyncio.create_task(w.call("PUT", MOVE, vmid=vmid, gid=two))
    for _ in range(100):  # it comes to wait for its turn
        await asyncio.sleep(0)
    deleting = asyncio.create_task(w.call("DELETE", "/u/group", gid=one, force=True))
    await asyncio.gather(starting, moving, deleting)
    assert (moving.result().status, deleting.result().status) == (404, 200), moving.result()
    assert await w.refused("POST", "/v/vm", vmid=vmid) == (404, 16110)
    assert await quota(w, two) == (0, 0, 0) and await used(w, two) == [0]
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    await w.ok("PUT", "/t/trash", trid=item["trid"])
    assert (await shown(w, vmid))["gid"] == one and (await w.ok("POST", "/m/media", mid=mid))["gid"] == one
