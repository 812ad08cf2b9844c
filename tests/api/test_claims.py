"""What a VM has claimed is what it and its run have, whatever becomes of the run while a change of it is committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar
from uuid import UUID

import pytest

from tests.api.world import Answer, World, world
from tests.patience import asked_until, eventually
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import Fact, FactCause
from velocity.machines.rules import Spec
from velocity.store.machines import SqlMachines

pytestmark = pytest.mark.anyio


class Held(SqlMachines):
    """Changes of VMs are committed when they are `let` to be, and not at all where they are to fail."""

    let: ClassVar[asyncio.Event]
    waits = False
    fails = False

    @classmethod
    async def _wait(cls) -> None:
        cls.waits = True
        await cls.let.wait()
        if cls.fails:
            raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")

    async def alter(self, vmid: int, name: str, spec: Spec) -> None:
        await self._wait()
        await super().alter(vmid, name, spec)

    async def move(self, vmid: int, gid: int, spec: Spec, media: Collection[UUID]) -> None:
        await self._wait()
        await super().move(vmid, gid, spec, media)


@asynccontextmanager
async def held(tmp_path: Path, *, fails: bool = False) -> AsyncIterator[World]:
    Held.let, Held.waits, Held.fails = asyncio.Event(), False, fails
    async with world(tmp_path / "data", machines=Held) as w:
        yield w


async def ends_meanwhile(w: World, vmid: int, change: Awaitable[Answer]) -> int:
    """Ask for a change of a VM that runs, whose guest powers off before it is committed; the status of the answer."""
    uuid = w.server.services.fleet.get(vmid).machine.uuid
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    asked = asyncio.ensure_future(change)
    await eventually(lambda: Held.waits)
    w.hypervisor.play(uuid, Fact.ENDED, FactCause.GUEST_SHUTDOWN)
    await asked_until(lambda: w.ok("POST", "/v/vm", vmid=vmid), lambda vm: vm["state"] == "STOPPED")
    Held.let.set()
    return (await asked).status


async def used(w: World, gid: int) -> dict[str, int]:
    return dict((await w.ok("POST", "/u/group/quota", gid=gid))["usage"])


@pytest.mark.holds("TEAM-22")
async def test_a_run_that_ends_while_its_vm_is_changed_takes_nothing_from_what_that_has_claimed(tmp_path: Path) -> None:
    async with held(tmp_path) as w:
        gid = await w.group("team")
        await w.ok("PUT", "/u/group/quota", gid=gid, cpus=8)
        mid = await w.medium(gid=0)
        vmid, other = await w.vm("a", gid), await w.vm("b", 0)
        change = w.call("PATCH", "/v/vm", vmid=vmid, cpus=8, media=[{"mid": mid, "mode": "VIRTIO"}])
        assert await ends_meanwhile(w, vmid, change) == 200
        assert (await used(w, gid))["cpus"] == 8
        assert await w.refused("PUT", "/v/vm/efi", name="c", gid=gid, cpus=1, memory_mib=64) == (406, 12220)
        attached = [{"mid": mid, "mode": "VIRTIO"}]
        assert await w.refused("PATCH", "/v/vm", vmid=other, media=attached) == (409, 16428), "it has a writer"


@pytest.mark.holds("TEAM-22")
async def test_a_run_that_ends_while_its_vm_moves_to_another_group_leaves_it_counted_there(tmp_path: Path) -> None:
    async with held(tmp_path) as w:
        old, new = await w.group("old"), await w.group("new")
        vmid = await w.vm("a", old, cpus=2)
        assert await ends_meanwhile(w, vmid, w.call("PUT", "/v/vm/move", vmid=vmid, gid=new)) == 200
        assert [(await used(w, gid))["cpus"] for gid in (old, new)] == [0, 2]
        await w.vm("a", old)
        assert (await w.call("PUT", "/v/vm/efi", name="a", gid=new, cpus=1, memory_mib=64)).status == 409


@pytest.mark.holds("TEAM-22")
@pytest.mark.parametrize("change", ["cpus", "gid"])
async def test_a_change_that_fails_leaves_what_a_vm_has_whose_run_has_ended_meanwhile(
    tmp_path: Path, change: str
) -> None:
    async with held(tmp_path, fails=True) as w:
        vmid, new = await w.vm("a", cpus=1), await w.group("new")
        asks: dict[str, Callable[[], Awaitable[Answer]]] = {
            "cpus": lambda: w.call("PATCH", "/v/vm", vmid=vmid, cpus=8),
            "gid": lambda: w.call("PUT", "/v/vm/move", vmid=vmid, gid=new),
        }
        assert await ends_meanwhile(w, vmid, asks[change]()) == 503
        assert (await used(w, 0))["cpus"] == 1
        assert (await used(w, new))["cpus"] == 0
        Held.fails = False
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=3)
        assert (await used(w, 0))["cpus"] == 3
