"""Route 20: decisions explained, without showing more than the caller may see."""

from __future__ import annotations

import pytest

from tests.api.world import World
from velocity.contract.operation import Holds
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.anyio


async def test_a_decision_and_its_ground(w: World) -> None:
    top = await w.group("top")
    low = await w.group("low", top)
    vmid = await w.vm("vm", low)
    key = await w.user("bob", (top, "vm.state"), (top, "user.view"))
    may = await w.ok("POST", "/u/why", key, operation="set_vm_state", vmid=vmid)
    assert (may["allowed"], may["permission"]) == (True, "velocity.vm.state")
    assert may["message"] == f"bob may do this: they have velocity.vm.state on top ({top})"
    assert [(one["gid"], one["held"]) for one in may["line"]] == [(low, False), (top, True), (0, False)]
    may_not = await w.ok("POST", "/u/why", key, operation="delete_vm", vmid=vmid)
    assert may_not["allowed"] is False
    assert [one["name"] for one in may_not["ask"]] == ["root"], "who could give it"
    assert (await w.call("DELETE", "/v/vm", key, vmid=vmid)).status == 403


async def test_what_if(w: World) -> None:
    gid = await w.group("a")
    vmid = await w.vm("vm", gid)
    await w.user("bob", (gid, "vm.view"))
    ask = {"operation": "show_vm", "vmid": vmid, "uid": 1}
    assert (await w.ok("POST", "/u/why", **ask))["allowed"] is True
    taken = [{"gid": gid, "permission": "vm.view"}]
    assert (await w.ok("POST", "/u/why", **ask, revoked=taken))["allowed"] is False
    given = [{"gid": 0, "permission": "velocity.vm.remove"}]
    ask["operation"] = "delete_vm"
    assert (await w.ok("POST", "/u/why", **ask))["allowed"] is False
    assert (await w.ok("POST", "/u/why", **ask, granted=given))["allowed"] is True
    assert (await w.ok("POST", "/u/why", **ask))["allowed"] is False, "nothing was given"


@pytest.mark.holds("TEAM-11")
async def test_it_is_the_decision_that_is_taken(w: World) -> None:
    """Each operation on an object, asked about and tried."""
    left, right = await w.group("left"), await w.group("right")
    key = await w.user("bob", (left, "vm.view"), (left, "group.view"), (left, "pool.list"), (left, "media.list"))
    for gid in (left, right):
        for operation, path in [
            ("list_vms", "/v/vm/list"), ("show_group", "/u/group"), ("list_pools", "/m/pool/list"),
            ("list_media", "/m/media/list"), ("show_quota", "/u/group/quota"),
        ]:  # fmt: skip
            answer = await w.ok("POST", "/u/why", key, operation=operation, gid=gid)
            assert answer["allowed"] is ((await w.call("POST", path, key, gid=gid)).status == 200)


async def test_nothing_is_shown_that_one_may_not_see(w: World) -> None:
    secret = await w.group("secret")
    hidden = await w.vm("vm", secret)
    key = await w.user("bob")
    there = await w.ok("POST", "/u/why", key, operation="show_vm", vmid=hidden)
    nowhere = await w.ok("POST", "/u/why", key, operation="show_vm", vmid=99)
    assert there.body == nowhere.body
    assert "secret" not in str(there.body)
    assert (await w.ok("POST", "/u/why", key, operation="list_vms", gid=secret)).body == (
        await w.ok("POST", "/u/why", key, operation="list_vms", gid=99)
    ).body


async def test_what_why_refuses(w: World) -> None:
    gid = await w.group("a")
    key = await w.user("bob", (gid, "vm.view"))
    assert await w.refused("POST", "/u/why", key, operation="list_vms", gid=gid, uid=0) == (403, 20100)
    assert await w.refused("POST", "/u/why", key, operation="list_vms", gid=gid, uid=99) == (403, 20100)
    assert await w.refused("POST", "/u/why", operation="list_vms", gid=gid, uid=99) == (404, 20110)
    assert await w.refused("POST", "/u/why", operation="fly") == (404, 20111)
    assert await w.refused("POST", "/u/why", operation="list_vms") == (400, 400)
    assert (await w.ok("POST", "/u/why", key, operation="sign_in"))["allowed"] is True
    assert (await w.ok("POST", "/u/why", key, operation="show_user"))["allowed"] is True
    assert (await w.ok("POST", "/u/why", key, operation="list_users"))["allowed"] is False
    refusal = await w.call("POST", "/u/user/list", key)
    assert "velocity why" in refusal["message"], "refusals point to it"


async def test_every_operation_can_be_asked(w: World) -> None:
    """Each is decided by a field that the question has: what is missing is named, and what is there is enough."""
    objects = {"gid": 0, "vmid": 1, "mid": "00000000-0000-0000-0000-000000000000", "tid": 1, "member": 0}
    for operation in OPERATIONS:
        answer = await w.call("POST", "/u/why", operation=operation.name, **objects)
        assert answer.status == 200, (operation.name, answer)
        needs = operation.needs
        if isinstance(needs, Holds) and needs.on.field is not None and not needs.oneself:
            assert await w.refused("POST", "/u/why", operation=operation.name) == (400, 400), operation.name
