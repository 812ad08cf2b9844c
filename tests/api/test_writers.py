"""A medium is written to by one VM at most, whatever becomes of the pool's `write` meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.images import body
from tests.api.world import World

pytestmark = pytest.mark.anyio


async def permit(w: World, gid: int, *, write: bool) -> None:
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=write, manage=True)


async def state(w: World, vmid: int, wanted: str) -> None:
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state=wanted, force=wanted == "STOPPED")


async def is_written(w: World, mid: str) -> bool:
    """Whether a VM is said to write to it; then nobody reads it."""
    media = [one for gid in (0, 1) for one in (await w.ok("POST", "/m/media/list", gid=gid))["media"]]
    written = any(user["writing"] for one in media if one["mid"] == mid for user in one["used_by"])
    headers = {"authorization": f"Bearer {w.key}"}
    read = await w.http.get(f"http://velocity/m/media/content/{mid}", headers=headers)
    assert (read.status_code == 200) is not written
    return written


@pytest.mark.holds("STATE-17")
async def test_a_pool_that_gets_write_gives_each_medium_one_writer(w: World) -> None:
    gid = await w.group("a")
    await permit(w, gid, write=False)
    mid = await w.medium(gid=gid)
    disk: dict[str, Any] = {"gid": gid, "media": [{"mid": mid, "mode": "BLOCK"}]}
    one, two = await w.vm("one", **disk), await w.vm("two", **disk)
    await state(w, one, "RUNNING")
    assert not await is_written(w, mid), "its disk can only be read"
    await permit(w, gid, write=True)
    assert not await is_written(w, mid), "as it was when it started"
    new = {"name": "new", "cpus": 1, "memory_mib": 64, **disk}
    assert await w.refused("PUT", "/v/vm/efi", **new) == (409, 12228), "others are attached to write to it"
    refused = await w.call("PUT", "/v/vm/state", vmid=two, state="RUNNING")
    assert (refused.code, "'one' is reading" in refused["message"]) == (13224, True)
    await state(w, one, "STOPPED")
    await state(w, two, "RUNNING")
    assert await is_written(w, mid)
    assert await w.refused("PUT", "/m/media/clone", **body(mid)) == (409, 22223)
    assert await w.refused("PUT", "/v/vm/state", vmid=one, state="RUNNING") == (409, 13224)
    refused = await w.call("PUT", "/v/vm/state", vmid=one, state="RUNNING")
    assert "'two'" in refused["message"]
    await state(w, two, "STOPPED")
    await state(w, one, "RUNNING")
    assert await is_written(w, mid)


@pytest.mark.holds("STATE-17")
async def test_a_pool_that_loses_write_leaves_a_medium_to_the_vm_that_writes_to_it(w: World) -> None:
    gid = await w.group("a")
    await permit(w, gid, write=True)
    mid = await w.medium(gid=gid)
    disk: dict[str, Any] = {"gid": gid, "media": [{"mid": mid, "mode": "BLOCK"}]}
    one = await w.vm("one", **disk)
    await state(w, one, "RUNNING")
    await permit(w, gid, write=False)
    await w.ok("PATCH", "/v/vm", vmid=one, name="another")
    assert await is_written(w, mid), "its disk is open for writing"
    two = await w.vm("two", **disk)
    await permit(w, gid, write=True)
    assert await w.refused("PUT", "/v/vm/state", vmid=two, state="RUNNING") == (409, 13224)
    await state(w, one, "STOPPED")
    assert not await is_written(w, mid)
    await state(w, two, "RUNNING")
