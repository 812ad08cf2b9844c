"""Users, groups, pools and quotas of a shared host: routes 2 to 6, 15 and 18."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import PASSWORD, World, world
from velocity.hypervisor.fake import FakeHypervisor

pytestmark = pytest.mark.anyio

GRANT = "/u/user/permission"


async def test_listing_users(w: World) -> None:
    key = await w.user("bob")
    assert await w.refused("POST", "/u/user/list", key) == (403, 3100)
    assert (await w.ok("POST", "/u/user/list"))["users"] == [{"uid": 1, "name": "bob"}, {"uid": 0, "name": "root"}]


async def test_removing_users(w: World) -> None:
    left, right = await w.group("left"), await w.group("right")
    key = await w.user("bob", (left, "user.remove"), (left, "vm.view"), home=left)
    eve = await w.user("eve", (left, "vm.view"), (right, "vm.view"), home=left)
    both, bob = await w.uid("eve"), await w.uid("bob")
    assert await w.refused("DELETE", "/u/user", key, uid=both) == (403, 2300), "eve is a member of right as well"
    assert await w.refused("DELETE", "/u/user", key, uid=99) == (403, 2300)
    assert await w.refused("DELETE", "/u/user", key, uid=0) == (403, 2300)
    assert await w.refused("DELETE", "/u/user", uid=99) == (404, 2310)
    assert await w.refused("DELETE", "/u/user", uid=0) == (406, 2320)
    assert await w.refused("DELETE", "/u/user", key, uid=bob) == (406, 2320), "nobody removes himself"
    await w.ok("DELETE", GRANT, uid=both, gid=right)
    assert (await w.ok("DELETE", "/u/user", key, uid=both)).body == {}
    assert await w.refused("POST", "/u/user", eve) == (401, 100), "his authkeys have ended"
    assert await w.refused("POST", "/u/auth", "", name="eve", password=PASSWORD) == (403, 1100)
    await w.user("eve")
    assert await w.uid("eve") == both + 1, "ids are not given twice"


async def test_changing_ones_own_password(w: World) -> None:
    key = await w.user("bob")
    assert await w.refused("PATCH", "/u/user", key, password="new password") == (400, 400)
    assert await w.refused("PATCH", "/u/user", key, password="new password", old_password="wrong") == (403, 2400)
    assert await w.refused("PATCH", "/u/user", key, password="short", old_password=PASSWORD) == (400, 400)
    second = (await w.ok("POST", "/u/auth", "", name="bob", password=PASSWORD))["authkey"]
    await w.ok("PATCH", "/u/user", key, password="new password", old_password=PASSWORD)
    for ended in (key, second):
        assert await w.refused("POST", "/u/user", ended) == (401, 100)
    assert await w.refused("POST", "/u/auth", "", name="bob", password=PASSWORD) == (403, 1100)
    await w.ok("POST", "/u/auth", "", name="bob", password="new password")


async def test_setting_anothers_password_needs_all_that_he_holds(w: World) -> None:
    gid = await w.group("a")
    helper = await w.user("helper", (gid, "user.remove"))
    key = await w.user("bob", (gid, "vm.view"), home=gid)
    bob = await w.uid("bob")
    assert await w.refused("PATCH", "/u/user", helper, uid=bob, password=PASSWORD) == (403, 2400), "lacks vm.view"
    assert await w.refused("PATCH", "/u/user", helper, uid=0, password=PASSWORD) == (403, 2400)
    assert await w.refused("PATCH", "/u/user", uid=99, password=PASSWORD) == (404, 2410)
    await w.ok("PUT", GRANT, uid=await w.uid("helper"), gid=gid, permission="velocity.vm.view")
    await w.ok("PATCH", "/u/user", helper, uid=bob, password="another one")
    assert await w.refused("POST", "/u/user", key) == (401, 100)
    await w.ok("POST", "/u/auth", "", name="bob", password="another one")


async def test_revoking(w: World) -> None:
    gid = await w.group("a")
    boss = await w.user("boss", (gid, "user.revoke"), (gid, "vm.view"))
    key = await w.user("bob", (gid, "vm.view"), (gid, "vm.state"))
    bob = await w.uid("bob")
    take = {"uid": bob, "gid": gid, "permission": "velocity.vm.view"}
    assert await w.refused("DELETE", GRANT, key, **take) == (403, 4300)
    assert await w.refused("DELETE", GRANT, boss, **{**take, "permission": "velocity.vm.state"}) == (403, 4300)
    assert await w.refused("DELETE", GRANT, boss, uid=bob, gid=gid) == (403, 4300), "all is more than boss holds"
    assert await w.refused("DELETE", GRANT, boss, **{**take, "gid": 0}) == (403, 4300)
    assert await w.refused("DELETE", GRANT, **{**take, "uid": 99}) == (404, 4310)
    assert await w.refused("DELETE", GRANT, **{**take, "gid": 99}) == (404, 4311)
    assert await w.refused("DELETE", GRANT, **{**take, "permission": "velocity.x"}) == (404, 4312)
    assert await w.refused("DELETE", GRANT, uid=0, gid=0, permission="velocity.vm.view") == (406, 4320)
    assert await w.refused("DELETE", GRANT, uid=0, gid=0) == (406, 4320)
    assert (await w.ok("DELETE", GRANT, boss, **take)).body == {}
    assert (await w.ok("DELETE", GRANT, boss, **take)).body == {}, "not held is no failure"
    assert await w.refused("POST", "/v/vm/list", key, gid=gid) == (401, 17100), "visible to the next request"
    await w.ok("DELETE", GRANT, uid=bob, gid=gid)
    assert (await w.ok("POST", "/u/user", key))["memberships"] == []


async def test_showing_and_listing_groups(w: World) -> None:
    top = await w.group("top")
    middle, other = await w.group("middle", top), await w.group("other", top)
    low = await w.group("low", middle)
    key = await w.user("bob", (middle, "group.view"))
    seen = (await w.ok("POST", "/u/group/list", key))["groups"]
    assert [(one["gid"], [p["name"] for p in one["permissions"]]) for one in seen] == [
        (0, []), (top, []), (middle, ["velocity.group.view"]), (low, []),
    ]  # fmt: skip
    assert (await w.ok("POST", "/u/group/list", await w.user("eve")))["groups"] == []
    shown = await w.ok("POST", "/u/group", key, gid=middle)
    assert (shown["gid"], shown["parent_gid"], shown["name"]) == (middle, top, "middle")
    assert [(one["name"], [p["pid"] for p in one["permissions"]]) for one in shown["memberships"]] == [("bob", [9])]
    assert await w.refused("POST", "/u/group", key, gid=other) == (403, 5100)
    assert await w.refused("POST", "/u/group", key, gid=99) == (403, 5100)
    assert await w.refused("POST", "/u/group", gid=99) == (404, 5110)
    assert await w.refused("PUT", "/u/group", name="root", parent_gid=0) == (409, 5220), "the root group's own name"


async def test_deleting_a_group_takes_all_that_it_owns(w: World) -> None:
    top = await w.group("top")
    low = await w.group("low", top)
    await w.ok("PUT", "/m/pool/assign", gid=top, mpid=1, manage=True, write=True)
    mid = await w.medium("disk", gid=low)
    vmid = await w.vm("vm", low, media=[{"mid": mid, "mode": "BLOCK"}])
    key = await w.user("bob", (low, "vm.view"), (top, "group.remove"))
    assert await w.refused("DELETE", "/u/group", key, gid=top) == (403, 5300), "the permission is needed above it"
    assert await w.refused("DELETE", "/u/group", key, gid=99) == (403, 5300)
    assert await w.refused("DELETE", "/u/group", gid=99) == (404, 5310)
    assert await w.refused("DELETE", "/u/group", gid=0) == (406, 5320)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await w.refused("DELETE", "/u/group", gid=top) == (409, 5321)
    assert (await w.ok("POST", "/v/vm/list", key, gid=low))["vms"][0]["state"] == "RUNNING", "nothing has changed"
    assert (await w.ok("POST", "/u/group/quota", gid=0))["usage"]["vms"] == 1
    await w.ok("DELETE", "/u/group", gid=top, force=True, purge=True)
    assert w.files() == []
    assert await w.refused("POST", "/v/vm", vmid=vmid) == (404, 16110)
    assert await w.refused("POST", "/u/group", gid=low) == (404, 5110)
    assert (await w.ok("POST", "/u/user", key))["memberships"] == []
    assert (await w.ok("POST", "/u/group/quota", gid=0))["usage"] == {"cpus": 0, "memory_mib": 0, "vms": 0}
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0
    assert await w.group("top") > low


async def test_a_group_whose_medium_is_attached_elsewhere_stays(w: World) -> None:
    gid, other = await w.group("a"), await w.group("b")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True)
    mid = await w.medium("disk", gid=gid)
    vmid = await w.vm("vm", other, media=[{"mid": mid, "mode": "BLOCK", "readonly": True}])
    await w.vm("mine", gid)
    assert await w.refused("DELETE", "/u/group", gid=gid) == (409, 5322)
    assert [one["name"] for one in (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]] == ["mine"]
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("DELETE", "/u/group", gid=gid)


@pytest.mark.holds("DUR-13")
async def test_what_comes_into_a_group_while_it_is_deleted_goes_with_it(w: World) -> None:
    """Creations race with the deletion; whatever was answered, nothing of the group remains."""
    for number in range(10):
        gid = await w.group("a")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True)
        racing = [w.call("PUT", "/v/vm/efi", name=f"vm{n}", gid=gid, cpus=1, memory_mib=64) for n in range(4)]
        racing += [w.call("PUT", "/m/media/create", name=f"m{n}", gid=gid, mpid=1, size=4096) for n in range(4)]
        racing.insert(3, w.call("DELETE", "/u/group", gid=gid, purge=bool(number % 2)))
        answers = await asyncio.gather(*racing)
        assert {answer.status for answer in answers} <= {200, 404}, answers
        if answers[3].status == 200:
            assert all(name.startswith(".trash") for name in w.files())
            assert (await w.ok("POST", "/u/group/quota", gid=0))["usage"]["vms"] == 0
            assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


# Quotas


async def test_quotas(w: World) -> None:
    top = await w.group("top")
    low = await w.group("low", top)
    key = await w.user("bob", (top, "group.view"), (top, "group.create"), (top, "vm.create"))
    quota = "/u/group/quota"
    assert await w.refused("PUT", quota, key, gid=top, cpus=4) == (403, 18200), "it is set from above"
    assert await w.refused("PUT", quota, gid=99, cpus=4) == (404, 18210)
    assert await w.refused("POST", quota, key, gid=0) == (403, 18100)
    assert await w.refused("POST", quota, gid=99) == (404, 18110)
    assert await w.refused("PUT", quota, gid=top, cpus=-1) == (400, 400)
    set_ = await w.ok("PUT", quota, gid=top, cpus=4, memory_mib=256, vms=3)
    assert set_["limits"] == {"cpus": 4, "memory_mib": 256, "vms": 3}
    assert await w.refused("PUT", quota, key, gid=low, cpus=5) == (406, 18220)
    await w.ok("PUT", quota, key, gid=low, cpus=4, memory_mib=None)
    assert await w.refused("PUT", quota, gid=top, cpus=3) == (406, 18220), "low has more"

    async def create(name: str, gid: int, cpus: int, memory: int) -> tuple[int, int]:
        answer = await w.call("PUT", "/v/vm/efi", key, name=name, gid=gid, cpus=cpus, memory_mib=memory)
        return answer.status, answer.body.get("code", 0)

    assert await create("a", low, 5, 64) == (406, 12220)
    assert await create("a", low, 1, 257) == (406, 12221), "the limit above counts"
    assert await create("a", low, 3, 64) == (200, 0)
    assert await create("b", top, 2, 64) == (406, 12220), "the subgroup's VMs count above"
    assert await create("b", top, 1, 64) == (200, 0)
    shown = await w.ok("POST", quota, key, gid=low)
    assert (shown["usage"], shown["left"]) == (
        {"cpus": 3, "memory_mib": 64, "vms": 1}, {"cpus": 0, "memory_mib": 128, "vms": 1},
    )  # fmt: skip
    await w.ok("PUT", quota, gid=top, memory_mib=256, vms=2, cpus=9)
    assert await create("c", top, 1, 64) == (406, 12222)
    await w.ok("PUT", quota, gid=top)
    assert (await w.ok("POST", quota, gid=top))["limits"] == {}, "what is not named is lifted"
    assert await create("c", top, 1, 64) == (200, 0)


@pytest.mark.holds("TEAM-6")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_fifty_at_the_limit(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, say: Callable[[str], None]
) -> None:
    more = {"database": request.getfixturevalue("postgres").installed()} if kind == "postgresql" else {}
    async with world(tmp_path / "data", **more) as w:
        steps = await fifty_at_the_limit(w)
    say(f"quotas under fifty requests at once on {kind}: {steps} steps, never over and nothing stuck")


async def fifty_at_the_limit(w: World) -> int:
    steps = 0
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=20)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=20 * 4096, manage=True)
    for _ in range(3):
        vms = [w.call("PUT", "/v/vm/efi", name=f"v{n}", gid=gid, cpus=1, memory_mib=64) for n in range(50)]
        media = [w.call("PUT", "/m/media/create", name=f"m{n}", gid=gid, mpid=1, size=4096) for n in range(50)]
        answers = await asyncio.gather(*vms, *media)
        steps += len(answers)
        made = [answer for answer in answers if answer.status == 200]
        assert sorted(answer.code for answer in answers if answer.status != 200) == [8221] * 30 + [12222] * 30
        assert len(made) == 40
        assert (await w.ok("POST", "/u/group/quota", gid=gid))["left"] == {"vms": 0}
        assert (await w.ok("POST", "/m/pool/list", gid=gid))["pools"][0]["left"] == 0
        gone = [w.call("DELETE", "/v/vm", vmid=one["vmid"]) for one in made if "vmid" in one.body]
        gone += [w.call("DELETE", "/m/media", mid=one["mid"]) for one in made if "mid" in one.body]
        assert {answer.status for answer in await asyncio.gather(*gone)} == {200}
        steps += len(gone)
        assert (await w.ok("POST", "/u/group/quota", gid=gid))["left"] == {"vms": 20}
        assert (await w.ok("POST", "/m/pool/list", gid=gid))["pools"][0]["left"] == 20 * 4096
    return steps


async def test_a_failed_creation_gives_its_quota_back(w: World) -> None:
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=1)
    twice = [{"name": "d", "width": 1, "height": 1}] * 2
    assert await w.refused("PUT", "/v/vm/efi", name="x", gid=gid, cpus=1, memory_mib=64, displays=twice) == (409, 12224)
    assert (await w.ok("POST", "/u/group/quota", gid=gid))["left"] == {"vms": 1}
    await w.vm("x", gid)
    assert await w.refused("PUT", "/v/vm/efi", name="y", gid=gid, cpus=1, memory_mib=64, displays=twice) == (406, 12222)


async def test_quota_and_claims_are_the_same_after_a_restart(tmp_path: Path) -> None:
    fake = FakeHypervisor()
    async with world(tmp_path / "data", fake) as w:
        gid = await w.group("a")
        await w.ok("PUT", "/u/group/quota", gid=gid, cpus=4)
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=8192, manage=True, write=True)
        mid = await w.medium("disk", gid=gid, size=8192)
        vmid = await w.vm("vm", gid, cpus=4, media=[{"mid": mid, "mode": "BLOCK"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=1, media=[])
    async with world(tmp_path / "data", fake) as w:
        assert (await w.ok("POST", "/u/group/quota", gid=gid))["left"] == {"cpus": 0}, "it runs with four"
        assert (await w.ok("POST", "/m/pool/list", gid=gid))["pools"][0]["left"] == 0
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == ["cpus", "media"]
        assert await w.refused("DELETE", "/m/media", mid=mid) == (409, 14320), "it is attached until the run ends"
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        assert (await w.ok("POST", "/u/group/quota", gid=gid))["left"] == {"cpus": 3}
        await w.ok("DELETE", "/m/media", mid=mid)


# Pools


@pytest.mark.holds("API-6")
async def test_an_assignment_to_group_0_that_changes_nothing_is_granted(w: World) -> None:
    all_of_it = {"gid": 0, "mpid": 1, "write": True, "manage": True}
    before = await w.ok("POST", "/m/pool/list", gid=0)
    planned = await w.call("PUT", "/m/pool/assign", **all_of_it, plan=True)
    assert (planned.status, planned["steps"]) == (200, [])
    for wanted in (all_of_it, {**all_of_it, "quota": 0}, {**all_of_it, "revision": before["pools"][0]["revision"]}):
        assert (await w.ok("PUT", "/m/pool/assign", **wanted)).body == {}
    for other in ({"quota": 1 << 20}, {"write": False}, {"manage": False}):
        assert await w.refused("PUT", "/m/pool/assign", **all_of_it | other) == (406, 6220), other
    assert await w.refused("PUT", "/m/pool/assign", **all_of_it, revision="another") == (409, 6221)
    (pool,) = (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
    assert pool["revision"] == before["pools"][0]["revision"] and "assigned" not in pool
    key = await w.user("bob")
    assert await w.refused("PUT", "/m/pool/assign", key, **all_of_it) == (403, 6200)


async def test_assigning_pools(w: World) -> None:
    top = await w.group("top")
    low = await w.group("low", top)
    key = await w.user("bob", *((top, f"pool.{verb}") for verb in ("assign", "revoke", "list")), (top, "media.create"))
    assign = "/m/pool/assign"
    assert await w.refused("PUT", assign, key, gid=0, mpid=1) == (403, 6200)
    assert await w.refused("PUT", assign, key, gid=low, mpid=1) == (403, 6200), "top has not the pool itself"
    told = (await w.call("PUT", assign, key, gid=low, mpid=1))["message"]
    assert told == "the parent of top/low does not have pool 1, and cannot pass it on"
    assert await w.refused("PUT", assign, key, gid=low, mpid=99) == (403, 6200), "one that is not there looks the same"
    assert await w.refused("PUT", assign, gid=99, mpid=1) == (404, 6210)
    assert await w.refused("PUT", assign, gid=top, mpid=99) == (404, 6211)
    assert await w.refused("PUT", assign, gid=0, mpid=1) == (406, 6220)
    assert await w.refused("PUT", assign, gid=0, mpid=1, write=True, manage=True, quota=1) == (406, 6220)
    await w.ok("PUT", assign, gid=top, mpid=1, quota=10_000, manage=True)
    for more in ({"write": True}, {"quota": 10_001}):
        assert await w.refused("PUT", assign, key, gid=low, mpid=1, **more) == (403, 6200), "more than the parent has"
    await w.ok("PUT", assign, key, gid=low, mpid=1, quota=6_000, manage=True)
    (pool,) = (await w.ok("POST", "/m/pool/list", key, gid=low))["pools"]
    assert (pool["quota"], pool["write"], pool["manage"], pool["left"]) == (6_000, False, True, 6_000)
    create = {"mpid": 1, "name": "x"}
    assert await w.refused("PUT", "/m/media/create", key, gid=low, size=6_001, **create) == (406, 8221)
    await w.ok("PUT", "/m/media/create", key, gid=low, size=6_000, **create)
    assert await w.refused("PUT", "/m/media/create", key, gid=top, size=4_001, **create) == (406, 8221)
    await w.ok("PUT", "/m/media/create", key, gid=top, size=4_000, **create)
    assert (await w.upload(b"x", key, x_velocity_gid=str(top))).code == 9221
    listed = (await w.ok("POST", "/m/media/list", gid=low))["media"]
    assert [one["readonly"] for one in listed] == [True], "the group lacks write"
    await w.ok("PUT", assign, gid=top, mpid=1, quota=10_000, manage=False)
    assert await w.refused("PUT", "/m/media/create", key, gid=low, size=1, mpid=1, name="y") == (403, 8201), (
        "what the parent loses, the subgroup loses"
    )
    assert await w.refused("DELETE", assign, key, gid=0, mpid=1) == (403, 6300)
    assert await w.refused("DELETE", assign, key, gid=low, mpid=99) == (403, 6300)
    assert await w.refused("DELETE", assign, gid=99, mpid=1) == (404, 6310)
    assert await w.refused("DELETE", assign, gid=low, mpid=99) == (404, 6311)
    await w.ok("DELETE", assign, key, gid=top, mpid=1)
    assert await w.refused("DELETE", assign, key, gid=top, mpid=1) == (404, 6311)
    assert (await w.ok("POST", "/m/pool/list", key, gid=low))["pools"] == [], "seen through the ancestor only"


async def test_what_is_assigned_to_the_group_itself_is_told_apart(w: World) -> None:
    top = await w.group("top")
    low = await w.group("low", top)

    async def listed(gid: int) -> dict[str, Any]:
        (pool,) = (await w.ok("POST", "/m/pool/list", gid=gid))["pools"]
        return dict(pool)

    assert "assigned" not in await listed(0), "the root group has every pool by itself"
    await w.ok("PUT", "/m/pool/assign", gid=top, mpid=1, quota=10_000, write=True, manage=True)
    assert (await listed(top))["assigned"] == {"quota": 10_000, "write": True, "manage": True}
    assert "assigned" not in await listed(low), "it inherits"
    await w.ok("PUT", "/m/pool/assign", gid=low, mpid=1, write=True)
    await w.ok("PUT", "/m/pool/assign", gid=top, mpid=1, quota=10_000, manage=True)
    pool = await listed(low)
    assert (pool["quota"], pool["write"], pool["manage"]) == (10_000, False, False), "what it may do"
    assert pool["assigned"] == {"quota": 0, "write": True, "manage": False}, "what was assigned"


async def test_nobody_widens_a_share_from_within(w: World) -> None:
    """Who assigns pools in a team gives its subgroups of it, and can give the team itself no more than it has."""
    team, top = await w.group("team"), await w.group("top")
    held = [(gid, f"pool.{verb}") for gid in (team, top) for verb in ("assign", "revoke", "list")]
    key = await w.user("bob", *held)
    assign = "/m/pool/assign"
    whole = {"write": True, "manage": True}
    assert await w.refused("PUT", assign, key, gid=team, mpid=1, **whole) == (403, 6200), "it has not the pool"
    assert await w.refused("PUT", assign, key, gid=team, mpid=1) == (403, 6200), "not even to look at"
    await w.ok("PUT", assign, gid=team, mpid=1, quota=10_000, manage=True)
    for more in ({"manage": True}, {"quota": 10_001}, {"quota": 10_000, "write": True}):
        assert await w.refused("PUT", assign, key, gid=team, mpid=1, **more) == (403, 6200), more
    for less in ({"quota": 10_000, "manage": True}, {"quota": 9_000, "manage": True}, {"quota": 9_000}):
        await w.ok("PUT", assign, key, gid=team, mpid=1, **less)
    assert await w.refused("PUT", assign, key, gid=team, mpid=1, quota=9_000, manage=True) == (403, 6200), "given away"
    await w.ok("DELETE", assign, key, gid=team, mpid=1)
    assert await w.refused("PUT", assign, key, gid=team, mpid=1, quota=1) == (403, 6200), "given away whole"

    low = await w.group("low", top)
    inside = await w.user("eve", (low, "pool.assign"), (low, "pool.revoke"))
    await w.ok("PUT", assign, gid=top, mpid=1, quota=10_000, **whole)
    await w.ok("PUT", assign, inside, gid=low, mpid=1, quota=5_000, manage=True)
    assert await w.refused("DELETE", assign, inside, gid=low, mpid=1) == (403, 6300), "it would inherit 10,000 bytes"
    await w.ok("DELETE", assign, key, gid=low, mpid=1)
    await w.ok("PUT", assign, inside, gid=low, mpid=1, quota=20_000 // 2, **whole)
    await w.ok("DELETE", assign, inside, gid=low, mpid=1)
