"""`plan: true` on every change: what it would do and take is told, and nothing is done; then it is, as was told.

That what refuses a change refuses its plan alike is asked wherever a test has a refusal (`World.refused`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from tests.api.test_history import entries
from tests.api.test_idempotency import VM, send
from tests.api.test_making import disk, qemu_img, upload, wait
from tests.api.test_transfers import TUS, begin, metadata
from tests.api.test_transfers import send as send_tus
from tests.api.test_trash import trid
from tests.api.world import PASSWORD, Answer, World
from velocity.contract.media import UPLOAD
from velocity.contract.operation import Change, Operation
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.anyio

CHANGES: dict[str, Operation[Any, Any]] = {one.name: one for one in OPERATIONS if issubclass(one.request, Change)}


@dataclass(frozen=True)
class Case:
    """A change, and what its plan is to say. `content` is of an upload, whose `body` are headers."""

    body: dict[str, Any]
    steps: list[tuple[str, str, str]]
    consumes: list[dict[str, int]] = field(default_factory=list)
    key: str | None = None
    content: bytes = b""


Prepare = Callable[[World], Awaitable[Case]]
CASES: list[tuple[str, Prepare]] = []


def of(operation: str) -> Callable[[Prepare], Prepare]:
    """A case of this operation: it makes what the change needs."""

    def add(prepare: Prepare) -> Prepare:
        CASES.append((operation, prepare))
        return prepare

    return add


# What there is


async def rows(w: World) -> dict[str, list[str]]:
    """All that is in the database, but the history."""

    def read(connection: Connection) -> dict[str, list[str]]:
        tables = set(sa.inspect(connection).get_table_names()) - {"history"}
        return {
            name: sorted(map(repr, connection.execute(sa.text(f"select * from {name}")).all()))  # noqa: S608
            for name in tables
        }

    return await w.server.database.aside(read)


async def objects(w: World) -> dict[tuple[str, str], dict[str, Any]]:
    """All that the API shows to root: (kind, id) -> its fields."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for user in (await w.ok("POST", "/u/user/list"))["users"]:
        found["user", str(user["uid"])] = (await w.ok("POST", "/u/user", uid=user["uid"])).body
    for group in (await w.ok("POST", "/u/group/list"))["groups"]:
        gid = group["gid"]
        quota = (await w.ok("POST", "/u/group/quota", gid=gid)).body
        found["group", str(gid)] = (await w.ok("POST", "/u/group", gid=gid)).body | quota["limits"]
        for vm in (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]:
            found["vm", str(vm["vmid"])] = (await w.ok("POST", "/v/vm", vmid=vm["vmid"])).body
        for medium in (await w.ok("POST", "/m/media/list", gid=gid))["media"]:
            found["medium", medium["mid"]] = medium
        for pool in (await w.ok("POST", "/m/pool/list", gid=gid))["pools"]:
            del pool["free"]  # what else is on the disk of the test
            found["pool", f"{pool['mpid']} of {gid}"] = pool
        for task in (await w.ok("POST", "/t/task/list", gid=gid))["tasks"]:
            found["task", str(task["tid"])] = task
    for item in (await w.ok("POST", "/t/trash/list"))["items"]:
        found["trash", str(item["trid"])] = item
    for hashed, session in w.server.services.access.sessions._by_key.items():
        found["session", hashed.hex()] = {"name": "", "uid": session.uid}
    return found


def counts(w: World) -> dict[tuple[str, int], int]:
    """What is counted in memory for each group with all below it."""
    services = w.server.services
    taken = {
        (name, gid): count for gid, used in services.access.directory.used.items() for name, count in vars(used).items()
    }
    return taken | {("bytes", gid): count for (gid, _), count in services.library.pools._used.items()}


async def state(w: World) -> list[Any]:
    library, directory = w.server.services.library, w.server.services.access.directory
    kept = (set(library._names), set(library._reserved), set(library._returning), set(directory.leaving))
    taken = {key: count for key, count in counts(w).items() if count}
    return [await rows(w), w.files(), await objects(w), taken, dict(w.server.services.fleet._claims._names), kept]


# A case for each change


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


@of("create_medium")
async def create_medium(_: World) -> Case:
    body = {"mpid": 1, "gid": 0, "name": "disk", "size": 1 << 30, "format": "qcow2"}
    return Case(body, [("create", "medium", "disk")], [{"gid": 0, "mpid": 1, "bytes": 1 << 30}])


@of("upload_medium")
async def upload_medium(_: World) -> Case:
    headers = {"x_velocity_name": "an%20image", "x_velocity_length": "1000"}
    steps = [("create", "medium", "an image")]
    return Case(headers, steps, [{"gid": 0, "mpid": 1, "bytes": 1000}], content=b"x" * 1000)


@of("import_medium")
async def import_medium(w: World) -> Case:
    image = w.data / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "8M")
    body = {"mid": await upload(w, image), "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], [{"gid": 0, "mpid": 1, "bytes": 8 << 20}])


@of("clone_medium")
async def clone_medium(w: World) -> Case:
    body = {"mid": await upload(w, disk(w.data)), "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], [{"gid": 0, "mpid": 1, "bytes": 4 << 20}])


@of("delete_medium")
async def delete_medium(w: World) -> Case:
    bytes_ = [{"gid": 0, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"mid": await w.medium()}, [("delete", "medium", "disk")], bytes_)


@of("delete_medium")
async def purge_medium(w: World) -> Case:
    bytes_ = [{"gid": 0, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"mid": await w.medium(), "purge": True}, [("purge", "medium", "disk")], bytes_)


@of("create_vm")
async def create_vm(_: World) -> Case:
    return Case(VM, [("create", "vm", "vm")], [{"gid": 0, "cpus": 1, "memory_mib": 64, "vms": 1}])


@of("alter_vm")
async def alter_vm(w: World) -> Case:
    mid = await w.medium()
    vmid = await w.vm("vm", cpus=3, displays=[{"name": "a", "width": 1, "height": 1}])
    body = {"vmid": vmid, "name": "web", "cpus": 1, "memory_mib": 128, "media": [{"mid": mid, "mode": "BLOCK"}]}
    return Case(body, [("change", "vm", "vm")], [{"gid": 0, "cpus": -2, "memory_mib": 64}])


@of("alter_vm")
async def alter_vm_to_what_it_is(w: World) -> Case:
    return Case({"vmid": await w.vm("vm"), "cpus": 1, "name": "vm"}, [])


def state_case(had: list[str], wanted: str, does: list[str], **more: Any) -> None:
    """A VM that was brought into these states, one after the other; the plan of the next one."""

    @of("set_vm_state")
    async def set_state(w: World) -> Case:
        vmid = await w.vm("vm")
        for state in had:
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state)
        return Case({"vmid": vmid, "state": wanted, **more}, [(do, "vm", "vm") for do in does])


state_case([], "RUNNING", ["start"])
state_case([], "PAUSED", ["start", "pause"])
state_case([], "STOPPED", [])
state_case([], "STOPPED", [], force=True)
state_case(["RUNNING"], "RUNNING", [])
state_case(["RUNNING"], "PAUSED", ["pause"])
state_case(["RUNNING"], "STOPPED", ["stop"])
state_case(["RUNNING"], "STOPPED", ["kill"], force=True)
state_case(["RUNNING", "PAUSED"], "PAUSED", [])
state_case(["RUNNING", "PAUSED"], "RUNNING", ["resume"])
state_case(["RUNNING", "PAUSED"], "STOPPED", ["stop"])
state_case(["PAUSED"], "STOPPED", ["kill"], force=True)


@of("delete_vm")
async def delete_vm(w: World) -> Case:
    free = [{"gid": 0, "cpus": -1, "memory_mib": -64, "vms": -1}]
    return Case({"vmid": await w.vm("vm")}, [("delete", "vm", "vm")], free)


@of("delete_vm")
async def purge_vm(w: World) -> Case:
    free = [{"gid": 0, "cpus": -1, "memory_mib": -64, "vms": -1}]
    return Case({"vmid": await w.vm("vm"), "purge": True}, [("purge", "vm", "vm")], free)


def hang(w: World) -> None:
    """From here on a task goes on until it is cancelled."""

    async def forever(*_: object) -> None:
        await asyncio.sleep(1000)

    w.server.services.making._images.convert = forever  # type: ignore[method-assign, assignment]


@of("cancel_task")
async def cancel_task(w: World) -> Case:
    hang(w)
    body = {"mid": await w.medium(), "gid": 0, "mpid": 1, "name": "made"}
    tid = (await w.ok("PUT", "/m/media/clone", **body))["tid"]
    return Case({"tid": tid}, [("cancel", "task", "made")], [{"gid": 0, "mpid": 1, "bytes": -(1 << 20)}])


@of("cancel_task")
async def cancel_a_task_that_has_ended(w: World) -> Case:
    task = await wait(w, await w.ok("PUT", "/m/media/clone", mid=await w.medium(), gid=0, mpid=1, name="made"))
    return Case({"tid": task["tid"]}, [])


@of("restore")
async def restore_vm(w: World) -> Case:
    await w.ok("DELETE", "/v/vm", vmid=await w.vm("vm"))
    took = [{"gid": 0, "cpus": 1, "memory_mib": 64, "vms": 1}]
    return Case({"trid": await trid(w, "vm")}, [("restore", "vm", "vm")], took)


@of("restore")
async def restore_group(w: World) -> Case:
    top, low = await team(w, "STOPPED")
    await w.ok("DELETE", "/u/group", gid=top)
    steps = [("restore", "group", "top"), ("restore", "group", "low"), ("restore", "medium", "disk")]
    return Case({"trid": await trid(w, "top")}, [*steps, ("restore", "vm", "vm")], taken(low, 1)[::-1])


@of("purge")
async def purge_group(w: World) -> Case:
    top, _ = await team(w, "STOPPED")
    await w.ok("DELETE", "/u/group", gid=top)
    steps = [("purge", "group", "top"), ("purge", "group", "low"), ("purge", "medium", "disk"), ("purge", "vm", "vm")]
    return Case({"trid": await trid(w, "top")}, steps)


# Planned, and then done


async def carry_out(w: World, operation: Operation[Any, Any], case: Case, *, plan: bool) -> Answer:
    if operation is UPLOAD:
        sent = {**case.body, "x_velocity_plan": "true"} if plan else case.body
        return await w.upload(b"" if plan else case.content, **sent)
    body = case.body | ({"plan": True} if plan else {})
    return await w.call(operation.method.name, operation.path, case.key, **body)


def test_every_change_has_a_case() -> None:
    assert {name for name, _ in CASES} == set(CHANGES)


@pytest.mark.parametrize(
    ("name", "prepare"), CASES, ids=[f"{number}-{prepare.__name__}" for number, (_, prepare) in enumerate(CASES)]
)
async def test_a_plan_changes_nothing_and_tells_what_is_done(w: World, name: str, prepare: Prepare) -> None:
    operation = CHANGES[name]
    case = await prepare(w)
    before = await state(w)
    started = list(w.hypervisor.started)
    planned = await carry_out(w, operation, case, plan=True)
    assert (planned.status, planned["plan"]) == (200, True), planned
    assert [(one["do"], one["kind"], one["name"]) for one in planned["steps"]] == case.steps
    assert planned["consumes"] == case.consumes
    assert await state(w) == before
    assert w.hypervisor.started == started
    had, held = counts(w), await objects(w)
    done = await carry_out(w, operation, case, plan=False)
    assert done.status == 200, done
    if "tid" in done.body and name != "cancel_task":
        assert (await wait(w, done))["state"] == "DONE"
    if ("stop", "vm", "vm") in case.steps:  # the guest hears the button, and ends
        while (await w.ok("POST", "/v/vm/state", vmid=case.body["vmid"]))["state"] != "STOPPED":
            await asyncio.sleep(0)
    agrees(planned.body, held, await objects(w))
    counted(planned["consumes"], had, counts(w), held | await objects(w))
    if not planned["steps"]:
        assert await state(w) == before, "what would change nothing did not"


Objects = dict[tuple[str, str], dict[str, Any]]
GONE, COME = {"delete", "purge"}, {"create", "restore"}
STATES = {"start": "RUNNING", "resume": "RUNNING", "pause": "PAUSED", "stop": "STOPPED", "kill": "STOPPED"}


def agrees(plan: dict[str, Any], before: Objects, after: Objects) -> None:
    """What has come, gone and changed is what the steps told."""
    kinds = {"vm", "medium", "group", "user"}
    come = sorted((kind, after[kind, id]["name"]) for kind, id in after.keys() - before.keys() if kind in kinds)
    gone = sorted((kind, before[kind, id]["name"]) for kind, id in before.keys() - after.keys() if kind in kinds)
    steps = plan["steps"]
    assert come == sorted((one["kind"], one["name"]) for one in steps if one["do"] in COME and one["kind"] in kinds)
    there = [one for one in steps if one["do"] in GONE and (one["kind"], str(one.get("id"))) in before]
    assert gone == sorted((one["kind"], one["name"]) for one in there)
    trashed = {before.get(key, after.get(key))["name"] for key in after.keys() ^ before.keys() if key[0] == "trash"}  # type: ignore[index]
    for number, step in enumerate(steps):
        key = (step["kind"], str(step.get("id")))
        match step["do"]:
            case "delete" if step["kind"] in ("vm", "medium", "group"):
                assert trashed, "it can be had back"
            case "purge":
                assert bool(trashed) is (step not in there), "nothing of it is in the trash"
            case "create" if step["kind"] == "session":
                assert len(keys(after, "session")) == len(keys(before, "session")) + 1
            case "restore":
                assert key in after, "it has its id again"
            case "change" | "assign" | "grant" | "revoke":
                changed(step, before, after)
            case "cancel":
                assert after[key]["state"] == "CANCELLED"
            case do if do in STATES and key in after and number == len(steps) - 1:
                assert after[key]["state"] == STATES[do]


def keys(objects: Objects, kind: str) -> set[tuple[str, str]]:
    return {key for key in objects if key[0] == kind}


def changed(step: dict[str, Any], before: Objects, after: Objects) -> None:
    """Each field that is told was that before, and is this after."""
    sessions = [keys(before, "session"), keys(after, "session")]
    key = (step["kind"], str(step.get("id")))
    match step["kind"]:
        case "session":
            assert sessions[0] != sessions[1]
            return
        case "pool":
            key = ("pool", f"{step['id']} of {step['gid']}")
        case "user" if step["do"] == "change":
            assert "old" not in step["changes"][0] and "new" not in step["changes"][0], "no password is told"
            assert before[key]["revision"] != after[key]["revision"]
            return
    for field_ in step.get("changes", []):
        for side, objects in (("old", before), ("new", after)):
            shown = objects.get(key, {}).get(field_["field"])
            if step["kind"] == "user":
                held = [one for one in objects[key]["memberships"] if one["gid"] == step["gid"]]
                shown = [one["name"] for membership in held for one in membership["permissions"]] or None
            assert shown == field_.get(side), (step, side)
    if step["do"] == "revoke" and step["kind"] == "pool":
        assert key in before and key not in after


def counted(
    consumes: list[dict[str, int]], before: dict[tuple[str, int], int], after: dict[tuple[str, int], int], all_: Objects
) -> None:
    """What each group that is left has more, or less, is what it and those below it were told to take."""
    parents = {int(id): one["parent_gid"] for (kind, id), one in all_.items() if kind == "group"}
    expected: dict[tuple[str, int], int] = {}
    for one in consumes:
        for name in one.keys() - {"gid", "mpid"}:
            gid = one["gid"]
            while True:
                expected[name, gid] = expected.get((name, gid), 0) + one[name]
                if gid == parents[gid]:
                    break
                gid = parents[gid]
    assert {key: count for key, count in expected.items() if key in after} == {
        key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)
    }


# What else holds of plans


async def test_a_forced_deletion_stops_no_vm_while_it_is_planned(w: World) -> None:
    top, low = await team(w)
    (run,) = w.hypervisor.runs.values()
    plan = await w.ok("DELETE", "/u/group", gid=top, force=True, plan=True)
    assert plan["steps"][0]["do"] == "kill"
    assert list(w.hypervisor.runs.values()) == [run]
    (vm,) = (await w.ok("POST", "/v/vm/list", gid=low))["vms"]
    assert vm["state"] == "RUNNING"
    assert await w.refused("DELETE", "/u/group", gid=top) == (409, 5321)


async def test_what_is_under_way_in_a_group_ends_with_it(w: World) -> None:
    """An upload and a task: their bytes are free again."""
    top, low = await team(w, "STOPPED")
    (medium,) = (await w.ok("POST", "/m/media/list", gid=low))["media"]

    hang(w)
    await w.ok("PUT", "/m/media/clone", mid=medium["mid"], gid=low, mpid=1, name="made")
    await begin(w, 1000, gid=low, name="half")
    before, had = await state(w), counts(w)
    plan = await w.ok("DELETE", "/u/group", gid=top, plan=True)
    steps = [(one["do"], one["kind"], one["name"]) for one in plan["steps"]]
    assert sorted(steps) == sorted([("cancel", "medium", "half"), ("cancel", "task", "made"), *of_team("delete")])
    assert await state(w) == before
    groups = await objects(w)
    await w.ok("DELETE", "/u/group", gid=top)
    counted(plan["consumes"], had, counts(w), groups)


async def test_a_plan_is_not_in_the_history_and_what_it_is_refused_is(w: World) -> None:
    key = await w.user("bob")
    before = await entries(w)
    assert (await w.ok("PUT", "/u/group", name="a", parent_gid=0, plan=True))["steps"]
    assert (await w.call("PUT", "/u/group", name="a", parent_gid=99, plan=True)).code == 5210
    assert (await w.upload(b"", x_velocity_plan="true", x_velocity_length="9")).status == 200
    assert await entries(w) == before
    assert (await w.call("PUT", "/u/group", key, name="a", parent_gid=0, plan=True)).code == 5200
    assert len(await entries(w)) == len(before) + 1, "whoever feels his way is seen"


async def test_a_plan_does_not_use_up_an_idempotency_key(w: World) -> None:
    planned = await send(w, "k", "PUT", "/v/vm/efi", **VM, plan=True)
    assert planned.json()["plan"] is True
    made = await send(w, "k", "PUT", "/v/vm/efi", **VM)
    assert (made.status_code, "idempotent-replayed" in made.headers) == (200, False)
    again = await send(w, "k", "PUT", "/v/vm/efi", **VM)
    assert (again.json(), again.headers["idempotent-replayed"]) == (made.json(), "true")
    assert (await send(w, "k", "PUT", "/v/vm/efi", **VM, plan=True)).json()["code"] == 12223, "a plan is of now"


async def test_plan_false_is_a_change(w: World) -> None:
    assert "gid" in (await w.ok("PUT", "/u/group", name="a", parent_gid=0, plan=False)).body
    assert await w.refused("PUT", "/u/group", _plan=False, name="b", parent_gid=0, plan="yes") == (400, 400)


async def test_fifty_plans_at_once_beside_changes(w: World) -> None:
    """Plans take nothing, not even for a moment: what fits, fits while others plan."""
    gid = await w.group("a")
    await w.ok("PUT", "/u/group/quota", gid=gid, vms=5)
    body = {**VM, "gid": gid}
    plans = [w.call("PUT", "/v/vm/efi", **{**body, "name": f"plan{n}"}, plan=True) for n in range(50)]
    changes = [w.call("PUT", "/v/vm/efi", **{**body, "name": f"vm{n}"}) for n in range(5)]
    answers = await asyncio.gather(*[one for n in range(5) for one in (*plans[n * 10 : n * 10 + 10], changes[n])])
    assert [answer.status for answer in answers if "vmid" in answer.body] == [200] * 5
    assert (await w.ok("POST", "/u/group/quota", gid=gid))["usage"]["vms"] == 5
    assert len((await w.ok("POST", "/v/vm/list", gid=gid))["vms"]) == 5


async def test_plans_of_uploads(w: World) -> None:
    plan = await w.upload(b"", x_velocity_plan="true", x_velocity_length="1000000")
    assert (plan.status, plan["consumes"]) == (200, [{"gid": 0, "mpid": 1, "bytes": 1_000_000}])
    assert w.files() == []
    no_length = await w.upload(b"", x_velocity_plan="true")
    assert (no_length.status, no_length.code) == (400, 9210)
    wrong = await w.upload(b"x", x_velocity_plan="perhaps")
    assert (wrong.status, wrong.code) == (400, 400)
    refused = await w.upload(b"", x_velocity_plan="true", x_velocity_length="1", x_velocity_mpid="99")
    assert (refused.status, refused.code) == (404, 9218)
    await w.upload(b"x")
    taken_ = await w.upload(b"", x_velocity_plan="true", x_velocity_length="1")
    assert (taken_.status, taken_.code) == (409, 9220)
    assert (await w.upload(b"x", x_velocity_plan="false", x_velocity_name="other")).status == 200


async def test_an_upload_over_several_requests_is_not_planned_and_not_begun(w: World) -> None:
    wanted = metadata(plan="true", length=1000)
    answer = await send_tus(w, "POST", TUS, upload_length=1000, upload_metadata=wanted)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    assert UPLOAD.path in answer.json()["message"]
    assert w.files() == []


async def test_an_upload_for_which_the_trash_would_make_room(w: World) -> None:
    for name in ("old", "new"):
        made = await w.upload(b"x" * 10_000, x_velocity_name=name)
        await w.ok("DELETE", "/m/media", mid=made["mid"])
    files = w.server.services.library.pools.files(1)
    assert files is not None
    files.free = lambda: 0 if len(w.files()) == 2 else 10_000  # type: ignore[method-assign]
    before = await state(w)
    plan = await w.upload(b"", x_velocity_plan="true", x_velocity_length="5000")
    assert (plan.status, len(plan["warnings"])) == (200, 1)
    assert "trash" in plan["warnings"][0]
    assert (await w.upload(b"", x_velocity_plan="true", x_velocity_length="50000")).code == 9221
    assert await state(w) == before
    assert (await w.upload(b"x" * 5000)).status == 200
