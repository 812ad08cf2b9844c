"""The cases of changes of what was deleted."""

from __future__ import annotations

from tests.api.changes import Case, of
from tests.api.people_changes import taken, team
from tests.api.test_trash import trid
from tests.api.world import World


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
