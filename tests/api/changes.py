"""A case for each change of the contract: it makes what the change needs, and says what its plan is to tell.

Here are those of VMs; `all_changes` has them all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.api.test_idempotency import VM
from tests.api.world import World
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
