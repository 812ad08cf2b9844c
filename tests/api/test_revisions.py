"""A change that names an older revision is refused instead of overwriting."""

from __future__ import annotations

import pytest

from tests.api.world import PASSWORD, World

pytestmark = pytest.mark.anyio


@pytest.mark.holds("DUR-20")
async def test_vms(w: World) -> None:
    vmid = await w.vm("vm")
    first = (await w.ok("POST", "/v/vm", vmid=vmid))["revision"]
    second = (await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2, revision=first))["revision"]
    assert second != first
    assert await w.refused("PATCH", "/v/vm", vmid=vmid, cpus=3, revision=first) == (409, 16429)
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["cpus"], shown["revision"]) == (2, second)
    assert await w.refused("DELETE", "/v/vm", vmid=vmid, revision=first) == (409, 16321)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (await w.ok("POST", "/v/vm", vmid=vmid))["revision"] == second, "running is no change of what it is"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    await w.ok("DELETE", "/v/vm", vmid=vmid, revision=second)


@pytest.mark.holds("DUR-20")
async def test_media(w: World) -> None:
    mid = await w.medium(size=1 << 30)
    (listed,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert (listed["size"], listed["allocated"]) == (1 << 30, 0), "sparse: both sizes are told"
    assert await w.refused("DELETE", "/m/media", mid=mid, revision="0123") == (409, 14321)
    await w.ok("DELETE", "/m/media", mid=mid, revision=listed["revision"])


@pytest.mark.holds("DUR-20")
async def test_groups_and_quotas(w: World) -> None:
    gid = await w.group("a")
    first = (await w.ok("POST", "/u/group", gid=gid))["revision"]
    await w.user("bob", (gid, "vm.view"))
    second = (await w.ok("POST", "/u/group/quota", gid=gid))["revision"]
    assert second != first, "a member more"
    assert await w.refused("PUT", "/u/group/quota", gid=gid, vms=1, revision=first) == (409, 18221)
    third = (await w.ok("PUT", "/u/group/quota", gid=gid, vms=1, revision=second))["revision"]
    assert await w.refused("DELETE", "/u/group", gid=gid, revision=second) == (409, 5323)
    await w.ok("DELETE", "/u/group", gid=gid, revision=third)


@pytest.mark.holds("DUR-20")
async def test_users(w: World) -> None:
    await w.user("bob")
    uid = await w.uid("bob")
    first = (await w.ok("POST", "/u/user", uid=uid))["revision"]
    await w.ok("PATCH", "/u/user", uid=uid, password="another password", revision=first)
    second = (await w.ok("POST", "/u/user", uid=uid))["revision"]
    assert second != first
    change = {"uid": uid, "password": "a third password", "revision": first}
    assert await w.refused("PATCH", "/u/user", **change) == (409, 2420)
    assert await w.refused("DELETE", "/u/user", uid=uid, revision=first) == (409, 2321)
    bob = (await w.ok("POST", "/u/auth", "", name="bob", password="another password"))["authkey"]
    mine = {"password": PASSWORD, "old_password": "another password"}
    assert await w.refused("PATCH", "/u/user", bob, **mine, revision=first) == (409, 2420)
    assert (await w.ok("POST", "/u/user", bob))["revision"] == second, "nothing was changed, and no session has ended"
    await w.ok("PATCH", "/u/user", bob, **mine, revision=second)
    third = (await w.ok("POST", "/u/user", uid=uid))["revision"]
    await w.ok("DELETE", "/u/user", uid=uid, revision=third)


@pytest.mark.holds("DUR-20")
async def test_what_users_hold_is_of_the_group_s_revision(w: World) -> None:
    gid = await w.group("a")
    await w.user("bob")
    what = {"uid": await w.uid("bob"), "gid": gid, "permission": "velocity.vm.view"}

    async def shown() -> tuple[str, list[str]]:
        group = await w.ok("POST", "/u/group", gid=gid)
        return group["revision"], [one["name"] for one in group["memberships"]]

    first, _ = await shown()
    await w.ok("PUT", "/u/user/permission", **what, revision=first)
    second = await shown()
    assert (second[0] != first, second[1]) == (True, ["bob"])
    more = {**what, "permission": "velocity.vm.state", "revision": first}
    assert await w.refused("PUT", "/u/user/permission", **more) == (409, 4221)
    assert await w.refused("DELETE", "/u/user/permission", **what, revision=first) == (409, 4321)
    assert await shown() == second
    await w.ok("DELETE", "/u/user/permission", **what, revision=second[0])
    assert await shown() == (first, []), "the same again: nobody is a member"


@pytest.mark.holds("DUR-20")
async def test_pool_assignments(w: World) -> None:
    gid = await w.group("a")
    what = {"gid": gid, "mpid": 1}

    async def listed() -> list[dict[str, object]]:
        pools = (await w.ok("POST", "/m/pool/list", gid=gid))["pools"]
        return [{key: value for key, value in one.items() if key != "free"} for one in pools]

    await w.ok("PUT", "/m/pool/assign", **what, quota=1 << 20)
    (first,) = await listed()
    await w.ok("PUT", "/m/pool/assign", **what, quota=1 << 21, revision=first["revision"])
    (second,) = await listed()
    assert second["revision"] != first["revision"]
    assert await w.refused("PUT", "/m/pool/assign", **what, quota=1, revision=first["revision"]) == (409, 6221)
    assert await w.refused("DELETE", "/m/pool/assign", **what, revision=first["revision"]) == (409, 6320)
    assert await listed() == [second]
    low = await w.group("low", gid)
    (inherited,) = (await w.ok("POST", "/m/pool/list", gid=low))["pools"]
    await w.ok("PUT", "/m/pool/assign", gid=low, mpid=1, quota=1 << 10, revision=inherited["revision"])
    again = {"gid": low, "mpid": 1, "revision": inherited["revision"]}
    assert await w.refused("PUT", "/m/pool/assign", **again) == (409, 6221), "that nothing was assigned is a revision"
    await w.ok("DELETE", "/m/pool/assign", **what, revision=second["revision"])
    assert await listed() == []
