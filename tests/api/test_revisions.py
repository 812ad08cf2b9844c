"""A change that names an older revision is refused instead of overwriting."""

from __future__ import annotations

import pytest

from tests.api.world import World

pytestmark = pytest.mark.anyio


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


async def test_media(w: World) -> None:
    mid = await w.medium(size=1 << 30)
    (listed,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert (listed["size"], listed["allocated"]) == (1 << 30, 0), "sparse: both sizes are told"
    assert await w.refused("DELETE", "/m/media", mid=mid, revision="0123") == (409, 14321)
    await w.ok("DELETE", "/m/media", mid=mid, revision=listed["revision"])


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
