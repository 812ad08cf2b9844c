"""Operations on VMs, each with what it needs first."""

from __future__ import annotations

from typing import Any

from tests.crash import media
from tests.crash.model import State
from tests.crash.world import Applied, Request, World, made
from velocity.machines.changes.cloning import name_of_copy

# Machines


def make_vm(world: World, group: str, media: list[str]) -> Request:
    name, cpus, memory = world.name("vm"), 1, 96
    mids = [world.id("media", one) for one in media]
    fields = {
        "name": name, "gid": world.id("groups", group), "cpus": cpus, "memory_mib": memory, "nics": [a_nic(world)],
        "displays": [{"name": "d", "width": 640, "height": 480}],
        "media": [{"mid": mid, "mode": "BLOCK"} for mid in mids],
    }  # fmt: skip
    applied = made("vms", name, "vmid", group=group, cpus=cpus, memory=memory, media=mids, state="STOPPED",
                   limits=[None] * len(mids), next_boot=False)  # fmt: skip
    return Request("vm create", "PUT", "/v/vm/efi", fields, applied)


def a_nic(world: World) -> dict[str, Any]:
    """On the bridge, where the tests have one; else in QEMU's user network."""
    return {"type": "BRIDGE", "host": 1} if world.server.bridge else {"type": "NAT"}


def vm_create(world: World) -> Request:
    return make_vm(world, world.top, [])


def end_others(world: World, state: str) -> None:
    """Where guests are real no other one runs than one in that state."""
    for name, vm in world.state["vms"].items() if world.server.qemu else ():
        if vm["state"] not in ("STOPPED", state):
            world.do(to_state(world, "vm kill", name, "STOPPED", force=True))


def _new_vm(world: World) -> str:
    """One that never ran."""
    end_others(world, "STOPPED")
    world.do(vm_create(world))
    return list(world.state["vms"])[-1]


def _vm(world: World, state: str) -> str:
    end_others(world, state)
    found = world.pick("vms", lambda _, vm: vm["state"] == state and vm["group"] == world.top and vm["id"])
    if found is None:
        found = world.pick("vms", lambda _, vm: vm["state"] == "STOPPED" and vm["group"] == world.top and vm["id"])
        found = found or _new_vm(world)
        if state != "STOPPED":
            world.do(to_state(world, "vm start", found, state))
    return found


def to_state(world: World, kind: str, name: str, state: str, *, force: bool = False) -> Request:
    def applied(model: State, _answer: dict[str, Any]) -> None:
        graceful = state == "STOPPED" and not force
        model["vms"][name]["state"] = {"STOPPING", "STOPPED"} if graceful else state
        model["vms"][name]["waiting"] = None  # what waited for a start is over
        if state != "STOPPED":
            begun(model, {})

    def begun(model: State, _answer: dict[str, Any]) -> None:
        model["vms"][name]["next_boot"] = False

    def asked(model: State, _answer: dict[str, Any]) -> None:
        model["vms"][name]["state"] = {"STOPPING", "STOPPED"}

    fields = {"vmid": world.id("vms", name), "state": state, "force": force}
    partly: list[Applied] = [asked] if force else [begun] if state != "STOPPED" else []
    return Request(kind, "PUT", "/v/vm/state", fields, applied, partly=partly)


def vm_alter(world: World) -> Request:
    name, cpus = _vm(world, "STOPPED"), world.rng.randint(1, 4)

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["vms"][name]["cpus"] = cpus

    return Request("vm alter", "PATCH", "/v/vm", {"vmid": world.id("vms", name), "cpus": cpus}, applied)


def vm_start(world: World) -> Request:
    return to_state(world, "vm start", _new_vm(world), "RUNNING")


def vm_start_held(world: World) -> Request:
    return to_state(world, "vm start paused", _new_vm(world), "PAUSED")


def vm_pause(world: World) -> Request:
    return to_state(world, "vm pause", _vm(world, "RUNNING"), "PAUSED")


def vm_resume(world: World) -> Request:
    return to_state(world, "vm resume", _vm(world, "PAUSED"), "RUNNING")


def vm_stop(world: World) -> Request:
    return to_state(world, "vm stop", _vm(world, "RUNNING"), "STOPPED")


def vm_kill(world: World) -> Request:
    return to_state(world, "vm kill", _vm(world, "RUNNING"), "STOPPED", force=True)


def vm_restart(world: World) -> Request:
    """Whenever the server ends, it runs again at last."""
    name = _vm(world, "RUNNING")
    return Request("vm restart", "PUT", "/v/vm/restart", {"vmid": world.id("vms", name), "force": True})


def vm_reset(world: World) -> Request:
    """Whether it came to that or not, it runs."""
    return Request("vm reset", "PUT", "/v/vm/reset", {"vmid": world.id("vms", _vm(world, "RUNNING"))})


def vm_choose_boot(world: World) -> Request:
    """Written down when it is answered, and taken by one start."""
    name = _vm(world, "STOPPED")

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["vms"][name]["next_boot"] = True

    fields = {"vmid": world.id("vms", name), "firmware_setup": True}
    return Request("vm choose boot", "PUT", "/v/vm/boot", fields, applied)


def vm_start_chosen(world: World) -> Request:
    """What was chosen is of that start, and of none after it."""
    request = vm_choose_boot(world)
    world.do(request)
    (name,) = (name for name, vm in world.state["vms"].items() if vm["id"] == request.fields["vmid"])
    return to_state(world, "vm start as chosen", name, "RUNNING")


def vm_clone(world: World) -> Request:
    """The VM and the copy of its disk come to be, or neither."""
    world.do(media.medium_create(world))
    disk = list(world.state["media"])[-1]
    world.do(make_vm(world, world.top, [disk]))
    source, name = list(world.state["vms"])[-1], world.name("vm")

    def applied(state: State, _answer: dict[str, Any]) -> None:
        copy, vm = name_of_copy(disk, source, name), state["vms"][source]
        state["media"][copy] = {**state["media"][disk], "id": None}
        state["vms"][name] = {**vm, "id": None, "media": None}

    fields = {"vmid": world.id("vms", source), "gid": world.id("groups", world.top), "name": name}
    return media.of_task("vm clone", "PUT", "/v/vm/clone", fields, applied)


def _vm_delete(world: World, kind: str, *, purge: bool) -> Request:
    world.do(vm_create(world))
    name = list(world.state["vms"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        vm = state["vms"].pop(name)
        if not purge:
            state["trash"][f"vm {name}"] = {"_contents": {"vms": {name: vm}}}

    return Request(kind, "DELETE", "/v/vm", {"vmid": world.id("vms", name), "purge": purge}, applied)


def vm_delete_with_disk(world: World) -> Request:
    """Both go, or neither."""
    world.do(media.medium_create(world))
    disk = list(world.state["media"])[-1]
    world.do(make_vm(world, world.top, [disk]))
    name = list(world.state["vms"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        contents = {"vms": {name: state["vms"].pop(name)}, "media": {disk: state["media"].pop(disk)}}
        state["trash"][f"vm {name}"] = {"_contents": contents}

    return Request("vm delete with disk", "DELETE", "/v/vm", {"vmid": world.id("vms", name), "disks": True}, applied)


def vm_delete(world: World) -> Request:
    return _vm_delete(world, "vm delete", purge=False)


def vm_purge(world: World) -> Request:
    return _vm_delete(world, "vm purge", purge=True)


OPERATIONS = (
    vm_create, vm_alter, vm_start, vm_start_held, vm_pause, vm_resume, vm_stop, vm_kill, vm_restart, vm_reset,
    vm_choose_boot, vm_start_chosen, vm_delete, vm_delete_with_disk, vm_purge, vm_clone,
)  # fmt: skip
OF_GUESTS = (
    vm_start,
    vm_start_held,
    vm_pause,
    vm_resume,
    vm_stop,
    vm_kill,
    vm_restart,
    vm_reset,
    vm_start_chosen,
    vm_purge,
)
"""Those that differ where guests are processes."""
