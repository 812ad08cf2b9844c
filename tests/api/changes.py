"""A case for each change of the contract: it makes what the change needs, and says what its plan is to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.api.images import disk, qemu_img, upload, wait
from tests.api.origin import lasting_origin
from tests.api.test_idempotency import VM
from tests.api.test_transfers import begin
from tests.api.test_trash import trid
from tests.api.world import PASSWORD, World
from velocity.contract.operation import Change, Operation
from velocity.contract.registry import OPERATIONS
from velocity.hypervisor.fake import FakeAgent

CHANGES: dict[str, Operation[Any, Any]] = {one.name: one for one in OPERATIONS if issubclass(one.request, Change)}


@dataclass(frozen=True)
class Case:
    """A change, and what its plan is to say. `content` is of an upload, whose `body` are headers."""

    body: dict[str, Any]
    steps: list[tuple[str, str, str]]
    consumes: list[dict[str, int]] = field(default_factory=list)
    key: str | None = None
    content: bytes = b""
    size_unknown: bool = False
    """What it takes of a pool is known when it is done only, and the plan says so."""


Prepare = Callable[[World], Awaitable[Case]]
CASES: list[tuple[str, Prepare]] = []


def of(operation: str) -> Callable[[Prepare], Prepare]:
    """A case of this operation: it makes what the change needs."""

    def add(prepare: Prepare) -> Prepare:
        CASES.append((operation, prepare))
        return prepare

    return add


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


@of("end_upload")
async def end_upload(w: World) -> Case:
    await begin(w, 1000)
    (upload,) = w.server.services.uploads.all()
    steps = [("cancel", "medium", upload.request.name)]
    return Case({"mid": str(upload.mid)}, steps, [{"gid": 0, "mpid": 1, "bytes": -1000}])


@of("import_medium")
async def import_medium(w: World) -> Case:
    image = w.data / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "8M")
    body = {"mid": await upload(w, image), "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], [{"gid": 0, "mpid": 1, "bytes": 8 << 20}])


@of("fetch_medium")
async def fetch_medium(_: World) -> Case:
    body = {"url": f"{lasting_origin()}/1/4096", "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], size_unknown=True)


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


@of("alter_medium")
async def alter_medium(w: World) -> Case:
    body = {"mid": await w.medium(), "name": "data", "size": 3 << 20, "type": "DATA", "readonly": True}
    return Case(body, [("change", "medium", "disk")], [{"gid": 0, "mpid": 1, "bytes": 2 << 20}])


@of("alter_medium")
async def alter_medium_to_what_it_is(w: World) -> Case:
    return Case({"mid": await w.medium(), "name": "disk", "size": 1 << 20, "readonly": False}, [])


@of("move_medium")
async def move_medium(w: World) -> Case:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    mid = await w.medium("disk", gid=gid)
    moved = [{"gid": 0, "mpid": 1, "bytes": 1 << 20}, {"gid": gid, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"mid": mid, "gid": 0}, [("change", "medium", "disk")], moved)


@of("move_medium")
async def move_medium_to_where_it_is(w: World) -> Case:
    return Case({"mid": await w.medium(), "gid": 0, "mpid": 1}, [])


@of("convert_medium")
async def convert_medium(w: World) -> Case:
    return Case({"mid": await w.medium(), "format": "qcow2"}, [("change", "medium", "disk")])


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


@of("clone_vm")
async def clone_vm(w: World) -> Case:
    media = [{"mid": await w.medium(), "mode": "BLOCK"}]
    vmid = await w.vm("vm", media=media)
    takes = [{"gid": 0, "mpid": 1, "bytes": 1 << 20}, {"gid": 0, "cpus": 1, "memory_mib": 64, "vms": 1}]
    steps = [("create", "vm", "web"), ("create", "medium", "web-disk")]
    return Case({"vmid": vmid, "gid": 0, "name": "web"}, steps, takes)


@of("move_vm")
async def move_vm(w: World) -> Case:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    vmid = await w.vm("vm", media=[{"mid": await w.medium(), "mode": "BLOCK"}])
    moved = [
        {"gid": gid, "mpid": 1, "bytes": 1 << 20}, {"gid": 0, "mpid": 1, "bytes": -(1 << 20)},
        {"gid": 0, "cpus": -1, "memory_mib": -64, "vms": -1}, {"gid": gid, "cpus": 1, "memory_mib": 64, "vms": 1},
    ]  # fmt: skip
    return Case({"vmid": vmid, "gid": gid}, [("change", "vm", "vm"), ("change", "medium", "disk")], moved)


@of("move_vm")
async def move_vm_to_where_it_is(w: World) -> Case:
    return Case({"vmid": await w.vm("vm"), "gid": 0}, [])


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


@of("restart_vm")
async def restart_vm(w: World) -> Case:
    vmid = await w.vm("vm")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return Case({"vmid": vmid}, [("stop", "vm", "vm"), ("start", "vm", "vm")])


@of("restart_vm")
async def restart_vm_by_force(w: World) -> Case:
    vmid = await w.vm("vm")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    return Case({"vmid": vmid, "force": True}, [("kill", "vm", "vm"), ("start", "vm", "vm")])


@of("choose_boot")
async def choose_boot(w: World) -> Case:
    return Case({"vmid": await w.vm("vm"), "firmware_setup": True}, [("change", "vm", "vm")])


@of("choose_boot")
async def choose_boot_as_it_was(w: World) -> Case:
    return Case({"vmid": await w.vm("vm")}, [])


@of("reset_vm")
async def reset_vm(w: World) -> Case:
    vmid = await w.vm("vm")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return Case({"vmid": vmid}, [("reset", "vm", "vm")])


@of("delete_vm")
async def delete_vm(w: World) -> Case:
    free = [{"gid": 0, "cpus": -1, "memory_mib": -64, "vms": -1}]
    return Case({"vmid": await w.vm("vm")}, [("delete", "vm", "vm")], free)


@of("delete_vm")
async def delete_vm_with_its_disks(w: World) -> Case:
    mid = await w.medium()
    vmid = await w.vm("vm", media=[{"mid": mid, "mode": "BLOCK"}])
    free = [{"gid": 0, "cpus": -1, "memory_mib": -64, "vms": -1}, {"gid": 0, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"vmid": vmid, "disks": True}, [("delete", "vm", "vm"), ("delete", "medium", "disk")], free)


@of("delete_vm")
async def purge_vm(w: World) -> Case:
    free = [{"gid": 0, "cpus": -1, "memory_mib": -64, "vms": -1}]
    return Case({"vmid": await w.vm("vm"), "purge": True}, [("purge", "vm", "vm")], free)


def hang(w: World) -> asyncio.Event:
    """From here on a task goes on until it is cancelled; the event says that it has made its file, and hangs."""
    hangs = asyncio.Event()

    async def forever(*_: object, **__: object) -> None:
        hangs.set()
        await asyncio.sleep(1000)

    w.images.convert = forever  # type: ignore[method-assign]
    return hangs


@of("cancel_task")
async def cancel_task(w: World) -> Case:
    hangs = hang(w)
    body = {"mid": await w.medium(), "gid": 0, "mpid": 1, "name": "made"}
    tid = (await w.ok("PUT", "/m/media/clone", **body))["tid"]
    await hangs.wait()
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


@of("empty_trash")
async def empty_trash(w: World) -> Case:
    top, _ = await team(w, "STOPPED")
    await w.ok("DELETE", "/u/group", gid=top)
    await w.ok("DELETE", "/v/vm", vmid=await w.vm("other"))
    steps = [("purge", "group", "top"), ("purge", "group", "low"), ("purge", "medium", "disk"), ("purge", "vm", "vm")]
    return Case({}, [("purge", "vm", "other"), *steps])


# Inside guests


async def inhabited(w: World, **body: Any) -> Case:
    """A VM that runs, with an agent in its guest."""
    vmid = await w.vm("vm")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    w.hypervisor.guests.agents[w.server.services.fleet.get(vmid).machine.uuid] = FakeAgent()
    return Case({"vmid": vmid, **body}, [("change", "vm", "vm")])


@of("execute_in_guest")
async def execute_in_guest(w: World) -> Case:
    return await inhabited(w, command=["true"])


@of("set_guest_password")
async def set_guest_password(w: World) -> Case:
    return await inhabited(w, user="root", password="a password of ten")


@of("add_guest_keys")
async def add_guest_keys(w: World) -> Case:
    return await inhabited(w, user="root", keys=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7kZ0qS me@here"])


@of("freeze_guest")
async def freeze_guest(w: World) -> Case:
    return await inhabited(w)


@of("thaw_guest")
async def thaw_guest(w: World) -> Case:
    return await inhabited(w)


@of("write_guest_file")
async def write_guest_file(w: World) -> Case:
    return await inhabited(w, path="/tmp/x", content="aGVsbG8K")
