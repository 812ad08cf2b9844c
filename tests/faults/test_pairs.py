"""Two requests at once, of which one deletes the group of the other's object: each is carried out or refused, and what
the server shows is what its database holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.api.world import PASSWORD, Answer, World, world
from tests.patience import eventually
from tests.store.lossy import Lossy
from velocity.access.rules import Discarded
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import Answer as Lost
from velocity.hypervisor.fake import FakeHypervisor
from velocity.store.machines import SqlMachines

pytestmark = pytest.mark.anyio

STEPS = (0, 3, 8, 20, 45)
"""Turns of the loop by which the second comes later."""
OF_NOW = {"since", "reason", "message", "revision", "allocated", "free"}


@dataclass
class Team:
    """A group with a subgroup, and another one; in the first a VM with a disk and one that runs, and in the trash one
    of each."""

    gid: int
    below: int
    other: int
    mid: str
    vmid: int
    running: int
    home: int
    of_trash: dict[str, int]


async def made(w: World, number: int) -> Team:
    gid, other = await w.group(f"team{number}"), await w.group(f"other{number}")
    below = await w.group("below", gid)
    for one in (gid, other):
        await w.ok("PUT", "/m/pool/assign", gid=one, mpid=1, write=True, manage=True, quota=0)
    mid, lying = await w.medium(gid=gid), await w.medium("lying", gid=gid)
    vmid = await w.vm("vm", gid, media=[{"mid": mid, "mode": "VIRTIO"}])
    running, gone = await w.vm("running", gid), await w.vm("gone", gid)
    await w.ok("PUT", "/v/vm/state", vmid=running, state="RUNNING")
    await w.ok("DELETE", "/m/media", mid=lying)
    await w.ok("DELETE", "/v/vm", vmid=gone)
    uid = (await w.ok("PUT", "/u/user", name=f"user{number}", password=PASSWORD, gid=0))["uid"]
    await w.medium("deep", gid=below)
    items = (await w.ok("POST", "/t/trash/list"))["items"]
    of_trash = {one["kind"]: one["trid"] for one in items if one["name"] in ("lying", "gone") and one["gid"] == gid}
    return Team(gid, below, other, mid, vmid, running, uid, of_trash)


Ask = Callable[[World, Team], Awaitable[Answer]]
ASKS: dict[str, Ask] = {
    "delete the subgroup": lambda w, t: w.call("DELETE", "/u/group", gid=t.below, force=True),
    "purge the subgroup": lambda w, t: w.call("DELETE", "/u/group", gid=t.below, force=True, purge=True),
    "delete the VM": lambda w, t: w.call("DELETE", "/v/vm", vmid=t.vmid),
    "delete the VM and its disk": lambda w, t: w.call("DELETE", "/v/vm", vmid=t.vmid, disks=True),
    "move the VM out": lambda w, t: w.call("PUT", "/v/vm/move", vmid=t.running, gid=t.other),
    "clone the VM": lambda w, t: w.call("PUT", "/v/vm/clone", vmid=t.vmid, gid=t.gid, name="copy"),
    "restore a VM": lambda w, t: w.call("PUT", "/t/trash", trid=t.of_trash["vm"]),
    "restore a medium": lambda w, t: w.call("PUT", "/t/trash", trid=t.of_trash["medium"]),
    "copy the disk": lambda w, t: w.call("PUT", "/m/media/clone", mid=t.mid, gid=t.gid, mpid=1, name="copy"),
    "make it a home": lambda w, t: w.call("PATCH", "/u/user", uid=t.home, gid=t.gid),
    "assign a pool": lambda w, t: w.call(
        "PUT", "/m/pool/assign", gid=t.below, mpid=1, write=False, manage=False, quota=5000
    ),
    "take the pool away": lambda w, t: w.call("DELETE", "/m/pool/assign", gid=t.gid, mpid=1),
}  # fmt: skip


def lasting(said: Any) -> Any:
    """Without what is only of this moment."""
    if isinstance(said, dict):
        return {name: lasting(one) for name, one in said.items() if name not in OF_NOW}
    return sorted(map(lasting, said), key=repr) if isinstance(said, list) else said


async def shown(w: World) -> dict[str, Any]:
    """All that lasts, as the API shows it."""
    groups = (await w.ok("POST", "/u/group/list"))["groups"]
    users = (await w.ok("POST", "/u/user/list"))["users"]
    found: dict[str, Any] = {"groups": groups, "trash": (await w.ok("POST", "/t/trash/list")).body, "files": w.files()}
    for gid in [one["gid"] for one in groups]:
        for path in ("/u/group/quota", "/v/vm/list", "/m/media/list", "/m/pool/list"):
            found[f"{path} {gid}"] = (await w.ok("POST", path, gid=gid)).body
    for uid in [one["uid"] for one in users]:
        found[f"user {uid}"] = (await w.ok("POST", "/u/user", uid=uid)).body
    return dict(lasting(found))


async def both(w: World, team: Team, ask: Ask, steps: int, *, first: bool) -> list[Answer]:
    """Delete the group; and ask, so many turns after that, or before."""
    delete: Ask = lambda w, t: w.call("DELETE", "/u/group", gid=t.gid, force=True)  # noqa: E731 (a pair of equals)
    asks = (ask, delete) if first else (delete, ask)
    begun = asyncio.ensure_future(asks[0](w, team))
    for _ in range(steps):
        await asyncio.sleep(0)
    return [await asks[1](w, team), await begun]


@pytest.mark.holds("TEAM-23")
@pytest.mark.parametrize("asked", ASKS)
async def test_what_is_asked_of_a_group_that_is_being_deleted_is_done_or_refused(asked: str, tmp_path: Path) -> None:
    hypervisor = FakeHypervisor()
    async with world(tmp_path / "data", hypervisor) as w:
        for number, steps in enumerate(STEPS):
            for first in (True, False):
                team = await made(w, 2 * number + first)
                answers = await both(w, team, ASKS[asked], steps, first=first)
                assert all(one.status < 500 for one in answers), answers
                await w.settle()
        before = await shown(w)
    async with world(tmp_path / "data", hypervisor) as w:
        await w.settle()
        assert await shown(w) == before


class RemovesNone(SqlMachines):
    """A store that takes VMs, and then does not respond where one is to be removed again."""

    async def remove(self, vmid: int, discarded: Discarded | None = None, media: Collection[UUID] = ()) -> None:
        raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")


async def names(w: World, gids: list[int]) -> dict[int, list[str]]:
    return {gid: sorted(one["name"] for one in (await w.ok("POST", "/v/vm/list", gid=gid))["vms"]) for gid in gids}


@pytest.mark.holds("TEAM-26")
async def test_what_is_created_in_a_group_whose_deletion_fails_is_there_or_is_not(tmp_path: Path) -> None:
    hypervisor, gids = FakeHypervisor(), []
    async with world(tmp_path / "data", hypervisor, machines=RemovesNone) as w:
        for steps in range(16):
            gids.append(gid := await w.group(f"team{steps}"))
            vmid = await w.vm("running", gid)
            await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            hypervisor.faults.answers.append(Lost.LOST)
            creating = asyncio.ensure_future(w.call("PUT", "/v/vm/efi", name="new", gid=gid, cpus=1, memory_mib=64))
            for _ in range(steps):
                await asyncio.sleep(0)
            deleted = await w.call("DELETE", "/u/group", gid=gid, force=True)
            assert (deleted.status, (await creating).status) in ((409, 200), (409, 404)), (deleted, steps)
            assert ("new" in (await names(w, [gid]))[gid]) is ((await creating).status == 200)
        before = await names(w, gids)
    async with world(tmp_path / "data", hypervisor) as w:
        assert await names(w, gids) == before


@pytest.mark.holds("STATE-25")
async def test_what_was_ended_for_a_deletion_that_fails_is_said(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        gid = await w.group("team")
        vmid = await w.vm("running", gid)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.settle()
        deleting = asyncio.ensure_future(w.call("DELETE", "/u/group", gid=gid, force=True))
        keeper = w.server.services.fleet.get(vmid)
        await eventually(lambda: keeper.retired, every=0)  # before it goes on
        Lossy(w.server.database).silent = True
        answer = await deleting
        assert answer.status == 503 and "nothing was changed" not in answer["message"]
        assert "'team' stays, but those of its VMs that ran were stopped" in answer["message"]
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "STOPPED"
