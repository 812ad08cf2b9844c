"""The operations that are cut by a crash: each makes what it needs first, by requests that are acknowledged."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import Any

from tests.crash import launching, machines, media, people
from tests.crash.model import State, Thing, below, owned
from tests.crash.world import Applied, Operation, Request, World
from tests.journeys.server import free_port


def _group_delete(world: World, kind: str, *, purge: bool, running: bool) -> Request:
    group = people.a_group(world)
    world.do(people.assign(world, group))
    world.do(media.make_medium(world, group))
    world.do(machines.make_vm(world, group, [list(world.state["media"])[-1]]))
    if running:
        world.do(machines.to_state(world, "vm start", list(world.state["vms"])[-1], "RUNNING"))

    def applied(state: State, _answer: dict[str, Any]) -> None:
        groups = below(state, group)
        gone = {**owned(state, "media", groups), **owned(state, "vms", groups)}
        gone["groups"] = {name: state["groups"][name] for name in groups}
        for of, things in gone.items():
            for name in things:
                del state[of][name]
        if not purge:
            state["trash"][f"group {group}"] = {"_contents": gone}

    def stopped(state: State, _answer: dict[str, Any]) -> None:
        for vm in owned(state, "vms", below(state, group))["vms"].values():
            vm["state"] = {"RUNNING", "STOPPING", "STOPPED"}

    fields = {"gid": world.id("groups", group), "purge": purge, "force": running}
    return Request(kind, "DELETE", "/u/group", fields, applied, partly=[stopped] if running else [])


def group_delete(world: World) -> Request:
    return _group_delete(world, "group delete", purge=False, running=False)


def group_purge(world: World) -> Request:
    return _group_delete(world, "group purge", purge=True, running=False)


def group_delete_by_force(world: World) -> Request:
    return _group_delete(world, "group delete by force", purge=world.rng.random() < 0.5, running=True)


def vm_limit(world: World) -> Request:
    """Limits of the disk of a VM that runs, which are set behind the commit."""
    world.do(media.make_medium(world, world.top))
    (medium,) = list(world.state["media"])[-1:]
    world.do(machines.make_vm(world, world.top, [medium]))
    name = list(world.state["vms"])[-1]
    world.do(machines.to_state(world, "vm start", name, "RUNNING"))
    limits = {"iops": world.rng.randint(1, 10**6)}

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["vms"][name]["limits"] = [limits]

    attached = [{"mid": world.id("media", medium), "mode": "BLOCK", "limits": limits}]
    return Request("vm limit", "PATCH", "/v/vm", {"vmid": world.id("vms", name), "media": attached}, applied)


def vm_move(world: World) -> Request:
    """With its disk: both are in the one group, or in the other."""
    group = people.a_group(world)
    world.do(people.assign(world, group))
    world.do(media.make_medium(world, world.top))
    disk = list(world.state["media"])[-1]
    world.do(machines.make_vm(world, world.top, [disk]))
    name = list(world.state["vms"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["vms"][name]["group"] = state["media"][disk]["group"] = group

    fields = {"vmid": world.id("vms", name), "gid": world.id("groups", group)}
    return Request("vm move", "PUT", "/v/vm/move", fields, applied)


# What changes while a VM runs


def _in_a_run(
    world: World, kind: str, has: dict[str, Any], changes: dict[str, Any], shown: Callable[[dict[str, Any]], Thing]
) -> Request:
    """A VM that has that, and runs, is changed: its run is as it was, or as is wanted, and nothing waits for long.

    `shown` is what is seen of a VM that has such settings.
    """
    machines.end_others(world, "STOPPED")
    world.do(machines.vm_create(world))
    name = list(world.state["vms"])[-1]
    vmid = world.id("vms", name)

    def altered(kind: str, settings: dict[str, Any]) -> Request:
        def applied(state: State, _answer: dict[str, Any]) -> None:
            state["vms"][name] |= {**shown(settings), "waiting": []}

        return Request(kind, "PATCH", "/v/vm", {"vmid": vmid, **settings}, applied)

    world.do(altered("vm alter", has))
    world.do(machines.to_state(world, "vm start", name, "RUNNING"))
    world.state["vms"][name]["waiting"] = []
    return altered(kind, changes)


def _with_disks(settings: dict[str, Any]) -> Thing:
    return {"media": [one["mid"] for one in settings["media"]], "limits": [None for _ in settings["media"]]}


def _a_disk(world: World, mode: str) -> dict[str, Any]:
    world.do(media.make_medium(world, world.top))
    return {"mid": world.id("media", list(world.state["media"])[-1]), "mode": mode}


def vm_plug_disk(world: World) -> Request:
    return _in_a_run(world, "vm plug disk", {"media": []}, {"media": [_a_disk(world, "BLOCK")]}, _with_disks)


def vm_unplug_disk(world: World) -> Request:
    """One that goes without its guest."""
    return _in_a_run(world, "vm unplug disk", {"media": [_a_disk(world, "VIRTIO")]}, {"media": []}, _with_disks)


def vm_plug_nic(world: World) -> Request:
    """The second, beside one that stays. In QEMU's user network, it comes at the next start."""
    first = {**machines.a_nic(world), "id": 1}
    changes = {"nics": [first, machines.a_nic(world)]}
    request = _in_a_run(
        world, "vm plug nic", {"nics": [first]}, changes,
        lambda settings: {"nics": [one["type"] for one in settings["nics"]]},
    )  # fmt: skip
    if world.server.qemu and not world.server.bridge:
        name, plugged = list(world.state["vms"])[-1], request.applied

        def waits(state: State, answer: dict[str, Any]) -> None:
            plugged(state, answer)
            state["vms"][name]["waiting"] = ["nics"]

        request.applied = waits
    return request


def vm_forward(world: World) -> Request:
    """A port of the host goes, and another one comes."""
    gone, comes = ({"host_port": free_port(), "guest_port": 22, "host_address": "127.0.0.1"} for _ in range(2))
    return _in_a_run(
        world, "vm forward", {"nics": [{"type": "NAT"}], "forwards": [gone]}, {"forwards": [comes]},
        lambda settings: {"forwards": [one["host_port"] for one in settings["forwards"]]},
    )  # fmt: skip


def _of_a_run(world: World) -> str:
    """The disk of a VM that runs."""
    machines.end_others(world, "STOPPED")
    world.do(media.make_medium(world, world.top))
    name = list(world.state["media"])[-1]
    world.do(machines.make_vm(world, world.top, [name]))
    world.do(machines.to_state(world, "vm start", list(world.state["vms"])[-1], "RUNNING"))
    return name


def _vm_disk(world: World, kind: str, format_: str) -> Request:
    """It is written anew, and the VM goes on with the new file."""
    name = _of_a_run(world)

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["media"][name] |= {"format": format_, **({"sum": None} if format_ != "raw" else {})}

    fields = {"mid": world.id("media", name), "format": format_}
    return media.of_task(kind, "PUT", "/m/media/convert", fields, applied)


def vm_disk_convert(world: World) -> Request:
    return _vm_disk(world, "disk convert in a run", "qcow2")


def vm_disk_compact(world: World) -> Request:
    return _vm_disk(world, "disk compact in a run", "raw")


def vm_disk_move(world: World) -> Request:
    return media.move(world, "disk move in a run", _of_a_run(world))


def vm_disk_grow(world: World) -> Request:
    name, size = _of_a_run(world), 3 << 20

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["media"][name] |= {"size": size, "sum": hashlib.sha256(bytes(size)).hexdigest()}

    fields = {"mid": world.id("media", name), "size": size}
    return Request("disk grow in a run", "PATCH", "/m/media", fields, applied)


def vm_grow(world: World) -> Request:
    """It gets a CPU."""
    return _in_a_run(
        world, "vm grow", {"cpus": 1, "max_cpus": 2}, {"cpus": 2}, lambda settings: {"cpus": settings["cpus"]}
    )


# The trash


def _from_trash(world: World, kind: str, first: Operation, *, purge: bool) -> Request:
    world.do(first(world))
    name = list(world.state["trash"])[-1]
    items = world.server.ok("POST", "/t/trash/list")["items"]
    (trid,) = (item["trid"] for item in items if f"{item['kind']} {item['name']}" == name)

    def applied(state: State, _answer: dict[str, Any]) -> None:
        contents = copy.deepcopy(state["trash"].pop(name)["_contents"])
        for of, things in contents.items() if not purge else ():
            state[of].update(things)

    return Request(kind, "DELETE" if purge else "PUT", "/t/trash", {"trid": trid}, applied)


def restore_medium(world: World) -> Request:
    return _from_trash(world, "medium restore", media.medium_delete, purge=False)


def restore_vm(world: World) -> Request:
    return _from_trash(world, "vm restore", machines.vm_delete, purge=False)


def restore_vm_with_disk(world: World) -> Request:
    return _from_trash(world, "vm restore with disk", machines.vm_delete_with_disk, purge=False)


def restore_group(world: World) -> Request:
    return _from_trash(world, "group restore", group_delete, purge=False)


def purge_trash(world: World) -> Request:
    return _from_trash(world, "trash purge", group_delete, purge=True)


def empty_trash(world: World) -> Request:
    """Of two items: a crash may come between them."""
    world.do(media.medium_delete(world))
    world.do(group_delete(world))
    names = list(world.state["trash"])[-2:]
    found = world.server.ok("POST", "/t/trash/list")["items"]
    trids = [item["trid"] for item in found if f"{item['kind']} {item['name']}" in names]

    def removed(*gone: str) -> Applied:
        def applied(state: State, _answer: dict[str, Any]) -> None:
            for name in gone:
                del state["trash"][name]

        return applied

    request = media.of_task("trash empty", "DELETE", "/t/trash/all", {"trids": trids}, removed(*names))
    request.partly = [removed(names[-1])]  # the newest goes first
    return request


IN_A_RUN: tuple[Operation, ...] = (vm_plug_disk, vm_unplug_disk, vm_plug_nic, vm_forward, vm_grow)
OPERATIONS: tuple[Operation, ...] = (
    *people.OPERATIONS, group_delete, group_purge, group_delete_by_force,
    *media.OPERATIONS, restore_medium, restore_vm, restore_vm_with_disk, restore_group, purge_trash,
    empty_trash, vm_limit, vm_move, vm_disk_convert, vm_disk_compact, vm_disk_move,
    vm_disk_grow, *IN_A_RUN, launching.launch, *machines.OPERATIONS,
)  # fmt: skip
OF_GUESTS: tuple[Operation, ...] = (
    *machines.OF_GUESTS, group_delete_by_force, vm_limit, vm_disk_convert, vm_disk_compact, vm_disk_move,
    vm_disk_grow, *IN_A_RUN,
    launching.launch,
)  # fmt: skip
"""Those that differ where guests are processes."""
