"""A restore whose pool does not answer: nobody else waits for it, and it is done when the pool is back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import PASSWORD
from tests.faults.test_growing import LONG, MIB, Host, on_a_host
from tests.patience import asked_until
from velocity.storage.fake.pools import Hangs

AT_THE_FILE = 1
"""The calls of the pool before the one that brings a medium back: its state."""


async def deleted(host: Host, kind: str) -> tuple[int, int, str]:
    """An item of the trash, the group that has it, and the medium in it. Another item is there, too."""
    w = host.w
    team = await w.group("team")
    gid = await w.group("below", team) if kind == "group" else team
    for one in (team, gid):
        await w.ok("PUT", "/m/pool/assign", gid=one, mpid=2, write=True, manage=True, quota=100 * MIB)
        await w.ok("PUT", "/m/pool/assign", gid=one, mpid=1, write=True, manage=True, quota=100 * MIB)
    mid = await w.medium("disk", gid=gid, mpid=2)
    vmid = await w.vm("vm", gid, media=[{"mid": mid, "mode": "VIRTIO"}])
    if kind == "medium":
        await w.ok("PATCH", "/v/vm", vmid=vmid, media=[])
        await w.ok("DELETE", "/m/media", mid=mid)
    elif kind == "vm":
        await w.ok("DELETE", "/v/vm", vmid=vmid, disks=True)
    else:
        await w.ok("DELETE", "/u/group", gid=gid)
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    return int(item["trid"]), team, mid


async def hung(host: Host, doing: asyncio.Future[Any]) -> None:
    await host.hangs(doing)
    assert not doing.done(), doing.result()


@pytest.mark.holds("DUR-89")
@pytest.mark.parametrize("kind", ["medium", "vm", "group"])
def test_nobody_waits_for_a_restore_whose_pool_does_not_answer(tmp_path: Path, kind: str) -> None:
    async def work(host: Host) -> None:
        w = host.w
        trid, team, mid = await deleted(host, kind)
        other, more = await w.medium("other", gid=team), await w.medium("more", gid=team)
        await w.ok("DELETE", "/m/media", mid=more)
        items = (await w.ok("POST", "/t/trash/list"))["items"]
        lying = next(one["trid"] for one in items if one["name"] == "more")
        host.usb.after(AT_THE_FILE, Hangs())
        restoring = asyncio.ensure_future(w.call("PUT", "/t/trash", trid=trid))
        await hung(host, restoring)
        await w.group("new", team)
        uid = (await w.ok("PUT", "/u/user", name="bob", password=PASSWORD, gid=team))["uid"]
        await w.ok("PUT", "/u/user/permission", uid=uid, gid=team, permission="velocity.vm.view")
        await w.ok("PUT", "/u/group/quota", gid=team, vms=9)
        await w.ok("DELETE", "/m/media", mid=other)
        await w.ok("DELETE", "/t/trash", trid=lying)
        for method in ("PUT", "DELETE"):
            answer = await w.call(method, "/t/trash", trid=trid)
            assert answer.status == 503 and "just being restored" in answer["message"]
        if kind == "group":
            assert (await w.call("DELETE", "/u/group", gid=team, force=True)).status == 409
        assert not restoring.done(), "nobody has waited for it"
        host.usb.wake()
        assert (await restoring).status == 200
        await asyncio.sleep(LONG)
        assert (await host.shown(mid))["size"] == host.size(mid, "raw") == MIB

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-89")
def test_nobody_waits_for_what_is_removed_from_a_pool_that_does_not_answer(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        w = host.w
        trid, team, _ = await deleted(host, "medium")
        other = await w.medium("other", gid=team)
        more = await w.medium("more", gid=team)
        await w.ok("DELETE", "/m/media", mid=more)
        lying = next(one["trid"] for one in (await w.ok("POST", "/t/trash/list"))["items"] if one["name"] == "more")
        host.usb.after(0, Hangs())
        removing = asyncio.ensure_future(w.call("DELETE", "/t/trash", trid=trid))
        await hung(host, removing)
        await w.ok("DELETE", "/m/media", mid=other)
        await w.ok("PUT", "/t/trash", trid=lying)
        assert not removing.done(), "nobody has waited for it"
        host.usb.wake()
        assert (await removing).status == 200
        await asyncio.sleep(LONG)
        assert host.usb.trash == {}

    on_a_host(tmp_path, work)


@pytest.mark.holds("DUR-89")
def test_a_group_that_is_deleted_meanwhile_takes_along_what_is_restored_into_it(tmp_path: Path) -> None:
    async def work(host: Host) -> None:
        w = host.w
        trid, team, _ = await deleted(host, "vm")
        host.usb.after(AT_THE_FILE, Hangs())
        restoring = asyncio.ensure_future(w.call("PUT", "/t/trash", trid=trid))
        await hung(host, restoring)
        deleting = asyncio.ensure_future(w.call("DELETE", "/u/group", gid=team, force=True))
        await asked_until(
            lambda: w.ok("POST", "/u/group/list"),
            lambda listed: team not in [one["gid"] for one in listed["groups"]],
        )
        assert not deleting.done()
        host.usb.wake()
        assert (await restoring).status == 200
        assert (await deleting).status == 200
        await asyncio.sleep(LONG)
        assert [one["kind"] for one in (await w.ok("POST", "/t/trash/list"))["items"]] == ["group"]
        assert host.usb.kept == {} and len(host.usb.trash) == 1
        assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][1]["used"] == 0

    on_a_host(tmp_path, work)
