"""The cases of changes of sessions, users and groups, and of which pools groups have."""

from __future__ import annotations

from tests.api.changes import Case, of
from tests.api.world import PASSWORD, World


@of("sign_out")
async def sign_out(w: World) -> Case:
    key = await w.user("bob")
    return Case({}, [("delete", "session", await present(w, key))], key=key)


@of("sign_out")
async def sign_out_of_nothing(_: World) -> Case:
    return Case({}, [], key="unknown")


@of("renew")
async def renew(w: World) -> Case:
    return Case({}, [("change", "session", "")], key=await w.user("bob"))


async def present(w: World, key: str) -> str:
    """The id of the session of this authkey."""
    return str(next(one["sid"] for one in (await w.ok("POST", "/u/session/list", key))["sessions"] if one["current"]))


@of("open_session")
async def open_session(w: World) -> Case:
    await w.user("bob")
    return Case({"name": "bob", "password": PASSWORD}, [("create", "session", "")], key="")


@of("open_session")
async def open_session_by_link(w: World) -> Case:
    return Case({"link": w.server.services.access.welcome.make()}, [("create", "session", "")], key="")


@of("renew_session")
async def renew_session(w: World) -> Case:
    return Case({}, [("change", "session", "")], key=await w.user("bob"))


@of("end_session")
async def end_session(w: World) -> Case:
    key = await w.user("bob")
    other = str((await w.ok("POST", "/u/auth", "", name="bob", password=PASSWORD))["authkey"])
    sid = await present(w, other)
    return Case({"sid": sid}, [("delete", "session", sid)], key=key)


@of("create_user")
async def create_user(_: World) -> Case:
    return Case({"name": "bob", "password": PASSWORD}, [("create", "user", "bob")])


@of("remove_user")
async def remove_user(w: World) -> Case:
    await w.user("bob", (await w.group("a"), "vm.view"))
    return Case({"uid": await w.uid("bob")}, [("delete", "user", "bob")])


@of("change_user")
async def change_user(w: World) -> Case:
    key = await w.user("bob")
    return Case({"password": "another one", "old_password": PASSWORD}, [("change", "user", "bob")], key=key)


@of("grant_permission")
async def grant(w: World) -> Case:
    await w.user("bob")
    body = {"uid": await w.uid("bob"), "gid": await w.group("a"), "permission": "velocity.vm.view"}
    return Case(body, [("grant", "user", "bob")])


@of("grant_permission")
async def grant_what_is_held(w: World) -> Case:
    gid = await w.group("a")
    await w.user("bob", (gid, "vm.view"))
    return Case({"uid": await w.uid("bob"), "gid": gid, "permission": "velocity.vm.view"}, [])


@of("revoke_permission")
async def revoke_all(w: World) -> Case:
    gid = await w.group("a")
    await w.user("bob", (gid, "vm.view"), (gid, "vm.state"))
    return Case({"uid": await w.uid("bob"), "gid": gid}, [("revoke", "user", "bob")])


@of("revoke_permission")
async def revoke_what_is_not_held(w: World) -> Case:
    await w.user("bob")
    return Case({"uid": await w.uid("bob"), "gid": await w.group("a"), "permission": "velocity.vm.view"}, [])


@of("create_group")
async def create_group(w: World) -> Case:
    return Case({"name": "low", "parent_gid": await w.group("top")}, [("create", "group", "low")])


async def team(w: World, state: str = "RUNNING") -> tuple[int, int]:
    """A group, its subgroup that has a VM and its disk."""
    top = await w.group("top")
    low = await w.group("low", top)
    await w.user("bob", (low, "vm.view"))
    await w.ok("PUT", "/m/pool/assign", gid=top, mpid=1, write=True, manage=True)
    vmid = await w.vm("vm", low, media=[{"mid": await w.medium(gid=low), "mode": "BLOCK"}], cpus=2)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state)
    return top, low


def of_team(do: str) -> list[tuple[str, str, str]]:
    return [(do, "vm", "vm"), (do, "medium", "disk"), (do, "group", "low"), (do, "group", "top")]


def taken(gid: int, sign: int) -> list[dict[str, int]]:
    amount = {"cpus": sign * 2, "memory_mib": sign * 64, "vms": sign}
    return [{"gid": gid, **amount}, {"gid": gid, "mpid": 1, "bytes": sign << 20}]


@of("delete_group")
async def delete_group(w: World) -> Case:
    top, low = await team(w, "STOPPED")
    return Case({"gid": top}, of_team("delete"), taken(low, -1))


@of("delete_group")
async def purge_group_whose_vm_runs(w: World) -> Case:
    top, low = await team(w)
    steps = [("kill", "vm", "vm"), *of_team("purge")]
    return Case({"gid": top, "force": True, "purge": True}, steps, taken(low, -1))


@of("set_quota")
async def set_quota(w: World) -> Case:
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=3, cpus=8)
    return Case({"gid": gid, "vms": 4, "memory_mib": 1024}, [("change", "group", "a")])


@of("set_quota")
async def set_quota_as_it_is(w: World) -> Case:
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=3)
    return Case({"gid": gid, "vms": 3}, [])


@of("assign_pool")
async def assign_pool(w: World) -> Case:
    return Case({"gid": await w.group("a"), "mpid": 1}, [("assign", "pool", "default")])


@of("assign_pool")
async def assign_pool_again(w: World) -> Case:
    body = {"gid": await w.group("a"), "mpid": 1, "write": True}
    await w.ok("PUT", "/m/pool/assign", **body, quota=1 << 20)
    return Case(body, [("assign", "pool", "default")])


@of("revoke_pool")
async def revoke_pool(w: World) -> Case:
    body = {"gid": await w.group("a"), "mpid": 1}
    await w.ok("PUT", "/m/pool/assign", **body)
    return Case(body, [("revoke", "pool", "default")])
